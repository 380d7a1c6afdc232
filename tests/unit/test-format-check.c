/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel-shared/format/block_check: headers, geometry and key order of leaves and nodes, and what a block is asked for
 * before that (checksum, fsid, place). The items themselves: test-format-items.c.
 */
#include "kernel-shared/block/block_cache.h"
#include "kernel-shared/device/memory_device.h"
#include "tests/unit/sound_leaf.h"

/* Types that nothing is known about may hold anything: only geometry and order matter. */
#define PLAIN_KEY STRING_ITEM_KEY

static const struct sound_leaf plain = {
	.owner = FS_TREE_OBJECTID,
	.items = {
		{ { 300, PLAIN_KEY, 5 }, 100, NULL },
		{ { 300, PLAIN_KEY, 6 }, 0, NULL },
		{ { 301, PLAIN_KEY, 1 }, 50, NULL },
		{ { UINT64_MAX, PLAIN_KEY, UINT64_MAX }, 7, NULL },
	},
};
#define DATA_END (TEST_NODESIZE - (u32)sizeof(struct disk_header))

static const struct bad_leaf bad_geometry[] = {
	{ "first item ends before the block does", &plain, 0, "expected to end at 3995",
	  { { PATCH_ITEM, FIELD(disk_item, offset), DATA_END - 101 } } },
	{ "first item ends behind the block", &plain, 0, "expected to end at 3995",
	  { { PATCH_ITEM, FIELD(disk_item, size), 101 } } },
	{ "item lies outside of the block", &plain, 2, "data of slot 2",
	  { { PATCH_ITEM, FIELD(disk_item, offset), DATA_END + 1 } } },
	{ "item ends above 4 GiB", &plain, 2, "data of slot 2",
	  { { PATCH_ITEM, FIELD(disk_item, offset), UINT32_MAX }, { PATCH_ITEM, FIELD(disk_item, size), 50 } } },
	{ "item's end wraps around to where it should be", &plain, 2, "data of slot 2",
	  { { PATCH_ITEM, FIELD(disk_item, offset), DATA_END - 100 + 1 },
	    { PATCH_ITEM, FIELD(disk_item, size), UINT32_MAX } } },
	{ "items overlap", &plain, 2, "expected to end at 3895",
	  { { PATCH_ITEM, FIELD(disk_item, size), 60 } } },
	{ "hole between items", &plain, 2, "expected to end at 3895",
	  { { PATCH_ITEM, FIELD(disk_item, size), 40 } } },
	{ "two items share their data", &plain, 2, "expected to end at 3895",
	  { { PATCH_ITEM, FIELD(disk_item, offset), DATA_END - 100 }, { PATCH_ITEM, FIELD(disk_item, size), 100 } } },
	{ "data reaches into the items", &plain, 3, "into the item array",
	  { { PATCH_ITEM, FIELD(disk_item, offset), 4 * 25 - 1 },
	    { PATCH_ITEM, FIELD(disk_item, size), DATA_END - 150 - 4 * 25 + 1 } } },
	{ "key equals the one before it", &plain, 1, "not greater than the key before it",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 5 } } },
	{ "offset goes down", &plain, 1, "(300 253 5)",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 4 } } },
	{ "type goes down", &plain, 1, "not greater than the key before it",
	  { { PATCH_ITEM, offsetof(struct disk_key, type), 1, PLAIN_KEY - 1 } } },
	{ "objectid goes down", &plain, 3, "not greater than the key before it",
	  { { PATCH_ITEM, offsetof(struct disk_key, objectid), 8, 299 } } },
};

static void geometry_and_order_of_leaves(void **state)
{
	(void)state;
	assert_all_refused(bad_geometry, ARRAY_LEN(bad_geometry));
}

