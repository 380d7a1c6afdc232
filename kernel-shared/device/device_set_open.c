/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Putting a device set together from paths, and finding the devices that nobody named. Which devices a filesystem has is
 * known only from its chunk tree; here the superblocks' number of devices tells whether to look for more. Those of seeds
 * have another fsid: they are looked for one by one when the chunk tree has named them.
 */
#include <blkid/blkid.h>
#include <dirent.h>
#include <stdio.h>
#include <uuid/uuid.h>

#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/format/super_check.h"

typedef unsigned long long ull;

/* A device that was opened, before it is known what it is to the others. */
struct candidate {
	struct blockdev *dev; /* owned; NULL: moved to the set */
	struct super_choice choice;
	bool is_named; /* else found */
};

/* The device of a seed that is looked for. */
struct seed_wish {
	u64 devid, generation;
	const u8 *uuid;
};

struct gathering {
	const struct device_set_options *options;
	const struct seed_wish *seed; /* NULL: it is devices of the filesystem itself that are wanted */
	ARRAY(char *) left_out; /* owned; moved to the set */
	ARRAY(struct candidate) candidates;
	u8 fsid[UUID_SIZE]; /* of the filesystem to be opened */
	u64 num_devices;
};

static void gathering_done(struct gathering *gathering)
{
	array_for_each(&gathering->candidates, candidate)
		blockdev_close(candidate->dev);
	array_done(&gathering->candidates);
	array_for_each(&gathering->left_out, why)
		free(*why);
	array_done(&gathering->left_out);
}

static bool is_seed(const struct candidate *candidate)
{
	return le64_get(candidate->choice.super.flags) & SUPER_FLAG_SEEDING;
}

static u64 devid_of(const struct candidate *candidate)
{
	return le64_get(candidate->choice.super.dev_item.devid);
}

static u64 generation_of(const struct candidate *candidate)
{
	return le64_get(candidate->choice.super.generation);
}

/* --- Opening one device -------------------------------------------------------------------------------------- */

static int open_and_read(const struct gathering *gathering, const char *path, unsigned flags, struct candidate *ret,
			 struct diag *d)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = NULL;
	int err = file_device_open(path, flags, gathering->options->base_offset, 0, &dev, d);

	if (!err)
		err = super_read(dev, gathering->options->super_mirror, &ret->choice, d);
	if (!err)
		ret->dev = take_ptr(dev);
	return err;
}

/* A seed is never written, and others may be using it: it may be on a medium that cannot be written, or mounted. */
static int open_candidate(const struct gathering *gathering, const char *path, struct candidate *ret, struct diag *d)
{
	const struct device_set_options *options = gathering->options;
	unsigned flags = (options->is_writable ? FILE_DEVICE_WRITE : 0) |
			 (options->is_exclusive ? FILE_DEVICE_EXCLUSIVE : 0);
	struct diag why = { 0 };

	if (flags && open_and_read(gathering, path, 0, ret, &why) == 0) {
		const u8 *but = options->writable_seed;

		if (is_seed(ret) && !(but && memcmp(ret->choice.super.fsid, but, UUID_SIZE) == 0))
			return 0;
		blockdev_close(ret->dev);
		ret->dev = NULL;
	}
	return open_and_read(gathering, path, flags, ret, d);
}

static bool is_same_file(const struct blockdev *a, const struct blockdev *b)
{
	return file_is_same_device(file_device_fd(a), file_device_fd(b));
}

static int both_are(const struct candidate *one, const struct candidate *other, struct diag *d)
{
	return diag_fail(d, -EEXIST, "%s and %s both are device %llu: one is a copy of the other, or stale", one->dev->name,
			 other->dev->name, (ull)devid_of(one));
}

/* Could both be devices of one set? Strangers are found later, when it is known whose set it is. */
static bool may_be_together(const struct candidate *one, const struct candidate *other)
{
	return memcmp(one->choice.super.fsid, other->choice.super.fsid, UUID_SIZE) == 0 || is_seed(one) || is_seed(other);
}

static int check_not_twice(const struct gathering *gathering, const struct candidate *candidate, struct diag *d)
{
	array_for_each(&gathering->candidates, other) {
		if (is_same_file(other->dev, candidate->dev))
			return diag_fail(d, -EINVAL, "%s and %s are the same device", other->dev->name,
					 candidate->dev->name);
		if (devid_of(other) == devid_of(candidate) && may_be_together(other, candidate))
			return both_are(other, candidate, d);
	}
	return 0;
}

