/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a log into memory, block by block, and saying what of it cannot be believed. */
#include "kernel-shared/treelog/judge.h"
#include "kernel-shared/treelog/placement.h"

typedef unsigned long long ull;

/* What the walk of one tree, the log root tree or a log tree, knows. */
struct reading {
	struct treelog *log;
	struct treelog_subvol *subvol; /* NULL: the tree of log trees */
	struct placement *placement;
};

static u64 subvol_of(const struct reading *reading)
{
	return reading->subvol ? reading->subvol->id : 0;
}

static int add_gap(const struct reading *reading, const struct key *from, const struct key *to, struct diag *d)
{
	struct treelog_gap gap = { .from = from ? *from : KEY_MIN, .to = to ? *to : KEY_MAX, .has_to = to != NULL };

	if (reading->subvol && array_push(&reading->subvol->gaps, gap) < 0)
		return diag_no_memory(d, "the log");
	return 0;
}

static int see_damaged(void *ctx, const struct block_expect *expect, const struct diag *why, struct diag *d)
{
	struct reading *reading = ctx;

	if (treelog_lose(&reading->log->losses, BTRKIT_LOG_LOSS_BLOCK, subvol_of(reading), 0, expect->logical, "block %llu: %s",
			 (ull)expect->logical, why->text) < 0)
		return diag_no_memory(d, "the log");
	return add_gap(reading, expect->first_key, expect->limit, d);
}

/* 0: it is where a log's block may be; 1: it is not, and this was told. */
static int judge_block(struct reading *reading, const struct tree_block *block, struct diag *d)
{
	const struct key first = block->nritems ? block_key(block->data, 0) : KEY_MIN;
	const char *why = NULL;
	enum place place;
	int err = placement_judge(reading->placement, block->logical, reading->log->fs->volume->nodesize,
				  BLOCK_GROUP_METADATA, &place, d);

	if (err)
		return err;
	if (place == PLACE_OUTSIDE)
		why = "lies outside of the metadata chunks";
	else if (place != PLACE_FREE)
		why = "lies in space that the extent tree has given away";
	else if (block->generation != reading->log->generation)
		why = "is of another transaction";
	if (!why)
		return 0;
	if (treelog_lose(&reading->log->losses, BTRKIT_LOG_LOSS_BLOCK, subvol_of(reading), 0, block->logical, "block %llu %s",
			 (ull)block->logical, why) < 0)
		return diag_no_memory(d, "the log");
	err = add_gap(reading, &first, NULL, d);
	return err ? err : 1;
}

static int take_block(struct reading *reading, const struct tree_block *block, struct diag *d)
{
	int err = judge_block(reading, block, d);

	if (!err && array_push(&reading->log->blocks, block->logical) < 0)
		err = diag_no_memory(d, "the log");
	return err;
}

/* --- One subvolume's log ------------------------------------------------------------------------------------------ */

static int take_item(struct reading *reading, const u8 *leaf, u32 slot)
{
	struct treelog *log = reading->log;
	struct treelog_item item = { leaf_key(leaf, slot), log->data.len, leaf_item_bytes(leaf, slot), false };

	/* Even if all items are empty, there is an array to point into. */
	if (array_reserve(&log->data, (size_t)item.data_bytes + 1) < 0 || array_push(&reading->subvol->items, item) < 0)
		return -ENOMEM;
	memcpy(log->data.items + log->data.len, leaf_item_data(leaf, slot), item.data_bytes);
	log->data.len += item.data_bytes;
	return 0;
}

static int see_log_block(void *ctx, struct tree_block *block, struct diag *d)
{
	struct reading *reading = ctx;
	int err = take_block(reading, block, d);

	if (err)
		return err;
	reading->subvol->nr_blocks++;
	for (u32 slot = 0; block->level == 0 && slot < block->nritems; slot++)
		if (take_item(reading, block->data, slot) < 0)
			return diag_no_memory(d, "the log");
	return 0;
}

static int judge_subvol(struct treelog *log, struct treelog_subvol *subvol, struct diag *d)
{
	struct fs_root root;
	struct diag why = { 0 };
	int err = fs_subvol_root(log->fs, subvol->id, &root, &why);

	if (err == -ENOMEM)
		return diag_copy(d, &why);
	subvol->is_missing = err != 0;
	subvol->committed = root.tree;
	subvol->top_dir = root.top_dir;
	if (err && treelog_lose(&log->losses, BTRKIT_LOG_LOSS_SUBVOL, subvol->id, 0, 0, "the log of subvolume %llu: %s",
				(ull)subvol->id, why.text) < 0)
		return diag_no_memory(d, "the log");
	array_for_each(&subvol->items, item)
		if (treelog_judge_item(log, subvol, item) < 0)
			return diag_no_memory(d, "the log");
	return 0;
}

