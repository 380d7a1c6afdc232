/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The moment at which the device becomes Btrfs, and what follows it.
 *
 * Everything new is on the disk before. Then the primary superblock is written, to a place that the source may use, and
 * which has been copied: with it the device is Btrfs. Mirrors, which lie in places of the source too, come only after a
 * flush; and last the magic bytes go by which others would still take it for what it was. Whatever is missing of this after
 * a power cut can be added at any time, from what the superblock says.
 */
#include "convert/inplace/conversion.h"
#include "kernel-shared/device/borrowed_device.h"
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/fs/file_layer.h"

#define MAGIC_MAX 64

static int make_target(const struct conversion *c, struct blockdev *dev, struct super_target *ret_target,
		       struct disk_super *ret_super, struct diag *d)
{
	const struct image *image = &c->making.image;

	*ret_target = (struct super_target){ .dev = dev, .device_bytes = image->device_bytes[0] };
	image_dev_item(image, 0, &ret_target->dev_item);
	return image_super(image, ret_super, d);
}

int conversion_open_built(struct conversion *c, struct btrkit_fs **ret_fs, struct diag *d)
{
	_cleanup_(blockdev_closep) struct blockdev *borrowed = NULL;
	const struct fs_options options = { .super_mirror = -1 };
	struct device_set *set = NULL;
	struct super_target target;
	struct disk_super super;
	struct blockdev *over;
	int err;

	if (borrowed_device_new(c->dev, &borrowed) < 0 || overlay_device_new(borrowed, &over) < 0)
		return diag_no_memory(d, "the new superblock");
	borrowed = NULL;
	err = make_target(c, over, &target, &super, d);
	if (!err)
		err = super_write_all(&super, &target, 1, d);
	if (err) {
		blockdev_close(over);
		return err;
	}
	err = device_set_of_one(over, 0, &set, d);
	return err ? err : fs_open_devices(set, &options, ret_fs, d);
}

static int wipe_magic(struct blockdev *dev, u64 physical, u32 len, struct diag *d)
{
	static const u8 zeroes[MAGIC_MAX];
	int err;

	if (len > MAGIC_MAX)
		return diag_fail(d, -EINVAL, "magic bytes of impossible length %u", len);
	err = blockdev_write(dev, physical, zeroes, len, d);
	return err ? err : blockdev_flush(dev, d);
}

int conversion_flip(struct conversion *c, struct diag *d)
{
	const struct source_info *info = &c->source->info;
	struct super_target target;
	struct disk_super super;
	int err = make_target(c, c->dev, &target, &super, d);

	if (!err)
		err = super_write_all(&super, &target, 1, d);
	return err ? err : wipe_magic(c->dev, info->magic_physical, info->magic_len, d);
}
