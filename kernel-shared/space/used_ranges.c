/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/checked.h"
#include "kernel-shared/space/used_ranges.h"

typedef unsigned long long ull;

struct merger {
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

static int add(struct merger *merger, const struct used_range *range, struct diag *d)
{
	struct used_range *pending = &merger->pending;
	int result;

	if (pending->len && pending->chunk == range->chunk && pending->logical + pending->len == range->logical) {
		pending->len += range->len;
		return 0;
	}
	result = flush(merger, d);
	*pending = *range;
	return result;
}

/* The range of the extent item at the cursor; len 0: the item is none. */
static int range_of_item(const struct cursor *cursor, const struct chunk_map *chunks, u64 *next_free,
			 struct used_range *ret_range, struct diag *d)
{
	const struct key key = cursor_key(cursor);
	struct used_range range = { .logical = key.objectid };

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
	range.chunk = chunk_map_find(chunks, range.logical);
	if (!range.chunk || !range_fits(range.logical - range.chunk->logical, range.len, range.chunk->length))
		return diag_fail(d, -EUCLEAN, "extent %llu (%llu bytes) does not lie within a chunk", (ull)range.logical,
				 (ull)range.len);
	*next_free = range.logical + range.len;
	*ret_range = range;
	return 0;
}

int used_ranges_walk(const struct tree *extent_tree, const struct chunk_map *chunks, used_range_fn fn, void *ctx,
		     struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(extent_tree);
	struct merger merger = { .fn = fn, .ctx = ctx };
	u64 next_free = 0;
	int err;

	for (err = cursor_first(&cursor, d); err == 0; err = cursor_next(&cursor, d)) {
		struct used_range range;
		int result = range_of_item(&cursor, chunks, &next_free, &range, d);

		if (!result && range.len)
			result = add(&merger, &range, d);
		if (result)
			return result;
	}
	return err < 0 ? err : flush(&merger, d);
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
