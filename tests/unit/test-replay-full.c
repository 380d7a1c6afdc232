/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logs of more and more files, on filesystems that are full but for the log itself: they are replayed, or there is no space for that,
 * and then nothing has been written.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check/check.h"
#include "kernel-shared/tree/edit.h"
#include "kernel-shared/treelog/log_replay.h"
#include "tests/unit/hand_log.h"
#include "tests/unit/layered_fs.h"
#include "tests/unit/txn_work.h"

#define NEW_INO ((u64)1 << 20)
#define TOP FIRST_FREE_OBJECTID
#define VALUE_BYTES 1000

static const struct txn_shape shapes[] = {
	{ "4k", 4096, "single", "single", 1, 40 * MIB, NULL, false },
	{ "16k dup", 16384, "dup", "single", 1, 96 * MIB, NULL, false },
	{ "4k mixed", 4096, "single", "single", 1, 32 * MIB, NULL, true },
	{ "raid1", 4096, "raid1", "raid1", 2, 64 * MIB, NULL, false },
};

/* --- Full filesystems --------------------------------------------------------------------------------------------------- */

static int put_item(struct tree_root *root, u32 n, struct diag *d)
{
	struct edit edit = edit_init(root);
	char name[32];
	const struct key key = name_key(n, name);
	void *data;
	int err = edit_insert(&edit, &key, (u32)(sizeof(struct disk_dir_item) + strlen(name) + VALUE_BYTES), &data, d);

	if (!err)
		pack_xattr(data, name, VALUE_BYTES, (u8)n);
	edit_done(&edit);
	return err;
}

/* Attributes until not even a few fit into what is kept for commits; [@kept, @kept + @kept_bytes) is left free. */
static void fill(struct txn_fixture *f, u64 kept, u64 kept_bytes)
{
	struct tree_root *root;
	struct diag d = { 0 };
	u32 n = 0, committed = 0;

	assert_int_equal(txn_tree(f->txn, FS_TREE_OBJECTID, &root, &d), 0);
	for (u32 batch = 500; batch;) {
		int err = txn_exclude(f->txn, kept, kept_bytes, &d);

		if (batch < 100)
			txn_use_reserve(f->txn);
		for (n = committed; n < committed + batch && !err; n++)
			err = put_item(root, n, &d);
		if (!err)
			err = txn_commit(f->txn, &d);
		if (!err) {
			committed = n;
		} else if (err == -ENOSPC) {
			txn_abort(f->txn);
			batch /= 8;
		} else {
			fail_msg("%s", d.text);
		}
	}
	assert_true(committed > 1000);
}

/* --- Logs ---------------------------------------------------------------------------------------------------------------- */

static void write_image(void *ctx, u64 devid, u64 physical, const void *bytes, size_t len)
{
	const struct txn_fixture *f = ctx;
	int fd = open(f->paths[devid - 1], O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)physical), len);
	close(fd);
}

/* New files with long names, each of which is in the log once, and has to be three times in the subvolume. */
static void add_files(struct hand_log *log, unsigned nr)
{
	char name[NAME_LEN_MAX + 1];

	for (unsigned i = 0; i < nr; i++) {
		snprintf(name, sizeof(name), "new-%0200u", i);
		hand_log_inode(log, NEW_INO + i, S_IFREG | 0600, 0, 1, log->generation);
		hand_log_ref(log, NEW_INO + i, TOP, 1000 + i, name);
	}
}

/* A filesystem that is full but for @nr_blocks blocks in one piece, which are the place for a log. */
static u64 make_full(struct txn_fixture *f, const struct txn_shape *shape, unsigned nr_blocks)
{
	u64 place, kept_bytes = (u64)nr_blocks * shape->nodesize;
	const struct chunk *chunk;
	struct hand_log hand;

	txn_fixture_make(f, shape);
	assert_true(hand_log_init(&hand, f->fs, write_image, f));
	place = round_up_u64(shape->is_mixed ? MAX(hand.place, hand.data_place) : hand.place, shape->nodesize);
	hand_log_done(&hand);
	chunk = chunk_map_find(f->fs->volume->chunks, place);
	assert_true(chunk && place + kept_bytes <= chunk->logical + chunk->length);
	fill(f, place, kept_bytes);
	txn_fixture_check(f, shape->name, false);
	return place;
}

/* @fs knows the filesystem without its log: how many blocks the log takes. */
static unsigned put_log(struct txn_fixture *f, u64 place, unsigned nr_files)
{
	struct hand_log hand;
	unsigned nr_blocks;

	assert_true(hand_log_init(&hand, f->fs, write_image, f));
	hand.place = place;
	add_files(&hand, nr_files);
	hand_log_subvol(&hand, FS_TREE_OBJECTID, 0);
	hand_log_finish(&hand);
	nr_blocks = (unsigned)((hand.place - place) / f->fs->volume->nodesize);
	hand_log_done(&hand);
	return nr_blocks;
}

/* --- The test ------------------------------------------------------------------------------------------------------------- */

static int tell_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* The filesystem is sound, and has the last of the new files. Takes @fs over. */
static void check_replayed(struct btrkit_fs *fs, unsigned nr_files)
{
	const struct key last = { NEW_INO + nr_files - 1, INODE_ITEM_KEY, 0 };
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct fs_root root;
	struct cursor cursor;
	struct diag d = { 0 };

	assert_int_equal(le64_get(fs->super.log_root), 0);
	assert_int_equal(fs_subvol_root(fs, FS_TREE_OBJECTID, &root, NULL), 0);
	cursor = cursor_init(&root.tree);
	assert_int_equal(cursor_find(&cursor, &last, NULL), 0);
	cursor_done(&cursor);
	btrkit_check_options_init(&options);
	options.threads = 1;
	if (check_run(fs, &options, tell_problem, NULL, &result, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_ERROR], 0);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_FATAL], 0);
}

/* Replay over the base, which keeps its log. Did it fit? */
static bool does_fit(const struct txn_fixture *f, const struct txn_shape *shape, unsigned nr_files)
{
	struct record_log log = { 0 };
	struct blockdev *devices[TXN_DEVICES_MAX];
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	int err;

	record_log_init(&log);
	layered_devices(f, &log, devices);
	fs = layered_open(f, devices);
	err = log_replay_open_fs(fs, NULL, NULL, &d);
	if (err == 0) {
		check_replayed(fs, nr_files);
	} else if (err != -ENOSPC || !d.text[0]) {
		fail_msg("%s: %u files: %d: %s", shape->name, nr_files, err, d.text);
	} else {
		assert_int_equal(log.records.len, 0);
		assert_true(le64_get(fs->super.log_root) != 0);
		/* The same filesystem, still open, says the same once more. */
		assert_int_equal(log_replay_open_fs(fs, NULL, NULL, &d), -ENOSPC);
		assert_int_equal(log.records.len, 0);
	}
	if (err)
		btrkit_fs_close(fs);
	record_log_done(&log);
	return err == 0;
}

static void test_more_and_more(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		unsigned nr_fit = 0, nr_refused = 0, nr_blocks = 90;
		struct txn_fixture f;
		u64 place = make_full(&f, &shapes[s], nr_blocks);

		for (unsigned nr_files = 4; nr_refused < 3; nr_files += nr_files / 2) {
			assert_true(put_log(&f, place, nr_files) <= nr_blocks);
			if (does_fit(&f, &shapes[s], nr_files))
				nr_fit++;
			else
				nr_refused++;
		}
		assert_true(nr_fit >= 3);
		print_message("%s: %u logs fit, %u are refused, with nothing written\n", shapes[s].name, nr_fit, nr_refused);
		txn_fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_more_and_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
