/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/evacuate.h"

#include "kernel-shared/relocate/off_seed.h"
#include "kernel-shared/relocate/new_device.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

/* Commits may put new chunks where old ones were; each round there are fewer that matter. */
#define ROUNDS_MAX 16
#define WHOLE_PASSES_MAX 4

/* --- Profiles ---------------------------------------- */

int judge_profiles(const struct btrkit_fs *fs, u64 nr_devices, struct diag *d)
{
	const struct chunk_map *chunks = fs->volume->chunks;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		const char *letter = chunk->type & BLOCK_GROUP_DATA ? "d" : "m"; /* the system's follows */
		const char *name = chunk->type & BLOCK_GROUP_DATA	? "data"
				   : chunk->type & BLOCK_GROUP_METADATA ? "metadata"
									: "system";

		if (chunk->profile->devs_min > nr_devices && !chunk_is_of_seed(fs, chunk))
			return diag_fail(d, -EINVAL,
					 "%s is %s, which needs %u devices; %llu would be left. Convert it first: btrkit restripe "
					 "start -%sconvert=PROFILE",
					 name, chunk->profile->shown, chunk->profile->devs_min, (ull)nr_devices, letter);
	}
	return 0;
}

/* --- The order ---------------------------------------- */

/* 1: it cannot go as a whole, which is all that it may; nothing is changed. */
typedef int (*move_fn)(void *ctx, u64 logical, bool may_scatter, struct diag *d);

/* Those that could not go are left in the list. */
static int move_pass(struct group_list *groups, bool may_scatter, move_fn fn, void *ctx, struct diag *d)
{
	size_t nr_left = 0;
	int err = 0;

	for (size_t i = 0; i < groups->logical.len && err >= 0; i++) {
		err = fn(ctx, groups->logical.items[i], may_scatter, d);
		if (err == 1)
			groups->logical.items[nr_left++] = groups->logical.items[i];
	}
	groups->logical.len = nr_left;
	return err < 0 ? err : 0;
}

/*
 * What can go as a whole goes first, as long as that makes room for more, and may be filled then. What is left is scattered, unless
 * there has come to be room for it; what has least to scatter makes room for the next.
 */
static int move_whole_first(const struct space_model *model, struct group_list *groups, move_fn fn, void *ctx, struct diag *d)
{
	size_t before = groups->logical.len + 1;
	int err = 0;

	for (unsigned pass = 0; pass < WHOLE_PASSES_MAX && groups->logical.len < before && !err; pass++) {
		before = groups->logical.len;
		err = move_pass(groups, false, fn, ctx, d);
	}
	space_model_sort_by_use(model, groups);
	return err ? err : move_pass(groups, true, fn, ctx, d);
}

/* Planning and doing have the same order; @groups come with the largest first. */
static int move_in_order(const struct space_model *model, struct group_list *groups, enum evacuate_order order, move_fn fn, void *ctx,
			 struct diag *d)
{
	return order == EVACUATE_WHOLE_FIRST ? move_whole_first(model, groups, fn, ctx, d) : move_pass(groups, true, fn, ctx, d);
}

/* --- Planning ---------------------------------------- */

/* The model knows how much is in use, the filesystem also where; unless it has been filled since. */
static int count_as_it_is(const struct space_model *model, const struct chunk *from, struct relocate_step *step, struct diag *d)
{
	u64 used = 0;
	int err = 0;

	if (model->fs && step->way == RELOCATE_CHUNK)
		err = txn_group_used_bytes(model->fs->txn, from->logical, &used, d);
	if (err == -ENOENT) {
		diag_clear(d); /* the plan has made it */
		return 0;
	}
	return err || used == 0 || used != step->used_bytes
		       ? err
		       : relocate_count_written(model->fs, from, step->to, &step->written_bytes, d);
}

static int plan_step(struct space_model *model, u64 logical, bool may_scatter, struct btrkit_device_plan *plan, struct diag *d)
{
	const struct chunk *chunk = chunk_map_find(model->chunks, logical);
	_cleanup_(relocate_step_done) struct relocate_step step = { 0 };
	_free_ struct chunk *old = chunk_dup(chunk);
	int err;

	if (!old)
		return diag_no_memory(d, "the plan");
	err = space_model_move(model, logical, may_scatter, &step, d);
	if (err == -ENOSPC && !may_scatter) {
		diag_clear(d);
		return 1;
	}
	if (!err && plan)
		err = count_as_it_is(model, old, &step, d);
	return err || !plan ? err : device_plan_add_step(plan, old, &step, d);
}

struct planning {
	struct space_model *model;
	struct btrkit_device_plan *plan; /* NULL: nobody wants the steps */
};

