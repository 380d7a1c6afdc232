/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of tree blocks, by their addresses: one bit for each sector, for those parts of the address space that have
 * any. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_BLOCK_MARKS_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_BLOCK_MARKS_H

#include "common/base/array.h"

struct block_marks {
	u32 sectorsize;
	ARRAY(struct marked_region {
		u64 number; /* of the region in the address space */
		u64 *bits;
	})
	regions; /* by number */
};

void block_marks_done(struct block_marks *marks);

bool block_marks_has(const struct block_marks *marks, u64 logical);
/* -ENOMEM. */
int block_marks_add(struct block_marks *marks, u64 logical);
void block_marks_remove(struct block_marks *marks, u64 logical);

#endif
