/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making room: leaves and nodes are split, the tree grows. */
#include "kernel-shared/format/leaf_edit.h"
#include "kernel-shared/tree/edit.h"

static int new_block(struct edit *edit, u8 level, struct tree_block **ret_block, struct diag *d)
{
	return edit->root->source->ops->alloc(edit->root->source, edit->root, level, ret_block, d);
}

/* A node above the root, with the root as its only child. */
static int grow(struct edit *edit, struct diag *d)
{
	struct tree_block *old = edit->path[edit->root_level].block, *top;
	const struct key first = block_key(old->data, 0);
	u8 level = (u8)(edit->root_level + 1);
	int err;

	if (level >= LEVEL_MAX)
		return diag_fail(d, -EOVERFLOW, "tree %lld: no more than %d levels are possible",
				 (long long)edit->root->tree.id, LEVEL_MAX);
	err = new_block(edit, level, &top, d);
	if (err)
		return err;
	node_insert(block_bytes(top), 0, &first, old->logical, old->generation);
	block_changed(top);
	edit->path[level] = (struct cursor_step){ .block = top };
	edit_set_root(edit, top);
	return 0;
}

static int insert_pointer(struct edit *edit, u8 level, u32 slot, const struct key *key, const struct tree_block *child,
			  bool do_follow, struct diag *d);

/*
 * The right half of the full node at @level goes to a new neighbour. The path goes where a pointer is to be inserted at
 * *slot, just behind the child that it leads to; *slot becomes the slot there.
 */
static int split_node(struct edit *edit, u8 level, u32 *slot, struct diag *d)
{
	struct tree_block *left, *right;
	bool is_right;
	u32 half;
	struct key key;
	int err = level == edit->root_level ? grow(edit, d) : 0;

	if (!err)
		err = new_block(edit, level, &right, d);
	if (err)
		return err;
	left = edit->path[level].block;
	half = left->nritems / 2;
	is_right = *slot > half;
	node_move_right(block_bytes(left), block_bytes(right), left->nritems - half);
	block_changed(left);
	block_changed(right);
	key = node_key(right->data, 0);
	err = insert_pointer(edit, (u8)(level + 1), edit->path[level + 1].slot + 1, &key, right, is_right, d);
	if (err || !is_right) {
		block_put(right);
		return err;
	}
	block_put(left);
	edit->path[level].block = right;
	edit->path[level].slot -= half;
	*slot -= half;
	return 0;
}

/* Put a pointer at @slot, just behind the path's child, to which the path then leads if @do_follow. */
static int insert_pointer(struct edit *edit, u8 level, u32 slot, const struct key *key, const struct tree_block *child,
			  bool do_follow, struct diag *d)
{
	u32 nodesize = block_cache_nodesize(edit->root->tree.cache);
	struct tree_block *node = edit->path[level].block;
	int err = node->nritems >= node_max_ptrs(nodesize) ? split_node(edit, level, &slot, d) : 0;

	if (err)
		return err;
	node = edit->path[level].block;
	node_insert(block_bytes(node), slot, key, child->logical, child->generation);
	block_changed(node);
	if (do_follow)
		edit->path[level].slot = slot;
	return 0;
}

/* --- Leaves ---------------------------------------- */

struct leaf_split {
	u32 keep; /* items that stay left */
	bool is_new_right; /* the new item goes right */
	bool is_found;
};

/* The split that leaves both sides most alike, the new item counted. */
static struct leaf_split choose_split(const u8 *leaf, u32 nodesize, u32 slot, u32 new_bytes)
{
	u32 nritems = block_nritems(leaf), total = leaf_used_bytes(leaf) + new_bytes,
	    capacity = leaf_data_bytes(nodesize);
	struct leaf_split best = { 0 };
	u32 best_larger = UINT32_MAX;

	/* Behind all others: items most often come in order, and full leaves should stay behind. */
	if (slot == nritems)
		return (struct leaf_split){ .keep = nritems, .is_new_right = true, .is_found = true };
	for (u32 keep = 0; keep <= nritems; keep++) {
		u32 kept_bytes = leaf_range_bytes(leaf, 0, keep);

		for (unsigned is_right = slot > keep; is_right <= (slot >= keep); is_right++) {
			u32 left = kept_bytes + (is_right ? 0 : new_bytes), larger = MAX(left, total - left);

			if (left == 0 || left == total || larger > capacity || larger >= best_larger)
				continue;
			best_larger = larger;
			best = (struct leaf_split){ .keep = keep, .is_new_right = is_right, .is_found = true };
		}
	}
	return best;
}

/*
 * A new leaf right of the path's, with the items from @keep on. The path leads to the leaf for the new item, at its
 * slot. *key: of the new item, which will be the first of the right leaf if that has no other.
 */
static int split_leaf(struct edit *edit, const struct key *key, struct leaf_split split, struct diag *d)
{
	u32 nodesize = block_cache_nodesize(edit->root->tree.cache), slot = edit->path[0].slot;
	struct tree_block *left = edit->path[0].block, *right;
	struct key first;
	int err = new_block(edit, 0, &right, d);

	if (err)
		return err;
	leaf_move_right(block_bytes(left), block_bytes(right), nodesize, left->nritems - split.keep);
	block_changed(left);
	block_changed(right);
	first = split.is_new_right && slot == split.keep ? *key : leaf_key(right->data, 0);
	err = insert_pointer(edit, 1, edit->path[1].slot + 1, &first, right, split.is_new_right, d);
	if (err || !split.is_new_right) {
		block_put(right);
		return err;
	}
	block_put(left);
	edit->path[0] = (struct cursor_step){ .block = right, .slot = slot - split.keep };
	return 0;
}

int edit_make_room(struct edit *edit, const struct key *key, u32 size, struct diag *d)
{
	u32 nodesize = block_cache_nodesize(edit->root->tree.cache), slot = edit->path[0].slot;
	struct leaf_split split =
		choose_split(edit->path[0].block->data, nodesize, slot, size + (u32)sizeof(struct disk_item));
	int err = edit->root_level == 0 ? grow(edit, d) : 0;

	if (err)
		return err;
	if (split.is_found)
		return split_leaf(edit, key, split, d);
	/* A big item between two others that leave no room on either side gets a leaf of its own. */
	err = split_leaf(edit, key, (struct leaf_split){ .keep = slot }, d);
	if (err)
		return err;
	return split_leaf(edit, key, (struct leaf_split){ .keep = slot, .is_new_right = true }, d);
}
