/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions on RAID5/6. Rows in which something committed lies are not written as long as there are others; when there
 * are none, they are, and what is rotten in them can still be rebuilt afterwards.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check/check.h"
#include "kernel-shared/device/record_device.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/space/sector_bits.h"
#include "kernel-shared/txn/txn_state.h"
#include "kernel-shared/volume/map.h"
#include "tests/unit/layered_fs.h"
#include "tests/unit/txn_work.h"

static const struct txn_shape shapes[] = {
	{ "raid5", 4096, "raid5", "raid5", 3, 128 * MIB, NULL, false },
	{ "raid6", 16384, "raid6", "raid6", 4, 128 * MIB, NULL, false },
	{ "mixed", 4096, "raid5", "raid5", 4, 128 * MIB, NULL, true },
	{ "raid6 on three", 16384, "raid6", "raid5", 3, 128 * MIB, NULL, false },
};

/* With one lot of work committed. */
static void make(struct txn_fixture *f, const struct txn_shape *shape, struct model *model, u64 *seed)
{
	struct diag d = { 0 };

	memset(model, 0, sizeof(*model));
	txn_fixture_make(f, shape);
	if (do_work(f, FS_TREE_OBJECTID, model, 400, 10, seed, &d) != 0 || txn_commit(f->txn, &d) != 0)
		fail_msg("%s: %s", shape->name, d.text);
}

static void work(struct txn_fixture *f, struct model *model, u64 *seed)
{
	struct diag d = { 0 };

	if (do_work(f, FS_TREE_OBJECTID, model, 100, 5, seed, &d) != 0 || txn_commit(f->txn, &d) != 0)
		fail_msg("%s", d.text);
}

/* --- Rows ---------------------------------------- */

#define ROWS_MAX 4096

/* Does anything committed lie in a row of a group? */
static bool is_old(const struct txn *txn, struct block_group *group, u64 row_bytes, u64 row)
{
	u32 per_row = (u32)(row_bytes / txn->groups.sectorsize), from = (u32)(row * per_row);

	assert_int_equal(block_groups_load((struct block_groups *)&txn->groups, group, NULL), 0);
	return !sector_bits_all(group->disk, from, MIN(per_row, group->nr_sectors - from), false);
}

static u64 row_bytes_of(const struct chunk *chunk)
{
	return profile_data_stripes(chunk->profile, chunk->num_stripes) * STRIPE_LEN_BYTES;
}

/* The rows of all chunks, in order, in which something committed lies. */
static size_t old_rows(const struct txn_fixture *f, bool *ret_is_old)
{
	size_t nr = 0;

	array_for_each (&f->txn->groups.groups, group) {
		const struct chunk *chunk = chunk_map_find(f->fs->volume->chunks, (*group)->logical);

		for (u64 row = 0; row < chunk->length / row_bytes_of(chunk); row++) {
			assert_true(nr < ROWS_MAX);
			ret_is_old[nr++] = is_old(f->txn, *group, row_bytes_of(chunk), row);
		}
	}
	return nr;
}

/* Which of these rows does a write meet? */
static void note_write(const struct txn_fixture *f, const struct record *record, bool *is_written)
{
	size_t first = 0;

	for (size_t i = 0; i < chunk_map_count(f->fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(f->fs->volume->chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++) {
			u64 at = record->offset - chunk->stripe[s].physical;

			if (chunk->stripe[s].devid != record->device + 1 || record->offset < chunk->stripe[s].physical ||
			    at >= chunk->stripe_bytes)
				continue;
			for (u64 end = at + record->len; at < end; at += STRIPE_LEN_BYTES - at % STRIPE_LEN_BYTES)
				is_written[first + at / STRIPE_LEN_BYTES] = true;
		}
		first += chunk->length / row_bytes_of(chunk);
	}
}

static void old_rows_are_left_alone(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		static bool old[ROWS_MAX], written[ROWS_MAX];
		struct blockdev *devices[TXN_DEVICES_MAX];
		struct record_log log = { 0 };
		struct txn_fixture base, f = { 0 };
		struct model model;
		struct txn_target target;
		u64 seed = 3;

		make(&base, &shapes[s], &model, &seed);
		txn_fixture_close(&base);
		record_log_init(&log);
		layered_devices(&base, &log, devices);
		f.fs = layered_open(&base, devices);
		target = txn_target_of(f.fs);
		assert_int_equal(txn_new(&target, false, &f.txn, NULL), 0);
		/* The same devices go on being used: what one transaction has committed is left alone by the next. */
		for (unsigned round = 0; round < 5; round++) {
			size_t nr = old_rows(&f, old), first = log.records.len, nr_written = 0, nr_chunks;

			nr_chunks = chunk_map_count(f.fs->volume->chunks);
			memset(written, 0, sizeof(written));
			work(&f, &model, &seed);
			assert_int_equal(chunk_map_count(f.fs->volume->chunks), nr_chunks);
			for (size_t i = first; i < log.records.len; i++)
				if (log.records.items[i].kind == RECORD_WRITE)
					note_write(&f, &log.records.items[i], written);
			for (size_t row = 0; row < nr; row++) {
				assert_false(old[row] && written[row]);
				nr_written += written[row];
			}
			assert_true(nr_written > 0);
		}
		txn_free(f.txn);
		btrkit_fs_close(f.fs);
		record_log_done(&log);
		txn_fixture_done(&base);
	}
}

