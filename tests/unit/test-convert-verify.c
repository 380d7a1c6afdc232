/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/inplace/verify: what is the same passes; anything that differs, on whichever side, is found and named. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/convert_fixture.h"

typedef unsigned long long ull;

static struct fake *original;

static int set_up(void **state)
{
	(void)state;
	original = fake_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_free(original);
	return 0;
}

/* --- Verifying ---------------------------------------------------------------------------------------------------------- */

static int verify_with(struct fake *fake, struct btrkit_fs *fs, struct verify_input input, unsigned threads, struct diag *d)
{
	struct pool *pool;
	int err;

	assert_int_equal(pool_new(threads, NULL, &pool), 0);
	input.source = &fake->source;
	input.dev = fake->dev;
	input.fs = fs;
	input.btrfs_ino = fake_btrfs_ino;
	input.ctx = fake;
	input.moved = fake->moved;
	input.nr_moved = fake->nr_moved;
	input.saved_name = input.saved_name ? input.saved_name : "saved";
	input.threads = threads;
	input.pool = pool;
	err = convert_verify(&input, d);
	pool_free(pool);
	return err;
}

static int verify_simply(struct fake *fake, struct diag *d)
{
	struct btrkit_fs *fs = fake_open(fake, false);
	int err = verify_with(fake, fs, (struct verify_input){ .has_csums = true }, 2, d);

	btrkit_fs_close(fs);
	return err;
}

static struct fake *fake_copy(void)
{
	struct fake *fake = malloc(sizeof(*fake));

	assert_non_null(fake);
	*fake = *original;
	return fake;
}

static bool is_text(int err, const struct diag *d, const char *name, const char *text)
{
	if (err == -EBADMSG && strstr(d->text, text))
		return true;
	print_error("%s: %d, \"%s\"; expected \"%s\"\n", name, err, err ? d->text : "", text);
	return false;
}

static void expect_text(int err, const struct diag *d, const char *name, const char *text)
{
	if (!is_text(err, d, name, text))
		fail();
}

/* --- What can be changed in the source --------------------------------------------------------------------------------------- */

static struct source_inode *inode(struct fake *fake, const char *name)
{
	u64 ino = *name ? fake_ino(fake, name) : FAKE_TOP;

	for (size_t i = 0; i < fake->nr_inodes; i++)
		if (fake->inodes[i].ino == ino)
			return &fake->inodes[i];
	fail_msg("%s has no inode", name);
	return NULL;
}

static struct source_run *run(struct fake *fake, const char *name, unsigned n)
{
	u64 ino = fake_ino(fake, name);

	for (size_t i = 0; i < fake->nr_runs; i++)
		if (fake->runs[i].ino == ino && n-- == 0)
			return &fake->runs[i].run;
	fail_msg("%s has no such run", name);
	return NULL;
}

static struct fake_entry *entry(struct fake *fake, const char *name)
{
	for (size_t i = 0; i < fake->nr_entries; i++)
		if (strcmp(fake->entries[i].name, name) == 0)
			return &fake->entries[i];
	fail_msg("%s is not there", name);
	return NULL;
}

static struct fake_bytes *bytes(struct fake *fake, const char *name)
{
	u64 ino = fake_ino(fake, name);
	size_t i = 0;

	while (fake->bytes[i].ino != ino)
		i++;
	return &fake->bytes[i];
}

static void drop_run(struct fake *fake, struct source_run *at)
{
	*container_of(at, struct fake_run, run) = fake->runs[--fake->nr_runs];
}

static void add_run(struct fake *fake, const char *name, u64 file_offset, u64 physical, u64 len)
{
	fake->runs[fake->nr_runs++] = (struct fake_run){ fake_ino(fake, name), { file_offset, physical, len, false, false, 0 } };
}

#define CHANGE(name, ...)                                                                                              \
	static void change_##name(struct fake *fake)                                                                   \
	{                                                                                                              \
		__VA_ARGS__;                                                                                            \
	}

