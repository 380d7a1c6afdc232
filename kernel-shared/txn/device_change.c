/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that come, go, change their size, or take the place of another. */
#include "kernel-shared/format/super_check.h"
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

static int find(struct txn *txn, u64 devid, struct txn_device **ret_device, struct diag *d)
{
	int err = txn_is_usable(txn, d);

	*ret_device = txn_device_of(txn, devid);
	if (!err && !*ret_device)
		err = diag_fail(d, -ENOENT, "there is no device %llu", (ull)devid);
	return err;
}

void txn_count_stripes(struct txn *txn, const struct chunk *chunk, int sign)
{
	for (u16 i = 0; i < chunk->num_stripes; i++) {
		struct txn_device *device = txn_device_of(txn, chunk->stripe[i].devid);
		u64 used;

		if (!device)
			continue;
		used = le64_get(device->item.bytes_used);
		le64_put(&device->item.bytes_used, sign > 0 ? used + chunk->stripe_bytes : used - chunk->stripe_bytes);
		device->is_changed = true;
	}
}

void txn_relink_devices(struct txn *txn)
{
	array_for_each (&txn->devices, device)
		device->device =
			device_set_find(txn->target.volume->devices, le64_get(device->item.devid), device->item.uuid);
}

/* --- Coming ---------------------------------------- */

static u64 next_devid(const struct txn *txn)
{
	u64 last = 0;

	array_for_each (&txn->devices, device)
		last = MAX(last, le64_get(device->item.devid));
	array_for_each (&txn->target.volume->devices->devices, device)
		last = MAX(last, device->devid);
	/* Nor that of one whose superblocks are still about. */
	array_for_each (&txn->target.volume->devices->gone, device)
		last = MAX(last, device->devid);
	return last + 1;
}

static void make_item(const struct txn *txn, u64 devid, u64 total_bytes, const u8 *uuid, struct disk_dev_item *ret_item)
{
	*ret_item = (struct disk_dev_item){ 0 };
	le64_put(&ret_item->devid, devid);
	le64_put(&ret_item->total_bytes, total_bytes);
	le32_put(&ret_item->io_align, txn->groups.sectorsize);
	le32_put(&ret_item->io_width, txn->groups.sectorsize);
	le32_put(&ret_item->sector_size, txn->groups.sectorsize);
	le64_put(&ret_item->generation, txn->source.generation);
	memcpy(ret_item->uuid, uuid, UUID_SIZE);
	memcpy(ret_item->fsid, txn->id.fsid, UUID_SIZE);
}

static void change_totals(struct txn *txn, int nr_devices, u64 old_bytes, u64 new_bytes)
{
	le64_put(&txn->super.num_devices, le64_get(txn->super.num_devices) + (u64)nr_devices);
	le64_put(&txn->super.total_bytes, le64_get(txn->super.total_bytes) - old_bytes + new_bytes);
	txn->is_changed = true;
}

static int judge_size(const struct txn *txn, const struct blockdev *dev, u64 total_bytes, struct diag *d)
{
	if (total_bytes % txn->groups.sectorsize || total_bytes <= DEVICE_RANGE_RESERVED_BYTES)
		return diag_fail(d, -EINVAL, "%s: cannot be a device of %llu bytes", dev->name, (ull)total_bytes);
	if (total_bytes > dev->size_bytes)
		return diag_fail(d, -ENOSPC, "%s: has %llu bytes, %llu are wanted", dev->name, (ull)dev->size_bytes,
				 (ull)total_bytes);
	if (!dev->is_writable)
		return diag_fail(d, -EROFS, "%s: is not open for writing", dev->name);
	return 0;
}

int txn_add_device(struct txn *txn, struct blockdev *dev, u64 total_bytes, const u8 *uuid, u64 *ret_devid,
		   struct diag *d)
{
	struct txn_device added = { .limit_bytes = UINT64_MAX, .is_changed = true, .is_new = true };
	struct device device = { .devid = next_devid(txn), .total_bytes = total_bytes, .dev = dev };
	int err = txn_is_usable(txn, d);

