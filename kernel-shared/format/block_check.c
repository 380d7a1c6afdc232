/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"

typedef unsigned long long ull;

__attribute__((format(printf, 4, 5))) static int block_bad(const u8 *block, u64 logical, struct diag *d,
							    const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return diag_fail(d, -EUCLEAN, "%s %llu of tree %lld: %s", block_level(block) ? "node" : "leaf", (ull)logical,
			 (long long)le64_get(block_header(block)->owner), text);
}

int item_bad(const struct item_at *at, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return diag_fail(at->d, -EUCLEAN, "leaf %llu of tree %lld slot %u key (%lld %u %llu): %s",
			 (ull)le64_get(block_header(at->block)->bytenr),
			 (long long)le64_get(block_header(at->block)->owner), at->slot, (long long)at->key.objectid,
			 at->key.type, (ull)at->key.offset, text);
}

int item_size_is(const struct item_at *at, u32 size)
{
	return at->size == size ? 0 : item_bad(at, "item of %u bytes, expected %u", at->size, size);
}

/* Each of these has items from the moment it is made; Linux refuses them empty. */
static bool tree_is_never_empty(u64 owner)
{
	return owner == ROOT_TREE_OBJECTID || owner == EXTENT_TREE_OBJECTID || owner == CHUNK_TREE_OBJECTID ||
	       owner == DEV_TREE_OBJECTID || owner == FS_TREE_OBJECTID || owner == DATA_RELOC_TREE_OBJECTID;
}

static int check_header(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d)
{
	const struct disk_header *header = block_header(block);
	u32 nritems = block_nritems(block);
	u32 limit = header->level ? node_max_ptrs(params->nodesize)
				  : leaf_data_bytes(params->nodesize) / (u32)sizeof(struct disk_item);

	if (le64_get(header->bytenr) != logical)
		return block_bad(block, logical, d, "says that it lies at %llu", (ull)le64_get(header->bytenr));
	if (header->level >= LEVEL_MAX)
		return block_bad(block, logical, d, "level %u, limit %d", header->level, LEVEL_MAX - 1);
	if (nritems > limit)
		return block_bad(block, logical, d, "%u items, limit %u", nritems, limit);
	if (header->level && nritems == 0)
		return block_bad(block, logical, d, "a node without pointers");
	if (le64_get(header->owner) == 0)
		return block_bad(block, logical, d, "belongs to no tree");
	if (nritems == 0 && tree_is_never_empty(le64_get(header->owner)))
		return block_bad(block, logical, d, "no items, but this tree is never empty");
	if (!(le64_get(header->flags) & HEADER_FLAG_WRITTEN))
		return block_bad(block, logical, d, "not marked as written");
	if (params->super_generation && le64_get(header->generation) > params->super_generation + 1)
		return block_bad(block, logical, d, "generation %llu is newer than the superblock's %llu",
				 (ull)le64_get(header->generation), (ull)params->super_generation);
	return 0;
}

static int check_node(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d)
{
	struct key last = KEY_MIN;

	for (u32 slot = 0; slot < block_nritems(block); slot++) {
		struct key key = node_key(block, slot);
		u64 ptr = node_blockptr(block, slot);

		if (ptr == 0 || ptr % params->sectorsize)
			return block_bad(block, logical, d, "slot %u points to %llu", slot, (ull)ptr);
		if (slot && key_compare(&last, &key) >= 0)
			return block_bad(block, logical, d, "key of slot %u is not greater than that of slot %u", slot,
					 slot - 1);
		last = key;
	}
	return 0;
}

/* Data of items lies end to end, from the end of the block down to the item array. */
static int check_geometry(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d)
{
	u32 nritems = block_nritems(block);
	u32 items_end = nritems * (u32)sizeof(struct disk_item);
	u32 expected_end = leaf_data_bytes(params->nodesize);

	for (u32 slot = 0; slot < nritems; slot++) {
		u32 offset = le32_get(leaf_item(block, slot)->offset), size = leaf_item_bytes(block, slot);

		if (offset > expected_end || size != expected_end - offset)
			return block_bad(block, logical, d, "data of slot %u is [%u, +%u), expected to end at %u", slot,
					 offset, size, expected_end);
		if (offset < items_end)
			return block_bad(block, logical, d, "data of slot %u reaches into the item array", slot);
		expected_end = offset;
	}
	return 0;
}

static int check_item(const struct item_at *at)
{
	switch (at->key.type) {
	case INODE_ITEM_KEY:
		return item_check_inode(at);
	case INODE_REF_KEY:
	case INODE_EXTREF_KEY:
	case XATTR_ITEM_KEY:
	case DIR_ITEM_KEY:
	case DIR_INDEX_KEY:
	case ROOT_REF_KEY:
	case ROOT_BACKREF_KEY:
		return item_check_names(at);
	case EXTENT_DATA_KEY:
		return item_check_file_extent(at);
	case EXTENT_CSUM_KEY:
		return item_check_csum(at);
	case ROOT_ITEM_KEY:
		return item_check_root(at);
	case EXTENT_ITEM_KEY:
	case METADATA_ITEM_KEY:
	case TREE_BLOCK_REF_KEY:
	case EXTENT_DATA_REF_KEY:
	case SHARED_BLOCK_REF_KEY:
	case SHARED_DATA_REF_KEY:
		return item_check_extent(at);
	case CHUNK_ITEM_KEY:
	case DEV_ITEM_KEY:
	case DEV_EXTENT_KEY:
	case BLOCK_GROUP_ITEM_KEY:
	case FREE_SPACE_INFO_KEY:
	case FREE_SPACE_EXTENT_KEY:
	case FREE_SPACE_BITMAP_KEY:
		return item_check_volume(at);
	default:
		return item_check_other(at);
	}
}

static int check_slot_order(const struct block_check_params *params, const u8 *block, u32 slot, struct diag *d)
{
	struct item_at at = { .params = params, .block = block, .slot = slot, .key = leaf_key(block, slot), .d = d };
	struct key last;

	if (slot == 0)
		return 0;
	last = leaf_key(block, slot - 1);
	if (key_compare(&last, &at.key) < 0)
		return 0;
	return item_bad(&at, "not greater than the key before it, (%lld %u %llu)", (long long)last.objectid, last.type,
			(ull)last.offset);
}

/* All but the items, and the order of their keys. */
static int check_frame(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d)
{
	int err = check_header(params, block, logical, d);

	if (err)
		return err;
	return block_level(block) ? check_node(params, block, logical, d) : check_geometry(params, block, logical, d);
}

int block_check_shape(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d)
{
	int err = check_frame(params, block, logical, d);

	/* Only behind a good frame is the number of items one. */
	for (u32 slot = 0; !err && block_level(block) == 0 && slot < block_nritems(block); slot++)
		err = check_slot_order(params, block, slot, d);
	return err;
}

int block_check_item(const struct block_check_params *params, const u8 *block, u32 slot, struct diag *d)
{
	const struct item_at at = {
		.params = params,
		.block = block,
		.slot = slot,
		.key = leaf_key(block, slot),
		.data = leaf_item_data(block, slot),
		.size = leaf_item_bytes(block, slot),
		.d = d,
	};

	return check_item(&at);
}

int block_check(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d)
{
	int err = check_frame(params, block, logical, d);

	for (u32 slot = 0; !err && block_level(block) == 0 && slot < block_nritems(block); slot++) {
		err = check_slot_order(params, block, slot, d);
		if (!err)
			err = block_check_item(params, block, slot, d);
	}
	return err;
}
