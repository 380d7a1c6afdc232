/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/inplace/space_plan.h"

#include "kernel-shared/device/super.h"

typedef unsigned long long ull;

#define GAP_MIN_FIRST (64 * MIB)
#define DATA_CHUNK_MAX GIB
/* Space for what moves is looked for in pieces of this length first, so that little is torn apart. */
#define MOVE_PIECE_WANTED (64 * KIB)

u64 space_plan_first_gap(void)
{
	return GAP_MIN_FIRST;
}

u64 space_plan_next_gap(u64 gap_min_bytes)
{
	return gap_min_bytes > STRIPE_LEN_BYTES ? MAX(gap_min_bytes / 4, (u64)STRIPE_LEN_BYTES) : 0;
}

void space_plan_done(struct space_plan *plan)
{
	array_done(&plan->data.list);
	array_done(&plan->gaps.list);
	array_done(&plan->moves);
}

u64 space_ranges_bytes(const struct space_ranges *ranges)
{
	u64 bytes = 0;

	array_for_each(&ranges->list, range)
		bytes += range->len;
	return bytes;
}

static u64 end_of(const struct space_range *range)
{
	return range->physical + range->len;
}

static int append(struct space_ranges *ranges, u64 physical, u64 end, struct diag *d)
{
	if (physical >= end)
		return 0;
	return array_push(&ranges->list, (struct space_range){ physical, end - physical }) < 0
		       ? diag_no_memory(d, "ranges of the device")
		       : 0;
}

/* --- Reserved places ---------------------------------------- */

size_t space_reserved(u64 total_bytes, struct space_range *ret_ranges)
{
	u64 whole = round_down_u64(total_bytes, STRIPE_LEN_BYTES);
	size_t nr = 0;

	ret_ranges[nr++] = (struct space_range){ 0, MIN(total_bytes, (u64)DEVICE_RANGE_RESERVED_BYTES) };
	for (unsigned mirror = 1; mirror < SUPER_MIRROR_MAX; mirror++)
		if (super_mirror_physical(mirror) < whole)
			ret_ranges[nr++] = (struct space_range){ super_mirror_physical(mirror), STRIPE_LEN_BYTES };
	if (whole < total_bytes && whole >= DEVICE_RANGE_RESERVED_BYTES)
		ret_ranges[nr++] = (struct space_range){ whole, total_bytes - whole };
	return nr;
}

u64 space_before_reserved(u64 total_bytes, u64 physical, u64 len, u64 *ret_end)
{
	struct space_range reserved[SPACE_RESERVED_MAX];
	size_t nr = space_reserved(total_bytes, reserved);

	*ret_end = physical;
	for (size_t i = 0; i < nr; i++) {
		if (physical >= reserved[i].physical && physical < end_of(&reserved[i])) {
			*ret_end = MIN(physical + len, end_of(&reserved[i]));
			return 0;
		}
		if (reserved[i].physical > physical && reserved[i].physical < physical + len)
			len = reserved[i].physical - physical;
	}
	return len;
}

/* --- Data chunks ---------------------------------------- */

/* Round outward to whole stripes, and join with the last where the gap is short. */
static int cover(struct space_ranges *areas, u64 physical, u64 len, u64 gap_min_bytes, struct diag *d)
{
	u64 start = round_down_u64(physical, STRIPE_LEN_BYTES), end = round_up_u64(physical + len, STRIPE_LEN_BYTES);
	struct space_range *last = areas->list.len ? &areas->list.items[areas->list.len - 1] : NULL;

	if (last && start < end_of(last) + gap_min_bytes) {
		last->len = MAX(end, end_of(last)) - last->physical;
		return 0;
	}
	return append(areas, start, end, d);
}

static int find_areas(const struct space_plan *plan, struct space_ranges *areas, struct diag *d)
{
	array_for_each(&plan->used->list, used) {
		u64 at = used->physical, end = end_of(used);

		while (at < end) {
			u64 reserved_end, len = space_before_reserved(plan->total_bytes, at, end - at, &reserved_end);
			int err = len ? cover(areas, at, len, plan->gap_min_bytes, d) : 0;

			if (err)
				return err;
			at = len ? at + len : reserved_end;
		}
	}
	return 0;
}

