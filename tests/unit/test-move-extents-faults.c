/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emptying block groups when things go wrong: the power goes at any moment, the disk fails at any operation, memory is
 * refused at any allocation, space runs out. The filesystem is sound then, with the same content, and all that was
 * shared is shared; what fails can be done again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check/check.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/layered_fs.h"
#include "tests/unit/moving_fixture.h"

static const struct txn_shape shapes[] = {
	{ "4k raid1", 4096, "raid1", "raid1", 2, 3 * GIB, NULL, false },
	{ "mixed", 4096, "dup", "dup", 1, 3 * GIB, "^block-group-tree", true },
};

/* A filesystem that nothing changes, and what is in it. */
struct case_of {
	struct txn_fixture base;
	u64 sum;
	struct moving_census census;
};

static void case_make(struct case_of *c, const struct txn_shape *shape)
{
	struct btrkit_fs *fs;

	memset(c, 0, sizeof(*c));
	moving_make(&c->base, shape);
	fs = moving_open(&c->base);
	c->sum = moving_sum(fs, &BTRKIT_INODE_TOP, 1);
	moving_count(fs, &c->census);
	btrkit_fs_close(fs);
}

static struct btrkit_fs *begin(struct case_of *c, struct record_log *log)
{
	struct blockdev *devices[TXN_DEVICES_MAX];
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	layered_devices(&c->base, log, devices);
	fs = layered_open(&c->base, devices);
	if (fs_begin_changes(fs, false, &d) != 0)
		fail_msg("%s", d.text);
	return fs;
}

static int work(struct btrkit_fs *fs, struct diag *d)
{
	return moving_move(fs, BLOCK_GROUP_TYPE_MASK, true, NULL, d);
}

static int tell_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* What is on the devices after the first @nr_records. */
static void look(struct case_of *c, const struct record_log *log, size_t nr_records, bool (*choose)(void *, size_t),
		 void *ctx)
{
	struct blockdev *devices[TXN_DEVICES_MAX];
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct moving_census census;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	layered_devices(&c->base, NULL, devices);
	assert_int_equal(record_log_replay(log, nr_records, devices, choose, ctx, NULL), 0);
	fs = layered_open(&c->base, devices);
	assert_true(moving_sum(fs, &BTRKIT_INODE_TOP, 1) == c->sum);
	moving_count(fs, &census);
	assert_memory_equal(&census, &c->census, sizeof(census));
	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	if (check_run(fs, &options, tell_problem, NULL, &result, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_ERROR], 0);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_FATAL], 0);
}

/* --- The tests ---------------------------------------- */

static void power_cuts(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct btrkit_fs *fs;
		struct case_of c;
		struct diag d = { 0 };
		size_t step;

		case_make(&c, &shapes[s]);
		record_log_init(&log);
		fs = begin(&c, &log);
		if (work(fs, &d) != 0)
			fail_msg("%s", d.text);
		btrkit_fs_close(fs);
		step = getenv("BTRKIT_LONG") ? 1 : 1 + log.records.len / 8;
		for (size_t n = 0; n <= log.records.len; n += step) {
			u32 seed = (u32)n;

			look(&c, &log, n, NULL, NULL);
			look(&c, &log, n, choose_none, NULL);
			look(&c, &log, n, choose_some, &seed);
			nr += 3;
		}
		look(&c, &log, log.records.len, NULL, NULL);
		record_log_done(&log);
		txn_fixture_done(&c.base);
	}
	print_message("%u power cuts: whole, and the same content\n", nr);
}

/* After a failure of which @err was told: on the disks all is sound, and what was begun can be done. */
static void again(struct case_of *c, struct btrkit_fs *fs, struct record_log *log, int err)
{
	struct diag d = { 0 };

	log->fail_at = 0;
	look(c, log, log->records.len, NULL, NULL);
	/* Writing superblocks has failed: nothing more is written. */
	if (err == -ESHUTDOWN || work(fs, &d) == -ESHUTDOWN)
		return;
	if (d.err)
		fail_msg("%s", d.text);
	look(c, log, log->records.len, NULL, NULL);
}

