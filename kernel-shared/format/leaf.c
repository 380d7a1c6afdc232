/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/format/leaf.h"

void block_init(u8 *block, const struct block_identity *id, u64 logical, u64 owner, u8 level)
{
	struct disk_header *header = (struct disk_header *)block;

	memset(block, 0, id->nodesize);
	memcpy(header->fsid, id->fsid, UUID_SIZE);
	le64_put(&header->bytenr, logical);
	le64_put(&header->flags, HEADER_FLAG_WRITTEN | HEADER_MIXED_BACKREF_REV << HEADER_BACKREF_REV_SHIFT);
	memcpy(header->chunk_tree_uuid, id->chunk_tree_uuid, UUID_SIZE);
	le64_put(&header->generation, id->generation);
	le64_put(&header->owner, owner);
	header->level = level;
}

/* Offset, from the end of the header, of the lowest data byte in use. */
static u32 leaf_data_start(const u8 *block, u32 nodesize)
{
	u32 nritems = block_nritems(block);

	return nritems ? le32_get(leaf_item(block, nritems - 1)->offset) : leaf_data_bytes(nodesize);
}

int leaf_free_bytes(const u8 *block, u32 nodesize)
{
	u32 items_end = (block_nritems(block) + 1) * (u32)sizeof(struct disk_item);

	return (int)leaf_data_start(block, nodesize) - (int)items_end;
}

void *leaf_append(u8 *block, u32 nodesize, const struct key *key, u32 size)
{
	struct disk_header *header = (struct disk_header *)block;
	u32 nritems = block_nritems(block);
	u32 offset = leaf_data_start(block, nodesize) - size;
	struct disk_item *item = (struct disk_item *)(block + sizeof(*header)) + nritems;

	key_pack(&item->key, key);
	le32_put(&item->offset, offset);
	le32_put(&item->size, size);
	le32_put(&header->nritems, nritems + 1);
	return block + sizeof(*header) + offset;
}

void node_append(u8 *block, const struct key *key, u64 blockptr, u64 generation)
{
	struct disk_header *header = (struct disk_header *)block;
	u32 nritems = block_nritems(block);
	struct disk_key_ptr *ptr = (struct disk_key_ptr *)(block + sizeof(*header)) + nritems;

	key_pack(&ptr->key, key);
	le64_put(&ptr->blockptr, blockptr);
	le64_put(&ptr->generation, generation);
	le32_put(&header->nritems, nritems + 1);
}

void block_finish(u8 *block, u32 nodesize, const struct csum_kind *csum)
{
	memset(block, 0, CSUM_SIZE);
	csum_compute(csum, block + CSUM_SIZE, nodesize - CSUM_SIZE, block);
}

bool block_csum_is_good(const u8 *block, u32 nodesize, const struct csum_kind *csum)
{
	u8 computed[CSUM_SIZE];

	csum_compute(csum, block + CSUM_SIZE, nodesize - CSUM_SIZE, computed);
	return memcmp(block, computed, csum->size_bytes) == 0;
}

int block_search(const u8 *block, const struct key *key, u32 *ret_slot)
{
	u32 low = 0, high = block_nritems(block);

	while (low < high) {
		u32 middle = low + (high - low) / 2;
		struct key at = block_key(block, middle);
		int order = key_compare(&at, key);

		if (order == 0) {
			*ret_slot = middle;
			return 0;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_slot = low;
	return 1;
}
