/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each device of a filesystem holds. */
#include <btrkit/device.h>
#include <btrkit/inspect.h>
#include <uuid/uuid.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/volume/volume.h"

/* Of one device. */
struct shares {
	ARRAY(struct btrkit_device_share) list;
	const struct device *device;
};

static int add_bytes(struct shares *shares, const struct btrkit_chunk *chunk, u64 bytes)
{
	array_for_each (&shares->list, share)
		if (strcmp(share->kind, chunk->kind) == 0 && strcmp(share->profile, chunk->profile) == 0) {
			share->bytes += bytes;
			return 0;
		}
	return array_push(&shares->list, (struct btrkit_device_share){ chunk->kind, chunk->profile, bytes });
}

static int count_chunk(void *arg, const struct btrkit_chunk *chunk)
{
	struct shares *shares = arg;

	for (size_t i = 0; i < chunk->nr_stripes; i++)
		if (chunk->stripes[i].devid == shares->device->devid &&
		    add_bytes(shares, chunk, chunk->stripes[i].length) < 0)
			return -ENOMEM;
	return 0;
}

static void fill(const struct btrkit_fs *fs, const struct shares *shares, struct btrkit_device_usage *ret_usage)
{
	const struct device *device = shares->device;
	u64 host_bytes = device->dev ? device->dev->size_bytes : 0;

	*ret_usage = (struct btrkit_device_usage){
		.devid = device->devid,
		.path = device->dev ? device->dev->name : NULL,
		.is_seed = device_fsid_is_seed(&fs->super, device->fsid),
		.total_bytes = device->total_bytes,
		.host_bytes = host_bytes,
		.slack_bytes = host_bytes > device->total_bytes ? host_bytes - device->total_bytes : 0,
		.lacking_bytes = device->dev && device->total_bytes > host_bytes ? device->total_bytes - host_bytes : 0,
		.recorded_bytes = device->bytes_used,
		.nr_shares = shares->list.len,
		.shares = shares->list.items,
	};
	uuid_unparse_lower(device->uuid, ret_usage->uuid);
	array_for_each (&shares->list, share)
		ret_usage->allocated_bytes += share->bytes;
	if (device->total_bytes > ret_usage->allocated_bytes)
		ret_usage->unallocated_bytes = device->total_bytes - ret_usage->allocated_bytes;
}

int btrkit_device_usage_for_each(struct btrkit_fs *fs, btrkit_device_usage_fn fn, void *arg, struct btrkit_error *error)
{
	const struct device_set *set;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = fs_check_is_btrfs(fs, &d);
	if (err)
		return fs_error(error, &d, err);
	set = fs->volume->devices;
	for (size_t i = 0; i < set->devices.len && !err; i++) {
		struct shares shares = { .device = &set->devices.items[i] };
		struct btrkit_device_usage usage;

		err = btrkit_chunk_for_each(fs, count_chunk, &shares, error);
		fill(fs, &shares, &usage);
		if (!err)
			err = fn(arg, &usage);
		array_done(&shares.list);
	}
	return err;
}
