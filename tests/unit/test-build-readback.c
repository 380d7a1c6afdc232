/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/build and tree: trees that the builder wrote, walked and searched with cursors, whole and damaged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/build/tree_builder.h"
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/tree/tree.h"

#define NODESIZE 4096
#define SPACE_LOGICAL (16 * MIB)
#define SPACE_BYTES (64 * MIB)
#define OWNER 300
#define GENERATION 9

/* --- A tree on a device in memory ----------------------------------------------------------------------------- */

struct built {
	struct volume *volume;
	struct linear_space space;
	struct block_identity id;
	struct block_cache *cache;
	struct tree tree;
	struct tree_shape shape;
	u64 nr_items;
	u32 item_bytes;
};

#define TYPE_FIRST 40 /* item types that nobody knows, and nobody checks */

/* Every third number, so that there is a gap on both sides of each key; objectids and types change too. */
static struct key key_at(u64 index)
{
	const u64 number = index * 3 + 1;

	return (struct key){ 1000 + number / 30, (u8)(TYPE_FIRST + number % 30 / 10), number % 10 * 1000 };
}

/* The key just above or below @key. */
static struct key beside(struct key key, int direction)
{
	if (direction > 0)
		key.offset++;
	else if (key.offset-- == 0)
		key.type--;
	return key;
}

static void make_volume(struct built *b)
{
	struct device device = { .devid = 1 };
	struct chunk *chunk = chunk_new(1);
	struct device_set *set;
	struct chunk_map *map;

	assert_non_null(chunk);
	assert_int_equal(memory_device_new("memory", SPACE_BYTES, &device.dev), 0);
	assert_int_equal(device_set_new(&set), 0);
	assert_int_equal(device_set_add(set, &device, NULL), 0);
	assert_int_equal(chunk_map_new(&map), 0);
	*chunk = (struct chunk){ .logical = SPACE_LOGICAL, .length = SPACE_BYTES, .num_stripes = 1,
				 .type = BLOCK_GROUP_METADATA };
	chunk_derive(chunk);
	chunk->stripe[0].devid = 1;
	assert_int_equal(chunk_map_add(map, chunk, NULL), 0);
	free(chunk);
	assert_int_equal(volume_new(set, map, 4096, NODESIZE, &b->volume, NULL), 0);
	assert_int_equal(linear_space_add(&b->space, SPACE_LOGICAL, SPACE_BYTES), 0);
}

static void write_tree(struct built *b)
{
	struct tree_builder_options options = { .id = &b->id, .sectorsize = 4096, .volume = b->volume, .owner = OWNER };
	struct tree_builder *builder;
	struct tree_sizer sizer;
	u64 root;

	tree_sizer_init(&sizer, NODESIZE);
	tree_sizer_add_many(&sizer, b->item_bytes, b->nr_items);
	assert_int_equal(tree_sizer_finish(&sizer, &b->shape), 0);
	options.shape = b->shape;
	options.place = (struct tree_place){ &b->space, 0 };
	assert_int_equal(tree_builder_new(&options, &builder, NULL), 0);
	for (u64 i = 0; i < b->nr_items; i++) {
		const struct key key = key_at(i);
		void *data;

		assert_int_equal(tree_builder_reserve(builder, &key, b->item_bytes, &data, NULL), 0);
		memset(data, (int)(i % 251), b->item_bytes);
	}
	assert_int_equal(tree_builder_finish(builder, &root, NULL), 0);
	tree_builder_free(builder);
	b->tree = (struct tree){ .id = OWNER, .root_logical = root, .generation = GENERATION,
				 .level = tree_shape_root_level(&b->shape) };
}

static void open_cache(struct built *b, size_t cache_bytes)
{
	const struct block_check_params params = { NODESIZE, 4096, 4, GENERATION };

	block_cache_free(b->cache);
	assert_int_equal(block_cache_new(b->volume, &params, b->id.csum, b->id.fsid, cache_bytes, &b->cache), 0);
	b->tree.cache = b->cache;
}

static void build(struct built *b, u64 nr_items, u32 item_bytes)
{
	*b = (struct built){ .nr_items = nr_items, .item_bytes = item_bytes };
	b->id = (struct block_identity){ .nodesize = NODESIZE, .csum = csum_kind_by_name("crc32c"), .generation = GENERATION };
	memset(b->id.fsid, 0x77, UUID_SIZE);
	make_volume(b);
	write_tree(b);
	open_cache(b, 0);
}

static void done(struct built *b)
{
	block_cache_free(b->cache);
	volume_free(b->volume);
	linear_space_done(&b->space);
}

