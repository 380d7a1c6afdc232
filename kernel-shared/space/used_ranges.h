/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The used parts of the logical address space, from the extent tree, and where they lie on a device. */
#ifndef BTRKIT_KERNEL_SHARED_SPACE_USED_RANGES_H
#define BTRKIT_KERNEL_SHARED_SPACE_USED_RANGES_H

#include "common/base/array.h"
#include "kernel-shared/tree/tree.h"

struct used_range {
	u64 logical;
	u64 len;
	const struct chunk *chunk; /* that holds all of it */
};

/* What is used beside the extents of the extent tree: what an unreplayed log holds. They may overlap these and each other. */
struct more_ranges {
	ARRAY(struct used_range) list; /* @chunk is not set */
	u32 nodesize; /* set by more_ranges_of_log() */
};

/* Add the blocks of @log_tree, and the data that its file extents lead to. */
int more_ranges_of_log(const struct tree *log_tree, struct more_ranges *more, struct diag *d);

/*
 * Call @fn for each used range, ascending, neighbours within a chunk merged. @more is sorted by this. A result other than 0
 * ends the walk and is returned. -EUCLEAN: extents overlap, or lie outside of chunks.
 */
typedef int (*used_range_fn)(void *ctx, const struct used_range *range, struct diag *d);
int used_ranges_walk(const struct tree *extent_tree, const struct chunk_map *chunks, struct more_ranges *more,
		     used_range_fn fn, void *ctx, struct diag *d);

struct device_range {
	u64 physical;
	u64 len;
	u64 kinds; /* the caller's bits; used_range_on_device() puts BLOCK_GROUP_TYPE_MASK bits */
};
struct device_ranges {
	ARRAY(struct device_range) list;
};

/* Add the places of @range on device @devid, in no order. -ENOMEM. Parity profiles: the whole rows. */
int used_range_on_device(const struct used_range *range, u64 devid, struct device_ranges *ranges);

/* Sort, and merge those that touch; kinds are united. */
void device_ranges_merge(struct device_ranges *ranges);

#endif