/* Filled to the last byte, by one item and by as many as there can be. */
static void full_leaves_are_sound(void **state)
{
	const struct block_check_params params = test_params();
	u8 block[TEST_NODESIZE];
	struct diag d = { 0 };
	struct key key = { 300, PLAIN_KEY, 0 };

	(void)state;
	block_init(block, &test_identity, TEST_LOGICAL, FS_TREE_OBJECTID, 0);
	assert_int_equal(leaf_free_bytes(block, TEST_NODESIZE), leaf_item_max_bytes(TEST_NODESIZE));
	(void)leaf_append(block, TEST_NODESIZE, &key, leaf_item_max_bytes(TEST_NODESIZE));
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, &d), 0);
	assert_true(leaf_free_bytes(block, TEST_NODESIZE) < 0);

	block_init(block, &test_identity, TEST_LOGICAL, FS_TREE_OBJECTID, 0);
	for (; leaf_free_bytes(block, TEST_NODESIZE) >= 0; key.offset++)
		(void)leaf_append(block, TEST_NODESIZE, &key, 0);
	assert_int_equal(block_nritems(block), DATA_END / sizeof(struct disk_item));
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, &d), 0);
	le32_put(&((struct disk_header *)block)->nritems, block_nritems(block) + 1);
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, &d), -EUCLEAN);
	assert_string_equal(d.text, "leaf 5242880 of tree 5: 160 items, limit 159");
}

/* --- Headers, of leaves and nodes ---------------------------------------------------------------------------- */

#define NODE_PTRS 3

static void build_node(u8 *block, u8 level)
{
	block_init(block, &test_identity, TEST_LOGICAL, EXTENT_TREE_OBJECTID, level);
	for (u32 i = 0; i < NODE_PTRS; i++) {
		const struct key key = { 10 * MIB + i * MIB, EXTENT_ITEM_KEY, 4096 };

		node_append(block, &key, 20 * MIB + i * TEST_NODESIZE, TEST_GENERATION - i);
	}
}

static const struct bad_block {
	const char *rule;
	u8 level;
	u32 at, width;
	u64 value;
	const char *says;
} bad_headers[] = {
	{ "leaf is somewhere else", 0, FIELD(disk_header, bytenr), TEST_LOGICAL + 4096, "says that it lies at 5246976" },
	{ "node is somewhere else", 1, FIELD(disk_header, bytenr), 0, "says that it lies at 0" },
	{ "level too high", 1, FIELD(disk_header, level), 8, "level 8, limit 7" },
	{ "highest level of all", 1, FIELD(disk_header, level), 255, "level 255" },
	{ "more pointers than fit", 1, FIELD(disk_header, nritems), 122, "122 items, limit 121" },
	{ "more items than fit", 0, FIELD(disk_header, nritems), 160, "160 items, limit 159" },
	{ "4 billion pointers", 1, FIELD(disk_header, nritems), UINT32_MAX, "limit 121" },
	{ "4 billion items", 0, FIELD(disk_header, nritems), UINT32_MAX, "limit 159" },
	{ "node without pointers", 1, FIELD(disk_header, nritems), 0, "without pointers" },
	{ "leaf from the future", 0, FIELD(disk_header, generation), TEST_GENERATION + 2, "newer than the superblock's 100" },
	{ "node from the future", 1, FIELD(disk_header, generation), UINT64_MAX, "newer than the superblock's 100" },
	{ "leaf that was never written", 0, FIELD(disk_header, flags), 1ULL << 56, "not marked as written" },
	{ "node that was never written", 1, FIELD(disk_header, flags), 1ULL << 56, "not marked as written" },
	{ "leaf of no tree", 0, FIELD(disk_header, owner), 0, "belongs to no tree" },
};

static void headers(void **state)
{
	const struct block_check_params params = test_params();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_headers); i++) {
		const struct bad_block *bad = &bad_headers[i];
		u8 *block = sound_leaf_build(&plain, 0, NULL, 0);
		struct diag d = { 0 };

		if (bad->level)
			build_node(block, bad->level);
		assert_int_equal(block_check(&params, block, TEST_LOGICAL, &d), 0);
		for (u32 b = 0; b < bad->width; b++)
			block[bad->at + b] = (u8)(bad->value >> 8 * b);
		if (block_check(&params, block, TEST_LOGICAL, &d) != -EUCLEAN)
			fail_msg("%s: not refused", bad->rule);
		assert_says(bad->rule, d.text, bad->level ? "node 5242880" : "leaf 5242880");
		assert_says(bad->rule, d.text, bad->says);
		free(block);
	}
}

