/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding the place of a change, with copies of all blocks on the way, and changes within one leaf. */
#include "kernel-shared/format/leaf_edit.h"
#include "kernel-shared/tree/edit.h"

typedef unsigned long long ull;

void edit_done(struct edit *edit)
{
	for (unsigned level = 0; level < LEVEL_MAX; level++) {
		block_put(edit->path[level].block);
		edit->path[level].block = NULL;
	}
	edit->is_positioned = false;
}

/* This edit has changed the shape of the tree, and its own path is right again. */
static void reshaped(struct edit *edit)
{
	edit->shape = ++edit->root->shape;
}

/* --- Down the tree ---------------------------------------- */

void edit_set_root(struct edit *edit, struct tree_block *block)
{
	struct tree_root *root = edit->root;

	root->tree.root_logical = block->logical;
	root->tree.generation = block->generation;
	root->tree.level = block->level;
	root->is_changed = true;
	if (root->published)
		*root->published = root->tree;
	edit->root_level = block->level;
	reshaped(edit);
}

static int take_root(struct edit *edit, struct diag *d)
{
	struct tree_root *root = edit->root;
	const struct block_expect expect = {
		.logical = root->tree.root_logical,
		.level = root->tree.level,
		.generation = root->tree.generation,
		.tree_id = root->tree.id,
	};
	_cleanup_(block_putp) struct tree_block *block = NULL;
	struct tree_block *copy;
	int err;

	if (root->is_frozen)
		return diag_fail(d, -EBUSY, "subvolume %llu has just been made: it can be changed after a commit",
				 (ull)root->tree.id);
	err = block_get(root->tree.cache, &expect, &block, d);
	if (err)
		return diag_context(d, err, "root of tree %lld", (long long)root->tree.id);
	edit->root_level = block->level;
	if (block->is_dirty) {
		edit->path[edit->root_level] = (struct cursor_step){ .block = take_ptr(block) };
		return 0;
	}
	err = root->source->ops->cow(root->source, root, block, true, &copy, d);
	if (err)
		return err;
	edit->path[edit->root_level] = (struct cursor_step){ .block = copy };
	edit_set_root(edit, copy);
	return 0;
}

/* The first key right of what the path down to @level covers; false: there is none. */
static bool right_bound(const struct edit *edit, unsigned level, struct key *ret_key)
{
	for (unsigned above = level; above <= edit->root_level; above++) {
		const struct cursor_step *step = &edit->path[above];

		if (step->slot + 1 < step->block->nritems) {
			*ret_key = node_key(step->block->data, step->slot + 1);
			return true;
		}
	}
	return false;
}

int edit_take_child(struct edit *edit, u8 level, u32 slot, struct tree_block **ret_child, struct diag *d)
{
	struct tree_root *root = edit->root;
	struct tree_block *parent = edit->path[level].block, *copy;
	const struct key first_key = node_key(parent->data, slot);
	struct key limit = KEY_MAX;
	const struct block_expect expect = {
		.logical = node_blockptr(parent->data, slot),
		.level = level - 1,
		.generation = node_generation(parent->data, slot),
		.tree_id = root->tree.id,
		.first_key = &first_key,
		.limit = slot + 1 < parent->nritems || right_bound(edit, level + 1U, &limit) ? &limit : NULL,
	};
	_cleanup_(block_putp) struct tree_block *child = NULL;
	int err;

	if (slot + 1 < parent->nritems)
		limit = node_key(parent->data, slot + 1);
	err = block_get(root->tree.cache, &expect, &child, d);
	if (err)
		return err;
	if (child->is_dirty) {
		*ret_child = take_ptr(child);
		return 0;
	}
	err = root->source->ops->cow(root->source, root, child, false, &copy, d);
	if (err)
		return err;
	node_set(block_bytes(parent), slot, copy->logical, copy->generation);
	*ret_child = copy;
	return 0;
}

/* Does the path's block at @level cover @key? The root covers all. */
static bool level_covers(const struct edit *edit, u8 level, const struct key *key)
{
	const struct tree_block *block = edit->path[level].block;
	struct key edge;

	if (level == edit->root_level)
		return true;
	if (block->nritems == 0)
		return false;
	edge = block_key(block->data, 0);
	if (key_compare(key, &edge) < 0)
		return false;
	return !right_bound(edit, level + 1U, &edge) || key_compare(key, &edge) < 0;
}

