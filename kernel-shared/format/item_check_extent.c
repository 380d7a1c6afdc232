/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of the extent tree's items and of root items. */
#include "common/base/checked.h"
#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"
#include "kernel-shared/format/name_hash.h"

typedef unsigned long long ull;

int item_check_root(const struct item_at *at)
{
	const struct disk_root_item *item = at->data;
	u64 generation, super_generation = at->params->super_generation;
	bool is_long = at->size == sizeof(*item);

	if (!is_long && at->size != ROOT_ITEM_V0_BYTES)
		return item_bad(at, "root item of %u bytes", at->size);
	if (at->key.objectid == 0)
		return item_bad(at, "root of no tree");
	generation = le64_get(item->generation);
	if (super_generation && generation > super_generation + 1)
		return item_bad(at, "root generation %llu is newer than the superblock's %llu", (ull)generation,
				(ull)super_generation);
	if (super_generation && is_long && le64_get(item->generation_v2) > super_generation + 1)
		return item_bad(at, "root generation_v2 %llu is newer than the superblock's %llu",
				(ull)le64_get(item->generation_v2), (ull)super_generation);
	if (super_generation && le64_get(item->last_snapshot) > super_generation + 1)
		return item_bad(at, "last snapshot in generation %llu, the superblock's is %llu",
				(ull)le64_get(item->last_snapshot), (ull)super_generation);
	if (le64_get(item->bytenr) % at->params->sectorsize)
		return item_bad(at, "root at %llu", (ull)le64_get(item->bytenr));
	if (item->level >= LEVEL_MAX || item->drop_level >= LEVEL_MAX)
		return item_bad(at, "level %u, drop level %u, limit %d", item->level, item->drop_level, LEVEL_MAX - 1);
	if (le64_get(item->flags) & ~(ROOT_SUBVOL_RDONLY | ROOT_SUBVOL_DEAD))
		return item_bad(at, "unknown root flags 0x%llx", (ull)le64_get(item->flags));
	return 0;
}

/* Bytes that an inline reference of this type takes; 0: unknown type. */
static u32 inline_ref_bytes(u8 type)
{
	switch (type) {
	case TREE_BLOCK_REF_KEY:
	case SHARED_BLOCK_REF_KEY:
	case EXTENT_OWNER_REF_KEY:
		return sizeof(struct disk_extent_inline_ref);
	case EXTENT_DATA_REF_KEY:
		return 1 + sizeof(struct disk_extent_data_ref);
	case SHARED_DATA_REF_KEY:
		return sizeof(struct disk_extent_inline_ref) + sizeof(struct disk_shared_data_ref);
	default:
		return 0;
	}
}

static bool ref_fits_extent(u8 type, bool is_data)
{
	if (type == TREE_BLOCK_REF_KEY || type == SHARED_BLOCK_REF_KEY)
		return !is_data;
	return is_data;
}

/* References that an inline entry stands for. */
static u64 inline_ref_count(const u8 *from)
{
	const struct disk_extent_data_ref *data = (const void *)(from + 1);
	const struct disk_shared_data_ref *shared = (const void *)(from + sizeof(struct disk_extent_inline_ref));

	switch (from[0]) {
	case EXTENT_DATA_REF_KEY:
		return le32_get(data->count);
	case SHARED_DATA_REF_KEY:
		return le32_get(shared->count);
	case EXTENT_OWNER_REF_KEY:
		return 0;
	default:
		return 1;
	}
}

/* What inline references of one type are sorted by, the greatest first. */
static u64 inline_ref_rank(const u8 *from)
{
	const struct disk_extent_inline_ref *ref = (const void *)from;
	const struct disk_extent_data_ref *data = (const void *)(from + 1);

	if (from[0] == EXTENT_DATA_REF_KEY)
		return extent_data_ref_hash(le64_get(data->root), le64_get(data->objectid), le64_get(data->offset));
	return le64_get(ref->offset);
}

/* Is the place that the reference names - a parent block, or a file's offset - one that can be? */
static bool inline_ref_place_is_valid(const struct item_at *at, const u8 *from)
{
	const struct disk_extent_inline_ref *ref = (const void *)from;
	const struct disk_extent_data_ref *data = (const void *)(from + 1);

	switch (from[0]) {
	case EXTENT_DATA_REF_KEY:
		return le64_get(data->offset) % at->params->sectorsize == 0;
	case SHARED_BLOCK_REF_KEY:
	case SHARED_DATA_REF_KEY:
		return le64_get(ref->offset) && le64_get(ref->offset) % at->params->sectorsize == 0;
	default:
		return true;
	}
}

static int check_inline_refs(const struct item_at *at, const u8 *from, u32 left, bool is_data, u64 refs)
{
	u64 counted = 0, rank, last_rank = UINT64_MAX;
	u8 last_type = 0;

	while (left > 0) {
		u32 bytes = inline_ref_bytes(from[0]);

		if (bytes == 0)
			return item_bad(at, "inline reference of unknown type %u", from[0]);
		if (bytes > left)
			return item_bad(at, "inline reference ends outside the item");
		if (!ref_fits_extent(from[0], is_data))
			return item_bad(at, "inline reference of type %u for %s", from[0], is_data ? "data" : "a tree block");
		if (from[0] != EXTENT_OWNER_REF_KEY && inline_ref_count(from) == 0)
			return item_bad(at, "inline reference with count 0");
		if (!inline_ref_place_is_valid(at, from))
			return item_bad(at, "inline reference of type %u to an impossible place", from[0]);
		rank = inline_ref_rank(from);
		if (from[0] < last_type || (from[0] == last_type && rank > last_rank))
			return item_bad(at, "inline references are not in order");
		last_type = from[0];
		last_rank = rank;
		counted += inline_ref_count(from);
		from += bytes;
		left -= bytes;
	}
	if (counted > refs)
		return item_bad(at, "%llu inline references, %llu in all", (ull)counted, (ull)refs);
	return 0;
}