CHANGE(mode, inode(fake, "file")->mode ^= 01)
CHANGE(type, inode(fake, "fifo")->mode = S_IFSOCK | 0600)
CHANGE(setuid, inode(fake, "small")->mode |= S_ISUID)
CHANGE(uid, inode(fake, "file")->uid++)
CHANGE(gid, inode(fake, "sub")->gid++)
CHANGE(uid_gid, inode(fake, "file")->uid = 1006; inode(fake, "file")->gid = 1005)
CHANGE(size, inode(fake, "file")->size--)
CHANGE(size_small, inode(fake, "small")->size--)
CHANGE(size_hole, inode(fake, "hole")->size = 4096)
CHANGE(flags, inode(fake, "file")->inode_flags ^= BTRKIT_INODE_IMMUTABLE)
CHANGE(flags_gone, inode(fake, "file")->inode_flags = 0)
CHANGE(nodatasum, inode(fake, "file")->inode_flags |= BTRKIT_INODE_NODATASUM)
CHANGE(major, inode(fake, "chr")->rdev_major++)
CHANGE(minor, inode(fake, "chr")->rdev_minor++)
CHANGE(atime, inode(fake, "file")->atime.sec++)
CHANGE(atime_nsec, inode(fake, "file")->atime.nsec++)
CHANGE(mtime, inode(fake, "link")->mtime.sec = -inode(fake, "link")->mtime.sec)
CHANGE(mtime_nsec, inode(fake, "")->mtime.nsec ^= 1)
CHANGE(ctime, inode(fake, "dir")->ctime.sec += 1LL << 32)
CHANGE(ctime_nsec, inode(fake, "f599")->ctime.nsec++)
CHANGE(otime, inode(fake, "file")->otime.sec++)
CHANGE(otime_nsec, inode(fake, "fifo")->otime.nsec++)
CHANGE(times_swapped, inode(fake, "file")->atime = inode(fake, "file")->ctime; inode(fake, "file")->ctime = original->inodes[1].atime)
CHANGE(inode_gone, *inode(fake, "f300") = fake->inodes[--fake->nr_inodes])
CHANGE(inode_twice, fake->inodes[fake->nr_inodes++] = *inode(fake, "f300"))
CHANGE(omitted, fake->omitted_ino = fake_ino(fake, "f7"))
CHANGE(inode_more, fake->inodes[fake->nr_inodes] = *inode(fake, "f300"); fake->inodes[fake->nr_inodes].ino = 99999;
       fake->entries[fake->nr_entries++] = (struct fake_entry){ fake_ino(fake, "sub"), 99999, "more" };
       fake->nr_inodes++)
CHANGE(xattr_value, fake->xattrs[0].value[0] ^= 1)
CHANGE(xattr_len, fake->xattrs[0].len++)
CHANGE(xattr_name, fake->xattrs[0].name[5] ^= 1)
CHANGE(xattr_gone, fake->xattrs[0] = fake->xattrs[--fake->nr_xattrs])
CHANGE(xattr_more, fake->xattrs[fake->nr_xattrs] = fake->xattrs[0]; strcpy(fake->xattrs[fake->nr_xattrs++].name, "user.x"))
CHANGE(xattr_moved, fake->xattrs[0].ino = fake_ino(fake, "dir"))
CHANGE(target, bytes(fake, "link")->bytes[0] ^= 1)
CHANGE(target_len, bytes(fake, "link")->len--)
CHANGE(name, entry(fake, "sub")->name[0] = 'S')
CHANGE(name_gone, *entry(fake, "hard") = fake->entries[--fake->nr_entries])
CHANGE(name_more, fake->entries[fake->nr_entries] = *entry(fake, "hard"); strcpy(fake->entries[fake->nr_entries++].name, "harder"))
CHANGE(name_child, entry(fake, "f5")->child = fake_ino(fake, "f6"))
CHANGE(names_swapped, u64 child = entry(fake, "f5")->child; entry(fake, "f5")->child = entry(fake, "f6")->child;
       entry(fake, "f6")->child = child)