/* The same for the leaf, of which the last key often decides. */
static bool leaf_covers(const struct edit *edit, const struct key *key)
{
	const struct tree_block *leaf = edit->path[0].block;
	struct key edge;

	if (!edit->is_positioned || edit->shape != edit->root->shape || leaf->nritems == 0)
		return false;
	edge = leaf_key(leaf->data, 0);
	if (key_compare(key, &edge) < 0)
		return false;
	edge = leaf_key(leaf->data, leaf->nritems - 1);
	if (key_compare(key, &edge) <= 0)
		return true;
	return !right_bound(edit, 1, &edge) || key_compare(key, &edge) < 0;
}

/* Hold the block from which the way down to @key begins: of the path as it is what covers the key, else the root. */
static int begin_descent(struct edit *edit, const struct key *key, u8 *ret_level, struct diag *d)
{
	u8 level = 1;

	if (!edit->is_positioned || edit->shape != edit->root->shape || edit->root_level == 0) {
		int err;

		edit_done(edit);
		err = take_root(edit, d);
		*ret_level = edit->root_level;
		return err;
	}
	while (!level_covers(edit, level, key))
		level++;
	for (unsigned below = 0; below < level; below++) {
		block_put(edit->path[below].block);
		edit->path[below].block = NULL;
	}
	edit->is_positioned = false;
	*ret_level = level;
	return 0;
}

static int descend(struct edit *edit, const struct key *key, struct diag *d)
{
	u8 level;
	int err = begin_descent(edit, key, &level, d);

	for (; level > 0 && !err; level--) {
		struct cursor_step *step = &edit->path[level];

		if (block_search(step->block->data, key, &step->slot) == 1 && step->slot > 0)
			step->slot--;
		err = edit_take_child(edit, level, step->slot, &edit->path[level - 1].block, d);
	}
	if (err)
		return err;
	edit->is_positioned = true;
	edit->shape = edit->root->shape;
	return 0;
}

int edit_seek(struct edit *edit, const struct key *key, struct diag *d)
{
	if (!leaf_covers(edit, key)) {
		int err = descend(edit, key, d);

		if (err) {
			edit_done(edit);
			return err;
		}
	}
	return block_search(edit->path[0].block->data, key, &edit->path[0].slot);
}

/* To the first item of the next leaf. */
static int next_leaf(struct edit *edit, struct diag *d)
{
	u8 level = 1;
	int err;

	while (level <= edit->root_level && edit->path[level].slot + 1 >= edit->path[level].block->nritems)
		level++;
	if (level > edit->root_level)
		return 1;
	edit->path[level].slot++;
	while (level > 0) {
		struct tree_block *child;

		err = edit_take_child(edit, level, edit->path[level].slot, &child, d);
		if (err)
			return err;
		level--;
		block_put(edit->path[level].block);
		edit->path[level] = (struct cursor_step){ .block = child };
	}
	return 0;
}

int edit_settle(struct edit *edit, struct diag *d)
{
	int err = 0;

	if (!edit->is_positioned)
		return 1;
	if (edit->path[0].slot >= edit->path[0].block->nritems)
		err = next_leaf(edit, d);
	if (err)
		edit_done(edit);
	return err;
}

int edit_seek_from(struct edit *edit, const struct key *key, struct diag *d)
{
	int err = edit_seek(edit, key, d);

	return err < 0 ? err : edit_settle(edit, d);
}

int edit_next(struct edit *edit, struct diag *d)
{
	if (!edit->is_positioned)
		return 1;
	edit->path[0].slot++;
	return edit_settle(edit, d);
}

/* --- Changes in a leaf ---------------------------------------- */

void edit_fix_first_key(struct edit *edit, u8 level)
{
	const struct key key = block_key(edit->path[level].block->data, 0);

	for (unsigned above = level + 1U; above <= edit->root_level; above++) {
		node_set_key(block_bytes(edit->path[above].block), edit->path[above].slot, &key);
		if (edit->path[above].slot != 0)
			break;
	}
}

int edit_insert_here(struct edit *edit, const struct key *key, u32 size, void **ret_data, struct diag *d)
{
	u32 nodesize = block_cache_nodesize(edit->root->tree.cache);
	struct cursor_step *leaf = &edit->path[0];
	void *data;
	int err = 0;

	if (size > leaf_item_max_bytes(nodesize))
		return diag_fail(d, -EOVERFLOW, "tree %lld: an item of %u bytes fits into no leaf",
				 (long long)edit->root->tree.id, size);
	if (leaf_free_bytes(leaf->block->data, nodesize) < (int)size)
		err = edit_make_room(edit, key, size, d);
	if (err) {
		edit_done(edit);
		return err;
	}
	data = leaf_insert(block_bytes(leaf->block), nodesize, leaf->slot, key, size);
	block_changed(leaf->block);
	if (leaf->slot == 0)
		edit_fix_first_key(edit, 0);
	reshaped(edit);
	*ret_data = data;
	return 0;
}

