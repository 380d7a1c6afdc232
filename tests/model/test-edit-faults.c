/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each operation of <btrkit/edit.h> with the power cut at every moment, a disk that fails at every access, and space and
 * memory refused at every allocation: the disk has the state before or the state after, whole; after an error, the one before,
 * and the operation can be done again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "check/check.h"
#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/device/record_device.h"
#include "kernel-shared/txn/txn_state.h"
#include "tests/model/edit_shapes.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/refusing_source.h"

static const struct shape shape = { "faults", 4096, "dup", "single", 1, NULL, NULL, false, 0, NULL };

/* What the operations work on: numbers are known, because everything is made in order. */
struct base {
	struct shaped_fs on;
	struct btrkit_inode dir, small, big, link, sub;
	u64 subvol, snapshot;
	u64 digest;
};
static struct base base;
static u8 bytes[300000];

static const struct btrkit_node_attr file_attr = { .mode = S_IFREG | 0640, .uid = 7 }, dir_attr = { .mode = S_IFDIR | 0750 };

/* --- The operations -------------------------------------------------------------------------------------------------------- */

static int do_create(struct btrkit_edit *edit)
{
	struct btrkit_inode inode;

	return btrkit_edit_create(edit, &base.dir, "new", 3, &file_attr, &inode, NULL);
}

static int do_symlink(struct btrkit_edit *edit)
{
	struct btrkit_inode inode;

	return btrkit_edit_symlink(edit, &base.dir, "symlink", 7, "target", 6, &file_attr, &inode, NULL);
}

static int do_mkdir(struct btrkit_edit *edit)
{
	struct btrkit_inode inode;

	return btrkit_edit_create(edit, &base.dir, "newdir", 6, &dir_attr, &inode, NULL);
}

static int do_link(struct btrkit_edit *edit)
{
	return btrkit_edit_link(edit, &base.big, &base.dir, "link", 4, NULL);
}

static int do_unlink_one(struct btrkit_edit *edit)
{
	return btrkit_edit_unlink(edit, &base.dir, "big2", 4, NULL);
}

static int do_unlink_last(struct btrkit_edit *edit)
{
	return btrkit_edit_unlink(edit, &base.dir, "small", 5, NULL);
}

static int do_rmdir(struct btrkit_edit *edit)
{
	return btrkit_edit_rmdir(edit, &base.dir, "empty", 5, NULL);
}

static int do_rename(struct btrkit_edit *edit)
{
	return btrkit_edit_rename(edit, &base.dir, "small", 5, &BTRKIT_INODE_TOP, "moved", 5, 0, NULL);
}

static int do_replace(struct btrkit_edit *edit)
{
	return btrkit_edit_rename(edit, &base.dir, "small", 5, &base.dir, "big", 3, 0, NULL);
}

static int do_exchange(struct btrkit_edit *edit)
{
	return btrkit_edit_rename(edit, &base.dir, "empty", 5, &BTRKIT_INODE_TOP, "sv", 2, BTRKIT_RENAME_EXCHANGE, NULL);
}

static int do_set_attr(struct btrkit_edit *edit)
{
	return btrkit_edit_set_attr(edit, &base.big, BTRKIT_SET_MODE | BTRKIT_SET_UID, &dir_attr, NULL);
}

static int do_set_xattr(struct btrkit_edit *edit)
{
	return btrkit_edit_set_xattr(edit, &base.big, "user.x", bytes, 2000, NULL);
}

static int do_remove_xattr(struct btrkit_edit *edit)
{
	return btrkit_edit_remove_xattr(edit, &base.big, "user.there", NULL);
}

static int do_write_inline(struct btrkit_edit *edit)
{
	return btrkit_edit_write(edit, &base.small, 50, bytes, 500, NULL);
}

static int do_write_over(struct btrkit_edit *edit)
{
	return btrkit_edit_write(edit, &base.big, 5000, bytes, 100000, NULL);
}

static int do_write_out(struct btrkit_edit *edit)
{
	return btrkit_edit_write(edit, &base.small, 20000, bytes, 5000, NULL);
}

