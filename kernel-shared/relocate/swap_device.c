/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/swap_device.h"

#include "common/base/checked.h"
#include "kernel-shared/relocate/good_copy.h"

typedef unsigned long long ull;

/* --- What can be read ---------------------------------------- */

static bool is_here(const struct volume *volume, const struct chunk_stripe *stripe)
{
	const struct device *device = device_set_find(volume->devices, stripe->devid, stripe->dev_uuid);

	return device && device->dev;
}

bool chunk_is_readable(const struct volume *volume, const struct chunk *chunk)
{
	/* Stripes that hold the same. */
	u16 alike = chunk->profile->is_striped ? chunk->sub_stripes : chunk->num_stripes;
	u16 nr_missing = 0;

	for (u16 first = 0; first < chunk->num_stripes; first = (u16)(first + alike)) {
		u16 nr_here = 0;

		for (u16 s = first; s < first + alike && s < chunk->num_stripes; s++)
			nr_here = (u16)(nr_here + is_here(volume, &chunk->stripe[s]));
		nr_missing = (u16)(nr_missing + (nr_here == 0));
	}
	return nr_missing <= chunk->profile->parity;
}

static bool is_on(const struct chunk *chunk, u64 devid)
{
	for (u16 s = 0; s < chunk->num_stripes; s++)
		if (chunk->stripe[s].devid == devid)
			return true;
	return false;
}

static int refuse_what_is_lost(struct relocate *relocate, u64 devid, struct diag *d)
{
	const struct volume *volume = relocate->fs->volume;
	u64 used = 0;

	for (size_t i = 0; i < chunk_map_count(volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(volume->chunks, i);
		int err;

		if (!is_on(chunk, devid) || chunk_is_readable(volume, chunk))
			continue;
		err = txn_group_used_bytes(relocate->fs->txn, chunk->logical, &used, d);
		if (err)
			return err;
		if (used)
			return diag_fail(d, -ENODATA,
					 "chunk %llu (%s): too many of its devices are missing, %llu bytes that are in "
					 "use are lost",
					 (ull)chunk->logical, chunk->profile->shown, (ull)used);
	}
	return 0;
}

/* What txn_swap_device() would refuse in the end. @ret_bytes: what the filesystem has of the device, before and after.
 */
static int judge_device(struct relocate *relocate, const struct device_swap *swap, u64 *ret_bytes, struct diag *d)
{
	const struct device *device = device_set_find(relocate->fs->volume->devices, swap->devid, NULL);
	u64 total;

	if (!device)
		return diag_fail(d, -ENOENT, "there is no device %llu", (ull)swap->devid);
	if (device_fsid_is_seed(&relocate->fs->super, device->fsid))
		return diag_fail(d, -EROFS, "device %llu belongs to a seed: it is removed, not replaced",
				 (ull)swap->devid);
	total = round_down_u64(device->total_bytes, relocate->fs->volume->sectorsize);
	if (swap->dev->size_bytes < total)
		return diag_fail(
			d, -ENOSPC,
			"%s: has %llu bytes, device %llu has %llu; make that one smaller first, or take a larger one",
			swap->dev->name, (ull)swap->dev->size_bytes, (ull)swap->devid, (ull)total);
	*ret_bytes = total;
	return 0;
}

int swap_devices_judge(struct relocate *relocate, const struct device_swap *swaps, size_t nr,
		       const struct swap_rules *rules, struct diag *d)
{
	u64 total_bytes;
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		err = judge_device(relocate, &swaps[i], &total_bytes, d);
		for (size_t j = 0; j < i && !err; j++)
			if (swaps[j].devid == swaps[i].devid)
				err = diag_fail(d, -EINVAL, "device %llu: is replaced twice", (ull)swaps[i].devid);
		if (!err && !rules->accepts_loss)
			err = refuse_what_is_lost(relocate, swaps[i].devid, d);
	}
	return err;
}

/* --- Doing it ---------------------------------------- */

