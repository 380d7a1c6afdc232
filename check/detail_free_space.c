/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ranges where a block group's free space and its extents disagree: both trees are walked along the group, side by side.
 * A free space cache, which has been read, takes the place of the free space tree.
 */
#include <stdio.h>

#include "check/space_cache.h"

typedef unsigned long long ull;

/* One side: ranges of a group as a tree, or a list, has them, in their order. */
struct side {
	struct check *check;
	const struct chunk *chunk;
	struct cursor cursor;
	int state; /* of the cursor: 0 on an item that has not been taken, else there is none */
	u64 bit, nr_bits; /* of the bitmap that the cursor stands on: the next one, how many */
	const struct range_list *list; /* instead of a tree; NULL: none */
	size_t nr_taken; /* of the list */
	struct range range; /* the current one */
	struct range twice; /* what it shares with the one before; empty: nothing */
	bool is_there;
};

/* The next run of ones in the bitmap that the cursor stands on. */
static bool take_bits(struct side *side)
{
	const u8 *bits = cursor_data(&side->cursor);
	u64 first;

	while (side->bit < side->nr_bits && !(bits[side->bit / 8] >> side->bit % 8 & 1))
		side->bit++;
	first = side->bit;
	while (side->bit < side->nr_bits && (bits[side->bit / 8] >> side->bit % 8 & 1))
		side->bit++;
	side->range.start = cursor_key(&side->cursor).objectid + first * check_sectorsize(side->check);
	side->range.end = cursor_key(&side->cursor).objectid + side->bit * check_sectorsize(side->check);
	return side->bit > first;
}

/* Does the item hold a range, or the first one of a bitmap? */
static bool take_item(struct side *side)
{
	const struct key key = cursor_key(&side->cursor);

	side->bit = side->nr_bits = 0;
	if (block_check_item(block_cache_check_params(side->check->fs->cache), side->cursor.path[0].block->data,
			     side->cursor.path[0].slot, NULL) < 0)
		return false;
	side->range.start = key.objectid;
	switch (key.type) {
	case EXTENT_ITEM_KEY:
	case FREE_SPACE_EXTENT_KEY:
		side->range.end = key.objectid + key.offset;
		return true;
	case METADATA_ITEM_KEY:
		side->range.end = key.objectid + check_nodesize(side->check);
		return true;
	case FREE_SPACE_BITMAP_KEY:
		side->nr_bits = key.offset / check_sectorsize(side->check);
		return take_bits(side);
	default:
		return false;
	}
}

/* The next range. False: there is none. */
static bool next_range(struct side *side)
{
	u64 end = side->chunk->logical + side->chunk->length;

	if (side->list) {
		if (side->nr_taken == side->list->list.len)
			return false;
		side->range = side->list->list.items[side->nr_taken++];
		return true;
	}
	while (side->state == 0 && cursor_key(&side->cursor).objectid < end) {
		bool is_taken = side->nr_bits ? take_bits(side) : take_item(side);

		/* A bitmap may have more. */
		if (!is_taken || side->nr_bits == 0) {
			side->nr_bits = 0;
			side->state = cursor_next(&side->cursor, NULL);
		}
		if (is_taken)
			return true;
	}
	return false;
}

static void side_begin(struct side *side, struct check *check, const struct chunk *chunk, u64 tree_id)
{
	const struct key first = { chunk->logical, 0, 0 };
	struct tree tree;

	*side = (struct side){ .check = check, .chunk = chunk, .state = 1 };
	if (fs_tree(check->fs, tree_id, &tree, NULL) < 0)
		return;
	side->cursor = cursor_init(&tree);
	side->state = cursor_seek(&side->cursor, &first, NULL);
	side->is_there = next_range(side);
}

static void side_begin_list(struct side *side, struct check *check, const struct chunk *chunk,
			    const struct range_list *list)
{
	*side = (struct side){ .check = check, .chunk = chunk, .list = list };
	side->is_there = next_range(side);
}

