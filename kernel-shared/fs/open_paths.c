/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public door: opening by path, and what is known of the whole. */
#include <stdio.h>
#include <uuid/uuid.h>

#include <btrkit/fs.h>

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/fs/foreign.h"

void btrkit_open_options_init_size(struct btrkit_open_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
	options->super_mirror = -1;
}

/* The caller's options, who may have been compiled with an older or newer header. */
static void take_options(const struct btrkit_open_options *from, struct btrkit_open_options *ret_options)
{
	btrkit_open_options_init(ret_options);
	if (from)
		memcpy(ret_options, from, MIN(from->struct_size, sizeof(*ret_options)));
}

/* A device of a seed may well be part of what is mounted: nobody writes to it. */
static bool is_seed(const char *path, u64 offset)
{
	struct super_choice choice;
	struct diag ignored = { 0 };
	struct blockdev *dev;
	bool is_it;

	if (file_device_open(path, 0, offset, 0, &dev, &ignored))
		return false;
	is_it = super_read(dev, -1, &choice, &ignored) == 0 && (le64_get(choice.super.flags) & SUPER_FLAG_SEEDING);
	blockdev_close(dev);
	return is_it;
}

static int check_not_mounted(const char *const *paths, size_t nr_paths, u64 offset, struct diag *d)
{
	for (size_t i = 0; i < nr_paths; i++) {
		int err = file_device_check_not_mounted(paths[i], d);

		if (err && !is_seed(paths[i], offset))
			return err;
		diag_clear(d);
	}
	return 0;
}

/* Writes to the devices stay in memory. */
static int overlay_devices(struct device_set *devices, struct diag *d)
{
	array_for_each(&devices->devices, device) {
		struct blockdev *over;

		if (!device->dev)
			continue;
		if (overlay_device_new(device->dev, &over) < 0)
			return diag_no_memory(d, "changes of devices");
		device->dev = over;
	}
	return 0;
}

static int open_paths(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
		      bool may_be_partial, bool do_begin, struct btrkit_fs **ret_fs, struct diag *d)
{
	const struct device_set_options for_devices = {
		.is_writable = options->is_writable && !options->is_overlaid,
		.is_exclusive = options->is_exclusive || options->is_writable,
		.may_leave_out = may_be_partial,
		.super_mirror = options->super_mirror,
		.base_offset = options->offset_bytes,
		.do_scan_block_devices = !options->no_device_scan,
		.scan_dir = options->scan_dir,
	};
	const struct fs_options for_fs = {
		.tree_root = options->tree_root,
		.chunk_root = options->chunk_root,
		.use_backup_roots = options->use_backup_roots,
		.refuse_missing = options->refuse_missing,
		.ignore_data_csums = options->ignore_data_csums,
		.is_writable = options->is_writable && do_begin,
		.may_be_degraded = options->may_be_degraded,
		.cache_bytes = options->cache_bytes,
		.note = { options->note, options->note_arg },
		.knows_log = options->knows_log,
		.may_be_partial = may_be_partial,
	};
	struct device_set *devices;
	int err = 0;

	if (nr_paths == 0)
		return diag_fail(d, -EINVAL, "no device was named");
	if (options->is_writable && (options->tree_root || options->chunk_root || options->use_backup_roots ||
				     options->super_mirror >= 0))
		return diag_fail(d, -EINVAL, "a filesystem can be changed only as its newest superblock has it");
	if (options->is_exclusive || options->is_writable)
		err = check_not_mounted(paths, nr_paths, options->offset_bytes, d);
	if (!err)
		err = device_set_open(paths, nr_paths, &for_devices, &devices, d);
	if (err)
		return err;
	if (options->is_writable && options->is_overlaid)
		err = overlay_devices(devices, d);
	if (err) {
		device_set_free(devices);
		return err;
	}
	return fs_open_devices(devices, &for_fs, ret_fs, d);
}

int fs_open_paths(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
		  bool may_be_partial, struct btrkit_fs **ret_fs, struct diag *d)
{
	return open_paths(paths, nr_paths, options, may_be_partial, true, ret_fs, d);
}

int fs_open_for_log(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
		    struct btrkit_fs **ret_fs, struct diag *d)
{
	struct btrkit_open_options writable;

	take_options(options, &writable);
	writable.is_writable = writable.knows_log = true;
	return open_paths(paths, nr_paths, &writable, false, false, ret_fs, d);
}

int btrkit_fs_open(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
		   struct btrkit_fs **ret_fs, struct btrkit_error *error)
{
	struct btrkit_open_options taken;
	struct fs_note note;
	struct diag d;

	take_options(options, &taken);
	note = (struct fs_note){ taken.note, taken.note_arg };
	fs_diag_init(&note, &d);
	return fs_error(error, &d, fs_open_paths(paths, nr_paths, &taken, false, ret_fs, &d));
}

static void fill_info(const struct btrkit_fs *fs, struct btrkit_fs_info *ret_info)
{
	const struct disk_super *super = &fs->super;

	*ret_info = (struct btrkit_fs_info){
		.generation = le64_get(super->generation),
		.sectorsize = fs->volume->sectorsize,
		.nodesize = fs->volume->nodesize,
		.csum = fs->csum->name,
		.total_bytes = le64_get(super->total_bytes),
		.used_bytes = le64_get(super->bytes_used),
		.compat = le64_get(super->compat_flags),
		.compat_ro = le64_get(super->compat_ro_flags),
		.incompat = le64_get(super->incompat_flags),
		.nr_devices = fs->volume->devices->devices.len,
		.nr_missing = device_set_nr_missing(fs->volume->devices),
		.has_log = le64_get(super->log_root) != 0,
		.is_read_only = fs->is_read_only,
		.default_subvol = fs->default_subvol,
	};

	uuid_unparse_lower(super->fsid, ret_info->fsid);
	snprintf(ret_info->label, sizeof(ret_info->label), "%.*s", LABEL_SIZE, (const char *)super->label);
}

void btrkit_fs_get_info(const struct btrkit_fs *fs, struct btrkit_fs_info *ret_info, size_t struct_size)
{
	struct btrkit_fs_info info = { 0 };

	if (fs->foreign)
		fs->foreign->get_info(fs->foreign_ctx, &info);
	else
		fill_info(fs, &info);
	memcpy(ret_info, &info, MIN(struct_size, sizeof(info)));
}

int btrkit_fs_device_at(const struct btrkit_fs *fs, size_t index, struct btrkit_device_info *ret_info)
{
	const struct device *device;

	if (fs->foreign || index >= fs->volume->devices->devices.len)
		return -ENOENT;
	device = &fs->volume->devices->devices.items[index];
	*ret_info = (struct btrkit_device_info){
		.devid = device->devid,
		.total_bytes = device->total_bytes,
		.used_bytes = device->bytes_used,
		.path = device->dev ? device->dev->name : NULL,
	};
	uuid_unparse_lower(device->uuid, ret_info->uuid);
	return 0;
}
