/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A group's part of the free space tree, as runs and as bitmaps, brought up to date with changes at random: it says just what
 * is free, counts the runs, has the form that Linux would give it, and is refused when it did not say what was.
 */
#include "tests/unit/counting_source.h"
#include "kernel-shared/space/free_space_tree.h"
#include "kernel-shared/space/sector_bits.h"

#define SECTORSIZE 4096U
#define LOGICAL (64 * MIB)
#define BITMAP_SECTORS FREE_SPACE_BITMAP_SECTORS
#define SECTORS_MAX 50000U

struct fixture {
	struct counted_tree tree;
	struct block_group group;
	u64 now[(SECTORS_MAX + 63) / 64], disk[(SECTORS_MAX + 63) / 64];
	bool has_bitmaps;
	u32 nr_conversions;
};

static void put(struct fixture *f, const struct key *key, const void *data, u32 bytes)
{
	struct edit edit = edit_init(&f->tree.root);

	assert_int_equal(edit_put(&edit, key, data, bytes, NULL), 0);
	edit_done(&edit);
}

static void fixture_make(struct fixture *f, u32 nr_sectors, bool has_bitmaps)
{
	const struct key info_key = { LOGICAL, FREE_SPACE_INFO_KEY, (u64)nr_sectors * SECTORSIZE };
	struct disk_free_space_info info = { 0 };

	memset(f, 0, sizeof(*f));
	counted_tree_make(&f->tree, FREE_SPACE_TREE_OBJECTID, 4);
	f->has_bitmaps = has_bitmaps;
	f->group = (struct block_group){ .logical = LOGICAL,
					 .length = (u64)nr_sectors * SECTORSIZE,
					 .nr_sectors = nr_sectors,
					 .is_loaded = true,
					 .now = f->now,
					 .disk = f->disk };
	if (!has_bitmaps) {
		assert_int_equal(free_space_tree_add_group(&f->tree.root, SECTORSIZE, &f->group, NULL), 0);
		return;
	}
	le32_put(&info.extent_count, 1);
	le32_put(&info.flags, FREE_SPACE_USING_BITMAPS);
	put(f, &info_key, &info, sizeof(info));
	for (u32 from = 0; from < nr_sectors; from += BITMAP_SECTORS) {
		u32 nr = MIN(BITMAP_SECTORS, nr_sectors - from);
		const struct key key = { LOGICAL + (u64)from * SECTORSIZE, FREE_SPACE_BITMAP_KEY, (u64)nr * SECTORSIZE };
		u8 bits[BITMAP_SECTORS / 8] = { 0 };

		for (u32 i = 0; i < nr; i++)
			bits[i / 8] |= (u8)(1U << i % 8);
		put(f, &key, bits, (nr + 7) / 8);
	}
}

static void fixture_done(struct fixture *f)
{
	free(f->group.listed);
	counted_tree_done(&f->tree);
}

static bool is_free(const struct fixture *f, u32 sector)
{
	return sector < f->group.nr_sectors && !(f->now[sector / 64] >> sector % 64 & 1);
}

static u32 see_run(const struct fixture *f, const struct key *key, u32 at)
{
	u32 from = (u32)((key->objectid - LOGICAL) / SECTORSIZE), end = from + (u32)(key->offset / SECTORSIZE);

	for (; at < from; at++)
		assert_false(is_free(f, at));
	for (; at < end; at++)
		assert_true(is_free(f, at));
	assert_false(is_free(f, at));
	return at;
}

static u32 see_bitmap(const struct fixture *f, const struct key *key, const u8 *bits, u32 at)
{
	assert_int_equal(key->objectid, LOGICAL + (u64)at * SECTORSIZE);
	for (u32 i = 0; i < key->offset / SECTORSIZE; i++)
		assert_int_equal(bits[i / 8] >> i % 8 & 1, is_free(f, at + i));
	return at + (u32)(key->offset / SECTORSIZE);
}

static u32 count_free_runs(const struct fixture *f)
{
	u32 nr = 0;

	for (u32 i = 0; i < f->group.nr_sectors; i++)
		nr += is_free(f, i) && (i == 0 || !is_free(f, i - 1));
	return nr;
}

/* Which form a group takes: an item has 25 bytes beside its data, a bitmap 256 of these. */
static bool expected_bitmaps(const struct fixture *f)
{
	u32 most = (f->group.nr_sectors + BITMAP_SECTORS - 1) / BITMAP_SECTORS * (256 + 25) / 25;
	u32 nr = count_free_runs(f);

	return nr > most || (f->has_bitmaps && nr + 100 >= most);
}

