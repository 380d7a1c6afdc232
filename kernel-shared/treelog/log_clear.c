/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Throwing a log away: superblocks that do not lead to it. Needs no tree, so that it works where nothing else does. */
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/format/features.h"
#include "kernel-shared/fs/fs.h"

#include <btrkit/log.h>

typedef unsigned long long ull;

struct targets {
	ARRAY(struct super_target) list;
};

static int judge_super(const struct disk_super *super, struct diag *d)
{
	bool is_read_only;
	int err = features_judge(le64_get(super->incompat_flags), le64_get(super->compat_ro_flags), &is_read_only, d);

	if (err)
		return err;
	if (is_read_only)
		return diag_fail(d, -EROFS, "the filesystem has features that are not known here: it must not be changed");
	if (le64_get(super->log_root) == 0)
		return diag_fail(d, -ENOENT, "there is no log");
	return 0;
}

/* All devices but those of a seed, which is never written. */
static int add_target(struct targets *targets, const struct device_set *set, const struct device *device, struct diag *d)
{
	struct super_target target = { .dev = device->dev, .device_bytes = device->total_bytes };
	struct super_choice choice;
	int err;

	if (device_fsid_is_seed(&set->super, device->fsid))
		return 0;
	if (!device->dev)
		return diag_fail(d, -ENODEV, "device %llu is missing: it would keep the log", (ull)device->devid);
	err = super_read(device->dev, -1, &choice, d);
	if (err)
		return err;
	target.dev_item = choice.super.dev_item;
	return array_push(&targets->list, target) < 0 ? diag_no_memory(d, "the superblocks") : 0;
}

static int clear(const struct device_set *set, struct diag *d)
{
	struct disk_super super = set->super;
	struct targets targets = { 0 };
	int err = judge_super(&super, d);
	size_t nr_here = 0;

	array_for_each(&set->devices, device)
		nr_here += device->devid != DEV_REPLACE_DEVID;
	if (!err && nr_here < le64_get(super.num_devices))
		err = diag_fail(d, -ENODEV, "%zu of %llu devices are here: the others would keep the log", nr_here,
				(ull)le64_get(super.num_devices));
	for (size_t i = 0; i < set->devices.len && !err; i++)
		err = add_target(&targets, set, &set->devices.items[i], d);
	le64_put(&super.log_root, 0);
	super.log_root_level = 0;
	if (!err)
		err = super_write_all(&super, targets.list.items, targets.list.len, d);
	array_done(&targets.list);
	return err;
}

static int open_and_clear(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options, struct diag *d)
{
	const struct device_set_options for_devices = {
		.is_writable = true,
		.is_exclusive = true,
		.super_mirror = options->super_mirror,
		.base_offset = options->offset_bytes,
		.do_scan_block_devices = !options->no_device_scan,
		.scan_dir = options->scan_dir,
	};
	_cleanup_(device_set_freep) struct device_set *set = NULL;
	int err = nr_paths ? 0 : diag_fail(d, -EINVAL, "no device was named");

	for (size_t i = 0; i < nr_paths && !err; i++)
		err = file_device_check_not_mounted(paths[i], d);
	if (!err)
		err = device_set_open(paths, nr_paths, &for_devices, &set, d);
	for (size_t i = 0; !err && i < set->devices.len; i++)
		if (set->devices.items[i].dev)
			err = file_device_check_not_mounted(set->devices.items[i].dev->name, d);
	return err ? err : clear(set, d);
}

int btrkit_log_clear(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
		     struct btrkit_error *error)
{
	struct btrkit_open_options taken;
	struct fs_note note;
	struct diag d;

	btrkit_open_options_init(&taken);
	if (options)
		memcpy(&taken, options, MIN(options->struct_size, sizeof(taken)));
	note = (struct fs_note){ taken.note, taken.note_arg };
	fs_diag_init(&note, &d);
	return fs_error(error, &d, open_and_clear(paths, nr_paths, &taken, &d));
}
