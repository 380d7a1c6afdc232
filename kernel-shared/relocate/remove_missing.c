/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/remove_missing.h"

#include "kernel-shared/relocate/salvage.h"
#include "kernel-shared/relocate/space_model.h"
#include "kernel-shared/relocate/swap_device.h"

typedef unsigned long long ull;

/* --- Which block groups, and as what ---------------------------------------- */

static bool is_mixed(u64 type)
{
	return (type & BLOCK_GROUP_DATA) && (type & BLOCK_GROUP_METADATA);
}

static const struct type_profile *rule_for(const struct removal *removal, u64 type)
{
	if (type & BLOCK_GROUP_DATA)
		return &removal->data;
	return &removal->metadata;
}

static u64 wanted_profile(const struct removal *removal, u64 type)
{
	const struct type_profile *rule = rule_for(removal, type);

	return rule->is_set ? rule->profile : type & BLOCK_GROUP_PROFILE_MASK;
}

static bool is_concerned(const struct removal *removal, const struct chunk *chunk)
{
	for (u16 s = 0; s < chunk->num_stripes; s++)
		for (size_t i = 0; i < removal->nr; i++)
			if (chunk->stripe[s].devid == removal->devids[i])
				return true;
	return wanted_profile(removal, chunk->type) != (chunk->type & BLOCK_GROUP_PROFILE_MASK);
}

/* Metadata first: with it there is room for the commits of the rest. */
static int list_groups(const struct removal *removal, struct group_list *list, struct diag *d)
{
	const struct chunk_map *chunks = removal->relocate->fs->volume->chunks;

	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < chunk_map_count(chunks); i++) {
			const struct chunk *chunk = chunk_map_at(chunks, i);

			if (!(chunk->type & BLOCK_GROUP_DATA) == (pass == 0) && is_concerned(removal, chunk) &&
			    array_push(&list->logical, chunk->logical) < 0)
				return diag_no_memory(d, "block groups");
		}
	return 0;
}

static bool is_lost(const struct removal *removal, const struct chunk *chunk, u64 used_bytes)
{
	return used_bytes && !chunk_is_readable(removal->relocate->fs->volume, chunk);
}

/* --- What cannot be ---------------------------------------- */

static unsigned nr_devices_left(const struct removal *removal)
{
	const struct btrkit_fs *fs = removal->relocate->fs;
	unsigned nr = 0;

	array_for_each (&fs->volume->devices->devices, device)
		nr += device->dev && !device_fsid_is_seed(&fs->super, device->fsid);
	return nr;
}

static int judge_devices(const struct removal *removal, struct diag *d)
{
	for (size_t i = 0; i < removal->nr; i++) {
		const struct device *device =
			device_set_find(removal->relocate->fs->volume->devices, removal->devids[i], NULL);

		if (!device)
			return diag_fail(d, -ENODEV, "there is no device %llu", (ull)removal->devids[i]);
		if (device->dev)
			return diag_fail(d, -ENODEV, "device %llu: is not missing, it is %s", (ull)removal->devids[i],
					 device->dev->name);
	}
	return 0;
}

static int judge_profile(const struct removal *removal, const struct chunk *chunk, struct diag *d)
{
	const struct profile *profile = profile_by_flags(wanted_profile(removal, chunk->type));
	const char *kind = chunk->type & BLOCK_GROUP_DATA ? "data" : "metadata";
	unsigned left = nr_devices_left(removal);

	if (left >= profile->devs_min)
		return 0;
	return diag_fail(
		d, -ENOSPC,
		"%s would have to stay %s, which takes %u devices, and %u are left: convert %s to a profile that fits",
		kind, profile->name, profile->devs_min, left, kind);
}

static int judge_group(const struct removal *removal, const struct chunk *chunk, u64 used_bytes, struct diag *d)
{
	int err = judge_profile(removal, chunk, d);

	if (err || !is_lost(removal, chunk, used_bytes))
		return err;
	if (chunk->type & BLOCK_GROUP_DATA && !is_mixed(chunk->type) && removal->accepts_loss)
		return 0;
	return diag_fail(d, -ENODATA,
			 "chunk %llu (%s %s): too many of its devices are missing, %llu bytes that are in use are lost",
			 (ull)chunk->logical, chunk->type & BLOCK_GROUP_DATA ? "data" : "metadata",
			 chunk->profile->shown, (ull)used_bytes);
}

/* --- The plan ---------------------------------------- */

static int tell(const struct removal *removal, const struct chunk *chunk, const struct relocate_step *step,
		bool is_done, struct diag *d)
{
	return removal->tell ? removal->tell(removal->ctx, chunk, step, is_done, d) : 0;
}

/* So that two chunks do not get the same place. */
static int reserve(struct removal *removal, const struct relocate_step *step, struct diag *d)
{
	struct txn *txn = removal->relocate->fs->txn;

	if (step->way == RELOCATE_REMOVE)
		return txn_remove_chunk(txn, step->logical, d);
	if (step->way == RELOCATE_CHUNK || step->way == RELOCATE_DROP)
		return txn_replace_chunk(txn, step->to, d);
	return 0;
}

