/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs put together by hand: what their replay would do, what of them is lost, and what their files hold. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <btrkit/log.h>

#include "tests/unit/hand_log.h"
#include "tests/unit/made_fs.h"

#define TOP FIRST_FREE_OBJECTID
#define NEW_INO ((u64)1 << 20)
#define OLD_BYTES 20000

struct crashed {
	struct made_fs made;
	struct hand_log hand;
	struct btrkit_log *log;
	char text[65536]; /* the steps, and the losses */
	u64 dir, file, other, inner; /* inodes of /dir, /file, /other, /dir/inner */
};

/* --- Making ------------------------------------------------------------------------------------------------------ */

static btrkit_node add(struct btrkit_content *content, btrkit_node dir, const char *name, u32 mode)
{
	const struct btrkit_node_attr attr = { .mode = mode };
	btrkit_node node;

	assert_int_equal(btrkit_content_add(content, dir, name, strlen(name), &attr, &node, NULL), 0);
	return node;
}

/* /dir/inner, /file of 20000 bytes with two attributes, /other, and a subvolume /sub with a file. */
static struct btrkit_content *make_content(void)
{
	static u8 bytes[OLD_BYTES];
	struct btrkit_content *content;
	btrkit_node dir, file, sub;

	memset(bytes, 'o', sizeof(bytes));
	assert_int_equal(btrkit_content_new(&content), 0);
	dir = add(content, BTRKIT_TOP_NODE, "dir", S_IFDIR | 0755);
	file = add(content, BTRKIT_TOP_NODE, "file", S_IFREG | 0644);
	assert_int_equal(btrkit_content_set_data(content, file, bytes, sizeof(bytes), 0, NULL), 0);
	assert_int_equal(btrkit_content_set_xattr(content, file, "user.kept", "k", 1, NULL), 0);
	assert_int_equal(btrkit_content_set_xattr(content, file, "user.gone", "g", 1, NULL), 0);
	add(content, BTRKIT_TOP_NODE, "other", S_IFREG | 0644);
	add(content, dir, "inner", S_IFREG | 0644);
	sub = add(content, BTRKIT_TOP_NODE, "sub", S_IFDIR | 0755);
	assert_int_equal(btrkit_content_set_subvol(content, sub, 0, NULL), 0);
	add(content, sub, "file", S_IFREG | 0644);
	return content;
}

static void open_image(struct crashed *c)
{
	const char *paths[] = { c->made.path };
	struct btrkit_open_options options;

	btrkit_fs_close(c->made.fs);
	c->made.fs = NULL;
	btrkit_open_options_init(&options);
	options.no_device_scan = options.knows_log = true;
	if (btrkit_fs_open(paths, 1, &options, &c->made.fs, &c->made.error) != 0)
		fail_msg("%s", c->made.error.text);
}

static void write_image(void *ctx, u64 devid, u64 physical, const void *bytes, size_t len)
{
	struct crashed *c = ctx;
	int fd = open(c->made.path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(devid, 1);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)physical), len);
	close(fd);
}