/* Items in one leaf. */
static u64 per_leaf(u32 item_bytes)
{
	return leaf_data_bytes(NODESIZE) / (item_bytes + sizeof(struct disk_item));
}

/* --- What cursors must find ------------------------------------------------------------------------------------------ */

/* The cursor stands on item @index, or nowhere when @index is not among the items. */
static void expect_at(const struct built *b, const struct cursor *cursor, int result, u64 index)
{
	struct key expected, found;
	const u8 *data;

	if (index >= b->nr_items) { /* also -1: before the first */
		assert_int_equal(result, 1);
		assert_false(cursor->is_positioned);
		return;
	}
	assert_int_equal(result, 0);
	expected = key_at(index);
	found = cursor_key(cursor);
	assert_int_equal(key_compare(&expected, &found), 0);
	assert_int_equal(cursor_data_bytes(cursor), b->item_bytes);
	data = cursor_data(cursor);
	for (u32 i = 0; i < b->item_bytes; i++)
		assert_int_equal(data[i], index % 251);
}

static void walk_both_ways(struct built *b)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&b->tree);
	int result = cursor_first(&cursor, NULL);

	for (u64 i = 0; i < b->nr_items; i++, result = cursor_next(&cursor, NULL))
		expect_at(b, &cursor, result, i);
	expect_at(b, &cursor, result, b->nr_items);
	assert_int_equal(cursor_next(&cursor, NULL), 1); /* and stays there */
	assert_int_equal(cursor_prev(&cursor, NULL), 1);
	result = cursor_last(&cursor, NULL);
	for (u64 i = b->nr_items; i-- > 0; result = cursor_prev(&cursor, NULL))
		expect_at(b, &cursor, result, i);
	expect_at(b, &cursor, result, UINT64_MAX);
}

/* Each seek to the item's key and to the gaps beside it, with a cursor that stands wherever it was. */
static void seek_around(struct built *b, struct cursor *cursor, u64 index)
{
	const struct key at = key_at(index), above = beside(at, 1), below = beside(at, -1);

	expect_at(b, cursor, cursor_find(cursor, &at, NULL), index);
	expect_at(b, cursor, cursor_seek(cursor, &at, NULL), index);
	expect_at(b, cursor, cursor_seek_back(cursor, &at, NULL), index);
	expect_at(b, cursor, cursor_seek(cursor, &below, NULL), index);
	expect_at(b, cursor, cursor_seek_back(cursor, &above, NULL), index);
	expect_at(b, cursor, cursor_seek(cursor, &above, NULL), index + 1);
	expect_at(b, cursor, cursor_seek_back(cursor, &below, NULL), index - 1);
	assert_int_equal(cursor_find(cursor, &above, NULL), 1);
	assert_int_equal(cursor_find(cursor, &below, NULL), 1);
}

static void seek_everywhere(struct built *b)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&b->tree);
	u64 nr = b->nr_items;

	for (u64 i = 0; i < nr; i++)
		seek_around(b, &cursor, i);
	for (u64 i = 0; i < MIN(nr, (u64)2000); i++) /* far jumps */
		seek_around(b, &cursor, i * 7919 % nr);
	expect_at(b, &cursor, cursor_seek(&cursor, &KEY_MIN, NULL), 0);
	expect_at(b, &cursor, cursor_seek_back(&cursor, &KEY_MAX, NULL), nr - 1);
	expect_at(b, &cursor, cursor_seek(&cursor, &KEY_MAX, NULL), nr);
	expect_at(b, &cursor, cursor_seek_back(&cursor, &KEY_MIN, NULL), UINT64_MAX);
	/* From the middle of the tree in both directions. */
	for (u64 i = 1; i + 1 < nr; i += 1 + nr / 50) {
		const struct key at = key_at(i);

		expect_at(b, &cursor, cursor_seek(&cursor, &at, NULL), i);
		expect_at(b, &cursor, cursor_next(&cursor, NULL), i + 1);
		expect_at(b, &cursor, cursor_prev(&cursor, NULL), i);
		expect_at(b, &cursor, cursor_prev(&cursor, NULL), i - 1);
	}
}

static int count_block(void *ctx, struct tree_block *block, struct diag *d)
{
	(void)d;
	((u64 *)ctx)[block->level]++;
	return 0;
}

static void count_blocks(struct built *b)
{
	u64 blocks[LEVEL_MAX] = { 0 };
	const struct tree_walk walk = { .visit = count_block, .ctx = blocks };

	assert_int_equal(tree_walk(&b->tree, &walk, NULL), 0);
	for (u8 level = 0; level < LEVEL_MAX; level++)
		assert_int_equal(blocks[level], level < b->shape.nr_levels ? b->shape.blocks[level] : 0);
}

