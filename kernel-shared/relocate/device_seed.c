/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mark of a seed, set and taken away by path. */
#include <uuid/uuid.h>

#include <btrkit/device.h>

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/relocate/seed_mark.h"

struct marking {
	struct btrkit_device_options options;
	struct fs_note note;
	struct diag d;
	struct btrkit_fs *fs; /* owned */
};

static int refuse_mounted(const struct device_set *set, struct diag *d)
{
	int err = 0;

	array_for_each(&set->devices, device)
		if (!err && device->dev)
			err = file_device_check_not_mounted(device->dev->name, d);
	return err;
}

/* In a dry run everything is done in memory. */
static int overlay(struct device_set *set, struct diag *d)
{
	array_for_each(&set->devices, device)
		if (device->dev && overlay_device_new(device->dev, &device->dev) < 0)
			return diag_no_memory(d, "changes of devices");
	return 0;
}

/* Its own devices are open for writing; of the seeds that it grew from itself, if there are any, nobody writes to one. */
static int open_devices(const struct marking *marking, const char *const *paths, size_t nr_paths, struct device_set **ret_set,
			struct diag *d)
{
	const struct btrkit_open_options *open = &marking->options.open;
	struct device_set_options options = {
		.super_mirror = -1,
		.base_offset = open->offset_bytes,
		.do_scan_block_devices = !open->no_device_scan,
		.scan_dir = open->scan_dir,
	};
	struct diag quiet = { 0 };
	u8 fsid[UUID_SIZE];
	int err = device_set_open(paths, nr_paths, &options, ret_set, &quiet);

	if (err)
		return diag_copy(d, &quiet);
	memcpy(fsid, (*ret_set)->super.fsid, UUID_SIZE);
	device_set_free(*ret_set);
	options.is_exclusive = true;
	options.is_writable = !marking->options.is_dry_run;
	options.writable_seed = fsid;
	return device_set_open(paths, nr_paths, &options, ret_set, d);
}

static int open_filesystem(struct marking *marking, const char *const *paths, size_t nr_paths)
{
	const struct fs_options options = { .refuse_missing = true, .knows_log = true, .note = marking->note };
	struct device_set *set;
	struct diag *d = &marking->d;
	int err = nr_paths ? 0 : diag_fail(d, -EINVAL, "no device was named");

	for (size_t i = 0; i < nr_paths && !err; i++)
		err = file_device_check_not_mounted(paths[i], d);
	if (!err)
		err = open_devices(marking, paths, nr_paths, &set, d);
	if (err)
		return err;
	err = refuse_mounted(set, d);
	if (!err && marking->options.is_dry_run)
		err = overlay(set, d);
	if (err) {
		device_set_free(set);
		return err;
	}
	return fs_open_devices(set, &options, &marking->fs, d);
}

static int mark(struct marking *marking, bool is_marked, struct btrkit_device_seed_result *result)
{
	int err = seed_mark_judge(marking->fs, is_marked, &marking->d);

	uuid_unparse_lower(marking->fs->super.fsid, result->fsid);
	array_for_each(&marking->fs->volume->devices->devices, device)
		result->nr_devices += !device_fsid_is_seed(&marking->fs->super, device->fsid);
	result->was_so_already = err == 1;
	if (err)
		return err < 0 ? err : 0;
	if (!is_marked && !marking->options.is_forced)
		return diag_fail(&marking->d, -EPERM,
				 "filesystems that grew from this seed cannot be mounted while it is not marked, and are lost when it is "
				 "changed then; force it if that is wanted");
	return marking->options.is_dry_run ? 0 : seed_mark_write(marking->fs, is_marked, &marking->d);
}

static int run(const char *const *paths, size_t nr_paths, bool is_marked, const struct btrkit_device_options *options,
	       struct btrkit_device_seed_result *ret_result, struct btrkit_error *error)
{
	struct btrkit_device_seed_result result = { 0 };
	struct marking marking = { 0 };
	int err;

	btrkit_device_options_init(&marking.options);
	if (options)
		memcpy(&marking.options, options, MIN(options->struct_size, sizeof(marking.options)));
	marking.note = (struct fs_note){ marking.options.open.note, marking.options.open.note_arg };
	fs_diag_init(&marking.note, &marking.d);
	err = open_filesystem(&marking, paths, nr_paths);
	if (!err)
		err = mark(&marking, is_marked, &result);
	btrkit_fs_close(marking.fs);
	if (ret_result)
		*ret_result = result;
	return fs_error(error, &marking.d, err);
}

int btrkit_device_seed_set(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			   struct btrkit_device_seed_result *ret_result, struct btrkit_error *error)
{
	return run(paths, nr_paths, true, options, ret_result, error);
}

int btrkit_device_seed_clear(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			     struct btrkit_device_seed_result *ret_result, struct btrkit_error *error)
{
	return run(paths, nr_paths, false, options, ret_result, error);
}