static int setup(void **state)
{
	struct crashed *c = calloc(1, sizeof(*c));
	struct btrkit_mkfs_device device = { .path = c->made.path, .size_bytes = 160 * MIB };
	struct btrkit_mkfs_options options;
	struct btrkit_content *content = make_content();
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(c->made.path, sizeof(c->made.path), "%s/btrkit-unit-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(c->made.path);
	assert_true(fd >= 0);
	close(fd);
	made_fs_options(&options);
	options.is_shrink = false;
	options.devices = &device;
	options.nr_devices = 1;
	if (btrkit_mkfs(&options, content, NULL, &c->made.error) != 0)
		fail_msg("%s", c->made.error.text);
	btrkit_content_free(content);
	open_image(c);
	assert_true(hand_log_init(&c->hand, c->made.fs, write_image, c));
	c->dir = made_fs_stat(&c->made, "dir").inode.ino;
	c->file = made_fs_stat(&c->made, "file").inode.ino;
	c->other = made_fs_stat(&c->made, "other").inode.ino;
	c->inner = made_fs_stat(&c->made, "dir/inner").inode.ino;
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct crashed *c = *state;

	btrkit_log_close(c->log);
	hand_log_done(&c->hand);
	made_fs_done(&c->made);
	free(c);
	return 0;
}

/* The index of an entry of the top directory. */
static u64 index_of(struct crashed *c, const char *name)
{
	struct btrkit_dir_entry entry;
	struct btrkit_dir *dir;
	u64 index = 0;

	assert_int_equal(btrkit_dir_open(c->made.fs, &BTRKIT_INODE_TOP, &dir, NULL), 0);
	while (btrkit_dir_next(dir, &entry, NULL) == 0)
		if (strcmp(entry.name, name) == 0)
			index = entry.index;
	btrkit_dir_close(dir);
	assert_true(index != 0);
	return index;
}

/* --- Planning ----------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say(struct crashed *c, const char *format, ...)
{
	size_t len = strlen(c->text);
	va_list args;

	va_start(args, format);
	vsnprintf(c->text + len, sizeof(c->text) - len, format, args);
	va_end(args);
}

static int say_step(void *arg, const struct btrkit_log_step *step)
{
	struct crashed *c = arg;

	say(c, "%s %llu", step->action_name, (unsigned long long)step->inode.ino);
	if (step->name)
		say(c, " %s", step->name);
	if (step->action == BTRKIT_LOG_DROP || step->action == BTRKIT_LOG_EXTENT)
		say(c, " %llu+%lld", (unsigned long long)step->offset, (long long)step->len);
	if (step->action == BTRKIT_LOG_SET_LINKS)
		say(c, " %u", step->nlink);
	say(c, "\n");
	return 0;
}

static int say_loss(void *arg, const struct btrkit_log_loss *loss)
{
	say(arg, "lost %s\n", loss->kind_name);
	return 0;
}

static void plan(struct crashed *c)
{
	struct btrkit_error error;

	open_image(c);
	if (btrkit_log_open(c->made.fs, &c->log, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(btrkit_log_step_for_each(c->log, say_step, c), 0);
	assert_int_equal(btrkit_log_loss_for_each(c->log, say_loss, c), 0);
}

/* What the items so far, as the log of the top subvolume, would do: steps and losses, one a line. */
__attribute__((format(printf, 2, 3))) static void expect_steps(struct crashed *c, const char *format, ...)
{
	char expected[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(expected, sizeof(expected), format, args);
	va_end(args);
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	hand_log_finish(&c->hand);
	plan(c);
	assert_string_equal(c->text, expected);
}

#define N(n) ((unsigned long long)(n))

/* --- Names ---------------------------------------------------------------------------------------------------------- */

static void no_log(void **state)
{
	struct crashed *c = *state;

	assert_int_equal(btrkit_log_open(c->made.fs, &c->log, NULL), -ENOENT);
}

static void new_files_get_their_names(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, NEW_INO, S_IFREG | 0600, 5, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO, c->dir, 77, "new");
	hand_log_inline(&c->hand, NEW_INO, "hello");
	expect_steps(c, "create %llu\nlink %llu new\nextent %llu 0+5\n", N(NEW_INO), N(NEW_INO), N(NEW_INO));
}

static void ranges_decide_what_has_gone(void **state)
{
	struct crashed *c = *state;
	u64 at = index_of(c, "other");

	/* In the second range, the log has the entry. */
	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_range(&c->hand, TOP, at, at);
	hand_log_range(&c->hand, TOP, index_of(c, "file"), index_of(c, "file"));
	hand_log_entry(&c->hand, TOP, index_of(c, "file"), "file", c->file, FT_REG_FILE);
	expect_steps(c, "unlink %llu other\nset-links %llu 0\norphan %llu\n", N(c->other), N(c->other), N(c->other));
}

static void without_ranges_nothing_goes(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	expect_steps(c, "%s", "");
}

static void a_removed_directory_takes_all_with_it(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_range(&c->hand, TOP, index_of(c, "dir"), index_of(c, "dir"));
	expect_steps(c, "unlink %llu dir\nset-links %llu 0\nunlink %llu inner\norphan %llu\nset-links %llu 0\norphan %llu\n",
		     N(c->dir), N(c->dir), N(c->inner), N(c->dir), N(c->inner), N(c->inner));
}

static void subvolumes_are_never_unlinked(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_range(&c->hand, TOP, index_of(c, "sub"), index_of(c, "sub"));
	expect_steps(c, "lost item\n");
}

static void log_sub(struct crashed *c, u64 index)
{
	const struct key location = { made_fs_stat(&c->made, "sub").inode.subvol, ROOT_ITEM_KEY, UINT64_MAX };

	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_range(&c->hand, TOP, index_of(c, "sub"), index_of(c, "sub"));
	hand_log_dir_item(&c->hand, (struct key){ TOP, DIR_INDEX_KEY, index }, &location, FT_DIR, "sub", NULL, 0);
}

static void subvolumes_that_are_logged_stay(void **state)
{
	struct crashed *c = *state;

	log_sub(c, index_of(c, "sub"));
	expect_steps(c, "%s", "");
}

static void subvolumes_are_never_moved(void **state)
{
	struct crashed *c = *state;

	log_sub(c, 1 << 20);
	expect_steps(c, "lost item\nlost item\n");
}

static void what_is_in_the_way_goes(void **state)
{
	struct crashed *c = *state;
	u64 at = index_of(c, "other");

	/* Under the name of "file", at the index of "other". */
	hand_log_inode(&c->hand, NEW_INO, S_IFREG | 0600, 0, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO, TOP, at, "file");
	expect_steps(c,
		     "create %llu\nunlink %llu other\nunlink %llu file\nlink %llu file\n"
		     "set-links %llu 0\norphan %llu\nset-links %llu 0\norphan %llu\n",
		     N(NEW_INO), N(c->other), N(c->file), N(NEW_INO), N(MAX(c->other, c->file)), N(MAX(c->other, c->file)),
		     N(MIN(c->other, c->file)), N(MIN(c->other, c->file)));
}

static void names_that_a_reference_lacks_go(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, c->file, S_IFREG | 0644, 0, 2, 0);
	hand_log_xattr(&c->hand, c->file, "user.kept", "k");
	hand_log_xattr(&c->hand, c->file, "user.gone", "g");
	hand_log_ref(&c->hand, c->file, TOP, 100, "renamed");
	hand_log_extref(&c->hand, c->file, c->dir, 101, "linked");
	expect_steps(c, "unlink %llu file\nlink %llu renamed\nlink %llu linked\nset-links %llu 2\n", N(c->file), N(c->file),
		     N(c->file), N(c->file));
}

