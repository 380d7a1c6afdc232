/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A conversion makes chunks for data where the old filesystem had some: with the saved image gone many are nearly
 * empty, or shorter than any that Linux would make. What is in these goes into others, the emptiest first, and they go.
 */
#include "convert/inplace/finish.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

/* A block group with less of it in use, or less than this part of what a new one would have, is worth the trouble. */
#define USED_PERCENT_MIN 75
#define LENGTH_PERCENT_MIN 50

struct candidate {
	u64 logical, used_bytes;
};
struct candidates {
	ARRAY(struct candidate) list;
};

static int by_used(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->used_bytes != y->used_bytes)
		return x->used_bytes < y->used_bytes ? -1 : 1;
	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

/* As long as Linux makes a chunk for data. */
static u64 full_length(const struct btrkit_fs *fs)
{
	return MIN((u64)GIB, le64_get(fs->super.total_bytes) / 10);
}

static int find_candidates(const struct finish *finish, struct candidates *candidates, struct diag *d)
{
	const struct btrkit_fs *fs = finish->relocate.fs;
	const struct chunk_map *chunks = fs->volume->chunks;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		struct candidate candidate = { .logical = chunk->logical };
		int err;

		if ((chunk->type & BLOCK_GROUP_TYPE_MASK) != BLOCK_GROUP_DATA)
			continue;
		err = txn_group_used_bytes(fs->txn, chunk->logical, &candidate.used_bytes, d);
		if (err)
			return err;
		if (candidate.used_bytes * 100 >= chunk->length * USED_PERCENT_MIN &&
		    chunk->length * 100 >= full_length(fs) * LENGTH_PERCENT_MIN)
			continue;
		if (array_push(&candidates->list, candidate) < 0)
			return diag_no_memory(d, "block groups");
	}
	array_sort(&candidates->list, by_used);
	return 0;
}

/* What later candidates have room for is no gain: it would move again. All are closed before the first is emptied. */
static int close_all(const struct finish *finish, const struct candidates *candidates, bool is_closed, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < candidates->list.len && !err; i++) {
		u64 logical = candidates->list.items[i].logical;

		if (chunk_map_find(finish->relocate.fs->volume->chunks, logical))
			err = txn_close_group(finish->relocate.fs->txn, logical, is_closed, d);
	}
	return err;
}

/* Those that hold something, all at once: what refers to them is looked for only once, whatever their number. */
static int empty_together(struct finish *finish, const struct candidates *candidates, struct diag *d)
{
	_free_ u64 *logicals = calloc(MAX(candidates->list.len, (size_t)1), sizeof(*logicals));
	size_t nr = 0;

	if (!logicals)
		return diag_no_memory(d, "block groups");
	array_for_each (&candidates->list, candidate)
		if (candidate->used_bytes)
			logicals[nr++] = candidate->logical;
	return nr ? move_extents(&finish->relocate, logicals, nr, d) : 0;
}

static bool is_there(const struct finish *finish, u64 logical)
{
	const struct chunk *chunk = chunk_map_find(finish->relocate.fs->volume->chunks, logical);

	return chunk && chunk->logical == logical;
}

/* Where there is no room for all: one by one, the emptiest first, as those that follow hold more. */
static int empty_one_by_one(struct finish *finish, const struct candidates *candidates, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < candidates->list.len && !err; i++) {
		u64 logical = candidates->list.items[i].logical;

		err = finish_is_cancelled(finish, d);
		if (!err && is_there(finish, logical))
			err = move_extents(&finish->relocate, &logical, 1, d);
		if (err == -ENOSPC) {
			diag_note(d, DIAG_NOTE,
				  "%zu block groups stay as they are: there is no room to take more of them together",
				  candidates->list.len - i);
			diag_clear(d);
			return 0;
		}
	}
	return err;
}

static int empty_all(struct finish *finish, const struct candidates *candidates, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < candidates->list.len && !err; i++) {
		err = finish_is_cancelled(finish, d);
		if (!err && !candidates->list.items[i].used_bytes)
			err = relocate_remove_empty(&finish->relocate, candidates->list.items[i].logical, d);
	}
	if (!err)
		err = empty_together(finish, candidates, d);
	if (err == -ENOSPC) {
		diag_clear(d);
		err = empty_one_by_one(finish, candidates, d);
	}
	array_for_each (&candidates->list, candidate)
		if (!is_there(finish, candidate->logical))
			finish->result->moved_bytes += candidate->used_bytes;
	return err;
}

int finish_compact(struct finish *finish, struct diag *d)
{
	struct candidates candidates = { 0 };
	u64 total = 0;
	int err = find_candidates(finish, &candidates, d);

	array_for_each (&candidates.list, candidate)
		total += candidate->used_bytes;
	progress_begin(finish->relocate.progress, "compact", total, 0);
	if (!err)
		err = close_all(finish, &candidates, true, d);
	if (!err)
		err = empty_all(finish, &candidates, d);
	if (!err)
		err = close_all(finish, &candidates, false, d);
	array_done(&candidates.list);
	return err;
}