/* --- No row is fresh ---------------------------------------- */

/* A sector of each row is kept from use, so that no row counts as fresh, though most are empty. */
static void spoil_all_rows(struct txn_fixture *f)
{
	array_for_each (&f->txn->groups.groups, group) {
		const struct chunk *chunk = chunk_map_find(f->fs->volume->chunks, (*group)->logical);
		u64 row_bytes = row_bytes_of(chunk);

		for (u64 row = 0; row < chunk->length / row_bytes; row++)
			if (!is_old(f->txn, *group, row_bytes, row))
				assert_int_equal(txn_exclude(f->txn, chunk->logical + row * row_bytes, 4096, NULL), 0);
	}
}

/* In each row, as many members as can be borne hold something else; the superblocks are spared. */
static void rot(const struct txn_fixture *f, unsigned turn)
{
	static u8 junk[STRIPE_LEN_BYTES];

	memset(junk, 0xb6 + (int)turn, sizeof(junk));
	for (size_t i = 0; i < chunk_map_count(f->fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(f->fs->volume->chunks, i);

		for (u64 row = 0; row < chunk->stripe_bytes / STRIPE_LEN_BYTES; row++)
			for (unsigned n = 0; n < chunk->profile->parity; n++) {
				const struct chunk_stripe *stripe = &chunk->stripe[(row / 2 + n + turn) % chunk->num_stripes];
				u64 at = stripe->physical + row * STRIPE_LEN_BYTES;

				if (at + STRIPE_LEN_BYTES > super_mirror_physical(1) && at < super_mirror_physical(1) + 64 * KIB)
					continue;
				assert_int_equal(blockdev_write(device_set_find(f->fs->volume->devices, stripe->devid, NULL)->dev,
								at, junk, sizeof(junk), NULL), 0);
			}
	}
}

static int count_lost(void *arg, const struct btrkit_problem *problem)
{
	unsigned *nr_copies = arg;

	if (problem->kind->severity < BTRKIT_PROBLEM_WARNING)
		return 0;
	if (strcmp(problem->kind->code, "data-copy-bad") != 0 && strcmp(problem->kind->code, "block-copy-bad") != 0)
		fail_msg("%s: %s", problem->kind->code, problem->text);
	++*nr_copies;
	return 0;
}

/* All is there, in some copy. */
static void assert_nothing_lost(struct txn_fixture *f, const struct model *model)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	struct btrkit_error error;
	unsigned nr_copies = 0;

	assert_true(has_xattrs(f->fs, FS_TREE_OBJECTID, model));
	btrkit_check_options_init(&options);
	options.open.is_exclusive = false;
	options.open.no_device_scan = true;
	options.threads = 1;
	options.do_data = true;
	if (btrkit_check(f->path_list, f->nr_devices, &options, count_lost, &nr_copies, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_true(nr_copies > 0);
}

static void rot_beside_new_blocks_is_not_sealed(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct txn_fixture f;
		struct model model;
		u64 seed = 5;

		make(&f, &shapes[s], &model, &seed);
		rot(&f, (unsigned)s);
		txn_fixture_close(&f);
		txn_fixture_open(&f);
		assert_nothing_lost(&f, &model);
		for (unsigned round = 0; round < 3; round++) {
			spoil_all_rows(&f);
			work(&f, &model, &seed);
			assert_nothing_lost(&f, &model);
		}
		txn_fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_rows_are_left_alone),
		cmocka_unit_test(rot_beside_new_blocks_is_not_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