CHANGE(name_dir, entry(fake, "fifo")->dir = fake_ino(fake, "sub"))
CHANGE(run_place, run(fake, "file", 0)->physical += 4096)
CHANGE(run_offset, run(fake, "sparse", 1)->file_offset += 4096)
CHANGE(run_short, run(fake, "file", 0)->len -= 4096)
CHANGE(run_long, run(fake, "sparse", 0)->len += 4096)
CHANGE(run_gone, drop_run(fake, run(fake, "sparse", 1)))
CHANGE(run_more, add_run(fake, "sparse", 65536, FAKE_ELSEWHERE, 4096))
CHANGE(runs_swapped, u64 physical = run(fake, "sparse", 0)->physical;
       run(fake, "sparse", 0)->physical = run(fake, "sparse", 1)->physical; run(fake, "sparse", 1)->physical = physical)
CHANGE(moved_place, run(fake, "moved", 0)->physical += 4096; run(fake, "moved", 0)->len -= 4096)
CHANGE(small_byte, fake->places[0].bytes[99] ^= 1)
CHANGE(small_hole, drop_run(fake, run(fake, "small", 0)))
CHANGE(tiny_byte, bytes(fake, "tiny")->bytes[49] ^= 1)
CHANGE(tiny_len, bytes(fake, "tiny")->len--)
CHANGE(kept_byte, bytes(fake, "kept")->bytes[2999] ^= 1)
CHANGE(journal_byte, fake->places[1].bytes[19999] ^= 1)
CHANGE(journal_plain, run(fake, "journal", 0)->is_overlaid = false)
CHANGE(journal_hole, add_run(fake, "sparse", 65536, FAKE_ELSEWHERE, 4096); run(fake, "sparse", 2)->is_overlaid = true)
CHANGE(journal_short, run(fake, "journal", 0)->len -= 4096)
CHANGE(used_gone, fake->used[1] = fake->used[--fake->nr_used])
CHANGE(used_more, fake_add_used(fake, FAKE_ELSEWHERE, 4096))
CHANGE(used_place, fake->used[1].physical += 4096)
CHANGE(image_size, fake->source.info.total_bytes += 4096)
CHANGE(moved_gone, fake->nr_moved = 0)
CHANGE(moved_logical, fake->moved[0].logical += 4096)
CHANGE(moved_more, fake->moved[1] = (struct convert_moved){ fake->used[1].physical, 4096, fake->moved[0].logical };
       fake->nr_moved++)

