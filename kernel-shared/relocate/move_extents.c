/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emptying block groups, from beginning to end: what cannot be done is refused; caches of free space go; trees that
 * share nothing are copied out; then subvolumes, with their data, in batches; and in the end the groups go. Each commit
 * leaves a whole filesystem.
 */
#include "kernel-shared/relocate/move_extents.h"

typedef unsigned long long ull;

/* What one transaction moves, at most: data, and leaves or blocks. */
#define BATCH_BYTES (256 * MIB)

static void moving_done(struct moving *moving)
{
	array_done(&moving->groups);
	array_done(&moving->subvols);
	array_done(&moving->others);
	array_done(&moving->extents);
	array_done(&moving->leaves);
	block_marks_done(&moving->marks);
}

/* --- Asked by all parts ---------------------------------------- */

int moving_is_cancelled(const struct moving *moving, struct diag *d)
{
	return cancel_check(moving->relocate->cancel, d);
}

bool moving_is_inside(const struct moving *moving, u64 logical)
{
	size_t at = array_lower_bound(&moving->groups, it, it->logical <= logical);

	return at > 0 && logical < moving->groups.items[at - 1].end;
}

struct moving_extent *moving_find_extent(const struct moving *moving, u64 logical)
{
	size_t at = array_lower_bound(&moving->extents, it, it->logical < logical);

	return at < moving->extents.len && moving->extents.items[at].logical == logical ? &moving->extents.items[at]
											: NULL;
}

bool leaf_data_ref_get(const u8 *leaf, u32 slot, struct leaf_data_ref *ret_ref)
{
	const struct disk_file_extent_item *item = leaf_item_data(leaf, slot);
	const struct key key = leaf_key(leaf, slot);

	if (key.type != EXTENT_DATA_KEY || item->type == FILE_EXTENT_INLINE || le64_get(item->disk_bytenr) == 0)
		return false;
	*ret_ref = (struct leaf_data_ref){
		.logical = le64_get(item->disk_bytenr),
		.len = le64_get(item->disk_num_bytes),
		.objectid = key.objectid,
		.offset = key.offset - le64_get(item->offset),
		.extent_offset = le64_get(item->offset),
		.num_bytes = le64_get(item->num_bytes),
		.is_written = item->type == FILE_EXTENT_REG,
		.is_plain = item->compression == COMPRESS_NONE && item->encryption == 0 &&
			    le16_get(item->other_encoding) == 0,
	};
	return true;
}

/* --- What there is, and whether it can be moved ---------------------------------------- */

