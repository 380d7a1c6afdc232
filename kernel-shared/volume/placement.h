/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a new chunk goes: pure arithmetic on the holes of devices. The rules for sizes are those by which Linux
 * allocates, so that filesystems look alike whoever made their chunks.
 */
#ifndef BTRKIT_KERNEL_SHARED_VOLUME_PLACEMENT_H
#define BTRKIT_KERNEL_SHARED_VOLUME_PLACEMENT_H

#include "common/base/array.h"
#include "kernel-shared/volume/chunk_map.h"

/* Unallocated space of a device: [physical, physical + len). */
struct hole {
	u64 physical, len;
};

/* All of a device's, ascending, apart. */
struct device_holes {
	u64 devid;
	u8 uuid[UUID_SIZE];
	ARRAY(struct hole) holes;
};

/*
 * A chunk of @type (BLOCK_GROUP_*, kind and profile) at @logical; free() it. @fs_bytes: of all devices, to which sizes
 * are in proportion. -ENOSPC: the holes allow none.
 */
int place_chunk(u64 type, u64 logical, u64 fs_bytes, const struct device_holes *devices, size_t nr_devices,
		struct chunk **ret_chunk, struct diag *d);

#endif
