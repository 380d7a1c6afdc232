/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many blocks a tree has at each level, from the sizes of its items alone: the sizing twin of tree_builder.
 * Leaves are filled in key order as far as they go; a tree without items is one empty leaf.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_TREE_SHAPE_H
#define BTRKIT_KERNEL_SHARED_BUILD_TREE_SHAPE_H

#include "kernel-shared/format/leaf.h"

struct tree_shape {
	u64 blocks[LEVEL_MAX];
	u8 nr_levels; /* 1 at least; the root is at level nr_levels - 1 */
	u64 nr_items;
};

struct tree_sizer {
	u32 nodesize;
	u32 room; /* in the leaf that is being filled */
	u64 nr_leaves;
	u64 nr_items;
};

static inline void tree_sizer_init(struct tree_sizer *sizer, u32 nodesize)
{
	*sizer = (struct tree_sizer){ .nodesize = nodesize };
}

/* One more item with @item_bytes of data, at most leaf_item_max_bytes(). */
static inline void tree_sizer_add(struct tree_sizer *sizer, u32 item_bytes)
{
	u32 needed = item_bytes + (u32)sizeof(struct disk_item);

	if (needed > sizer->room || sizer->nr_leaves == 0) {
		sizer->nr_leaves++;
		sizer->room = leaf_data_bytes(sizer->nodesize);
	}
	sizer->room -= needed;
	sizer->nr_items++;
}

/* @count items of the same size. */
void tree_sizer_add_many(struct tree_sizer *sizer, u32 item_bytes, u64 count);

/* -EFBIG: more levels than the format has. */
int tree_sizer_finish(const struct tree_sizer *sizer, struct tree_shape *ret_shape);

/* Blocks of all levels. */
u64 tree_shape_total(const struct tree_shape *shape);

static inline u8 tree_shape_root_level(const struct tree_shape *shape)
{
	return (u8)(shape->nr_levels - 1);
}

bool tree_shapes_are_equal(const struct tree_shape *a, const struct tree_shape *b);

#endif
