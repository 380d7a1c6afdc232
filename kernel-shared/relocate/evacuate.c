/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/evacuate.h"

#include "kernel-shared/relocate/off_seed.h"
#include "kernel-shared/relocate/new_device.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

/* Commits may put new chunks where old ones were; each round there are fewer that matter. */
#define ROUNDS_MAX 16

/* --- Planning ---------------------------------------- */

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

static int plan_step(struct space_model *model, u64 logical, struct btrkit_device_plan *plan, struct diag *d)
{
	const struct chunk *chunk = chunk_map_find(model->chunks, logical);
	_cleanup_(relocate_step_done) struct relocate_step step = { 0 };
	_free_ struct chunk *old = chunk_new(chunk->num_stripes);
	int err;

	if (!old)
		return diag_no_memory(d, "the plan");
	memcpy(old, chunk, sizeof(*old) + chunk->num_stripes * sizeof(old->stripe[0]));
	err = space_model_move(model, logical, &step, d);
	return err || !plan ? err : device_plan_add_step(plan, old, &step, d);
}

int evacuate_plan(struct space_model *model, u64 devid, u64 end_bytes, struct btrkit_device_plan *plan, struct diag *d)
{
	struct model_device *device = space_model_device(model, devid);
	struct group_list groups;
	int err;

	if (!device)
		return diag_fail(d, -ENOENT, "there is no device %llu", (ull)devid);
	device->end_bytes = MIN(device->end_bytes, end_bytes);
	err = space_model_beyond(model, devid, end_bytes, &groups, d);
	for (size_t i = 0; i < groups.logical.len && !err; i++)
		err = plan_step(model, groups.logical.items[i], plan, d);
	array_done(&groups.logical);
	return err;
}

/* --- The least ---------------------------------------- */

static int fits(const struct space_model *model, u64 devid, u64 end_bytes, bool *ret_fits, struct diag *d)
{
	struct space_model trial = { 0 };
	struct diag why = { 0 };
	int err = space_model_copy(model, &trial, d);

	if (!err) {
		err = evacuate_plan(&trial, devid, end_bytes, NULL, &why);
		*ret_fits = err == 0;
		if (err == -ENOSPC || err == -ERANGE)
			err = 0;
		else if (err)
			diag_copy(d, &why);
	}
	space_model_done(&trial);
	return err;
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

static void mark_done(struct btrkit_device_plan *plan, u64 logical)
{
	array_for_each (&plan->steps, step)
		if (step->logical == logical)
			step->is_done = true;
}

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

static int move_group(struct device_change *change, u64 logical)
{
	const struct chunk *chunk = chunk_map_find(change->fs->volume->chunks, logical);
	int err;

	/* Emptying others may have taken it away. */
	if (chunk && chunk->logical == logical) {
		err = relocate_group(&change->relocate, logical, profile_after(change, chunk), true, NULL, &change->d);
		if (err)
			return err;
	}
	mark_done(change->plan, logical);
	progress_add(change->relocate.progress, 0, 1);
	return 0;
}

static int move_round(struct device_change *change, u64 devid, u64 end_bytes, size_t *ret_nr)
{
	struct space_model model = { 0 };
	struct group_list groups = { 0 };
	int err = space_model_init(&model, change->fs, &change->d);

	if (!err)
		err = space_model_beyond(&model, devid, end_bytes, &groups, &change->d);
	*ret_nr = groups.logical.len;
	for (size_t i = 0; i < groups.logical.len && !err; i++)
		err = move_group(change, groups.logical.items[i]);
	array_done(&groups.logical);
	space_model_done(&model);
	return err;
}

int evacuate(struct device_change *change, u64 devid, u64 end_bytes)
{
	size_t nr = 1;
	int err = txn_limit_device(change->fs->txn, devid, end_bytes, &change->d);

	for (unsigned round = 0; round < ROUNDS_MAX && nr && !err; round++)
		err = move_round(change, devid, end_bytes, &nr);
	if (!err && nr)
		err = diag_fail(&change->d, -ENOSPC, "device %llu: something new is put there again and again", (ull)devid);
	return err;
}