static const struct change {
	const char *name;
	void (*change)(struct fake *fake);
	const char *text;
} changes[] = {
	{ "mode", change_mode, "/file: mode is 0100751, not 0100750 as in the fake filesystem" },
	{ "type", change_type, "/dir/fifo: mode is 010600, not 0140600 as" },
	{ "set-user-id", change_setuid, "/small: mode is 0100644, not 0104644" },
	{ "owner", change_uid, "/file: owner is 1005, not 1006" },
	{ "group", change_gid, "/dir/sub: group is 1006, not 1007" },
	{ "owner and group swapped", change_uid_gid, "/file: owner is 1005, not 1006" },
	{ "size", change_size, "/file: size is 102400, not 102399" },
	{ "size of a small file", change_size_small, "/small: size is 100, not 99" },
	{ "size of an empty file", change_size_hole, "/hole: size is 0, not 4096" },
	{ "flags", change_flags, "/file: flags is 0x100, not 0x140" },
	{ "no flags", change_flags_gone, "/file: flags is 0x100, not 0x0" },
	{ "no checksums", change_nodatasum, "/file: flags is 0x100, not 0x101" },
	{ "major number", change_major, "/dir/chr: major device number is 5, not 6" },
	{ "minor number", change_minor, "/dir/chr: minor device number is 300, not 301" },
	{ "access time", change_atime, "/file: access time is 1500000001.000000011, not 1500000002.000000011" },
	{ "access time, nanoseconds", change_atime_nsec, "/file: access time is 1500000001.000000011, not 1500000001.000000012" },
	{ "modification time", change_mtime, "/link: modification time is -1500000002.000000012, not 1500000002" },
	{ "modification time of the top", change_mtime_nsec, "/: modification time is" },
	{ "change time", change_ctime, "/dir: change time is" },
	{ "change time, nanoseconds", change_ctime_nsec, "/many/f599: change time is" },
	{ "birth time", change_otime, "/file: birth time is" },
	{ "birth time, nanoseconds", change_otime_nsec, "/dir/fifo: birth time is" },
	{ "times swapped", change_times_swapped, "/file: access time is" },
	{ "inode that the source has not", change_inode_gone, "/many/f300: stands for 0 inodes of the fake filesystem" },
	{ "inode twice", change_inode_twice, "/many/f300: stands for 2 inodes of the fake filesystem" },
	{ "file that was to be left out", change_omitted, "/many: entry \"f7\" is not in the fake filesystem; 2 inodes differ in all" },
	{ "file that is missing", change_inode_more, "/dir/sub: entry \"more\" is missing; 2 inodes differ in all" },
	{ "attribute's value", change_xattr_value, "/file: attribute \"user.one\" has another value" },
	{ "attribute's length", change_xattr_len, "/file: attribute \"user.one\" has another value (5 bytes) than in the fake filesystem (6" },
	{ "attribute's name", change_xattr_name, "/file: attribute \"" },
	{ "attribute that is too many", change_xattr_gone, "/file: attribute \"user.one\" is not in the fake filesystem" },
	{ "attribute that is missing", change_xattr_more, "/file: attribute \"user.x\" is missing" },
	{ "attribute of another", change_xattr_moved, "/file: attribute \"user.one\" is not in the fake filesystem; 2 inodes" },
	{ "link target", change_target, "/link: link target is \"its/target\", not \"hts/target\" as in" },
	{ "link target's length", change_target_len, "/link: link target is \"its/target\", not \"its/targe\" as in" },
	{ "name", change_name, "/dir: entry \"Sub\" is missing" },
	{ "name that is too many", change_name_gone, "/file: link count is 2, but the fake filesystem has 1 names for it; 2 inodes" },
	{ "name that is missing", change_name_more, "/file: link count is 2, but the fake filesystem has 3 names for it; 2 inodes" },
	{ "name of another inode", change_name_child, "entry \"f5\" leads to inode" },
	{ "names swapped", change_names_swapped, "/many: entry \"f5\" leads to inode" },
	{ "name in another directory", change_name_dir, "/dir: entry \"fifo\" is not in the fake filesystem; 2 inodes" },
	{ "place of data", change_run_place, "/file: byte 0 is at " },
	{ "place in the file", change_run_offset, "/sparse: byte 1048576 is at " },
	{ "hole at the end", change_run_short, "where the fake filesystem has a hole" },
	{ "hole behind data", change_run_long, "/sparse: byte 8192 is in a hole, not at " },
	{ "data for a hole", change_run_gone, "/sparse: byte 1048576 is at " },
	{ "hole for data", change_run_more, "/sparse: byte 65536 is in a hole, not at " },
	{ "data swapped", change_runs_swapped, "/sparse: byte 0 is at " },
	{ "place of moved data", change_moved_place, "/moved: byte 0 is at " },
	{ "byte of a small file", change_small_byte, "/small: byte 99 of the contents is 0x" },
	{ "small file that is a hole", change_small_hole, "/small: byte 0 of the contents is 0x" },
	{ "byte of a file in the inode", change_tiny_byte, "/tiny: byte 49 of the contents is 0x" },
	{ "length of a file in the inode", change_tiny_len, "/tiny: contents have 50 bytes, not 49 as in" },
	{ "byte that was stored anew", change_kept_byte, "/kept: has other contents than the source has in its inode" },
	{ "byte of the journal", change_journal_byte, "/journal: byte 19999 is not what the fake filesystem's journal has" },
	{ "journal that was overlooked", change_journal_plain, "/journal: byte 0 is at " },
	{ "hole for what the journal has", change_journal_hole, "/sparse: byte 65536 is in a hole, not at " },
	{ "data behind what the journal has", change_journal_short, "/journal: byte 16384 is at " },
	{ "image: too much", change_used_gone, "saved/image: byte " },
	{ "image: too little", change_used_more, "saved/image: byte 104857600 is in a hole, not at 104857600" },
	{ "image: elsewhere", change_used_place, "saved/image: byte " },
	{ "image: size", change_image_size, "saved/image: size is 134217728, but the fake filesystem has 134221824 bytes" },
	{ "moved without reason", change_moved_gone, "/moved: byte 0 is at " },
	{ "moved elsewhere", change_moved_logical, "/moved: byte 0 is at " },
	{ "moved and not used", change_moved_more, ": byte " },
};

