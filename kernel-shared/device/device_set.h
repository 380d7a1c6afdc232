/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of one filesystem, found and opened together.
 *
 * A set is made by opening devices by path; those that the filesystem has but nobody named may be found among the
 * host's block devices or in a folder. Devices that stay missing become known when the chunk tree is read
 * (device_set_add_missing). Seed filesystems' devices join the set of the filesystem that grew from them: it names them in
 * its chunk tree, so that they can be looked for only then (device_set_find_seed()). They are opened for reading.
 * Not thread-safe while it is being put together; reading it is.
 */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_DEVICE_SET_H
#define BTRKIT_KERNEL_SHARED_DEVICE_DEVICE_SET_H

#include "common/base/array.h"
#include "kernel-shared/device/super.h"

struct device {
	u64 devid;
	u8 uuid[UUID_SIZE];
	u8 fsid[UUID_SIZE]; /* of the filesystem that made it: a seed's differs */
	u64 total_bytes;
	u64 bytes_used;
	u64 super_generation;
	bool is_seeding; /* its superblock marks it as a seed */
	struct blockdev *dev; /* owned; NULL: missing */
};

/* Where devices that nobody named are looked for. */
struct device_search {
	bool do_scan_block_devices; /* through libblkid */
	char *scan_dir; /* owned; NULL: in no folder */
	u64 base_offset;
};

struct device_set {
	ARRAY(struct device) devices; /* by devid */
	struct disk_super super; /* the newest of all devices */
	size_t super_device; /* where it was found: index into devices */
	unsigned super_mirror;
	ARRAY(struct device) gone; /* removed from the filesystem, but with superblocks */
	ARRAY(char *) left_out; /* owned; of each named device that was left out: why */
	struct device_search search;
};

struct device_set_options {
	bool is_writable; /* but for devices of a seed */
	bool is_exclusive; /* but for devices of a seed, which several filesystems may use */
	const u8 *writable_seed; /* fsid of a seed of which they are not excepted, by whoever changes its mark; NULL: none */
	/* Leave out, of several, devices without a superblock that can be read; else that is an error. */
	bool may_leave_out;
	int super_mirror; /* -1: the newest valid one */
	u64 base_offset; /* of the filesystem within each file */
	bool do_scan_block_devices; /* look for the other devices through libblkid */
	/* Look for them among this folder's files, where of two copies the newer one counts; NULL: no. */
	const char *scan_dir;
};

/*
 * Open the devices at @paths, which must belong to one filesystem (seeds of it allowed), and look for the rest.
 * Refused by name: strangers, the same device twice, two copies of one device.
 */
int device_set_open(const char *const *paths, size_t nr_paths, const struct device_set_options *options,
		    struct device_set **ret_set, struct diag *d);

/* What the superblock on @dev says of the device. */
struct device device_of_super(const struct disk_super *super, struct blockdev *dev);

/*
 * A set of the one device @dev, which is open and is taken over, also when it fails, with its superblock @mirror (-1: the
 * newest valid one).
 */
int device_set_of_one(struct blockdev *dev, int mirror, struct device_set **ret_set, struct diag *d);

/* An empty set, to be filled with device_set_add() when a filesystem is made. */
int device_set_new(struct device_set **ret_set);

/* Add a device; takes over @device->dev, also when it fails. -EEXIST: its devid is there already. */
int device_set_add(struct device_set *set, const struct device *device, struct diag *d);

/* Close device @devid and forget it. */
void device_set_remove(struct device_set *set, u64 devid);

/* Device @devid is no longer one of the filesystem: it is kept open as one of set->gone. -ENOMEM: it stays. */
int device_set_put_aside(struct device_set *set, u64 devid, struct diag *d);

/*
 * Look for a device of the seed @fsid, which the filesystem says it grew from when the seed's superblock was at @generation, and
 * add it. Of several that have the same ids the one counts that is as it was then. -ENOENT: there is none; @d says nothing.
 */
int device_set_find_seed(struct device_set *set, const u8 *fsid, u64 devid, const u8 *uuid, u64 generation, struct diag *d);

/* Closes all devices. */
void device_set_free(struct device_set *set);
DEFINE_FREEP(struct device_set *, device_set_free)

/* By devid and, unless NULL, uuid; NULL: not in the set. */
struct device *device_set_find(const struct device_set *set, u64 devid, const u8 *uuid);

/*
 * Does it belong to a seed, from which the filesystem grew? Such a device is never written. @fsid: of a device's item, which names
 * the filesystem by the UUID that it was made with (metadata_uuid), or by the one that it has.
 */
bool device_fsid_is_seed(const struct disk_super *super, const u8 *fsid);

/* Devices of the set that are not there. */
size_t device_set_nr_missing(const struct device_set *set);

#endif
