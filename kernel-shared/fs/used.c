/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public face of the used ranges. */
#include <btrkit/extents.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/space/used_ranges.h"

typedef unsigned long long ull;

#define KIND_SUPER (1ULL << 63) /* beside the block group types in device_range.kinds */

static unsigned kinds_of(u64 flags)
{
	return (flags & BLOCK_GROUP_DATA ? BTRKIT_USED_DATA : 0) |
	       (flags & BLOCK_GROUP_METADATA ? BTRKIT_USED_METADATA : 0) |
	       (flags & BLOCK_GROUP_SYSTEM ? BTRKIT_USED_SYSTEM : 0) | (flags & KIND_SUPER ? BTRKIT_USED_SUPER : 0);
}

static int collect_log(void *ctx, const struct tree *tree, u64 offset, struct diag *d)
{
	(void)offset;
	return more_ranges_of_log(tree, ctx, d);
}

/* What the extent tree knows of, and what an unreplayed log holds, of which it does not know. */
static int walk_used(struct btrkit_fs *fs, used_range_fn fn, void *ctx, struct diag *d)
{
	struct more_ranges more = { 0 };
	struct tree tree;
	int result = fs_check_is_btrfs(fs, d);

	if (!result)
		result = fs_tree(fs, EXTENT_TREE_OBJECTID, &tree, d);
	if (!result)
		result = fs_for_each_log(fs, collect_log, &more, d);
	if (!result)
		result = used_ranges_walk(&tree, fs->volume->chunks, &more, fn, ctx, d);
	array_done(&more.list);
	return result;
}

struct logical_user {
	btrkit_logical_fn fn;
	void *arg;
};

static int hand_logical(void *ctx, const struct used_range *range, struct diag *d)
{
	const struct logical_user *user = ctx;
	const struct btrkit_logical_range shown = {
		.logical = range->logical,
		.len = range->len,
		.kinds = kinds_of(range->chunk->type),
		.chunk = range->chunk->logical,
		.profile = range->chunk->profile->shown,
	};

	(void)d;
	return user->fn(user->arg, &shown);
}

int btrkit_used_logical(struct btrkit_fs *fs, btrkit_logical_fn fn, void *arg, struct btrkit_error *error)
{
	struct logical_user user = { fn, arg };
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = walk_used(fs, hand_logical, &user, &d);
	/* What the user's function returned is the user's to explain. */
	return err < 0 && d.err ? fs_error(error, &d, err) : err;
}

struct physical_user {
	u64 devid;
	struct device_ranges ranges;
};

static int collect_physical(void *ctx, const struct used_range *range, struct diag *d)
{
	struct physical_user *user = ctx;

	if (used_range_on_device(range, user->devid, &user->ranges) < 0)
		return diag_no_memory(d, "the list of used ranges");
	/* Ranges come by chunk, so most touch the one before: keep the list short. */
	if (user->ranges.list.len >= 65536 && is_power_of_two(user->ranges.list.len))
		device_ranges_merge(&user->ranges);
	return 0;
}

static int collect_supers(const struct device *device, struct device_ranges *ranges, struct diag *d)
{
	unsigned count = super_mirror_count(device->dev ? device->dev->size_bytes : device->total_bytes);

	for (unsigned mirror = 0; mirror < count; mirror++) {
		struct device_range range = { super_mirror_physical(mirror), SUPER_INFO_SIZE, KIND_SUPER };

		if (array_push(&ranges->list, range) < 0)
			return diag_no_memory(d, "the list of used ranges");
	}
	return 0;
}

static int collect_device(struct btrkit_fs *fs, struct physical_user *user, struct diag *d)
{
	const struct device *device;
	int err = fs_check_is_btrfs(fs, d);

	if (err)
		return err;
	device = device_set_find(fs->volume->devices, user->devid, NULL);
	if (!device)
		return diag_fail(d, -ENOENT, "there is no device %llu", (ull)user->devid);
	err = walk_used(fs, collect_physical, user, d);
	if (!err)
		err = collect_supers(device, &user->ranges, d);
	if (!err)
		device_ranges_merge(&user->ranges);
	return err;
}

int btrkit_used_physical(struct btrkit_fs *fs, uint64_t devid, btrkit_physical_fn fn, void *arg,
			 struct btrkit_error *error)
{
	struct physical_user user = { .devid = devid };
	struct diag d;
	int result;

	fs_diag_init(&fs->note, &d);
	result = fs_error(error, &d, collect_device(fs, &user, &d));
	for (size_t i = 0; i < user.ranges.list.len && !result; i++) {
		const struct device_range *range = &user.ranges.list.items[i];
		const struct btrkit_physical_range shown = { devid, range->physical, range->len, kinds_of(range->kinds) };

		result = fn(arg, &shown);
	}
	array_done(&user.ranges.list);
	return result;
}
