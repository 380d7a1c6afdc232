/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device gets another size: a smaller one when nothing lies beyond it any more. */
#include "common/base/checked.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/relocate/evacuate.h"
#include "kernel-shared/relocate/new_device.h"
#include "kernel-shared/relocate/tighten.h"

typedef unsigned long long ull;

struct resizing {
	struct device_change change;
	u64 devid;
	struct blockdev *dev;
	u64 old_bytes, new_bytes;
	u64 old_host_bytes;
	bool is_minimum; /* new_bytes is the least that planning has found */
	bool is_tight; /* the plan begins with tighten() */
};

/* --- The plan ---------------------------------------- */

/* With block groups as long as they are, or as short as they can be. */
static int find_minimum(const struct resizing *resizing, const struct space_model *model, u64 *ret_bytes, struct diag *d)
{
	struct space_model tight = { 0 };
	u64 tight_bytes = UINT64_MAX;
	int err = evacuate_minimum(model, resizing->devid, ret_bytes, d);

	if (!err)
		err = space_model_copy(model, &tight, d);
	if (!err)
		err = tighten_plan(&tight, resizing->devid, NULL, d);
	if (!err)
		err = evacuate_minimum(&tight, resizing->devid, &tight_bytes, d);
	*ret_bytes = MIN(*ret_bytes, tight_bytes);
	space_model_done(&tight);
	return err;
}

static int refuse_for_room(struct resizing *resizing, const struct space_model *model)
{
	struct diag *d = &resizing->change.d;
	u64 least;
	int err;

	diag_clear(d);
	err = find_minimum(resizing, model, &least, d);
	if (err)
		return err;
	resizing->change.plan->info.minimum_bytes = least;
	return diag_fail(d, -ENOSPC, "device %llu cannot be made as small as %llu bytes: the least is %llu", (ull)resizing->devid,
			 (ull)resizing->new_bytes, (ull)least);
}

/* The plan that leaves block groups as long as they are failed: @model gets another one, @before is how it was. */
static int plan_tightly(struct resizing *resizing, const struct space_model *before, struct space_model *model)
{
	struct device_change *change = &resizing->change;
	struct space_model tight = { 0 };
	int err;

	diag_clear(&change->d);
	err = space_model_copy(before, &tight, &change->d);
	if (!err)
		err = tighten_plan(&tight, resizing->devid, change->plan, &change->d);
	if (!err)
		err = evacuate_plan(&tight, resizing->devid, resizing->new_bytes, change->plan, &change->d);
	space_model_done(model);
	*model = tight;
	resizing->is_tight = !err;
	if (err)
		change->plan->steps.len = change->plan->nr_tightened = 0;
	return err;
}

static int plan_shrinking(struct resizing *resizing, struct space_model *model)
{
	struct device_change *change = &resizing->change;
	struct space_model before = { 0 };
	int err = space_model_copy(model, &before, &change->d);

	if (!err && resizing->is_minimum)
		err = find_minimum(resizing, model, &resizing->new_bytes, &change->d);
	if (!err && resizing->is_minimum)
		change->plan->info.minimum_bytes = resizing->new_bytes;
	if (!err)
		err = evacuate_plan(model, resizing->devid, resizing->new_bytes, change->plan, &change->d);
	if (err == -ENOSPC)
		err = plan_tightly(resizing, &before, model);
	if (err == -ENOSPC)
		err = refuse_for_room(resizing, &before);
	space_model_done(&before);
	return err;
}

static int plan(struct resizing *resizing)
{
	struct device_change *change = &resizing->change;
	struct btrkit_device_change *row = device_plan_find(change->plan, resizing->devid);
	struct space_model model = { 0 };
	int err = space_model_init(&model, change->fs, &change->d);

	if (!err && (resizing->is_minimum || resizing->new_bytes < resizing->old_bytes))
		err = plan_shrinking(resizing, &model);
	if (!err)
		device_plan_set_after(change->plan, model.chunks);
	row->total_bytes_after = resizing->new_bytes;
	space_model_done(&model);
	return err;
}

