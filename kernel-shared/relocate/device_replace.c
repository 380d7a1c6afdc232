/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* btrkit_device_replace(): which devices, which new ones, and what becomes of those that have gone. */
#include <stdlib.h>
#include <sys/stat.h>

#include <btrkit/missing.h>

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/relocate/device_change.h"
#include "kernel-shared/relocate/new_device.h"
#include "kernel-shared/relocate/swap_device.h"

typedef unsigned long long ull;

struct replacing {
	struct device_change change;
	struct btrkit_replace_options options;
	struct new_device *devices;
	struct device_swap *swaps;
};

void btrkit_replace_options_init_size(struct btrkit_replace_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

/* --- Which ones ---------------------------------------- */

static bool is_devid(const char *source)
{
	return strcmp(source, "missing") == 0 || (*source && source[strspn(source, "0123456789")] == '\0');
}

static bool is_chosen(const struct replacing *r, size_t nr, u64 devid)
{
	for (size_t i = 0; i < nr; i++)
		if (r->swaps[i].devid == devid)
			return true;
	return false;
}

/* There must be as many as are to be replaced, or it is not clear which of them. */
static int choose_missing(const struct replacing *r, size_t index, u64 *ret_devid, struct diag *d)
{
	const struct device_set *devices = r->change.fs->volume->devices;
	size_t nr_missing = device_set_nr_missing(devices), nr_asked = 0;

	for (size_t i = 0; i < r->options.nr_replacements; i++)
		nr_asked += strcmp(r->options.replacements[i].source, "missing") == 0;
	if (nr_missing == 0)
		return diag_fail(d, -ENODEV, "no device is missing");
	if (nr_asked != nr_missing)
		return diag_fail(d, -ENODEV,
				 "%zu devices are missing: name the one that is to be replaced by its devid",
				 nr_missing);
	array_for_each (&devices->devices, device)
		if (!device->dev && !is_chosen(r, index, device->devid)) {
			*ret_devid = device->devid;
			return 0;
		}
	return diag_fail(d, -ENODEV, "no further device is missing");
}

static int choose(const struct replacing *r, size_t index, u64 *ret_devid, struct diag *d)
{
	const struct device_set *devices = r->change.fs->volume->devices;
	const char *source = r->options.replacements[index].source;

	if (strcmp(source, "missing") == 0)
		return choose_missing(r, index, ret_devid, d);
	*ret_devid = strtoull(source, NULL, 10);
	if (is_devid(source))
		return device_set_find(devices, *ret_devid, NULL)
			       ? 0
			       : diag_fail(d, -ENODEV, "there is no device %s", source);
	array_for_each (&devices->devices, device)
		if (device->dev && is_path_of(source, device->dev)) {
			*ret_devid = device->devid;
			return 0;
		}
	return diag_fail(d, -ENODEV,
			 "%s: is not a device of this filesystem; one that is missing is named by its devid", source);
}

static int open_new(struct replacing *r, size_t index, struct diag *d)
{
	const struct btrkit_device_options *options = &r->change.options;
	const char *path = r->options.replacements[index].path;
	const struct new_device_options for_new = {
		.is_forced = options->is_forced,
		.is_writable = !options->is_dry_run,
		.offset_bytes = options->open.offset_bytes,
	};
	int err;

	for (size_t j = 0; j < index; j++)
		if (is_path_of(path, r->devices[j].dev))
			return diag_fail(d, -EEXIST, "%s and %s are the same device", r->options.replacements[j].path,
					 path);
	err = new_device_open(path, r->change.fs, &for_new, &r->devices[index], d);
	if (!err)
		r->swaps[index].dev = r->devices[index].dev;
	return err;
}

static int prepare(struct replacing *r, struct diag *d)
{
	size_t nr = r->options.nr_replacements;
	int err = 0;

	if (nr == 0)
		return diag_fail(d, -EINVAL, "no device to be replaced was named");
	r->devices = calloc(nr, sizeof(*r->devices));
	r->swaps = calloc(nr, sizeof(*r->swaps));
	if (!r->devices || !r->swaps)
		return diag_no_memory(d, "new devices");
	for (size_t i = 0; i < nr && !err; i++) {
		err = choose(r, i, &r->swaps[i].devid, d);
		if (!err)
			err = open_new(r, i, d);
	}
	return err;
}

/* --- The plan ---------------------------------------- */

static int plan(struct replacing *r, const struct swap_rules *rules, struct diag *d)
{
	struct btrkit_device_plan *plan = r->change.plan;
	int err = swap_devices_judge(&r->change.relocate, r->swaps, r->options.nr_replacements, rules, d);

	for (size_t i = 0; i < r->options.nr_replacements && !err; i++) {
		u64 bytes = 0;

		err = rebuild_estimate(&r->change.relocate, r->swaps[i].devid, &bytes, d);
		if (!err)
			err = device_plan_set_path(plan, r->swaps[i].devid, r->options.replacements[i].path, d);
		plan->info.move_bytes += bytes;
		plan->info.write_bytes += bytes;
	}
	return err;
}

/* --- Doing it ---------------------------------------- */

static int wipe_new(struct replacing *r, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < r->options.nr_replacements && !err; i++)
		err = new_device_wipe(&r->devices[i], d);
	return err;
}

