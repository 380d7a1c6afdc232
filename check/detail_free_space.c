/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ranges where a block group's free space and its extents disagree. */
#include "check/check.h"

typedef unsigned long long ull;

struct filling {
	struct check *check;
	const struct chunk *chunk;
	ARRAY(struct range) used;
	ARRAY(struct range) free;
};

static int add_range(struct filling *f, bool is_free, u64 start, u64 end)
{
	struct range range = { MAX(start, f->chunk->logical), MIN(end, f->chunk->logical + f->chunk->length) };

	if (range.start >= range.end)
		return 0;
	return is_free ? array_push(&f->free, range) : array_push(&f->used, range);
}

static int add_bits(struct filling *f, const struct key *key, const u8 *bits)
{
	u32 sectorsize = check_sectorsize(f->check);
	int err = 0;

	for (u64 i = 0; i < key->offset / sectorsize && !err; i++)
		if (bits[i / 8] >> i % 8 & 1)
			err = add_range(f, true, key->objectid + i * sectorsize, key->objectid + (i + 1) * sectorsize);
	return err;
}

static int take_item(struct filling *f, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);

	switch (key.type) {
	case EXTENT_ITEM_KEY:
		return add_range(f, false, key.objectid, key.objectid + key.offset);
	case METADATA_ITEM_KEY:
		return add_range(f, false, key.objectid, key.objectid + check_nodesize(f->check));
	case FREE_SPACE_EXTENT_KEY:
		return add_range(f, true, key.objectid, key.objectid + key.offset);
	case FREE_SPACE_BITMAP_KEY:
		return add_bits(f, &key, cursor_data(cursor));
	default:
		return 0;
	}
}

static int gather(struct filling *f, u64 tree_id)
{
	const struct key first = { f->chunk->logical, 0, 0 };
	struct cursor cursor;
	struct tree tree;
	int result = 0;

	if (fs_tree(f->check->fs, tree_id, &tree, NULL) < 0)
		return 0;
	cursor = cursor_init(&tree);
	for (int err = cursor_seek(&cursor, &first, NULL); err == 0 && !result; err = cursor_next(&cursor, NULL)) {
		if (cursor_key(&cursor).objectid >= f->chunk->logical + f->chunk->length)
			break;
		if (block_check_item(block_cache_check_params(f->check->fs->cache), cursor.path[0].block->data,
				     cursor.path[0].slot, NULL) == 0)
			result = take_item(f, &cursor);
	}
	cursor_done(&cursor);
	return result;
}

/* Walk both lists from the beginning of the group: each byte must be in one of them. */
static void compare(const struct filling *f)
{
	u64 at = f->chunk->logical, end = at + f->chunk->length;
	size_t u = 0, n = 0;

	while (at < end) {
		const struct range *used, *free;
		u64 next;

		while (u < f->used.len && f->used.items[u].end <= at)
			u++;
		while (n < f->free.len && f->free.items[n].end <= at)
			n++;
		used = u < f->used.len ? &f->used.items[u] : NULL;
		free = n < f->free.len ? &f->free.items[n] : NULL;
		next = MIN(used ? (used->start > at ? used->start : used->end) : end,
			   free ? (free->start > at ? free->start : free->end) : end);
		if (used && free && used->start <= at && free->start <= at)
			complain(f->check, FREE_SPACE_IN_USE, AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = at), (ull)at,
				 (ull)next);
		else if (!(used && used->start <= at) && !(free && free->start <= at))
			complain(f->check, FREE_SPACE_LOST, AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = at), (ull)at,
				 (ull)next);
		at = next;
	}
}

int detail_free_space(struct check *check, size_t group, struct diag *d)
{
	struct filling f = { .check = check, .chunk = chunk_map_at(check->fs->volume->chunks, group) };
	int err = gather(&f, EXTENT_TREE_OBJECTID);

	if (!err)
		err = gather(&f, FREE_SPACE_TREE_OBJECTID);
	if (err)
		err = diag_no_memory(d, "free space");
	else if (!check->is_extent_tree_short)
		compare(&f);
	array_done(&f.used);
	array_done(&f.free);
	return err;
}
