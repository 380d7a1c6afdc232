/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/tree/tree.h"

typedef unsigned long long ull;

void cursor_done(struct cursor *cursor)
{
	for (unsigned level = 0; level < LEVEL_MAX; level++) {
		block_put(cursor->path[level].block);
		cursor->path[level].block = NULL;
	}
	cursor->is_positioned = false;
}

/* The first key right of what the path down to @level covers; false: there is none. */
static bool right_bound(const struct cursor *cursor, unsigned level, struct key *ret_key)
{
	for (unsigned above = level; above <= cursor->root_level; above++) {
		const struct cursor_step *step = &cursor->path[above];

		if (step->slot + 1 < step->block->nritems) {
			*ret_key = node_key(step->block->data, step->slot + 1);
			return true;
		}
	}
	return false;
}

static int load_root(struct cursor *cursor, struct diag *d)
{
	const struct block_expect expect = {
		.logical = cursor->tree.root_logical,
		.level = cursor->tree.level,
		.generation = cursor->tree.generation,
		.tree_id = cursor->tree.id,
	};
	struct tree_block *root;
	int err;

	cursor_done(cursor);
	err = block_get(cursor->tree.cache, &expect, &root, d);
	if (err)
		return diag_context(d, err, "root of tree %llu", (ull)cursor->tree.id);
	cursor->root_level = root->level;
	cursor->path[root->level] = (struct cursor_step){ .block = root };
	return 0;
}

/* Load the child that the step at @level points to, in place of what stands below. */
static int load_child(struct cursor *cursor, unsigned level, struct diag *d)
{
	const struct cursor_step *step = &cursor->path[level];
	const struct key first_key = node_key(step->block->data, step->slot);
	struct key limit;
	const struct block_expect expect = {
		.logical = node_blockptr(step->block->data, step->slot),
		.level = (int)level - 1,
		.generation = node_generation(step->block->data, step->slot),
		.tree_id = cursor->tree.id,
		.first_key = &first_key,
		.limit = right_bound(cursor, level, &limit) ? &limit : NULL,
	};
	struct tree_block *child;
	int err = block_get(cursor->tree.cache, &expect, &child, d);

	if (err)
		return err;
	block_put(cursor->path[level - 1].block);
	cursor->path[level - 1] = (struct cursor_step){ .block = child };
	return 0;
}

/* May the walk go on behind the subtree at @level that failed with @err? */
static bool skip_damage(struct cursor *cursor, int err, struct diag *d)
{
	if (!cursor->do_skip_damage || err == -ENOMEM)
		return false;
	cursor->nr_skipped++;
	diag_note(d, DIAG_WARNING, "tree %llu: part is lost: %s", (ull)cursor->tree.id, d ? d->text : "");
	diag_clear(d);
	return true;
}

/* Drop what the path has below @level. */
static void cut_below(struct cursor *cursor, unsigned level)
{
	while (level-- > 0) {
		block_put(cursor->path[level].block);
		cursor->path[level].block = NULL;
	}
}

/* One step forward or back, at the lowest level >= @level where there is room for it. 1: nowhere. */
static int step_aside(struct cursor *cursor, unsigned level, bool is_forward, unsigned *ret_level)
{
	for (; level <= cursor->root_level; level++) {
		struct cursor_step *step = &cursor->path[level];

		if (is_forward ? step->slot + 1 < step->block->nritems : step->slot > 0) {
			step->slot += is_forward ? 1 : (u32)-1;
			cut_below(cursor, level);
			*ret_level = level;
			return 0;
		}
	}
	return 1;
}

/*
 * From the step at @level go down to a leaf, along the left edge when walking forward and along the right one when walking
 * back, around damage if that is wanted.
 */
static int descend_edge(struct cursor *cursor, unsigned level, bool is_forward, struct diag *d)
{
	while (level > 0) {
		int err = load_child(cursor, level, d);

		if (err == 0) {
			level--;
			if (!is_forward)
				cursor->path[level].slot = cursor->path[level].block->nritems - 1;
			continue;
		}
		if (!skip_damage(cursor, err, d))
			return err;
		if (step_aside(cursor, level, is_forward, &level))
			return 1;
	}
	return 0;
}

/* Make the outcome of a movement the cursor's state. */
static int settle(struct cursor *cursor, int err)
{
	cursor->is_positioned = err == 0;
	if (err)
		cursor_done(cursor);
	return err;
}

static int step_item(struct cursor *cursor, bool is_forward, struct diag *d)
{
	unsigned level;

	if (step_aside(cursor, 0, is_forward, &level))
		return 1;
	return descend_edge(cursor, level, is_forward, d);
}

