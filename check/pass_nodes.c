/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads all nodes, from the highest level down. Proves their order of keys, and with each pointer what its child must be.
 * Leaves the table of all blocks, of which the leaves are not read yet.
 */
#include "check/block_table.h"
#include "check/leaf_extent.h"
#include "check/quota_groups.h"

struct node_sweep {
	struct check *check;
	u8 level;
	struct worker {
		ARRAY(struct block_pointer) found;
	} *workers;
};

u32 node_first_slot(const struct check *check, const struct block_record *record, const u8 *node, u8 level)
{
	const struct check_root *root = &check->roots.items[record->root];
	u32 slot;

	if (!root->is_dropping || root->is_reloc || level < root->drop_level || level == 0)
		return 0;
	if (block_search(node, &root->drop_progress, &slot) == 0)
		return slot;
	/* The child that holds the place begins before it. Nodes right of it are whole. */
	return slot > 0 ? slot - 1 : 0;
}

static int visit_node(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *node, struct diag *d)
{
	struct node_sweep *sweep = ctx;
	struct check *check = sweep->check;
	struct worker *own = &sweep->workers[worker];
	u32 nr = block_nritems(node), first = node_first_slot(check, record, node, sweep->level);

	(void)n;
	own->found.len = 0;
	if (array_reserve(&own->found, nr) < 0)
		return diag_no_memory(d, "the table of blocks");
	for (u32 slot = first; slot < nr; slot++) {
		if (node_generation(node, slot) == 0)
			complain(check, POINTER_GENERATION_ZERO, AT(.tree = record->tree, .logical = record->logical),
				 (unsigned long long)record->logical, (long long)record->tree, slot);
		own->found.items[own->found.len++] = (struct block_pointer){
			.logical = node_blockptr(node, slot),
			.generation = node_generation(node, slot),
			.first_key = node_key(node, slot),
			/* The limit of a node's last child is the node's own. */
			.limit = slot + 1 < nr ? node_key(node, slot + 1) : record->limit,
			.root = record->root,
			.parent = record->index,
			.slot = slot,
			.owner_root = record->owner_root,
		};
	}
	return block_table_point(check->blocks, (u8)(sweep->level - 1), own->found.items, own->found.len, d);
}

/* What is below a node of the extent tree that cannot be read is a hole between its neighbours. */
static int after_nodes(void *ctx, const struct block_batch *batch, struct diag *d)
{
	struct node_sweep *sweep = ctx;

	return extent_facts_add_unread(sweep->check, batch, d);
}

static int sweep_level(struct check *check, u8 level, struct diag *d)
{
	struct node_sweep ctx = { .check = check, .level = level };
	const struct block_sweep sweep = { .visit = visit_node, .after = after_nodes, .ctx = &ctx };
	int err;

	ctx.workers = calloc(pool_threads(check->pool), sizeof(*ctx.workers));
	if (!ctx.workers)
		return diag_no_memory(d, "the table of blocks");
	err = block_table_sweep(check, level, &sweep, d);
	for (unsigned w = 0; w < pool_threads(check->pool); w++)
		array_done(&ctx.workers[w].found);
	free(ctx.workers);
	return err;
}

int pass_nodes(struct check *check, struct diag *d)
{
	int err = 0;

	simple_quotas_begin(check);
	for (u8 level = LEVEL_MAX - 1; level > 0 && !err; level--) {
		err = block_table_make_level(check, level, d);
		if (!err)
			err = sweep_level(check, level, d);
	}
	if (!err)
		err = block_table_make_level(check, 0, d);
	for (u8 l = 0; l < LEVEL_MAX; l++)
		check->result->nr_blocks += block_table_count(check->blocks, l);
	return err;
}

/* --- Owners --------------------------------------------------------------------------------------------------------- */

/*
 * A block whose references are recorded by tree is one of the tree that it names, also when snapshots share it. Nearly all
 * are found to be so on the way down, because their parent is one of that tree and names it, too; for others the tree is
 * asked for their place.
 */
int pass_owners(struct check *check, struct diag *d)
{
	struct sorter *suspects;
	const void *record;
	int err = block_table_take_suspects(check->blocks, &suspects, d);

	while (!err && (err = sorter_next(suspects, &record, d)) == 0) {
		const struct block_suspect *suspect = record;

		if (!check_is_full_backref(check, 0, suspect->logical) &&
		    !check_leads_to(check, suspect->owner, suspect->level, &suspect->first_key, suspect->logical))
			complain(check, BLOCK_OWNER_WRONG, AT(.tree = suspect->tree, .logical = suspect->logical),
				 (unsigned long long)suspect->logical, (long long)suspect->tree, (long long)suspect->owner);
		if (atomic_load(&check->cancel->is_requested))
			err = diag_fail(d, -ECANCELED, "cancelled");
	}
	sorter_free(suspects);
	return err < 0 ? err : ranges_error(&check->full_backrefs, d);
}