/* --- Tests ------------------------------------------------------------------------------------------------------------------ */

static void test_equal_passes(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= 3; threads += 2) {
		struct btrkit_fs *fs = fake_open(original, false);
		struct btrkit_job *job;
		struct btrkit_job_state now;
		struct diag d = { 0 };

		assert_int_equal(btrkit_job_new(&job), 0);
		if (verify_with(original, fs, (struct verify_input){ .has_csums = true, .do_data = true, .job = job }, threads, &d))
			fail_msg("%s", d.text);
		btrkit_job_read(job, &now);
		assert_string_equal(now.phase, "data"); /* the check's last */
		btrkit_job_free(job);
		btrkit_fs_close(fs);
	}
}

static void test_changes_are_named(void **state)
{
	unsigned nr_failed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct fake *fake = fake_copy();
		struct diag d = { 0 };

		changes[i].change(fake);
		nr_failed += !is_text(verify_simply(fake, &d), &d, changes[i].name, changes[i].text);
		free(fake);
	}
	assert_int_equal(nr_failed, 0);
}

static void count_note(void *arg, enum diag_severity severity, const char *text)
{
	assert_int_equal(severity, DIAG_WARNING);
	assert_non_null(strstr(text, "owner is 1005, not 7"));
	++*(unsigned *)arg;
}

static void test_many_are_counted(void **state)
{
	struct fake *fake = fake_copy();
	unsigned nr_notes = 0;
	struct diag d = { .note = count_note, .note_arg = &nr_notes };

	(void)state;
	for (unsigned i = 0; i < FAKE_NR_MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		inode(fake, name)->uid = 7;
	}
	expect_text(verify_simply(fake, &d), &d, "many", "/many/f0: owner is 1005, not 7");
	expect_text(-EBADMSG, &d, "many", "; 600 inodes differ in all");
	assert_int_equal(nr_notes, 9);
	free(fake);
}

/* A run may end behind the file's end; one that is cut differently is the same. */
static void test_runs_may_be_cut(void **state)
{
	struct fake *fake = fake_copy();
	struct source_run *file = run(fake, "file", 0);
	struct diag d = { 0 };

	(void)state;
	add_run(fake, "file", 8192, file->physical + 8192, file->len - 8192 + 65536);
	run(fake, "file", 0)->len = 8192;
	if (verify_simply(fake, &d))
		fail_msg("%s", d.text);
	free(fake);
}

static void test_left_out(void **state)
{
	struct btrkit_fs *fs = fake_open(original, false);
	struct fake *fake = fake_copy();
	struct diag d = { 0 };

	(void)state;
	expect_text(verify_with(fake, fs, (struct verify_input){ .has_csums = true, .no_xattrs = true }, 1, &d), &d,
		    "attributes that should not be", "/file: attribute \"security.two\" is not in the fake filesystem");
	expect_text(verify_with(fake, fs, (struct verify_input){ .has_csums = true, .saved_name = "other" }, 1, &d), &d,
		    "the saved name", "/: entry \"other\" is missing");
	/* The source has one more, which is left out with all its names. */
	fake->inodes[fake->nr_inodes++] = (struct source_inode){ .ino = 77777, .mode = S_IFREG };
	fake->entries[fake->nr_entries++] = (struct fake_entry){ FAKE_TOP, 77777, "encrypted" };
	fake->omitted_ino = 77777;
	if (verify_with(fake, fs, (struct verify_input){ .has_csums = true }, 1, &d))
		fail_msg("%s", d.text);
	/* Without checksums files have a flag that the source's have not. */
	inode(fake, "file")->inode_flags |= BTRKIT_INODE_NODATASUM;
	if (verify_with(fake, fs, (struct verify_input){ 0 }, 1, &d))
		fail_msg("%s", d.text);
	free(fake);
	btrkit_fs_close(fs);
}

static void test_cancelled(void **state)
{
	struct btrkit_fs *fs = fake_open(original, false);
	struct fake *fake = fake_copy();
	struct btrkit_job *job;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(btrkit_job_new(&job), 0);
	fake->cancel = &job->cancel;
	assert_int_equal(verify_with(fake, fs, (struct verify_input){ .has_csums = true, .job = job }, 1, &d), -ECANCELED);
	btrkit_job_free(job);
	free(fake);
	btrkit_fs_close(fs);
}

