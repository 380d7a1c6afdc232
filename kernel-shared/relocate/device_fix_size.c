/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes that do not agree: of devices in their items, in the superblocks, and as they are; and the sum of them. A device that was
 * made smaller under the filesystem loses the chunks at its end first, as far as they can go elsewhere.
 */
#include "common/base/checked.h"
#include "kernel-shared/relocate/evacuate.h"
#include "kernel-shared/volume/map.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

/* --- What is lost ---------------------------------------- */

struct loss {
	const struct volume *volume;
	const struct chunk *chunk;
	u64 bytes; /* in use, of which no copy lies within its device */
};

static bool is_there(const struct volume *volume, const struct chunk_stripe *stripe, u64 physical, u64 len)
{
	const struct device *device = device_set_find(volume->devices, stripe->devid, stripe->dev_uuid);

	return device && device->dev && physical <= device->dev->size_bytes && len <= device->dev->size_bytes - physical;
}

/* Of a row with parity: can its stripes that are not there be computed? */
static bool is_row_computable(const struct loss *loss, u64 row)
{
	const struct chunk *chunk = loss->chunk;
	u16 nr_gone = 0;

	for (u16 s = 0; s < chunk->num_stripes; s++)
		nr_gone = (u16)(nr_gone + !is_there(loss->volume, &chunk->stripe[s],
						    chunk->stripe[s].physical + row * STRIPE_LEN_BYTES, STRIPE_LEN_BYTES));
	return nr_gone <= chunk->profile->parity;
}

static bool is_piece_readable(const struct loss *loss, const struct cell *cell, u64 logical, u64 len)
{
	const struct chunk *chunk = loss->chunk;
	u64 within = chunk->profile->is_striped ? cell->row * STRIPE_LEN_BYTES + cell->within : logical - chunk->logical;

	for (unsigned copy = 1; copy <= chunk->profile->copies; copy++) {
		const struct chunk_stripe *stripe = &chunk->stripe[cell_stripe(chunk, cell, copy)];

		if (is_there(loss->volume, stripe, stripe->physical + within, len))
			return true;
	}
	return chunk->profile->parity && is_row_computable(loss, cell->row);
}

/* Sector by sector where the end may lie. */
static int count_lost(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct loss *loss = ctx;

	(void)d;
	while (len) {
		struct cell cell = chunk_cell(loss->chunk, logical);
		u64 piece = MIN(MIN(len, cell.left), STRIPE_LEN_BYTES);

		if (!is_piece_readable(loss, &cell, logical, piece)) {
			piece = MIN(piece, loss->volume->sectorsize);
			loss->bytes += is_piece_readable(loss, &cell, logical, piece) ? 0 : piece;
		}
		logical += piece;
		len -= piece;
	}
	return 0;
}

/* Nothing is given up here: what has no copy within its device is told, and left. */
static int refuse_what_is_lost(struct device_change *change, u64 devid, u64 end_bytes)
{
	const struct volume *volume = change->fs->volume;
	u64 bytes = 0, first = 0, nr = 0;
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(volume->chunks) && !err; i++) {
		struct loss loss = { .volume = volume, .chunk = chunk_map_at(volume->chunks, i) };
		u64 used = 0;

		err = txn_group_used_bytes(change->fs->txn, loss.chunk->logical, &used, &change->d);
		if (!err && used)
			err = txn_for_each_used(change->fs->txn, loss.chunk->logical, count_lost, &loss, &change->d);
		first = nr == 0 && loss.bytes ? loss.chunk->logical : first;
		nr += loss.bytes != 0;
		bytes += loss.bytes;
	}
	if (err || nr == 0)
		return err;
	return diag_fail(&change->d, -ENODATA,
			 "device %llu ends at %llu, and %llu bytes that are in use, in %llu chunks, the first of them %llu, lie behind "
			 "that and nowhere else: make the device as large as it was, or get the files with btrkit restore",
			 (ull)devid, (ull)end_bytes, (ull)bytes, (ull)nr, (ull)first);
}

/* --- One device ---------------------------------------- */

