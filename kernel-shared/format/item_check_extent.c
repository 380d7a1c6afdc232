/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of the extent tree's items and of root items. */
#include "common/base/checked.h"
#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"

typedef unsigned long long ull;

int item_check_root(const struct item_at *at)
{
	const struct disk_root_item *item = at->data;
	u64 generation, super_generation = at->params->super_generation;

	if (at->size != sizeof(*item) && at->size != ROOT_ITEM_V0_BYTES)
		return item_bad(at, "root item of %u bytes", at->size);
	generation = le64_get(item->generation);
	if (super_generation && generation > super_generation + 1)
		return item_bad(at, "root generation %llu is newer than the superblock's %llu", (ull)generation,
				(ull)super_generation);
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

static int check_inline_refs(const struct item_at *at, const u8 *from, u32 left, bool is_data, u64 refs)
{
	u64 counted = 0;

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
		counted += inline_ref_count(from);
		from += bytes;
		left -= bytes;
	}
	if (counted > refs)
		return item_bad(at, "%llu inline references, %llu in all", (ull)counted, (ull)refs);
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
	if (!is_metadata_item && !checked_add(at->key.objectid, at->key.offset, &end))
		return item_bad(at, "length overflows");
	if (is_metadata_item && is_data)
		return item_bad(at, "a metadata item that says data");
	if (!is_metadata_item && !is_data) {
		fixed += sizeof(struct disk_tree_block_info);
		if (at->size < fixed)
			return item_bad(at, "item of %u bytes", at->size);
		if (at->key.offset != at->params->nodesize)
			return item_bad(at, "tree block of %llu bytes", (ull)at->key.offset);
	}
	if (le64_get(item->refs) == 0)
		return item_bad(at, "no references");
	if (at->params->super_generation && le64_get(item->generation) > at->params->super_generation + 1)
		return item_bad(at, "generation %llu is newer than the superblock's", (ull)le64_get(item->generation));
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

int item_check_extent(const struct item_at *at)
{
	switch (at->key.type) {
	case EXTENT_ITEM_KEY:
	case METADATA_ITEM_KEY:
		return check_extent_item(at);
	case EXTENT_DATA_REF_KEY:
		return check_data_refs(at);
	case SHARED_DATA_REF_KEY:
		return item_size_is(at, sizeof(struct disk_shared_data_ref));
	default:
		return item_size_is(at, 0);
	}
}
