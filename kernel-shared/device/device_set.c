/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/format/super_check.h"

int device_set_new(struct device_set **ret_set)
{
	*ret_set = calloc(1, sizeof(**ret_set));
	return *ret_set ? 0 : -ENOMEM;
}

void device_set_free(struct device_set *set)
{
	if (!set)
		return;
	array_for_each(&set->devices, device)
		blockdev_close(device->dev);
	array_done(&set->devices);
	array_for_each(&set->gone, device)
		blockdev_close(device->dev);
	array_done(&set->gone);
	array_for_each(&set->left_out, why)
		free(*why);
	array_done(&set->left_out);
	free(set->search.scan_dir);
	free(set);
}

int device_set_add(struct device_set *set, const struct device *device, struct diag *d)
{
	size_t at = 0;

	while (at < set->devices.len && set->devices.items[at].devid < device->devid)
		at++;
	if (at < set->devices.len && set->devices.items[at].devid == device->devid) {
		blockdev_close(device->dev);
		return diag_fail(d, -EEXIST, "two devices have the id %llu", (unsigned long long)device->devid);
	}
	if (array_reserve(&set->devices, 1) < 0) {
		blockdev_close(device->dev);
		return diag_no_memory(d, "the device set");
	}
	memmove(set->devices.items + at + 1, set->devices.items + at,
		(set->devices.len - at) * sizeof(*set->devices.items));
	set->devices.items[at] = *device;
	set->devices.len++;
	return 0;
}

void device_set_remove(struct device_set *set, u64 devid)
{
	for (size_t i = 0; i < set->devices.len; i++) {
		if (set->devices.items[i].devid != devid)
			continue;
		blockdev_close(set->devices.items[i].dev);
		set->devices.len--;
		memmove(set->devices.items + i, set->devices.items + i + 1,
			(set->devices.len - i) * sizeof(*set->devices.items));
		set->super_device -= set->super_device > i;
		return;
	}
}

int device_set_put_aside(struct device_set *set, u64 devid, struct diag *d)
{
	struct device *device = device_set_find(set, devid, NULL);

	if (!device)
		return 0;
	if (array_push(&set->gone, *device) < 0)
		return diag_no_memory(d, "the device set");
	device->dev = NULL;
	device_set_remove(set, devid);
	return 0;
}

struct device *device_set_find(const struct device_set *set, u64 devid, const u8 *uuid)
{
	array_for_each(&set->devices, device)
		if (device->devid == devid && (!uuid || memcmp(device->uuid, uuid, UUID_SIZE) == 0))
			return device;
	return NULL;
}

bool device_fsid_is_seed(const struct disk_super *super, const u8 *fsid)
{
	return memcmp(fsid, super->fsid, UUID_SIZE) != 0 && memcmp(fsid, super_metadata_fsid(super), UUID_SIZE) != 0;
}

size_t device_set_nr_missing(const struct device_set *set)
{
	size_t missing = 0;

	array_for_each(&set->devices, device)
		missing += !device->dev;
	return missing;
}

struct device device_of_super(const struct disk_super *super, struct blockdev *dev)
{
	struct device device = {
		.devid = le64_get(super->dev_item.devid),
		.total_bytes = le64_get(super->dev_item.total_bytes),
		.bytes_used = le64_get(super->dev_item.bytes_used),
		.super_generation = le64_get(super->generation),
		.is_seeding = le64_get(super->flags) & SUPER_FLAG_SEEDING,
		.dev = dev,
	};

	memcpy(device.uuid, super->dev_item.uuid, UUID_SIZE);
	memcpy(device.fsid, super->dev_item.fsid, UUID_SIZE);
	return device;
}

int device_set_of_one(struct blockdev *dev, int mirror, struct device_set **ret_set, struct diag *d)
{
	_cleanup_(device_set_freep) struct device_set *set = NULL;
	struct super_choice choice;
	struct device device;
	int err = super_read(dev, mirror, &choice, d);

	if (!err && device_set_new(&set) < 0)
		err = diag_no_memory(d, "the device set");
	if (err) {
		blockdev_close(dev);
		return err;
	}
	device = device_of_super(&choice.super, dev);
	err = device_set_add(set, &device, d);
	if (err)
		return err;
	set->super = choice.super;
	set->super_mirror = choice.mirror;
	*ret_set = take_ptr(set);
	return 0;
}