static int find_gaps(struct space_plan *plan, const struct space_ranges *areas, struct diag *d)
{
	u64 from = DEVICE_RANGE_RESERVED_BYTES, end = round_down_u64(plan->total_bytes, STRIPE_LEN_BYTES);
	int err = 0;

	array_for_each(&areas->list, area) {
		if (!err)
			err = append(&plan->gaps, from, area->physical, d);
		from = end_of(area);
	}
	return err ? err : append(&plan->gaps, from, end, d);
}

static int cut_into_chunks(struct space_plan *plan, const struct space_ranges *areas, struct diag *d)
{
	array_for_each(&areas->list, area)
		for (u64 at = area->physical; at < end_of(area); at += DATA_CHUNK_MAX) {
			int err = append(&plan->data, at, MIN(at + DATA_CHUNK_MAX, end_of(area)), d);

			if (err)
				return err;
		}
	return 0;
}

/* --- What has to move ---------------------------------------- */

static int add_move(struct space_plan *plan, u64 physical, u64 len, bool is_overlaid, struct diag *d)
{
	const struct placed_move move = {
		.physical = physical, .len = len, .is_in_image = !is_overlaid, .is_overlaid = is_overlaid
	};

	return array_push(&plan->moves, move) < 0 ? diag_no_memory(d, "blocks that have to move") : 0;
}

static int by_physical(const void *a, const void *b)
{
	const struct placed_move *x = a, *y = b;

	if (x->physical != y->physical)
		return x->physical < y->physical ? -1 : 1;
	return x->is_overlaid - y->is_overlaid;
}

static int find_moves(struct space_plan *plan, struct diag *d)
{
	int err = 0;

	array_for_each(&plan->used->list, used)
		for (u64 at = used->physical; at < end_of(used) && !err;) {
			u64 reserved_end, len = space_before_reserved(plan->total_bytes, at, end_of(used) - at, &reserved_end);

			if (len == 0)
				err = add_move(plan, at, reserved_end - at, false, d);
			at = len ? at + len : reserved_end;
		}
	array_for_each(&plan->overlaid->list, range)
		if (!err)
			err = add_move(plan, range->physical, range->len, true, d);
	array_sort(&plan->moves, by_physical);
	return err;
}

/* Unused space within data chunks, in pieces of [min, max) bytes, one after the other. */
struct free_pieces {
	const struct space_plan *plan;
	u64 min_bytes, max_bytes;
	size_t chunk, end; /* of these data chunks */
	size_t used;
	u64 at; /* within the chunk */
	u64 physical, left; /* of the piece that is being taken */
};

/* The next unused, unreserved piece of any size; false: no more. */
static bool any_piece(struct free_pieces *pieces, u64 *ret_physical, u64 *ret_len)
{
	const struct space_plan *plan = pieces->plan;

	while (pieces->chunk < MIN(pieces->end, plan->data.list.len)) {
		const struct space_range *chunk = &plan->data.list.items[pieces->chunk];
		const struct space_range *used = NULL;
		u64 from = MAX(pieces->at, chunk->physical), to = end_of(chunk), reserved_end, len;

		while (pieces->used < plan->used->list.len && end_of(&plan->used->list.items[pieces->used]) <= from)
			pieces->used++;
		if (pieces->used < plan->used->list.len)
			used = &plan->used->list.items[pieces->used];
		if (from >= to) {
			pieces->chunk++;
			continue;
		}
		if (used && used->physical <= from) {
			pieces->at = end_of(used);
			continue;
		}
		len = space_before_reserved(plan->total_bytes, from, MIN(to, used ? used->physical : to) - from, &reserved_end);
		pieces->at = len ? from + len : reserved_end;
		if (!len)
			continue;
		*ret_physical = from;
		*ret_len = len;
		return true;
	}
	return false;
}

static bool next_piece(struct free_pieces *pieces)
{
	u64 physical, len;

	while (any_piece(pieces, &physical, &len)) {
		len = round_down_u64(len, SECTORSIZE_MIN);
		if (len < pieces->min_bytes || len >= pieces->max_bytes)
			continue;
		pieces->physical = physical;
		pieces->left = len;
		return true;
	}
	return false;
}

/* Moves that have no place yet. */
struct unplaced {
	__typeof__(((struct space_plan *)NULL)->moves) moves;
	size_t next;
	struct placed_move torn; /* the rest of one of which a part has a place; of length 0: there is none */
};

static bool has_unplaced(const struct unplaced *unplaced)
{
	return unplaced->torn.len || unplaced->next < unplaced->moves.len;
}