int cursor_next(struct cursor *cursor, struct diag *d)
{
	struct cursor_step *leaf = &cursor->path[0];

	if (!cursor->is_positioned)
		return 1;
	if (leaf->slot + 1 < leaf->block->nritems) {
		leaf->slot++;
		return 0;
	}
	return settle(cursor, step_item(cursor, true, d));
}

int cursor_prev(struct cursor *cursor, struct diag *d)
{
	if (!cursor->is_positioned)
		return 1;
	return settle(cursor, step_item(cursor, false, d));
}

static int go_to_edge(struct cursor *cursor, bool is_first, struct diag *d)
{
	int err = load_root(cursor, d);
	struct cursor_step *root = &cursor->path[cursor->root_level];

	if (err)
		return settle(cursor, err);
	if (root->block->nritems == 0)
		return settle(cursor, 1);
	if (!is_first)
		root->slot = root->block->nritems - 1;
	return settle(cursor, descend_edge(cursor, cursor->root_level, is_first, d));
}

int cursor_first(struct cursor *cursor, struct diag *d)
{
	return go_to_edge(cursor, true, d);
}

int cursor_last(struct cursor *cursor, struct diag *d)
{
	return go_to_edge(cursor, false, d);
}

/* Does the leaf that the cursor holds cover @key, so that no descent is needed? */
static bool leaf_covers(const struct cursor *cursor, const struct key *key)
{
	const struct cursor_step *leaf = &cursor->path[0];
	struct key edge;

	if (!cursor->is_positioned || leaf->block->nritems == 0)
		return false;
	edge = leaf_key(leaf->block->data, 0);
	if (key_compare(key, &edge) < 0)
		return false;
	edge = leaf_key(leaf->block->data, leaf->block->nritems - 1);
	return key_compare(key, &edge) <= 0;
}

/* Search one block; in a node, the slot of the child that covers @key. */
static void search_step(struct cursor_step *step, const struct key *key)
{
	if (block_search(step->block->data, key, &step->slot) == 1 && step->block->level > 0 && step->slot > 0)
		step->slot--;
}

/* Down to the leaf that covers @key. 0; 1: nothing at or after @key, because what covered it is damaged and skipped. */
static int descend_to(struct cursor *cursor, const struct key *key, bool is_forward, struct diag *d)
{
	unsigned level;
	int err = load_root(cursor, d);

	if (err)
		return err;
	level = cursor->root_level;
	if (cursor->path[level].block->nritems == 0)
		return 1;
	search_step(&cursor->path[level], key);
	while (level > 0) {
		err = load_child(cursor, level, d);
		if (err) {
			if (!skip_damage(cursor, err, d))
				return err;
			if (step_aside(cursor, level, is_forward, &level))
				return 1;
			err = descend_edge(cursor, level, is_forward, d);
			return err ? err : 2;
		}
		level--;
		search_step(&cursor->path[level], key);
	}
	return 0;
}

static int land_at_or_after(struct cursor *cursor, struct diag *d)
{
	struct cursor_step *leaf = &cursor->path[0];

	if (leaf->slot < leaf->block->nritems)
		return 0;
	leaf->slot--; /* a leaf that is searched has items */
	return step_item(cursor, true, d);
}

int cursor_seek(struct cursor *cursor, const struct key *key, struct diag *d)
{
	int err;

	if (leaf_covers(cursor, key)) {
		search_step(&cursor->path[0], key);
		return 0;
	}
	err = descend_to(cursor, key, true, d);
	if (err == 2) /* the first item behind the damage: right as it is */
		err = 0;
	else if (err == 0)
		err = land_at_or_after(cursor, d);
	return settle(cursor, err);
}

int cursor_seek_back(struct cursor *cursor, const struct key *key, struct diag *d)
{
	int err = leaf_covers(cursor, key) ? 0 : descend_to(cursor, key, false, d);
	struct cursor_step *leaf = &cursor->path[0];

	if (err == 2)
		return settle(cursor, 0);
	if (err)
		return settle(cursor, err);
	if (block_search(leaf->block->data, key, &leaf->slot) == 1) {
		if (leaf->slot > 0)
			leaf->slot--;
		else
			err = step_item(cursor, false, d);
	}
	return settle(cursor, err);
}

int cursor_find(struct cursor *cursor, const struct key *key, struct diag *d)
{
	int err = cursor_seek(cursor, key, d);
	struct key at;

	if (err)
		return err;
	at = cursor_key(cursor);
	return key_compare(&at, key) == 0 ? 0 : 1;
}