/* It is done; an old device that cannot be written to is no failure, but somebody has to know. */
static void put_away(struct blockdev *old, struct diag *d)
{
	struct diag why = { 0 };

	if (old && device_wipe_supers(old, &why) < 0)
		diag_note(d, DIAG_WARNING,
			  "%s: was replaced, but its superblocks are still there (%s): keep it away from the others",
			  old->name, why.text);
	blockdev_close(old);
}

static int run(struct replacing *r, const struct swap_rules *rules, struct diag *d)
{
	struct btrkit_device_plan_info *info = &r->change.plan->info;
	size_t nr = r->options.nr_replacements;
	int err = wipe_new(r, d);

	if (err)
		return err;
	for (size_t i = 0; i < nr; i++)
		r->devices[i].dev = NULL; /* of swap_devices() from here on */
	err = swap_devices(&r->change.relocate, r->swaps, nr, rules, d);
	for (size_t i = 0; i < nr; i++) {
		const struct rebuild_result *result = &r->swaps[i].result;

		info->mended_bytes += result->mended_bytes;
		info->lost_bytes += result->damaged_bytes + result->lost_bytes;
		put_away(r->swaps[i].old, d);
	}
	return err;
}

/* --- What an interruption behind the commit has left ---------------------------------------- */

static bool read_super(const char *path, u64 offset, struct disk_super *ret_super)
{
	struct super_choice choice;
	struct blockdev *dev;
	bool is_read;

	if (file_device_open(path, 0, offset, 0, &dev, NULL) < 0)
		return false;
	is_read = super_read(dev, -1, &choice, NULL) == 0;
	blockdev_close(dev);
	if (is_read)
		*ret_super = choice.super;
	return is_read;
}

/*
 * Has the new one become the device already, and the old one been left as it was, a commit before? What is older may as well be
 * somebody's backup.
 */
static bool was_replaced(const struct btrkit_replacement *replacement, u64 offset)
{
	struct disk_super old, new;

	return read_super(replacement->source, offset, &old) && read_super(replacement->path, offset, &new) &&
	       memcmp(old.fsid, new.fsid, UUID_SIZE) == 0 &&
	       memcmp(old.dev_item.uuid, new.dev_item.uuid, UUID_SIZE) == 0 &&
	       le64_get(old.dev_item.devid) == le64_get(new.dev_item.devid) &&
	       le64_get(old.generation) + 1 == le64_get(new.generation);
}

static int finish_one(const struct btrkit_replacement *replacement, u64 offset, struct diag *d)
{
	struct blockdev *dev;
	int err = file_device_check_not_mounted(replacement->source, d);

	if (!err)
		err = file_device_open(replacement->source, FILE_DEVICE_WRITE | FILE_DEVICE_EXCLUSIVE, offset, 0, &dev,
				       d);
	if (err)
		return err;
	err = device_wipe_supers(dev, d);
	blockdev_close(dev);
	return err;
}