static int do_cut(struct btrkit_edit *edit)
{
	return btrkit_edit_truncate(edit, &base.big, 10001, NULL);
}

static int do_punch(struct btrkit_edit *edit)
{
	return btrkit_edit_punch_hole(edit, &base.big, 10001, 50000, NULL);
}

static int do_preallocate(struct btrkit_edit *edit)
{
	return btrkit_edit_preallocate(edit, &base.small, 0, 100000, false, NULL);
}

static int do_clone(struct btrkit_edit *edit)
{
	return btrkit_edit_clone(edit, &base.big, 0, 0, &base.small, 4096, NULL);
}

static int do_subvol_create(struct btrkit_edit *edit)
{
	u64 id;

	return btrkit_edit_subvol_create(edit, &base.dir, "newsv", 5, &dir_attr, &id, NULL);
}

static int do_snapshot(struct btrkit_edit *edit)
{
	u64 id;

	return btrkit_edit_snapshot(edit, BTRKIT_TOP_SUBVOL, &base.dir, "snap", 4, true, &id, NULL);
}

static int do_subvol_delete(struct btrkit_edit *edit)
{
	return btrkit_edit_subvol_delete(edit, base.snapshot, NULL);
}

static int do_set_default(struct btrkit_edit *edit)
{
	return btrkit_edit_set_default(edit, base.subvol, NULL);
}

static int do_set_read_only(struct btrkit_edit *edit)
{
	return btrkit_edit_set_read_only(edit, base.subvol, true, NULL);
}

static int do_set_label(struct btrkit_edit *edit)
{
	return btrkit_edit_set_label(edit, "another label", NULL);
}

static const struct operation {
	const char *name;
	int (*run)(struct btrkit_edit *edit);
} operations[] = {
	{ "create", do_create },
	{ "symlink", do_symlink },
	{ "mkdir", do_mkdir },
	{ "link", do_link },
	{ "unlink one name", do_unlink_one },
	{ "unlink the last name", do_unlink_last },
	{ "rmdir", do_rmdir },
	{ "rename", do_rename },
	{ "rename over a file", do_replace },
	{ "exchange", do_exchange },
	{ "attributes", do_set_attr },
	{ "set xattr", do_set_xattr },
	{ "remove xattr", do_remove_xattr },
	{ "write inline", do_write_inline },
	{ "write over extents", do_write_over },
	{ "write behind the end", do_write_out },
	{ "truncate", do_cut },
	{ "punch a hole", do_punch },
	{ "preallocate", do_preallocate },
	{ "clone", do_clone },
	{ "create subvolume", do_subvol_create },
	{ "snapshot", do_snapshot },
	{ "delete subvolume", do_subvol_delete },
	{ "set default", do_set_default },
	{ "set read-only", do_set_read_only },
	{ "label", do_set_label },
};

/* --- The base ---------------------------------------------------------------------------------------------------------------- */

static void must(int err)
{
	assert_int_equal(err, 0);
}

static void make_base(void)
{
	struct btrkit_edit *edit;
	struct btrkit_inode inode;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)(i * 2654435761U >> 24);
	shaped_fs_make(&base.on, &shape, NULL);
	edit = base.on.edit;
	must(btrkit_edit_create(edit, &BTRKIT_INODE_TOP, "d", 1, &dir_attr, &base.dir, NULL));
	must(btrkit_edit_create(edit, &base.dir, "small", 5, &file_attr, &base.small, NULL));
	must(btrkit_edit_write(edit, &base.small, 0, bytes, 100, NULL));
	must(btrkit_edit_create(edit, &base.dir, "big", 3, &file_attr, &base.big, NULL));
	must(btrkit_edit_write(edit, &base.big, 0, bytes, sizeof(bytes), NULL));
	must(btrkit_edit_link(edit, &base.big, &base.dir, "big2", 4, NULL));
	must(btrkit_edit_set_xattr(edit, &base.big, "user.there", "value", 5, NULL));
	must(btrkit_edit_create(edit, &base.dir, "empty", 5, &dir_attr, &base.sub, NULL));
	must(btrkit_edit_subvol_create(edit, &BTRKIT_INODE_TOP, "sv", 2, &dir_attr, &base.subvol, NULL));
	/* Enough names for a tree of two levels. */
	for (unsigned i = 0; i < 60; i++) {
		char name[24];

		snprintf(name, sizeof(name), "one-of-many-files-%u", i);
		must(btrkit_edit_create(edit, &base.dir, name, strlen(name), &file_attr, &inode, NULL));
	}
	must(btrkit_edit_commit(edit, NULL));
	must(btrkit_edit_snapshot(edit, BTRKIT_TOP_SUBVOL, &BTRKIT_INODE_TOP, "sn", 2, false, &base.snapshot, NULL));
	must(btrkit_edit_commit(edit, NULL));
	/* What the snapshot has for itself, and what is shared. */
	inode = (struct btrkit_inode){ base.snapshot, base.big.ino };
	must(btrkit_edit_write(edit, &inode, 0, "other", 5, NULL));
	must(btrkit_edit_commit(edit, NULL));
	shaped_fs_close(&base.on);
}