static void check_whole(struct built *b, u8 nr_levels)
{
	assert_int_equal(b->shape.nr_levels, nr_levels);
	walk_both_ways(b);
	if (b->nr_items)
		seek_everywhere(b);
	count_blocks(b);
	/* A cache that can keep nothing gives the same. */
	open_cache(b, 1);
	walk_both_ways(b);
	done(b);
}

/* --- Whole trees --------------------------------------------------------------------------------------------------------- */

static void an_empty_tree_has_no_items(void **state)
{
	struct built b;
	struct cursor cursor;

	(void)state;
	build(&b, 0, 0);
	cursor = cursor_init(&b.tree);
	assert_int_equal(cursor_first(&cursor, NULL), 1);
	assert_int_equal(cursor_last(&cursor, NULL), 1);
	assert_int_equal(cursor_seek(&cursor, &KEY_MIN, NULL), 1);
	assert_int_equal(cursor_seek_back(&cursor, &KEY_MAX, NULL), 1);
	assert_int_equal(cursor_find(&cursor, &KEY_MIN, NULL), 1);
	cursor_done(&cursor);
	check_whole(&b, 1);
}

static void one_item_is_found(void **state)
{
	static const u32 sizes[] = { 0, 1, 100, NODESIZE - sizeof(struct disk_header) - sizeof(struct disk_item) };
	struct built b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		build(&b, 1, sizes[i]);
		check_whole(&b, 1);
	}
}

static void trees_around_a_full_leaf(void **state)
{
	static const u32 sizes[] = { 0, 10, 500 };
	struct built b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		build(&b, per_leaf(sizes[i]) - 1, sizes[i]);
		check_whole(&b, 1);
		build(&b, per_leaf(sizes[i]), sizes[i]);
		check_whole(&b, 1);
		build(&b, per_leaf(sizes[i]) + 1, sizes[i]);
		check_whole(&b, 2);
		build(&b, 2 * per_leaf(sizes[i]), sizes[i]);
		check_whole(&b, 2);
	}
}

static void trees_around_a_full_node(void **state)
{
	const u64 full = node_max_ptrs(NODESIZE) * per_leaf(500);
	struct built b;

	(void)state;
	build(&b, full, 500);
	check_whole(&b, 2);
	build(&b, full + 1, 500);
	check_whole(&b, 3);
	build(&b, 2 * full + per_leaf(500), 500);
	check_whole(&b, 3);
}

static void four_levels(void **state)
{
	struct built b;

	(void)state;
	build(&b, (u64)node_max_ptrs(NODESIZE) * node_max_ptrs(NODESIZE) + 5, leaf_item_max_bytes(NODESIZE));
	assert_int_equal(b.shape.nr_levels, 4);
	count_blocks(&b);
	{
		_cleanup_(cursor_done) struct cursor cursor = cursor_init(&b.tree);

		for (u64 i = 0; i < b.nr_items; i += 997)
			seek_around(&b, &cursor, i);
		seek_around(&b, &cursor, b.nr_items - 1);
	}
	done(&b);
}

/* --- Damaged trees -------------------------------------------------------------------------------------------------------- */

/* Flip a bit in block @index of @level. */
static void damage(struct built *b, u8 level, u64 index)
{
	const struct tree_place place = { &b->space, 0 };
	u64 logical = tree_place_logical(&place, &b->shape, NODESIZE, level, index);
	u8 block[NODESIZE];

	assert_int_equal(volume_read(b->volume, logical, block, NODESIZE, 0, NULL), 0);
	block[NODESIZE / 2] ^= 1;
	assert_int_equal(volume_write(b->volume, logical, block, NODESIZE, NULL), 0);
	open_cache(b, 0);
}

/* Walk around damage; the items in [lost, lost + nr_lost) are missing. */
static void walk_around(struct built *b, u64 lost, u64 nr_lost, u64 nr_skipped)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&b->tree);
	struct diag d = { 0 };
	int result;

	cursor.do_skip_damage = true;
	result = cursor_first(&cursor, &d);
	for (u64 i = 0; i < b->nr_items; i++) {
		if (i >= lost && i < lost + nr_lost)
			continue;
		expect_at(b, &cursor, result, i);
		result = cursor_next(&cursor, &d);
	}
	expect_at(b, &cursor, result, b->nr_items);
	assert_int_equal(cursor.nr_skipped, nr_skipped);
	result = cursor_last(&cursor, &d);
	for (u64 i = b->nr_items; i-- > 0;) {
		if (i >= lost && i < lost + nr_lost)
			continue;
		expect_at(b, &cursor, result, i);
		result = cursor_prev(&cursor, &d);
	}
	expect_at(b, &cursor, result, UINT64_MAX);
	assert_int_equal(d.err, 0); /* what was skipped is no failure */
}

