/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/tree/tree.h"

struct walker {
	const struct tree *tree;
	const struct tree_walk *walk;
	struct cursor_step path[LEVEL_MAX];
	struct key limits[LEVEL_MAX]; /* every key of the block at that level sorts before it */
	bool has_limit[LEVEL_MAX];
};

static void walker_done(struct walker *w)
{
	for (unsigned level = 0; level < LEVEL_MAX; level++)
		block_put(w->path[level].block);
}

/* Read and visit one block. 0: it is held and its children are wanted; 1: leave it. */
static int enter(struct walker *w, const struct block_expect *expect, struct tree_block **ret_block, struct diag *d)
{
	_cleanup_(block_putp) struct tree_block *block = NULL;
	struct diag why;
	int err;

	why.err = 0;
	why.note = d ? d->note : NULL;
	why.note_arg = d ? d->note_arg : NULL;
	err = block_get(w->tree->cache, expect, &block, &why);
	if (err && w->walk->damaged && err != -ENOMEM) {
		err = w->walk->damaged(w->walk->ctx, expect, &why, d);
		return err < 0 ? err : 1;
	}
	if (err)
		return diag_copy(d, &why);
	err = w->walk->visit(w->walk->ctx, block, d);
	if (err)
		return err;
	if (block->level == 0 || block->nritems == 0)
		return 1;
	*ret_block = take_ptr(block);
	return 0;
}

static void child_expect(struct walker *w, unsigned level, struct key *first_key, struct block_expect *ret_expect)
{
	const struct cursor_step *step = &w->path[level];

	*first_key = node_key(step->block->data, step->slot);
	w->has_limit[level - 1] = step->slot + 1 < step->block->nritems || w->has_limit[level];
	if (step->slot + 1 < step->block->nritems)
		w->limits[level - 1] = node_key(step->block->data, step->slot + 1);
	else
		w->limits[level - 1] = w->limits[level];
	*ret_expect = (struct block_expect){
		.logical = node_blockptr(step->block->data, step->slot),
		.level = (int)level - 1,
		.generation = node_generation(step->block->data, step->slot),
		.tree_id = w->tree->id,
		.first_key = first_key,
		.limit = w->has_limit[level - 1] ? &w->limits[level - 1] : NULL,
	};
}

static int walk_below_root(struct walker *w, unsigned root_level, struct diag *d)
{
	unsigned level = root_level;

	while (level <= root_level) {
		struct cursor_step *step = &w->path[level];
		struct block_expect expect;
		struct tree_block *child = NULL;
		struct key first_key;
		int err;

		if (step->slot == step->block->nritems) {
			block_put(step->block);
			*step = (struct cursor_step){ 0 };
			level++;
			continue;
		}
		child_expect(w, level, &first_key, &expect);
		step->slot++;
		err = enter(w, &expect, &child, d);
		if (err < 0)
			return err;
		if (err == 0)
			w->path[--level] = (struct cursor_step){ .block = child };
	}
	return 0;
}

int tree_walk(const struct tree *tree, const struct tree_walk *walk, struct diag *d)
{
	_cleanup_(walker_done) struct walker w = { .tree = tree, .walk = walk };
	const struct block_expect expect = {
		.logical = tree->root_logical,
		.level = tree->level,
		.generation = tree->generation,
		.tree_id = tree->id,
	};
	struct tree_block *root = NULL;
	int err = enter(&w, &expect, &root, d);

	if (err)
		return err < 0 ? err : 0;
	w.path[root->level] = (struct cursor_step){ .block = root };
	return walk_below_root(&w, root->level, d);
}