static void a_directory_has_one_name(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, NEW_INO, S_IFDIR | 0755, 0, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO, TOP, 100, "above");
	hand_log_inode(&c->hand, c->dir, S_IFDIR | 0755, 0, 1, 0);
	hand_log_ref(&c->hand, c->dir, NEW_INO, 2, "moved");
	/* In the order of keys, it is moved before the new one has a name. */
	expect_steps(c, "create %llu\nunlink %llu dir\nlink %llu moved\nlink %llu above\n", N(NEW_INO), N(c->dir), N(c->dir),
		     N(NEW_INO));
}

static int path_of_inner(void *arg, const struct btrkit_log_inode *inode)
{
	char *path = arg;

	if (inode->path_after)
		snprintf(path, 64, "%s", inode->path_after);
	return 0;
}

static void paths_are_those_after(void **state)
{
	struct crashed *c = *state;
	char path[64] = "";

	hand_log_inode(&c->hand, c->dir, S_IFDIR | 0755, 0, 1, 0);
	hand_log_ref(&c->hand, c->dir, TOP, 100, "renamed");
	hand_log_inode(&c->hand, c->inner, S_IFREG | 0600, 0, 1, 1);
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	hand_log_finish(&c->hand);
	plan(c);
	assert_int_equal(btrkit_log_inode_for_each(c->log, path_of_inner, path, NULL), 0);
	assert_string_equal(path, "/renamed/inner");
}

static int expect_no_path(void *arg, const struct btrkit_log_inode *inode)
{
	unsigned *nr = arg;

	*nr += inode->inode.ino >= NEW_INO && !inode->path_after;
	return 0;
}

static void directories_within_each_other_end(void **state)
{
	struct crashed *c = *state;
	unsigned nr = 0;

	for (u64 i = 0; i < 2; i++) {
		hand_log_inode(&c->hand, NEW_INO + i, S_IFDIR | 0755, 0, 1, c->hand.generation);
		hand_log_ref(&c->hand, NEW_INO + i, NEW_INO + 1 - i, 2, "ring");
	}
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	hand_log_finish(&c->hand);
	plan(c);
	assert_int_equal(btrkit_log_inode_for_each(c->log, expect_no_path, &nr, NULL), 0);
	assert_int_equal(nr, 2);
}

/* --- Inodes, attributes, contents ------------------------------------------------------------------------------------- */