	if (!err)
		err = judge_size(txn, dev, total_bytes, d);
	if (!err && array_reserve(&txn->devices, 1) < 0)
		err = diag_no_memory(d, "devices");
	if (err) {
		blockdev_close(dev);
		return err;
	}
	make_item(txn, device.devid, total_bytes, uuid, &added.item);
	added.committed_item = added.item;
	memcpy(device.uuid, uuid, UUID_SIZE);
	memcpy(device.fsid, txn->id.fsid, UUID_SIZE);
	err = device_set_add(txn->target.volume->devices, &device, d);
	if (err)
		return err;
	txn->devices.items[txn->devices.len++] = added;
	txn_relink_devices(txn);
	change_totals(txn, 1, 0, total_bytes);
	*ret_devid = device.devid;
	return 0;
}

/* --- Going, and changing ---------------------------------------- */

/* The first chunk with something on the device at or beyond @physical; NULL: none. */
static const struct chunk *chunk_beyond(const struct txn *txn, u64 devid, u64 physical)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++)
			if (chunk->stripe[s].devid == devid &&
			    chunk->stripe[s].physical + chunk->stripe_bytes > physical)
				return chunk;
	}
	return NULL;
}

int txn_remove_device(struct txn *txn, u64 devid, struct diag *d)
{
	const struct chunk *chunk = chunk_beyond(txn, devid, 0);
	struct txn_device *device;
	int err = find(txn, devid, &device, d);

	if (err)
		return err;
	if (chunk)
		return diag_fail(d, -EBUSY, "device %llu: chunk %llu is on it", (ull)devid, (ull)chunk->logical);
	if (device->is_new)
		return diag_fail(d, -EBUSY, "device %llu: was added and not committed", (ull)devid);
	device->is_removed = device->is_changed = true;
	change_totals(txn, -1, le64_get(device->item.total_bytes), 0);
	return 0;
}

int txn_set_device_generation(struct txn *txn, u64 devid, u64 generation, struct diag *d)
{
	struct txn_device *device;
	int err = find(txn, devid, &device, d);

	if (err)
		return err;
	if (le64_get(device->item.generation) == generation)
		return 0;
	le64_put(&device->item.generation, generation);
	device->is_changed = txn->is_changed = true;
	return 0;
}

int txn_resize_device(struct txn *txn, u64 devid, u64 total_bytes, struct diag *d)
{
	const struct chunk *chunk = chunk_beyond(txn, devid, total_bytes);
	struct txn_device *device;
	int err = find(txn, devid, &device, d);

	if (err)
		return err;
	if (!device->device->dev)
		return diag_fail(d, -ENODEV, "device %llu: is missing", (ull)devid);
	if (device->is_seed)
		return diag_fail(d, -EROFS, "device %llu: belongs to a seed", (ull)devid);
	if (chunk)
		return diag_fail(d, -EBUSY, "device %llu: chunk %llu reaches beyond %llu bytes", (ull)devid,
				 (ull)chunk->logical, (ull)total_bytes);
	err = judge_size(txn, device->device->dev, total_bytes, d);
	if (err)
		return err;
	change_totals(txn, 0, le64_get(device->item.total_bytes), total_bytes);
	le64_put(&device->item.total_bytes, total_bytes);
	device->is_changed = true;
	return 0;
}

int txn_swap_device(struct txn *txn, u64 devid, struct blockdev *dev, u64 total_bytes, struct blockdev **ret_old,
		    struct diag *d)
{
	struct txn_device *device;
	int err = find(txn, devid, &device, d);

