/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/txn/move.h"
#include "kernel-shared/txn/txn_state.h"

/* The record of a new extent that is what another one was. */
static int begin_record(struct txn *txn, u64 logical, u64 len, u8 level, bool is_data, u64 generation, u64 owner_root,
			struct diag *d)
{
	struct delayed_head *head = delayed_refs_get(&txn->delayed, logical, len, level, is_data);

	if (!head)
		return diag_no_memory(d, "back references");
	head->is_new = true;
	head->generation = generation;
	head->owner_root = owner_root;
	return 0;
}

int txn_move_block(struct txn *txn, const struct tree_block *block, bool is_full, struct tree_block **ret_copy,
		   struct diag *d)
{
	struct delayed_head *old;
	struct tree_block *copy;
	u64 logical;
	int err = txn_take_block_space(txn, BLOCK_GROUP_METADATA, &logical, d);

	if (err)
		return err;
	txn->is_changed = true;
	old = delayed_refs_get(&txn->delayed, block->logical, txn->id.nodesize, block->level, false);
	if (!old)
		return diag_no_memory(d, "back references");
	old->owner_root = block->owner;
	err = begin_record(txn, logical, txn->id.nodesize, block->level, false, block->generation, block->owner, d);
	if (!err)
		err = txn_charge(txn, block->owner, block->generation, txn->id.nodesize, d);
	if (!err)
		err = block_new(txn->target.cache, &txn->id, logical, block->owner, block->level, &copy, d);
	if (err)
		return err;
	memcpy(block_bytes(copy), block->data, txn->id.nodesize);
	le64_put(&((struct disk_header *)block_bytes(copy))->bytenr, logical);
	copy->generation = block->generation;
	block_changed(copy);
	if (is_full)
		err = txn_set_full_backref(txn, copy, d);
	if (err) {
		block_put(copy);
		return err;
	}
	*ret_copy = copy;
	return 0;
}

/* A new root above several blocks that one has become. */
static int grow_root(struct txn *txn, struct tree_root *root, const struct moved_child *children, u32 nr,
		     struct diag *d)
{
	u8 level = (u8)root->tree.level;
	struct tree_block *top;
	int err;

	if (level + 1 >= LEVEL_MAX || nr > node_max_ptrs(txn->id.nodesize))
		return diag_fail(d, -EOVERFLOW, "tree %lld: would be too high", (long long)root->tree.id);
	err = txn->source.ops->alloc(&txn->source, root, (u8)(level + 1), &top, d);
	if (err)
		return err;
	for (u32 i = 0; i < nr && !err; i++) {
		node_append(block_bytes(top), &children[i].first_key, children[i].logical, children[i].generation);
		err = txn_change_ref_to_block(txn, children[i].logical, level, root->tree.id, 0, 1, d);
	}
	block_changed(top);
	root->tree.root_logical = top->logical;
	root->tree.generation = top->generation;
	root->tree.level = top->level;
	block_put(top);
	return err;
}

int txn_move_root(struct txn *txn, struct tree_root *root, const struct moved_child *children, u32 nr, struct diag *d)
{
	u8 level = (u8)root->tree.level;
	int err = txn_change_ref_to_block(txn, root->tree.root_logical, level, root->tree.id, 0, -1, d);

	if (!err && nr == 1) {
		err = txn_change_ref_to_block(txn, children->logical, level, root->tree.id, 0, 1, d);
		root->tree.root_logical = children->logical;
	} else if (!err) {
		err = grow_root(txn, root, children, nr, d);
	}
	if (err)
		return err;
	root->is_changed = root->is_frozen = true;
	root->shape++;
	if (root->published)
		*root->published = root->tree;
	return 0;
}

int txn_move_data(struct txn *txn, u64 want_bytes, u64 min_bytes, const struct extent_info *info, u64 *ret_logical,
		  u64 *ret_len, struct diag *d)
{
	int err = txn_alloc_data(txn, want_bytes, min_bytes, ret_logical, ret_len, d);

	return err ? err : begin_record(txn, *ret_logical, *ret_len, 0, true, info->generation, info->owner_root, d);
}