/* --- Layers -------------------------------------------------------------------------------------------------------------------- */

static struct blockdev *open_layers(struct record_log *log)
{
	struct blockdev *below, *dev;

	must(file_device_open(base.on.paths[0], 0, 0, 0, &below, NULL));
	must(overlay_device_new(below, &dev));
	if (log)
		must(record_device_new(dev, log, 0, &dev));
	return dev;
}

/* The filesystem on @dev, which is taken over. */
static struct btrkit_fs *open_fs(struct blockdev *dev, bool is_writable)
{
	const struct fs_options options = { .is_writable = is_writable };
	struct super_choice choice;
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	struct device device = { .devid = 1, .dev = dev };

	must(super_read(dev, -1, &choice, NULL));
	device.total_bytes = le64_get(choice.super.dev_item.total_bytes);
	device.super_generation = le64_get(choice.super.generation);
	memcpy(device.uuid, choice.super.dev_item.uuid, UUID_SIZE);
	memcpy(device.fsid, choice.super.fsid, UUID_SIZE);
	must(device_set_new(&set));
	must(device_set_add(set, &device, NULL));
	set->super = choice.super;
	set->super_mirror = choice.mirror;
	if (fs_open_devices(set, &options, &fs, &d) != 0)
		fail_msg("%s", d.text);
	return fs;
}

static struct btrkit_edit *begin(struct record_log *log)
{
	struct btrkit_edit_options options;
	struct btrkit_edit *edit;

	btrkit_edit_options_init(&options);
	options.has_now = true;
	options.now = (struct btrkit_time){ 1700000000, 123 };
	must(btrkit_edit_new(open_fs(open_layers(log), true), &options, &edit, NULL));
	return edit;
}

/* --- What is there ------------------------------------------------------------------------------------------------------------- */

struct digest {
	struct btrkit_fs *fs;
	u64 sum;
};

static void add(struct digest *digest, const void *data, size_t len)
{
	const u8 *at = data;

	for (size_t i = 0; i < len; i++)
		digest->sum = (digest->sum ^ at[i]) * 0x100000001b3ULL;
}

static void add_number(struct digest *digest, u64 number)
{
	add(digest, &number, sizeof(number));
}

static int add_xattr(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	add(arg, name, name_len);
	add(arg, value, value_len);
	return 0;
}

static void add_data(struct digest *digest, const struct btrkit_inode *inode)
{
	static u8 buf[65536];
	struct btrkit_file *file;
	size_t len = sizeof(buf);

	must(btrkit_file_open(digest->fs, inode, &file, NULL));
	for (u64 at = 0; len == sizeof(buf); at += len) {
		must(btrkit_file_read(file, at, buf, sizeof(buf), &len, NULL));
		add(digest, buf, len);
	}
	btrkit_file_close(file);
}

