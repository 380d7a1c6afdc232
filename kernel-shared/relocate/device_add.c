/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* New devices for a filesystem, in one transaction. */
#include <uuid/uuid.h>

#include "kernel-shared/relocate/device_change.h"
#include "kernel-shared/relocate/new_device.h"

struct adding {
	struct device_change change;
	struct new_device *devices;
	size_t nr;
};

static int open_new(struct adding *adding, const char *const *paths, struct diag *d)
{
	const struct device_change *change = &adding->change;
	const struct new_device_options options = {
		.is_forced = change->options.is_forced,
		.is_writable = !change->options.is_dry_run,
		.offset_bytes = change->options.open.offset_bytes,
	};
	int err = 0;

	for (size_t i = 0; i < adding->nr && !err; i++) {
		for (size_t j = 0; j < i && !err; j++)
			if (is_path_of(paths[i], adding->devices[j].dev))
				err = diag_fail(d, -EEXIST, "%s and %s are the same device", paths[j], paths[i]);
		if (!err)
			err = new_device_open(paths[i], change->fs, &options, &adding->devices[i], d);
	}
	return err;
}

static int choose_uuid(const struct adding *adding, u8 *ret_uuid, struct diag *d)
{
	const char *text = adding->change.options.device_uuid;

	uuid_generate(ret_uuid);
	if (!text)
		return 0;
	if (adding->nr != 1)
		return diag_fail(d, -EINVAL, "a UUID can be given to one new device, not to %zu", adding->nr);
	if (uuid_parse(text, ret_uuid) < 0)
		return diag_fail(d, -EINVAL, "\"%s\" is no UUID", text);
	array_for_each (&adding->change.fs->volume->devices->devices, device)
		if (memcmp(device->uuid, ret_uuid, UUID_SIZE) == 0)
			return diag_fail(d, -EEXIST, "device %llu has this UUID already",
					 (unsigned long long)device->devid);
	return 0;
}

/* As txn_add_device() gives them. */
static u64 next_devid(const struct device_change *change)
{
	u64 last = 0;

	array_for_each (&change->plan->devices, row)
		last = MAX(last, row->devid);
	array_for_each (&change->fs->volume->devices->gone, device)
		last = MAX(last, device->devid);
	return last + 1;
}

/* In a dry run it is only written down. */
static int add(struct adding *adding, struct new_device *device, struct diag *d)
{
	struct device_change *change = &adding->change;
	u64 devid = next_devid(change), given;
	u8 uuid[UUID_SIZE];
	int err = choose_uuid(adding, uuid, d);

	if (!err)
		err = device_plan_add_device(change->plan, devid, uuid, device->dev->name, device->total_bytes, d);
	if (err || change->options.is_dry_run)
		return err;
	err = new_device_wipe(device, d);
	return err ? err : txn_add_device(change->fs->txn, take_ptr(device->dev), device->total_bytes, uuid, &given, d);
}

static int add_all(struct adding *adding, const char *const *paths)
{
	struct diag *d = &adding->change.d;
	int err;

	adding->devices = calloc(adding->nr, sizeof(*adding->devices));
	if (!adding->devices)
		return diag_no_memory(d, "new devices");
	/* All are judged before anything is written to one. */
	err = open_new(adding, paths, d);
	for (size_t i = 0; i < adding->nr && !err; i++)
		err = add(adding, &adding->devices[i], d);
	if (!err)
		err = device_change_commit(&adding->change);
	if (!err)
		device_plan_set_after(adding->change.plan, adding->change.fs->volume->chunks);
	return err;
}

int btrkit_device_add(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
		      const char *const *new_paths, size_t nr_new, struct btrkit_device_plan **ret_plan,
		      struct btrkit_error *error)
{
	struct adding adding = { .nr = nr_new };
	int err = device_change_begin(&adding.change, "add", paths, nr_paths, options);

	if (!err && nr_new == 0)
		err = diag_fail(&adding.change.d, -EINVAL, "no device to add was named");
	if (!err)
		err = add_all(&adding, new_paths);
	for (size_t i = 0; adding.devices && i < nr_new; i++)
		new_device_done(&adding.devices[i]);
	free(adding.devices);
	return device_change_end(&adding.change, err, ret_plan, error);
}
