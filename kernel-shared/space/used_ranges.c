/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/checked.h"
#include "kernel-shared/space/used_ranges.h"

typedef unsigned long long ull;

struct merger {
	const struct chunk_map *chunks;
	const struct more_ranges *more;
	size_t next_more; /* the first that was not added yet */
	used_range_fn fn;
	void *ctx;
	struct used_range pending; /* len 0: none */
};

static int flush(struct merger *merger, struct diag *d)
{
	struct used_range range = merger->pending;

	merger->pending.len = 0;
	return range.len ? merger->fn(merger->ctx, &range, d) : 0;
}

/* Ranges come in the order of their beginnings. */
static int add(struct merger *merger, const struct used_range *range, struct diag *d)
{
	struct used_range *pending = &merger->pending;
	u64 end = range->logical + range->len;
	int result;

	if (pending->len && pending->chunk == range->chunk && pending->logical + pending->len >= range->logical) {
		pending->len = MAX(end, pending->logical + pending->len) - pending->logical;
		return 0;
	}
	result = flush(merger, d);
	*pending = *range;
	return result;
}

static int find_chunk(struct used_range *range, const struct chunk_map *chunks, struct diag *d)
{
	range->chunk = chunk_map_find(chunks, range->logical);
	if (range->chunk && range_fits(range->logical - range->chunk->logical, range->len, range->chunk->length))
		return 0;
	return diag_fail(d, -EUCLEAN, "extent %llu (%llu bytes) does not lie within a chunk", (ull)range->logical,
			 (ull)range->len);
}

/* Those of the further ranges that begin before @end. */
static int add_more(struct merger *merger, u64 end, struct diag *d)
{
	while (merger->more && merger->next_more < merger->more->list.len) {
		struct used_range range = merger->more->list.items[merger->next_more];
		int result;

		if (range.logical >= end)
			return 0;
		merger->next_more++;
		result = find_chunk(&range, merger->chunks, d);
		if (!result)
			result = add(merger, &range, d);
		if (result)
			return result;
	}
	return 0;
}

/* The range of the extent item at the cursor; len 0: the item is none. */
static int range_of_item(const struct cursor *cursor, const struct chunk_map *chunks, u64 *next_free,
			 struct used_range *ret_range, struct diag *d)
{
	const struct key key = cursor_key(cursor);
	struct used_range range = { .logical = key.objectid };
	int err;

	ret_range->len = 0;
	if (key.type == EXTENT_ITEM_KEY)
		range.len = key.offset;
	else if (key.type == METADATA_ITEM_KEY)
		range.len = block_cache_nodesize(cursor->tree.cache);
	else
		return 0;
	if (range.logical < *next_free)
		return diag_fail(d, -EUCLEAN, "extent %llu overlaps the one before it, which ends at %llu",
				 (ull)range.logical, (ull)*next_free);
	err = find_chunk(&range, chunks, d);
	if (err)
		return err;
	*next_free = range.logical + range.len;
	*ret_range = range;
	return 0;
}

static int by_logical(const void *a, const void *b)
{
	const struct used_range *left = a, *right = b;

	return left->logical < right->logical ? -1 : left->logical > right->logical;
}

int used_ranges_walk(const struct tree *extent_tree, const struct chunk_map *chunks, struct more_ranges *more,
		     used_range_fn fn, void *ctx, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(extent_tree);
	struct merger merger = { .chunks = chunks, .more = more, .fn = fn, .ctx = ctx };
	u64 next_free = 0;
	int err;

	if (more && more->list.len)
		qsort(more->list.items, more->list.len, sizeof(*more->list.items), by_logical);
	for (err = cursor_first(&cursor, d); err == 0; err = cursor_next(&cursor, d)) {
		struct used_range range;
		int result = range_of_item(&cursor, chunks, &next_free, &range, d);

		if (!result && range.len)
			result = add_more(&merger, range.logical, d);
		if (!result && range.len)
			result = add(&merger, &range, d);
		if (result)
			return result;
	}
	if (err > 0)
		err = add_more(&merger, UINT64_MAX, d);
	return err ? err : flush(&merger, d);
}

/* --- Of a log ------------------------------------------------------------------------------------------------- */