static void add_inode(struct digest *digest, const struct btrkit_inode *inode)
{
	struct btrkit_dir_entry entry;
	struct btrkit_stat stat;
	struct btrkit_dir *dir;

	add_number(digest, inode->ino);
	if (inode->ino == BTRKIT_EMPTY_DIR)
		return;
	must(btrkit_stat(digest->fs, inode, &stat, NULL));
	add_number(digest, stat.mode);
	add_number(digest, stat.nlink);
	add_number(digest, stat.uid);
	add_number(digest, stat.size);
	add_number(digest, stat.allocated_bytes);
	add_number(digest, (u64)stat.mtime.sec);
	add_number(digest, (u64)stat.ctime.sec);
	must(btrkit_xattr_for_each(digest->fs, inode, add_xattr, digest, NULL));
	if (S_ISREG(stat.mode) || S_ISLNK(stat.mode))
		add_data(digest, inode);
	if (!S_ISDIR(stat.mode))
		return;
	must(btrkit_dir_open(digest->fs, inode, &dir, NULL));
	while (btrkit_dir_next(dir, &entry, NULL) == 0) {
		const struct btrkit_inode inner = entry.inode;

		add(digest, entry.name, entry.name_len);
		add_inode(digest, &inner);
	}
	btrkit_dir_close(dir);
}

static int add_subvol(void *arg, const struct btrkit_subvol *subvol)
{
	add_number(arg, subvol->id);
	add_number(arg, subvol->is_read_only);
	add_number(arg, subvol->is_default);
	return 0;
}

static u64 digest_of(struct btrkit_fs *fs)
{
	struct digest digest = { fs, 0xcbf29ce484222325ULL };
	struct btrkit_fs_info info;

	btrkit_fs_get_info(fs, &info, sizeof(info));
	add(&digest, info.label, strlen(info.label));
	must(btrkit_subvol_for_each(fs, add_subvol, &digest, NULL));
	add_inode(&digest, &BTRKIT_INODE_TOP);
	return digest.sum;
}

static int tell(void *arg, const struct btrkit_problem *problem)
{
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s: %s\n", (const char *)arg, problem->kind->code, problem->text);
	return 0;
}

/* 'b'efore or 'a'fter, and sound. */
static char judge(const struct operation *operation, u64 after, struct btrkit_fs *fs)
{
	struct btrkit_check_result result = { 0 };
	struct btrkit_check_options options;
	struct diag d = { 0 };
	u64 digest = digest_of(fs);

	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	if (check_run(fs, &options, tell, (void *)operation->name, &result, &d) != 0) /* takes it over */
		fail_msg("%s: %s", operation->name, d.text);
	if (result.nr_problems[BTRKIT_PROBLEM_ERROR] || result.nr_problems[BTRKIT_PROBLEM_FATAL])
		fail_msg("%s: the check found problems", operation->name);
	if (digest != base.digest && digest != after)
		fail_msg("%s: neither the state before nor the state after", operation->name);
	return digest == base.digest ? 'b' : 'a';
}

static char look(const struct operation *operation, u64 after, const struct record_log *log, size_t nr_records,
		 bool (*choose)(void *, size_t), void *ctx)
{
	struct blockdev *dev = open_layers(NULL);

	must(record_log_replay(log, nr_records, &dev, choose, ctx, NULL));
	return judge(operation, after, open_fs(dev, false));
}

static bool choose_none(void *ctx, size_t record)
{
	(void)ctx;
	(void)record;
	return false;
}

static bool choose_some(void *ctx, size_t record)
{
	u32 n = (u32)record * 2654435761U + *(u32 *)ctx * 40503U;

	return (n ^ n >> 13) >> 7 & 1;
}

static size_t first_super(const struct record_log *log)
{
	for (size_t i = 0; i < log->records.len; i++)
		if (log->records.items[i].kind == RECORD_WRITE && log->records.items[i].offset == super_mirror_physical(0))
			return i;
	return log->records.len;
}

static void end(struct btrkit_edit *edit)
{
	struct btrkit_fs *fs = edit->fs;

	btrkit_edit_free(edit);
	btrkit_fs_close(fs);
}

static int run(const struct operation *operation, struct btrkit_edit *edit)
{
	int err = operation->run(edit);

	return err ? err : btrkit_edit_commit(edit, NULL);
}

