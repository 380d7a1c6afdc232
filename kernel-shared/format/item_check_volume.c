/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of chunks, devices, block groups and free space, and the sizes of all other items. */
#include "common/base/checked.h"
#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"

typedef unsigned long long ull;

static int check_range(const struct item_at *at, u64 start, u64 len)
{
	u64 end;

	if (start % at->params->sectorsize || len == 0 || len % at->params->sectorsize || !checked_add(start, len, &end))
		return item_bad(at, "impossible range [%llu, +%llu)", (ull)start, (ull)len);
	return 0;
}

/* The rules of profiles and stripes are checked where chunks become a map; here is what the item alone says. */
static int check_chunk(const struct item_at *at)
{
	const struct disk_chunk *chunk = at->data;

	if (at->key.objectid != FIRST_CHUNK_TREE_OBJECTID)
		return item_bad(at, "chunk under objectid %lld", (long long)at->key.objectid);
	if (at->size < sizeof(*chunk) ||
	    at->size != sizeof(*chunk) + le16_get(chunk->num_stripes) * sizeof(struct disk_stripe) ||
	    le16_get(chunk->num_stripes) == 0)
		return item_bad(at, "chunk item of %u bytes", at->size);
	return check_range(at, at->key.offset, le64_get(chunk->length));
}

static int check_dev_item(const struct item_at *at)
{
	const struct disk_dev_item *item = at->data;
	int err = item_size_is(at, sizeof(*item));

	if (err)
		return err;
	if (at->key.objectid != DEV_ITEMS_OBJECTID || le64_get(item->devid) != at->key.offset)
		return item_bad(at, "device item says device %llu", (ull)le64_get(item->devid));
	if (le64_get(item->bytes_used) > le64_get(item->total_bytes))
		return item_bad(at, "%llu of %llu bytes used", (ull)le64_get(item->bytes_used),
				(ull)le64_get(item->total_bytes));
	return 0;
}

static int check_dev_extent(const struct item_at *at)
{
	const struct disk_dev_extent *item = at->data;
	int err = item_size_is(at, sizeof(*item));

	if (!err)
		err = check_range(at, at->key.offset, le64_get(item->length));
	if (!err && (le64_get(item->chunk_tree) != CHUNK_TREE_OBJECTID ||
		     le64_get(item->chunk_objectid) != FIRST_CHUNK_TREE_OBJECTID))
		err = item_bad(at, "belongs to chunk (%llu %u) of tree %llu", (ull)le64_get(item->chunk_objectid),
			       CHUNK_ITEM_KEY, (ull)le64_get(item->chunk_tree));
	if (!err && le64_get(item->chunk_offset) % at->params->sectorsize)
		err = item_bad(at, "belongs to a chunk at %llu", (ull)le64_get(item->chunk_offset));
	if (!err && at->slot) {
		struct key key = leaf_key(at->block, at->slot - 1);
		const struct disk_dev_extent *before = leaf_item_data(at->block, at->slot - 1);

		if (key.type == DEV_EXTENT_KEY && key.objectid == at->key.objectid &&
		    key.offset + le64_get(before->length) > at->key.offset)
			err = item_bad(at, "the device extent before it reaches to %llu",
				       (ull)(key.offset + le64_get(before->length)));
	}
	return err;
}

static int check_block_group(const struct item_at *at)
{
	const struct disk_block_group_item *item = at->data;
	int err = item_size_is(at, sizeof(*item));
	u64 flags, kinds;

	if (!err)
		err = check_range(at, at->key.objectid, at->key.offset);
	if (err)
		return err;
	flags = le64_get(item->flags);
	if (le64_get(item->used) > at->key.offset)
		return item_bad(at, "%llu bytes used of %llu", (ull)le64_get(item->used), (ull)at->key.offset);
	if (le64_get(item->chunk_objectid) != FIRST_CHUNK_TREE_OBJECTID)
		return item_bad(at, "belongs to a chunk under objectid %llu", (ull)le64_get(item->chunk_objectid));
	kinds = flags & BLOCK_GROUP_TYPE_MASK;
	if (!is_power_of_two(kinds) && kinds != (BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA))
		return item_bad(at, "block group of no possible type, flags 0x%llx", (ull)flags);
	if ((flags & BLOCK_GROUP_PROFILE_MASK) & ((flags & BLOCK_GROUP_PROFILE_MASK) - 1))
		return item_bad(at, "block group with two profiles, flags 0x%llx", (ull)flags);
	return 0;
}

static int check_free_space_info(const struct item_at *at)
{
	const struct disk_free_space_info *info = at->data;
	int err = item_size_is(at, sizeof(*info));

	if (!err && le32_get(info->flags) & ~FREE_SPACE_USING_BITMAPS)
		err = item_bad(at, "unknown flags 0x%x", le32_get(info->flags));
	if (!err && le32_get(info->extent_count) > at->key.offset / at->params->sectorsize)
		err = item_bad(at, "%u free extents in %llu bytes", le32_get(info->extent_count), (ull)at->key.offset);
	return err;
}

int item_check_volume(const struct item_at *at)
{
	int err;

	switch (at->key.type) {
	case CHUNK_ITEM_KEY:
		return check_chunk(at);
	case DEV_ITEM_KEY:
		return check_dev_item(at);
	case DEV_EXTENT_KEY:
		return check_dev_extent(at);
	case BLOCK_GROUP_ITEM_KEY:
		return check_block_group(at);
	case FREE_SPACE_INFO_KEY:
		err = check_free_space_info(at);
		break;
	case FREE_SPACE_EXTENT_KEY:
		err = item_size_is(at, 0);
		break;
	default: /* FREE_SPACE_BITMAP: one bit a sector */
		err = item_size_is(at, (u32)MIN((at->key.offset / at->params->sectorsize + 7) / 8, (u64)UINT32_MAX));
		break;
	}
	return err ? err : check_range(at, at->key.objectid, at->key.offset);
}

int item_check_other(const struct item_at *at)
{
	switch (at->key.type) {
	case ORPHAN_ITEM_KEY:
		return item_size_is(at, 0);
	case DIR_LOG_ITEM_KEY:
	case DIR_LOG_INDEX_KEY:
		return item_size_is(at, sizeof(struct disk_dir_log_item));
	case QGROUP_STATUS_KEY:
		if (at->size != sizeof(struct disk_qgroup_status_item) && at->size != QGROUP_STATUS_V0_BYTES)
			return item_bad(at, "item of %u bytes", at->size);
		return 0;
	case QGROUP_INFO_KEY:
		return item_size_is(at, sizeof(struct disk_qgroup_info_item));
	case QGROUP_LIMIT_KEY:
		return item_size_is(at, sizeof(struct disk_qgroup_limit_item));
	case TEMPORARY_ITEM_KEY:
		return at->key.objectid == BALANCE_OBJECTID ? item_size_is(at, sizeof(struct disk_balance_item)) : 0;
	case UUID_KEY_SUBVOL:
	case UUID_KEY_RECEIVED_SUBVOL:
		if (at->size == 0 || at->size % sizeof(le64))
			return item_bad(at, "item of %u bytes", at->size);
		return 0;
	case 0: /* the one item type without a name: what a free space cache file holds */
		return at->key.objectid == FREE_SPACE_OBJECTID ? item_size_is(at, sizeof(struct disk_free_space_header)) : 0;
	default:
		/* Types that are not known are for newer kernels to judge. */
		return 0;
	}
}
