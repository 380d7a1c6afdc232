/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filesystems grow from seeds, also when the power goes at any moment, the new device fails at any operation, or memory is refused
 * at any allocation: there is no filesystem on the new device then, or the whole one. The seeds are only read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check/check.h"
#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/relocate/off_seed.h"
#include "kernel-shared/relocate/seed_mark.h"
#include "kernel-shared/relocate/sprout.h"
#include "kernel-shared/txn/txn_state.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/layered_fs.h"

#define NEW_BYTES (600 * MIB)

static const u8 new_fsid[UUID_SIZE] = { 'f', 's', 'i', 'd' }, new_uuid[UUID_SIZE] = { 'u', 'u', 'i', 'd' };

static const struct txn_shape shapes[] = {
	{ "single", 4096, "single", "single", 1, 128 * MIB, NULL, false },
	{ "raid1", 16384, "raid1", "raid0", 2, 128 * MIB, NULL, false },
	{ "no block group tree", 16384, "dup", "single", 1, 128 * MIB, "^block-group-tree", false },
	{ "mixed", 4096, "dup", "dup", 1, 128 * MIB, NULL, true },
	{ "raid5", 4096, "raid5", "raid5", 3, 128 * MIB, NULL, false },
};

static void must(int err, const struct diag *d)
{
	if (err)
		fail_msg("%s", d->text);
}

/* --- Seeds ---------------------------------------- */

static struct btrkit_fs *open_base(const struct txn_fixture *base, bool is_writable)
{
	struct device_set_options for_devices = { .is_writable = is_writable, .super_mirror = -1 };
	const struct fs_options for_fs = { 0 };
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	must(device_set_open(base->path_list, base->nr_devices, &for_devices, &set, &d), &d);
	if (is_writable && (le64_get(set->super.flags) & SUPER_FLAG_SEEDING)) {
		u8 fsid[UUID_SIZE];

		for (size_t i = 0; i < set->devices.len; i++)
			assert_false(set->devices.items[i].dev->is_writable);
		memcpy(fsid, set->super.fsid, UUID_SIZE);
		device_set_free(set);
		for_devices.writable_seed = fsid;
		must(device_set_open(base->path_list, base->nr_devices, &for_devices, &set, &d), &d);
	}
	must(fs_open_devices(set, &for_fs, &fs, &d), &d);
	return fs;
}

static void mark(const struct txn_fixture *base, bool is_marked)
{
	struct btrkit_fs *fs = open_base(base, true);
	u64 generation = le64_get(fs->super.generation);
	struct diag d = { 0 };

	assert_int_equal(seed_mark_judge(fs, is_marked, &d), 0);
	must(seed_mark_write(fs, is_marked, &d), &d);
	btrkit_fs_close(fs);
	fs = open_base(base, true);
	assert_int_equal(seed_mark_judge(fs, is_marked, &d), 1);
	assert_int_equal(le64_get(fs->super.generation), generation);
	btrkit_fs_close(fs);
}

/* Chunks that nobody needs, until their tree has several leaves. */
static void add_chunks(struct txn_fixture *base)
{
	struct diag d = { 0 };

	for (unsigned i = 0; i < 80; i++)
		must(txn_alloc_chunk(base->txn, BLOCK_GROUP_DATA, &d), &d);
	must(txn_commit(base->txn, &d), &d);
	assert_true(base->fs->chunk_tree.level > 0);
}

static void seed_make(struct txn_fixture *base, const struct txn_shape *shape)
{
	txn_fixture_make(base, shape);
	if (strcmp(shape->name, "many chunks") == 0)
		add_chunks(base);
	txn_fixture_close(base);
	mark(base, true);
}

/* --- Growing ---------------------------------------- */

static struct blockdev *new_device(struct record_log *log)
{
	struct blockdev *dev;

	assert_int_equal(memory_device_new("new", NEW_BYTES, &dev), 0);
	if (log)
		assert_int_equal(record_device_new(dev, log, 0, &dev), 0);
	return dev;
}

/* @refuse_at: the number of an allocation that fails; 0: none. */
static int grow(struct btrkit_fs *fs, struct record_log *log, unsigned long refuse_at, struct diag *d)
{
	const struct sprout_target target = { new_device(log), NEW_BYTES, new_fsid, new_uuid };
	u64 devid = 0;
	int err;

	fail_malloc_at = refuse_at;
	err = sprout_judge_seed(fs, d);
	if (err)
		blockdev_close(target.dev);
	else
		err = sprout_grow(fs, &target, &devid, d);
	fail_malloc_at = 0;
	if (!err)
		assert_int_equal(devid, fs->volume->devices->devices.len);
	return err;
}