static void inodes_without_links_are_left_alone(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, c->file, S_IFREG | 0600, 5, 0, 1);
	hand_log_inline(&c->hand, c->file, "hello");
	hand_log_inode(&c->hand, NEW_INO, S_IFREG | 0600, 5, 0, c->hand.generation);
	hand_log_inline(&c->hand, NEW_INO, "hello");
	expect_steps(c, "%s", "");
}

static void attributes_of_a_logged_inode_are_complete(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, c->file, S_IFREG | 0644, 0, 1, 0);
	hand_log_xattr(&c->hand, c->file, "user.kept", "k");
	hand_log_xattr(&c->hand, c->file, "user.new", "n");
	expect_steps(c, "delete-xattr %llu user.gone\nset-xattr %llu user.new\n", N(c->file), N(c->file));
}

static void a_size_of_0_is_not_known(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, c->inner, S_IFREG | 0600, 0, 1, 0);
	hand_log_inode(&c->hand, c->other, S_IFREG | 0600, 8192, 1, 0);
	expect_steps(c, "set %llu\n", N(c->other));
}

static void expect_contents(struct crashed *c, u64 ino, bool is_log_only, const char *expected)
{
	const struct btrkit_inode inode = { FS_TREE_OBJECTID, ino };
	struct btrkit_error error;
	struct btrkit_file *file;
	char seen[32] = "";
	size_t got;
	u8 byte;

	if (btrkit_log_file_open(c->log, &inode, is_log_only, &file, &error) != 0)
		fail_msg("%s", error.text);
	/* One byte of each sector; backwards, so that what was read before cannot lead astray. */
	for (u64 sector = (btrkit_file_size(file) + 4095) / 4096; sector-- > 0;) {
		if (btrkit_file_read(file, sector * 4096, &byte, 1, &got, &error) != 0)
			byte = '!';
		seen[sector] = byte ? (char)byte : '.';
	}
	btrkit_file_close(file);
	assert_string_equal(seen, expected);
}

static void log_file_sectors(struct crashed *c, u64 size)
{
	hand_log_inode(&c->hand, c->file, S_IFREG | 0644, size, 1, 1);
	hand_log_xattr(&c->hand, c->file, "user.kept", "k");
	hand_log_xattr(&c->hand, c->file, "user.gone", "g");
}

static void logged_extents_lie_over_committed_ones(void **state)
{
	struct crashed *c = *state;

	log_file_sectors(c, 6 * 4096);
	hand_log_extent(&c->hand, c->file, 4096, FILE_EXTENT_REG, hand_log_data(&c->hand, 'n'), 4096, 0, 4096);
	hand_log_extent(&c->hand, c->file, 3 * 4096, FILE_EXTENT_REG, 0, 0, 0, 4096);
	hand_log_extent(&c->hand, c->file, 5 * 4096, FILE_EXTENT_PREALLOC, hand_log_data(&c->hand, 'p'), 4096, 0, 4096);
	expect_steps(c, "set %llu\ndrop %llu 4096+4096\nextent %llu 4096+4096\ndrop %llu 12288+4096\nextent %llu 20480+4096\n",
		     N(c->file), N(c->file), N(c->file), N(c->file), N(c->file));
	expect_contents(c, c->file, false, "ono.o.");
	expect_contents(c, c->file, true, ".n....");
}

static void what_is_behind_the_end_goes(void **state)
{
	struct crashed *c = *state;

	log_file_sectors(c, 4096);
	expect_steps(c, "set %llu\ndrop %llu 4096+-1\n", N(c->file), N(c->file));
	expect_contents(c, c->file, false, "o");
}

static void data_is_compared_with_the_logs_checksums(void **state)
{
	struct crashed *c = *state;
	u8 noise[4096] = { 1 };
	u64 disk;

	log_file_sectors(c, 2 * 4096);
	disk = hand_log_data(&c->hand, 'n');
	hand_log_extent(&c->hand, c->file, 0, FILE_EXTENT_REG, disk, 4096, 0, 4096);
	hand_log_write_logical(&c->hand, disk, noise, sizeof(noise));
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	hand_log_finish(&c->hand);
	plan(c);
	expect_contents(c, c->file, false, "!o");
}

