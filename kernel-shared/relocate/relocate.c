/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* By which way a block group comes to where the rules allow; and to go it. */
#include "kernel-shared/relocate/move_chunk.h"
#include "kernel-shared/relocate/swap_device.h"

typedef unsigned long long ull;

void relocate_step_done(struct relocate_step *step)
{
	free(step->to);
	*step = (struct relocate_step){ 0 };
}

/* --- What there is ---------------------------------------- */

static bool is_missing(const struct volume *volume, const struct chunk_stripe *stripe)
{
	const struct device *device = device_set_find(volume->devices, stripe->devid, stripe->dev_uuid);

	return !device || !device->dev;
}

static u16 nr_missing(const struct volume *volume, const struct chunk *chunk)
{
	u16 missing = 0;

	for (u16 s = 0; s < chunk->num_stripes; s++)
		missing = (u16)(missing + is_missing(volume, &chunk->stripe[s]));
	return missing;
}

/* The last one for data stays, for with it the filesystem would forget the profile that its data is to have. */
static bool is_last_for_data(const struct chunk_map *chunks, const struct chunk *chunk)
{
	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *other = chunk_map_at(chunks, i);

		if (other->logical != chunk->logical && (other->type & BLOCK_GROUP_DATA))
			return false;
	}
	return chunk->type & BLOCK_GROUP_DATA;
}

/* --- The plan ---------------------------------------- */

static bool is_same(const struct chunk *from, const struct chunk *to)
{
	if (from->type != to->type || from->num_stripes != to->num_stripes)
		return false;
	for (u16 s = 0; s < to->num_stripes; s++)
		if (kept_stripe_of(from, to, s) < 0)
			return false;
	return true;
}

static u16 nr_new_stripes(const struct chunk *from, const struct chunk *to)
{
	u16 nr = 0;

	for (u16 s = 0; s < to->num_stripes; s++)
		nr = (u16)(nr + (kept_stripe_of(from, to, s) < 0));
	return nr;
}

struct volume_of_work {
	const struct chunk *from, *to;
	u64 written_bytes;
	u64 rows_done; /* of parity: rows below this are counted */
};

/* What a used range comes to on the stripes that are new. */
static int count_written(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct volume_of_work *work = ctx;
	const struct chunk *to = work->to;

	(void)d;
	while (len) {
		struct cell cell = chunk_cell(to, logical);
		u64 piece = MIN(len, cell.left);

		if (to->profile->parity && cell.row >= work->rows_done) {
			work->written_bytes += STRIPE_LEN_BYTES * nr_new_stripes(work->from, to);
			work->rows_done = cell.row + 1;
		}
		for (unsigned copy = 1; !to->profile->parity && copy <= to->profile->copies; copy++)
			if (kept_stripe_of(work->from, to, cell_stripe(to, &cell, copy)) < 0)
				work->written_bytes += piece;
		logical += piece;
		len -= piece;
	}
	return 0;
}

int relocate_count_written(struct btrkit_fs *fs, const struct chunk *from, const struct chunk *to, u64 *ret_bytes, struct diag *d)
{
	struct volume_of_work work = { .from = from, .to = to };
	int err = txn_for_each_used(fs->txn, from->logical, count_written, &work, d);

	*ret_bytes = work.written_bytes;
	return err;
}

static int plan_chunk(struct relocate *relocate, const struct chunk *from, struct relocate_step *step, struct diag *d)
{
	if (is_same(from, step->to)) {
		relocate_step_done(step);
		step->logical = from->logical;
		return 0;
	}
	step->way = nr_new_stripes(from, step->to) ? RELOCATE_CHUNK : RELOCATE_DROP;
	return step->used_bytes ? relocate_count_written(relocate->fs, from, step->to, &step->written_bytes, d) : 0;
}

/*
 * Can it stay where it is, if it ends where the rules allow? Commits go anywhere in what is for metadata, so that its end could not be
 * planned, and a short one is soon full.
 */
static int plan_shortening(struct relocate *relocate, const struct chunk *from, struct relocate_step *step, struct diag *d)
{
	u64 length = txn_length_within(relocate->fs->txn, from), used_end = 0;
	bool is_for_data = !(from->type & (BLOCK_GROUP_METADATA | BLOCK_GROUP_SYSTEM));
	int err = 0;

	if (length == 0 || length == from->length || step->used_bytes > length || (!is_for_data && !relocate->shortens_all))
		return 0;
	err = txn_group_used_end(relocate->fs->txn, from->logical, &used_end, d);
	if (err || used_end > length)
		return err;
	step->to = chunk_dup_shorter(from, length);
	step->way = RELOCATE_SHORTEN;
	return step->to ? 0 : diag_no_memory(d, "a chunk");
}

/* To other stripes, or extent by extent. */
static int plan_moving(struct relocate *relocate, const struct chunk *from, u64 profile, bool may_keep, struct relocate_step *step,
		       struct diag *d)
{
	int err = txn_place_chunk(relocate->fs->txn, from->logical, profile, may_keep, &step->to, d);

	if (err == -ERANGE || err == -ENOSPC) {
		diag_clear(d);
		step->way = RELOCATE_EXTENTS;
		step->written_bytes = step->used_bytes * profile_by_flags(profile)->copies;
		return 0;
	}
	return err ? err : plan_chunk(relocate, from, step, d);
}