/* --- What is there ---------------------------------------- */

static int tell_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* The seeds and @dev, which is taken over. */
static struct btrkit_fs *open_sprout(const struct txn_fixture *base, struct blockdev *dev, const struct super_choice *choice)
{
	const struct fs_options for_fs = { .refuse_missing = true };
	struct device device = device_of_super(&choice->super, dev);
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	assert_int_equal(device_set_new(&set), 0);
	for (unsigned i = 0; i < base->nr_devices; i++) {
		struct super_choice of_seed;
		struct blockdev *below;
		struct device one;

		must(file_device_open(base->paths[i], 0, 0, 0, &below, &d), &d);
		must(super_read(below, -1, &of_seed, &d), &d);
		one = device_of_super(&of_seed.super, below);
		must(device_set_add(set, &one, &d), &d);
	}
	must(device_set_add(set, &device, &d), &d);
	set->super = choice->super;
	set->super_device = base->nr_devices;
	must(fs_open_devices(set, &for_fs, &fs, &d), &d);
	return fs;
}

/* 'n'one, or a whole 's'prout. @may_lack_copies: of its superblock. */
static char judge(const struct txn_fixture *base, struct blockdev *dev, bool may_lack_copies)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct super_choice choice;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	if (super_read(dev, -1, &choice, NULL) != 0) {
		blockdev_close(dev);
		return 'n';
	}
	assert_memory_equal(choice.super.fsid, new_fsid, UUID_SIZE);
	assert_memory_equal(choice.super.dev_item.fsid, new_fsid, UUID_SIZE);
	assert_int_equal(le64_get(choice.super.flags) & SUPER_FLAG_SEEDING, 0);
	fs = open_sprout(base, dev, &choice);
	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	must(check_run(fs, &options, tell_problem, NULL, &result, &d), &d);
	if (!may_lack_copies)
		assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_WARNING], 0);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_ERROR], 0);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_FATAL], 0);
	return 's';
}

static char look(const struct txn_fixture *base, const struct record_log *log, size_t nr_records,
		 bool (*choose)(void *, size_t), void *ctx)
{
	struct blockdev *dev = new_device(NULL);

	assert_int_equal(record_log_replay(log, nr_records, &dev, choose, ctx, NULL), 0);
	return judge(base, dev, true);
}

/* --- The tests ---------------------------------------- */

/* Everything of the chunk tree is on the new device, and what is new is as redundant as what there was. */
static void expect_own_system(const struct btrkit_fs *fs, u64 devid)
{
	const struct chunk_map *chunks = fs->volume->chunks;
	bool has_dup = false, is_redundant = false;
	_cleanup_(chunk_map_freep) struct chunk_map *array = NULL;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		bool is_own = chunk->stripe[0].devid == devid;

		assert_true(is_own || !(chunk->type & BLOCK_GROUP_SYSTEM));
		if (chunk->type & BLOCK_GROUP_METADATA) {
			has_dup |= is_own && (chunk->type & BLOCK_GROUP_DUP);
			is_redundant |= !is_own && (chunk->profile->copies > 1 || chunk->profile->parity);
		}
	}
	assert_int_equal(has_dup, is_redundant);
	assert_int_equal(chunk_map_new(&array), 0);
	assert_int_equal(sys_chunk_array_read(array, &fs->super, NULL), 0);
	for (size_t i = 0; i < chunk_map_count(array); i++)
		assert_int_equal(chunk_map_at(array, i)->stripe[0].devid, devid);
}

static void test_grown(void **state)
{
	static const struct txn_shape many = { "many chunks", 4096, "single", "single", 1, 100 * GIB, NULL, false };

	(void)state;
	for (size_t s = 0; s <= ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct txn_fixture base;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		struct blockdev *dev;

		seed_make(&base, s < ARRAY_LEN(shapes) ? &shapes[s] : &many);
		record_log_init(&log);
		fs = open_base(&base, false);
		must(grow(fs, &log, 0, &d), &d);
		expect_own_system(fs, base.nr_devices + 1);
		/* It can be changed at once. */
		assert_non_null(txn_super(fs->txn));
		must(txn_commit(fs->txn, &d), &d);
		btrkit_fs_close(fs);
		dev = new_device(NULL);
		assert_int_equal(record_log_replay(&log, log.records.len, &dev, NULL, NULL, NULL), 0);
		assert_int_equal(judge(&base, dev, false), 's');
		record_log_done(&log);
		txn_fixture_done(&base);
	}
}