/* Extents never overlap. Between two of them there may be block groups and the first one's keyed references. */
static int check_not_overlapped(const struct item_at *at)
{
	for (u32 slot = at->slot; slot-- > 0;) {
		struct key key = leaf_key(at->block, slot);
		u64 end;

		if (key.type != EXTENT_ITEM_KEY && key.type != METADATA_ITEM_KEY)
			continue;
		end = key.objectid + (key.type == METADATA_ITEM_KEY ? at->params->nodesize : key.offset);
		if (end > at->key.objectid)
			return item_bad(at, "the extent before it reaches to %llu", (ull)end);
		break;
	}
	return 0;
}

static int check_extent_item(const struct item_at *at)
{
	const struct disk_extent_item *item = at->data;
	bool is_metadata_item = at->key.type == METADATA_ITEM_KEY;
	u32 fixed = sizeof(*item);
	u64 flags, end;
	bool is_data;

	if (at->size < fixed)
		return item_bad(at, "item of %u bytes", at->size);
	flags = le64_get(item->flags);
	is_data = flags & EXTENT_FLAG_DATA;
	if (is_data == ((flags & EXTENT_FLAG_TREE_BLOCK) != 0))
		return item_bad(at, "flags 0x%llx: neither data nor a tree block, or both", (ull)flags);
	if (at->key.objectid % at->params->sectorsize)
		return item_bad(at, "address is not a multiple of the sectorsize");
	if (is_metadata_item ? at->key.offset >= LEVEL_MAX
			     : at->key.offset == 0 || at->key.offset % at->params->sectorsize)
		return item_bad(at, "impossible %s", is_metadata_item ? "level" : "length");
	if (!checked_add(at->key.objectid, is_metadata_item ? at->params->nodesize : at->key.offset, &end))
		return item_bad(at, "length overflows");
	if (is_metadata_item && is_data)
		return item_bad(at, "a metadata item that says data");
	if (!is_metadata_item && !is_data) {
		fixed += sizeof(struct disk_tree_block_info);
		if (at->size < fixed)
			return item_bad(at, "item of %u bytes", at->size);
		if (at->key.offset != at->params->nodesize)
			return item_bad(at, "tree block of %llu bytes", (ull)at->key.offset);
		if (((const struct disk_tree_block_info *)(item + 1))->level >= LEVEL_MAX)
			return item_bad(at, "impossible level");
	}
	if (le64_get(item->refs) == 0)
		return item_bad(at, "no references");
	if (at->params->super_generation && le64_get(item->generation) > at->params->super_generation + 1)
		return item_bad(at, "generation %llu is newer than the superblock's", (ull)le64_get(item->generation));
	if (check_not_overlapped(at))
		return -EUCLEAN;
	return check_inline_refs(at, (const u8 *)at->data + fixed, at->size - fixed, is_data, le64_get(item->refs));
}

static int check_data_refs(const struct item_at *at)
{
	const struct disk_extent_data_ref *ref = at->data;

	if (at->size == 0 || at->size % sizeof(*ref))
		return item_bad(at, "item of %u bytes", at->size);
	for (u32 i = 0; i < at->size / sizeof(*ref); i++)
		if (le32_get(ref[i].count) == 0 || le64_get(ref[i].offset) % at->params->sectorsize)
			return item_bad(at, "reference %u has count %u, offset %llu", i, le32_get(ref[i].count),
					(ull)le64_get(ref[i].offset));
	return 0;
}

static int check_shared_data_ref(const struct item_at *at)
{
	const struct disk_shared_data_ref *ref = at->data;
	int err = item_size_is(at, sizeof(*ref));

	return err || le32_get(ref->count) ? err : item_bad(at, "reference with count 0");
}

static int check_keyed_ref(const struct item_at *at)
{
	bool is_shared = at->key.type == SHARED_BLOCK_REF_KEY || at->key.type == SHARED_DATA_REF_KEY;

	if (at->key.objectid % at->params->sectorsize)
		return item_bad(at, "address is not a multiple of the sectorsize");
	if (is_shared && (at->key.offset == 0 || at->key.offset % at->params->sectorsize))
		return item_bad(at, "shared by a block at %llu", (ull)at->key.offset);
	if (at->key.type == EXTENT_DATA_REF_KEY)
		return check_data_refs(at);
	return at->key.type == SHARED_DATA_REF_KEY ? check_shared_data_ref(at) : item_size_is(at, 0);
}

int item_check_extent(const struct item_at *at)
{
	if (at->key.type == EXTENT_ITEM_KEY || at->key.type == METADATA_ITEM_KEY)
		return check_extent_item(at);
	return check_keyed_ref(at);
}