/* One generation above the superblock's is that of a transaction being written; without a superblock any will do. */
static void generations_that_are_not_too_new(void **state)
{
	struct block_check_params params = test_params();
	u8 *block = sound_leaf_build(&plain, 0, NULL, 0);

	(void)state;
	le64_put(&((struct disk_header *)block)->generation, TEST_GENERATION + 1);
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, NULL), 0);
	le64_put(&((struct disk_header *)block)->generation, TEST_GENERATION + 2);
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, NULL), -EUCLEAN);
	params.super_generation = 0;
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, NULL), 0);
	free(block);
}

static void trees_that_may_be_empty(void **state)
{
	static const u64 may_be[] = { CSUM_TREE_OBJECTID, UUID_TREE_OBJECTID, QUOTA_TREE_OBJECTID,
				      FREE_SPACE_TREE_OBJECTID, TREE_LOG_OBJECTID, 257 };
	static const u64 never[] = { ROOT_TREE_OBJECTID, EXTENT_TREE_OBJECTID, CHUNK_TREE_OBJECTID,
				     DEV_TREE_OBJECTID, FS_TREE_OBJECTID, DATA_RELOC_TREE_OBJECTID };
	const struct block_check_params params = test_params();
	u8 block[TEST_NODESIZE];
	struct diag d = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(may_be); i++) {
		block_init(block, &test_identity, TEST_LOGICAL, may_be[i], 0);
		assert_int_equal(block_check(&params, block, TEST_LOGICAL, &d), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		block_init(block, &test_identity, TEST_LOGICAL, never[i], 0);
		assert_int_equal(block_check(&params, block, TEST_LOGICAL, &d), -EUCLEAN);
		assert_says("empty tree", d.text, "this tree is never empty");
	}
}

/* --- Nodes ---------------------------------------------------------------------------------------------------- */

static const struct bad_ptr {
	const char *rule;
	u32 slot, at, width;
	u64 value;
	const char *says;
} bad_ptrs[] = {
	{ "points nowhere", 0, FIELD(disk_key_ptr, blockptr), 0, "slot 0 points to 0" },
	{ "points between sectors", 2, FIELD(disk_key_ptr, blockptr), 20 * MIB + 512, "slot 2 points to 20972032" },
	{ "keys are equal", 1, offsetof(struct disk_key, objectid), 8, 10 * MIB, "slot 1 is not greater" },
	{ "objectid goes down", 2, offsetof(struct disk_key, objectid), 8, 10 * MIB + 4096, "slot 2 is not greater" },
	{ "key from the other end", 0, offsetof(struct disk_key, objectid), 8, UINT64_MAX, "slot 1 is not greater" },
};

static void pointers_of_nodes(void **state)
{
	const struct block_check_params params = test_params();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_ptrs); i++) {
		const struct bad_ptr *bad = &bad_ptrs[i];
		u8 block[TEST_NODESIZE];
		struct diag d = { 0 };
		u8 *ptr = (u8 *)(uintptr_t)node_ptr(block, bad->slot);

		build_node(block, 7);
		assert_int_equal(block_check(&params, block, TEST_LOGICAL, &d), 0);
		for (u32 b = 0; b < bad->width; b++)
			ptr[bad->at + b] = (u8)(bad->value >> 8 * b);
		if (block_check(&params, block, TEST_LOGICAL, &d) != -EUCLEAN)
			fail_msg("%s: not refused", bad->rule);
		assert_says(bad->rule, d.text, "node 5242880 of tree 2: ");
		assert_says(bad->rule, d.text, bad->says);
	}
}

/* --- Before the items: is it the block that was asked for? --------------------------------------------------------- */

static struct volume *volume_over(struct blockdev *dev)
{
	const struct device device = { .devid = 1, .total_bytes = 16 * MIB, .dev = dev };
	struct chunk *chunk = chunk_new(1);
	struct device_set *devices;
	struct chunk_map *chunks;
	struct volume *volume;