static void test_power_cuts(void **state)
{
	unsigned nr_cuts = 0, nr_seeds = getenv("BTRKIT_LONG") ? 20 : 2, nr_sprouts = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct txn_fixture base;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		size_t first;

		seed_make(&base, &shapes[s]);
		record_log_init(&log);
		fs = open_base(&base, false);
		must(grow(fs, &log, 0, &d), &d);
		btrkit_fs_close(fs);
		first = first_super(&log);
		assert_in_range(first, 2, log.records.len - 1);
		for (size_t n = 0; n <= log.records.len; n++) {
			char all = look(&base, &log, n, NULL, NULL), none = look(&base, &log, n, choose_none, NULL);

			assert_int_equal(all, n <= first ? 'n' : 's');
			if (n <= first)
				assert_int_equal(none, 'n');
			nr_sprouts += (all == 's') + (none == 's');
			nr_cuts += 2;
			for (u32 seed = 0; seed < nr_seeds; seed++, nr_cuts++)
				nr_sprouts += look(&base, &log, n, choose_some, &seed) == 's';
		}
		assert_int_equal(look(&base, &log, log.records.len, choose_none, NULL), 's');
		record_log_done(&log);
		txn_fixture_done(&base);
	}
	print_message("%u power cuts: no filesystem after %u, the whole one after %u\n", nr_cuts, nr_cuts - nr_sprouts, nr_sprouts);
}

static void test_failing_device(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct txn_fixture base;
		bool is_over = false;

		seed_make(&base, &shapes[s]);
		for (u64 fail_at = 1; !is_over; fail_at++, nr++) {
			struct record_log log = { .fail_at = fail_at };
			struct btrkit_fs *fs = open_base(&base, false);
			struct diag d = { 0 };
			char seen;
			int err;

			record_log_init(&log);
			log.fail_at = fail_at;
			err = grow(fs, &log, 0, &d);
			btrkit_fs_close(fs);
			is_over = err == 0;
			assert_true(is_over || err == -EIO);
			seen = look(&base, &log, log.records.len, NULL, NULL);
			assert_int_equal(seen, first_super(&log) < log.records.len ? 's' : 'n');
			record_log_done(&log);
		}
		txn_fixture_done(&base);
	}
	print_message("%u failures of the new device: told of\n", nr);
}

static void test_no_memory(void **state)
{
	unsigned nr = 0;

	(void)state;
	if (!can_fail_malloc) {
		print_message("[  SKIPPED ] the allocator of this build cannot be made to fail\n");
		skip();
	}
	for (size_t s = 0; s < 2; s++) {
		struct txn_fixture base;
		bool is_over = false;

		seed_make(&base, &shapes[s]);
		for (unsigned long at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 20, nr++) {
			struct record_log log = { 0 };
			struct btrkit_fs *fs = open_base(&base, false);
			struct diag d = { 0 };
			char seen;
			int err;

			record_log_init(&log);
			err = grow(fs, &log, at, &d);
			btrkit_fs_close(fs);
			is_over = err == 0;
			assert_true(is_over || err == -ENOMEM || err == -EIO);
			seen = look(&base, &log, log.records.len, NULL, NULL);
			assert_int_equal(seen, first_super(&log) < log.records.len ? 's' : 'n');
			record_log_done(&log);
		}
		txn_fixture_done(&base);
	}
	print_message("%u allocations refused: no filesystem, or the whole one\n", nr);
}

/* --- Independence ---------------------------------------- */

/* The seed's chunks move to the new device, and then it is the only one. */
static void remove_seeds(const struct txn_fixture *base, struct btrkit_fs *fs)
{
	struct relocate relocate = { .fs = fs };
	struct diag d = { 0 };
	u64 logical[64];
	size_t nr = chunk_map_count(fs->volume->chunks);

	assert_int_equal(pool_new(1, NULL, &relocate.pool), 0);
	assert_in_range(nr, 1, ARRAY_LEN(logical));
	for (size_t i = 0; i < nr; i++)
		logical[i] = chunk_map_at(fs->volume->chunks, i)->logical;
	for (size_t i = 0; i < nr; i++) {
		const struct chunk *chunk = chunk_map_find(fs->volume->chunks, logical[i]);

		if (chunk_is_of_seed(fs, chunk))
			must(relocate_group(&relocate, logical[i], profile_off_seed(chunk, 1), true, NULL, &d), &d);
	}
	for (u64 devid = 1; devid <= base->nr_devices; devid++)
		must(txn_remove_device(fs->txn, devid, &d), &d);
	must(txn_commit(fs->txn, &d), &d);
	pool_free(relocate.pool);
}

