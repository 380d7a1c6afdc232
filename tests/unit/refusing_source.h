/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The transaction's own source of blocks, of which one request fails. */
#ifndef BTRKIT_TESTS_UNIT_REFUSING_SOURCE_H
#define BTRKIT_TESTS_UNIT_REFUSING_SOURCE_H

#include <errno.h>

#include "kernel-shared/txn/txn_state.h"

/* The request for a block that finds no space, counted from here; 0: none. */
static u64 refuse_at;

static int refusing_alloc(struct block_source *source, struct tree_root *root, u8 level, struct tree_block **ret_block,
			  struct diag *d)
{
	if (refuse_at && --refuse_at == 0)
		return diag_fail(d, -ENOSPC, "no space, as wanted");
	return txn_source_ops.alloc(source, root, level, ret_block, d);
}

static int refusing_cow(struct block_source *source, struct tree_root *root, struct tree_block *block, bool is_root,
			struct tree_block **ret_copy, struct diag *d)
{
	if (refuse_at && --refuse_at == 0)
		return diag_fail(d, -ENOSPC, "no space, as wanted");
	return txn_source_ops.cow(source, root, block, is_root, ret_copy, d);
}

static int passing_free(struct block_source *source, struct tree_root *root, struct tree_block *block, struct diag *d)
{
	return txn_source_ops.free(source, root, block, d);
}

static const struct block_source_ops refusing_ops = { refusing_alloc, refusing_cow, passing_free };

#endif
