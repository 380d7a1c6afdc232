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
	array_done(&batch->parts);
	array_done(&batch->pieces);
	free(batch->covered);
	batch->covered = NULL;
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

struct moving_block *moving_batch_find(const struct moving_batch *batch, u64 logical)
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

static int add_block(struct moving_batch *batch, const struct block_expect *expect, struct diag *d)
{
	const struct moving_block new = {
		.logical = expect->logical,
		.generation = expect->generation,
		.level = (u8)expect->level,
		.nr_refs = 1,
	};

	if (batch->blocks.len >= UINT32_MAX / 2 ||
	    (2 * batch->blocks.len >= batch->nr_slots && grow_table(batch) < 0) || array_push(&batch->blocks, new) < 0)
		return diag_no_memory(d, "tree blocks to be moved");
	batch->slots[slot_of(batch, expect->logical)] = (u32)batch->blocks.len;
	return 0;
}

/* --- The plan ---------------------------------------- */

static bool is_in_batch(const struct moving_batch *batch, const struct moving_extent *extent)
{
	const struct moving_extent *all = batch->moving->extents.items;

	return extent && extent >= all + batch->first && extent < all + batch->end;
}

/* What is found out about blocks: they move, as something below them does; they lead into the groups after the batch, too. */
#define MOVES 1U
#define IS_LEFT 2U

static int look_at_leaf(void *ctx, const struct tree_block *leaf, unsigned *found, struct diag *d)
{
	struct moving_batch *batch = ctx;
	struct leaf_data_ref ref;
	int err = 0;

	for (u32 slot = 0; slot < leaf->nritems && !err; slot++) {
		if (!leaf_data_ref_get(leaf->data, slot, &ref) || !moving_is_inside(batch->moving, ref.logical))
			continue;
		if (!is_in_batch(batch, moving_find_extent(batch->moving, ref.logical))) {
			*found |= IS_LEFT;
			continue;
		}
		*found |= MOVES;
		if (batch->is_split)
			err = moving_batch_cover(batch, &ref, d);
	}
	return err;
}

/* Blocks without a mark lead nowhere. */
static int enter_block(void *ctx, const struct block_expect *expect, unsigned *found, struct diag *d)
{
	struct moving_batch *batch = ctx;
	struct moving_block *known;

	if (!block_marks_has(&batch->moving->marks, expect->logical))
		return 1;
	known = moving_batch_find(batch, expect->logical);
	if (!known)
		return add_block(batch, expect, d);
	if (known->level != expect->level)
		return diag_fail(d, -EUCLEAN, "tree block %llu: is referred to as of level %u and %d",
				 (ull)expect->logical, known->level, expect->level);
	known->nr_refs++;
	*found = (known->is_moving ? MOVES : 0) | (known->is_left ? IS_LEFT : 0);
	return 1;
}

/* What is below it is known now: does it move? */
static int decide(void *ctx, const struct block_expect *expect, unsigned *found, struct diag *d)
{
	struct moving_batch *batch = ctx;
	struct moving_block *block = moving_batch_find(batch, expect->logical);
	bool is_inside = moving_is_inside(batch->moving, block->logical);

	if (is_inside && !(*found & MOVES) && batch->nr_inside < batch->max_blocks)
		*found |= MOVES;
	else if (is_inside && !(*found & MOVES))
		*found |= IS_LEFT;
	block->is_moving = *found & MOVES;
	block->is_left = *found & IS_LEFT;
	batch->nr_inside += is_inside && block->is_moving;
	if (block->is_moving && array_push(&batch->order, (u32)(block - batch->blocks.items)) < 0)
		return diag_no_memory(d, "tree blocks to be moved");
	return 0;
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
	const struct moving_descent descent = { enter_block, look_at_leaf, decide, batch };
	int err = moving_descend(batch->moving, &descent, d);

	for (size_t i = 0; i < batch->order.len && !err; i++)
		err = judge_block(batch, &batch->blocks.items[batch->order.items[i]], d);
	return err;
}

/* --- Rewriting ---------------------------------------- */

int rewriting_drop_child(const struct rewriting *it, u64 logical, struct diag *d)
{
	return txn_change_ref_to_block(it->batch->moving->txn, logical, (u8)(it->from->level - 1), it->from->owner,
				       it->from_parent, -1, d);
}

int rewriting_add_child(const struct rewriting *it, u64 logical, struct diag *d)
{
	return txn_change_ref_to_block(it->batch->moving->txn, logical, (u8)(it->from->level - 1), it->from->owner,
				       it->to_parent, 1, d);
}

static int rewrite_node(const struct rewriting *it, struct diag *d)
{
	int err = 0;

	for (u32 slot = 0; slot < it->from->nritems && !err; slot++) {
		u64 child = node_blockptr(it->from->data, slot);
		const struct moving_block *known = moving_batch_find(it->batch, child);
		bool is_moving = known && known->is_moving;

		if (!is_moving && !it->to_parent)
			continue;
		err = rewriting_drop_child(it, child, d);
		if (!err)
			err = rewriting_add_child(it, is_moving ? known->to : child, d);
		if (is_moving)
			node_set(block_bytes(it->to), slot, known->to, node_generation(it->from->data, slot));
	}
	return err;
}