/* --- What can be wrong in the new filesystem alone --------------------------------------------------------------------------- */

struct alteration {
	struct btrkit_edit *edit;
	struct btrkit_inode file, image;
};

static int make_writable(struct alteration *a)
{
	return btrkit_edit_set_read_only(a->edit, 256, false, NULL);
}

static int add_subvol(struct alteration *a)
{
	const struct btrkit_node_attr attr = { .mode = S_IFDIR | 0755 };
	uint64_t id;

	return btrkit_edit_subvol_create(a->edit, &BTRKIT_INODE_TOP, "another", 7, &attr, &id, NULL);
}

static int preallocate(struct alteration *a)
{
	return btrkit_edit_preallocate(a->edit, &a->file, MIB, 65536, true, NULL);
}

static int change_default(struct alteration *a)
{
	return btrkit_edit_set_default(a->edit, 256, NULL);
}

static int add_to_saved(struct alteration *a)
{
	const struct btrkit_inode top = { 256, 256 };
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0600 };
	struct btrkit_inode more;

	return btrkit_edit_create(a->edit, &top, "more", 4, &attr, &more, NULL);
}

static int rename_image(struct alteration *a)
{
	const struct btrkit_inode top = { 256, 256 };

	return btrkit_edit_rename(a->edit, &top, "image", 5, &top, "photo", 5, 0, NULL);
}

static int rewrite(struct alteration *a)
{
	return btrkit_edit_write(a->edit, &a->file, 8192, fake_data(1) + 8192, 4096, NULL);
}

static int rewrite_image(struct alteration *a)
{
	return btrkit_edit_write(a->edit, &a->image, FAKE_ELSEWHERE, fake_data(1), 4096, NULL);
}

static int delete_saved(struct alteration *a)
{
	return btrkit_edit_subvol_delete(a->edit, 256, NULL);
}

static const struct {
	const char *name;
	int (*alter)(struct alteration *a);
	const char *text;
} alterations[] = {
	{ "saved subvolume that can be written", make_writable, "saved: the saved subvolume is not read-only" },
	{ "one more subvolume", add_subvol, "the new filesystem has a subvolume 257" },
	{ "space behind the end", preallocate, "/file: has space that is allocated and not written" },
	{ "another default", change_default, "subvolume 256 would be mounted by default" },
	{ "one more file beside the image", add_to_saved, "saved: entry \"more\" is not in the fake filesystem; 2 inodes" },
	{ "no image", rename_image, "saved: there is no file \"image\"" },
	{ "the same data in another place", rewrite, "/file: byte 8192 is at " },
	{ "image that has more", rewrite_image, "saved/image: byte 104857600 is at " },
	{ "nothing saved", delete_saved, "saved: the new filesystem has no subvolume 256" },
};

/* Alter a copy of the filesystem, in a file of its own. */
static void alter(struct fake *fake, int (*fn)(struct alteration *a), const char *name)
{
	struct btrkit_edit_options options;
	struct alteration a = { 0 };
	struct btrkit_error error;
	struct btrkit_fs *fs;
	char command[1200];

	snprintf(fake->path, sizeof(fake->path), "%.200s-altered", original->path);
	snprintf(command, sizeof(command), "cp --sparse=always '%s' '%s'", original->path, fake->path);
	assert_int_equal(system(command), 0);
	fs = fake_open(fake, true);
	btrkit_edit_options_init(&options);
	options.is_forced = true;
	fake_must(btrkit_edit_new(fs, &options, &a.edit, &error), &error, name);
	fake_must(btrkit_lookup(fs, NULL, "file", &a.file, &error), &error, name);
	fake_must(btrkit_lookup(fs, NULL, "saved/image", &a.image, &error), &error, name);
	if (fn(&a) != 0)
		fail_msg("%s: cannot be done", name);
	fake_must(btrkit_edit_commit(a.edit, &error), &error, name);
	btrkit_edit_free(a.edit);
	btrkit_fs_close(fs);
}

