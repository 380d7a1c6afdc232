/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small tree put together block by block, for tests: 27 leaves of 4 items, 9 nodes above them, 3 above these, and a root,
 * on two devices that hold the same. Each block can be read, changed and written back with a right checksum.
 */
#ifndef BTRKIT_TESTS_UNIT_HAND_TREE_H
#define BTRKIT_TESTS_UNIT_HAND_TREE_H

#include "kernel-shared/tree/tree.h"
#include "tests/unit/memory_volume.h"

#define HAND_NODESIZE 16384
#define HAND_FANOUT 3
#define HAND_LEVELS 4
#define HAND_LEAVES 27
#define HAND_LEAF_ITEMS 4
#define HAND_ITEMS (HAND_LEAVES * HAND_LEAF_ITEMS)
#define HAND_BLOCKS (27 + 9 + 3 + 1)
#define HAND_TREE_ID 300

struct hand_tree {
	struct memory_volume memory;
	struct block_cache *cache;
	struct tree tree;
};

static const u8 hand_fsid[UUID_SIZE] = "a filesystem id";

/* Blocks are numbered leaves first, then level by level. */
static inline unsigned hand_block(unsigned level, unsigned index)
{
	static const unsigned begin[HAND_LEVELS] = { 0, 27, 36, 39 };

	return begin[level] + index;
}

static inline u64 hand_logical(unsigned block)
{
	return MEMORY_VOLUME_LOGICAL + (u64)block * HAND_NODESIZE;
}

static inline u64 hand_generation(unsigned block)
{
	return 20 + block % 5;
}

static inline struct key hand_key(unsigned item)
{
	return (struct key){ 256 + item / 10, STRING_ITEM_KEY, 10 * item + 5 };
}

static inline struct key hand_first_key(unsigned level, unsigned index)
{
	for (; level > 0; level--)
		index *= HAND_FANOUT;
	return hand_key(index * HAND_LEAF_ITEMS);
}

static inline void hand_write(struct hand_tree *hand, unsigned block, u8 *bytes)
{
	block_finish(bytes, HAND_NODESIZE, csum_kind_by_type(CSUM_TYPE_CRC32C));
	assert_int_equal(volume_write(hand->memory.volume, hand_logical(block), bytes, HAND_NODESIZE, NULL), 0);
}

static inline void hand_read(struct hand_tree *hand, unsigned block, u8 *bytes)
{
	assert_int_equal(volume_read(hand->memory.volume, hand_logical(block), bytes, HAND_NODESIZE, 1, NULL), 0);
}

static inline void hand_build_block(struct hand_tree *hand, unsigned level, unsigned index)
{
	unsigned block = hand_block(level, index);
	struct block_identity id = { .nodesize = HAND_NODESIZE, .generation = hand_generation(block) };
	u8 bytes[HAND_NODESIZE];

	memcpy(id.fsid, hand_fsid, UUID_SIZE);
	block_init(bytes, &id, hand_logical(block), HAND_TREE_ID, (u8)level);
	for (unsigned i = 0; level == 0 && i < HAND_LEAF_ITEMS; i++) {
		const struct key key = hand_key(index * HAND_LEAF_ITEMS + i);

		le32_put((le32 *)leaf_append(bytes, HAND_NODESIZE, &key, sizeof(le32)), index * HAND_LEAF_ITEMS + i);
	}
	for (unsigned i = 0; level > 0 && i < HAND_FANOUT; i++) {
		const struct key key = hand_first_key(level - 1, index * HAND_FANOUT + i);
		unsigned child = hand_block(level - 1, index * HAND_FANOUT + i);

		node_append(bytes, &key, hand_logical(child), hand_generation(child));
	}
	hand_write(hand, block, bytes);
}

/* Forget all blocks that were read, as after opening anew. */
static inline void hand_reopen(struct hand_tree *hand, size_t cache_bytes)
{
	const struct block_check_params check = {
		.nodesize = HAND_NODESIZE, .sectorsize = 4096, .csum_size_bytes = 4, .super_generation = 24,
	};

	block_cache_free(hand->cache);
	assert_int_equal(block_cache_new(hand->memory.volume, &check, csum_kind_by_type(CSUM_TYPE_CRC32C), hand_fsid,
					 cache_bytes, &hand->cache), 0);
	hand->tree.cache = hand->cache;
}

static inline void hand_tree_make(struct hand_tree *hand)
{
	*hand = (struct hand_tree){ 0 };
	memory_volume_make(&hand->memory, "raid1", 2, 2 * MIB);
	for (unsigned level = 0, count = HAND_LEAVES; level < HAND_LEVELS; level++, count /= HAND_FANOUT)
		for (unsigned i = 0; i < count; i++)
			hand_build_block(hand, level, i);
	hand->tree = (struct tree){
		.id = HAND_TREE_ID,
		.root_logical = hand_logical(hand_block(HAND_LEVELS - 1, 0)),
		.generation = hand_generation(hand_block(HAND_LEVELS - 1, 0)),
		.level = HAND_LEVELS - 1,
	};
	hand_reopen(hand, MIB);
}

static inline void hand_tree_done(struct hand_tree *hand)
{
	block_cache_free(hand->cache);
	memory_volume_done(&hand->memory);
}

#endif