static int keep(struct gathering *gathering, struct candidate *candidate, struct diag *d)
{
	if (array_push(&gathering->candidates, *candidate) < 0) {
		blockdev_close(candidate->dev);
		return diag_no_memory(d, "the device set");
	}
	return 0;
}

static int open_named(struct gathering *gathering, const char *path, struct diag *d)
{
	struct candidate candidate = { .is_named = true };
	int err = open_candidate(gathering, path, &candidate, d);

	if (err)
		return err;
	err = check_not_twice(gathering, &candidate, d);
	if (err) {
		blockdev_close(candidate.dev);
		return err;
	}
	return keep(gathering, &candidate, d);
}

/* A device whose superblocks are all lost is as good as missing; what the others have may be enough. */
static int leave_out(struct gathering *gathering, struct diag *d)
{
	char *why = strdup(d ? d->text : "");

	if (!why || array_push(&gathering->left_out, why) < 0) {
		free(why);
		return diag_no_memory(d, "the device set");
	}
	diag_note(d, DIAG_WARNING, "%s: it is left out", why);
	diag_clear(d);
	return 0;
}

static int open_all(struct gathering *gathering, const char *const *paths, size_t nr_paths, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < nr_paths && !err; i++) {
		bool is_last_hope = i + 1 == nr_paths && gathering->candidates.len == 0;

		err = open_named(gathering, paths[i], d);
		if ((err == -EUCLEAN || err == -EIO) && gathering->options->may_leave_out && !is_last_hope)
			err = leave_out(gathering, d);
	}
	if (!err && gathering->candidates.len == 0)
		err = diag_fail(d, -EINVAL, "no device was named");
	return err;
}

/* --- One filesystem ------------------------------------------------------------------------------------------ */

/* A device whose fsid was being changed when that was interrupted still shows the same metadata_uuid. */
static bool is_being_renamed(const struct disk_super *a, const struct disk_super *b)
{
	u64 changing = SUPER_FLAG_CHANGING_FSID | SUPER_FLAG_CHANGING_FSID_V2;

	return ((le64_get(a->flags) | le64_get(b->flags)) & changing) &&
	       memcmp(super_metadata_fsid(a), super_metadata_fsid(b), UUID_SIZE) == 0;
}

/*
 * The filesystem is that of the first device that is not a seed. Seeds alone are a filesystem, too: of those that grew from
 * each other the youngest, which has the highest generation.
 */
static const struct candidate *choose_main(const struct gathering *gathering)
{
	const struct candidate *main = &gathering->candidates.items[0];

	array_for_each(&gathering->candidates, candidate) {
		if (!is_seed(candidate))
			return candidate;
		if (generation_of(candidate) > generation_of(main))
			main = candidate;
	}
	return main;
}

static bool belongs(const struct disk_super *main, const struct candidate *candidate)
{
	return memcmp(candidate->choice.super.fsid, main->fsid, UUID_SIZE) == 0 ||
	       is_being_renamed(&candidate->choice.super, main);
}

static int check_strangers(const struct gathering *gathering, const struct candidate *main, struct diag *d)
{
	array_for_each(&gathering->candidates, candidate)
		if (!belongs(&main->choice.super, candidate) && !is_seed(candidate))
			return diag_fail(d, -EINVAL, "%s and %s belong to different filesystems", main->dev->name,
					 candidate->dev->name);
	return 0;
}

/* --- Looking for the rest ------------------------------------------------------------------------------------- */

/* What is older may have been removed since, and not wiped: that one is there does not say that none is missing. */
static u64 nr_missing(const struct gathering *gathering)
{
	u64 nr_here = 0, newest = 0;

	array_for_each(&gathering->candidates, candidate)
		if (memcmp(candidate->choice.super.fsid, gathering->fsid, UUID_SIZE) == 0)
			newest = MAX(newest, generation_of(candidate));
	array_for_each(&gathering->candidates, candidate)
		nr_here += devid_of(candidate) != DEV_REPLACE_DEVID && generation_of(candidate) >= newest;
	return gathering->num_devices - MIN(gathering->num_devices, nr_here);
}

/* Is the file one of the filesystem's devices? One that only has a mirror left has become something else. */
static bool is_wanted(const struct gathering *gathering, const struct candidate *candidate)
{
	if (gathering->options->super_mirror < 0 && !(candidate->choice.valid_mask & 1))
		return false;
	return memcmp(candidate->choice.super.fsid, gathering->fsid, UUID_SIZE) == 0;
}

/*
 * @candidate was found, and its device is there already as @there: a named one stays, else the newer one is the device, and
 * the other a copy of old. -EEXIST: they are as new, and @is_refused; else the first one stays (another path to one disk).
 */
