/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks that are given other stripes when things go wrong: the power goes at any moment, a disk fails at any
 * operation, memory is refused at any allocation. Each chunk is where it was or where it goes to, whole, and the work
 * can be done again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* Less of them: every state is checked as a whole. */
#define RELOCATE_FILES 4

#include "kernel-shared/txn/txn_state.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/relocate_fixture.h"

static const struct {
	const char *from, *to;
	bool may_keep;
} cases[] = {
	{ "single", "raid1", true }, { "raid1", "single", true }, { "raid1", "raid1", false },
	{ "raid1", "raid5", true },  { "raid5", "raid0", true },  { "raid0", "raid1c3", true },
};

struct work {
	struct relocate_state s;
	u64 profile;
	bool may_keep;
	u64 logical[16]; /* of chunks that there were */
	u64 before[16], after[16]; /* where their first stripes are: device and place */
	size_t nr;
	const char *what;
};

/* Where a chunk is; not the same for two places. */
static u64 place_of(const struct chunk *chunk)
{
	u64 sum = chunk->type;

	for (u16 i = 0; i < chunk->num_stripes; i++)
		sum = (sum * 31 + chunk->stripe[i].devid) * 1000003 + chunk->stripe[i].physical;
	return sum;
}

static void places(const struct work *w, const struct btrkit_fs *fs, u64 *ret_places)
{
	for (size_t i = 0; i < w->nr; i++)
		ret_places[i] = place_of(chunk_map_find(fs->volume->chunks, w->logical[i]));
}

static int work(struct work *w, struct btrkit_fs *fs, struct diag *d)
{
	return convert_chunks(&w->s, fs, ALL_TYPES, w->profile, w->may_keep, NULL, d);
}

static void work_init(struct work *w, size_t c)
{
	const struct txn_shape shape = { "faults", 4096, cases[c].from, cases[c].from, 3, GIB, NULL, false };
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	*w = (struct work){ .profile = profile_by_name(cases[c].to)->flag, .may_keep = cases[c].may_keep };
	w->what = cases[c].to;
	state_make(&w->s, &shape, true);
	fs = state_open(&w->s, true);
	w->nr = all_chunks(fs, w->logical, ARRAY_LEN(w->logical));
	places(w, fs, w->before);
	must(work(w, fs, &d), &d);
	places(w, fs, w->after);
	btrkit_fs_close(fs);
	for (size_t i = 0; i < w->nr; i++)
		assert_true(w->before[i] != w->after[i]);
}

static void work_done(struct work *w)
{
	state_done(&w->s);
}

/* How many chunks have been moved, one after the other. @fs is taken over, and is sound. */
static size_t judge(const struct work *w, struct btrkit_fs *fs)
{
	u64 now[16];
	size_t nr = 0;

	places(w, fs, now);
	while (nr < w->nr && now[nr] == w->after[nr])
		nr++;
	for (size_t i = nr; i < w->nr; i++)
		assert_true(now[i] == w->before[i]);
	assert_sound(fs, w->what, JUDGE_NO_SUPERS);
	return nr;
}

/* Before superblocks are written all else is on stable storage, on every device. */
static void assert_flushed(const struct work *w)
{
	bool is_dirty[TXN_DEVICES_MAX] = { false };
	unsigned nr_supers = 0;

	for (size_t i = 0; i < w->s.log.records.len; i++) {
		const struct record *record = &w->s.log.records.items[i];

		if (record->kind == RECORD_FLUSH) {
			is_dirty[record->device] = false;
		} else if (record->offset != super_mirror_physical(0)) {
			is_dirty[record->device] = true;
		} else {
			for (unsigned dev = 0; dev < w->s.base.nr_devices; dev++)
				assert_false(is_dirty[dev]);
			nr_supers++;
		}
	}
	assert_true(nr_supers >= w->nr * w->s.base.nr_devices);
}

