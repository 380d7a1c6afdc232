/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/checked.h"
#include "kernel-shared/treelog/placement.h"

void placement_init(struct placement *placement, struct btrkit_fs *fs)
{
	struct tree tree;

	*placement = (struct placement){ .fs = fs };
	placement->has_extents = fs_tree(fs, EXTENT_TREE_OBJECTID, &tree, NULL) == 0;
	if (placement->has_extents)
		placement->extents = cursor_init(&tree);
}

void placement_done(struct placement *placement)
{
	cursor_done(&placement->extents);
}

static bool is_in_chunk(const struct placement *placement, u64 logical, u64 len, u64 kind)
{
	const struct chunk *chunk = chunk_map_find(placement->fs->volume->chunks, logical);

	return chunk && (chunk->type & kind) && len && range_fits(logical - chunk->logical, len, chunk->length);
}

/* The extent that the item at the cursor tells of; false: it tells of none. */
static bool item_extent(const struct placement *placement, u64 *ret_logical, u64 *ret_len, bool *ret_is_data)
{
	const struct disk_extent_item *item = cursor_data(&placement->extents);
	const struct key key = cursor_key(&placement->extents);

	if (key.type != EXTENT_ITEM_KEY && key.type != METADATA_ITEM_KEY)
		return false;
	*ret_logical = key.objectid;
	*ret_len = key.type == EXTENT_ITEM_KEY ? key.offset : placement->fs->volume->nodesize;
	*ret_is_data = key.type == EXTENT_ITEM_KEY && cursor_data_bytes(&placement->extents) >= sizeof(*item) &&
		       (le64_get(item->flags) & EXTENT_FLAG_DATA);
	return true;
}

/* Extents do not overlap each other, so the last one that begins before the end tells. */
static int find_extent(struct placement *placement, u64 logical, u64 len, enum place *ret_place, struct diag *d)
{
	const struct key last = { logical + len - 1, UINT8_MAX, UINT64_MAX };
	u64 at, at_len;
	bool is_data;
	int err;

	for (err = cursor_seek_back(&placement->extents, &last, d); err == 0; err = cursor_prev(&placement->extents, d)) {
		if (!item_extent(placement, &at, &at_len, &is_data))
			continue;
		if (at == logical && at_len == len && is_data)
			*ret_place = PLACE_EXTENT;
		else if (at >= logical || at_len > logical - at)
			*ret_place = PLACE_TAKEN;
		return 0;
	}
	return err < 0 ? err : 0;
}

int placement_judge(struct placement *placement, u64 logical, u64 len, u64 kind, enum place *ret_place, struct diag *d)
{
	int err;

	*ret_place = PLACE_OUTSIDE;
	if (!is_in_chunk(placement, logical, len, kind))
		return 0;
	*ret_place = PLACE_FREE;
	err = placement->has_extents ? find_extent(placement, logical, len, ret_place, d) : 0;
	if (err != -EUCLEAN && err != -EIO)
		return err;
	diag_note(d, DIAG_WARNING, "the extent tree is damaged: whether the log's extents are free cannot be told");
	diag_clear(d);
	placement->has_extents = false;
	return 0;
}
