/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data checksums in their tree, against an array: random insertions and deletions, and the shape of the items. */
#include "tests/unit/counting_source.h"
#include "kernel-shared/space/csum_range.h"

#define SECTORS 6000
#define BASE (5 * GIB)

struct fixture {
	struct counted_tree tree;
	struct csum_geometry geometry;
	u32 model[SECTORS]; /* 0: none; else what the checksum's bytes are made of */
	u8 csums[SECTORS * CSUM_BYTES_MAX];
};

static void fixture_make(struct fixture *f, u32 csum_bytes)
{
	memset(f->model, 0, sizeof(f->model));
	f->geometry = (struct csum_geometry){ 4096, csum_bytes };
	counted_tree_make(&f->tree, CSUM_TREE_OBJECTID, csum_bytes);
}

static void fill_csum(u8 *csum, u32 csum_bytes, u32 value)
{
	for (u32 i = 0; i < csum_bytes; i++)
		csum[i] = (u8)(value >> i % 4 * 8);
}

static void insert(struct fixture *f, u32 sector, u32 nr, u32 value)
{
	for (u32 i = 0; i < nr; i++) {
		f->model[sector + i] = value + i;
		fill_csum(f->csums + i * f->geometry.csum_bytes, f->geometry.csum_bytes, value + i);
	}
	assert_int_equal(csum_range_insert(&f->tree.root, &f->geometry, BASE + sector * 4096ULL, f->csums, nr, NULL), 0);
}

static void delete(struct fixture *f, u32 sector, u32 nr)
{
	memset(f->model + sector, 0, nr * sizeof(f->model[0]));
	assert_int_equal(csum_range_delete(&f->tree.root, &f->geometry, BASE + sector * 4096ULL, nr * 4096ULL, NULL), 0);
}

/* Every item is sound and within the limit, none overlap, and they say what the model says. */
static u32 compare(struct fixture *f)
{
	static bool is_known[SECTORS];
	struct cursor cursor = cursor_init(&f->tree.root.tree);
	u32 nr_items = 0, csum_bytes = f->geometry.csum_bytes;
	u64 end = 0;
	int err;

	counted_tree_check(&f->tree, csum_bytes);
	for (err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		assert_true(cursor_is_at(&cursor, EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY));
		assert_true(cursor_key(&cursor).offset >= end);
		assert_in_range(cursor_data_bytes(&cursor), csum_bytes,
				csum_item_max_sectors(COUNTED_NODESIZE, csum_bytes) * csum_bytes);
		end = cursor_key(&cursor).offset + cursor_data_bytes(&cursor) / csum_bytes * 4096ULL;
		nr_items++;
	}
	assert_int_equal(err, 1);
	cursor_done(&cursor);
	assert_int_equal(csum_range_find(&f->tree.root.tree, &f->geometry, BASE, SECTORS, f->csums, is_known, NULL), 0);
	for (u32 i = 0; i < SECTORS; i++) {
		u8 expected[CSUM_BYTES_MAX];

		assert_int_equal(is_known[i], f->model[i] != 0);
		fill_csum(expected, csum_bytes, f->model[i]);
		if (is_known[i])
			assert_memory_equal(f->csums + i * csum_bytes, expected, csum_bytes);
	}
	return nr_items;
}

static void random_changes(u32 csum_bytes, u64 seed)
{
	static struct fixture f;

	fixture_make(&f, csum_bytes);
	for (u32 step = 0; step < 4000; step++) {
		u32 most = next_number(&seed) % 8 ? 20 : 1500;
		u32 sector = next_number(&seed) % SECTORS, nr = 1 + next_number(&seed) % most;

		nr = MIN(nr, SECTORS - sector);
		if (next_number(&seed) % 2)
			insert(&f, sector, nr, 1 + next_number(&seed) % 100000);
		else
			delete(&f, sector, nr);
		if (step % 100 == 99)
			compare(&f);
		if (step % 500 == 499) {
			counted_tree_settle(&f.tree);
			compare(&f);
		}
		if (f.tree.source.next > MEMORY_VOLUME_LOGICAL + 7 * MIB)
			break;
	}
	delete(&f, 0, SECTORS);
	assert_int_equal(compare(&f), 0);
	assert_int_equal(f.tree.source.nr_used, 1);
	counted_tree_done(&f.tree);
}

static void test_random(void **state)
{
	(void)state;
	random_changes(4, 1);
	random_changes(4, 2);
	random_changes(8, 3);
	random_changes(32, 4);
}

static void test_items(void **state)
{
	static struct fixture f;
	u32 most = csum_item_max_sectors(COUNTED_NODESIZE, 4);

	(void)state;
	assert_int_equal(most, (4096 - 101 - 50) / 4 - 1);
	assert_int_equal(csum_item_max_sectors(65536, 4), 4096);
	fixture_make(&f, 4);
	/* What follows an item is put behind it, up to the limit. */
	insert(&f, 10, 5, 100);
	insert(&f, 15, 5, 200);
	assert_int_equal(compare(&f), 1);
	insert(&f, 20, most, 300);
	assert_int_equal(compare(&f), 2);
	insert(&f, 9, 1, 5);
	assert_int_equal(compare(&f), 3);
	/* Cut at the end, at the beginning, in the middle. */
	delete(&f, 15, 5);
	delete(&f, 10, 1);
	delete(&f, 40, 3);
	compare(&f);
	/* Nothing there. */
	delete(&f, 15, 5);
	delete(&f, 5000, 100);
	/* What is replaced. */
	insert(&f, 8, 50, 7000);
	compare(&f);
	delete(&f, 0, SECTORS);
	assert_int_equal(compare(&f), 0);
	/* Errors. */
	assert_int_equal(csum_range_delete(&f.tree.root, &f.geometry, BASE + 1, 4096, NULL), -EINVAL);
	assert_int_equal(csum_range_delete(&f.tree.root, &f.geometry, BASE, 100, NULL), -EINVAL);
	assert_int_equal(csum_range_delete(&f.tree.root, &f.geometry, UINT64_MAX - 4095, 4096, NULL), -EINVAL);
	assert_int_equal(csum_range_insert(&f.tree.root, &f.geometry, BASE, f.csums, UINT64_MAX / 2, NULL), -EINVAL);
	counted_tree_done(&f.tree);
}

/* An allocation fails: the error comes out. */
static void test_no_space(void **state)
{
	static struct fixture f;

	(void)state;
	for (u64 fail_at = 1; fail_at < 12; fail_at++) {
		fixture_make(&f, 32);
		f.tree.source.fail_at = fail_at;
		memset(f.csums, 1, sizeof(f.csums));
		assert_int_equal(csum_range_insert(&f.tree.root, &f.geometry, BASE, f.csums, SECTORS, NULL), -ENOSPC);
		counted_tree_done(&f.tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_no_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
