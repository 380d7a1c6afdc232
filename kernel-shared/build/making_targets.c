/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices and files that get the filesystem: what they are, whether they may be overwritten, opening, wiping. */
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/checked.h"
#include "kernel-shared/build/making.h"
#include "kernel-shared/device/file_device.h"

typedef unsigned long long ull;

/* --- Finding -------------------------------------------------------------------------------------------- */

static int find_signatures(struct target *target, u64 offset, struct diag *d)
{
	_close_ int fd = open(target->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return diag_fail(d, -errno, "%s: cannot open: %s", target->path, strerror(errno));
	return signature_find(fd, target->path, offset, target->host_bytes, &target->signatures, d);
}

static int refuse_what_is_there(const struct target *target, struct diag *d)
{
	if (target->signatures.found.len == 0)
		return 0;
	return diag_fail(d, -EEXIST, "%s: contains %s, which would be overwritten; force it if that is wanted",
			 target->path, target->signatures.found.items[0].type);
}

static int examine(struct making *making, struct target *target, struct diag *d)
{
	u64 offset = making->options->offset_bytes;
	struct blockdev *dev;
	struct stat st;
	int err;

	if (stat(target->path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return diag_fail(d, -errno, "%s: cannot stat: %s", target->path, strerror(errno));
	}
	target->exists = true;
	target->file_bytes = S_ISREG(st.st_mode) ? (u64)st.st_size : 0;
	err = file_device_check_not_mounted(target->path, d);
	if (err)
		return err;
	err = file_device_open(target->path, 0, 0, 0, &dev, d);
	if (err)
		return err;
	target->is_block_special = dev->is_block_special;
	target->host_bytes = dev->size_bytes > offset ? dev->size_bytes - offset : 0;
	if (dev->is_block_special && dev->size_bytes <= offset)
		err = diag_fail(d, -EINVAL, "%s: has %llu bytes, the filesystem cannot begin at %llu", target->path,
				(ull)dev->size_bytes, (ull)offset);
	blockdev_close(dev);
	if (!err)
		err = find_signatures(target, offset, d);
	if (!err && !making->options->is_forced)
		err = refuse_what_is_there(target, d);
	return err;
}

/* Of two files that do not exist yet: do their paths lead to one name in one folder? */
static bool is_same_new_file(const char *a, const char *b)
{
	const char *a_name = strrchr(a, '/'), *b_name = strrchr(b, '/');
	_free_ char *a_folder = a_name ? strndup(a, (size_t)(a_name - a) + 1) : strdup(".");
	_free_ char *b_folder = b_name ? strndup(b, (size_t)(b_name - b) + 1) : strdup(".");
	struct stat x, y;

	return strcmp(a_name ? a_name + 1 : a, b_name ? b_name + 1 : b) == 0 && a_folder && b_folder &&
	       stat(a_folder, &x) == 0 && stat(b_folder, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_same_target(const struct target *a, const struct target *b)
{
	struct stat x, y;

	if (strcmp(a->path, b->path) == 0)
		return true;
	if (!a->exists && !b->exists)
		return is_same_new_file(a->path, b->path);
	if (stat(a->path, &x) < 0 || stat(b->path, &y) < 0)
		return false;
	if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
		return x.st_rdev == y.st_rdev;
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int refuse_duplicates(const struct making *making, struct diag *d)
{
	for (size_t i = 0; i < making->nr_targets; i++)
		for (size_t j = 0; j < i; j++)
			if (is_same_target(&making->targets[i], &making->targets[j]))
				return diag_fail(d, -EINVAL, "%s and %s are the same device", making->targets[j].path,
						 making->targets[i].path);
	return 0;
}

/* The size of the filesystem on a target, or LAYOUT_NO_LIMIT when it is what is needed. */
static int decide_size(struct making *making, struct target *target, u64 *ret_limit, struct diag *d)
{
	u64 bytes = target->wanted_bytes ? target->wanted_bytes : target->host_bytes;

	if (target->is_block_special && bytes > target->host_bytes)
		return diag_fail(d, -ENOSPC, "%s: has %llu bytes, %llu wanted", target->path, (ull)target->host_bytes,
				 (ull)bytes);
	if (making->options->is_shrink && !target->wanted_bytes && !target->is_block_special)
		bytes = 0;
	*ret_limit = bytes ? round_down_u64(bytes, making->image.sectorsize) : LAYOUT_NO_LIMIT;
	return 0;
}

int making_find_targets(struct making *making, struct diag *d)
{
	size_t nr_open = 0;
	int err = 0;

	for (size_t i = 0; i < making->nr_targets && !err; i++) {
		struct target *target = &making->targets[i];

		err = examine(making, target, d);
		if (!err)
			err = decide_size(making, target, &making->image.devices[i].limit_bytes, d);
		nr_open += !err && making->image.devices[i].limit_bytes == LAYOUT_NO_LIMIT;
	}
	if (!err)
		err = refuse_duplicates(making, d);
	if (err)
		return err;
	making->is_exact = making->options->is_shrink || nr_open == making->nr_targets;
	if (nr_open > 0 && !making->is_exact)
		return diag_fail(d, -EINVAL, "some devices have a size and some have not: say one for each, or for none");
	return 0;
}

/* --- Opening -------------------------------------------------------------------------------------------- */

/* Make a file as long as it must be; one that is longer is cut at the end, if at all. */
static int set_size(struct target *target, u64 bytes, struct diag *d)
{
	if (target->file->size_bytes >= bytes)
		return 0;
	target->is_grown = target->exists && !target->is_block_special;
	return file_device_resize(target->file, bytes, false, d);
}

static int open_target(struct making *making, struct target *target, u64 bytes, struct diag *d)
{
	unsigned flags = FILE_DEVICE_WRITE | FILE_DEVICE_EXCLUSIVE | (target->exists ? 0 : FILE_DEVICE_CREATE);
	int err = file_device_open(target->path, flags, making->options->offset_bytes, 0, &target->dev, d);

	if (err)
		return err;
	target->is_made = !target->exists;
	target->file = target->dev;
	err = set_size(target, bytes, d);
	if (!err && making->layer)
		err = making->layer->wrap(making->layer->ctx, target->file, (size_t)(target - making->targets), &target->dev);
	if (err)
		return err;
	/* Up to the first chunk everything stays as it was until the end: the old superblock, above all. */
	if (!making->options->no_discard && target->exists && bytes > DEVICE_RANGE_RESERVED_BYTES) {
		struct diag ignored = { 0 };

		(void)blockdev_discard(target->dev, DEVICE_RANGE_RESERVED_BYTES, bytes - DEVICE_RANGE_RESERVED_BYTES,
				       &ignored); /* advisory: many devices cannot */
	}
	return 0;
}

int making_open_targets(struct making *making, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < making->nr_targets && !err; i++)
		err = open_target(making, &making->targets[i], making->image.device_bytes[i], d);
	return err;
}

/* --- Wiping ------------------------------------------------------------------------------------------------ */

/* Is a place within what the filesystem has allocated on a device? Then it was written, or belongs to it. */
static bool is_allocated(const struct image *image, u64 devid, u64 physical)
{
	for (size_t i = 0; i < chunk_map_count(image->layout.chunks); i++) {
		const struct chunk *chunk = chunk_map_at(image->layout.chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++)
			if (chunk->stripe[s].devid == devid && physical >= chunk->stripe[s].physical &&
			    physical < chunk->stripe[s].physical + chunk->stripe_bytes)
				return true;
	}
	return false;
}

/*
 * Superblock mirrors of an older Btrfs: they may lie beyond the end of ours, and where they do not, a power cut between
 * our primary and our mirrors must not leave them beside it.
 */
static int wipe_old_mirrors(struct target *target, struct diag *d)
{
	int err = 0;

	for (unsigned mirror = 1; mirror < super_mirror_count(target->dev->size_bytes) && !err; mirror++)
		err = blockdev_wipe(target->dev, super_mirror_physical(mirror), SUPER_INFO_SIZE, d);
	return err;
}

static int wipe_target(const struct making *making, size_t index, struct diag *d)
{
	struct target *target = &making->targets[index];
	u64 after_super = super_mirror_physical(0) + SUPER_INFO_SIZE;
	int err = blockdev_wipe(target->dev, 0, super_mirror_physical(0), d);

	if (!err)
		err = blockdev_wipe(target->dev, after_super, DEVICE_RANGE_RESERVED_BYTES - after_super, d);
	if (!err)
		err = wipe_old_mirrors(target, d);
	for (size_t i = 0; i < target->signatures.found.len && !err; i++) {
		const struct signature *signature = &target->signatures.found.items[i];

		if (signature->physical >= DEVICE_RANGE_RESERVED_BYTES &&
		    !is_allocated(&making->image, making->image.devices[index].devid, signature->physical))
			err = blockdev_wipe(target->dev, signature->physical, signature->len, d);
	}
	return err;
}

int making_wipe_targets(struct making *making, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < making->nr_targets && !err; i++)
		if (making->targets[i].exists)
			err = wipe_target(making, i, d);
	return err;
}

void making_close_targets(struct making *making, bool is_failed)
{
	for (size_t i = 0; i < making->nr_targets; i++) {
		struct target *target = &making->targets[i];

		blockdev_close(target->dev);
		target->dev = NULL;
		signature_list_done(&target->signatures);
		/* The failure itself is what the caller hears about, not one of these. */
		if (is_failed && target->is_made)
			(void)unlink(target->path);
		else if (is_failed && target->is_grown && truncate(target->path, (off_t)target->file_bytes) < 0)
			continue;
	}
}