static void failing_disk(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct btrkit_fs *fs;
		struct case_of c;
		struct diag d = { 0 };
		u64 first, end, step;

		case_make(&c, &shapes[s]);
		record_log_init(&log);
		fs = begin(&c, &log);
		first = log.nr_operations;
		assert_int_equal(work(fs, &d), 0);
		end = log.nr_operations;
		btrkit_fs_close(fs);
		record_log_done(&log);
		step = getenv("BTRKIT_LONG") ? 1 : 1 + (end - first) / 6;
		for (u64 fail_at = first + 1; fail_at <= end; fail_at += step, nr++) {
			int err;

			log = (struct record_log){ 0 };
			record_log_init(&log);
			fs = begin(&c, &log);
			log.fail_at = fail_at;
			err = work(fs, &d);
			assert_true(err == -EIO || err == -EUCLEAN);
			again(&c, fs, &log, err);
			btrkit_fs_close(fs);
			record_log_done(&log);
		}
		txn_fixture_done(&c.base);
	}
	print_message("%u failures of a disk: told of, and nothing is lost\n", nr);
}

static void no_memory(void **state)
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
		for (unsigned long at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 2, nr++) {
			struct record_log log = { 0 };
			struct btrkit_fs *fs;
			struct diag d = { 0 };
			int err;

			record_log_init(&log);
			fs = begin(&c, &log);
			fail_malloc_at = at;
			err = work(fs, &d);
			is_over = fail_malloc_at != 0;
			fail_malloc_at = 0;
			/* The recorder has memory of its own, and fails as a disk does. */
			assert_true(is_over || err == -ENOMEM || err == -EIO || err == -ESHUTDOWN);
			again(&c, fs, &log, err);
			btrkit_fs_close(fs);
			record_log_done(&log);
		}
		txn_fixture_done(&c.base);
	}
	print_message("%u allocations of memory refused: told of, and nothing is lost\n", nr);
}

/* A new group for data, no further ones, and all but @free_bytes of it reserved. Returns the group that there was. */
static u64 leave_little(struct case_of *c, struct btrkit_fs *fs, u64 free_bytes)
{
	static const struct btrkit_node_attr attr = { .mode = S_IFREG | 0600 };
	struct btrkit_edit *edit;
	struct btrkit_inode file;
	struct btrkit_error error;
	struct diag d = { 0 };
	u64 groups[64], new, used;
	size_t nr = moving_groups(fs, BLOCK_GROUP_DATA, groups, ARRAY_LEN(groups));

	assert_int_equal(nr, 1);
	assert_int_equal(txn_close_group(fs->txn, groups[0], true, &d), 0);
	AGE(btrkit_edit_new(fs, NULL, &edit, &error));
	AGE(btrkit_edit_create(edit, &BTRKIT_INODE_TOP, "filler", 6, &attr, &file, &error));
	AGE(btrkit_edit_preallocate(edit, &file, 0, 4096, false, &error));
	AGE(btrkit_edit_commit(edit, &error));
	nr = moving_groups(fs, BLOCK_GROUP_DATA, groups, ARRAY_LEN(groups));
	assert_int_equal(nr, 2);
	for (unsigned i = 1; i <= c->base.nr_devices; i++)
		assert_int_equal(txn_limit_device(fs->txn, i, 0, &d), 0);
	new = groups[1];
	assert_int_equal(txn_group_used_bytes(fs->txn, new, &used, &d), 0);
	AGE(btrkit_edit_preallocate(
		edit, &file, 4096, chunk_map_find(fs->volume->chunks, new)->length - used - free_bytes, false, &error));
	AGE(btrkit_edit_commit(edit, &error));
	btrkit_edit_free(edit);
	return groups[0];
}

/* Room for all, for a part or for nothing: what does not fit stays. */
static void little_space(void **state)
{
	unsigned nr_done = 0, nr_refused = 0, nr_parts = 0;
	struct case_of c;

	(void)state;
	case_make(&c, &shapes[0]);
	for (unsigned i = 0; i < 7; i++) {
		struct record_log log = { 0 };
		struct relocate relocate = { 0 };
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		u64 group, before, after;
		int err;

		record_log_init(&log);
		relocate.fs = fs = begin(&c, &log);
		assert_int_equal(pool_new(1, NULL, &relocate.pool), 0);
		group = leave_little(&c, fs, 512 * KIB * i * i);
		c.sum = moving_sum(fs, &BTRKIT_INODE_TOP, 1);
		moving_count(fs, &c.census);
		assert_int_equal(txn_group_used_bytes(fs->txn, group, &before, &d), 0);
		err = move_extents(&relocate, &group, 1, &d);
		assert_true(err == 0 || err == -ENOSPC);
		if (err)
			assert_int_equal(txn_group_used_bytes(fs->txn, group, &after, &d), 0);
		nr_done += err == 0;
		nr_refused += err != 0;
		nr_parts += err && after < before;
		look(&c, &log, log.records.len, NULL, NULL);
		pool_free(relocate.pool);
		btrkit_fs_close(fs);
		record_log_done(&log);
	}
	txn_fixture_done(&c.base);
	print_message("little space: %u times enough, %u times not, of these %u for a part\n", nr_done, nr_refused,
		      nr_parts);
	assert_true(nr_done && nr_parts && nr_refused > nr_parts);
}