/* Times of what was altered follow. */
static void take_times(struct fake *fake)
{
	struct btrkit_fs *fs = fake_open(fake, false);

	for (size_t i = 0; i < fake->nr_inodes; i++) {
		const struct btrkit_inode at = { FS_TREE_OBJECTID, fake->inodes[i].ino - FAKE_INO_BASE };
		struct btrkit_stat stat;

		assert_int_equal(btrkit_stat(fs, &at, &stat, NULL), 0);
		fake->inodes[i].atime = stat.atime;
		fake->inodes[i].mtime = stat.mtime;
		fake->inodes[i].ctime = stat.ctime;
	}
	btrkit_fs_close(fs);
}

static void test_alterations_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(alterations); i++) {
		struct fake *fake = fake_copy();
		struct diag d = { 0 };

		alter(fake, alterations[i].alter, alterations[i].name);
		take_times(fake);
		expect_text(verify_simply(fake, &d), &d, alterations[i].name, alterations[i].text);
		unlink(fake->path);
		free(fake);
	}
}

/* The moved bytes of the device, or the data of a file, are not what the filesystem has. */
static void test_data(void **state)
{
	struct blockdev *dev;
	struct fake *fake = fake_copy();
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	u8 byte = 0;

	(void)state;
	assert_int_equal(blockdev_read(original->dev, FAKE_MOVED_AT + 5000, &byte, 1, NULL), 0);
	byte ^= 1;
	assert_int_equal(blockdev_write(original->dev, FAKE_MOVED_AT + 5000, &byte, 1, NULL), 0);
	expect_text(verify_simply(fake, &d), &d, "moved", "byte 9096 of the device was moved to logical address ");
	byte ^= 1;
	assert_int_equal(blockdev_write(original->dev, FAKE_MOVED_AT + 5000, &byte, 1, NULL), 0);

	assert_int_equal(file_device_open(original->path, FILE_DEVICE_WRITE, 0, 0, &dev, NULL), 0);
	assert_int_equal(blockdev_read(dev, run(fake, "file", 0)->physical + 4096, &byte, 1, NULL), 0);
	byte ^= 1;
	assert_int_equal(blockdev_write(dev, run(fake, "file", 0)->physical + 4096, &byte, 1, NULL), 0);
	fs = fake_open(fake, false);
	if (verify_with(fake, fs, (struct verify_input){ .has_csums = true }, 1, &d))
		fail_msg("%s", d.text);
	expect_text(verify_with(fake, fs, (struct verify_input){ .has_csums = true, .do_data = true }, 1, &d), &d, "data",
		    "the new filesystem is not sound, 1 errors: ");
	btrkit_fs_close(fs);
	byte ^= 1;
	assert_int_equal(blockdev_write(dev, run(fake, "file", 0)->physical + 4096, &byte, 1, NULL), 0);
	blockdev_close(dev);
	free(fake);
}

/* A tree block of the new filesystem that cannot be read is no damage of the source. */
static void test_damage(void **state)
{
	struct btrkit_fs *fs = fake_open(original, false);
	struct physical_part part;
	struct blockdev *dev;
	struct fs_root root;
	struct diag d = { 0 };
	u8 byte;

	(void)state;
	assert_int_equal(fs_subvol_root(fs, FS_TREE_OBJECTID, &root, NULL), 0);
	assert_int_equal(volume_map(fs->volume->chunks, root.tree.root_logical, 4096, 1, &part), 0);
	btrkit_fs_close(fs);
	assert_int_equal(file_device_open(original->path, FILE_DEVICE_WRITE, 0, 0, &dev, NULL), 0);
	assert_int_equal(blockdev_read(dev, part.physical + 2000, &byte, 1, NULL), 0);
	byte ^= 1;
	assert_int_equal(blockdev_write(dev, part.physical + 2000, &byte, 1, NULL), 0);
	expect_text(verify_simply(original, &d), &d, "a damaged block", "the new filesystem: ");
	byte ^= 1;
	assert_int_equal(blockdev_write(dev, part.physical + 2000, &byte, 1, NULL), 0);
	blockdev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_passes),
		cmocka_unit_test(test_changes_are_named),
		cmocka_unit_test(test_many_are_counted),
		cmocka_unit_test(test_runs_may_be_cut),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_alterations_are_named),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
