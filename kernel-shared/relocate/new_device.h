/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device that a filesystem is to get: whether it may, and what becomes of what is on it. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_NEW_DEVICE_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_NEW_DEVICE_H

#include "kernel-shared/device/signature.h"
#include "kernel-shared/fs/fs.h"

/* No device is smaller: what lies in front of the first chunk, and room for one stripe. */
#define DEVICE_LEAST_BYTES (DEVICE_RANGE_RESERVED_BYTES + STRIPE_LEN_BYTES)

struct new_device {
	struct blockdev *dev; /* owned, until somebody takes it */
	struct signature_list signatures;
	u64 total_bytes; /* that a filesystem with these sectors can have of it */
};

struct new_device_options {
	bool is_forced; /* it may hold something, which is overwritten */
	bool is_writable; /* else only look */
	u64 offset_bytes; /* as of the filesystem's other devices */
};

/*
 * Open @path for @fs. -EEXIST: it holds something, or is one of the filesystem's devices, forced or not; -EBUSY; -EINVAL: it is
 * too small. new_device_done() in any case.
 */
int new_device_open(const char *path, const struct btrkit_fs *fs, const struct new_device_options *options,
		    struct new_device *ret_device, struct diag *d);
void new_device_done(struct new_device *device);

/*
 * Take away what is on it, and flush: superblocks of another filesystem, or of this one's past, that lay beside the ones that it
 * gets could be believed. Before the commit that makes it one of the filesystem's.
 */
int new_device_wipe(struct new_device *device, struct diag *d);

/* Make the superblocks on @dev, which is no longer one of a filesystem's, unreadable, mirrors first, and flush. */
int device_wipe_supers(struct blockdev *dev, struct diag *d);

/* Does @path lead to the file or block device that @dev, or what it is laid over, was opened from? */
bool is_path_of(const char *path, const struct blockdev *dev);

/* A devid in decimal, or the path of a device of @fs. -ENOENT. */
int device_find_by_text(const struct btrkit_fs *fs, const char *text, u64 *ret_devid, struct diag *d);

#endif
