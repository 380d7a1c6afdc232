/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The replay of a log when things go wrong: the power goes at any moment, the disk fails at any operation, memory is refused at any
 * allocation. The log is there then, and can be replayed with the same result; or it has been replayed, whole.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <xxhash.h>

#include "check/check.h"
#include "kernel-shared/treelog/log_replay.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/hand_log.h"
#include "tests/unit/layered_fs.h"

#define NEW_INO ((u64)1 << 20)
#define TOP FIRST_FREE_OBJECTID
#define NR_NEW 60

static const struct txn_shape shapes[] = {
	{ "single", 4096, "single", "single", 1, 128 * MIB, NULL, false },
	{ "dup", 16384, "dup", "single", 1, 128 * MIB, NULL, false },
	{ "raid1", 4096, "raid1", "raid1", 2, 128 * MIB, NULL, false },
};

struct case_of {
	struct txn_fixture base; /* with a log; nothing changes it any more */
	u64 before, after; /* hashes of its subvolumes */
};

/* --- The log ---------------------------------------------------------------------------------------------------------- */

static void write_image(void *ctx, u64 devid, u64 physical, const void *bytes, size_t len)
{
	const struct case_of *c = ctx;
	int fd = open(c->base.paths[devid - 1], O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)physical), len);
	close(fd);
}

/* New directories and files with data, attributes and two names; old files that are cut, overwritten, renamed and removed. */
static void add_items(struct hand_log *log)
{
	char name[32];

	hand_log_inode(log, TOP, S_IFDIR | 0755, 0, 1, 1);
	hand_log_range(log, TOP, 2, 4); /* file-0 to file-2 have gone */
	for (unsigned i = 0; i < NR_NEW; i++) {
		u64 ino = NEW_INO + i, dir = i < 4 ? TOP : NEW_INO + i % 4;
		bool is_dir = i < 8;

		snprintf(name, sizeof(name), "new-%u", i);
		hand_log_inode(log, ino, (is_dir ? S_IFDIR : S_IFREG) | 0700, is_dir ? 0 : 4096, is_dir ? 1 : 2, log->generation);
		hand_log_ref(log, ino, dir, 1000 + i, name);
		hand_log_entry(log, dir, 1000 + i, name, ino, is_dir ? FT_DIR : FT_REG_FILE);
		if (is_dir)
			continue;
		hand_log_extref(log, ino, TOP, 2000 + i, name);
		hand_log_xattr(log, ino, "user.new", name);
		hand_log_extent(log, ino, 0, FILE_EXTENT_REG, hand_log_data(log, (u8)i), 4096, 0, 4096);
	}
	hand_log_inode(log, TOP + 8, S_IFREG | 0600, 5000, 1, 1); /* cut */
	hand_log_inode(log, TOP + 9, S_IFREG | 0600, TXN_FILE_BYTES, 1, 1);
	hand_log_extent(log, TOP + 9, 8192, FILE_EXTENT_REG, hand_log_data(log, 'o'), 4096, 0, 4096);
	hand_log_inode(log, TOP + 10, S_IFREG | 0600, TXN_FILE_BYTES, 1, 1);
	hand_log_ref(log, TOP + 10, TOP, 3000, "renamed");
}

static int hash_items(const struct tree *tree, u64 *ret_hash)
{
	struct cursor cursor = cursor_init(tree);
	XXH3_state_t *state = XXH3_createState();
	int err;

	assert_non_null(state);
	XXH3_64bits_reset(state);
	for (err = cursor_seek(&cursor, &KEY_MIN, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);
		struct disk_inode_item item;

		XXH3_64bits_update(state, &key.objectid, sizeof(key.objectid));
		XXH3_64bits_update(state, &key.type, sizeof(key.type));
		XXH3_64bits_update(state, &key.offset, sizeof(key.offset));
		if (key.type != INODE_ITEM_KEY) {
			XXH3_64bits_update(state, cursor_data(&cursor), cursor_data_bytes(&cursor));
			continue;
		}
		/* Who loses a name gets the time of the replay. */
		memcpy(&item, cursor_data(&cursor), sizeof(item));
		memset(&item.ctime, 0, sizeof(item.ctime));
		XXH3_64bits_update(state, &item, sizeof(item));
	}
	*ret_hash = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	cursor_done(&cursor);
	return err;
}

/* Of all subvolumes. */
static u64 hash_of(struct btrkit_fs *fs)
{
	struct fs_root root;
	u64 all, hash;

	assert_int_equal(fs_subvol_root(fs, FS_TREE_OBJECTID, &root, NULL), 0);
	assert_int_equal(hash_items(&root.tree, &all), 1);
	for (u64 id = FIRST_FREE_OBJECTID; id < FIRST_FREE_OBJECTID + 20; id++)
		if (fs_subvol_root(fs, id, &root, NULL) == 0) {
			assert_int_equal(hash_items(&root.tree, &hash), 1);
			all = all * 31 + hash;
		}
	return all;
}