/* What comes of it when nothing goes wrong. *ret_log: what was written. */
static u64 learn_after(const struct operation *operation, struct record_log *log)
{
	struct btrkit_edit *edit = begin(log);
	u64 digest;

	if (run(operation, edit) != 0)
		fail_msg("%s fails", operation->name);
	digest = digest_of(edit->fs);
	end(edit);
	if (digest == base.digest)
		fail_msg("%s changes nothing", operation->name);
	return digest;
}

/* --- The tests ------------------------------------------------------------------------------------------------------------------ */

static void test_power_cuts(void **state)
{
	u32 nr_seeds = getenv("BTRKIT_LONG") ? 20 : 1;
	unsigned nr_cuts = 0;

	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(operations); o++) {
		struct record_log log = { 0 };
		size_t super;
		u64 after;

		record_log_init(&log);
		after = learn_after(&operations[o], &log);
		super = first_super(&log);
		assert_in_range(super, 2, log.records.len - 1);
		assert_int_equal(log.records.items[super - 1].kind, RECORD_FLUSH);
		for (size_t n = 0; n <= log.records.len; n++) {
			assert_int_equal(look(&operations[o], after, &log, n, NULL, NULL), n > super ? 'a' : 'b');
			for (u32 seed = 0; seed < nr_seeds; seed++)
				(void)look(&operations[o], after, &log, n, choose_some, &seed);
			nr_cuts += 1 + nr_seeds;
		}
		assert_int_equal(look(&operations[o], after, &log, super + 1, choose_none, NULL), 'b');
		assert_int_equal(look(&operations[o], after, &log, log.records.len, choose_none, NULL), 'a');
		record_log_done(&log);
	}
	print_message("%u power cuts during %zu operations: the state before or after, whole\n", nr_cuts, ARRAY_LEN(operations));
}

static void test_failing_disk(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(operations); o++) {
		struct record_log log = { 0 };
		struct btrkit_edit *edit;
		u64 nr_operations, after, step;

		record_log_init(&log);
		after = learn_after(&operations[o], &log);
		nr_operations = log.nr_operations;
		record_log_done(&log);
		step = getenv("BTRKIT_LONG") ? 1 : 4;
		for (u64 more = 1; more <= nr_operations; more += step) {
			size_t super;
			int err;

			log = (struct record_log){ 0 };
			record_log_init(&log);
			edit = begin(&log);
			log.fail_at = log.nr_operations + more;
			err = run(&operations[o], edit);
			end(edit);
			super = first_super(&log);
			if (err) {
				assert_true(err == -EIO || err == -EUCLEAN);
				if (look(&operations[o], after, &log, log.records.len, NULL, NULL) == 'a')
					assert_true(super < log.records.len);
				nr++;
			}
			record_log_done(&log);
			if (!err)
				break;
		}
	}
	print_message("%u failures of a disk: told of, and the state before is there\n", nr);
}

/* The request for space for data that fails. */
static u64 refuse_data_at;

/* By the linker, in place of txn_alloc_data(). */
int __real_txn_alloc_data(struct txn *txn, u64 want_bytes, u64 min_bytes, u64 *ret_logical, u64 *ret_len, struct diag *d);
int __wrap_txn_alloc_data(struct txn *txn, u64 want_bytes, u64 min_bytes, u64 *ret_logical, u64 *ret_len, struct diag *d);
int __wrap_txn_alloc_data(struct txn *txn, u64 want_bytes, u64 min_bytes, u64 *ret_logical, u64 *ret_len, struct diag *d)
{
	/* Who asks for less then is refused, too. */
	if (refuse_data_at == 1 || (refuse_data_at && --refuse_data_at == 1))
		return diag_fail(d, -ENOSPC, "no space, as wanted");
	return __real_txn_alloc_data(txn, want_bytes, min_bytes, ret_logical, ret_len, d);
}