static int plan_group(void *ctx, u64 logical, bool may_scatter, struct diag *d)
{
	const struct planning *planning = ctx;

	return plan_step(planning->model, logical, may_scatter, planning->plan, d);
}

static int plan_in_order(struct space_model *model, u64 devid, u64 end_bytes, enum evacuate_order order,
			 struct btrkit_device_plan *plan, struct diag *d)
{
	struct planning planning = { model, plan };
	struct group_list groups;
	int err;

	space_model_device(model, devid)->end_bytes = MIN(space_model_device(model, devid)->end_bytes, end_bytes);
	err = space_model_beyond(model, devid, end_bytes, &groups, d);
	if (!err)
		err = move_in_order(model, &groups, order, plan_group, &planning, d);
	array_done(&groups.logical);
	return err;
}

static bool is_for_room(int err)
{
	return err == -ENOSPC || err == -ERANGE;
}

/* 0: @order does, and @model is as it would be then. */
static int try_order(const struct space_model *from, u64 devid, u64 end_bytes, enum evacuate_order order, struct space_model *model,
		     struct diag *d)
{
	int err = space_model_copy(from, model, d);

	return err ? err : plan_in_order(model, devid, end_bytes, order, NULL, d);
}

/* -ENOSPC: neither order does. */
static int choose_order(const struct space_model *model, u64 devid, u64 end_bytes, enum evacuate_order *ret_order, struct diag *d)
{
	int err = -ENOSPC;

	for (enum evacuate_order order = EVACUATE_WHOLE_FIRST; order <= EVACUATE_LARGEST_FIRST && is_for_room(err); order++) {
		struct space_model trial = { 0 };

		diag_clear(d);
		err = try_order(model, devid, end_bytes, order, &trial, d);
		space_model_done(&trial);
		*ret_order = order;
	}
	return err;
}

int evacuate_plan(struct space_model *model, u64 devid, u64 end_bytes, struct btrkit_device_plan *plan, struct diag *d)
{
	enum evacuate_order order;
	int err;

	if (!space_model_device(model, devid))
		return diag_fail(d, -ENOENT, "there is no device %llu", (ull)devid);
	err = choose_order(model, devid, end_bytes, &order, d);
	if (!err && plan && array_push(&plan->orders, (struct plan_order){ devid, order }) < 0)
		err = diag_no_memory(d, "the plan");
	return err ? err : plan_in_order(model, devid, end_bytes, order, plan, d);
}

/* --- The least ---------------------------------------- */

static int fits(const struct space_model *model, u64 devid, u64 end_bytes, bool *ret_fits, struct diag *d)
{
	enum evacuate_order order;
	struct diag why = { 0 };
	int err = choose_order(model, devid, end_bytes, &order, &why);

	*ret_fits = err == 0;
	return err && !is_for_room(err) ? diag_copy(d, &why) : 0;
}

/* Between what is too little and where the last chunk ends now. */
int evacuate_minimum(const struct space_model *model, u64 devid, u64 *ret_bytes, struct diag *d)
{
	u64 fitting = MAX(space_model_end(model, devid), DEVICE_LEAST_BYTES), low = DEVICE_LEAST_BYTES - STRIPE_LEN_BYTES;
	u64 high = (fitting + STRIPE_LEN_BYTES - 1) / STRIPE_LEN_BYTES;
	int err = 0;

	low /= STRIPE_LEN_BYTES;
	while (high - low > 1 && !err) {
		u64 middle = low + (high - low) / 2;
		bool is_enough = false;

		err = fits(model, devid, middle * STRIPE_LEN_BYTES, &is_enough, d);
		if (is_enough) {
			high = middle;
			fitting = middle * STRIPE_LEN_BYTES;
		} else {
			low = middle;
		}
	}
	*ret_bytes = fitting;
	return err;
}

/* --- Doing ---------------------------------------- */

/* Devices of its own that the filesystem will have. */
static u64 nr_own_after(const struct device_change *change)
{
	const struct btrkit_fs *fs = change->fs;
	u64 nr = 0;

	array_for_each (&change->plan->devices, row) {
		const struct device *device = device_set_find(fs->volume->devices, row->devid, NULL);

		nr += !row->is_removed && device && device->dev && !device_fsid_is_seed(&fs->super, device->fsid);
	}
	return nr;
}

static u64 profile_after(const struct device_change *change, const struct chunk *chunk)
{
	return chunk_is_of_seed(change->fs, chunk) ? profile_off_seed(chunk, nr_own_after(change))
						   : chunk->type & BLOCK_GROUP_PROFILE_MASK;
}