/* --- What is wanted ---------------------------------------- */

static int choose_device(struct resizing *resizing, u64 devid, const char *path)
{
	struct device_change *change = &resizing->change;
	const struct device *device;
	struct diag *d = &change->d;

	if (devid == 0)
		array_for_each (&change->fs->volume->devices->devices, candidate)
			if (candidate->dev && is_path_of(path, candidate->dev))
				devid = candidate->devid;
	device = device_set_find(change->fs->volume->devices, devid, NULL);
	if (!device)
		return diag_fail(d, -ENOENT, "there is no device %llu in the filesystem", (ull)devid);
	if (!device->dev)
		return diag_fail(d, -ENODEV, "device %llu is missing", (ull)devid);
	if (device_fsid_is_seed(&change->fs->super, device->fsid))
		return diag_fail(d, -EROFS, "device %llu: belongs to a seed, and is never written", (ull)devid);
	resizing->devid = devid;
	resizing->dev = device->dev;
	resizing->old_bytes = device->total_bytes;
	resizing->old_host_bytes = device->dev->size_bytes;
	return 0;
}

static int choose_size(struct resizing *resizing, enum btrkit_resize_kind kind, u64 bytes)
{
	u64 host = resizing->dev->size_bytes, old = resizing->old_bytes, wanted = bytes;
	struct diag *d = &resizing->change.d;
	bool may_grow = resizing->change.options.do_truncate && !resizing->dev->is_block_special;

	if (kind == BTRKIT_RESIZE_MIN) {
		resizing->is_minimum = true;
		return 0;
	}
	if (kind == BTRKIT_RESIZE_MAX)
		wanted = host;
	if (kind == BTRKIT_RESIZE_BY_MORE && !checked_add(old, bytes, &wanted))
		return diag_fail(d, -ERANGE, "%llu bytes more than %llu are too many", (ull)bytes, (ull)old);
	if (kind == BTRKIT_RESIZE_BY_LESS)
		wanted = old - MIN(old, bytes);
	resizing->new_bytes = round_down_u64(wanted, resizing->change.fs->volume->sectorsize);
	if (resizing->new_bytes < DEVICE_LEAST_BYTES)
		return diag_fail(d, -EINVAL, "a device must have %llu bytes at least, %llu are wanted", (ull)DEVICE_LEAST_BYTES, (ull)wanted);
	if (resizing->new_bytes > host && !may_grow)
		return diag_fail(d, -ENOSPC, "%s: has %llu bytes, %llu are wanted%s", resizing->dev->name, (ull)host,
				 (ull)resizing->new_bytes,
				 resizing->dev->is_block_special ? "" : "; make the file longer first, or let it be done");
	return 0;
}

/* --- Doing it ---------------------------------------- */

/* So often a size that turned out not to be enough is given up for a larger one, by twice as much each time. */
#define MINIMUM_TRIES 8

/* Planning keeps a reserve, but does not know every extent: if it was too little, something between it and what there is does. */
static int evacuate_for_minimum(struct resizing *resizing)
{
	struct device_change *change = &resizing->change;
	u64 planned = resizing->new_bytes, high = MAX(chunk_map_end_on(change->fs->volume->chunks, resizing->devid), planned);
	int err = -ENOSPC;

	for (unsigned i = 0; i < MINIMUM_TRIES && err == -ENOSPC; i++) {
		if (i) {
			diag_clear(&change->d);
			txn_abort(change->fs->txn);
			resizing->new_bytes = planned + round_down_u64((high - planned) >> (MINIMUM_TRIES - i), STRIPE_LEN_BYTES);
			device_plan_find(change->plan, resizing->devid)->total_bytes_after = resizing->new_bytes;
		}
		err = evacuate(change, resizing->devid, resizing->new_bytes);
	}
	return err;
}

