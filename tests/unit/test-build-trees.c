/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/build: shapes of bulk-built trees, and what is found when they are read back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/build/tree_builder.h"
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/format/block_check.h"

#define SPACE_LOGICAL (16 * MIB)
#define SPACE_BYTES (64 * MIB)
#define PIECE_BYTES (256 * KIB)
#define GAP_BYTES (64 * KIB)
#define OWNER 300

struct fixture {
	struct volume *volume;
	struct linear_space space; /* pieces with gaps between, to see blocks jump over them */
	struct block_identity id;
};

static void make_fixture(struct fixture *f, u32 nodesize)
{
	struct device_set *set;
	struct chunk_map *map;
	struct chunk *chunk = chunk_new(1);
	struct device device = { .devid = 1, .total_bytes = SPACE_BYTES + SPACE_LOGICAL };

	*f = (struct fixture){ .id = { .nodesize = nodesize, .csum = csum_kind_by_name("crc32c"), .generation = 7 } };
	memset(f->id.fsid, 0x11, UUID_SIZE);
	memset(f->id.chunk_tree_uuid, 0x22, UUID_SIZE);
	assert_int_equal(memory_device_new("memory", device.total_bytes, &device.dev), 0);
	assert_int_equal(device_set_new(&set), 0);
	assert_int_equal(device_set_add(set, &device, NULL), 0);
	assert_int_equal(chunk_map_new(&map), 0);
	*chunk = (struct chunk){ .logical = SPACE_LOGICAL, .length = SPACE_BYTES, .num_stripes = 1,
				 .type = BLOCK_GROUP_METADATA };
	chunk_derive(chunk);
	chunk->stripe[0].devid = 1;
	chunk->stripe[0].physical = SPACE_LOGICAL;
	assert_int_equal(chunk_map_add(map, chunk, NULL), 0);
	free(chunk);
	assert_int_equal(volume_new(set, map, 4096, nodesize, &f->volume, NULL), 0);
	for (u64 at = 0; at < SPACE_BYTES; at += PIECE_BYTES + GAP_BYTES)
		assert_int_equal(linear_space_add(&f->space, SPACE_LOGICAL + at, MIN(PIECE_BYTES, SPACE_BYTES - at)), 0);
}

static void free_fixture(struct fixture *f)
{
	volume_free(f->volume);
	linear_space_done(&f->space);
}

/* Sizes of the items of one test tree. */
typedef u32 (*item_size_fn)(u64 index, u32 nodesize);

static u32 small_items(u64 index, u32 nodesize)
{
	(void)nodesize;
	return (u32)(index * 37 % 90);
}

static u32 full_leaf_item(u64 index, u32 nodesize)
{
	(void)index;
	return leaf_item_max_bytes(nodesize);
}

/* Two items that fill a leaf to the last byte. */
static u32 two_fill_a_leaf(u64 index, u32 nodesize)
{
	return index % 2 ? leaf_data_bytes(nodesize) - 2 * (u32)sizeof(struct disk_item) - 100 : 100;
}

/* The same and one byte more: each gets a leaf. */
static u32 one_byte_more(u64 index, u32 nodesize)
{
	return two_fill_a_leaf(index, nodesize) + (index % 2);
}

static struct key test_key(u64 index)
{
	return (struct key){ 1000 + index / 3, STRING_ITEM_KEY, index % 3 };
}

static u8 test_byte(u64 index, u32 at)
{
	return (u8)(index * 31 + at);
}

