/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/checked.h"
#include "kernel-shared/device/blockdev.h"

static int check_range(const struct blockdev *dev, u64 offset, u64 len, const char *verb, struct diag *d)
{
	if (range_fits(offset, len, dev->size_bytes))
		return 0;
	return diag_fail(d, -EINVAL, "%s: cannot %s %llu bytes at %llu: the device ends at %llu", dev->name, verb,
			 (unsigned long long)len, (unsigned long long)offset, (unsigned long long)dev->size_bytes);
}

int blockdev_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	int err = check_range(dev, offset, len, "read", d);

	return err ? err : dev->ops->read(dev, offset, buf, len, d);
}

int blockdev_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	int err = check_range(dev, offset, len, "write", d);

	if (!err && !dev->is_writable)
		err = diag_fail(d, -EROFS, "%s: opened read-only", dev->name);
	return err ? err : dev->ops->write(dev, offset, buf, len, d);
}

int blockdev_wipe(struct blockdev *dev, u64 physical, u64 len, struct diag *d)
{
	_free_ u8 *zeroes = NULL;

	if (physical >= dev->size_bytes)
		return 0;
	len = MIN(len, dev->size_bytes - physical);
	zeroes = calloc(1, len);
	if (!zeroes)
		return diag_no_memory(d, "wiping");
	return blockdev_write(dev, physical, zeroes, len, d);
}

int blockdev_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	int err = check_range(dev, offset, len, "discard", d);

	if (!err && !dev->is_writable)
		err = diag_fail(d, -EROFS, "%s: opened read-only", dev->name);
	return err ? err : dev->ops->discard(dev, offset, len, d);
}

int blockdev_clone(struct blockdev *dev, u64 offset, int fd, u64 from, u64 len)
{
	if (!dev->ops->clone || !dev->is_writable || !range_fits(offset, len, dev->size_bytes))
		return -EOPNOTSUPP;
	return dev->ops->clone(dev, offset, fd, from, len);
}

void blockdev_write_out(struct blockdev *dev, u64 offset, u64 len)
{
	if (dev->ops->write_out && dev->is_writable && range_fits(offset, len, dev->size_bytes))
		dev->ops->write_out(dev, offset, len);
}

void blockdev_read_ahead(struct blockdev *dev, u64 offset, u64 len)
{
	if (dev->ops->read_ahead && offset < dev->size_bytes && len > 0)
		dev->ops->read_ahead(dev, offset, MIN(len, dev->size_bytes - offset));
}

int blockdev_flush(struct blockdev *dev, struct diag *d)
{
	return dev->is_writable ? dev->ops->flush(dev, d) : 0;
}

void blockdev_close(struct blockdev *dev)
{
	if (dev)
		dev->ops->close(dev);
}