static int tell_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* Takes @fs over, which has been replayed. */
static void check_replayed(const struct case_of *c, struct btrkit_fs *fs)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct diag d = { 0 };

	assert_int_equal(le64_get(fs->super.log_root), 0);
	assert_int_equal(hash_of(fs), c->after);
	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	if (check_run(fs, &options, tell_problem, NULL, &result, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_ERROR], 0);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_FATAL], 0);
}

static struct btrkit_fs *begin(const struct case_of *c, struct record_log *log)
{
	struct blockdev *devices[TXN_DEVICES_MAX];

	layered_devices(&c->base, log, devices);
	return layered_open(&c->base, devices);
}

/* With the base made. */
static void case_learn(struct case_of *c, const char *name)
{
	struct btrkit_fs *fs = begin(c, NULL);
	struct diag d = { 0 };

	c->before = hash_of(fs);
	if (log_replay_open_fs(fs, NULL, NULL, &d) != 0)
		fail_msg("%s: %s", name, d.text);
	c->after = hash_of(fs);
	assert_true(c->before != c->after);
	check_replayed(c, fs);
}

static void case_make(struct case_of *c, const struct txn_shape *shape)
{
	struct hand_log hand;

	memset(c, 0, sizeof(*c));
	txn_fixture_make(&c->base, shape);
	assert_true(hand_log_init(&hand, c->base.fs, write_image, c));
	add_items(&hand);
	hand_log_subvol(&hand, FS_TREE_OBJECTID, 20);
	hand_log_finish(&hand);
	hand_log_done(&hand);
	txn_fixture_close(&c->base);
	case_learn(c, shape->name);
}

/* A crash image of Linux, @packed by xz. */
static void case_unpack(struct case_of *c, const char *name, const char *packed)
{
	const char *tmp = getenv("TMPDIR");
	char command[PATH_MAX + 100];
	int fd;

	memset(c, 0, sizeof(*c));
	c->base.nr_devices = 1;
	c->base.path_list[0] = c->base.paths[0];
	snprintf(c->base.paths[0], sizeof(c->base.paths[0]), "%s/btrkit-txn-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(c->base.paths[0]);
	assert_true(fd >= 0);
	close(fd);
	snprintf(command, sizeof(command), "xz -dc '%s' >'%s'", packed, c->base.paths[0]);
	assert_int_equal(system(command), 0);
	case_learn(c, name);
}

static void case_done(struct case_of *c)
{
	txn_fixture_done(&c->base);
}

/* --- What is there ---------------------------------------------------------------------------------------------------- */

/* 'b'efore: and it can be replayed; or 'a'fter. Anything else is a failure. @fs is taken over. */
static char judge(const struct case_of *c, struct btrkit_fs *fs)
{
	char seen = le64_get(fs->super.log_root) ? 'b' : 'a';
	struct diag d = { 0 };

	if (seen == 'b') {
		assert_int_equal(hash_of(fs), c->before);
		if (log_replay_open_fs(fs, NULL, NULL, &d) != 0)
			fail_msg("%s", d.text);
	}
	check_replayed(c, fs);
	return seen;
}

static char look(const struct case_of *c, const struct record_log *log, size_t nr_records, bool (*choose)(void *, size_t), void *ctx)
{
	struct blockdev *devices[TXN_DEVICES_MAX];

	layered_devices(&c->base, NULL, devices);
	assert_int_equal(record_log_replay(log, nr_records, devices, choose, ctx, NULL), 0);
	return judge(c, layered_open(&c->base, devices));
}

/* --- The tests ---------------------------------------------------------------------------------------------------------- */

/* Everything that may be there after a power cut during the replay of a case; returns how many that are. */
static unsigned cut_power(const struct case_of *c)
{
	unsigned nr_cuts = 0, nr_seeds = getenv("BTRKIT_LONG") ? 20 : 2;
	struct record_log log = { 0 };
	struct btrkit_fs *fs;
	size_t first, last;

	record_log_init(&log);
	fs = begin(c, &log);
	assert_int_equal(log_replay_open_fs(fs, NULL, NULL, NULL), 0);
	btrkit_fs_close(fs);
	first = first_super(&log);
	last = last_super(&log);
	assert_in_range(first, 2, log.records.len - 1);
	for (unsigned i = 1; i <= c->base.nr_devices; i++)
		assert_int_equal(log.records.items[first - i].kind, RECORD_FLUSH);
	for (size_t n = 0; n <= log.records.len; n++) {
		char all = look(c, &log, n, NULL, NULL), none = look(c, &log, n, choose_none, NULL);

		assert_int_equal(all, n <= first ? 'b' : 'a');
		if (n <= last)
			assert_int_equal(none, 'b');
		nr_cuts += 2;
		for (u32 seed = 0; seed < nr_seeds; seed++, nr_cuts++)
			(void)look(c, &log, n, choose_some, &seed);
	}
	assert_int_equal(look(c, &log, log.records.len, choose_none, NULL), 'a');
	record_log_done(&log);
	return nr_cuts;
}

static void test_power_cuts(void **state)
{
	unsigned nr_cuts = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct case_of c;

		case_make(&c, &shapes[s]);
		nr_cuts += cut_power(&c);
		case_done(&c);
	}
	print_message("%u power cuts during a replay: the log is there, and gives the same, or it was replayed\n", nr_cuts);
}

