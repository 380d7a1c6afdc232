/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The blocks of subvolumes that a batch moves: found by following the marks down from all roots, each looked at once;
 * then rewritten, children before parents, so that a parent finds the new addresses of its children.
 *
 * Who refers to what is known from the blocks themselves: a block whose references are recorded by its address refers
 * from its old one, and then from its new one; any other one as its owner, before and after. As each block is met once,
 * each reference is changed once. If the extent tree counts others, somebody refers to a block or an extent whom the
 * walk does not know, and nothing is moved.
 */
#include "kernel-shared/format/leaf_edit.h"
#include "kernel-shared/relocate/move_extents.h"

typedef unsigned long long ull;

void moving_batch_done(struct moving_batch *batch)
{
	array_done(&batch->blocks);
	array_done(&batch->order);
	free(batch->slots);
	batch->slots = NULL;
	batch->nr_slots = 0;
}

/* --- The table of blocks ---------------------------------------- */

static size_t slot_of(const struct moving_batch *batch, u64 logical)
{
	size_t at = (size_t)((logical >> 12) * 0x9E3779B97F4A7C15ULL >> 32) & (batch->nr_slots - 1);

	while (batch->slots[at] && batch->blocks.items[batch->slots[at] - 1].logical != logical)
		at = (at + 1) & (batch->nr_slots - 1);
	return at;
}

static struct moving_block *find_block(const struct moving_batch *batch, u64 logical)
{
	u32 slot = batch->nr_slots ? batch->slots[slot_of(batch, logical)] : 0;

	return slot ? &batch->blocks.items[slot - 1] : NULL;
}

