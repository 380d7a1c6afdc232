/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/device/fault_device.h"

struct faulty {
	struct blockdev dev;
	struct blockdev *below;
	const struct fault_list *list;
	unsigned number;
};

static struct faulty *faulty_of(struct blockdev *dev)
{
	return container_of(dev, struct faulty, dev);
}

static int faulty_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	const struct faulty *faulty = faulty_of(dev);

	array_for_each(&faulty->list->faults, fault)
		if (fault->device == faulty->number && offset < fault->physical + fault->len_bytes &&
		    fault->physical < offset + len)
			return diag_fail(d, -EIO, "%s: cannot read %zu bytes at %llu: %s", dev->name, len,
					 (unsigned long long)offset, strerror(EIO));
	return blockdev_read(faulty->below, offset, buf, len, d);
}

static int faulty_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	return blockdev_write(faulty_of(dev)->below, offset, buf, len, d);
}

static int faulty_flush(struct blockdev *dev, struct diag *d)
{
	return blockdev_flush(faulty_of(dev)->below, d);
}

static int faulty_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	return blockdev_discard(faulty_of(dev)->below, offset, len, d);
}

static void faulty_close(struct blockdev *dev)
{
	struct faulty *faulty = faulty_of(dev);

	blockdev_close(faulty->below);
	free(dev->name);
	free(faulty);
}

static const struct blockdev_ops faulty_ops = {
	.read = faulty_read,
	.write = faulty_write,
	.flush = faulty_flush,
	.discard = faulty_discard,
	.close = faulty_close,
};

int fault_device_new(struct blockdev *below, const struct fault_list *list, unsigned device, struct blockdev **ret_dev)
{
	struct faulty *faulty = calloc(1, sizeof(*faulty));

	if (!faulty)
		return -ENOMEM;
	faulty->dev = *below;
	faulty->dev.ops = &faulty_ops;
	faulty->dev.name = strdup(below->name);
	if (!faulty->dev.name) {
		free(faulty);
		return -ENOMEM;
	}
	faulty->below = below;
	faulty->list = list;
	faulty->number = device;
	*ret_dev = &faulty->dev;
	return 0;
}
