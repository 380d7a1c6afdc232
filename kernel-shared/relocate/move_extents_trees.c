/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trees that share nothing: a block is moved by going down to it as somebody who wants to change it, as that copies it.
 * What is above it is copied on the way, and so leaves the groups, too. Nodes say where the blocks below them lie, so
 * leaves are not read to find out.
 */
#include "kernel-shared/relocate/move_extents.h"

typedef unsigned long long ull;

struct inside_keys {
	const struct moving *moving;
	size_t max;
	ARRAY(struct key) keys; /* first keys of blocks in the groups */
};

static int note_key(struct inside_keys *inside, const struct key *key, struct diag *d)
{
	return array_push(&inside->keys, *key) < 0 ? diag_no_memory(d, "tree blocks") : 0;
}

static int look_at_block(void *ctx, struct tree_block *block, struct diag *d)
{
	struct inside_keys *inside = ctx;
	int err = 0;

	for (u32 slot = 0; block->level > 0 && slot < block->nritems && !err; slot++) {
		const struct key key = node_key(block->data, slot);

		if (moving_is_inside(inside->moving, node_blockptr(block->data, slot)))
			err = note_key(inside, &key, d);
	}
	return err ? err : block->level <= 1 || inside->keys.len >= inside->max;
}

/* The first keys of some blocks of the tree that lie in the groups. None: no more do. */
static int find_inside(struct inside_keys *inside, const struct tree *tree, struct diag *d)
{
	const struct tree_walk walk = { .visit = look_at_block, .ctx = inside };
	int err = 0;

	inside->keys.len = 0;
	if (moving_is_inside(inside->moving, tree->root_logical))
		err = note_key(inside, &KEY_MIN, d);
	return err ? err : tree_walk(tree, &walk, d);
}

static int copy_blocks(const struct inside_keys *inside, struct tree_root *root, struct diag *d)
{
	struct edit edit = edit_init(root);
	int err = 0;

	for (size_t i = 0; i < inside->keys.len && i < inside->max && err >= 0; i++)
		err = edit_seek(&edit, &inside->keys.items[i], d);
	edit_done(&edit);
	return err < 0 ? err : 0;
}

/* One batch. *ret_nr: blocks of it that were moved. */
static int copy_some(struct inside_keys *inside, struct tree_root *root, size_t *ret_nr, struct diag *d)
{
	const struct moving *moving = inside->moving;
	int err = moving_is_cancelled(moving, d);

	if (!err)
		err = find_inside(inside, &root->tree, d);
	*ret_nr = MIN(inside->keys.len, inside->max);
	if (err || *ret_nr == 0)
		return err;
	err = copy_blocks(inside, root, d);
	if (!err)
		err = txn_commit(moving->txn, d);
	if (!err)
		progress_add(moving->relocate->progress, *ret_nr * moving->nodesize, 0);
	return err;
}

static int empty_tree(struct moving *moving, u64 id, struct diag *d)
{
	struct inside_keys inside = { .moving = moving, .max = moving->batch_blocks };
	struct tree_root *root;
	size_t nr = 1;
	int err = txn_tree(moving->txn, id, &root, d);

	while (!err && nr) {
		err = copy_some(&inside, root, &nr, d);
		/* With less at once, what was copied before is free. */
		if (err == -ENOSPC && inside.max > 1) {
			txn_abort(moving->txn);
			diag_clear(d);
			inside.max = MIN(inside.max, inside.keys.len) / 2;
			inside.max = MAX(inside.max, (size_t)1);
			err = 0;
		}
	}
	array_done(&inside.keys);
	return err;
}

/*
 * The tree in which Linux gathers data that it moves has no files, but for what an interruption has left, and that goes
 * when it mounts the filesystem.
 */
static int refuse_data(void *ctx, struct tree_block *block, struct diag *d)
{
	const struct moving *moving = ctx;
	struct leaf_data_ref ref;

	for (u32 slot = 0; block->level == 0 && slot < block->nritems; slot++)
		if (leaf_data_ref_get(block->data, slot, &ref) && moving_is_inside(moving, ref.logical))
			return diag_fail(
				d, -EBUSY,
				"block group of %llu: has data that Linux was moving when it was interrupted; it "
				"cleans that up when it mounts the filesystem",
				(ull)ref.logical);
	return 0;
}

static int judge_data_tree(struct moving *moving, struct diag *d)
{
	const struct tree_walk walk = { .visit = refuse_data, .ctx = moving };
	struct tree tree;
	int err = txn_read_tree(moving->txn, DATA_RELOC_TREE_OBJECTID, &tree, d);

	if (err == -ENOENT) {
		diag_clear(d);
		return 0;
	}
	return err ? err : tree_walk(&tree, &walk, d);
}

int move_extents_of_trees(struct moving *moving, struct diag *d)
{
	int err = judge_data_tree(moving, d);

	array_for_each (&moving->others, id)
		if (!err)
			err = empty_tree(moving, *id, d);
	return err;
}