/* Everything that has to move lies beyond an end that the plan gives to a device. */
static int model_of_now(struct device_change *change, struct space_model *ret_model)
{
	int err = space_model_init(ret_model, change->fs, &change->d);

	ret_model->is_cut = change->may_reach_beyond;
	array_for_each (&change->plan->devices, row) {
		struct model_device *device = err ? NULL : space_model_device(ret_model, row->devid);

		if (device)
			device->end_bytes = MIN(device->end_bytes, row->is_removed ? 0 : row->total_bytes_after);
	}
	return err;
}

/* Nothing goes into what has to move itself; of the same kind only, as commits need room for metadata while data moves. */
static int close_misplaced(struct device_change *change, u64 type, bool is_closed)
{
	const struct chunk_map *chunks = change->fs->volume->chunks;
	struct space_model model = { 0 };
	int err = model_of_now(change, &model);

	for (size_t i = 0; i < chunk_map_count(chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		if ((chunk->type & type & BLOCK_GROUP_TYPE_MASK) && space_model_is_misplaced(&model, chunk))
			err = txn_close_group(change->fs->txn, chunk->logical, is_closed, &change->d);
	}
	space_model_done(&model);
	return err;
}

/* What has to move itself is filled only if there is no room elsewhere: as it was planned. */
static int scatter_group(struct device_change *change, u64 logical, u64 type, u64 profile, struct relocate_step *ret_step)
{
	struct diag failure;
	int err = close_misplaced(change, type, true);

	if (!err)
		err = relocate_group(&change->relocate, logical, profile, true, ret_step, &change->d);
	if (change->may_reach_beyond)
		return err;
	failure = change->d;
	if (close_misplaced(change, type, false) < 0 && !err)
		return change->d.err;
	change->d = failure;
	if (err != -ENOSPC)
		return err;
	diag_clear(&change->d);
	return relocate_group(&change->relocate, logical, profile, true, ret_step, &change->d);
}

/* Can it not go as a whole? */
static int must_scatter(struct device_change *change, u64 logical, u64 profile, bool *ret_must)
{
	_cleanup_(relocate_step_done) struct relocate_step step = { 0 };
	int err = 0;

	/* What this transaction has freed is no room before the commit. */
	if (txn_has_changes(change->fs->txn))
		err = txn_commit(change->fs->txn, &change->d);
	if (!err)
		err = relocate_plan(&change->relocate, logical, profile, true, &step, &change->d);
	*ret_must = step.way == RELOCATE_EXTENTS;
	return err;
}

/* Its commit may go into it, which is in its new place by then. */
static int move_whole(struct device_change *change, u64 logical, u64 profile, struct relocate_step *ret_step)
{
	int err = change->may_reach_beyond ? txn_close_group(change->fs->txn, logical, false, &change->d) : 0;

	return err ? err : relocate_group(&change->relocate, logical, profile, true, ret_step, &change->d);
}

static int move_group(void *ctx, u64 logical, bool may_scatter, struct diag *d)
{
	_cleanup_(relocate_step_done) struct relocate_step step = { 0 };
	struct device_change *change = ctx;
	const struct chunk *chunk = chunk_map_find(change->fs->volume->chunks, logical);
	bool must = false;
	int err = 0;

	(void)d; /* the operation's */
	/* Emptying others may have taken it away. */
	if (chunk && chunk->logical == logical) {
		u64 type = chunk->type, profile = profile_after(change, chunk);

		err = must_scatter(change, logical, profile, &must);
		if (!err && must && !may_scatter)
			return 1;
		if (!err)
			err = must ? scatter_group(change, logical, type, profile, &step) : move_whole(change, logical, profile, &step);
		if (err)
			return err;
	}
	device_plan_mark_done(change->plan, logical, &step);
	progress_add(change->relocate.progress, 0, 1);
	return 0;
}

static int move_round(struct device_change *change, u64 devid, u64 end_bytes, size_t *ret_nr)
{
	struct space_model model = { 0 };
	struct group_list groups = { 0 };
	int err = model_of_now(change, &model);

	if (!err)
		err = space_model_beyond(&model, devid, end_bytes, &groups, &change->d);
	*ret_nr = groups.logical.len;
	if (!err)
		err = move_in_order(&model, &groups, device_plan_order(change->plan, devid), move_group, change, &change->d);
	array_done(&groups.logical);
	space_model_done(&model);
	return err;
}

int evacuate(struct device_change *change, u64 devid, u64 end_bytes)
{
	size_t nr = 1;
	int err = txn_limit_device(change->fs->txn, devid, end_bytes, &change->d);

	if (!err && change->may_reach_beyond)
		err = close_misplaced(change, BLOCK_GROUP_TYPE_MASK, true);
	for (unsigned round = 0; round < ROUNDS_MAX && nr && !err; round++)
		err = move_round(change, devid, end_bytes, &nr);
	if (!err && nr)
		err = diag_fail(&change->d, -ENOSPC, "device %llu: something new is put there again and again", (ull)devid);
	return err;
}