int edit_insert(struct edit *edit, const struct key *key, u32 size, void **ret_data, struct diag *d)
{
	int err = edit_seek(edit, key, d);

	if (err == 0)
		return diag_fail(d, -EEXIST, "tree %lld: there is an item (%lld %u %llu) already",
				 (long long)edit->root->tree.id, (long long)key->objectid, key->type, (ull)key->offset);
	return err < 0 ? err : edit_insert_here(edit, key, size, ret_data, d);
}

int edit_put(struct edit *edit, const struct key *key, const void *data, u32 size, struct diag *d)
{
	void *room;
	int err = edit_insert(edit, key, size, &room, d);

	if (!err && size)
		memcpy(room, data, size);
	return err;
}

int edit_resize(struct edit *edit, u32 size, struct diag *d)
{
	u32 nodesize = block_cache_nodesize(edit->root->tree.cache);
	struct cursor_step *leaf = &edit->path[0];
	u32 old = edit_data_bytes(edit);
	const struct key key = edit_key(edit);
	_free_ void *kept = NULL;
	void *room;
	int err;

	if (size <= old ||
	    leaf_free_bytes(leaf->block->data, nodesize) + (int)sizeof(struct disk_item) >= (int)(size - old)) {
		leaf_resize(block_bytes(leaf->block), nodesize, leaf->slot, size);
		reshaped(edit);
		return size < old ? edit_rebalance(edit, d) : 0;
	}
	if (size > leaf_item_max_bytes(nodesize))
		return diag_fail(d, -EOVERFLOW, "tree %lld: an item of %u bytes fits into no leaf",
				 (long long)edit->root->tree.id, size);
	/* It has to go to another leaf, perhaps: take it out, make room, put it back. */
	kept = malloc(old ? old : 1);
	if (!kept)
		return diag_no_memory(d, "an item");
	memcpy(kept, edit_data(edit), old);
	leaf_remove(block_bytes(leaf->block), nodesize, leaf->slot, 1);
	block_changed(leaf->block);
	err = edit_insert_here(edit, &key, size, &room, d);
	if (err)
		return err;
	memcpy(room, kept, old);
	memset((u8 *)room + old, 0, size - old);
	return 0;
}

int edit_set_key(struct edit *edit, const struct key *key, struct diag *d)
{
	struct cursor_step *leaf = &edit->path[0];
	struct key other;

	if (leaf->slot > 0) {
		other = leaf_key(leaf->block->data, leaf->slot - 1);
		if (key_compare(&other, key) >= 0)
			return diag_fail(d, -EINVAL, "tree %lld: new key would not sort in its place",
					 (long long)edit->root->tree.id);
	}
	if (leaf->slot + 1 < leaf->block->nritems) {
		other = leaf_key(leaf->block->data, leaf->slot + 1);
		if (key_compare(key, &other) >= 0)
			return diag_fail(d, -EINVAL, "tree %lld: new key would not sort in its place",
					 (long long)edit->root->tree.id);
	} else if (right_bound(edit, 1, &other) && key_compare(key, &other) >= 0) {
		return diag_fail(d, -EINVAL, "tree %lld: new key would not sort in its place",
				 (long long)edit->root->tree.id);
	}
	leaf_set_key(block_bytes(leaf->block), leaf->slot, key);
	if (leaf->slot == 0)
		edit_fix_first_key(edit, 0);
	reshaped(edit);
	return 0;
}

int edit_delete(struct edit *edit, bool *ret_is_on_next, struct diag *d)
{
	struct cursor_step *leaf = &edit->path[0];
	int err;

	leaf_remove(block_bytes(leaf->block), block_cache_nodesize(edit->root->tree.cache), leaf->slot, 1);
	block_changed(leaf->block);
	if (leaf->slot == 0 && leaf->block->nritems)
		edit_fix_first_key(edit, 0);
	reshaped(edit);
	err = edit_rebalance(edit, d);
	if (!err && edit->is_positioned && leaf->slot >= leaf->block->nritems && ret_is_on_next)
		err = edit_settle(edit, d);
	if (ret_is_on_next)
		*ret_is_on_next = err == 0 && edit->is_positioned;
	if (err == 1)
		err = 0;
	return err;
}

int edit_delete_key(struct edit *edit, const struct key *key, struct diag *d)
{
	int err = edit_seek(edit, key, d);

	if (err == 1)
		return diag_fail(d, -ENOENT, "tree %lld: there is no item (%lld %u %llu)",
				 (long long)edit->root->tree.id, (long long)key->objectid, key->type, (ull)key->offset);
	return err ? err : edit_delete(edit, NULL, d);
}