/* The tree says what is free, in the form that the fixture says. */
static void compare_items(struct fixture *f)
{
	struct cursor cursor = cursor_init(&f->tree.root.tree);
	u32 at = 0, nr_runs = 0, nr_free_runs = 0, counted = UINT32_MAX;
	int err;

	counted_tree_check(&f->tree, 4);
	for (err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);
		const struct disk_free_space_info *info = cursor_data(&cursor);

		nr_runs++;
		if (key.type == FREE_SPACE_INFO_KEY) {
			counted = le32_get(info->extent_count);
			assert_int_equal(le32_get(info->flags), f->has_bitmaps ? FREE_SPACE_USING_BITMAPS : 0);
			nr_runs--;
		} else if (key.type == FREE_SPACE_EXTENT_KEY) {
			assert_false(f->has_bitmaps);
			at = see_run(f, &key, at);
		} else {
			assert_true(f->has_bitmaps);
			at = see_bitmap(f, &key, cursor_data(&cursor), at);
		}
	}
	cursor_done(&cursor);
	for (; at < f->group.nr_sectors; at++)
		assert_false(is_free(f, at));
	nr_free_runs = count_free_runs(f);
	assert_int_equal(counted, nr_free_runs);
	if (!f->has_bitmaps)
		assert_int_equal(nr_runs, nr_free_runs);
}

/* The same after an update, which may have given it the other form. */
static void compare(struct fixture *f)
{
	bool has_bitmaps = expected_bitmaps(f);

	f->nr_conversions += has_bitmaps != f->has_bitmaps;
	f->has_bitmaps = has_bitmaps;
	compare_items(f);
}

static void change_random(struct fixture *f, u64 *seed)
{
	u32 nr = next_number(seed) % 40;
	bool is_crumbling = next_number(seed) % 8 == 0;

	if (is_crumbling)
		nr = 1200;
	for (u32 i = 0; i < nr; i++) {
		u32 from = next_number(seed) % f->group.nr_sectors, kind = is_crumbling ? 9 : next_number(seed) % 10;
		u32 count = 1 + next_number(seed) % (kind == 0 ? f->group.nr_sectors : kind < 5 ? 100 : 3);

		count = MIN(count, f->group.nr_sectors - from);
		if (next_number(seed) % 2)
			sector_bits_set(f->now, from, count);
		else
			sector_bits_clear(f->now, from, count);
	}
}

/* Returns how often the group went from runs to bitmaps or back. */
static u32 work(u32 nr_sectors, bool has_bitmaps, u64 seed)
{
	static struct fixture f;
	struct diag d = { 0 };

	fixture_make(&f, nr_sectors, has_bitmaps);
	compare_items(&f);
	for (unsigned round = 0; round < 150; round++) {
		change_random(&f, &seed);
		if (free_space_tree_update(&f.tree.root, SECTORSIZE, &f.group, &d) != 0)
			fail_msg("%s", d.text);
		compare(&f);
		assert_memory_equal(f.group.listed ? f.group.listed : f.disk, f.now, sector_bits_words(nr_sectors) * 8);
		/* As a commit does. */
		if (round % 4 == 3) {
			memcpy(f.disk, f.now, sizeof(f.disk));
			free(f.group.listed);
			f.group.listed = NULL;
		}
		if (round % 20 == 19)
			counted_tree_settle(&f.tree);
	}
	/* All in use, and all free. */
	sector_bits_set(f.now, 0, nr_sectors);
	assert_int_equal(free_space_tree_update(&f.tree.root, SECTORSIZE, &f.group, &d), 0);
	compare(&f);
	sector_bits_clear(f.now, 0, nr_sectors);
	assert_int_equal(free_space_tree_update(&f.tree.root, SECTORSIZE, &f.group, &d), 0);
	compare(&f);
	fixture_done(&f);
	return f.nr_conversions;
}

static void test_random(void **state)
{
	u32 nr = 0;

	(void)state;
	for (unsigned has_bitmaps = 0; has_bitmaps < 2; has_bitmaps++) {
		nr += work(SECTORS_MAX, has_bitmaps, 1); /* the last bitmap is short */
		nr += work(24 * BITMAP_SECTORS, has_bitmaps, 2);
		nr += work(10000, has_bitmaps, 3);
		nr += work(BITMAP_SECTORS + 13, has_bitmaps, 4);
		nr += work(777, has_bitmaps, 5);
		nr += work(64, has_bitmaps, 6);
		nr += work(1, has_bitmaps, 7);
	}
	assert_true(nr >= 20);
}

static void set_runs(struct fixture *f, u32 nr)
{
	sector_bits_set(f->now, 0, f->group.nr_sectors);
	for (u32 i = 0; i < nr; i++)
		sector_bits_clear(f->now, 2 * i + 1, 1);
}

/* 20 bitmaps take as much room as 224 runs. */
static void test_thresholds(void **state)
{
	static const struct {
		u32 nr_runs;
		bool has_bitmaps;
	} steps[] = { { 223, 0 }, { 224, 0 }, { 225, 1 }, { 224, 1 }, { 124, 1 }, { 123, 0 }, { 224, 0 },
		      { 9000, 1 }, { 1, 0 }, { 225, 1 }, { 0, 0 } };
	static struct fixture f;
	struct diag d = { 0 };

	(void)state;
	fixture_make(&f, 20 * BITMAP_SECTORS, false);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		set_runs(&f, steps[i].nr_runs);
		assert_int_equal(free_space_tree_update(&f.tree.root, SECTORSIZE, &f.group, &d), 0);
		compare(&f);
		assert_int_equal(f.has_bitmaps, steps[i].has_bitmaps);
	}
	fixture_done(&f);
	/* A small group keeps its bitmap, whatever comes. */
	fixture_make(&f, BITMAP_SECTORS, false);
	set_runs(&f, 11);
	assert_int_equal(free_space_tree_update(&f.tree.root, SECTORSIZE, &f.group, &d), 0);
	compare(&f);
	assert_false(f.has_bitmaps);
	for (unsigned nr = 12; nr < 13; nr--) {
		set_runs(&f, nr);
		assert_int_equal(free_space_tree_update(&f.tree.root, SECTORSIZE, &f.group, &d), 0);
		compare(&f);
		assert_true(f.has_bitmaps);
	}
	fixture_done(&f);
}