/* The same with logs that Linux wrote. */
static void test_power_cuts_of_published_images(void **state)
{
	static const char *const names[] = { "two-subvolumes", "compressed-zlib", "rmdir-tree-fsync-parent", "mixed-groups" };
	const char *shared = getenv("BTRKIT_SHARED"), *srcdir = getenv("srcdir");
	unsigned nr_cuts = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char packed[PATH_MAX];
		struct case_of c;

		if (shared)
			snprintf(packed, sizeof(packed), "%s/fixtures/treelog/%s/crash.img.xz", shared, names[i]);
		else
			snprintf(packed, sizeof(packed), "%s/../shared/fixtures/treelog/%s/crash.img.xz", srcdir ? srcdir : ".",
				 names[i]);
		if (access(packed, R_OK) != 0 || system("xz --version >/dev/null 2>&1") != 0) {
			print_message("[  SKIPPED ] needs xz and %s\n", packed);
			skip();
		}
		case_unpack(&c, names[i], packed);
		nr_cuts += cut_power(&c);
		case_done(&c);
	}
	print_message("%u power cuts during the replay of logs that Linux wrote\n", nr_cuts);
}

static void test_failing_disk(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct btrkit_fs *fs;
		struct case_of c;
		u64 nr_before, nr_operations;

		case_make(&c, &shapes[s]);
		record_log_init(&log);
		fs = begin(&c, &log);
		nr_before = log.nr_operations;
		assert_int_equal(log_replay_open_fs(fs, NULL, NULL, NULL), 0);
		btrkit_fs_close(fs);
		nr_operations = log.nr_operations;
		record_log_done(&log);
		for (u64 fail_at = nr_before + 1; fail_at <= nr_operations; fail_at++, nr++) {
			struct diag d = { 0 };
			int err;

			log = (struct record_log){ 0 };
			record_log_init(&log);
			fs = begin(&c, &log);
			log.fail_at = fail_at;
			err = log_replay_open_fs(fs, NULL, NULL, &d);
			btrkit_fs_close(fs);
			assert_true(err == -EIO || err == -EUCLEAN);
			assert_true(d.text[0]);
			assert_true(look(&c, &log, log.records.len, NULL, NULL) == 'b' || first_super(&log) < log.records.len);
			record_log_done(&log);
		}
		case_done(&c);
	}
	print_message("%u failures of a disk during a replay: told of, and the log is there\n", nr);
}

static void test_no_memory(void **state)
{
	unsigned nr = 0;

	(void)state;
	if (!can_fail_malloc) {
		print_message("[  SKIPPED ] the allocator of this build cannot be made to fail\n");
		skip();
	}
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct case_of c;
		bool is_over = false;

		case_make(&c, &shapes[s]);
		for (unsigned long at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 30) {
			struct record_log log = { 0 };
			struct diag d = { 0 };
			struct btrkit_fs *fs;
			int err;

			record_log_init(&log);
			fs = begin(&c, &log);
			/* The recorder and the overlay fail as a disk does. */
			fail_malloc_at = at;
			err = log_replay_open_fs(fs, NULL, NULL, &d);
			is_over = fail_malloc_at != 0;
			fail_malloc_at = 0;
			if (err) {
				assert_true(err == -ENOMEM || err == -EIO);
				if (first_super(&log) == log.records.len) {
					assert_int_equal(look(&c, &log, log.records.len, NULL, NULL), 'b');
					/* And once more, with the same filesystem. */
					if (log_replay_open_fs(fs, NULL, NULL, &d) != 0)
						fail_msg("%s", d.text);
					assert_int_equal(hash_of(fs), c.after);
				}
				nr++;
			}
			btrkit_fs_close(fs);
			record_log_done(&log);
		}
		case_done(&c);
	}
	print_message("%u allocations of memory refused during a replay: nothing changed, done again\n", nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cuts),
		cmocka_unit_test(test_power_cuts_of_published_images),
		cmocka_unit_test(test_failing_disk),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