struct fixing {
	struct device_change change;
	struct space_model model;
	u64 total_bytes; /* of all devices, as it shall be */
	bool is_wrong; /* there is something to mend */
};

static u64 whole_sectors(const struct fixing *fixing, u64 bytes)
{
	return round_down_u64(bytes, fixing->change.fs->volume->sectorsize);
}

/* What the filesystem can have of a device: what it has, all that its chunks take, but no more than there is. */
static u64 right_size(const struct fixing *fixing, const struct device *device)
{
	u64 item_bytes = txn_device_bytes(fixing->change.fs->txn, device->devid);
	u64 end = space_model_end(&fixing->model, device->devid);
	u64 host = whole_sectors(fixing, device->dev->size_bytes);

	return MIN(whole_sectors(fixing, MAX(item_bytes, end)), host);
}

static int plan_device(struct fixing *fixing, const struct device *device)
{
	struct device_change *change = &fixing->change;
	u64 item_bytes = txn_device_bytes(change->fs->txn, device->devid), right = item_bytes;
	struct btrkit_device_change *row = device_plan_find(change->plan, device->devid);
	int err = 0;

	if (device->dev && !device_fsid_is_seed(&change->fs->super, device->fsid)) {
		right = right_size(fixing, device);
		fixing->is_wrong |= device->total_bytes != item_bytes;
		if (space_model_end(&fixing->model, device->devid) > right)
			err = refuse_what_is_lost(change, device->devid, right);
		if (!err)
			err = evacuate_plan(&fixing->model, device->devid, right, change->plan, &change->d);
	}
	fixing->is_wrong |= right != item_bytes;
	fixing->total_bytes += right;
	row->total_bytes_before = item_bytes;
	row->total_bytes_after = right;
	return err ? diag_context(&change->d, err, "device %llu", (ull)device->devid) : 0;
}

static int plan(struct fixing *fixing)
{
	struct device_change *change = &fixing->change;
	int err = space_model_init(&fixing->model, change->fs, &change->d);

	array_for_each (&change->fs->volume->devices->devices, device)
		if (!err && txn_has_device(change->fs->txn, device->devid))
			err = plan_device(fixing, device);
	fixing->is_wrong |= fixing->total_bytes != le64_get(change->fs->super.total_bytes);
	if (!err)
		device_plan_set_after(change->plan, fixing->model.chunks);
	return err;
}

/* --- Doing it ---------------------------------------- */

static bool is_ours(const struct btrkit_fs *fs, const struct btrkit_device_change *row)
{
	const struct device *device = device_set_find(fs->volume->devices, row->devid, NULL);

	return device && device->dev && !device_fsid_is_seed(&fs->super, device->fsid);
}

static int execute(struct fixing *fixing)
{
	struct device_change *change = &fixing->change;
	struct btrkit_fs *fs = change->fs;
	int err = 0;

	progress_begin(change->relocate.progress, "move", change->plan->info.move_bytes, change->plan->steps.len);
	array_for_each (&change->plan->devices, row)
		if (!err && is_ours(fs, row))
			err = txn_limit_device(fs->txn, row->devid, row->total_bytes_after, &change->d);
	array_for_each (&change->plan->devices, row)
		if (!err && is_ours(fs, row))
			err = evacuate(change, row->devid, row->total_bytes_after);
	array_for_each (&change->plan->devices, row)
		if (!err && is_ours(fs, row))
			err = txn_resize_device(fs->txn, row->devid, row->total_bytes_after, &change->d);
	if (err)
		return err;
	le64_put(&txn_super(fs->txn)->total_bytes, fixing->total_bytes);
	err = device_change_commit(change);
	if (!err)
		device_plan_set_after(change->plan, fs->volume->chunks);
	return err;
}

int btrkit_device_fix_size(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			   struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	struct fixing fixing = { .change.may_reach_beyond = true };
	int err = device_change_begin(&fixing.change, "fix-size", paths, nr_paths, options);

	if (!err)
		err = plan(&fixing);
	if (!err && fixing.is_wrong && !fixing.change.options.is_dry_run)
		err = execute(&fixing);
	space_model_done(&fixing.model);
	return device_change_end(&fixing.change, err, ret_plan, error);
}