static bool is_finish_only(const struct replacing *r, u64 offset)
{
	for (size_t i = 0; i < r->options.nr_replacements; i++)
		if (!was_replaced(&r->options.replacements[i], offset))
			return false;
	return r->options.nr_replacements > 0;
}

static int finish(struct replacing *r, const struct btrkit_device_options *options, struct btrkit_error *error)
{
	const struct fs_note note = { options->open.note, options->open.note_arg };
	struct diag d;
	int err = 0;

	fs_diag_init(&note, &d);
	for (size_t i = 0; i < r->options.nr_replacements && !err; i++) {
		const struct btrkit_replacement *replacement = &r->options.replacements[i];

		diag_note(&d, DIAG_NOTE, "%s has taken the place of %s already, of which only superblocks are left",
			  replacement->path, replacement->source);
		if (!options->is_dry_run)
			err = finish_one(replacement, options->open.offset_bytes, &d);
	}
	return fs_error(error, &d, err);
}

/* --- The whole ---------------------------------------- */

struct path_array {
	ARRAY(const char *) list;
};

static bool is_same_path(const char *a, const char *b)
{
	struct stat x, y;

	if (strcmp(a, b) == 0)
		return true;
	if (stat(a, &x) < 0 || stat(b, &y) < 0)
		return false;
	return S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode) ? x.st_rdev == y.st_rdev
							: x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The old devices that are named by path are devices to be opened. */
static int list_paths(const struct replacing *r, const char *const *paths, size_t nr_paths, struct path_array *ret,
		      struct diag *d)
{
	for (size_t i = 0; i < nr_paths; i++)
		if (array_push(&ret->list, paths[i]) < 0)
			return diag_no_memory(d, "paths");
	for (size_t i = 0; i < r->options.nr_replacements; i++) {
		const char *source = r->options.replacements[i].source;
		bool is_there = is_devid(source);

		for (size_t j = 0; j < ret->list.len && !is_there; j++)
			is_there = is_same_path(source, ret->list.items[j]);
		if (!is_there && array_push(&ret->list, source) < 0)
			return diag_no_memory(d, "paths");
	}
	return 0;
}

static int replace_devices(struct replacing *r, const char *const *paths, size_t nr_paths,
			   const struct btrkit_device_options *options)
{
	const struct swap_rules rules = { r->options.prefers_other_copies, r->options.accepts_loss };
	struct path_array all = { 0 };
	struct diag *d = &r->change.d;
	int err = list_paths(r, paths, nr_paths, &all, d);

	if (!err)
		err = device_change_begin(&r->change, "replace", all.list.items, all.list.len, options);
	array_done(&all.list);
	if (!err)
		err = prepare(r, d);
	if (!err)
		err = plan(r, &rules, d);
	if (!err && !r->change.options.is_dry_run)
		err = run(r, &rules, d);
	return err;
}

int btrkit_device_replace(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			  const struct btrkit_replace_options *replace, struct btrkit_device_plan **ret_plan,
			  struct btrkit_error *error)
{
	struct btrkit_device_options degraded;
	struct replacing r = { 0 };
	int err;

	if (ret_plan)
		*ret_plan = NULL;
	device_options_take(options, &degraded);
	degraded.open.may_be_degraded = true;
	btrkit_replace_options_init(&r.options);
	memcpy(&r.options, replace, MIN(replace->struct_size, sizeof(r.options)));
	if (is_finish_only(&r, degraded.open.offset_bytes))
		return finish(&r, &degraded, error);
	err = replace_devices(&r, paths, nr_paths, &degraded);
	for (size_t i = 0; r.devices && i < r.options.nr_replacements; i++)
		new_device_done(&r.devices[i]);
	free(r.devices);
	free(r.swaps);
	return device_change_end(&r.change, err, ret_plan, error);
}
