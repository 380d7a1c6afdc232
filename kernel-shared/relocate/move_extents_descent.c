/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The graph of the blocks of all subvolumes, from the roots down. */
#include "kernel-shared/relocate/move_extents.h"

static int descend(struct moving *moving, const struct moving_descent *descent, const struct block_expect *expect,
		   unsigned *found, struct diag *d);

static int descend_to_children(struct moving *moving, const struct moving_descent *descent,
			       const struct tree_block *node, u64 tree_id, unsigned *found, struct diag *d)
{
	int err = 0;

	for (u32 slot = 0; slot < node->nritems && !err; slot++) {
		const struct key first_key = node_key(node->data, slot);
		const struct block_expect expect = {
			.logical = node_blockptr(node->data, slot),
			.level = node->level - 1,
			.generation = node_generation(node->data, slot),
			.tree_id = tree_id,
			.first_key = &first_key,
		};

		err = descend(moving, descent, &expect, found, d);
	}
	return err;
}

/* What is found there is added to *@found. */
static int descend(struct moving *moving, const struct moving_descent *descent, const struct block_expect *expect,
		   unsigned *found, struct diag *d)
{
	_cleanup_(block_putp) struct tree_block *block = NULL;
	unsigned here = 0;
	int err = descent->enter(descent->ctx, expect, &here, d);

	if (!err)
		err = block_get(moving->fs->cache, expect, &block, d);
	if (!err && block->level == 0)
		err = descent->look_at_leaf(descent->ctx, block, &here, d);
	else if (!err)
		err = descend_to_children(moving, descent, block, expect->tree_id, &here, d);
	if (!err)
		err = descent->leave(descent->ctx, expect, &here, d);
	*found |= here;
	return err < 0 ? err : 0;
}

int moving_descend(struct moving *moving, const struct moving_descent *descent, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < moving->subvols.len && !err; i++) {
		const struct tree *tree = &moving->subvols.items[i]->tree;
		const struct block_expect expect = { .logical = tree->root_logical,
						     .level = tree->level,
						     .generation = tree->generation,
						     .tree_id = tree->id };
		unsigned found = 0;

		err = moving_is_cancelled(moving, d);
		if (!err)
			err = descend(moving, descent, &expect, &found, d);
	}
	return err;
}