static struct data_ref data_ref_of(const struct rewriting *it, const struct leaf_data_ref *at, u64 parent)
{
	return (struct data_ref){ .logical = at->logical,
				  .len = at->len,
				  .root = it->from->owner,
				  .objectid = at->objectid,
				  .offset = at->offset,
				  .parent = parent };
}

int rewriting_drop_data(const struct rewriting *it, const struct leaf_data_ref *ref, struct diag *d)
{
	const struct data_ref change = data_ref_of(it, ref, it->from_parent);

	return txn_drop_data_ref(it->batch->moving->txn, &change, d);
}

int rewriting_add_data(const struct rewriting *it, const struct leaf_data_ref *ref, struct diag *d)
{
	const struct data_ref change = data_ref_of(it, ref, it->to_parent);

	return txn_add_data_ref(it->batch->moving->txn, &change, false, d);
}

static int rewrite_leaf(const struct rewriting *it, struct diag *d)
{
	struct leaf_data_ref ref;
	int err = 0;

	for (u32 slot = 0; slot < it->from->nritems && !err; slot++) {
		const struct moving_extent *extent = NULL;
		bool is_moving;

		if (!leaf_data_ref_get(it->from->data, slot, &ref))
			continue;
		if (moving_is_inside(it->batch->moving, ref.logical))
			extent = moving_find_extent(it->batch->moving, ref.logical);
		is_moving = is_in_batch(it->batch, extent);
		if (!is_moving && !it->to_parent)
			continue;
		err = rewriting_drop_data(it, &ref, d);
		if (is_moving) {
			struct disk_file_extent_item *item = (void *)leaf_item_data(it->to->data, slot);

			ref.logical = extent->to;
			le64_put(&item->disk_bytenr, extent->to);
		}
		if (!err)
			err = rewriting_add_data(it, &ref, d);
	}
	return err;
}

struct key rewritten_first_key(const struct moving_batch *batch, u64 to)
{
	const struct tree_block *block = block_find_dirty(batch->moving->fs->cache, to);

	return block && block->nritems ? block_key(block->data, 0) : KEY_MIN;
}

static bool has_split_child(const struct moving_batch *batch, const struct tree_block *node)
{
	for (u32 slot = 0; batch->parts.len && slot < node->nritems; slot++) {
		const struct moving_block *child = moving_batch_find(batch, node_blockptr(node->data, slot));

		if (child && child->more)
			return true;
	}
	return false;
}

static int rewrite_block(struct moving_batch *batch, struct moving_block *block, struct diag *d)
{
	const struct block_expect expect = { .logical = block->logical,
					     .level = block->level,
					     .generation = block->generation };
	_cleanup_(block_putp) struct tree_block *from = NULL, *to = NULL;
	struct rewriting it = { .batch = batch, .block = block };
	int err = block_get(batch->moving->fs->cache, &expect, &from, d);

	if (err)
		return err;
	it.from = from;
	it.from_parent = block->is_full ? from->logical : 0;
	if (block->level == 0 && batch->is_split)
		return rewriting_split_leaf(&it, d);
	if (block->level > 0 && has_split_child(batch, from))
		return rewriting_split_node(&it, d);
	err = txn_move_block(batch->moving->txn, from, block->is_full, &to, d);
	if (err)
		return err;
	block->to = to->logical;
	it.to = to;
	it.to_parent = block->is_full ? to->logical : 0;
	return block->level ? rewrite_node(&it, d) : rewrite_leaf(&it, d);
}

static int move_root(const struct moving_batch *batch, struct tree_root *root, const struct moving_block *top,
		     struct diag *d)
{
	ARRAY(struct moved_child) children = { 0 };
	u64 to = top->to;
	u32 more = top->more;
	int err = 0;

	while (to && !err) {
		const struct moved_child child = { rewritten_first_key(batch, to), to, top->generation };

		err = array_push(&children, child);
		to = more ? batch->parts.items[more - 1].to : 0;
		more = more ? batch->parts.items[more - 1].more : 0;
	}
	err = err ? diag_no_memory(d, "a root")
		  : txn_move_root(batch->moving->txn, root, children.items, (u32)children.len, d);
	array_done(&children);
	return err;
}

int moving_batch_rewrite(struct moving_batch *batch, struct diag *d)
{
	struct moving *moving = batch->moving;
	int err = 0;

	for (size_t i = 0; i < batch->order.len && !err; i++)
		err = rewrite_block(batch, &batch->blocks.items[batch->order.items[i]], d);
	for (size_t i = 0; i < moving->subvols.len && !err; i++) {
		struct tree_root *root = moving->subvols.items[i];
		const struct moving_block *top = moving_batch_find(batch, root->tree.root_logical);

		if (top && top->is_moving)
			err = move_root(batch, root, top, d);
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
	/* Which of the parts lead there is not known; and there may be new roots above them. */
	array_for_each (&batch->parts, part)
		if (block_marks_add(marks, part->to) < 0)
			return diag_no_memory(d, "tree blocks");
	for (size_t i = 0; i < batch->moving->subvols.len && batch->parts.len; i++)
		if (block_marks_add(marks, batch->moving->subvols.items[i]->tree.root_logical) < 0)
			return diag_no_memory(d, "tree blocks");
	return 0;
}
