/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads all nodes, from the highest level down. Proves their order of keys, and with each pointer what its child must be.
 * Leaves the table of all blocks, with the leaves' pointers made but not read.
 */
#include "check/block_table.h"


struct node_sweep {
	struct check *check;
	u8 level;
	struct worker {
		ARRAY(struct block_pointer) found;
	} *workers;
};

/* Of a subvolume that is being deleted, what lies before the place that the deletion has come to is gone. */
static u32 first_living_slot(const struct check *check, const struct block_record *record, const u8 *node, u8 level)
{
	u32 slot;

	array_for_each(&check->roots, root) {
		if (!root->is_dropping || root->is_reloc || root->id != record->tree || level < root->drop_level || level == 0)
			continue;
		if (block_search(node, &root->drop_progress, &slot) == 0)
			return slot;
		/* The child that holds the place begins before it. Nodes right of it are whole. */
		return slot > 0 ? slot - 1 : 0;
	}
	return 0;
}

static int visit_node(void *ctx, unsigned worker, u32 index, const u8 *node, struct diag *d)
{
	struct node_sweep *sweep = ctx;
	struct check *check = sweep->check;
	struct block_record *record = &check->blocks->level[sweep->level].blocks.items[index];
	u32 nr = block_nritems(node), first = first_living_slot(check, record, node, sweep->level);
	struct worker *own = &sweep->workers[worker];

	if (array_reserve(&own->found, nr) < 0)
		return diag_no_memory(d, "the table of blocks");
	record->nr_children = nr - first;
	for (u32 slot = first; slot < nr; slot++) {
		if (node_generation(node, slot) == 0)
			complain(check, POINTER_GENERATION_ZERO, AT(.tree = record->tree, .logical = record->logical),
				 (unsigned long long)record->logical, (long long)record->tree, slot);
		own->found.items[own->found.len++] = (struct block_pointer){
			.logical = node_blockptr(node, slot),
			.generation = node_generation(node, slot),
			.first_key = node_key(node, slot),
			.limit = slot + 1 < nr ? node_key(node, slot + 1) : KEY_MAX,
			.tree = record->tree,
			.parent = index,
			.slot = slot - first,
		};
	}
	return 0;
}

/* The limit of a node's last child is the node's own. */
static void inherit_limits(struct check *check, u8 level)
{
	struct block_level *at = &check->blocks->level[level], *below = &check->blocks->level[level - 1];

	array_for_each(&below->pointers, pointer) {
		u64 parent;

		if (pointer->parent == BLOCK_NONE || key_compare(&pointer->limit, &KEY_MAX) != 0)
			continue;
		parent = at->blocks.items[pointer->parent].logical;
		pointer->limit = at->pointers.items[array_lower_bound(&at->pointers, it, it->logical < parent)].limit;
	}
}

static int gather(struct node_sweep *sweep, struct diag *d)
{
	struct check *check = sweep->check;
	struct block_level *at = &check->blocks->level[sweep->level];
	u32 nr_children = 0;

	array_for_each(&at->blocks, record) {
		record->first_child = nr_children;
		nr_children += record->nr_children;
	}
	if (array_reserve(&at->children, MAX(nr_children, 1U)) < 0)
		return diag_no_memory(d, "the table of blocks");
	at->children.len = nr_children;
	for (u32 i = 0; i < nr_children; i++)
		at->children.items[i] = BLOCK_NONE;
	for (unsigned w = 0; w < pool_threads(check->pool); w++)
		array_for_each(&sweep->workers[w].found, pointer) {
			int err = block_table_point(check->blocks, (u8)(sweep->level - 1), pointer, d);

			if (err)
				return err;
		}
	inherit_limits(check, sweep->level);
	return 0;
}

static int sweep_level(struct check *check, u8 level, struct diag *d)
{
	struct node_sweep ctx = { .check = check, .level = level };
	const struct block_sweep sweep = { .visit = visit_node, .ctx = &ctx };
	int err;

	ctx.workers = calloc(pool_threads(check->pool), sizeof(*ctx.workers));
	if (!ctx.workers)
		return diag_no_memory(d, "the table of blocks");
	err = block_table_sweep(check, level, &sweep, d);
	if (!err)
		err = gather(&ctx, d);
	for (unsigned w = 0; w < pool_threads(check->pool); w++)
		array_done(&ctx.workers[w].found);
	free(ctx.workers);
	return err;
}

/* --- Owners --------------------------------------------------------------------------------------------------------- */

/* Blocks of a tree that it owns itself, below one of its nodes. */
static u64 mark_owned(struct check *check, const struct check_root *root, u8 level, u32 index, u64 budget)
{
	struct block_level *at = &check->blocks->level[level];
	struct block_record *record;

	if (index == BLOCK_NONE || budget == 0)
		return budget;
	budget--;
	record = &at->blocks.items[index];
	record->is_reached_by_owner = record->is_reached_by_owner || record->owner == root->id;
	if (level > 0 && record->state == BLOCK_GOOD)
		for (u32 i = 0; i < record->nr_children; i++)
			budget = mark_owned(check, root, (u8)(level - 1), at->children.items[record->first_child + i], budget);
	return budget;
}

/*
 * A block whose references are recorded by tree is one of the tree that it names, also when snapshots share it. Proving
 * that takes a walk over each subvolume's nodes in memory; with very many snapshots of a very large subvolume it is left out.
 */
int pass_owners(struct check *check, struct diag *d)
{
	u64 budget = 2000000000;

	(void)d;
	array_for_each(&check->roots, root)
		if (!root->is_reloc && budget)
			budget = mark_owned(check, root, root->level, root->root_block, budget);
	for (unsigned level = 0; level < LEVEL_MAX && budget; level++)
		array_for_each(&check->blocks->level[level].blocks, record)
			if (record->state == BLOCK_GOOD && !record->is_reached_by_owner && record->tree != TREE_RELOC_OBJECTID &&
			    !check_is_full_backref(check, record->logical))
				complain(check, BLOCK_OWNER_WRONG, AT(.tree = record->tree, .logical = record->logical),
					 (unsigned long long)record->logical, (long long)record->tree, (long long)record->owner);
	return 0;
}

int pass_nodes(struct check *check, struct diag *d)
{
	int err = 0;

	for (u8 level = LEVEL_MAX - 1; level > 0 && !err; level--) {
		err = block_table_make_level(check, level, d);
		if (!err && check->blocks->level[level].blocks.len)
			err = sweep_level(check, level, d);
	}
	if (!err)
		err = block_table_make_level(check, 0, d);
	for (unsigned l = 0; l < LEVEL_MAX; l++)
		check->result->nr_blocks += check->blocks->level[l].blocks.len;
	return err;
}