/* The last chunk may end earlier than was planned, or later where extents went into new chunks. */
static int settle_minimum(struct resizing *resizing)
{
	struct device_change *change = &resizing->change;
	struct space_model model = { 0 };
	u64 planned = change->plan->info.minimum_bytes;
	int err;

	diag_clear(&change->d);
	txn_abort(change->fs->txn);
	err = space_model_init(&model, change->fs, &change->d);
	if (!err)
		resizing->new_bytes = MAX(space_model_end(&model, resizing->devid), DEVICE_LEAST_BYTES);
	space_model_done(&model);
	device_plan_find(change->plan, resizing->devid)->total_bytes_after = resizing->new_bytes;
	change->plan->info.minimum_bytes = resizing->new_bytes;
	if (!err && resizing->new_bytes > planned)
		diag_note(&change->d, DIAG_WARNING, "device %llu: %llu bytes were planned, the least that could be reached is %llu",
			  (ull)resizing->devid, (ull)planned, (ull)resizing->new_bytes);
	return err ? err : txn_limit_device(change->fs->txn, resizing->devid, resizing->new_bytes, &change->d);
}

/* Superblocks behind the new end would get older and older. */
static int wipe_mirrors_beyond(struct resizing *resizing)
{
	unsigned first = super_mirror_count(resizing->new_bytes), end = super_mirror_count(resizing->old_bytes);
	static const u8 zeroes[SUPER_INFO_SIZE];
	struct diag *d = &resizing->change.d;
	int err = 0;

	for (unsigned mirror = first; mirror < MIN(end, super_mirror_count(resizing->dev->size_bytes)) && !err; mirror++)
		err = blockdev_write(resizing->dev, super_mirror_physical(mirror), zeroes, sizeof(zeroes), d);
	return err || first >= end ? err : blockdev_flush(resizing->dev, d);
}

static int execute(struct resizing *resizing)
{
	struct device_change *change = &resizing->change;
	bool do_truncate = change->options.do_truncate && !resizing->dev->is_block_special;
	int err = 0;

	progress_begin(change->relocate.progress, "move", change->plan->info.move_bytes, change->plan->steps.len);
	if (resizing->is_tight)
		err = tighten(change, resizing->devid);
	if (!err && resizing->new_bytes < resizing->old_bytes)
		err = resizing->is_minimum ? evacuate_for_minimum(resizing) : evacuate(change, resizing->devid, resizing->new_bytes);
	if (resizing->is_minimum && (!err || err == -ENOSPC || err == -EOPNOTSUPP))
		err = settle_minimum(resizing);
	if (!err && do_truncate && resizing->new_bytes > resizing->dev->size_bytes)
		err = file_device_resize(resizing->dev, resizing->new_bytes, false, &change->d);
	if (!err)
		err = txn_resize_device(change->fs->txn, resizing->devid, resizing->new_bytes, &change->d);
	if (!err)
		err = device_change_commit(change);
	if (!err)
		device_plan_set_after(change->plan, change->fs->volume->chunks);
	if (!err)
		err = wipe_mirrors_beyond(resizing);
	if (!err && do_truncate && resizing->new_bytes < resizing->dev->size_bytes)
		err = file_device_resize(resizing->dev, resizing->new_bytes, true, &change->d);
	return err;
}

int btrkit_device_resize(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			 uint64_t devid, enum btrkit_resize_kind kind, uint64_t bytes, struct btrkit_device_plan **ret_plan,
			 struct btrkit_error *error)
{
	struct resizing resizing = { 0 };
	int err = device_change_begin(&resizing.change, "resize", paths, nr_paths, options);

	if (!err)
		err = choose_device(&resizing, devid, paths[nr_paths - 1]);
	if (!err)
		err = choose_size(&resizing, kind, bytes);
	if (!err)
		err = plan(&resizing);
	if (!err && !resizing.change.options.is_dry_run)
		err = execute(&resizing);
	return device_change_end(&resizing.change, err, ret_plan, error);
}