/* Files that lie in tree blocks, until there is so little room for these. */
static void fill_metadata(struct btrkit_fs *fs, u64 group, u64 free_bytes)
{
	static const struct btrkit_node_attr attr = { .mode = S_IFREG | 0600 };
	static const u8 bytes[1900];
	struct btrkit_edit *edit;
	struct btrkit_inode file;
	struct btrkit_error error;
	struct diag d = { 0 };
	u64 used = 0, length = chunk_map_find(fs->volume->chunks, group)->length;

	AGE(btrkit_edit_new(fs, NULL, &edit, &error));
	for (unsigned i = 0; used + free_bytes < length; i++) {
		char name[16];

		AGE(btrkit_edit_create(edit, &BTRKIT_INODE_TOP, name,
				       (size_t)snprintf(name, sizeof(name), "inline-%u", i), &attr, &file, &error));
		AGE(btrkit_edit_write(edit, &file, 0, bytes, sizeof(bytes), &error));
		if (i % 100 == 0)
			AGE(btrkit_edit_commit(edit, &error));
		assert_int_equal(txn_group_used_bytes(fs->txn, group, &used, &d), 0);
	}
	AGE(btrkit_edit_commit(edit, &error));
	btrkit_edit_free(edit);
}

static void little_metadata(void **state)
{
	static const struct txn_shape shape = { "4k", 4096, "single", "single", 1, 600 * MIB, NULL, false };
	unsigned nr_done = 0, nr_refused = 0;
	struct case_of c;

	(void)state;
	case_make(&c, &shape);
	for (unsigned i = 0; i < 5; i++) {
		struct record_log log = { 0 };
		struct relocate relocate = { 0 };
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		u64 groups[64], kept;
		int err;

		record_log_init(&log);
		relocate.fs = fs = begin(&c, &log);
		assert_int_equal(pool_new(1, NULL, &relocate.pool), 0);
		assert_int_equal(moving_groups(fs, BLOCK_GROUP_METADATA, groups, ARRAY_LEN(groups)), 1);
		assert_int_equal(txn_close_group(fs->txn, groups[0], true, &d), 0);
		(void)txn_super(fs->txn);
		assert_int_equal(txn_commit(fs->txn, &d), 0);
		assert_int_equal(moving_groups(fs, BLOCK_GROUP_METADATA, groups, ARRAY_LEN(groups)), 2);
		assert_int_equal(txn_limit_device(fs->txn, 1, 0, &d), 0);
		/* A sixteenth is kept for commits. */
		kept = (chunk_map_find(fs->volume->chunks, groups[0])->length +
			chunk_map_find(fs->volume->chunks, groups[1])->length) /
		       16;
		fill_metadata(fs, groups[1], kept + (i + 1) * 100 * KIB);
		c.sum = moving_sum(fs, &BTRKIT_INODE_TOP, 1);
		moving_count(fs, &c.census);
		err = move_extents(&relocate, groups, 1, &d);
		assert_true(err == 0 || err == -ENOSPC);
		nr_done += err == 0;
		nr_refused += err != 0;
		look(&c, &log, log.records.len, NULL, NULL);
		pool_free(relocate.pool);
		btrkit_fs_close(fs);
		record_log_done(&log);
	}
	txn_fixture_done(&c.base);
	print_message("little space for tree blocks: %u times enough, %u times not\n", nr_done, nr_refused);
	assert_true(nr_done && nr_refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_cuts),	cmocka_unit_test(failing_disk),	   cmocka_unit_test(no_memory),
		cmocka_unit_test(little_space), cmocka_unit_test(little_metadata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
