/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After deletions: empty blocks go, nearly empty ones are merged with a neighbour, the tree loses levels. */
#include "kernel-shared/format/leaf_edit.h"
#include "kernel-shared/tree/edit.h"

static int free_block(struct edit *edit, struct tree_block *block, struct diag *d)
{
	int err = edit->root->source->ops->free(edit->root->source, edit->root, block, d);

	block_put(block);
	return err;
}

/* Take the pointer at @slot out of the path's node at @level. */
static void remove_pointer(struct edit *edit, u8 level, u32 slot)
{
	struct tree_block *node = edit->path[level].block;

	node_remove(block_bytes(node), slot, 1);
	block_changed(node);
	if (slot == 0 && node->nritems)
		edit_fix_first_key(edit, level);
}

static u32 used_bytes(const u8 *block)
{
	return block_level(block) ? block_nritems(block) * (u32)sizeof(struct disk_key_ptr) : leaf_used_bytes(block);
}

/* The bytes used by the neighbour at @slot of the node at @level; UINT32_MAX: it cannot be read, which is no harm here.
 */
static u32 neighbour_bytes(struct edit *edit, u8 level, u32 slot)
{
	const struct tree_block *parent = edit->path[level].block;
	const struct block_expect expect = {
		.logical = node_blockptr(parent->data, slot),
		.level = level - 1,
		.generation = node_generation(parent->data, slot),
		.tree_id = edit->root->tree.id,
	};
	_cleanup_(block_putp) struct tree_block *block = NULL;

	if (block_get(edit->root->tree.cache, &expect, &block, NULL) < 0)
		return UINT32_MAX;
	return used_bytes(block->data);
}

static void move_all_left(struct tree_block *from, struct tree_block *to, u32 nodesize)
{
	if (from->level)
		node_move_left(block_bytes(from), block_bytes(to), from->nritems);
	else
		leaf_move_left(block_bytes(from), block_bytes(to), nodesize, from->nritems);
	block_changed(from);
	block_changed(to);
}

/* Merge the path's block at @level with its neighbour at @slot of the parent, and free the right one of the two. */
static int merge(struct edit *edit, u8 level, u32 slot, struct diag *d)
{
	u32 nodesize = block_cache_nodesize(edit->root->tree.cache), own_slot = edit->path[level + 1].slot;
	struct tree_block *neighbour, *own = edit->path[level].block;
	int err = edit_take_child(edit, (u8)(level + 1), slot, &neighbour, d);

	if (err)
		return err;
	if (slot > own_slot) {
		move_all_left(neighbour, own, nodesize);
		remove_pointer(edit, (u8)(level + 1), slot);
		return free_block(edit, neighbour, d);
	}
	edit->path[level].slot += neighbour->nritems;
	move_all_left(own, neighbour, nodesize);
	remove_pointer(edit, (u8)(level + 1), own_slot);
	edit->path[level].block = neighbour;
	edit->path[level + 1].slot = slot;
	return free_block(edit, own, d);
}

/* 1: there is a neighbour with which the block at @level fits into one, three quarters full; it is at *ret_slot. */
static int find_neighbour(struct edit *edit, u8 level, u32 *ret_slot)
{
	u32 most = leaf_data_bytes(block_cache_nodesize(edit->root->tree.cache)) / 4 * 3;
	const struct cursor_step *parent = &edit->path[level + 1];
	u32 own = used_bytes(edit->path[level].block->data);

	for (int side = 0; side < 2; side++) {
		u32 slot = side ? parent->slot - 1 : parent->slot + 1, other;

		if (side ? parent->slot == 0 : slot >= parent->block->nritems)
			continue;
		other = neighbour_bytes(edit, (u8)(level + 1), slot);
		if (other > most || other + own > most)
			continue;
		*ret_slot = slot;
		return 1;
	}
	return 0;
}

/* The root has one child left: that becomes the root. */
static int collapse(struct edit *edit, struct diag *d)
{
	while (edit->root_level > 0 && edit->path[edit->root_level].block->nritems == 1) {
		struct tree_block *top = edit->path[edit->root_level].block;
		u8 level = edit->root_level;
		int err = 0;

		if (!edit->path[level - 1].block)
			err = edit_take_child(edit, level, 0, &edit->path[level - 1].block, d);
		if (err)
			return err;
		edit->path[level].block = NULL;
		edit_set_root(edit, edit->path[level - 1].block);
		err = free_block(edit, top, d);
		if (err)
			return err;
	}
	return 0;
}

/* All blocks of the tree are empty but the root, which is to be an empty leaf. */
static int make_empty(struct edit *edit, struct diag *d)
{
	struct tree_block *top = edit->path[edit->root_level].block, *leaf;
	int err = edit->root->source->ops->alloc(edit->root->source, edit->root, 0, &leaf, d);

	if (err)
		return err;
	edit->path[edit->root_level].block = NULL;
	edit->path[0] = (struct cursor_step){ .block = leaf };
	edit_set_root(edit, leaf);
	return free_block(edit, top, d);
}

int edit_rebalance(struct edit *edit, struct diag *d)
{
	u32 little = leaf_data_bytes(block_cache_nodesize(edit->root->tree.cache)) / 4, slot;
	bool is_lost = false; /* the leaf stood in is gone */
	u8 level = 0;
	int err = 0;

	for (; level < edit->root_level && !err; level++) {
		struct tree_block *block = edit->path[level].block;

		if (block->nritems == 0) {
			edit->path[level].block = NULL;
			remove_pointer(edit, (u8)(level + 1), edit->path[level + 1].slot);
			err = free_block(edit, block, d);
			is_lost = true;
		} else if (used_bytes(block->data) < little && find_neighbour(edit, level, &slot)) {
			err = merge(edit, level, slot, d);
		} else {
			break;
		}
	}
	if (!err && edit->root_level > 0 && edit->path[edit->root_level].block->nritems == 0)
		err = make_empty(edit, d);
	else if (!err)
		err = collapse(edit, d);
	if (err || is_lost)
		edit_done(edit);
	edit->shape = edit->root->shape;
	return err;
}
