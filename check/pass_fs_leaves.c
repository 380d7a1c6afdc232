/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the leaves of subvolumes, and folds what they say along each tree. Proves inodes, extents of files, names. Leaves
 * the found references of data in check->groups.
 */
#include "check/block_table.h"
#include "check/inode_part.h"

typedef unsigned long long ull;

struct fs_sweep {
	struct check *check;
	struct fs_fact *facts[LEVEL_MAX]; /* of each block of a level */
};

static bool is_fs_tree(u64 tree)
{
	return tree_id_is_subvol(tree) || tree == DATA_RELOC_TREE_OBJECTID;
}

static bool is_fs_leaf(const struct check *check, const struct block_record *record)
{
	(void)check;
	return is_fs_tree(record->tree) || record->tree == TREE_RELOC_OBJECTID;
}

static bool is_dropping(const struct check *check, u64 tree)
{
	array_for_each(&check->roots, root)
		if (root->id == tree && !root->is_reloc)
			return root->is_dropping;
	return false;
}

static int visit_leaf(void *ctx, unsigned worker, u32 index, const u8 *leaf, struct diag *d)
{
	struct fs_sweep *sweep = ctx;
	struct check *check = sweep->check;
	const struct block_record *record = &check->blocks->level[0].blocks.items[index];

	(void)worker;
	(void)d;
	fs_fact_of_leaf(check, block_cache_check_params(check->fs->cache), leaf, record->tree, &sweep->facts[0][index]);
	return 0;
}

/* The facts of a level's nodes from their children's. */
static void fold_level(struct fs_sweep *sweep, u8 level)
{
	struct block_level *at = &sweep->check->blocks->level[level];
	const struct block_level *below = &sweep->check->blocks->level[level - 1];

	for (u32 i = 0; i < at->blocks.len; i++) {
		const struct block_record *node = &at->blocks.items[i];
		struct fs_fact *fact = &sweep->facts[level][i];

		/* What is being deleted is not whole. */
		if (!is_fs_tree(node->tree) || node->state != BLOCK_GOOD || is_dropping(sweep->check, node->tree)) {
			fact->is_unknown = true;
			continue;
		}
		for (u32 c = 0; c < node->nr_children; c++) {
			u32 child = at->children.items[node->first_child + c];
			struct fs_fact unknown = { .is_unknown = true };

			if (child == BLOCK_NONE || below->blocks.items[child].state != BLOCK_GOOD)
				fs_fact_join(sweep->check, fact, &unknown);
			else
				fs_fact_join(sweep->check, fact, &sweep->facts[level - 1][child]);
		}
	}
}

static int judge_names(struct check *check, const struct check_root *root, const struct fs_fact *fact, struct diag *d)
{
	const struct fs_sums *sums = &fact->sums;

	if (fact->is_unknown || (sums->index_names == sums->ref_names && sums->index_entries == sums->item_entries &&
				 sums->entry_types == sums->inode_types))
		return 0;
	return detail_names(check, root, d);
}

static int finish_roots(struct fs_sweep *sweep, struct diag *d)
{
	struct check *check = sweep->check;
	int err = 0;

	for (size_t i = 0; i < check->roots.len && !err; i++) {
		const struct check_root *root = &check->roots.items[i];
		struct fs_fact fact;

		if (root->is_reloc || !is_fs_tree(root->id) || root->root_block == BLOCK_NONE || root->is_dropping)
			continue;
		if (check->options->subvol && check->options->subvol != root->id)
			continue;
		if (check->blocks->level[root->level].blocks.items[root->root_block].state != BLOCK_GOOD)
			continue;
		fact = sweep->facts[root->level][root->root_block];
		fs_fact_finish(check, &fact);
		check->result->nr_inodes += fact.sums.nr_inodes;
		check->result->nr_subvols += tree_id_is_subvol(root->id);
		if (fact.head.ino == 0 && !fact.is_unknown)
			complain(check, SUBVOL_EMPTY, AT(.tree = root->id), (ull)root->id);
		err = judge_names(check, root, &fact, d);
		if (!err && !fact.is_unknown && !check->is_incomplete)
			judge_subvol_entries(check, root->id, fact.sums.subvol_names);
	}
	return err;
}

int pass_fs_leaves(struct check *check, struct diag *d)
{
	struct fs_sweep ctx = { .check = check };
	const struct block_sweep sweep = { .wanted = is_fs_leaf, .visit = visit_leaf, .ctx = &ctx };
	int err = 0;

	for (unsigned l = 0; l < LEVEL_MAX && !err; l++) {
		ctx.facts[l] = calloc(MAX(check->blocks->level[l].blocks.len, (size_t)1), sizeof(**ctx.facts));
		if (!ctx.facts[l])
			err = diag_no_memory(d, "the table of inodes");
	}
	if (!err)
		err = block_table_sweep(check, 0, &sweep, d);
	for (u8 level = 1; level < LEVEL_MAX && !err; level++)
		fold_level(&ctx, level);
	if (!err)
		err = finish_roots(&ctx, d);
	for (unsigned l = 0; l < LEVEL_MAX; l++)
		free(ctx.facts[l]);
	return err;
}
