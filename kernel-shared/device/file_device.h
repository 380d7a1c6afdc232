/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A block device or image file of the host. */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_FILE_DEVICE_H
#define BTRKIT_KERNEL_SHARED_DEVICE_FILE_DEVICE_H

#include "kernel-shared/device/blockdev.h"

enum file_device_flags {
	FILE_DEVICE_WRITE = 1 << 0,
	/* Nobody else: O_EXCL on a device (refused when mounted or in use), a lock on a file. */
	FILE_DEVICE_EXCLUSIVE = 1 << 1,
	/* Make the file; it must not exist. */
	FILE_DEVICE_CREATE = 1 << 2,
};

/*
 * Open @path. The device seen begins at @base_offset bytes of it and is @size_bytes long; 0: to its end.
 * Errors name @path: -ENOENT, -EACCES, -EBUSY (in use), -EINVAL (a directory, or too small for @base_offset), ...
 */
int file_device_open(const char *path, unsigned flags, u64 base_offset, u64 size_bytes, struct blockdev **ret_dev,
		     struct diag *d);

/* Make a regular file as long as @size_bytes from its base offset; a file that is longer is cut only if @may_shrink. */
int file_device_resize(struct blockdev *dev, u64 size_bytes, bool may_shrink, struct diag *d);

/* The descriptor, to identify the file with fstat(); stays the device's. */
int file_device_fd(const struct blockdev *dev);

/*
 * Are two open files the same bytes: the same file, the same block device by whatever name, a loop device and the file under it
 * from its beginning, or two such loop devices? False where that cannot be told.
 */
bool file_is_same_device(int fd, int other_fd);
/* The same of paths; false, too, if one cannot be opened. */
bool path_is_same_device(const char *path, const char *other);

/*
 * Is @path, or something over it (a loop device of this file), mounted or used as swap? 0: no; -EBUSY with the
 * mount point in the text. A device that is otherwise in use is found by opening it exclusively.
 */
int file_device_check_not_mounted(const char *path, struct diag *d);

#endif