static int settle(struct candidate *there, struct candidate *candidate, bool is_refused, struct diag *d)
{
	bool is_newer = !there->is_named && generation_of(candidate) > generation_of(there);
	int err = 0;

	if (is_refused && !there->is_named && generation_of(candidate) == generation_of(there))
		err = both_are(there, candidate, d);
	blockdev_close(is_newer ? there->dev : candidate->dev);
	if (is_newer)
		*there = *candidate;
	return err;
}

/* Take what is the device of a seed that is looked for; as it was when the filesystem grew from it, if there is such a one. */
static int try_seed(struct gathering *gathering, struct candidate *candidate, struct diag *d)
{
	const struct seed_wish *wish = gathering->seed;
	bool is_it = is_wanted(gathering, candidate) && devid_of(candidate) == wish->devid &&
		     memcmp(candidate->choice.super.dev_item.uuid, wish->uuid, UUID_SIZE) == 0;

	if (is_it && gathering->candidates.len == 0)
		return keep(gathering, candidate, d);
	if (is_it && generation_of(candidate) == wish->generation && is_seed(candidate)) {
		struct candidate *there = &gathering->candidates.items[0];

		if (generation_of(there) != wish->generation || !is_seed(there)) {
			blockdev_close(there->dev);
			*there = *candidate;
			return 0;
		}
	}
	blockdev_close(candidate->dev);
	return 0;
}

/* Take the file at @path if it is one of the devices that nobody named; whatever else it is, it does not matter. */
static int try_path(struct gathering *gathering, const char *path, bool is_copy_refused, struct diag *d)
{
	struct candidate candidate = { 0 };
	struct diag why = { 0 };
	int err;

	err = open_candidate(gathering, path, &candidate, &why);
	if (err)
		return err == -ENOMEM ? diag_copy(d, &why) : 0;
	if (gathering->seed)
		return try_seed(gathering, &candidate, d);
	if (!is_wanted(gathering, &candidate)) {
		blockdev_close(candidate.dev);
		return 0;
	}
	array_for_each(&gathering->candidates, there) {
		if (is_same_file(there->dev, candidate.dev)) {
			blockdev_close(candidate.dev);
			return 0;
		}
		if (devid_of(there) == devid_of(&candidate))
			return settle(there, &candidate, is_copy_refused, d);
	}
	return keep(gathering, &candidate, d);
}

static void tell_of_found(const struct gathering *gathering, struct diag *d)
{
	array_for_each(&gathering->candidates, candidate)
		if (!candidate->is_named)
			diag_note(d, DIAG_NOTE, "device %llu found: %s", (ull)devid_of(candidate), candidate->dev->name);
}

static int scan_dir(struct gathering *gathering, struct diag *d)
{
	const char *folder = gathering->options->scan_dir;
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return diag_fail(d, -errno, "%s: %s", folder, strerror(errno));
	/* To the end, so that what is found does not depend on the order in which the folder shows its files. */
	while (!err && (entry = readdir(dir))) {
		char path[4096];

		if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) < sizeof(path))
			err = try_path(gathering, path, true, d);
	}
	closedir(dir);
	return err;
}

static int scan_block_devices(struct gathering *gathering, struct diag *d)
{
	blkid_dev_iterate iterate;
	blkid_cache cache;
	blkid_dev dev;
	char fsid[37];
	int err = 0;

	/* Nothing of the host's own cache file is wanted, nor changed. */
	if (blkid_get_cache(&cache, "/dev/null") < 0)
		return 0;
	uuid_unparse_lower(gathering->fsid, fsid);
	(void)blkid_probe_all(cache); /* what cannot be probed is not found */
	iterate = blkid_dev_iterate_begin(cache);
	if (iterate && blkid_dev_set_search(iterate, "UUID", fsid) == 0)
		while (!err && nr_missing(gathering) && blkid_dev_next(iterate, &dev) == 0)
			err = try_path(gathering, blkid_dev_devname(dev), false, d);
	if (iterate)
		blkid_dev_iterate_end(iterate);
	blkid_put_cache(cache);
	return err;
}

static int look_for_rest(struct gathering *gathering, struct diag *d)
{
	int err = 0;

	if (gathering->options->scan_dir && nr_missing(gathering))
		err = scan_dir(gathering, d);
	if (!err && gathering->options->do_scan_block_devices && nr_missing(gathering))
		err = scan_block_devices(gathering, d);
	if (!err)
		tell_of_found(gathering, d);
	return err;
}