static void seek_into_damage(struct built *b, u64 lost, u64 nr_lost)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&b->tree);

	for (u64 i = lost; i < lost + nr_lost; i += 1 + nr_lost / 50) {
		const struct key key = key_at(i);
		struct diag d = { 0 };

		cursor.do_skip_damage = false;
		assert_int_equal(cursor_seek(&cursor, &key, &d), -EUCLEAN);
		assert_int_equal(d.err, -EUCLEAN);
		assert_non_null(strstr(d.text, "checksum"));
		assert_false(cursor.is_positioned);
		cursor.do_skip_damage = true;
		expect_at(b, &cursor, cursor_seek(&cursor, &key, &d), lost + nr_lost);
		expect_at(b, &cursor, cursor_seek_back(&cursor, &key, &d), lost - 1);
		assert_int_equal(cursor_find(&cursor, &key, &d), 1);
	}
}

static void damage_costs_one_subtree_and_no_more(void **state)
{
	const u64 leaf = per_leaf(500), node = leaf * node_max_ptrs(NODESIZE);
	static const u64 leaves[] = { 0, 1, 120, 121, 122, 200 }; /* around the end of the first node */
	struct built b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
		build(&b, 2 * node, 500);
		damage(&b, 0, leaves[i]);
		walk_around(&b, leaves[i] * leaf, leaf, 1);
		seek_into_damage(&b, leaves[i] * leaf, leaf);
		done(&b);
	}
	build(&b, 2 * node + 3, 500); /* the last leaf */
	damage(&b, 0, b.shape.blocks[0] - 1);
	walk_around(&b, 2 * node, 3, 1);
	seek_into_damage(&b, 2 * node, 3);
	done(&b);
	build(&b, 3 * node, 500); /* a node takes its leaves along */
	damage(&b, 1, 1);
	walk_around(&b, node, node, 1);
	seek_into_damage(&b, node, node);
	done(&b);
}

static void a_damaged_root_leaves_nothing(void **state)
{
	struct cursor cursor;
	struct diag d = { 0 };
	struct built b;

	(void)state;
	build(&b, 100, 500);
	damage(&b, 1, 0);
	cursor = cursor_init(&b.tree);
	cursor.do_skip_damage = true;
	assert_int_equal(cursor_first(&cursor, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "root of tree 300"));
	assert_int_equal(cursor_next(&cursor, &d), 1);
	assert_int_equal(cursor_seek(&cursor, &KEY_MIN, &d), -EUCLEAN);
	cursor_done(&cursor);
	done(&b);
}

static void roots_that_are_not_what_is_expected_are_refused(void **state)
{
	struct tree tree;
	struct cursor cursor;
	struct built b;

	(void)state;
	build(&b, 100, 500);
	tree = b.tree;
	tree.level = -1; /* not known: any */
	tree.generation = 0;
	cursor = cursor_init(&tree);
	expect_at(&b, &cursor, cursor_first(&cursor, NULL), 0);
	cursor_done(&cursor);
	tree.level = 0;
	cursor = cursor_init(&tree);
	assert_int_equal(cursor_first(&cursor, NULL), -EUCLEAN);
	tree = b.tree;
	tree.generation = GENERATION - 1;
	cursor = cursor_init(&tree);
	assert_int_equal(cursor_first(&cursor, NULL), -EUCLEAN);
	tree = b.tree;
	tree.id = EXTENT_TREE_OBJECTID;
	cursor = cursor_init(&tree);
	assert_int_equal(cursor_first(&cursor, NULL), -EUCLEAN);
	tree = b.tree;
	tree.root_logical = SPACE_LOGICAL + SPACE_BYTES; /* no chunk */
	cursor = cursor_init(&tree);
	assert_int_equal(cursor_first(&cursor, NULL), -EUCLEAN);
	tree.root_logical = b.tree.root_logical + 512;
	cursor = cursor_init(&tree);
	assert_int_equal(cursor_first(&cursor, NULL), -EUCLEAN);
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_tree_has_no_items),
		cmocka_unit_test(one_item_is_found),
		cmocka_unit_test(trees_around_a_full_leaf),
		cmocka_unit_test(trees_around_a_full_node),
		cmocka_unit_test(four_levels),
		cmocka_unit_test(damage_costs_one_subtree_and_no_more),
		cmocka_unit_test(a_damaged_root_leaves_nothing),
		cmocka_unit_test(roots_that_are_not_what_is_expected_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