/* Go on to the first range that ends behind @at. */
static void advance(struct side *side, u64 at)
{
	while (side->is_there && side->range.end <= at) {
		u64 end = side->range.end;

		side->is_there = next_range(side);
		if (side->is_there && side->range.start < end)
			side->twice = (struct range){ side->range.start, MIN(end, side->range.end) };
	}
}

static bool covers(const struct side *side, u64 at)
{
	return side->is_there && side->range.start <= at;
}

/* Where that changes behind @at. */
static u64 next_change(const struct side *side, u64 at, u64 end)
{
	if (!side->is_there)
		return end;
	return MIN(side->range.start > at ? side->range.start : side->range.end, end);
}

enum finding { FREE_IN_USE, FREE_TWICE, FREE_LOST };

static void report_in_tree(struct check *check, enum finding finding, u64 start, u64 end)
{
	const struct place *place = AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = start);

	if (finding == FREE_IN_USE)
		complain(check, FREE_SPACE_IN_USE, place, (ull)start, (ull)end);
	else if (finding == FREE_TWICE)
		complain(check, FREE_SPACE_TWICE, place, (ull)start, (ull)end);
	else
		complain(check, FREE_SPACE_LOST, place, (ull)start, (ull)end);
}

static void report(const struct side *free, enum finding finding, u64 start, u64 end)
{
	static const char *const what[] = { "said to be free, but is in use", "there twice", "free, but not in it" };
	char text[128];

	if (!free->list) {
		report_in_tree(free->check, finding, start, end);
		return;
	}
	snprintf(text, sizeof(text), "[%llu, %llu) is %s", (ull)start, (ull)end, what[finding]);
	complain(free->check, SPACE_CACHE_WRONG, AT(.tree = ROOT_TREE_OBJECTID, .logical = start), (ull)free->chunk->logical,
		 text);
}

/* From the beginning of the group on, each byte must be on one of the sides. What is reserved is in use, too. */
static void compare(const struct chunk *chunk, struct side *used, struct side *reserved, struct side *free)
{
	u64 at = chunk->logical, end = at + chunk->length;

	while (at < end) {
		bool is_used;
		u64 next;

		advance(used, at);
		advance(reserved, at);
		advance(free, at);
		if (free->twice.end)
			report(free, FREE_TWICE, free->twice.start, free->twice.end);
		free->twice = (struct range){ 0 };
		next = MIN(next_change(used, at, end), MIN(next_change(reserved, at, end), next_change(free, at, end)));
		is_used = covers(used, at) || covers(reserved, at);
		if (is_used && covers(free, at))
			report(free, FREE_IN_USE, at, next);
		else if (!is_used && !covers(free, at))
			report(free, FREE_LOST, at, next);
		at = next;
	}
}

int detail_free_space(struct check *check, size_t group, struct diag *d)
{
	const struct chunk *chunk = chunk_map_at(check->fs->volume->chunks, group);
	struct side used, reserved = { 0 }, free;

	(void)d;
	if (check->is_extent_tree_short)
		return 0;
	side_begin(&used, check, chunk, EXTENT_TREE_OBJECTID);
	side_begin(&free, check, chunk, FREE_SPACE_TREE_OBJECTID);
	compare(chunk, &used, &reserved, &free);
	cursor_done(&used.cursor);
	cursor_done(&free.cursor);
	return check->sink.err;
}

int detail_space_cache(struct check *check, size_t group, const struct range_list *unused,
		       const struct range_list *reserved_ranges)
{
	const struct chunk *chunk = chunk_map_at(check->fs->volume->chunks, group);
	struct side used, reserved, free;

	side_begin(&used, check, chunk, EXTENT_TREE_OBJECTID);
	side_begin_list(&reserved, check, chunk, reserved_ranges);
	side_begin_list(&free, check, chunk, unused);
	compare(chunk, &used, &reserved, &free);
	cursor_done(&used.cursor);
	return check->sink.err;
}