/* What is lacking, besides the chunk that was the first to lack it. */
static int tell_room(struct removal *removal, struct diag *d)
{
	struct space_model model = { 0 };
	u64 taken = 0, room = 0;
	int err = space_model_init(&model, removal->relocate->fs, NULL);

	for (size_t i = 0; i < removal->nr && !err; i++) {
		struct model_device *device = space_model_device(&model, removal->devids[i]);

		taken += space_model_allocated(&model, removal->devids[i]);
		if (device)
			device->end_bytes = 0;
	}
	if (!err)
		err = space_model_room(&model, &room, NULL);
	space_model_done(&model);
	if (err)
		return d->err;
	return diag_context(d, -ENOSPC,
			    "chunks take %llu bytes of what is missing, and %llu bytes of the devices that are left are not "
			    "allocated",
			    (ull)taken, (ull)room);
}

static int plan_group(struct removal *removal, u64 logical, struct diag *d)
{
	struct relocate *relocate = removal->relocate;
	const struct chunk *chunk = chunk_map_find(relocate->fs->volume->chunks, logical);
	_cleanup_(relocate_step_done) struct relocate_step step = { .logical = logical };
	u64 profile = wanted_profile(removal, chunk->type);
	int err = txn_group_used_bytes(relocate->fs->txn, logical, &step.used_bytes, d);

	if (!err)
		err = judge_group(removal, chunk, step.used_bytes, d);
	if (err)
		return err;
	err = is_lost(removal, chunk, step.used_bytes) ? salvage_plan(relocate, logical, profile, &step, d)
						       : relocate_plan(relocate, logical, profile, true, &step, d);
	if (!err)
		err = tell(removal, chunk, &step, false, d);
	return err ? err : reserve(removal, &step, d);
}

static int for_each_group(struct removal *removal, int (*fn)(struct removal *removal, u64 logical, struct diag *d), struct diag *d)
{
	struct group_list list = { 0 };
	int err = list_groups(removal, &list, d);

	for (size_t i = 0; i < list.logical.len && !err; i++)
		err = fn(removal, list.logical.items[i], d);
	if (err == -ENOSPC && list.logical.len)
		err = tell_room(removal, d);
	array_done(&list.logical);
	return err;
}

int removal_plan(struct removal *removal, struct diag *d)
{
	int err = judge_devices(removal, d);

	return err ? err : for_each_group(removal, plan_group, d);
}

/* --- Doing it ---------------------------------------- */

/* New chunks, too, get what those that there are become. */
static void set_rules(const struct removal *removal)
{
	struct txn *txn = removal->relocate->fs->txn;

	if (removal->data.is_set)
		txn_set_profile(txn, BLOCK_GROUP_DATA, removal->data.profile);
	if (removal->metadata.is_set) {
		txn_set_profile(txn, BLOCK_GROUP_METADATA, removal->metadata.profile);
		txn_set_profile(txn, BLOCK_GROUP_SYSTEM, removal->metadata.profile);
	}
}

static int move_group(struct removal *removal, u64 logical, struct diag *d)
{
	struct relocate *relocate = removal->relocate;
	const struct chunk *chunk = chunk_map_find(relocate->fs->volume->chunks, logical);
	_cleanup_(relocate_step_done) struct relocate_step step = { 0 };
	_free_ struct chunk *before = NULL;
	u64 profile, used = 0;
	int err;

	/* It may have become empty, and have gone. */
	if (!chunk || chunk->logical != logical || !is_concerned(removal, chunk))
		return 0;
	profile = wanted_profile(removal, chunk->type);
	err = txn_group_used_bytes(relocate->fs->txn, logical, &used, d);
	if (!err)
		err = judge_group(removal, chunk, used, d);
	if (err)
		return err;
	before = chunk_dup(chunk);
	if (!before)
		return diag_no_memory(d, "a chunk");
	err = is_lost(removal, chunk, used) ? salvage_group(relocate, logical, profile, &step, &removal->lost_bytes, d)
					    : relocate_group(relocate, logical, profile, true, &step, d);
	return err ? err : tell(removal, before, &step, true, d);
}

static int judge_one(struct removal *removal, u64 logical, struct diag *d)
{
	const struct btrkit_fs *fs = removal->relocate->fs;
	u64 used = 0;
	int err = txn_group_used_bytes(fs->txn, logical, &used, d);

	return err ? err : judge_group(removal, chunk_map_find(fs->volume->chunks, logical), used, d);
}

static int take_devices_out(struct removal *removal, struct diag *d)
{
	struct txn *txn = removal->relocate->fs->txn;
	int err = 0;

	for (size_t i = 0; i < removal->nr && !err; i++)
		err = txn_remove_device(txn, removal->devids[i], d);
	if (!err)
		return txn_commit(txn, d);
	txn_abort(txn);
	return err;
}

int removal_run(struct removal *removal, struct diag *d)
{
	int err = judge_devices(removal, d);

	set_rules(removal);
	if (!err)
		err = for_each_group(removal, judge_one, d);
	if (!err)
		err = for_each_group(removal, move_group, d);
	return err ? err : take_devices_out(removal, d);
}