static int grow_table(struct moving_batch *batch)
{
	size_t wanted = batch->nr_slots ? batch->nr_slots * 2 : 1024;
	u32 *slots = calloc(wanted, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(batch->slots);
	batch->slots = slots;
	batch->nr_slots = wanted;
	for (size_t i = 0; i < batch->blocks.len; i++)
		slots[slot_of(batch, batch->blocks.items[i].logical)] = (u32)i + 1;
	return 0;
}

static int add_block(struct moving_batch *batch, const struct tree_block *block, u32 *ret_index, struct diag *d)
{
	const struct moving_block new = {
		.logical = block->logical,
		.generation = block->generation,
		.level = block->level,
		.nr_refs = 1,
	};

	if (batch->blocks.len >= UINT32_MAX / 2 ||
	    (2 * batch->blocks.len >= batch->nr_slots && grow_table(batch) < 0) || array_push(&batch->blocks, new) < 0)
		return diag_no_memory(d, "tree blocks to be moved");
	*ret_index = (u32)batch->blocks.len - 1;
	batch->slots[slot_of(batch, block->logical)] = *ret_index + 1;
	return 0;
}

/* --- The plan ---------------------------------------- */

static bool is_in_batch(const struct moving_batch *batch, const struct moving_extent *extent)
{
	const struct moving_extent *all = batch->moving->extents.items;

	return extent && extent >= all + batch->first && extent < all + batch->end;
}

static void look_at_leaf(const struct moving_batch *batch, const struct tree_block *leaf, bool *ret_is_moving,
			 bool *ret_is_left)
{
	struct leaf_data_ref ref;

	for (u32 slot = 0; slot < leaf->nritems; slot++) {
		if (!leaf_data_ref_get(leaf->data, slot, &ref) || !moving_is_inside(batch->moving, ref.logical))
			continue;
		if (is_in_batch(batch, moving_find_extent(batch->moving, ref.logical)))
			*ret_is_moving = true;
		else
			*ret_is_left = true;
	}
}

static int look_at_block(struct moving_batch *batch, const struct block_expect *expect, u32 *ret_index, struct diag *d);

static int look_at_children(struct moving_batch *batch, const struct tree_block *node, u64 tree_id, bool *ret_is_moving,
			    bool *ret_is_left, struct diag *d)
{
	int err = 0;

	for (u32 slot = 0; slot < node->nritems && !err; slot++) {
		const struct key first_key = node_key(node->data, slot);
		const struct block_expect expect = {
			.logical = node_blockptr(node->data, slot),
			.level = node->level - 1,
			.generation = node_generation(node->data, slot),
			.tree_id = tree_id,
			.first_key = &first_key,
		};
		u32 index;

		if (!block_marks_has(&batch->moving->marks, expect.logical))
			continue;
		err = look_at_block(batch, &expect, &index, d);
		if (err)
			return err;
		*ret_is_moving = *ret_is_moving || batch->blocks.items[index].is_moving;
		*ret_is_left = *ret_is_left || batch->blocks.items[index].is_left;
	}
	return err;
}

/* What is known of a block below it is known now: does it move? */
static int decide(struct moving_batch *batch, u32 index, bool is_moving, bool is_left, struct diag *d)
{
	struct moving_block *block = &batch->blocks.items[index];
	bool is_inside = moving_is_inside(batch->moving, block->logical);

	if (is_inside && !is_moving && batch->nr_inside < batch->max_blocks)
		is_moving = true;
	if (is_moving && array_push(&batch->order, index) < 0)
		return diag_no_memory(d, "tree blocks to be moved");
	batch->nr_inside += is_inside && is_moving;
	block->is_moving = is_moving;
	block->is_left = is_left || (is_inside && !is_moving);
	return 0;
}

static int look_at_block(struct moving_batch *batch, const struct block_expect *expect, u32 *ret_index, struct diag *d)
{
	struct moving_block *known = find_block(batch, expect->logical);
	_cleanup_(block_putp) struct tree_block *block = NULL;
	bool is_moving = false, is_left = false;
	int err;

	if (known && known->level != expect->level)
		return diag_fail(d, -EUCLEAN, "tree block %llu: is referred to as of level %u and %d",
				 (ull)expect->logical, known->level, expect->level);
	if (known) {
		known->nr_refs++;
		*ret_index = (u32)(known - batch->blocks.items);
		return 0;
	}
	err = block_get(batch->moving->fs->cache, expect, &block, d);
	if (!err)
		err = add_block(batch, block, ret_index, d);
	if (err)
		return err;
	if (block->level == 0)
		look_at_leaf(batch, block, &is_moving, &is_left);
	else
		err = look_at_children(batch, block, expect->tree_id, &is_moving, &is_left, d);
	return err ? err : decide(batch, *ret_index, is_moving, is_left, d);
}

/* Nobody else refers to it? */
static int judge_block(const struct moving_batch *batch, struct moving_block *block, struct diag *d)
{
	struct extent_info info;
	int err = txn_block_refs(batch->moving->txn, block->logical, &info, d);

	if (err)
		return err;
	if (info.refs != block->nr_refs)
		return diag_fail(d, -EUCLEAN,
				 "tree block %llu: has %llu references, %u were found; check the filesystem first",
				 (ull)block->logical, (ull)info.refs, block->nr_refs);
	if (info.generation != block->generation)
		return diag_fail(
			d, -EUCLEAN,
			"tree block %llu: is of generation %llu, but recorded as of %llu; check the filesystem "
			"first",
			(ull)block->logical, (ull)block->generation, (ull)info.generation);
	block->is_full = info.flags & EXTENT_FLAG_FULL_BACKREF;
	return 0;
}

int moving_batch_plan(struct moving_batch *batch, struct diag *d)
{
	struct moving *moving = batch->moving;
	int err = 0;

	for (size_t i = 0; i < moving->subvols.len && !err; i++) {
		const struct tree *tree = &moving->subvols.items[i]->tree;
		const struct block_expect expect = { .logical = tree->root_logical,
						     .level = tree->level,
						     .generation = tree->generation,
						     .tree_id = tree->id };
		u32 index;

		if (block_marks_has(&moving->marks, tree->root_logical))
			err = look_at_block(batch, &expect, &index, d);
	}
	for (size_t i = 0; i < batch->order.len && !err; i++)
		err = judge_block(batch, &batch->blocks.items[batch->order.items[i]], d);
	return err;
}

/* --- Rewriting ---------------------------------------- */

/* A block on its way to another address. */
struct rewriting {
	struct moving_batch *batch;
	const struct tree_block *from;
	struct tree_block *to;
	u64 from_parent, to_parent; /* of what it refers to; 0: that is recorded by its owner */
};

static int change_block_ref(const struct rewriting *it, u64 from, u64 to, struct diag *d)
{
	struct txn *txn = it->batch->moving->txn;
	u8 level = (u8)(it->from->level - 1);
	int err = txn_change_ref_to_block(txn, from, level, it->from->owner, it->from_parent, -1, d);

	return err ? err : txn_change_ref_to_block(txn, to, level, it->from->owner, it->to_parent, 1, d);
}

static int rewrite_node(const struct rewriting *it, struct diag *d)
{
	int err = 0;

	for (u32 slot = 0; slot < it->from->nritems && !err; slot++) {
		u64 child = node_blockptr(it->from->data, slot);
		const struct moving_block *known = find_block(it->batch, child);
		bool is_moving = known && known->is_moving;

		if (is_moving || it->to_parent)
			err = change_block_ref(it, child, is_moving ? known->to : child, d);
		if (is_moving)
			node_set(block_bytes(it->to), slot, known->to, node_generation(it->from->data, slot));
	}
	return err;
}

static int change_data_ref(const struct rewriting *it, const struct leaf_data_ref *at, u64 to, struct diag *d)
{
	struct txn *txn = it->batch->moving->txn;
	struct data_ref ref = { .logical = at->logical,
				.len = at->len,
				.root = it->from->owner,
				.objectid = at->objectid,
				.offset = at->offset,
				.parent = it->from_parent };
	int err = txn_drop_data_ref(txn, &ref, d);

	ref.logical = to;
	ref.parent = it->to_parent;
	return err ? err : txn_add_data_ref(txn, &ref, false, d);
}

static int rewrite_leaf(const struct rewriting *it, struct diag *d)
{
	struct leaf_data_ref ref;
	int err = 0;

	for (u32 slot = 0; slot < it->from->nritems && !err; slot++) {
		const struct moving_extent *extent;

		if (!leaf_data_ref_get(it->from->data, slot, &ref))
			continue;
		extent = moving_is_inside(it->batch->moving, ref.logical)
				 ? moving_find_extent(it->batch->moving, ref.logical)
				 : NULL;
		if (is_in_batch(it->batch, extent)) {
			struct disk_file_extent_item *item = (void *)leaf_item_data(it->to->data, slot);

			err = change_data_ref(it, &ref, extent->to, d);
			le64_put(&item->disk_bytenr, extent->to);
		} else if (it->to_parent) {
			err = change_data_ref(it, &ref, ref.logical, d);
		}
	}
	return err;
}

static int rewrite_block(struct moving_batch *batch, struct moving_block *block, struct diag *d)
{
	const struct block_expect expect = { .logical = block->logical,
					     .level = block->level,
					     .generation = block->generation };
	_cleanup_(block_putp) struct tree_block *from = NULL, *to = NULL;
	struct rewriting it = { .batch = batch };
	int err = block_get(batch->moving->fs->cache, &expect, &from, d);

	if (!err)
		err = txn_move_block(batch->moving->txn, from, block->is_full, &to, d);
	if (err)
		return err;
	block->to = to->logical;
	it.from = from;
	it.to = to;
	if (block->is_full) {
		it.from_parent = from->logical;
		it.to_parent = to->logical;
	}
	return block->level ? rewrite_node(&it, d) : rewrite_leaf(&it, d);
}

int moving_batch_rewrite(struct moving_batch *batch, struct diag *d)
{
	struct moving *moving = batch->moving;
	int err = 0;

	for (size_t i = 0; i < batch->order.len && !err; i++)
		err = rewrite_block(batch, &batch->blocks.items[batch->order.items[i]], d);
	for (size_t i = 0; i < moving->subvols.len && !err; i++) {
		struct tree_root *root = moving->subvols.items[i];
		const struct moving_block *top = find_block(batch, root->tree.root_logical);

		if (top && top->is_moving)
			err = txn_move_root(moving->txn, root, top->to, d);
	}
	return err;
}

/* --- Afterwards ---------------------------------------- */

/* The old addresses are free now, and may get other blocks; so they go first. */
int moving_batch_mark(const struct moving_batch *batch, struct diag *d)
{
	struct block_marks *marks = &batch->moving->marks;

	array_for_each (&batch->blocks, block)
		if (block->is_moving || !block->is_left)
			block_marks_remove(marks, block->logical);
	array_for_each (&batch->blocks, block)
		if (block->is_moving && block->is_left && block_marks_add(marks, block->to) < 0)
			return diag_no_memory(d, "tree blocks");
	return 0;
}
