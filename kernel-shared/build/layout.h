/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which chunks a new filesystem gets, and where: a pure function from devices, profiles and needs to a chunk map.
 *
 * Devices fill from 1 MiB upwards without gaps, logical addresses too: system chunks first, then data, then metadata,
 * so that the place of the data does not depend on how much metadata there is. A chunk's devices are chosen as the
 * kernel does it: those with most room, as many as the profile can use. Every boundary is a multiple of 64 KiB, so
 * that a piece of space is always whole tree blocks.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_LAYOUT_H
#define BTRKIT_KERNEL_SHARED_BUILD_LAYOUT_H

#include "kernel-shared/build/linear_space.h"

#define LAYOUT_NO_LIMIT UINT64_MAX

struct layout_device {
	u64 devid;
	u8 uuid[UUID_SIZE];
	u64 limit_bytes; /* its size, or LAYOUT_NO_LIMIT */
	u64 end_physical; /* where its last chunk ends */
	u64 allocated_bytes; /* to chunks */
};

enum layout_style {
	LAYOUT_ROOMY, /* chunks as large as mkfs.btrfs and the kernel make them */
	LAYOUT_EXACT, /* chunks no larger than what they must hold */
};

struct layout_needs {
	const struct profile *data_profile, *metadata_profile, *system_profile;
	bool is_mixed; /* data and metadata share chunks, of the metadata's profile */
	enum layout_style style;
	/* To be held, without reserved ranges. */
	u64 data_bytes, metadata_bytes, system_bytes;
};

struct layout {
	struct layout_device *devices; /* owned copy */
	size_t nr_devices;
	struct chunk_map *chunks;
	struct linear_space system, data, metadata; /* mixed: metadata is empty, data is what both use */
	u64 next_logical;
};

/* -ENOSPC: the devices are too small, or too few, for this; -ENOMEM. */
int layout_make(const struct layout_device *devices, size_t nr_devices, const struct layout_needs *needs,
		struct layout *ret_layout, struct diag *d);
void layout_done(struct layout *layout);

/* Bytes up to the end of the last chunk, over all devices. */
u64 layout_end_bytes(const struct layout *layout);

#endif
