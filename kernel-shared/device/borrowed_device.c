/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/device/borrowed_device.h"

#include <stdlib.h>
#include <string.h>

struct borrowed_device {
	struct blockdev dev;
	struct blockdev *owned;
};

static struct blockdev *owned_by(struct blockdev *dev)
{
	return container_of(dev, struct borrowed_device, dev)->owned;
}

static int borrowed_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	return blockdev_read(owned_by(dev), offset, buf, len, d);
}

static int borrowed_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	return blockdev_write(owned_by(dev), offset, buf, len, d);
}

static int borrowed_flush(struct blockdev *dev, struct diag *d)
{
	return blockdev_flush(owned_by(dev), d);
}

static int borrowed_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	return blockdev_discard(owned_by(dev), offset, len, d);
}

static int borrowed_clone(struct blockdev *dev, u64 offset, int fd, u64 from, u64 len)
{
	return blockdev_clone(owned_by(dev), offset, fd, from, len);
}

static void borrowed_close(struct blockdev *dev)
{
	struct borrowed_device *borrowed = container_of(dev, struct borrowed_device, dev);

	free(borrowed->dev.name);
	free(borrowed);
}

static const struct blockdev_ops borrowed_ops = {
	.read = borrowed_read,
	.write = borrowed_write,
	.flush = borrowed_flush,
	.discard = borrowed_discard,
	.clone = borrowed_clone,
	.close = borrowed_close,
};

int borrowed_device_new(struct blockdev *owned, struct blockdev **ret_dev)
{
	struct borrowed_device *borrowed = calloc(1, sizeof(*borrowed));

	if (!borrowed)
		return -ENOMEM;
	borrowed->dev = *owned;
	borrowed->dev.ops = &borrowed_ops;
	borrowed->dev.name = strdup(owned->name);
	borrowed->owned = owned;
	if (!borrowed->dev.name) {
		free(borrowed);
		return -ENOMEM;
	}
	*ret_dev = &borrowed->dev;
	return 0;
}
