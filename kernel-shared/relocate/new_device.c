/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/new_device.h"

#include <fcntl.h>
#include <uuid/uuid.h>

#include "common/base/checked.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/super.h"

typedef unsigned long long ull;

/* --- Looking ---------------------------------------- */

bool is_path_of(const char *path, const struct blockdev *dev)
{
	return path_is_same_device(path, dev->name);
}

static int refuse_own(const char *path, const struct btrkit_fs *fs, struct diag *d)
{
	array_for_each (&fs->volume->devices->devices, device)
		if (device->dev && is_path_of(path, device->dev))
			return diag_fail(d, -EEXIST, "%s: is device %llu of this filesystem already", path,
					 (ull)device->devid);
	return 0;
}

static int find_signatures(const char *path, u64 offset, struct new_device *device, struct diag *d)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return diag_fail(d, -errno, "%s: cannot open: %s", path, strerror(errno));
	return signature_find(fd, path, offset, device->dev->size_bytes, &device->signatures, d);
}

static bool is_known(const struct btrkit_fs *fs, u64 devid, const u8 *uuid)
{
	const struct chunk_map *chunks = fs->volume->chunks;

	array_for_each (&fs->volume->devices->devices, device)
		if (device->devid == devid || memcmp(device->uuid, uuid, UUID_SIZE) == 0)
			return true;
	for (size_t i = 0; i < chunk_map_count(chunks); i++)
		for (u16 s = 0; s < chunk_map_at(chunks, i)->num_stripes; s++)
			if (memcmp(chunk_map_at(chunks, i)->stripe[s].dev_uuid, uuid, UUID_SIZE) == 0)
				return true;
	return false;
}

static bool has_only_btrfs(const struct signature_list *signatures)
{
	array_for_each (&signatures->found, signature)
		if (strcmp(signature->type, "btrfs") != 0)
			return false;
	return true;
}

/*
 * The commit that adds a device writes that one's superblock first. Was it cut after that, the device is of a state that came about
 * nowhere else, one later than what there is, and nothing is on it: nothing is lost with it.
 */
static bool is_unfinished_addition(const struct disk_super *super, const struct btrkit_fs *fs, const struct new_device *device)
{
	return le64_get(super->generation) == le64_get(fs->super.generation) + 1 &&
	       le64_get(super->num_devices) > le64_get(fs->super.num_devices) && le64_get(super->dev_item.bytes_used) == 0 &&
	       !is_known(fs, le64_get(super->dev_item.devid), super->dev_item.uuid) && has_only_btrfs(&device->signatures);
}

static int refuse_what_is_there(const char *path, const struct btrkit_fs *fs, const struct new_device *device,
				struct diag *d)
{
	struct super_choice choice;
	char fsid[37];

	if (super_read(device->dev, -1, &choice, NULL) == 0) {
		uuid_unparse_lower(choice.super.fsid, fsid);
		bool is_own = memcmp(choice.super.fsid, fs->super.fsid, UUID_SIZE) == 0;

		if (is_own && is_unfinished_addition(&choice.super, fs, device)) {
			diag_note(d, DIAG_WARNING, "%s: was being added when that was interrupted: this goes on with it", path);
			return 0;
		}
		if (is_own)
			return diag_fail(d, -EEXIST,
					 "%s: has a superblock of this filesystem, as device %llu, which it is not; "
					 "force it to overwrite that",
					 path, (ull)le64_get(choice.super.dev_item.devid));
		return diag_fail(d, -EEXIST,
				 "%s: belongs to another Btrfs filesystem, %s, which would be destroyed; force it if that "
				 "is wanted",
				 path, fsid);
	}
	if (device->signatures.found.len)
		return diag_fail(d, -EEXIST, "%s: contains %s, which would be overwritten; force it if that is wanted",
				 path, device->signatures.found.items[0].type);
	return 0;
}

int new_device_open(const char *path, const struct btrkit_fs *fs, const struct new_device_options *options,
		    struct new_device *ret_device, struct diag *d)
{
	unsigned flags = FILE_DEVICE_EXCLUSIVE | (options->is_writable ? FILE_DEVICE_WRITE : 0);
	int err;

	*ret_device = (struct new_device){ 0 };
	err = refuse_own(path, fs, d);
	if (!err)
		err = file_device_check_not_mounted(path, d);
	if (!err)
		err = file_device_open(path, flags, options->offset_bytes, 0, &ret_device->dev, d);
	if (err)
		return err;
	ret_device->total_bytes = round_down_u64(ret_device->dev->size_bytes, fs->volume->sectorsize);
	if (ret_device->total_bytes < DEVICE_LEAST_BYTES)
		return diag_fail(d, -EINVAL, "%s: has %llu bytes, a device must have %llu at least", path,
				 (ull)ret_device->dev->size_bytes, (ull)DEVICE_LEAST_BYTES);
	err = find_signatures(path, options->offset_bytes, ret_device, d);
	if (!err && !options->is_forced)
		err = refuse_what_is_there(path, fs, ret_device, d);
	return err;
}

void new_device_done(struct new_device *device)
{
	blockdev_close(device->dev);
	device->dev = NULL;
	signature_list_done(&device->signatures);
}

/* --- Wiping ---------------------------------------- */

int device_wipe_supers(struct blockdev *dev, struct diag *d)
{
	unsigned nr = super_mirror_count(dev->size_bytes);
	int err = 0;

	/* While the first one is there the device is still known for what it was. */
	while (nr-- > 0 && !err)
		err = blockdev_wipe(dev, super_mirror_physical(nr), SUPER_INFO_SIZE, d);
	return err ? err : blockdev_flush(dev, d);
}

int new_device_wipe(struct new_device *device, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < device->signatures.found.len && !err; i++)
		err = blockdev_wipe(device->dev, device->signatures.found.items[i].physical,
				   device->signatures.found.items[i].len, d);
	if (!err)
		err = blockdev_wipe(device->dev, 0, DEVICE_RANGE_RESERVED_BYTES, d);
	return err ? err : device_wipe_supers(device->dev, d);
}