int relocate_plan(struct relocate *relocate, u64 logical, u64 profile, bool may_keep, struct relocate_step *ret_step,
		  struct diag *d)
{
	const struct volume *volume = relocate->fs->volume;
	const struct chunk *from = chunk_map_find(volume->chunks, logical);
	_cleanup_(relocate_step_done) struct relocate_step step = { .logical = logical };
	int err = txn_group_used_bytes(relocate->fs->txn, logical, &step.used_bytes, d);

	if (err)
		return err;
	if (!from || from->logical != logical)
		return diag_fail(d, -ENOENT, "there is no chunk %llu", (ull)logical);
	if (step.used_bytes == 0 && !is_last_for_data(volume->chunks, from)) {
		step.way = RELOCATE_REMOVE;
	} else if (step.used_bytes && !chunk_is_readable(volume, from)) {
		return diag_fail(d, -ENODATA,
				 "chunk %llu (%s): %u of its %u devices are missing, what it holds is lost",
				 (ull)logical, from->profile->shown, nr_missing(volume, from),
				 from->num_stripes);
	} else {
		if (may_keep && profile == (from->type & BLOCK_GROUP_PROFILE_MASK))
			err = plan_shortening(relocate, from, &step, d);
		if (!err && !step.to)
			err = plan_moving(relocate, from, profile, may_keep, &step, d);
	}
	if (err)
		return err;
	*ret_step = step;
	step.to = NULL;
	return 0;
}

/* --- Doing it ---------------------------------------- */

static int empty_group(struct relocate *relocate, u64 logical, struct diag *d)
{
	int err = txn_close_group(relocate->fs->txn, logical, true, d);

	if (err)
		return err;
	err = move_extents(relocate, &logical, 1, d);
	if (err)
		(void)txn_close_group(relocate->fs->txn, logical, false, NULL);
	return err;
}

/* Another empty chunk for data, of a length that suits, in the place of the only one. */
static int renew_data_chunk(struct relocate *relocate, u64 logical, struct diag *d)
{
	struct txn *txn = relocate->fs->txn;
	u64 at, len;
	int err = txn_close_group(txn, logical, true, d);

	if (!err)
		err = txn_alloc_data(txn, STRIPE_LEN_BYTES, STRIPE_LEN_BYTES, &at, &len, d);
	if (!err)
		err = txn_unalloc_data(txn, at, len, d);
	if (!err)
		err = txn_remove_chunk(txn, logical, d);
	(void)txn_close_group(txn, logical, false, NULL);
	return err;
}

static int commit_or_abort(struct relocate *relocate, int err, struct diag *d)
{
	if (!err)
		return txn_commit(relocate->fs->txn, d);
	txn_abort(relocate->fs->txn);
	return err;
}

/* Is there a free space cache of the first version about it? That has to go with it, and its data lies in other groups.
 */
static int has_cache(struct relocate *relocate, u64 logical, bool *ret_has, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&relocate->fs->root_tree);
	const struct key key = { FREE_SPACE_OBJECTID, 0, logical };
	int err = cursor_find(&cursor, &key, d);

	*ret_has = err == 0;
	return err < 0 ? err : 0;
}

int relocate_remove_empty(struct relocate *relocate, u64 logical, struct diag *d)
{
	bool has;
	int err = has_cache(relocate, logical, &has, d);

	if (err)
		return err;
	return has ? empty_group(relocate, logical, d)
		   : commit_or_abort(relocate, txn_remove_chunk(relocate->fs->txn, logical, d), d);
}

static int go(struct relocate *relocate, const struct relocate_step *step, struct diag *d)
{
	switch (step->way) {
	case RELOCATE_NOTHING:
		return 0;
	case RELOCATE_REMOVE:
		return relocate_remove_empty(relocate, step->logical, d);
	case RELOCATE_SHORTEN:
		return commit_or_abort(relocate, txn_shorten_chunk(relocate->fs->txn, step->logical, step->to->length, d), d);
	case RELOCATE_DROP:
	case RELOCATE_CHUNK:
		return commit_or_abort(relocate, move_chunk(relocate, step->to, d), d);
	case RELOCATE_EXTENTS:
		return step->used_bytes ? empty_group(relocate, step->logical, d)
					: commit_or_abort(relocate, renew_data_chunk(relocate, step->logical, d), d);
	}
	return diag_fail(d, -EINVAL, "block group %llu: there is no such way", (ull)step->logical);
}

int relocate_group(struct relocate *relocate, u64 logical, u64 profile, bool may_keep, struct relocate_step *ret_step,
		   struct diag *d)
{
	_cleanup_(relocate_step_done) struct relocate_step step = { 0 };
	int err = cancel_check(relocate->cancel, d);

	/* What is in use has to be on disk, and what is free on disk has to be free now. */
	if (!err && txn_has_changes(relocate->fs->txn))
		err = txn_commit(relocate->fs->txn, d);
	if (!err)
		err = relocate_plan(relocate, logical, profile, may_keep, &step, d);
	if (!err)
		err = go(relocate, &step, d);
	if (!err && ret_step) {
		*ret_step = step;
		step.to = NULL;
	}
	return err;
}