/* --- What is wrong ---------------------------------------- */

static int update(struct fixture *f)
{
	struct diag d = { 0 };
	int err = free_space_tree_update(&f->tree.root, SECTORSIZE, &f->group, &d);

	if (err)
		assert_non_null(strstr(d.text, "does not agree"));
	return err;
}

/* Sector 100 is said to be in use, but is not, and then changes; and the other way round. */
static void test_disagreement(void **state)
{
	(void)state;
	for (unsigned has_bitmaps = 0; has_bitmaps < 2; has_bitmaps++) {
		static struct fixture f;

		fixture_make(&f, SECTORS_MAX, has_bitmaps);
		sector_bits_set(f.disk, 100, 1);
		assert_int_equal(update(&f), -EUCLEAN);
		fixture_done(&f);
		fixture_make(&f, SECTORS_MAX, has_bitmaps);
		sector_bits_set(f.now, 100, 1);
		assert_int_equal(update(&f), 0);
		memset(f.group.listed, 0, sizeof(f.disk));
		assert_int_equal(update(&f), -EUCLEAN);
		fixture_done(&f);
	}
}

/* The same when a group changes its form, and one that has both forms. */
static void test_disagreement_in_conversion(void **state)
{
	const struct key stray[] = { { LOGICAL + 40 * SECTORSIZE, FREE_SPACE_EXTENT_KEY, SECTORSIZE },
				     { LOGICAL + 40 * SECTORSIZE, FREE_SPACE_BITMAP_KEY, 64 * SECTORSIZE } };

	(void)state;
	for (unsigned from = 0; from < 2; from++)
		for (unsigned what = 0; what < 3; what++) {
			static struct fixture f;

			fixture_make(&f, 20 * BITMAP_SECTORS, false);
			set_runs(&f, from ? 9000 : 200);
			assert_int_equal(update(&f), 0);
			compare(&f);
			assert_int_equal(f.has_bitmaps, from);
			if (what < 2)
				put(&f, &stray[what], (u8[8]){ 0 }, what ? 8 : 0);
			else
				f.group.listed[1] ^= 2;
			set_runs(&f, from ? 20 : 9000);
			assert_int_equal(update(&f), -EUCLEAN);
			fixture_done(&f);
		}
}

static void test_missing_items(void **state)
{
	const struct key info = { LOGICAL, FREE_SPACE_INFO_KEY, (u64)SECTORS_MAX * SECTORSIZE };
	const struct key second = { LOGICAL + BITMAP_SECTORS * (u64)SECTORSIZE, FREE_SPACE_BITMAP_KEY,
				    BITMAP_SECTORS * (u64)SECTORSIZE };
	static struct fixture f;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct edit edit;

		fixture_make(&f, SECTORS_MAX, true);
		edit = edit_init(&f.tree.root);
		assert_int_equal(edit_delete_key(&edit, i ? &info : &second, NULL), 0);
		edit_done(&edit);
		sector_bits_set(f.now, 5000, 1);
		assert_int_equal(update(&f), -EUCLEAN);
		fixture_done(&f);
	}
}

static void test_remove_group(void **state)
{
	const struct key other = { LOGICAL + (u64)SECTORS_MAX * SECTORSIZE, FREE_SPACE_INFO_KEY, 64 * MIB };
	struct disk_free_space_info info = { 0 };
	u64 seed = 9;

	(void)state;
	for (unsigned has_bitmaps = 0; has_bitmaps < 2; has_bitmaps++) {
		static struct fixture f;
		struct cursor cursor;

		fixture_make(&f, SECTORS_MAX, has_bitmaps);
		put(&f, &other, &info, sizeof(info));
		for (unsigned i = 0; i < 20; i++)
			change_random(&f, &seed);
		assert_int_equal(update(&f), 0);
		assert_int_equal(free_space_tree_remove_group(&f.tree.root, &f.group, NULL), 0);
		cursor = cursor_init(&f.tree.root.tree);
		assert_int_equal(cursor_first(&cursor, NULL), 0);
		assert_int_equal(cursor_key(&cursor).objectid, other.objectid);
		assert_int_equal(cursor_next(&cursor, NULL), 1);
		cursor_done(&cursor);
		fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_disagreement),
		cmocka_unit_test(test_disagreement_in_conversion),
		cmocka_unit_test(test_missing_items),
		cmocka_unit_test(test_remove_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
