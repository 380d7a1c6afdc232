/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding what lies in the groups: data extents from the extent tree, then one walk over all blocks of all subvolumes,
 * each block once though many trees share it. Leaves are read only if there is data to be moved.
 */
#include "kernel-shared/relocate/move_extents.h"

typedef unsigned long long ull;

struct sweep {
	struct moving *moving;
	struct block_marks seen;
};

/* --- Data extents ---------------------------------------- */

static int add_extent(struct moving *moving, const struct cursor *cursor, struct diag *d)
{
	const struct disk_extent_item *item = cursor_data(cursor);
	const struct key key = cursor_key(cursor);
	struct moving_extent extent = { .logical = key.objectid };

	if (key.type != EXTENT_ITEM_KEY || !(le64_get(item->flags) & EXTENT_FLAG_DATA))
		return 0;
	if (key.offset == 0 || key.offset % moving->sectorsize || key.offset / moving->sectorsize > UINT32_MAX)
		return diag_fail(d, -EUCLEAN, "extent %llu: impossible length %llu", (ull)key.objectid,
				 (ull)key.offset);
	extent.nr_sectors = (u32)(key.offset / moving->sectorsize);
	if (moving->extents.len >= UINT32_MAX || array_push(&moving->extents, extent) < 0)
		return diag_no_memory(d, "data extents");
	return 0;
}

static int list_extents(struct moving *moving, const struct group_range *group, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	const struct key first = { group->logical, 0, 0 };
	struct tree tree;
	int err = txn_read_tree(moving->txn, EXTENT_TREE_OBJECTID, &tree, d);

	if (err)
		return err;
	cursor = cursor_init(&tree);
	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		if (cursor_key(&cursor).objectid >= group->end)
			break;
		err = add_extent(moving, &cursor, d);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

/* --- Blocks of subvolumes ---------------------------------------- */

static int note_ref(struct moving *moving, const struct leaf_data_ref *ref, u64 leaf, bool *ret_is_new, struct diag *d)
{
	struct moving_extent *extent = moving_find_extent(moving, ref->logical);
	struct extent_in_leaf *last = moving->leaves.len ? &moving->leaves.items[moving->leaves.len - 1] : NULL;
	u32 index;

	if (!extent || moving_extent_bytes(moving, extent) != ref->len)
		return diag_fail(d, -EUCLEAN,
				 "leaf %llu: refers to an extent %llu of %llu bytes, which is not recorded; check the "
				 "filesystem first",
				 (ull)leaf, (ull)ref->logical, (ull)ref->len);
	index = (u32)(extent - moving->extents.items);
	extent->nr_refs++;
	extent->is_written = extent->is_written || ref->is_written;
	/* Mostly the same extent follows, if any does. */
	if (!*ret_is_new && last && last->extent == index)
		return 0;
	*ret_is_new = false;
	if (array_push(&moving->leaves, (struct extent_in_leaf){ index, moving->nr_leaves }) < 0)
		return diag_no_memory(d, "references to data extents");
	return 0;
}

/* The only bit that a sweep finds: the block lies in the groups, or leads there. */
#define LEADS 1U

static int sweep_leaf(void *ctx, const struct tree_block *leaf, unsigned *found, struct diag *d)
{
	struct sweep *sweep = ctx;
	struct moving *moving = sweep->moving;
	bool is_new = true;
	struct leaf_data_ref ref;
	int err = 0;

	for (u32 slot = 0; slot < leaf->nritems && !err; slot++)
		if (leaf_data_ref_get(leaf->data, slot, &ref) && moving_is_inside(moving, ref.logical)) {
			*found |= LEADS;
			err = note_ref(moving, &ref, leaf->logical, &is_new, d);
		}
	if (!is_new && ++moving->nr_leaves == UINT32_MAX)
		return diag_fail(d, -EOVERFLOW, "more than %u leaves refer to what is to be moved", UINT32_MAX);
	return err;
}

static int sweep_leave(void *ctx, const struct block_expect *expect, unsigned *found, struct diag *d)
{
	struct sweep *sweep = ctx;

	if (moving_is_inside(sweep->moving, expect->logical))
		*found |= LEADS;
	if (*found && block_marks_add(&sweep->moving->marks, expect->logical) < 0)
		return diag_no_memory(d, "tree blocks");
	return 0;
}

static int sweep_enter(void *ctx, const struct block_expect *expect, unsigned *found, struct diag *d)
{
	struct sweep *sweep = ctx;
	int err;

	if (block_marks_has(&sweep->seen, expect->logical)) {
		*found = block_marks_has(&sweep->moving->marks, expect->logical) ? LEADS : 0;
		return 1;
	}
	if (block_marks_add(&sweep->seen, expect->logical) < 0)
		return diag_no_memory(d, "tree blocks");
	if (expect->level != 0 || sweep->moving->extents.len)
		return 0;
	err = sweep_leave(ctx, expect, found, d);
	return err ? err : 1;
}

static int by_extent(const void *a, const void *b)
{
	const struct extent_in_leaf *x = a, *y = b;

	if (x->extent != y->extent)
		return x->extent < y->extent ? -1 : 1;
	return x->leaf < y->leaf ? -1 : x->leaf > y->leaf;
}

static void index_leaves(struct moving *moving)
{
	size_t at = 0;

	array_sort(&moving->leaves, by_extent);
	for (size_t i = 0; i < moving->extents.len; i++) {
		moving->extents.items[i].first_leaf = (u32)at;
		while (at < moving->leaves.len && moving->leaves.items[at].extent == i)
			at++;
	}
}

int move_extents_sweep(struct moving *moving, struct diag *d)
{
	struct sweep sweep = { .moving = moving, .seen.sectorsize = moving->sectorsize };
	const struct moving_descent descent = { sweep_enter, sweep_leaf, sweep_leave, &sweep };
	int err = 0;

	for (size_t i = 0; i < moving->groups.len && !err; i++)
		err = list_extents(moving, &moving->groups.items[i], d);
	if (!err)
		err = moving_descend(moving, &descent, d);
	block_marks_done(&sweep.seen);
	if (!err)
		index_leaves(moving);
	return err;
}
