/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new filesystem from a seed, by path: the seed is opened for reading, the new device is judged, wiped and given to it. */
#include <uuid/uuid.h>

#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/relocate/device_plan.h"
#include "kernel-shared/relocate/new_device.h"
#include "kernel-shared/relocate/sprout.h"

struct sprouting {
	struct btrkit_device_options options;
	struct fs_note note;
	struct diag d;
	struct btrkit_fs *fs; /* owned: the seed, then what grew from it */
	struct new_device device;
	u8 fsid[UUID_SIZE], uuid[UUID_SIZE];
	struct chunk_map *before; /* owned */
};

static int take_uuid(const char *text, u8 *ret_uuid, struct diag *d)
{
	uuid_generate(ret_uuid);
	if (text && uuid_parse(text, ret_uuid) < 0)
		return diag_fail(d, -EINVAL, "\"%s\" is no UUID", text);
	return 0;
}

static int take_uuids(struct sprouting *sprouting, const char *fsid)
{
	int err = take_uuid(fsid, sprouting->fsid, &sprouting->d);

	if (!err)
		err = take_uuid(sprouting->options.device_uuid, sprouting->uuid, &sprouting->d);
	array_for_each(&sprouting->fs->volume->devices->devices, device) {
		if (!err && memcmp(device->fsid, sprouting->fsid, UUID_SIZE) == 0)
			err = diag_fail(&sprouting->d, -EEXIST, "a seed has the UUID that was given for the new filesystem");
		if (!err && memcmp(device->uuid, sprouting->uuid, UUID_SIZE) == 0)
			err = diag_fail(&sprouting->d, -EEXIST, "device %llu has the UUID that was given for the new one",
					(unsigned long long)device->devid);
	}
	return err;
}

static int open_seed(struct sprouting *sprouting, const char *const *paths, size_t nr_paths)
{
	struct btrkit_open_options open = sprouting->options.open;
	int err;

	open.is_writable = open.is_exclusive = false;
	err = fs_open_paths(paths, nr_paths, &open, false, &sprouting->fs, &sprouting->d);
	return err ? err : sprout_judge_seed(sprouting->fs, &sprouting->d);
}

/* In a dry run it is written to in memory. */
static int open_new(struct sprouting *sprouting, const char *path)
{
	const struct new_device_options options = {
		.is_forced = sprouting->options.is_forced,
		.is_writable = !sprouting->options.is_dry_run,
		.offset_bytes = sprouting->options.open.offset_bytes,
	};
	struct new_device *device = &sprouting->device;
	int err = new_device_open(path, sprouting->fs, &options, device, &sprouting->d);

	if (!err && sprouting->options.is_dry_run && overlay_device_new(device->dev, &device->dev) < 0)
		err = diag_no_memory(&sprouting->d, "changes of the new device");
	return err;
}

static int copy_chunks(struct sprouting *sprouting)
{
	const struct chunk_map *chunks = sprouting->fs->volume->chunks;

	if (chunk_map_new(&sprouting->before) < 0)
		return diag_no_memory(&sprouting->d, "the plan");
	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		int err = chunk_map_add(sprouting->before, chunk_map_at(chunks, i), &sprouting->d);

		if (err)
			return err;
	}
	return 0;
}

/* What came of it. */
static int make_plan(struct sprouting *sprouting, u64 new_devid, struct btrkit_device_plan **ret_plan)
{
	int err = device_plan_new(sprouting->fs, "sprout", ret_plan, &sprouting->d);

	if (err)
		return err;
	array_for_each(&(*ret_plan)->devices, row) {
		row->is_new = row->devid == new_devid;
		if (row->is_new)
			row->total_bytes_before = 0;
		row->allocated_bytes_before = chunk_map_allocated_on(sprouting->before, row->devid);
		row->allocated_bytes_after = chunk_map_allocated_on(sprouting->fs->volume->chunks, row->devid);
	}
	return 0;
}

static int grow(struct sprouting *sprouting, const char *fsid, struct btrkit_device_plan **ret_plan)
{
	struct sprout_target target = { .fsid = sprouting->fsid, .uuid = sprouting->uuid };
	u64 devid = 0;
	int err = take_uuids(sprouting, fsid);

	if (!err)
		err = copy_chunks(sprouting);
	if (!err)
		err = new_device_wipe(&sprouting->device, &sprouting->d);
	if (err)
		return err;
	target.dev = take_ptr(sprouting->device.dev);
	target.total_bytes = sprouting->device.total_bytes;
	err = sprout_grow(sprouting->fs, &target, &devid, &sprouting->d);
	return err ? err : make_plan(sprouting, devid, ret_plan);
}

int btrkit_device_sprout(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			 const char *new_path, const char *fsid, struct btrkit_device_plan **ret_plan,
			 struct btrkit_error *error)
{
	_cleanup_(btrkit_device_plan_freep) struct btrkit_device_plan *plan = NULL;
	struct sprouting sprouting = { 0 };
	int err;

	btrkit_device_options_init(&sprouting.options);
	if (options)
		memcpy(&sprouting.options, options, MIN(options->struct_size, sizeof(sprouting.options)));
	sprouting.note = (struct fs_note){ sprouting.options.open.note, sprouting.options.open.note_arg };
	fs_diag_init(&sprouting.note, &sprouting.d);
	err = open_seed(&sprouting, paths, nr_paths);
	if (!err)
		err = open_new(&sprouting, new_path);
	if (!err)
		err = grow(&sprouting, fsid, &plan);
	new_device_done(&sprouting.device);
	btrkit_fs_close(sprouting.fs);
	chunk_map_free(sprouting.before);
	if (ret_plan)
		*ret_plan = take_ptr(plan);
	return fs_error(error, &sprouting.d, err);
}
