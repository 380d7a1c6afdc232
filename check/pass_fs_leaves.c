/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the leaves of subvolumes, and folds what they say along each tree. Proves inodes, extents of files, names. Leaves
 * the found references of data in check->groups.
 *
 * Leaves are read in order of address, and their facts are needed in order of keys, under each of their parents. Neighbours
 * that come in one batch are joined at once, which on most filesystems are nearly all of them; the rest is sorted by parent
 * and slot, and joined when all leaves have been read. The facts of nodes go the same way to the next level.
 */
#include "check/block_table.h"
#include "check/inode_part.h"

typedef unsigned long long ull;

/* What is known of some neighbouring children of a node. */
struct child_fact {
	u32 parent, slot; /* of the first of them */
	struct fs_fact fact;
};

/* A pointer to a block of the batch. */
struct upward {
	struct block_link link;
	u32 block; /* in the batch */
};

struct fs_sweep {
	struct check *check;
	struct fs_fact *facts; /* of each block of the batch */
	ARRAY(struct upward) upward;
	struct sorter *below[LEVEL_MAX]; /* struct child_fact: of the children of a level's nodes */
	struct sorter *whole; /* the same of whole trees: the slot is the root's index */
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

static int visit_leaf(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *leaf, struct diag *d)
{
	struct fs_sweep *sweep = ctx;

	(void)d;
	fs_fact_of_leaf(sweep->check, worker, leaf, record, &sweep->facts[n]);
	return 0;
}

/* --- Whole trees ------------------------------------------------------------------------------------------------------ */

static int judge_names(struct check *check, const struct check_root *root, const struct fs_fact *fact, struct diag *d)
{
	const struct fs_sums *sums = &fact->sums;

	if (fact->is_unknown || (sums->index_names == sums->ref_names && sums->index_entries == sums->item_entries &&
				 sums->entry_types == sums->inode_types))
		return 0;
	return detail_names(check, root, d);
}

/* @fact is that of all of a tree. */
static int finish_root(struct check *check, u32 index, const struct fs_fact *whole, struct diag *d)
{
	const struct check_root *root = &check->roots.items[index];
	struct fs_fact fact = *whole;
	int err;

	if (root->is_reloc || !is_fs_tree(root->id) || (fact.head.ino == HOLE_INO && !fact.has_cut))
		return 0;
	if (check->options->subvol && check->options->subvol != root->id)
		return 0;
	fs_fact_finish(check, &fact);
	check->result->nr_inodes += fact.sums.nr_inodes;
	check->result->nr_subvols += tree_id_is_subvol(root->id);
	if (fact.head.ino == 0 && !fact.is_unknown)
		complain(check, SUBVOL_EMPTY, AT(.tree = root->id), (ull)root->id);
	err = judge_names(check, root, &fact, d);
	if (!err && !fact.is_unknown && !check->is_incomplete)
		judge_subvol_entries(check, root->id, fact.sums.subvol_names);
	return err;
}

/* --- Upward ------------------------------------------------------------------------------------------------------------ */

static int by_parent(const void *a, const void *b)
{
	const struct child_fact *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int by_link(const void *a, const void *b)
{
	const struct block_link *x = &((const struct upward *)a)->link, *y = &((const struct upward *)b)->link;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int hand_up(struct fs_sweep *sweep, u8 level, const struct child_fact *fact, struct diag *d)
{
	return sorter_add(fact->parent == BLOCK_NONE ? sweep->whole : sweep->below[level + 1], fact, 1, d);
}

/* The facts of a batch of @level to the parents, those of neighbours as one. Deleted subvolumes are not put together. */
static int hand_up_batch(struct fs_sweep *sweep, const struct block_batch *batch, struct diag *d)
{
	struct child_fact joined = { .parent = BLOCK_NONE };
	u32 next_slot = 0;
	int err = 0;

	sweep->upward.len = 0;
	if (array_reserve(&sweep->upward, batch->links.len) < 0)
		return diag_no_memory(d, "the table of inodes");
	for (u32 i = 0; i < batch->blocks.len; i++)
		for (u32 l = 0; l < batch->blocks.items[i].nr_links; l++) {
			const struct block_link link = batch->links.items[batch->blocks.items[i].first_link + l];

			if (!link.is_of_deleted)
				sweep->upward.items[sweep->upward.len++] = (struct upward){ link, i };
		}
	array_sort(&sweep->upward, by_link);
	for (size_t i = 0; i < sweep->upward.len && !err; i++) {
		const struct upward *up = &sweep->upward.items[i];

		if (i > 0 && up->link.parent != BLOCK_NONE && up->link.parent == joined.parent && up->link.slot == next_slot) {
			fs_fact_join(sweep->check, &joined.fact, &sweep->facts[up->block]);
		} else {
			if (i > 0)
				err = hand_up(sweep, batch->level, &joined, d);
			joined = (struct child_fact){ up->link.parent, up->link.slot, sweep->facts[up->block] };
		}
		next_slot = up->link.slot + 1;
	}
	if (!err && sweep->upward.len)
		err = hand_up(sweep, batch->level, &joined, d);
	return err;
}

static int after_leaves(void *ctx, const struct block_batch *batch, struct diag *d)
{
	struct fs_sweep *sweep = ctx;

	for (size_t i = 0; i < batch->blocks.len; i++)
		if (batch->blocks.items[i].state != BLOCK_GOOD)
			sweep->facts[i] = FS_FACT_HOLE;
	return hand_up_batch(sweep, batch, d);
}

/* The facts of a level's children, in the order of their parents. */
struct children {
	struct sorter *sorter;
	const struct child_fact *next; /* NULL: there is none left */
};

static int read_child(struct children *children, struct diag *d)
{
	const void *record;
	int err = sorter_next(children->sorter, &record, d);

	children->next = err ? NULL : record;
	return err < 0 ? err : 0;
}

/* The fact of a node from those of its children. */
static int fold_node(struct fs_sweep *sweep, const struct block_record *node, struct children *children, struct fs_fact *ret_fact,
		     struct diag *d)
{
	struct fs_fact fact = { 0 };
	bool has_any = false;
	int err = 0;

	while (!err && children->next && children->next->parent <= node->index) {
		if (children->next->parent == node->index) {
			fs_fact_join(sweep->check, &fact, &children->next->fact);
			has_any = true;
		}
		err = read_child(children, d);
	}
	if (!has_any || !is_fs_tree(node->tree))
		fact = FS_FACT_HOLE;
	*ret_fact = fact;
	return err;
}

static int fold_level(struct fs_sweep *sweep, u8 level, struct diag *d)
{
	struct block_batches batches = block_batches_of(sweep->check, level, NULL);
	struct children children = { .sorter = sweep->below[level] };
	int err = sorter_sort(children.sorter, d);

	if (!err)
		err = read_child(&children, d);
	while (!err && (err = block_batches_next(&batches, d)) == 0) {
		for (size_t i = 0; i < batches.batch.blocks.len && !err; i++)
			err = fold_node(sweep, &batches.batch.blocks.items[i], &children, &sweep->facts[i], d);
		if (!err)
			err = hand_up_batch(sweep, &batches.batch, d);
		if (!err)
			err = sweep->check->sink.err;
	}
	block_batches_done(&batches);
	sorter_free(children.sorter);
	sweep->below[level] = NULL;
	return err < 0 ? err : 0;
}

static int finish_roots(struct fs_sweep *sweep, struct diag *d)
{
	const void *record;
	int err = sorter_sort(sweep->whole, d);

	while (!err && (err = sorter_next(sweep->whole, &record, d)) == 0) {
		const struct child_fact *whole = record;

		err = finish_root(sweep->check, whole->slot, &whole->fact, d);
	}
	return err < 0 ? err : 0;
}

static int sweep_new(struct fs_sweep *sweep)
{
	struct check *check = sweep->check;
	int err = 0;

	sweep->facts = calloc(block_batch_max(check), sizeof(*sweep->facts));
	for (unsigned l = 1; l < LEVEL_MAX && !err; l++)
		err = sorter_new(&check->spill, sizeof(struct child_fact), check->memory_bytes / (l == 1 ? 8 : 32), by_parent,
				 &sweep->below[l]);
	if (!err)
		err = sorter_new(&check->spill, sizeof(struct child_fact), check->memory_bytes / 32, by_parent, &sweep->whole);
	return sweep->facts ? err : -ENOMEM;
}

int pass_fs_leaves(struct check *check, struct diag *d)
{
	struct fs_sweep ctx = { .check = check };
	const struct block_sweep sweep = { .wanted = is_fs_leaf, .visit = visit_leaf, .after = after_leaves, .ctx = &ctx };
	int err = sweep_new(&ctx) < 0 ? diag_no_memory(d, "the table of inodes") : 0;

	if (!err)
		err = block_table_sweep(check, 0, &sweep, d);
	if (!err)
		err = ranges_error(&check->csums, d);
	if (!err)
		err = ranges_error(&check->full_backrefs, d);
	for (u8 level = 1; level < LEVEL_MAX && !err; level++)
		err = fold_level(&ctx, level, d);
	if (!err)
		err = finish_roots(&ctx, d);
	sorter_free(ctx.whole);
	for (unsigned l = 1; l < LEVEL_MAX; l++)
		sorter_free(ctx.below[l]);
	array_done(&ctx.upward);
	free(ctx.facts);
	return err;
}
