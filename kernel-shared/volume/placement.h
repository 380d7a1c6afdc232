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

/*
 * Other stripes for the chunk @old, as @type, for the same logical range; free() the result.
 * Stripes of @old for which @may_stay (one for each) stay where they are, if what they hold there
 * is what they would hold. The others get space of the holes, on as many devices as the profile may
 * have and the length divides over. -ENOSPC: the holes do not suffice; -ERANGE: it divides over no
 * number of devices that the profile could have here.
 */
int place_chunk_again(const struct chunk *old, const bool *may_stay, u64 type, const struct device_holes *devices,
		      size_t nr_devices, struct chunk **ret_chunk, struct diag *d);

#endif