	if (!err && (device->is_seed || device->is_new || device->is_swapped))
		err = diag_fail(d, -EBUSY, "device %llu: cannot be replaced", (ull)devid);
	if (!err && chunk_beyond(txn, devid, total_bytes))
		err = diag_fail(d, -ENOSPC, "device %llu: its chunks reach beyond %llu bytes", (ull)devid,
				(ull)total_bytes);
	if (!err)
		err = judge_size(txn, dev, total_bytes, d);
	if (err) {
		blockdev_close(dev);
		return err;
	}
	device->is_swapped = true;
	*ret_old = device->swapped_out = device->device->dev;
	device->device->dev = dev;
	change_totals(txn, 0, le64_get(device->item.total_bytes), total_bytes);
	le64_put(&device->item.total_bytes, total_bytes);
	device->is_changed = true;
	block_groups_reach_again(&txn->groups);
	return 0;
}

/* --- In the trees ---------------------------------------- */

/* Its error counts, if Linux has noted some, would become those of the next device that gets this id. */
static int delete_stats(struct txn *txn, u64 devid, struct diag *d)
{
	const struct key key = { DEV_STATS_OBJECTID, PERSISTENT_ITEM_KEY, devid };
	struct tree_root *devices;
	int err = txn_tree(txn, DEV_TREE_OBJECTID, &devices, d);

	if (err)
		return err;
	err = txn_delete_item(devices, &key, d);
	if (err == -ENOENT) {
		diag_clear(d);
		err = 0;
	}
	return err;
}

static int write_item(struct edit *edit, const struct key *key, const struct txn_device *device, struct diag *d)
{
	int err;

	if (device->is_new && !device->is_recorded)
		return edit_put(edit, key, &device->item, sizeof(device->item), d);
	if (device->is_removed)
		return edit_delete_key(edit, key, d);
	err = edit_seek(edit, key, d);
	if (err == 1 || (!err && edit_data_bytes(edit) != sizeof(device->item)))
		err = diag_fail(d, -EUCLEAN, "the item of device %llu is gone", (ull)key->offset);
	if (!err)
		memcpy(edit_data(edit), &device->item, sizeof(device->item));
	return err;
}

static int record(struct txn *txn, struct txn_device *device, struct diag *d)
{
	const struct key key = { DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, le64_get(device->item.devid) };
	struct tree_root *chunks;
	struct edit edit;
	int err = txn_tree(txn, CHUNK_TREE_OBJECTID, &chunks, d);

	if (err)
		return err;
	/* To write it may take a new chunk on the device itself, which changes it again. */
	device->is_changed = false;
	edit = edit_init(chunks);
	err = write_item(&edit, &key, device, d);
	edit_done(&edit);
	device->is_recorded = true;
	/* Those of a device that was swapped are not those of the one that came. */
	return err || !(device->is_removed || device->is_swapped) ? err : delete_stats(txn, key.offset, d);
}

int txn_record_devices(struct txn *txn, bool *ret_did, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < txn->devices.len && !err; i++) {
		if (!txn->devices.items[i].is_changed)
			continue;
		*ret_did = true;
		err = record(txn, &txn->devices.items[i], d);
	}
	return err;
}

/* --- Ends of transactions ---------------------------------------- */

void txn_settle_devices(struct txn *txn)
{
	size_t kept = 0;

	array_for_each (&txn->devices, device) {
		if (device->is_removed)
			continue;
		device->committed_item = device->item;
		device->device->total_bytes = le64_get(device->item.total_bytes);
		device->device->bytes_used = le64_get(device->item.bytes_used);
		if (device->device->dev)
			device->device->super_generation = le64_get(txn->super.generation);
		device->is_new = device->is_recorded = device->is_swapped = false;
		device->swapped_out = NULL;
		txn->devices.items[kept++] = *device;
	}
	txn->devices.len = kept;
}

void txn_revert_devices(struct txn *txn)
{
	size_t kept = 0;

	array_for_each (&txn->devices, device) {
		if (device->is_new)
			continue;
		if (device->is_swapped) {
			blockdev_close(device->device->dev);
			device->device->dev = device->swapped_out;
		}
		device->item = device->committed_item;
		device->is_changed = device->is_removed = device->is_recorded = device->is_swapped = false;
		device->swapped_out = NULL;
		txn->devices.items[kept++] = *device;
	}
	txn->devices.len = kept;
	block_groups_reach_again(&txn->groups);
}
