/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files behind a tree block that can be read. */
#include "check/paths.h"

/* Below one node so many leaves are looked at; a bad device has many bad blocks. */
#define LEAVES_MAX 256

struct block_search {
	struct path_finder *finder;
	ARRAY(u64) inodes; /* ascending */
	unsigned nr_leaves;
	bool is_cut;
};

bool subvol_reaches_block(struct path_finder *finder, u64 subvol, const struct key *key, u8 level, u64 logical)
{
	struct tree_block *block = NULL;
	struct block_expect expect = { .level = -1 };
	struct fs_root root;
	bool is_there;

	if (fs_subvol_root(finder->view, subvol, &root, NULL) < 0 || root.tree.level < level)
		return false;
	expect.logical = root.tree.root_logical;
	for (int at = root.tree.level; at > level; at--) {
		u32 slot = 0;

		expect.level = at;
		if (block_get(finder->view->cache, &expect, &block, NULL) < 0)
			return false;
		is_there = block->nritems > 0;
		if (is_there && block_search(block->data, key, &slot) != 0)
			slot -= slot > 0;
		if (is_there)
			expect.logical = node_blockptr(block->data, slot);
		block_put(block);
		if (!is_there)
			return false;
	}
	return expect.logical == logical;
}

/* Inodes and their items only; orphans and the like have other objectids. */
static void take_leaf_inodes(struct block_search *search, const struct tree_block *leaf)
{
	for (u32 slot = 0; slot < leaf->nritems; slot++) {
		u64 ino = leaf_key(leaf->data, slot).objectid;

		if (ino < FIRST_FREE_OBJECTID || ino > LAST_FREE_OBJECTID ||
		    (search->inodes.len && search->inodes.items[search->inodes.len - 1] == ino))
			continue;
		if (array_push(&search->inodes, ino) < 0)
			search->is_cut = true;
	}
}

static void take_inodes(struct block_search *search, const struct tree_block *block)
{
	if (block->level == 0) {
		search->nr_leaves++;
		take_leaf_inodes(search, block);
		return;
	}
	for (u32 slot = 0; slot < block->nritems; slot++) {
		const struct block_expect expect = { .logical = node_blockptr(block->data, slot), .level = block->level - 1 };
		_cleanup_(block_putp) struct tree_block *child = NULL;

		if (search->nr_leaves >= LEAVES_MAX) {
			search->is_cut = true;
			return;
		}
		if (block_get(search->finder->view->cache, &expect, &child, NULL) == 0)
			take_inodes(search, child);
	}
}

void paths_of_block(struct path_finder *finder, u64 logical, struct path_list *list)
{
	_cleanup_(block_putp) struct tree_block *block = NULL;
	const struct block_expect expect = { .logical = logical, .level = -1 };
	struct block_search search = { .finder = finder };
	struct key key;

	if (block_get(finder->view->cache, &expect, &block, NULL) < 0 || block->nritems == 0 || !tree_id_is_subvol(block->owner))
		return;
	key = block_key(block->data, 0);
	array_for_each(&finder->subvols, subvol) {
		if (!subvol_reaches_block(finder, *subvol, &key, block->level, logical))
			continue;
		if (!search.inodes.len)
			take_inodes(&search, block);
		array_for_each(&search.inodes, ino)
			path_list_add_inode(list, finder, *subvol, *ino);
		list->is_total_least = list->is_total_least || search.is_cut;
	}
	array_done(&search.inodes);
}
