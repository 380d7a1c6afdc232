/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The filesystem of a txn_fixture under overlays in memory, which keep it as it is, and under recorders, from whose log the disks
 * after a power cut are made. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_UNIT_LAYERED_FS_H
#define BTRKIT_TESTS_UNIT_LAYERED_FS_H

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/device/record_device.h"
#include "tests/unit/txn_fixture.h"

/* The base's devices under overlays in memory, and these, if there is a log, under recorders. */
static inline void layered_devices(const struct txn_fixture *base, struct record_log *log,
				   struct blockdev *devices[TXN_DEVICES_MAX])
{
	for (unsigned i = 0; i < base->nr_devices; i++) {
		struct blockdev *below;

		assert_int_equal(file_device_open(base->paths[i], 0, 0, 0, &below, NULL), 0);
		assert_int_equal(overlay_device_new(below, &devices[i]), 0);
		if (log)
			assert_int_equal(record_device_new(devices[i], log, i, &devices[i]), 0);
	}
}

/* The filesystem on @devices, which are taken over. */
static inline struct btrkit_fs *layered_open(const struct txn_fixture *base, struct blockdev *devices[TXN_DEVICES_MAX])
{
	const struct fs_options options = { .knows_log = true };
	struct super_choice choices[TXN_DEVICES_MAX];
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	unsigned newest = 0;

	assert_int_equal(device_set_new(&set), 0);
	for (unsigned i = 0; i < base->nr_devices; i++) {
		const struct disk_super *super = &choices[i].super;
		struct device device = { .dev = devices[i] };

		if (super_read(devices[i], -1, &choices[i], &d) != 0)
			fail_msg("%s", d.text);
		device.devid = le64_get(super->dev_item.devid);
		device.total_bytes = le64_get(super->dev_item.total_bytes);
		device.super_generation = le64_get(super->generation);
		memcpy(device.uuid, super->dev_item.uuid, UUID_SIZE);
		memcpy(device.fsid, super->fsid, UUID_SIZE);
		assert_int_equal(device_set_add(set, &device, NULL), 0);
		if (le64_get(super->generation) > le64_get(choices[newest].super.generation))
			newest = i;
	}
	set->super = choices[newest].super;
	set->super_device = newest;
	set->super_mirror = choices[newest].mirror;
	if (fs_open_devices(set, &options, &fs, &d) != 0)
		fail_msg("%s", d.text);
	return fs;
}

/* --- What a power cut leaves of unflushed writes: for record_log_replay() ----------------------------------------------- */

static inline bool choose_none(void *ctx, size_t record)
{
	(void)ctx;
	(void)record;
	return false;
}

static inline bool choose_some(void *ctx, size_t record)
{
	u32 n = (u32)record * 2654435761U + *(u32 *)ctx * 40503U;

	return (n ^ n >> 13) >> 7 & 1;
}

/* The number of the record that is the first, or the last, primary superblock; records.len: there is none. */
static inline size_t first_super(const struct record_log *log)
{
	for (size_t i = 0; i < log->records.len; i++)
		if (log->records.items[i].kind == RECORD_WRITE && log->records.items[i].offset == super_mirror_physical(0))
			return i;
	return log->records.len;
}

static inline size_t last_super(const struct record_log *log)
{
	size_t last = log->records.len;

	for (size_t i = 0; i < log->records.len; i++)
		if (log->records.items[i].kind == RECORD_WRITE && log->records.items[i].offset == super_mirror_physical(0))
			last = i;
	return last;
}

#endif
