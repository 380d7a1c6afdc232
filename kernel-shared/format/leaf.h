/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The geometry of tree blocks: where items, keys and data lie in a raw block of nodesize bytes.
 *
 *	leaf: | header | item 0 | item 1 | ... free ... | data 1 | data 0 |
 *	node: | header | key_ptr 0 | key_ptr 1 | ... free ... |
 *
 * The readers here trust the block: it has passed block_check(), or our own code built it.
 */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_LEAF_H
#define BTRKIT_KERNEL_SHARED_FORMAT_LEAF_H

#include "common/csum/csum.h"
#include "kernel-shared/format/disk.h"

static inline u32 leaf_data_bytes(u32 nodesize)
{
	return nodesize - (u32)sizeof(struct disk_header);
}

/* Largest data of a single item. */
static inline u32 leaf_item_max_bytes(u32 nodesize)
{
	return leaf_data_bytes(nodesize) - (u32)sizeof(struct disk_item);
}

static inline u32 node_max_ptrs(u32 nodesize)
{
	return leaf_data_bytes(nodesize) / (u32)sizeof(struct disk_key_ptr);
}

static inline const struct disk_header *block_header(const u8 *block)
{
	return (const struct disk_header *)block;
}

static inline u32 block_nritems(const u8 *block)
{
	return le32_get(block_header(block)->nritems);
}

static inline u8 block_level(const u8 *block)
{
	return block_header(block)->level;
}

static inline const struct disk_item *leaf_item(const u8 *block, u32 slot)
{
	return (const struct disk_item *)(block + sizeof(struct disk_header)) + slot;
}

static inline struct key leaf_key(const u8 *block, u32 slot)
{
	return key_unpack(&leaf_item(block, slot)->key);
}

static inline u32 leaf_item_bytes(const u8 *block, u32 slot)
{
	return le32_get(leaf_item(block, slot)->size);
}

static inline const void *leaf_item_data(const u8 *block, u32 slot)
{
	return block + sizeof(struct disk_header) + le32_get(leaf_item(block, slot)->offset);
}

static inline const struct disk_key_ptr *node_ptr(const u8 *block, u32 slot)
{
	return (const struct disk_key_ptr *)(block + sizeof(struct disk_header)) + slot;
}

static inline struct key node_key(const u8 *block, u32 slot)
{
	return key_unpack(&node_ptr(block, slot)->key);
}

static inline u64 node_blockptr(const u8 *block, u32 slot)
{
	return le64_get(node_ptr(block, slot)->blockptr);
}

static inline u64 node_generation(const u8 *block, u32 slot)
{
	return le64_get(node_ptr(block, slot)->generation);
}

/* Key of item or pointer 0..nritems-1, whatever the level. */
static inline struct key block_key(const u8 *block, u32 slot)
{
	return block_level(block) == 0 ? leaf_key(block, slot) : node_key(block, slot);
}

/* What every block of a filesystem has in common, for writing blocks. */
struct block_identity {
	u32 nodesize;
	const struct csum_kind *csum;
	u8 fsid[UUID_SIZE]; /* the metadata_uuid where there is one */
	u8 chunk_tree_uuid[UUID_SIZE];
	u64 generation;
};

/* Make @block (nodesize bytes) an empty block: zeroes and a header. */
void block_init(u8 *block, const struct block_identity *id, u64 logical, u64 owner, u8 level);

/* Room left for one more item's data; the item struct is already subtracted. Negative: not even that fits. */
int leaf_free_bytes(const u8 *block, u32 nodesize);

/* Append an item; the caller knows that it fits and sorts last. Returns where its @size bytes of data go. */
void *leaf_append(u8 *block, u32 nodesize, const struct key *key, u32 size);

/* Append a pointer; the caller knows that it fits and sorts last. */
void node_append(u8 *block, const struct key *key, u64 blockptr, u64 generation);

/* Put the checksum in, last of all. */
void block_finish(u8 *block, u32 nodesize, const struct csum_kind *csum);

/* Is the stored checksum right? */
bool block_csum_is_good(const u8 *block, u32 nodesize, const struct csum_kind *csum);

/*
 * The slot of @key in a block of any level: 0 and the slot when it is there, else 1 and the slot where it would stand
 * (0..nritems).
 */
int block_search(const u8 *block, const struct key *key, u32 *ret_slot);

#endif