static void test_power_cuts(void **state)
{
	unsigned nr_cuts = 0, nr_seeds = getenv("BTRKIT_LONG") ? 20 : 1;

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		struct work w;
		size_t nr = 0;

		work_init(&w, c);
		assert_flushed(&w);
		for (size_t n = 0; n <= w.s.log.records.len; n++) {
			size_t seen = judge(&w, state_look(&w.s, n, NULL, NULL)), none, some;

			none = judge(&w, state_look(&w.s, n, choose_none, NULL));
			assert_in_range(seen, nr, nr + 1);
			assert_in_range(none, nr ? nr - 1 : 0, seen);
			nr = seen;
			nr_cuts += 2;
			for (u32 seed = 0; seed < nr_seeds; seed++, nr_cuts++) {
				some = judge(&w, state_look(&w.s, n, choose_some, &seed));
				assert_in_range(some, none, seen);
			}
		}
		assert_int_equal(nr, w.nr);
		work_done(&w);
	}
	print_message("%u power cuts: each chunk where it was, or where it goes to\n", nr_cuts);
}

static void test_failing_disk(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		struct work w;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		u64 nr_before, nr_operations, step;

		work_init(&w, c);
		state_reset(&w.s);
		fs = state_open(&w.s, true);
		nr_before = w.s.log.nr_operations;
		must(work(&w, fs, &d), &d);
		btrkit_fs_close(fs);
		nr_operations = w.s.log.nr_operations;
		step = getenv("BTRKIT_LONG") ? 1 : MAX((nr_operations - nr_before) / 60, (u64)1);
		for (u64 fail_at = nr_before + 1; fail_at <= nr_operations; fail_at += step, nr++) {
			state_reset(&w.s);
			fs = state_open(&w.s, true);
			w.s.log.fail_at = fail_at;
			assert_true(work(&w, fs, &d) < 0);
			btrkit_fs_close(fs);
			w.s.log.fail_at = 0;
			(void)judge(&w, state_look(&w.s, SIZE_MAX, NULL, NULL));
			/* And again, with the disk in order. */
			fs = state_open(&w.s, true);
			must(work(&w, fs, &d), &d);
			btrkit_fs_close(fs);
			assert_sound(state_look(&w.s, SIZE_MAX, NULL, NULL), w.what, JUDGE_NO_SUPERS);
		}
		work_done(&w);
	}
	print_message("%u failures of a disk: told of, and the work can be done again\n", nr);
}

static void test_no_memory(void **state)
{
	unsigned nr = 0, nr_lost = 0;

	(void)state;
	if (!can_fail_malloc) {
		print_message("[  SKIPPED ] the allocator of this build cannot be made to fail\n");
		skip();
	}
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		struct work w;
		bool is_over = false;

		work_init(&w, c);
		for (unsigned long at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 10) {
			struct btrkit_fs *fs;
			struct diag d = { 0 };
			int err;

			state_reset(&w.s);
			fs = state_open(&w.s, true);
			fail_malloc_at = at;
			err = work(&w, fs, &d);
			is_over = fail_malloc_at != 0;
			fail_malloc_at = 0;
			if (err) {
				/* The recorder's own allocations fail as a disk does. */
				if (err != -ENOMEM && err != -EIO)
					fail_msg("allocation %lu: %i: %s", at, err, d.text);
				nr_lost += fs->txn->is_lost;
				nr++;
				if (!fs->txn->is_lost) {
					(void)judge(&w, state_look(&w.s, SIZE_MAX, NULL, NULL));
					must(work(&w, fs, &d), &d);
				}
			}
			btrkit_fs_close(fs);
			assert_sound(state_look(&w.s, SIZE_MAX, NULL, NULL), w.what, JUDGE_NO_SUPERS);
		}
		work_done(&w);
	}
	assert_true(nr_lost < nr / 2);
	print_message("%u allocations of memory refused: the work can be done again\n", nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cuts),
		cmocka_unit_test(test_failing_disk),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