	assert_int_equal(device_set_new(&devices), 0);
	assert_int_equal(device_set_add(devices, &device, NULL), 0);
	assert_int_equal(chunk_map_new(&chunks), 0);
	chunk->logical = MIB;
	chunk->length = 8 * MIB;
	chunk->type = BLOCK_GROUP_METADATA;
	chunk->stripe[0] = (struct chunk_stripe){ .devid = 1, .physical = 2 * MIB };
	chunk_derive(chunk);
	assert_int_equal(chunk_map_add(chunks, chunk, NULL), 0);
	free(chunk);
	assert_int_equal(volume_new(devices, chunks, TEST_SECTORSIZE, TEST_NODESIZE, &volume, NULL), 0);
	return volume;
}

static const struct bad_identity {
	u32 at;
	const char *says;
} bad_identities[] = {
	{ 0, "checksum does not match" },
	{ 3, "checksum does not match" },
	{ offsetof(struct disk_header, fsid) + 15, "belongs to another filesystem" },
	{ offsetof(struct disk_header, bytenr) + 2, "says that it is block" },
	{ offsetof(struct disk_header, level), "level 1, expected 0" },
	{ offsetof(struct disk_header, generation), "generation 101, expected 100" },
	{ offsetof(struct disk_header, owner), "belongs to tree 4, expected 5" },
	{ TEST_NODESIZE - 1, "checksum does not match" },
};

/* Every kind of checksum; a wrong one, or a right one over something else. */
static void identity_of_blocks(void **state)
{
	const struct block_check_params params = test_params();
	const struct block_expect expect = {
		.logical = TEST_LOGICAL, .generation = TEST_GENERATION, .tree_id = FS_TREE_OBJECTID, .level = 0,
	};
	u8 *block = malloc(TEST_NODESIZE);

	(void)state;
	for (u16 type = 0; type < CSUM_TYPE_COUNT; type++)
		for (size_t i = 0; i < ARRAY_LEN(bad_identities); i++) {
			const struct bad_identity *bad = &bad_identities[i];
			const struct csum_kind *csum = csum_kind_by_type(type);
			u8 *leaf = sound_leaf_build(&plain, 0, NULL, 0);
			struct block_cache *cache;
			struct blockdev *dev;
			struct volume *volume;
			struct diag d = { 0 };

			if (!csum) {
				free(leaf);
				continue;
			}
			block_finish(leaf, TEST_NODESIZE, csum);
			assert_int_equal(memory_device_new("memory", 16 * MIB, &dev), 0);
			volume = volume_over(dev);
			assert_int_equal(block_cache_new(volume, &params, csum, test_identity.fsid, MIB, &cache), 0);
			assert_int_equal(volume_write(volume, TEST_LOGICAL, leaf, TEST_NODESIZE, &d), 0);
			assert_int_equal(block_read_copy(cache, &expect, 1, block, &d), 0);
			leaf[bad->at] ^= 1;
			if (!strstr(bad->says, "checksum"))
				block_finish(leaf, TEST_NODESIZE, csum);
			assert_int_equal(volume_write(volume, TEST_LOGICAL, leaf, TEST_NODESIZE, &d), 0);
			assert_int_equal(block_read_copy(cache, &expect, 1, block, &d), -EUCLEAN);
			assert_says(csum->name, d.text, "block 5242880, copy 1: ");
			/* A wrong level may be refused for what the items look like then. */
			if (bad->at != offsetof(struct disk_header, level))
				assert_says(csum->name, d.text, bad->says);
			block_cache_free(cache);
			volume_free(volume);
			free(leaf);
		}
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(geometry_and_order_of_leaves),
		cmocka_unit_test(full_leaves_are_sound),
		cmocka_unit_test(headers),
		cmocka_unit_test(generations_that_are_not_too_new),
		cmocka_unit_test(trees_that_may_be_empty),
		cmocka_unit_test(pointers_of_nodes),
		cmocka_unit_test(identity_of_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
