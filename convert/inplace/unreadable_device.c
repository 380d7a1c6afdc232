/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/inplace/unreadable_device.h"

struct unreadable_device {
	struct blockdev dev;
	struct blockdev *below;
	const struct space_ranges *known;
};

static struct unreadable_device *of(struct blockdev *dev)
{
	return container_of(dev, struct unreadable_device, dev);
}

static int unreadable_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	const struct space_ranges *known = of(dev)->known;
	size_t at = array_lower_bound(&known->list, it, it->physical + it->len <= offset);

	if (at < known->list.len && known->list.items[at].physical < offset + len)
		return diag_fail(d, -EIO, "%s: %zu bytes at %llu cannot be read", dev->name, len, (unsigned long long)offset);
	return blockdev_read(of(dev)->below, offset, buf, len, d);
}

static int unreadable_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	return blockdev_write(of(dev)->below, offset, buf, len, d);
}

static int unreadable_flush(struct blockdev *dev, struct diag *d)
{
	return blockdev_flush(of(dev)->below, d);
}

static int unreadable_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	return blockdev_discard(of(dev)->below, offset, len, d);
}

static void unreadable_close(struct blockdev *dev)
{
	free(dev->name);
	free(of(dev));
}

static const struct blockdev_ops unreadable_ops = {
	.read = unreadable_read,
	.write = unreadable_write,
	.flush = unreadable_flush,
	.discard = unreadable_discard,
	.close = unreadable_close,
};

int unreadable_device_new(struct blockdev *below, const struct space_ranges *known, struct blockdev **ret_dev)
{
	struct unreadable_device *made = calloc(1, sizeof(*made));

	if (!made)
		return -ENOMEM;
	made->dev = *below;
	made->dev.ops = &unreadable_ops;
	made->dev.name = strdup(below->name);
	made->below = below;
	made->known = known;
	if (!made->dev.name) {
		free(made);
		return -ENOMEM;
	}
	*ret_dev = &made->dev;
	return 0;
}
