/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deleting a whole tree. Blocks that only it uses go, with the references that they make. Blocks that snapshots share
 * stay; where they belong to this tree, what they refer to is recorded by its id, which soon means nothing: from then
 * on it is recorded by the blocks' addresses (full back references), all the way down.
 */
#include "kernel-shared/txn/txn_state.h"

struct deletion {
	struct txn *txn;
	struct txn_root *root;
};

static int get_child(const struct deletion *del, const struct tree_block *parent, u32 slot,
		     struct tree_block **ret_child, struct diag *d)
{
	const struct key first_key = node_key(parent->data, slot);
	const struct block_expect expect = {
		.logical = node_blockptr(parent->data, slot),
		.level = parent->level - 1,
		.generation = node_generation(parent->data, slot),
		.tree_id = del->root->root.tree.id,
		.first_key = &first_key,
	};

	return block_get(del->txn->target.cache, &expect, ret_child, d);
}

/* Can a block of this generation belong to the tree? A snapshot's tree has no blocks of its own from before it was
 * made. */
static bool may_be_own(const struct deletion *del, u64 generation)
{
	return generation > del->root->item_offset;
}

/* @block stays, and belongs to the tree: its references, and those of such blocks below it, become full. */
static int make_full(const struct deletion *del, const struct tree_block *block, struct diag *d)
{
	int err = txn_change_block_refs(del->txn, block, 1, true, d);

	if (!err)
		err = txn_change_block_refs(del->txn, block, -1, false, d);
	if (!err)
		err = txn_set_full_backref(del->txn, block, d);
	for (u32 slot = 0; block->level > 0 && slot < block->nritems && !err; slot++) {
		_cleanup_(block_putp) struct tree_block *child = NULL;
		struct extent_info info;

		if (!may_be_own(del, node_generation(block->data, slot)))
			continue;
		err = get_child(del, block, slot, &child, d);
		if (!err && child->owner == del->root->root.tree.id) {
			err = txn_block_refs(del->txn, child->logical, &info, d);
			if (!err && !(info.flags & EXTENT_FLAG_FULL_BACKREF))
				err = make_full(del, child, d);
		}
	}
	return err;
}

static int drop_block(const struct deletion *del, struct tree_block *block, const struct extent_info *info,
		      u64 ref_root, u64 ref_parent, struct diag *d);

/* Give up the reference that @parent makes to its child at @slot; the parent goes. */
static int drop_child(const struct deletion *del, const struct tree_block *parent, u32 slot, bool is_parent_full,
		      struct diag *d)
{
	u64 logical = node_blockptr(parent->data, slot), generation = node_generation(parent->data, slot);
	u64 ref_parent = is_parent_full ? parent->logical : 0;
	_cleanup_(block_putp) struct tree_block *child = NULL;
	struct extent_info info;
	int err = txn_block_refs(del->txn, logical, &info, d);

	if (err)
		return err;
	if (info.refs > 1 && !may_be_own(del, generation))
		return txn_change_ref_to_block(del->txn, logical, (u8)(parent->level - 1), parent->owner, ref_parent,
					       -1, d);
	err = get_child(del, parent, slot, &child, d);
	return err ? err : drop_block(del, child, &info, parent->owner, ref_parent, d);
}

/* Give up one reference to @block, by tree @ref_root or, unless 0, by @ref_parent; with the last one it goes. */
static int drop_block(const struct deletion *del, struct tree_block *block, const struct extent_info *info,
		      u64 ref_root, u64 ref_parent, struct diag *d)
{
	bool is_full = info->flags & EXTENT_FLAG_FULL_BACKREF;
	int err = 0;

	if (info->refs > 1) {
		if (block->owner == del->root->root.tree.id && !is_full)
			err = make_full(del, block, d);
	} else if (block->level == 0) {
		err = del->root->root.is_shareable ? txn_change_block_refs(del->txn, block, -1, is_full, d) : 0;
	} else {
		for (u32 slot = 0; slot < block->nritems && !err; slot++)
			err = drop_child(del, block, slot, is_full, d);
	}
	if (err)
		return err;
	/* What this same transaction made goes from memory, too. */
	if (block->is_dirty)
		return del->txn->source.ops->free(&del->txn->source, &del->root->root, block, d);
	return txn_drop_block_ref(del->txn, block, ref_root, ref_parent, d);
}

static int delete_item(struct txn *txn, const struct txn_root *root, struct diag *d)
{
	const struct key key = { root->root.tree.id, ROOT_ITEM_KEY, root->item_offset };
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	edit = edit_init(roots);
	err = edit_delete_key(&edit, &key, d);
	edit_done(&edit);
	return err;
}

int txn_tree_delete(struct txn *txn, struct tree_root *root, struct diag *d)
{
	const struct deletion del = { txn, txn_root_of(root) };
	const struct block_expect expect = { .logical = root->tree.root_logical,
					     .level = root->tree.level,
					     .generation = root->tree.generation,
					     .tree_id = root->tree.id };
	_cleanup_(block_putp) struct tree_block *top = NULL;
	struct extent_info info;
	int err = block_get(txn->target.cache, &expect, &top, d);

	if (!del.root->has_item)
		return diag_fail(d, -EINVAL, "tree %lld cannot be deleted", (long long)root->tree.id);
	if (txn_is_half_deleted(del.root))
		return diag_fail(d, -EBUSY, "tree %lld is deleted in part", (long long)root->tree.id);
	txn->is_changed = true;
	if (!err)
		err = txn_block_refs(txn, top->logical, &info, d);
	if (!err)
		err = drop_block(&del, top, &info, root->tree.id, 0, d);
	if (!err)
		err = delete_item(txn, del.root, d);
	if (!err)
		del.root->is_deleted = true;
	return err;
}