static void build(struct fixture *f, u64 nr_items, item_size_fn size_of, struct tree_shape *ret_shape, u64 *ret_root)
{
	struct tree_sizer sizer;
	struct tree_builder *builder;
	struct tree_builder_options options = { .id = &f->id, .sectorsize = 4096, .volume = f->volume, .owner = OWNER };
	struct diag d = { 0 };

	tree_sizer_init(&sizer, f->id.nodesize);
	for (u64 i = 0; i < nr_items; i++)
		tree_sizer_add(&sizer, size_of(i, f->id.nodesize));
	assert_int_equal(tree_sizer_finish(&sizer, ret_shape), 0);
	options.shape = *ret_shape;
	options.place = (struct tree_place){ &f->space, 3 * (u64)f->id.nodesize };
	assert_int_equal(tree_builder_new(&options, &builder, &d), 0);
	for (u64 i = 0; i < nr_items; i++) {
		const struct key key = test_key(i);
		u32 size = size_of(i, f->id.nodesize);
		void *data;

		assert_int_equal(tree_builder_reserve(builder, &key, size, &data, &d), 0);
		for (u32 at = 0; at < size; at++)
			((u8 *)data)[at] = test_byte(i, at);
	}
	if (tree_builder_finish(builder, ret_root, &d) != 0)
		fail_msg("%s", d.text);
	tree_builder_free(builder);
}

struct walk {
	struct fixture *f;
	item_size_fn size_of;
	u64 next_item;
	u64 blocks[LEVEL_MAX];
};

static void walk_leaf(struct walk *w, const u8 *block)
{
	for (u32 slot = 0; slot < block_nritems(block); slot++, w->next_item++) {
		struct key expected = test_key(w->next_item), found = leaf_key(block, slot);
		const u8 *data = leaf_item_data(block, slot);

		assert_int_equal(key_compare(&expected, &found), 0);
		assert_int_equal(leaf_item_bytes(block, slot), w->size_of(w->next_item, w->f->id.nodesize));
		for (u32 at = 0; at < leaf_item_bytes(block, slot); at++)
			assert_int_equal(data[at], test_byte(w->next_item, at));
	}
}

static void walk_block(struct walk *w, u64 logical, u8 level, const struct key *first_key)
{
	const struct block_check_params params = { w->f->id.nodesize, 4096, 4, 7 };
	u8 *block = malloc(w->f->id.nodesize);
	struct diag d = { 0 };

	assert_int_equal(volume_read(w->f->volume, logical, block, w->f->id.nodesize, 0, &d), 0);
	assert_true(block_csum_is_good(block, w->f->id.nodesize, w->f->id.csum));
	if (block_check(&params, block, logical, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(block_level(block), level);
	assert_int_equal(le64_get(block_header(block)->owner), OWNER);
	w->blocks[level]++;
	if (first_key && block_nritems(block)) {
		struct key found = block_key(block, 0);

		assert_int_equal(key_compare(first_key, &found), 0);
	}
	for (u32 slot = 0; level > 0 && slot < block_nritems(block); slot++) {
		struct key key = node_key(block, slot);

		assert_int_equal(node_generation(block, slot), 7);
		walk_block(w, node_blockptr(block, slot), (u8)(level - 1), &key);
	}
	if (level == 0)
		walk_leaf(w, block);
	free(block);
}

static void build_and_read_back(u32 nodesize, u64 nr_items, item_size_fn size_of, struct tree_shape *ret_shape)
{
	struct fixture f;
	struct walk w = { .f = &f, .size_of = size_of };
	u64 root;

	make_fixture(&f, nodesize);
	build(&f, nr_items, size_of, ret_shape, &root);
	walk_block(&w, root, tree_shape_root_level(ret_shape), NULL);
	assert_int_equal(w.next_item, nr_items);
	for (u8 level = 0; level < ret_shape->nr_levels; level++)
		assert_int_equal(w.blocks[level], ret_shape->blocks[level]);
	free_fixture(&f);
}

static const u32 nodesizes[] = { 4096, 8192, 16384, 32768, 65536 };

static void small_trees_have_the_expected_shapes(void **state)
{
	struct tree_shape shape;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nodesizes); i++) {
		build_and_read_back(nodesizes[i], 0, small_items, &shape);
		assert_int_equal(tree_shape_total(&shape), 1);
		build_and_read_back(nodesizes[i], 1, small_items, &shape);
		assert_int_equal(tree_shape_total(&shape), 1);
		build_and_read_back(nodesizes[i], 1, full_leaf_item, &shape);
		assert_int_equal(tree_shape_total(&shape), 1);
		build_and_read_back(nodesizes[i], 2, two_fill_a_leaf, &shape);
		assert_int_equal(tree_shape_total(&shape), 1);
		build_and_read_back(nodesizes[i], 2, one_byte_more, &shape);
		assert_int_equal(shape.nr_levels, 2);
		assert_int_equal(shape.blocks[0], 2);
	}
}