/* Nothing but data was written; the same can be done now, with the right result. */
static void again(const struct operation *operation, u64 after, struct btrkit_edit *edit, struct record_log *log)
{
	assert_int_equal(first_super(log), log->records.len);
	assert_int_equal(look(operation, after, log, log->records.len, NULL, NULL), 'b');
	if (run(operation, edit) != 0)
		fail_msg("%s: cannot be done after a failure", operation->name);
	assert_int_equal(look(operation, after, log, log->records.len, NULL, NULL), 'a');
}

static void test_no_space(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(operations); o++) {
		u64 after = learn_after(&operations[o], NULL);
		bool is_over = false;

		for (u64 at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 6) {
			struct record_log log = { 0 };
			struct btrkit_edit *edit;
			int err;

			record_log_init(&log);
			edit = begin(&log);
			edit->fs->txn->source.ops = &refusing_ops;
			refuse_at = at;
			err = run(&operations[o], edit);
			is_over = refuse_at != 0;
			refuse_at = 0;
			assert_int_equal(err, is_over ? 0 : -ENOSPC);
			if (!is_over) {
				/* It is told again and again, until the user has understood. */
				assert_int_equal(operations[o].run(edit), -ESHUTDOWN);
				assert_int_equal(btrkit_edit_commit(edit, NULL), -ESHUTDOWN);
				assert_int_equal(digest_of(edit->fs), base.digest);
				btrkit_edit_abort(edit);
				again(&operations[o], after, edit, &log);
				nr++;
			}
			end(edit);
			record_log_done(&log);
		}
	}
	print_message("%u allocations refused: nothing written, done again\n", nr);
}

/* Without space for data nothing has been changed, and one may go on. */
static void test_no_space_for_data(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(operations); o++) {
		u64 after = learn_after(&operations[o], NULL);
		bool is_over = false;

		for (u64 at = 1; !is_over; at++) {
			struct record_log log = { 0 };
			struct btrkit_edit *edit;
			int err;

			record_log_init(&log);
			edit = begin(&log);
			refuse_data_at = at + 1;
			err = operations[o].run(edit);
			is_over = refuse_data_at > 1;
			refuse_data_at = 0;
			assert_int_equal(err, is_over ? 0 : -ENOSPC);
			if (!is_over) {
				again(&operations[o], after, edit, &log);
				nr++;
			}
			end(edit);
			record_log_done(&log);
		}
	}
	assert_true(nr > 3);
	print_message("%u allocations for data refused: nothing written, done again\n", nr);
}

static void test_no_memory(void **state)
{
	unsigned nr = 0, nr_lost = 0;

	(void)state;
	if (!can_fail_malloc) {
		print_message("[  SKIPPED ] the allocator of this build cannot be made to fail\n");
		skip();
	}
	for (size_t o = 0; o < ARRAY_LEN(operations); o++) {
		u64 after = learn_after(&operations[o], NULL);
		bool is_over = false;

		for (unsigned long at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 4) {
			struct record_log log = { 0 };
			struct btrkit_edit *edit;
			int err;

			record_log_init(&log);
			edit = begin(&log);
			fail_malloc_at = at;
			err = run(&operations[o], edit);
			is_over = fail_malloc_at != 0;
			fail_malloc_at = 0;
			if (err) {
				assert_true(err == -ENOMEM || err == -EIO);
				btrkit_edit_abort(edit);
				/* The recorder may have refused a flush, or the first superblock. */
				if (edit->fs->txn->is_lost)
					assert_int_equal(run(&operations[o], edit), -ESHUTDOWN);
				else
					again(&operations[o], after, edit, &log);
				nr_lost += edit->fs->txn->is_lost;
				nr++;
			}
			end(edit);
			record_log_done(&log);
		}
	}
	assert_true(nr_lost < nr / 2);
	print_message("%u allocations of memory refused: nothing written, done again\n", nr);
}

static int set_up(void **state)
{
	struct btrkit_fs *fs;

	(void)state;
	make_base();
	fs = open_fs(open_layers(NULL), false);
	base.digest = digest_of(fs);
	btrkit_fs_close(fs);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(base.on.paths[0]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cuts),
		cmocka_unit_test(test_failing_disk),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_no_space_for_data),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