static void data_without_checksums_is_a_loss(void **state)
{
	struct crashed *c = *state;

	log_file_sectors(c, 4096);
	hand_log_extent(&c->hand, c->file, 0, FILE_EXTENT_REG, c->hand.data_place, 4096, 0, 4096);
	expect_steps(c, "set %llu\ndrop %llu 4096+-1\nlost checksum\n", N(c->file), N(c->file));
}

/* Linux before 5.17 logged these beside the others. */
static void items_of_old_kernels_are_ignored(void **state)
{
	struct crashed *c = *state;
	const struct key location = { c->other, INODE_ITEM_KEY, 0 };
	struct disk_dir_log_item range;

	le64_put(&range.end, UINT64_MAX);
	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_add(&c->hand, (struct key){ TOP, DIR_LOG_ITEM_KEY, 0 }, &range, sizeof(range));
	hand_log_dir_item(&c->hand, (struct key){ TOP, DIR_ITEM_KEY, name_hash("stale", 5) }, &location, FT_REG_FILE, "stale",
			  NULL, 0);
	expect_steps(c, "%s", "");
}

/* The one item that may be in a log has no bytes. */
static void items_may_be_empty(void **state)
{
	struct crashed *c = *state;

	hand_log_add(&c->hand, (struct key){ ORPHAN_OBJECTID, ORPHAN_ITEM_KEY, c->other }, NULL, 0);
	expect_steps(c, "%s", "");
}

/* --- What cannot be honoured ------------------------------------------------------------------------------------------- */

static void extents_must_lie_in_free_data_space(void **state)
{
	struct crashed *c = *state;
	struct btrkit_file_range range;
	struct btrkit_file *file;
	const struct btrkit_inode inode = { FS_TREE_OBJECTID, c->file };
	u64 disk = hand_log_data(&c->hand, 'n');

	assert_int_equal(btrkit_file_open(c->made.fs, &inode, &file, NULL), 0);
	assert_int_equal(btrkit_file_range_at(file, 0, &range, NULL), 0);
	btrkit_file_close(file);
	log_file_sectors(c, 8 * 4096);
	hand_log_extent(&c->hand, c->file, 0, FILE_EXTENT_REG, (u64)1 << 50, 4096, 0, 4096); /* in no chunk */
	hand_log_extent(&c->hand, c->file, 4096, FILE_EXTENT_REG, range.logical + 4096, 4096, 0, 4096); /* in another */
	hand_log_extent(&c->hand, c->file, 8192, FILE_EXTENT_REG, c->hand.place, 4096, 0, 4096); /* metadata */
	hand_log_extent(&c->hand, c->file, 12288, FILE_EXTENT_REG, disk, 4096, 0, 4096);
	hand_log_extent(&c->hand, c->file, 16384, FILE_EXTENT_REG, disk, 4096, 0, 4096); /* the same: a reflink */
	hand_log_extent(&c->hand, c->file, 20480, FILE_EXTENT_REG, disk, 8192, 0, 8192); /* more of it */
	expect_steps(c,
		     "set %llu\ndrop %llu 12288+4096\nextent %llu 12288+4096\ndrop %llu 16384+4096\nextent %llu 16384+4096\n"
		     "lost taken\nlost taken\nlost extent\nlost extent\n",
		     N(c->file), N(c->file), N(c->file), N(c->file), N(c->file));
}

static void a_missing_subvolume_costs_its_own_log(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, NEW_INO, S_IFREG | 0600, 0, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO, TOP, 77, "new");
	hand_log_subvol(&c->hand, 4711, 0);
	hand_log_inode(&c->hand, NEW_INO, S_IFREG | 0600, 0, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO, TOP, 77, "new");
	expect_steps(c, "create %llu\nlink %llu new\nlost subvolume\n", N(NEW_INO), N(NEW_INO));
}

static void damage_removes_nothing(void **state)
{
	static const u8 zeroes[16384];
	struct crashed *c = *state;

	/* A leaf for each item. What is lost says that the entry of "other" is still there. */
	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_range(&c->hand, TOP, 2, UINT64_MAX);
	hand_log_entry(&c->hand, TOP, index_of(c, "other"), "other", c->other, FT_REG_FILE);
	hand_log_inode(&c->hand, NEW_INO, S_IFREG | 0600, 0, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO, TOP, 100, "new");
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 1);
	hand_log_write_logical(&c->hand, c->hand.leaves[2], zeroes, c->made.fs->volume->nodesize);
	hand_log_finish(&c->hand);
	plan(c);
	assert_string_equal(c->text, "create 1048576\nlink 1048576 new\nlost block\nlost incomplete\n");
}

