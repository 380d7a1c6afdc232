/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The moment at which the device becomes Btrfs, and what follows it.
 *
 * Everything new is on the disk before. Then the primary superblock is written, to a place that the source may use, and
 * which has been copied: with it the device is Btrfs. Mirrors, which lie in places of the source too, come only after a
 * flush; and last the magic bytes go by which others would still take it for what it was. Whatever is missing of this after
 * a power cut can be added at any time, from what the superblock says.
 */
#include <stdio.h>

#include "convert/inplace/conversion.h"
#include "convert/inplace/rollback.h"
#include "kernel-shared/device/borrowed_device.h"
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/overlay_device.h"

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

/* --- After an interruption ---------------------------------------- */

#define HEAD_BYTES (64 * KIB)

/* Btrfs as the device shows it by its primary superblock. 1: nothing that can be opened. */
static int open_flipped(struct conversion *c, struct btrkit_fs **ret_fs, struct diag *d)
{
	const struct fs_options options = { .super_mirror = 0, .knows_log = true };
	struct blockdev *borrowed;
	struct device_set *set;
	struct diag unused = { 0 };
	int err;

	if (borrowed_device_new(c->dev, &borrowed) < 0)
		return diag_no_memory(d, "the device");
	err = device_set_of_one(borrowed, 0, &set, &unused);
	if (!err)
		err = fs_open_devices(set, &options, ret_fs, &unused);
	return err == -ENOMEM ? diag_no_memory(d, "the filesystem") : err ? 1 : 0;
}

/*
 * Is what is before the superblock still what the saved image has there, with the magic bytes in place? Then that Btrfs is new, and
 * is no remains of one that was there before the source was made.
 */
static int is_before_the_end(struct conversion *c, struct rollback *saved, bool *ret_is, struct diag *d)
{
	_free_ u8 *here = malloc(HEAD_BYTES), *there = malloc(HEAD_BYTES);
	int err;

	*ret_is = false;
	if (!here || !there)
		return diag_no_memory(d, "the first blocks");
	err = blockdev_read(c->dev, 0, here, HEAD_BYTES, d);
	if (!err)
		err = rollback_read_image(saved, 0, there, HEAD_BYTES, d);
	*ret_is = !err && memcmp(here, there, HEAD_BYTES) == 0;
	return err;
}

static int find_saved(struct rollback *saved, struct diag *d)
{
	const struct device_set *devices = saved->fs->volume->devices;
	int err;

	if (devices->devices.len != 1)
		return 1;
	saved->dev = devices->devices.items[0].dev;
	saved->devid = devices->devices.items[0].devid;
	err = rollback_find_image(saved, d);
	return err ? err : rollback_judge_saved(saved, d);
}

static int finish(struct conversion *c, struct rollback *saved, struct diag *d)
{
	const struct disk_super *super = &saved->fs->super;
	const struct super_target target = {
		.dev = c->dev,
		.dev_item = super->dev_item,
		.device_bytes = MIN(le64_get(super->dev_item.total_bytes), c->dev->size_bytes),
	};
	int err = super_write_all(super, &target, 1, d);

	return err ? err : wipe_magic(c->dev, saved->kind->magic_physical, saved->kind->magic_len, d);
}

int conversion_finish_flip(struct conversion *c, struct diag *d)
{
	_cleanup_(rollback_done) struct rollback saved = { 0 };
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *fs = NULL;
	struct diag unused = { 0 };
	bool is_interrupted;
	int err = open_flipped(c, &fs, d);

	if (err)
		return err;
	saved.fs = fs;
	err = find_saved(&saved, &unused);
	if (err)
		return err == -ENOMEM ? diag_no_memory(d, "the saved image") : 1;
	err = is_before_the_end(c, &saved, &is_interrupted, d);
	if (err || !is_interrupted)
		return err ? err : 1;
	c->plan.is_finish_only = true;
	c->plan.total_bytes = saved.image_bytes;
	snprintf(c->plan.source_type, sizeof(c->plan.source_type), "%s", saved.plan.source_type);
	return c->options->is_dry_run ? 0 : finish(c, &saved, d);
}