static int remember_search(struct device_set *set, const struct device_set_options *options, struct diag *d)
{
	set->search = (struct device_search){
		.do_scan_block_devices = options->do_scan_block_devices,
		.base_offset = options->base_offset,
	};
	if (!options->scan_dir)
		return 0;
	set->search.scan_dir = strdup(options->scan_dir);
	return set->search.scan_dir ? 0 : diag_no_memory(d, "the device set");
}

int device_set_find_seed(struct device_set *set, const u8 *fsid, u64 devid, const u8 *uuid, u64 generation, struct diag *d)
{
	const struct device_set_options options = {
		.super_mirror = -1,
		.base_offset = set->search.base_offset,
		.do_scan_block_devices = set->search.do_scan_block_devices,
		.scan_dir = set->search.scan_dir,
	};
	const struct seed_wish wish = { .devid = devid, .generation = generation, .uuid = uuid };
	_cleanup_(gathering_done) struct gathering gathering = { .options = &options, .seed = &wish };
	struct device device;
	int err;

	memcpy(gathering.fsid, fsid, UUID_SIZE);
	gathering.num_devices = UINT64_MAX; /* what is found first may be a copy that was changed */
	err = look_for_rest(&gathering, d);
	if (err)
		return err;
	if (gathering.candidates.len == 0)
		return -ENOENT;
	device = device_of_super(&gathering.candidates.items[0].choice.super,
				 take_ptr(gathering.candidates.items[0].dev));
	return device_set_add(set, &device, d);
}

/* --- The set ---------------------------------------------------------------------------------------------------- */

static int move_to_set(struct gathering *gathering, const struct candidate *main, struct device_set *set, struct diag *d)
{
	const struct disk_super main_super = main->choice.super;

	array_for_each(&gathering->candidates, candidate) {
		const struct disk_super *super = &candidate->choice.super;
		struct device device = device_of_super(super, take_ptr(candidate->dev));
		bool is_newest = belongs(&main_super, candidate) &&
				 (le64_get(set->super.magic) == 0 || generation_of(candidate) > le64_get(set->super.generation));
		int err;

		err = device_set_add(set, &device, d);
		if (err)
			return err;
		if (is_newest) {
			set->super = *super;
			set->super_mirror = candidate->choice.mirror;
		}
	}
	for (size_t i = 0; i < set->devices.len; i++)
		if (set->devices.items[i].devid == le64_get(set->super.dev_item.devid))
			set->super_device = i;
	return 0;
}

static void tell_of_stale(const struct device_set *set, struct diag *d)
{
	u64 newest = le64_get(set->super.generation);

	array_for_each(&set->devices, device)
		if (device->super_generation < newest && !device_fsid_is_seed(&set->super, device->fsid))
			diag_note(d, DIAG_WARNING, "%s: generation %llu, the others are at %llu: what it holds is stale",
				  device->dev->name, (ull)device->super_generation, (ull)newest);
}

/* An image that was cut short reads well until something is wanted from its end. */
static void tell_of_short(const struct device_set *set, struct diag *d)
{
	array_for_each(&set->devices, device)
		if (device->dev->size_bytes < device->total_bytes)
			diag_note(d, DIAG_WARNING, "%s: has %llu bytes, its superblock says %llu: the end is missing", device->dev->name,
				  (ull)device->dev->size_bytes, (ull)device->total_bytes);
}

int device_set_open(const char *const *paths, size_t nr_paths, const struct device_set_options *options,
		    struct device_set **ret_set, struct diag *d)
{
	_cleanup_(gathering_done) struct gathering gathering = { .options = options };
	_cleanup_(device_set_freep) struct device_set *set = NULL;
	const struct candidate *main;
	int err = open_all(&gathering, paths, nr_paths, d);

	if (err)
		return err;
	main = choose_main(&gathering);
	err = check_strangers(&gathering, main, d);
	if (err)
		return err;
	memcpy(gathering.fsid, main->choice.super.fsid, UUID_SIZE);
	gathering.num_devices = le64_get(main->choice.super.num_devices);
	err = look_for_rest(&gathering, d);
	if (!err && device_set_new(&set) < 0)
		err = diag_no_memory(d, "the device set");
	if (!err)
		err = remember_search(set, options, d);
	if (!err)
		err = move_to_set(&gathering, choose_main(&gathering), set, d);
	if (err)
		return err;
	for (; gathering.left_out.len; gathering.left_out.len--) {
		if (array_push(&set->left_out, gathering.left_out.items[gathering.left_out.len - 1]) < 0)
			return diag_no_memory(d, "the device set");
	}
	tell_of_stale(set, d);
	tell_of_short(set, d);
	*ret_set = take_ptr(set);
	return 0;
}