/* Of an older transaction. */
static void blocks_must_be_the_logs_own(void **state)
{
	struct crashed *c = *state;

	hand_log_inode(&c->hand, TOP, S_IFDIR | 0700, 0, 1, 1);
	c->hand.generation--;
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	c->hand.generation++;
	hand_log_finish(&c->hand);
	plan(c);
	assert_string_equal(c->text, "lost block\n");
}

static void blocks_must_lie_in_free_space(void **state)
{
	struct crashed *c = *state;
	u64 taken = le64_get(c->made.fs->super.root);

	/* The root tree's root, whose place the extent tree knows. */
	hand_log_inode(&c->hand, TOP, S_IFDIR | 0700, 0, 1, 1);
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	le64_put(&((struct disk_root_item *)c->hand.roots.items[0].data)->bytenr, taken);
	hand_log_finish(&c->hand);
	plan(c);
	assert_string_equal(c->text, "lost block\n");
}

static void no_block_is_in_two_logs(void **state)
{
	struct crashed *c = *state;
	struct btrkit_inode sub;

	assert_true(made_fs_find(&c->made, "sub", &sub));
	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	hand_log_inode(&c->hand, TOP, S_IFDIR | 0755, 0, 1, 0);
	hand_log_subvol(&c->hand, sub.subvol, 0);
	memcpy(c->hand.roots.items[1].data, c->hand.roots.items[0].data, sizeof(c->hand.roots.items[0].data));
	hand_log_finish(&c->hand);
	plan(c);
	assert_string_equal(c->text, "lost block\n");
}

static void two_logs_go_from_the_last_subvolume(void **state)
{
	struct crashed *c = *state;
	struct btrkit_inode sub;

	assert_true(made_fs_find(&c->made, "sub", &sub));
	hand_log_inode(&c->hand, NEW_INO, S_IFREG | 0600, 0, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO, TOP, 77, "new");
	hand_log_subvol(&c->hand, FS_TREE_OBJECTID, 0);
	hand_log_inode(&c->hand, NEW_INO + 1, S_IFREG | 0600, 0, 1, c->hand.generation);
	hand_log_ref(&c->hand, NEW_INO + 1, TOP, 78, "newer");
	hand_log_subvol(&c->hand, sub.subvol, 0);
	hand_log_finish(&c->hand);
	plan(c);
	assert_string_equal(c->text, "create 1048577\ncreate 1048576\nlink 1048577 newer\nlink 1048576 new\n");
}

int main(void)
{
#define LOG_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		LOG_TEST(no_log),
		LOG_TEST(new_files_get_their_names),
		LOG_TEST(ranges_decide_what_has_gone),
		LOG_TEST(without_ranges_nothing_goes),
		LOG_TEST(a_removed_directory_takes_all_with_it),
		LOG_TEST(subvolumes_are_never_unlinked),
		LOG_TEST(subvolumes_that_are_logged_stay),
		LOG_TEST(subvolumes_are_never_moved),
		LOG_TEST(what_is_in_the_way_goes),
		LOG_TEST(names_that_a_reference_lacks_go),
		LOG_TEST(a_directory_has_one_name),
		LOG_TEST(paths_are_those_after),
		LOG_TEST(directories_within_each_other_end),
		LOG_TEST(inodes_without_links_are_left_alone),
		LOG_TEST(attributes_of_a_logged_inode_are_complete),
		LOG_TEST(a_size_of_0_is_not_known),
		LOG_TEST(logged_extents_lie_over_committed_ones),
		LOG_TEST(what_is_behind_the_end_goes),
		LOG_TEST(data_is_compared_with_the_logs_checksums),
		LOG_TEST(data_without_checksums_is_a_loss),
		LOG_TEST(items_of_old_kernels_are_ignored),
		LOG_TEST(items_may_be_empty),
		LOG_TEST(extents_must_lie_in_free_data_space),
		LOG_TEST(a_missing_subvolume_costs_its_own_log),
		LOG_TEST(damage_removes_nothing),
		LOG_TEST(blocks_must_be_the_logs_own),
		LOG_TEST(blocks_must_lie_in_free_space),
		LOG_TEST(no_block_is_in_two_logs),
		LOG_TEST(two_logs_go_from_the_last_subvolume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