static int read_subvol(struct treelog *log, struct treelog_subvol *subvol, struct placement *placement, struct diag *d)
{
	struct reading reading = { log, subvol, placement };
	const struct tree_walk walk = { see_log_block, see_damaged, &reading };
	int err = tree_walk(&subvol->tree, &walk, d);

	return err ? err : judge_subvol(log, subvol, d);
}

/* --- The tree that leads to them ----------------------------------------------------------------------------------- */

static int lose_subvol_log(struct treelog *log, const struct key *key, const char *why, struct diag *d)
{
	if (treelog_lose(&log->losses, BTRKIT_LOG_LOSS_ITEM, key->offset, 0, 0, "item (%lld %u %llu) of the tree of log trees %s",
			 (long long)key->objectid, key->type, (ull)key->offset, why) < 0)
		return diag_no_memory(d, "the log");
	return 0;
}

static int take_root_item(struct treelog *log, const u8 *leaf, u32 slot, struct diag *d)
{
	const struct disk_root_item *item = leaf_item_data(leaf, slot);
	const struct key key = leaf_key(leaf, slot);
	struct treelog_subvol subvol = { .id = key.offset };

	if (key.objectid != TREE_LOG_OBJECTID || key.type != ROOT_ITEM_KEY || leaf_item_bytes(leaf, slot) < ROOT_ITEM_V0_BYTES)
		return lose_subvol_log(log, &key, "leads to no log tree", d);
	if (item->level >= LEVEL_MAX)
		return lose_subvol_log(log, &key, "has an impossible level", d);
	subvol.tree = (struct tree){
		.cache = log->fs->cache,
		.id = TREE_LOG_OBJECTID,
		.root_logical = le64_get(item->bytenr),
		.generation = log->generation,
		.level = item->level,
	};
	if (array_push(&log->subvols, subvol) < 0)
		return diag_no_memory(d, "the log");
	return 0;
}

static int see_root_block(void *ctx, struct tree_block *block, struct diag *d)
{
	struct reading *reading = ctx;
	int err = take_block(reading, block, d);

	for (u32 slot = 0; !err && block->level == 0 && slot < block->nritems; slot++)
		err = take_root_item(reading->log, block->data, slot, d);
	return err;
}

static int read_trees(struct treelog *log, struct placement *placement, struct diag *d)
{
	const struct tree top = {
		.cache = log->fs->cache,
		.id = TREE_LOG_OBJECTID,
		.root_logical = log->root_logical,
		.generation = log->generation,
		.level = log->fs->super.log_root_level,
	};
	struct reading reading = { log, NULL, placement };
	const struct tree_walk walk = { see_root_block, see_damaged, &reading };
	int err = tree_walk(&top, &walk, d);

	for (size_t i = 0; i < log->subvols.len && !err; i++)
		err = read_subvol(log, &log->subvols.items[i], placement, d);
	return err;
}

/* --- Data extents ---------------------------------------------------------------------------------------------------- */

struct logged_extent {
	u64 logical, len;
	struct treelog_subvol *subvol;
	size_t item; /* its number there */
};

struct logged_extents {
	ARRAY(struct logged_extent) list;
};

static int by_logical(const void *a, const void *b)
{
	const struct logged_extent *left = a, *right = b;

	if (left->logical != right->logical)
		return left->logical < right->logical ? -1 : 1;
	if (left->len != right->len)
		return left->len < right->len ? -1 : 1;
	/* Equal ones in the order of replay, so that the answer does not depend on the sort. */
	if (left->subvol != right->subvol)
		return left->subvol < right->subvol ? -1 : 1;
	return left->item < right->item ? -1 : left->item > right->item;
}

static int collect_extents(struct treelog *log, struct logged_extents *extents)
{
	array_for_each(&log->subvols, subvol)
		for (size_t i = 0; i < subvol->items.len; i++) {
			const struct treelog_item *item = &subvol->items.items[i];
			const struct disk_file_extent_item *extent = treelog_data(log, item);
			struct logged_extent logged = { .subvol = subvol, .item = i };

			if (item->key.type != EXTENT_DATA_KEY || item->is_refused || extent->type == FILE_EXTENT_INLINE ||
			    le64_get(extent->disk_bytenr) == 0)
				continue;
			logged.logical = le64_get(extent->disk_bytenr);
			logged.len = le64_get(extent->disk_num_bytes);
			if (array_push(&extents->list, logged) < 0)
				return -ENOMEM;
		}
	array_sort(&extents->list, by_logical);
	return 0;
}

