/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that leave a filesystem: what is on them goes elsewhere, then they go, then their superblocks. */
#include <ctype.h>

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/relocate/evacuate.h"
#include "kernel-shared/relocate/new_device.h"

typedef unsigned long long ull;

/* Removed before, but with superblocks. */
struct left_over {
	struct blockdev *dev;
	bool is_owned; /* else it is one of the filesystem's set->gone */
};

struct removing {
	struct device_change change;
	ARRAY(u64) devids;
	ARRAY(struct left_over) left_overs;
};

/* --- Which ---------------------------------------- */

/* A number is a devid; "./1" is a file of that name. */
static bool is_number(const char *text)
{
	for (const char *at = text; *at; at++)
		if (!isdigit((unsigned char)*at))
			return false;
	return *text;
}

int device_find_by_text(const struct btrkit_fs *fs, const char *text, u64 *ret_devid, struct diag *d)
{
	u64 devid = is_number(text) ? strtoull(text, NULL, 10) : 0;

	array_for_each (&fs->volume->devices->devices, device) {
		if (is_number(text) ? device->devid != devid : !device->dev || !is_path_of(text, device->dev))
			continue;
		*ret_devid = device->devid;
		return 0;
	}
	if (is_number(text))
		return diag_fail(d, -ENOENT, "there is no device %s in the filesystem", text);
	return diag_fail(d, -ENOENT, "%s: is no device of the filesystem", text);
}

/* It has a superblock of one of the devices that there are: it is a copy of that one, perhaps somebody's backup. */
static int refuse_copy(const struct btrkit_fs *fs, const char *path, const struct disk_super *super, struct diag *d)
{
	array_for_each (&fs->volume->devices->devices, device)
		if (memcmp(device->uuid, super->dev_item.uuid, UUID_SIZE) == 0)
			return diag_fail(d, -EEXIST,
					 "%s: is a copy of device %llu, which is a device of the filesystem: it is left as it is", path,
					 (ull)device->devid);
	return 0;
}

/*
 * A power cut between the commit that removes a device and the wiping of its superblocks leaves one that nobody needs. 0: @path is
 * that; -ENOENT: it is not.
 */
static int take_left_over(struct removing *removing, const char *path, struct diag *d)
{
	struct device_change *change = &removing->change;
	unsigned flags = FILE_DEVICE_EXCLUSIVE | (change->options.is_dry_run ? 0 : FILE_DEVICE_WRITE);
	_cleanup_(blockdev_closep) struct blockdev *dev = NULL;
	struct super_choice choice;

	if (is_number(path) || file_device_check_not_mounted(path, NULL) ||
	    file_device_open(path, flags, change->options.open.offset_bytes, 0, &dev, NULL) || super_read(dev, -1, &choice, NULL))
		return -ENOENT;
	if (memcmp(choice.super.fsid, change->fs->super.fsid, UUID_SIZE) != 0)
		return -ENOENT;
	diag_clear(d);
	if (refuse_copy(change->fs, path, &choice.super, d))
		return d->err;
	if (array_push(&removing->left_overs, (struct left_over){ dev, true }) < 0)
		return diag_no_memory(d, "devices");
	diag_note(d, DIAG_NOTE, "%s: was removed before, only its superblocks are left", path);
	dev = NULL;
	return 0;
}

/* The same, where opening the filesystem has found it. */
static int take_gone(struct removing *removing, const char *text)
{
	array_for_each (&removing->change.fs->volume->devices->gone, device) {
		if (is_number(text) ? strtoull(text, NULL, 10) != device->devid : !is_path_of(text, device->dev))
			continue;
		diag_clear(&removing->change.d);
		return array_push(&removing->left_overs, (struct left_over){ .dev = device->dev }) < 0
			       ? diag_no_memory(&removing->change.d, "devices")
			       : 0;
	}
	return take_left_over(removing, text, &removing->change.d);
}

static int choose_one(struct removing *removing, const char *text)
{
	struct btrkit_fs *fs = removing->change.fs;
	struct diag *d = &removing->change.d;
	u64 devid = 0;
	int err = device_find_by_text(fs, text, &devid, d);

	if (err == -ENOENT) {
		int why = take_gone(removing, text);

		return why == -ENOENT ? err : why;
	}
	if (err)
		return err;
	array_for_each (&removing->devids, other)
		if (*other == devid)
			return diag_fail(d, -EINVAL, "%s: device %llu is named twice", text, (ull)devid);
	return array_push(&removing->devids, devid) < 0 ? diag_no_memory(d, "devices") : 0;
}

static int choose(struct removing *removing, const char *const *which, size_t nr)
{
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++)
		err = choose_one(removing, which[i]);
	return err;
}

/* --- Whether ---------------------------------------- */