static int copy(struct relocate *relocate, struct device_swap *swap, const struct swap_rules *rules, struct diag *d)
{
	const struct rebuild_result *result = &swap->result;
	int err = rebuild_device(relocate, swap->devid, swap->dev, rules->prefers_others, &swap->result, d);

	if (!err && result->damaged_bytes + result->lost_bytes && !rules->accepts_loss)
		err = diag_fail(d, -EIO, "device %llu: %llu bytes have no good copy, the first at logical address %llu",
				(ull)swap->devid, (ull)(result->damaged_bytes + result->lost_bytes),
				(ull)result->first_lost);
	return err;
}

static int copy_all(struct relocate *relocate, struct device_swap *swaps, size_t nr, const struct swap_rules *rules,
		    struct diag *d)
{
	u64 total = 0, bytes = 0;
	int err = swap_devices_judge(relocate, swaps, nr, rules, d);

	for (size_t i = 0; i < nr && !err; i++) {
		err = rebuild_estimate(relocate, swaps[i].devid, &bytes, d);
		total += bytes;
	}
	progress_begin(relocate->progress, "copy", total, 0);
	for (size_t i = 0; i < nr && !err; i++)
		err = copy(relocate, &swaps[i], rules, d);
	return err;
}

/* Does something on it need parity to be read while it is missing? */
static bool needs_parity(const struct chunk_map *chunks, u64 devid)
{
	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes && chunk->profile->parity; s++)
			if (chunk->stripe[s].devid == devid)
				return true;
	}
	return false;
}

/*
 * The commit writes into rows of RAID5/6, too, of which other cells were on the missing device: between the writes of data and of
 * parity these could not be computed any more, and the filesystem as it is would have lost them. So the new device becomes the one
 * that was missing first: with its devid and its uuid nothing else has to change for that.
 */
static int show_first(struct relocate *relocate, const struct device_swap *swap, u64 total_bytes, struct diag *d)
{
	const struct btrkit_fs *fs = relocate->fs;
	const struct device *device = device_set_find(fs->volume->devices, swap->devid, NULL);
	struct super_target target = { .dev = swap->dev, .device_bytes = total_bytes, .is_new = true };

	if (device->dev || device->total_bytes != total_bytes || !needs_parity(fs->volume->chunks, swap->devid))
		return 0;
	target.dev_item = *txn_device_item(fs->txn, swap->devid);
	return super_write_all(&fs->super, &target, 1, d);
}

static int change_over(struct relocate *relocate, struct device_swap *swaps, size_t nr, struct diag *d)
{
	u64 total_bytes = 0;
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		err = judge_device(relocate, &swaps[i], &total_bytes, d);
		if (!err)
			err = show_first(relocate, &swaps[i], total_bytes, d);
	}
	for (size_t i = 0; i < nr && !err; i++) {
		err = judge_device(relocate, &swaps[i], &total_bytes, d);
		if (!err)
			err = txn_swap_device(relocate->fs->txn, swaps[i].devid, take_ptr(swaps[i].dev), total_bytes,
					      &swaps[i].old, d);
	}
	if (!err)
		return txn_commit(relocate->fs->txn, d);
	txn_abort(relocate->fs->txn);
	return err;
}

int swap_devices(struct relocate *relocate, struct device_swap *swaps, size_t nr, const struct swap_rules *rules,
		 struct diag *d)
{
	int err = copy_all(relocate, swaps, nr, rules, d);

	if (!err)
		err = change_over(relocate, swaps, nr, d);
	if (err == -ENOSPC && device_set_nr_missing(relocate->fs->volume->devices) > nr)
		err = diag_context(d, err, "with further devices missing, which can be replaced at the same time");
	for (size_t i = 0; i < nr; i++) {
		blockdev_close(swaps[i].dev);
		swaps[i].dev = NULL;
		if (err)
			swaps[i].old = NULL; /* the filesystem's again */
	}
	return err;
}