static int refuse_extent(struct treelog *log, const struct logged_extent *logged, enum btrkit_log_loss_kind kind,
			 const char *why, struct diag *d)
{
	struct treelog_item *item = &logged->subvol->items.items[logged->item];

	item->is_refused = true;
	if (treelog_lose(&log->losses, kind, logged->subvol->id, item->key.objectid, logged->logical,
			 "inode %llu at %llu: the extent %llu of %llu bytes %s", (ull)item->key.objectid, (ull)item->key.offset,
			 (ull)logged->logical, (ull)logged->len, why) < 0)
		return diag_no_memory(d, "the log");
	return 0;
}

static bool overlaps_block(const struct treelog *log, const struct logged_extent *logged)
{
	u64 nodesize = log->fs->volume->nodesize, end = logged->logical + logged->len;
	size_t at = array_lower_bound(&log->blocks, it, *it + nodesize <= logged->logical);

	return at < log->blocks.len && log->blocks.items[at] < end;
}

/* @taken_until: where the extents before this one end; those that are equal to it do not count. */
static int judge_extent(struct treelog *log, struct placement *placement, const struct logged_extent *logged,
			u64 taken_until, struct diag *d)
{
	enum place place;
	int err = placement_judge(placement, logged->logical, logged->len, BLOCK_GROUP_DATA, &place, d);

	if (err)
		return err;
	if (place == PLACE_OUTSIDE)
		return refuse_extent(log, logged, BTRKIT_LOG_LOSS_EXTENT, "lies outside of the data chunks", d);
	if (place == PLACE_TAKEN)
		return refuse_extent(log, logged, BTRKIT_LOG_LOSS_TAKEN, "overlaps another one, which is allocated", d);
	if (logged->logical < taken_until)
		return refuse_extent(log, logged, BTRKIT_LOG_LOSS_TAKEN, "overlaps another one of the log", d);
	if (overlaps_block(log, logged))
		return refuse_extent(log, logged, BTRKIT_LOG_LOSS_TAKEN, "overlaps a block of the log", d);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	u64 left = *(const u64 *)a, right = *(const u64 *)b;

	return left < right ? -1 : left > right;
}

/* No block belongs to two of the trees. */
static int judge_sharing(struct treelog *log, struct diag *d)
{
	for (size_t i = 1; i < log->blocks.len; i++) {
		u64 logical = log->blocks.items[i];

		if (logical == log->blocks.items[i - 1] &&
		    treelog_lose(&log->losses, BTRKIT_LOG_LOSS_BLOCK, 0, 0, logical, "block %llu belongs to two of the log's trees",
				 (ull)logical) < 0)
			return diag_no_memory(d, "the log");
	}
	return 0;
}

static int judge_extents(struct treelog *log, struct placement *placement, struct diag *d)
{
	const struct logged_extent *before = NULL;
	struct logged_extents extents = { 0 };
	u64 taken_until = 0;
	int err = collect_extents(log, &extents);

	if (err)
		err = diag_no_memory(d, "the log's extents");
	for (size_t i = 0; i < extents.list.len && !err; i++) {
		const struct logged_extent *logged = &extents.list.items[i];

		/* Reflinks: one extent may be named many times. */
		if (before && (before->logical != logged->logical || before->len != logged->len))
			taken_until = MAX(taken_until, before->logical + before->len);
		err = judge_extent(log, placement, logged, taken_until, d);
		before = logged;
	}
	array_done(&extents.list);
	return err;
}

/* --- All -------------------------------------------------------------------------------------------------------------- */

static int read_all(struct treelog *log, struct diag *d)
{
	struct placement placement;
	int err;

	placement_init(&placement, log->fs);
	err = read_trees(log, &placement, d);
	array_sort(&log->blocks, by_number);
	if (!err)
		err = judge_sharing(log, d);
	if (!err)
		err = judge_extents(log, &placement, d);
	placement_done(&placement);
	return err;
}

int treelog_read(struct btrkit_fs *fs, struct treelog **ret_log, struct diag *d)
{
	_cleanup_(treelog_freep) struct treelog *log = calloc(1, sizeof(*log));
	int err;

	if (le64_get(fs->super.log_root) == 0)
		return diag_fail(d, -ENOENT, "there is no log");
	if (!log)
		return diag_no_memory(d, "the log");
	log->fs = fs;
	log->root_logical = le64_get(fs->super.log_root);
	log->generation = le64_get(fs->super.generation) + 1;
	err = read_all(log, d);
	if (err)
		return err;
	*ret_log = take_ptr(log);
	return 0;
}
