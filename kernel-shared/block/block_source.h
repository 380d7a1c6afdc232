/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where those who write trees get their blocks from: a transaction, a planned layout, a counter in a test.
 */
#ifndef BTRKIT_KERNEL_SHARED_BLOCK_BLOCK_SOURCE_H
#define BTRKIT_KERNEL_SHARED_BLOCK_BLOCK_SOURCE_H

#include "common/base/diag.h"

struct block_source;

struct block_source_ops {
	/* The logical address of a free block for tree @owner. -ENOSPC. */
	int (*alloc)(struct block_source *source, u64 owner, u8 level, u64 *ret_logical, struct diag *d);
	/* The block is no longer used by tree @owner; what else uses it is the source's business. */
	int (*free)(struct block_source *source, u64 owner, u8 level, u64 logical, u64 generation, struct diag *d);
};

struct block_source {
	const struct block_source_ops *ops;
	u64 generation; /* of the blocks that are written */
};

#endif
