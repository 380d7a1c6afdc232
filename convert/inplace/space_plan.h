/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the device is divided when a filesystem on it becomes Btrfs: a pure function of what is in use.
 *
 * Data chunks cover what is in use, each at the logical address that is its physical one. Some places are Btrfs's own: the
 * first MiB, and 64 KiB at each superblock mirror; what the old filesystem has there is moved. So is what lies in the last,
 * partial 64 KiB, for chunks are whole multiples of that. Between data chunks are gaps, for system and metadata chunks, whose
 * logical addresses lie behind the end of the device.
 */
#ifndef BTRKIT_CONVERT_INPLACE_SPACE_PLAN_H
#define BTRKIT_CONVERT_INPLACE_SPACE_PLAN_H

#include "kernel-shared/build/placed_data.h"

struct space_range {
	u64 physical, len;
};

struct space_ranges {
	ARRAY(struct space_range) list; /* ascending, apart */
};

struct space_plan {
	/* Given. */
	u64 total_bytes; /* of the old filesystem */
	u32 block_bytes; /* of it */
	const struct space_ranges *used;
	const struct space_ranges *overlaid; /* what has newer contents in the journal, and is to be stored anew for files */
	u64 gap_min_bytes; /* gaps that are shorter become part of a data chunk */
	u8 dev_uuid[UUID_SIZE];
	bool is_endless; /* lay out as if there were free space without end, to know how much is needed */

	/* Made by space_plan_make(). */
	struct space_ranges data; /* the chunks */
	struct space_ranges gaps;
	ARRAY(struct placed_move) moves; /* ascending by physical */
};

/* The largest of gap_min_bytes that are worth trying, and the next smaller one; 0: there is none. */
u64 space_plan_first_gap(void);
u64 space_plan_next_gap(u64 gap_min_bytes);

/* Data chunks, gaps, and where what has to move goes. -ENOSPC, -ENOMEM. */
int space_plan_make(struct space_plan *plan, struct diag *d);
void space_plan_done(struct space_plan *plan);

/* All chunks, with system and metadata chunks in the gaps; as layout_make(). */
int space_plan_layout(const struct space_plan *plan, const struct layout_needs *needs, struct layout *ret_layout,
		      struct diag *d);

u64 space_ranges_bytes(const struct space_ranges *ranges);

/* The places that are Btrfs's own, on a device of this size. Returns how many. */
#define SPACE_RESERVED_MAX (SUPER_MIRROR_MAX + 1)
size_t space_reserved(u64 total_bytes, struct space_range *ret_ranges);

/* The part of a range that reserved places leave, from its beginning: 0 if it begins within one, which ends at *ret_end. */
u64 space_before_reserved(u64 total_bytes, u64 physical, u64 len, u64 *ret_end);

#endif