static int add_file_extents(const struct tree_block *leaf, struct more_ranges *more)
{
	for (u32 slot = 0; slot < leaf->nritems; slot++) {
		const struct disk_file_extent_item *item = leaf_item_data(leaf->data, slot);
		struct used_range range;

		if (leaf_key(leaf->data, slot).type != EXTENT_DATA_KEY || leaf_item_bytes(leaf->data, slot) < sizeof(*item) ||
		    item->type == FILE_EXTENT_INLINE || le64_get(item->disk_bytenr) == 0)
			continue;
		range = (struct used_range){ .logical = le64_get(item->disk_bytenr), .len = le64_get(item->disk_num_bytes) };
		if (array_push(&more->list, range) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int visit_log_block(void *ctx, struct tree_block *block, struct diag *d)
{
	struct more_ranges *more = ctx;
	const struct used_range range = { .logical = block->logical, .len = more->nodesize };

	if (array_push(&more->list, range) < 0 || (block->level == 0 && add_file_extents(block, more) < 0))
		return diag_no_memory(d, "the list of used ranges");
	return 0;
}

int more_ranges_of_log(const struct tree *log_tree, struct more_ranges *more, struct diag *d)
{
	const struct tree_walk walk = { .visit = visit_log_block, .ctx = more };

	more->nodesize = block_cache_nodesize(log_tree->cache);
	return tree_walk(log_tree, &walk, d);
}

/* --- On a device ---------------------------------------------------------------------------------------------- */

/*
 * The part [*ret_from, *ret_to), counted from the start of the stripe, that [from, to) of the chunk takes of the stripe
 * with data column @column. Between its first and its last row a range has every cell, so each stripe's part is one piece.
 */
static void column_part(u64 from, u64 to, u64 data_stripes, u64 column, u64 *ret_from, u64 *ret_to)
{
	u64 row_bytes = STRIPE_LEN_BYTES * data_stripes;
	u64 first = from / row_bytes, last = (to - 1) / row_bytes;
	u64 first_cell = first * row_bytes + column * STRIPE_LEN_BYTES;
	u64 last_cell = last * row_bytes + column * STRIPE_LEN_BYTES;

	*ret_from = first * STRIPE_LEN_BYTES;
	if (from > first_cell)
		*ret_from += MIN(from - first_cell, STRIPE_LEN_BYTES);
	*ret_to = last * STRIPE_LEN_BYTES;
	if (to > last_cell)
		*ret_to += MIN(to - last_cell, STRIPE_LEN_BYTES);
}

static void stripe_part(const struct used_range *range, u16 stripe, u64 *ret_from, u64 *ret_to)
{
	const struct chunk *chunk = range->chunk;
	u64 data_stripes = profile_data_stripes(chunk->profile, chunk->num_stripes);
	u64 from = range->logical - chunk->logical, to = from + range->len;

	if (!chunk->profile->is_striped) {
		*ret_from = from;
		*ret_to = to;
	} else if (chunk->profile->parity) {
		*ret_from = from / (STRIPE_LEN_BYTES * data_stripes) * STRIPE_LEN_BYTES;
		*ret_to = ((to - 1) / (STRIPE_LEN_BYTES * data_stripes) + 1) * STRIPE_LEN_BYTES;
		*ret_to = MIN(*ret_to, chunk->stripe_bytes);
	} else {
		column_part(from, to, data_stripes, stripe / chunk->sub_stripes, ret_from, ret_to);
	}
}

int used_range_on_device(const struct used_range *range, u64 devid, struct device_ranges *ranges)
{
	const struct chunk *chunk = range->chunk;

	for (u16 i = 0; i < chunk->num_stripes && range->len; i++) {
		u64 from, to;

		if (chunk->stripe[i].devid != devid)
			continue;
		stripe_part(range, i, &from, &to);
		if (from < to && array_push(&ranges->list, (struct device_range){ chunk->stripe[i].physical + from, to - from,
										  chunk->type & BLOCK_GROUP_TYPE_MASK }) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct device_range *left = a, *right = b;

	return left->physical < right->physical ? -1 : left->physical > right->physical;
}

void device_ranges_merge(struct device_ranges *ranges)
{
	size_t kept = 0;

	if (ranges->list.len == 0)
		return;
	array_sort(&ranges->list, by_place);
	for (size_t i = 1; i < ranges->list.len; i++) {
		struct device_range *last = &ranges->list.items[kept];
		const struct device_range *range = &ranges->list.items[i];

		if (range->physical > last->physical + last->len) {
			ranges->list.items[++kept] = *range;
			continue;
		}
		last->len = MAX(last->physical + last->len, range->physical + range->len) - last->physical;
		last->kinds |= range->kinds;
	}
	ranges->list.len = kept + 1;
}