/* Devices that can be written, but those that go. */
static u64 nr_left(const struct removing *removing)
{
	const struct btrkit_fs *fs = removing->change.fs;
	u64 nr = 0;

	array_for_each (&fs->volume->devices->devices, device) {
		bool goes = false;

		array_for_each (&removing->devids, devid)
			goes |= *devid == device->devid;
		nr += !goes && device->dev && txn_has_device(fs->txn, device->devid) && !device_fsid_is_seed(&fs->super, device->fsid);
	}
	return nr;
}

static int refuse_for_room(struct removing *removing, struct space_model *before)
{
	struct diag *d = &removing->change.d;
	u64 taken = 0, room = 0;

	array_for_each (&removing->devids, devid) {
		taken += space_model_allocated(before, *devid);
		space_model_device(before, *devid)->end_bytes = 0;
	}
	diag_clear(d);
	if (space_model_room(before, &room, d) < 0)
		return d->err;
	return diag_fail(d, -ENOSPC,
			 "chunks take %llu bytes of what is to be removed, for which the %llu devices that are left have no room: "
			 "%llu bytes of them are not allocated",
			 (ull)taken, (ull)nr_left(removing), (ull)room);
}

static int plan(struct removing *removing)
{
	struct device_change *change = &removing->change;
	struct space_model model = { 0 }, before = { 0 };
	int err = space_model_init(&model, change->fs, &change->d);

	if (!err)
		err = space_model_copy(&model, &before, &change->d);
	/* None of them takes what the others give up. */
	for (size_t i = 0; i < removing->devids.len && !err; i++)
		space_model_device(&model, removing->devids.items[i])->end_bytes = 0;
	for (size_t i = 0; i < removing->devids.len && !err; i++) {
		struct btrkit_device_change *row = device_plan_find(change->plan, removing->devids.items[i]);

		err = evacuate_plan(&model, removing->devids.items[i], 0, change->plan, &change->d);
		row->is_removed = true;
		row->total_bytes_after = 0;
	}
	if (err == -ENOSPC)
		err = refuse_for_room(removing, &before);
	if (!err)
		device_plan_set_after(change->plan, model.chunks);
	space_model_done(&before);
	space_model_done(&model);
	return err;
}

/* --- Doing it ---------------------------------------- */

/* A device that has left must not be taken for one that is there. A seed's are its own. */
static int wipe(struct removing *removing)
{
	struct device_change *change = &removing->change;
	int err = 0;

	array_for_each (&removing->devids, devid) {
		const struct device *device = device_set_find(change->fs->volume->devices, *devid, NULL);

		if (!err && device && device->dev && !device_fsid_is_seed(&change->fs->super, device->fsid))
			err = device_wipe_supers(device->dev, &change->d);
	}
	array_for_each (&removing->left_overs, left_over)
		err = err ? err : device_wipe_supers(left_over->dev, &change->d);
	return err ? diag_context(&change->d, err, "it is removed, but what is left of its superblocks has to be wiped") : 0;
}

static int execute(struct removing *removing)
{
	struct device_change *change = &removing->change;
	int err = 0;

	progress_begin(change->relocate.progress, "move", change->plan->info.move_bytes, change->plan->steps.len);
	array_for_each (&removing->devids, devid)
		err = err ? err : txn_limit_device(change->fs->txn, *devid, 0, &change->d);
	array_for_each (&removing->devids, devid)
		err = err ? err : evacuate(change, *devid, 0);
	array_for_each (&removing->devids, devid)
		err = err ? err : txn_remove_device(change->fs->txn, *devid, &change->d);
	if (!err && removing->devids.len)
		err = device_change_commit(change);
	if (!err)
		device_plan_set_after(change->plan, change->fs->volume->chunks);
	return err ? err : wipe(removing);
}

static int remove_devices(struct removing *removing, const char *const *which, size_t nr)
{
	struct device_change *change = &removing->change;
	int err = choose(removing, which, nr);

	if (!err && nr_left(removing) == 0)
		err = diag_fail(&change->d, -EINVAL, "no device would be left");
	if (!err)
		err = judge_profiles(change->fs, nr_left(removing), &change->d);
	if (!err)
		err = plan(removing);
	return err || change->options.is_dry_run ? err : execute(removing);
}

int btrkit_device_remove(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			 const char *const *which, size_t nr_which, struct btrkit_device_plan **ret_plan,
			 struct btrkit_error *error)
{
	struct removing removing = { 0 };
	int err = device_change_begin(&removing.change, "remove", paths, nr_paths, options);

	if (!err && nr_which == 0)
		err = diag_fail(&removing.change.d, -EINVAL, "no device to remove was named");
	if (!err)
		err = remove_devices(&removing, which, nr_which);
	array_for_each (&removing.left_overs, left_over)
		if (left_over->is_owned)
			blockdev_close(left_over->dev);
	array_done(&removing.left_overs);
	array_done(&removing.devids);
	return device_change_end(&removing.change, err, ret_plan, error);
}
