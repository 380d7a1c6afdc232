/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a tree that is being changed gets its blocks from: a transaction, a counter in a test. Only the source knows of
 * extents, references and free space, so trees need not, not even the extent tree.
 */
#ifndef BTRKIT_KERNEL_SHARED_TREE_BLOCK_SOURCE_H
#define BTRKIT_KERNEL_SHARED_TREE_BLOCK_SOURCE_H

#include "kernel-shared/block/block_cache.h"

struct block_source;
struct tree_root;

struct block_source_ops {
	/* An empty block for @root: dirty and held. -ENOSPC. */
	int (*alloc)(struct block_source *source, struct tree_root *root, u8 level, struct tree_block **ret_block,
		     struct diag *d);
	/*
	 * A copy of @block that @root may change, dirty and held. @root will no longer use @block; what else uses it is
	 * the source's business. @is_root: @block is the root of the tree.
	 */
	int (*cow)(struct block_source *source, struct tree_root *root, struct tree_block *block, bool is_root,
		   struct tree_block **ret_copy, struct diag *d);
	/* @root no longer uses its dirty @block. */
	int (*free)(struct block_source *source, struct tree_root *root, struct tree_block *block, struct diag *d);
};

struct block_source {
	const struct block_source_ops *ops;
	u64 generation; /* of the blocks that are made */
};

#endif
