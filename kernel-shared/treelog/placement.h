/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is what a log names where it may be? A placement belongs to one thread. */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_PLACEMENT_H
#define BTRKIT_KERNEL_SHARED_TREELOG_PLACEMENT_H

#include "kernel-shared/fs/fs.h"

struct placement {
	struct btrkit_fs *fs;
	struct cursor extents; /* in the extent tree */
	bool has_extents; /* false: it cannot be read, and nothing is known of what is allocated */
};

enum place {
	PLACE_FREE,
	PLACE_EXTENT, /* exactly an extent that the extent tree has */
	PLACE_TAKEN, /* a part of it belongs to another extent */
	PLACE_OUTSIDE, /* of all chunks of the kind */
};

void placement_init(struct placement *placement, struct btrkit_fs *fs);
void placement_done(struct placement *placement);

/* What [logical, +len) is, in a chunk of @kind (BLOCK_GROUP_DATA or BLOCK_GROUP_METADATA). */
int placement_judge(struct placement *placement, u64 logical, u64 len, u64 kind, enum place *ret_place, struct diag *d);

#endif