static int by_logical(const void *a, const void *b)
{
	const struct group_range *x = a, *y = b;

	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

static int list_groups(struct moving *moving, const u64 *logicals, size_t nr, struct diag *d)
{
	for (size_t i = 0; i < nr; i++) {
		const struct chunk *chunk = chunk_map_find(moving->fs->volume->chunks, logicals[i]);
		int err;

		if (!chunk || chunk->logical != logicals[i])
			return diag_fail(d, -ENOENT, "there is no block group %llu", (ull)logicals[i]);
		if (array_push(&moving->groups,
			       (struct group_range){ chunk->logical, chunk->logical + chunk->length }) < 0)
			return diag_no_memory(d, "block groups");
		err = txn_close_group(moving->txn, chunk->logical, true, d);
		if (err)
			return err;
	}
	array_sort(&moving->groups, by_logical);
	return 0;
}

static int judge_subvol(u64 id, const struct disk_root_item *item, struct diag *d)
{
	const struct disk_key *at = &item->drop_progress;

	if (le64_get(at->objectid) == 0 && at->type == 0 && le64_get(at->offset) == 0)
		return 0;
	return diag_fail(d, -EBUSY,
			 "subvolume %llu is deleted in part, so that extents cannot be moved: Linux goes on with the "
			 "deletion when it mounts the filesystem",
			 (ull)id);
}

static int add_tree(struct moving *moving, const struct cursor *cursor, struct diag *d)
{
	u64 id = cursor_key(cursor).objectid;
	struct disk_root_item item;
	struct tree_root *root;
	int err;

	if (id == TREE_RELOC_OBJECTID)
		return diag_fail(d, -EBUSY,
				 "a balance of subvolume %llu was interrupted, so that extents cannot be moved: Linux "
				 "goes on with it when it mounts the filesystem",
				 (ull)cursor_key(cursor).offset);
	if (!tree_id_is_subvol(id))
		return array_push(&moving->others, id) < 0 ? diag_no_memory(d, "trees") : 0;
	root_item_unpack(cursor, &item);
	err = judge_subvol(id, &item, d);
	if (!err)
		err = txn_tree(moving->txn, id, &root, d);
	if (!err && array_push(&moving->subvols, root) < 0)
		err = diag_no_memory(d, "subvolumes");
	return err;
}

static int list_trees(struct moving *moving, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&moving->fs->root_tree);
	int err;

	if (array_push(&moving->others, ROOT_TREE_OBJECTID) < 0 || array_push(&moving->others, CHUNK_TREE_OBJECTID) < 0)
		return diag_no_memory(d, "trees");
	for (err = cursor_first(&cursor, d); err == 0; err = cursor_next(&cursor, d)) {
		if (cursor_key(&cursor).type != ROOT_ITEM_KEY)
			continue;
		err = add_tree(moving, &cursor, d);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

/* --- Batches ---------------------------------------- */

/* How much a batch may be: less after there was no room for one. */
struct batch_limits {
	u64 bytes;
	u32 leaves;
};

static bool halve(struct batch_limits *limits)
{
	if (limits->bytes <= 1)
		return false;
	limits->bytes /= 2;
	limits->leaves = MAX(limits->leaves / 2, 1U);
	return true;
}

static void grow(struct batch_limits *limits, u32 most_leaves)
{
	limits->bytes = MIN(2 * limits->bytes, (u64)BATCH_BYTES);
	limits->leaves = MIN(2 * limits->leaves, most_leaves);
}

/* Of the extents from @first on, the end of a batch. @last_batch: for each leaf, the number of the last batch that it
 * was in. */
static size_t choose_extents(const struct moving *moving, size_t first, const struct batch_limits *limits,
			     u32 *last_batch, u32 batch)
{
	u32 nr_leaves = 0;
	u64 bytes = 0;
	size_t end = first;

	for (; end < moving->extents.len; end++) {
		const struct moving_extent *extent = &moving->extents.items[end];

		bytes += moving_extent_bytes(moving, extent);
		for (size_t at = extent->first_leaf; at < moving->leaves.len && moving->leaves.items[at].extent == end;
		     at++) {
			u32 leaf = moving->leaves.items[at].leaf;

			nr_leaves += last_batch[leaf] != batch;
			last_batch[leaf] = batch;
		}
		if (end > first && (bytes > limits->bytes || nr_leaves > limits->leaves))
			break;
	}
	return end;
}

/* *ret_nr: blocks that were moved. */
static int try_batch(struct moving_batch *batch, size_t *ret_nr, struct diag *d)
{
	struct moving *moving = batch->moving;
	int err = moving_is_cancelled(moving, d);

	if (!err)
		err = moving_batch_plan(batch, d);
	*ret_nr = batch->order.len;
	if (err || (batch->order.len == 0 && batch->first == batch->end))
		return err;
	err = moving_batch_place_data(batch, d);
	if (!err)
		err = moving_batch_rewrite(batch, d);
	if (!err)
		err = moving_batch_copy_data(batch, d);
	if (!err)
		err = txn_commit(moving->txn, d);
	if (!err)
		err = moving_batch_mark(batch, d);
	progress_add(moving->relocate->progress, err ? 0 : (u64)batch->nr_inside * moving->nodesize, 0);
	return err;
}

static int move_batch(struct moving *moving, size_t first, size_t end, size_t max_blocks, bool is_split, size_t *ret_nr,
		      struct diag *d)
{
	_cleanup_(moving_batch_done) struct moving_batch batch = {
		.moving = moving, .first = first, .end = end, .max_blocks = max_blocks, .is_split = is_split
	};
	int err = try_batch(&batch, ret_nr, d);

	if (err && txn_has_changes(moving->txn))
		txn_abort(moving->txn);
	return err;
}

/* One extent for which there is no place as a whole. @d says that there is none. */
static int move_split(struct moving *moving, size_t index, struct diag *d)
{
	struct diag why = { .note = d ? d->note : NULL, .note_arg = d ? d->note_arg : NULL };
	size_t nr;
	int err = move_batch(moving, index, index + 1, 0, true, &nr, &why);

	/* It is compressed: there has to be a place for the whole of it. */
	if (err == -EOPNOTSUPP)
		return -ENOSPC;
	if (err)
		return diag_copy(d, &why);
	diag_clear(d);
	return 0;
}

static int move_data(struct moving *moving, struct batch_limits *limits, struct diag *d)
{
	_free_ u32 *last_batch = calloc(moving->nr_leaves ? moving->nr_leaves : 1, sizeof(*last_batch));
	size_t next = 0, end, nr;
	int err = last_batch ? 0 : diag_no_memory(d, "leaves");

	for (u32 batch = 1; next < moving->extents.len && !err; batch++) {
		end = choose_extents(moving, next, limits, last_batch, batch);
		err = move_batch(moving, next, end, 0, false, &nr, d);
		if (err == -ENOSPC && end == next + 1)
			err = move_split(moving, next, d);
		if (!err) {
			next = end;
			grow(limits, moving->batch_blocks);
		} else if (err == -ENOSPC && end > next + 1 && halve(limits)) {
			diag_clear(d);
			err = 0;
		}
	}
	return err;
}

static int move_blocks(struct moving *moving, struct batch_limits *limits, struct diag *d)
{
	size_t nr = 1;
	int err = 0;

	while (nr && !err) {
		err = move_batch(moving, 0, 0, limits->leaves, false, &nr, d);
		if (err == -ENOSPC && limits->leaves > 1 && halve(limits)) {
			diag_clear(d);
			err = 0;
		}
	}
	return err;
}

static int remove_groups(struct moving *moving, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < moving->groups.len && !err; i++) {
		u64 logical = moving->groups.items[i].logical, used;

		err = txn_group_used_bytes(moving->txn, logical, &used, d);
		if (!err && used)
			err = diag_fail(
				d, -EUCLEAN,
				"block group %llu: nothing was found that refers to %llu bytes in it; check the "
				"filesystem first",
				(ull)logical, (ull)used);
		if (!err)
			err = txn_remove_chunk(moving->txn, logical, d);
	}
	return err ? err : txn_commit(moving->txn, d);
}

static int move_all(struct moving *moving, struct diag *d)
{
	struct batch_limits limits = { BATCH_BYTES, moving->batch_blocks };
	int err = move_extents_drop_caches(moving, d);

	if (!err)
		err = move_extents_of_trees(moving, d);
	if (!err)
		err = move_extents_sweep(moving, d);
	if (!err)
		err = move_data(moving, &limits, d);
	if (!err)
		err = move_blocks(moving, &limits, d);
	if (!err)
		err = remove_groups(moving, d);
	if (err && txn_has_changes(moving->txn))
		txn_abort(moving->txn);
	return err;
}

int move_extents(struct relocate *relocate, const u64 *logicals, size_t nr, struct diag *d)
{
	_cleanup_(moving_done) struct moving moving = {
		.relocate = relocate,
		.fs = relocate->fs,
		.txn = relocate->fs->txn,
		.nodesize = relocate->fs->volume->nodesize,
		.sectorsize = relocate->fs->volume->sectorsize,
		.batch_blocks = (u32)MAX(MOVING_BATCH_BYTES / relocate->fs->volume->nodesize, (u64)1),
		.marks.sectorsize = relocate->fs->volume->sectorsize,
	};
	/* What the caller has changed. */
	int err = txn_commit(moving.txn, d);

	if (!err)
		err = list_groups(&moving, logicals, nr, d);
	if (!err)
		err = list_trees(&moving, d);
	return err ? err : move_all(&moving, d);
}
