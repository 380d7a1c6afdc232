/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block device, an image file, or a layer over one of these: bytes at offsets. Reads and writes are whole or an
 * error; the error's text names the device and the place. All operations may be called from several threads at once.
 */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_BLOCKDEV_H
#define BTRKIT_KERNEL_SHARED_DEVICE_BLOCKDEV_H

#include "common/base/cleanup.h"
#include "common/base/diag.h"

struct blockdev;

struct blockdev_ops {
	int (*read)(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d);
	int (*write)(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d);
	int (*flush)(struct blockdev *dev, struct diag *d);
	/* The range is no longer needed. Advisory: reads afterwards give zeroes, or what was there. */
	int (*discard)(struct blockdev *dev, u64 offset, u64 len, struct diag *d);
	/* Share the range's blocks with those of file @fd at @from; -EOPNOTSUPP where that cannot be. May be NULL. */
	int (*clone)(struct blockdev *dev, u64 offset, int fd, u64 from, u64 len);
	/* Begin to bring the range to stable storage. Advisory, may be NULL. */
	void (*write_out)(struct blockdev *dev, u64 offset, u64 len);
	/* Begin to read the range. Advisory, may be NULL. */
	void (*read_ahead)(struct blockdev *dev, u64 offset, u64 len);
	void (*close)(struct blockdev *dev);
};

struct blockdev {
	const struct blockdev_ops *ops;
	char *name; /* for messages */
	u64 size_bytes;
	bool is_writable;
	bool is_block_special; /* a real device, not a file */
};

/* Each first checks that the range lies within the device: -EINVAL, and a text, if not. */
int blockdev_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d);
int blockdev_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d);
/* Zeroes in as much of the range as there is of the device; all of it is held in memory. */
int blockdev_wipe(struct blockdev *dev, u64 physical, u64 len, struct diag *d);
int blockdev_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d);

/* As ops->clone; -EOPNOTSUPP also for what a device cannot or may not. */
int blockdev_clone(struct blockdev *dev, u64 offset, int fd, u64 from, u64 len);

/*
 * Begin to bring what was written there to stable storage, without waiting for it: so that the device is busy while more is
 * read, and the flush, which alone tells whether it got there, has less to do.
 */
void blockdev_write_out(struct blockdev *dev, u64 offset, u64 len);

/* The range will be read soon: begin to read as much of it as there is of the device, without waiting. A hint. */
void blockdev_read_ahead(struct blockdev *dev, u64 offset, u64 len);

/* Everything written so far is on stable storage when this returns 0. */
int blockdev_flush(struct blockdev *dev, struct diag *d);

void blockdev_close(struct blockdev *dev); /* NULL allowed */
DEFINE_FREEP(struct blockdev *, blockdev_close)

#endif
