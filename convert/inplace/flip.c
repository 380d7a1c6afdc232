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

/* A device that fails does not tell that there is nothing; all other errors do. */
static int cannot_tell(int err, const struct diag *why, struct diag *d)
{
	if (err != -EIO && err != -ENOMEM)
		return 1;
	(void)diag_copy(d, why);
	return diag_context(d, err, "whether a conversion was interrupted here");
}

/* May it come of a conversion? What others left here may need devices, or a length, that are not there, which looks like a failure. */
static bool can_be_flipped(const struct conversion *c, const struct disk_super *super)
{
	return le64_get(super->num_devices) == 1 && le64_get(super->dev_item.total_bytes) <= c->dev->size_bytes;
}

/* Btrfs as the device shows it by its primary superblock. 1: nothing that can be opened. */
static int open_flipped(struct conversion *c, struct btrkit_fs **ret_fs, struct diag *d)
{
	const struct fs_options options = { .super_mirror = 0, .knows_log = true };
	struct super_choice choice;
	struct blockdev *borrowed;
	struct device_set *set;
	struct diag why = { 0 };
	int err = super_read(c->dev, 0, &choice, &why);

	if (err)
		return cannot_tell(err, &why, d);
	if (!can_be_flipped(c, &choice.super))
		return 1;
	if (borrowed_device_new(c->dev, &borrowed) < 0)
		return diag_no_memory(d, "the device");
	err = device_set_of_one(borrowed, 0, &set, &why);
	if (!err)
		err = fs_open_devices(set, &options, ret_fs, &why);
	return err ? cannot_tell(err, &why, d) : 0;
}

enum head_state {
	HEAD_SAME, /* what the source uses before the superblock is what the saved image has there, magic bytes and all */
	HEAD_CHANGED, /* it is not, and yet it is that source */
	HEAD_OTHER, /* another source: that Btrfs was there before it */
};

/* What the source did not use there is not in the image, and may be anything. */
static enum head_state compare_heads(const struct rollback *saved, const u8 *here, const u8 *there)
{
	const struct saved_kind *kind = saved->kind;
	bool is_same = true, has_magic = false;

	array_for_each(&saved->pieces, piece) {
		u64 end = MIN(piece->offset + piece->len, (u64)HEAD_BYTES);

		if (piece->offset >= HEAD_BYTES)
			break;
		is_same = is_same && memcmp(here + piece->offset, there + piece->offset, (size_t)(end - piece->offset)) == 0;
		has_magic |= piece->offset <= kind->magic_physical && kind->magic_physical + kind->magic_len <= end;
	}
	if (is_same && has_magic)
		return HEAD_SAME;
	/* Without its magic bytes nobody takes it for a source. */
	return memcmp(here + kind->magic_physical, there + kind->magic_physical, kind->magic_len) == 0 &&
			       memcmp(here + kind->uuid_physical, there + kind->uuid_physical, UUID_SIZE) == 0
		       ? HEAD_CHANGED
		       : HEAD_OTHER;
}

static int read_heads(struct conversion *c, const struct rollback *saved, enum head_state *ret_state, struct diag *d)
{
	_free_ u8 *here = malloc(HEAD_BYTES), *there = malloc(HEAD_BYTES);
	int err;

	if (!here || !there)
		return diag_no_memory(d, "the first blocks");
	err = blockdev_read(c->dev, 0, here, HEAD_BYTES, d);
	if (!err)
		err = rollback_read_image(saved, 0, there, HEAD_BYTES, d);
	if (!err)
		*ret_state = compare_heads(saved, here, there);
	return err;
}

/* Did a superblock of this Btrfs go over what the source uses? */
static bool is_source_overwritten(const struct conversion *c, const struct rollback *saved)
{
	for (unsigned mirror = 0; mirror < super_mirror_count(c->dev->size_bytes); mirror++) {
		u64 physical = super_mirror_physical(mirror);
		struct super_choice choice;

		if (super_read(c->dev, (int)mirror, &choice, NULL) != 0 ||
		    memcmp(choice.super.fsid, saved->fs->super.fsid, UUID_SIZE) != 0)
			continue;
		array_for_each(&saved->pieces, piece)
			if (ranges_touch(physical, SUPER_INFO_SIZE, piece->offset, piece->len))
				return true;
	}
	return false;
}

/*
 * Does this Btrfs, with its saved image, come of a conversion of the source that the device still shows? 1: no, it is what remains
 * of something older.
 */
static int judge_flipped(struct conversion *c, const struct rollback *saved, struct diag *d)
{
	enum head_state state = HEAD_OTHER;
	int err = read_heads(c, saved, &state, d);

	if (err || state == HEAD_SAME)
		return err;
	if (state == HEAD_CHANGED && is_source_overwritten(c, saved))
		return diag_fail(d, -EUCLEAN,
				 "%s: is Btrfs since a conversion that was interrupted, but was written to as %s after that, which has lost "
				 "blocks to Btrfs' superblocks: mount it as Btrfs, or run convert --rollback",
				 c->dev->name, saved->plan.source_type);
	return 1;
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
	struct diag why = { 0 };
	int err = open_flipped(c, &fs, d);

	if (err)
		return err;
	saved.fs = fs;
	err = find_saved(&saved, &why);
	if (err)
		return cannot_tell(err, &why, d);
	err = judge_flipped(c, &saved, d);
	if (err)
		return err;
	c->plan.is_finish_only = true;
	c->plan.total_bytes = saved.image_bytes;
	snprintf(c->plan.source_type, sizeof(c->plan.source_type), "%s", saved.plan.source_type);
	return c->options->is_dry_run ? 0 : finish(c, &saved, d);
}
