/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests of converting: what a source has in use, and whether a device still has it as it was. */
#ifndef BTRKIT_TESTS_TOOLS_SOURCE_RANGES_H
#define BTRKIT_TESTS_TOOLS_SOURCE_RANGES_H

#include "convert/inplace/space_plan.h"
#include "convert/inplace/sources.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/device/super.h"

static inline int source_ranges_add(void *ctx, u64 physical, u64 len, struct diag *d)
{
	struct space_ranges *ranges = ctx;

	return array_push(&ranges->list, (struct space_range){ physical, len }) < 0 ? diag_no_memory(d, "ranges") : 0;
}

/* All that the source on @dev uses, as it says itself; and behind its end, where Btrfs could have superblocks. */
static inline int source_ranges_load(struct blockdev *dev, struct space_ranges *ret_ranges, struct diag *d)
{
	const struct source_options options = { .is_force = true };
	_cleanup_(source_closep) struct source *source = NULL;
	int err = sources_open(dev, &options, &source, d);

	if (!err)
		err = source->ops->used_ranges(source, 0, source_ranges_add, ret_ranges, d);
	for (unsigned mirror = 1; mirror < super_mirror_count(dev->size_bytes) && !err; mirror++)
		if (super_mirror_physical(mirror) >= source->info.total_bytes)
			err = source_ranges_add(ret_ranges, super_mirror_physical(mirror), SUPER_INFO_SIZE, d);
	return err;
}

static inline int compare_range(struct blockdev *a, struct blockdev *b, u64 from, u64 to, struct diag *d)
{
	u8 got[2][4096];

	for (u64 at = from; at < to; at += sizeof(got[0])) {
		size_t len = (size_t)MIN(to - at, (u64)sizeof(got[0]));
		int err = blockdev_read(a, at, got[0], len, d);

		if (!err)
			err = blockdev_read(b, at, got[1], len, d);
		if (err)
			return err;
		if (memcmp(got[0], got[1], len) != 0)
			return diag_fail(d, -EUCLEAN, "%zu bytes at %llu differ", len, (unsigned long long)at);
	}
	return 0;
}

/* -EUCLEAN: the devices differ in one of @ranges. */
static inline int compare_ranges(const struct space_ranges *ranges, struct blockdev *a, struct blockdev *b, struct diag *d)
{
	int err = 0;

	array_for_each(&ranges->list, range)
		if (!err)
			err = compare_range(a, b, range->physical, range->physical + range->len, d);
	return err;
}

/* A file whose changes stay in memory. NULL: it cannot be opened. */
static inline struct blockdev *open_unchanged(const char *path)
{
	struct blockdev *below, *dev;

	if (file_device_open(path, 0, 0, 0, &below, NULL) != 0)
		return NULL;
	if (overlay_device_new(below, &dev) == 0)
		return dev;
	blockdev_close(below);
	return NULL;
}

#endif