static u64 unplaced_bytes(const struct unplaced *unplaced)
{
	u64 bytes = unplaced->torn.len;

	for (size_t i = unplaced->next; i < unplaced->moves.len; i++)
		bytes += unplaced->moves.items[i].len;
	return bytes;
}

/* Give moves their places, as far as the pieces go; one that is torn apart becomes two. */
static int fill_pieces(struct space_plan *plan, struct free_pieces *pieces, struct unplaced *unplaced, struct diag *d)
{
	while (has_unplaced(unplaced) && (pieces->left || next_piece(pieces))) {
		struct placed_move *rest = &unplaced->torn, move;

		if (!rest->len)
			*rest = unplaced->moves.items[unplaced->next++];
		move = *rest;
		move.logical = pieces->physical;
		move.len = MIN(move.len, pieces->left);
		if (array_push(&plan->moves, move) < 0)
			return diag_no_memory(d, "blocks that have to move");
		pieces->physical += move.len;
		pieces->left -= move.len;
		rest->physical += move.len;
		rest->len -= move.len;
	}
	return 0;
}

static size_t largest_gap(const struct space_ranges *gaps)
{
	size_t best = 0;

	for (size_t i = 1; i < gaps->list.len; i++)
		if (gaps->list.items[i].len > gaps->list.items[best].len)
			best = i;
	return best;
}

/* One more data chunk, from the beginning of the largest gap. */
static int add_data_chunk(struct space_plan *plan, u64 bytes, size_t *ret_at, struct diag *d)
{
	struct space_range *gap, chunk;
	size_t at;

	if (plan->gaps.list.len == 0)
		return diag_fail(d, -ENOSPC, "no free space for %llu bytes that lie where Btrfs has its superblocks", (ull)bytes);
	gap = &plan->gaps.list.items[largest_gap(&plan->gaps)];
	/* 64 KiB of it may be a superblock's. */
	chunk = (struct space_range){ gap->physical, MIN(round_up_u64(bytes, STRIPE_LEN_BYTES) + STRIPE_LEN_BYTES, gap->len) };
	gap->physical += chunk.len;
	gap->len -= chunk.len;
	if (gap->len == 0) {
		memmove(gap, gap + 1, (size_t)(plan->gaps.list.items + plan->gaps.list.len - 1 - gap) * sizeof(*gap));
		plan->gaps.list.len--;
	}
	at = array_lower_bound(&plan->data.list, it, it->physical < chunk.physical);
	if (array_push(&plan->data.list, chunk) < 0)
		return diag_no_memory(d, "chunks");
	memmove(&plan->data.list.items[at + 1], &plan->data.list.items[at], (plan->data.list.len - 1 - at) * sizeof(chunk));
	plan->data.list.items[at] = chunk;
	*ret_at = at;
	return 0;
}

static int place_moves(struct space_plan *plan, struct diag *d)
{
	struct free_pieces large = { plan, .min_bytes = MOVE_PIECE_WANTED, .max_bytes = UINT64_MAX, .end = SIZE_MAX };
	struct free_pieces small = { plan, .min_bytes = SECTORSIZE_MIN, .max_bytes = MOVE_PIECE_WANTED, .end = SIZE_MAX };
	struct unplaced unplaced = { .moves = plan->moves };
	size_t chunk = 0;
	int err;

	memset(&plan->moves, 0, sizeof(plan->moves));
	err = fill_pieces(plan, &large, &unplaced, d);
	if (!err)
		err = fill_pieces(plan, &small, &unplaced, d);
	while (!err && has_unplaced(&unplaced)) {
		err = add_data_chunk(plan, unplaced_bytes(&unplaced), &chunk, d);
		if (!err) {
			struct free_pieces added = {
				plan, .min_bytes = SECTORSIZE_MIN, .max_bytes = UINT64_MAX, .chunk = chunk, .end = chunk + 1
			};

			err = fill_pieces(plan, &added, &unplaced, d);
		}
	}
	array_done(&unplaced.moves);
	return err;
}

int space_plan_make(struct space_plan *plan, struct diag *d)
{
	struct space_ranges areas = { 0 };
	int err;

	space_plan_done(plan);
	err = find_areas(plan, &areas, d);
	if (!err)
		err = find_gaps(plan, &areas, d);
	if (!err)
		err = cut_into_chunks(plan, &areas, d);
	array_done(&areas.list);
	if (!err)
		err = find_moves(plan, d);
	return err ? err : place_moves(plan, d);
}
