/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a whole tree bottom-up from items in key order, each block once, at addresses that are known before.
 *
 * All leaves of a tree lie one after the other in its linear space, then all blocks of level 1, and so on: whoever
 * knows the shape knows where every block is. Blocks are collected into runs of about 1 MiB, checked as a reader
 * would check them, and written.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_TREE_BUILDER_H
#define BTRKIT_KERNEL_SHARED_BUILD_TREE_BUILDER_H

#include "kernel-shared/build/linear_space.h"
#include "kernel-shared/build/tree_shape.h"
#include "kernel-shared/volume/volume.h"

/* Where a tree lies: its blocks, level 0 first, from linear offset @linear of @space on. */
struct tree_place {
	const struct linear_space *space;
	u64 linear;
};

/* Logical address of block @index of @level. */
u64 tree_place_logical(const struct tree_place *place, const struct tree_shape *shape, u32 nodesize, u8 level,
		       u64 index);

struct tree_builder; /* opaque */

struct tree_builder_options {
	const struct block_identity *id;
	u32 sectorsize;
	struct volume *volume;
	u64 owner;
	struct tree_shape shape;
	struct tree_place place;
	struct key *ret_leaf_keys; /* NULL, or room for the first key of each leaf */
};

/* What @options points to must outlive the builder. -ENOMEM. */
int tree_builder_new(const struct tree_builder_options *options, struct tree_builder **ret_builder, struct diag *d);
void tree_builder_free(struct tree_builder *builder);
DEFINE_FREEP(struct tree_builder *, tree_builder_free)

/*
 * The next item: its key must be greater than the one before. *ret_data is zeroed room for its @item_bytes, to be
 * filled before the next call. -EINVAL: wrong order or size, or more items than the shape has; or what writing says.
 */
int tree_builder_reserve(struct tree_builder *builder, const struct key *key, u32 item_bytes, void **ret_data,
			 struct diag *d);

/* The same with the data ready made. */
int tree_builder_add(struct tree_builder *builder, const struct key *key, const void *data, u32 item_bytes,
		     struct diag *d);

/* Write what is left. -EINVAL: the items were not those that the shape was made from. */
int tree_builder_finish(struct tree_builder *builder, u64 *ret_root_logical, struct diag *d);

#endif
