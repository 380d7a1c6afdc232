/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel-shared/build/tree_shape.h"

void tree_sizer_add_many(struct tree_sizer *sizer, u32 item_bytes, u64 count)
{
	u32 needed = item_bytes + (u32)sizeof(struct disk_item);
	u32 leaf_bytes = leaf_data_bytes(sizer->nodesize);
	u32 per_leaf = leaf_bytes / needed;
	u64 in_first = sizer->nr_leaves ? MIN((u64)(sizer->room / needed), count) : 0;

	sizer->nr_items += count;
	sizer->room -= (u32)in_first * needed;
	count -= in_first;
	if (count == 0)
		return;
	sizer->nr_leaves += (count + per_leaf - 1) / per_leaf;
	sizer->room = leaf_bytes - (u32)((count - 1) % per_leaf + 1) * needed;
}

int tree_sizer_finish(const struct tree_sizer *sizer, struct tree_shape *ret_shape)
{
	u32 max_ptrs = node_max_ptrs(sizer->nodesize);
	struct tree_shape shape = { .nr_levels = 1, .nr_items = sizer->nr_items };

	shape.blocks[0] = MAX(sizer->nr_leaves, (u64)1);
	while (shape.blocks[shape.nr_levels - 1] > 1) {
		if (shape.nr_levels == LEVEL_MAX)
			return -EFBIG;
		shape.blocks[shape.nr_levels] = (shape.blocks[shape.nr_levels - 1] + max_ptrs - 1) / max_ptrs;
		shape.nr_levels++;
	}
	*ret_shape = shape;
	return 0;
}

u64 tree_shape_total(const struct tree_shape *shape)
{
	u64 total = 0;

	for (u8 level = 0; level < shape->nr_levels; level++)
		total += shape->blocks[level];
	return total;
}

bool tree_shapes_are_equal(const struct tree_shape *a, const struct tree_shape *b)
{
	return a->nr_levels == b->nr_levels && a->nr_items == b->nr_items &&
	       memcmp(a->blocks, b->blocks, a->nr_levels * sizeof(a->blocks[0])) == 0;
}