static void levels_grow_where_a_node_is_full(void **state)
{
	struct tree_shape shape;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nodesizes) - 1; i++) {
		u32 ptrs = node_max_ptrs(nodesizes[i]);

		build_and_read_back(nodesizes[i], ptrs, full_leaf_item, &shape);
		assert_int_equal(shape.nr_levels, 2);
		build_and_read_back(nodesizes[i], ptrs + 1, full_leaf_item, &shape);
		assert_int_equal(shape.nr_levels, 3);
		assert_int_equal(shape.blocks[1], 2);
	}
	build_and_read_back(4096, 60000, small_items, &shape);
	assert_int_equal(shape.nr_levels, 3);
}

static void counting_many_equals_counting_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nodesizes); i++)
		for (u32 size = 0; size < 2000; size += 111)
			for (u64 before = 0; before < 4; before++)
				for (u64 count = 0; count < 700; count += 63) {
					struct tree_sizer one, many;

					tree_sizer_init(&one, nodesizes[i]);
					for (u64 n = 0; n < before; n++)
						tree_sizer_add(&one, 77);
					many = one;
					for (u64 n = 0; n < count; n++)
						tree_sizer_add(&one, size);
					tree_sizer_add_many(&many, size, count);
					assert_int_equal(one.nr_leaves, many.nr_leaves);
					assert_int_equal(one.nr_items, many.nr_items);
					assert_int_equal(one.room, many.room);
				}
}

/* A builder for a tree that was sized for @nr_items small ones. */
static struct tree_builder *builder_for(struct fixture *f, u64 nr_items)
{
	struct tree_builder_options options = { .id = &f->id, .sectorsize = 4096, .volume = f->volume, .owner = OWNER };
	struct tree_builder *builder;
	struct tree_sizer sizer;

	tree_sizer_init(&sizer, f->id.nodesize);
	for (u64 i = 0; i < nr_items; i++)
		tree_sizer_add(&sizer, 10);
	assert_int_equal(tree_sizer_finish(&sizer, &options.shape), 0);
	options.place = (struct tree_place){ &f->space, 0 };
	assert_int_equal(tree_builder_new(&options, &builder, NULL), 0);
	return builder;
}

static void what_was_not_sized_for_is_refused(void **state)
{
	const struct key first = { 1, STRING_ITEM_KEY, 0 }, second = { 1, STRING_ITEM_KEY, 1 };
	struct tree_builder *builder;
	u8 data[8192] = { 0 };
	struct fixture f;
	u64 root;

	(void)state;
	make_fixture(&f, 4096);
	builder = builder_for(&f, 2);
	assert_int_equal(tree_builder_add(builder, &second, data, 10, NULL), 0);
	assert_int_equal(tree_builder_add(builder, &second, data, 10, NULL), -EINVAL);
	assert_int_equal(tree_builder_add(builder, &first, data, 10, NULL), -EINVAL);
	assert_int_equal(tree_builder_finish(builder, &root, NULL), -EINVAL); /* one item is missing */
	tree_builder_free(builder);

	builder = builder_for(&f, 1);
	assert_int_equal(tree_builder_add(builder, &first, data, leaf_item_max_bytes(4096) + 1, NULL), -EINVAL);
	assert_int_equal(tree_builder_add(builder, &first, data, 3900, NULL), 0);
	assert_int_equal(tree_builder_add(builder, &second, data, 3900, NULL), -EINVAL); /* needs a second leaf */
	tree_builder_free(builder);
	free_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_trees_have_the_expected_shapes),
		cmocka_unit_test(levels_grow_where_a_node_is_full),
		cmocka_unit_test(counting_many_equals_counting_each),
		cmocka_unit_test(what_was_not_sized_for_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