/* Takes @dev over. Blocks that name another filesystem would be refused. */
static void check_alone(struct blockdev *dev, const char *what)
{
	const struct fs_options for_fs = { .refuse_missing = true };
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	must(device_set_of_one(dev, -1, &set, &d), &d);
	must(fs_open_devices(set, &for_fs, &fs, &d), &d);
	assert_int_equal(fs->volume->devices->devices.len, 1);
	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	must(check_run(fs, &options, tell_problem, NULL, &result, &d), &d);
	if (result.nr_problems[BTRKIT_PROBLEM_WARNING] || result.nr_problems[BTRKIT_PROBLEM_ERROR] ||
	    result.nr_problems[BTRKIT_PROBLEM_FATAL])
		fail_msg("%s: problems were found", what);
}

/* After each of the writes of the removal, seeds and new device together are sound, also when they have parted. */
static unsigned cut_removal(const struct txn_fixture *base, const struct record_log *log, size_t nr_grown)
{
	size_t step = getenv("BTRKIT_LONG") ? 1 : 1 + (log->records.len - nr_grown) / 40;
	unsigned nr = 0;

	for (size_t n = nr_grown; n < log->records.len; n += n + 8 > log->records.len ? 1 : step)
		for (u32 seed = 0; seed < 2; seed++, nr++)
			assert_int_equal(look(base, log, n, seed ? choose_some : NULL, &seed), 's');
	return nr;
}

static void test_seeds_removed(void **state)
{
	unsigned nr_cuts = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct txn_fixture base;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		struct blockdev *dev;
		size_t nr_grown;

		seed_make(&base, &shapes[s]);
		record_log_init(&log);
		fs = open_base(&base, false);
		must(grow(fs, &log, 0, &d), &d);
		nr_grown = log.records.len;
		remove_seeds(&base, fs);
		btrkit_fs_close(fs);
		nr_cuts += cut_removal(&base, &log, nr_grown);
		dev = new_device(NULL);
		assert_int_equal(record_log_replay(&log, log.records.len, &dev, NULL, NULL, NULL), 0);
		check_alone(dev, shapes[s].name);
		record_log_done(&log);
		txn_fixture_done(&base);
	}
	print_message("%u power cuts while seeds were removed: sound\n", nr_cuts);
}

/* What no filesystem can grow from, and what cannot be marked. */
static void test_refusals(void **state)
{
	static const struct txn_shape shape = { "refusals", 16384, "raid1", "raid1", 2, 128 * MIB, NULL, false };
	struct txn_fixture base;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	(void)state;
	txn_fixture_make(&base, &shape);
	txn_fixture_close(&base);
	fs = open_base(&base, false);
	assert_int_equal(sprout_judge_seed(fs, &d), -EINVAL);
	btrkit_fs_close(fs);

	fs = open_base(&base, true);
	le64_put(&fs->super.log_root, MIB);
	assert_int_equal(seed_mark_judge(fs, true, &d), -EBUSY);
	le64_put(&fs->super.log_root, 0);
	le64_put(&fs->super.incompat_flags, le64_get(fs->super.incompat_flags) | INCOMPAT_METADATA_UUID);
	memcpy(fs->super.metadata_uuid, fs->super.fsid, UUID_SIZE);
	assert_int_equal(seed_mark_judge(fs, true, &d), -EOPNOTSUPP);
	le64_put(&fs->super.incompat_flags, le64_get(fs->super.incompat_flags) & ~INCOMPAT_METADATA_UUID);
	le64_put(&fs->super.flags, le64_get(fs->super.flags) | SUPER_FLAG_ERROR);
	assert_int_equal(seed_mark_judge(fs, true, &d), -EBUSY);
	le64_put(&fs->super.flags, le64_get(fs->super.flags) & ~SUPER_FLAG_ERROR);
	fs->volume->devices->devices.items[1].super_generation--;
	assert_int_equal(seed_mark_judge(fs, true, &d), -EUCLEAN);
	btrkit_fs_close(fs);

	/* One device was marked when the power went: it is not a seed, and can be made one. */
	mark(&base, true);
	fs = open_base(&base, true);
	fs->volume->devices->devices.items[0].is_seeding = false;
	assert_int_equal(sprout_judge_seed(fs, &d), -EINVAL);
	assert_int_equal(seed_mark_judge(fs, true, &d), 0);
	assert_int_equal(seed_mark_judge(fs, false, &d), 0);
	btrkit_fs_close(fs);
	mark(&base, false);
	mark(&base, true);
	txn_fixture_done(&base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grown),	  cmocka_unit_test(test_power_cuts), cmocka_unit_test(test_failing_device),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_seeds_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
