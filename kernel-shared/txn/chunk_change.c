/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks that get other stripes, become shorter, or go. The chunk map follows at once, so that what is written from now on is written
 * to where it will be found; the items follow in the commit.
 */
#include "kernel-shared/space/free_space_tree.h"
#include "kernel-shared/space/sector_bits.h"
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

static int find_group(const struct txn *txn, u64 logical, struct block_group **ret_group, struct diag *d)
{
	*ret_group = block_groups_find(&txn->groups, logical);
	if (!*ret_group || (*ret_group)->logical != logical)
		return diag_fail(d, -ENOENT, "there is no block group %llu", (ull)logical);
	return 0;
}

/* --- Looking ---------------------------------------- */

int txn_group_used_bytes(const struct txn *txn, u64 logical, u64 *ret_bytes, struct diag *d)
{
	struct block_group *group;
	int err = find_group(txn, logical, &group, d);

	if (!err)
		*ret_bytes = group->used;
	return err;
}

struct used_end {
	u64 logical, end;
};

static int note_end(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct used_end *used = ctx;

	(void)d;
	used->end = logical + len - used->logical;
	return 0;
}

int txn_group_used_end(struct txn *txn, u64 logical, u64 *ret_end, struct diag *d)
{
	struct used_end used = { .logical = logical };
	int err = txn_for_each_used(txn, logical, note_end, &used, d);

	*ret_end = used.end;
	return err;
}

int txn_for_each_used(struct txn *txn, u64 logical, txn_range_fn fn, void *ctx, struct diag *d)
{
	_free_ u64 *used = NULL;
	struct block_group *group;
	u32 at = 0;
	int err = find_group(txn, logical, &group, d);

	if (!err)
		err = block_groups_load(&txn->groups, group, d);
	if (err)
		return err;
	used = malloc(sector_bits_words(group->nr_sectors) * sizeof(*used));
	if (!used)
		return diag_no_memory(d, "a block group");
	memcpy(used, group->now, sector_bits_words(group->nr_sectors) * sizeof(*used));
	while (!err && (at = sector_bits_find(used, at, group->nr_sectors, true)) < group->nr_sectors) {
		u32 end = sector_bits_find(used, at, group->nr_sectors, false);

		err = fn(ctx, logical + (u64)at * txn->groups.sectorsize, (u64)(end - at) * txn->groups.sectorsize, d);
		at = end;
	}
	return err;
}

int txn_place_chunk(struct txn *txn, u64 logical, u64 profile, bool may_keep, struct chunk **ret_chunk, struct diag *d)
{
	const struct chunk *old = chunk_map_find(txn->target.volume->chunks, logical);
	_cleanup_(all_holes_done) struct all_holes holes = { 0 };
	_free_ bool *keep = NULL;
	int err;

	if (!old || old->logical != logical)
		return diag_fail(d, -ENOENT, "there is no chunk %llu", (ull)logical);
	keep = calloc(old->num_stripes, sizeof(*keep));
	if (!keep)
		return diag_no_memory(d, "a chunk");
	for (u16 s = 0; s < old->num_stripes && may_keep; s++)
		keep[s] = txn_stripe_may_stay(txn, &old->stripe[s], old->stripe_bytes);
	err = txn_all_holes(txn, true, &holes, d);
	if (err)
		return err;
	return place_chunk_again(old, keep, (old->type & BLOCK_GROUP_TYPE_MASK) | profile, holes.devices, holes.nr,
				 ret_chunk, d);
}

/* --- Changing ---------------------------------------- */

static int judge(const struct txn *txn, const struct block_group *group, struct diag *d)
{
	int err = txn_is_usable(txn, d);

	if (err)
		return err;
	if (group->is_changed || group->is_new)
		return diag_fail(d, -EBUSY, "block group %llu: has changes that are not committed",
				 (ull)group->logical);
	array_for_each (&txn->changed_chunks, changed)
		if (changed->old->logical == group->logical)
			return diag_fail(d, -EBUSY, "chunk %llu: was changed already", (ull)group->logical);
	return 0;
}

int txn_replace_chunk(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	struct changed_chunk changed = { 0 };
	struct block_group *group;
	struct chunk *copy;
	int err = find_group(txn, chunk->logical, &group, d);

	if (!err)
		err = judge(txn, group, d);
	if (err)
		return err;
	copy = chunk_dup(chunk);
	if (!copy || array_reserve(&txn->changed_chunks, 1) < 0) {
		free(copy);
		return diag_no_memory(d, "a chunk");
	}
	changed.old = chunk_map_swap(txn->target.volume->chunks, copy);
	if (!changed.old) {
		free(copy);
		return diag_fail(d, -EINVAL, "chunk %llu: a chunk of %llu bytes cannot take its place",
				 (ull)chunk->logical, (ull)chunk->length);
	}
	txn->changed_chunks.items[txn->changed_chunks.len++] = changed;
	block_groups_reflag(&txn->groups, group, chunk->type);
	txn_count_stripes(txn, changed.old, -1);
	txn_count_stripes(txn, chunk, 1);
	txn->is_changed = true;
	return 0;
}

int txn_remove_chunk(struct txn *txn, u64 logical, struct diag *d)
{
	struct changed_chunk changed = { 0 };
	struct block_group *group;
	int err = find_group(txn, logical, &group, d);

	if (!err)
		err = judge(txn, group, d);
	if (err)
		return err;
	if (group->used || group->disk_used)
		return diag_fail(d, -EBUSY, "chunk %llu: %llu bytes of it are in use", (ull)logical, (ull)group->used);
	if (array_reserve(&txn->changed_chunks, 1) < 0)
		return diag_no_memory(d, "a chunk");
	changed.old = chunk_map_take_out(txn->target.volume->chunks, logical);
	if (!changed.old)
		return diag_fail(d, -ENOENT, "there is no chunk %llu", (ull)logical);
	changed.group = group;
	block_groups_take_out(&txn->groups, group);
	txn->changed_chunks.items[txn->changed_chunks.len++] = changed;
	txn_count_stripes(txn, changed.old, -1);
	txn->is_changed = true;
	return 0;
}

static int judge_length(struct txn *txn, const struct chunk *chunk, u64 length, struct diag *d)
{
	u64 end;
	int err;

	if (length == 0 || length >= chunk->length || length % chunk_row_bytes(chunk))
		return diag_fail(d, -EINVAL, "chunk %llu, of %llu bytes: cannot become %llu bytes long", (ull)chunk->logical,
				 (ull)chunk->length, (ull)length);
	err = txn_group_used_end(txn, chunk->logical, &end, d);
	if (!err && end > length)
		err = diag_fail(d, -EBUSY, "chunk %llu: something in it is in use behind its first %llu bytes",
				(ull)chunk->logical, (ull)length);
	return err;
}

int txn_shorten_chunk(struct txn *txn, u64 logical, u64 length, struct diag *d)
{
	const struct chunk *old = chunk_map_find(txn->target.volume->chunks, logical);
	struct block_group *group;
	struct chunk *copy;
	int err = find_group(txn, logical, &group, d);

	if (!err)
		err = judge(txn, group, d);
	if (!err && !old)
		err = diag_fail(d, -ENOENT, "there is no chunk %llu", (ull)logical);
	if (!err)
		err = judge_length(txn, old, length, d);
	if (err)
		return err;
	copy = chunk_dup_shorter(old, length);
	if (!copy || array_reserve(&txn->changed_chunks, 1) < 0) {
		free(copy);
		return diag_no_memory(d, "a chunk");
	}
	txn->changed_chunks.items[txn->changed_chunks.len++] =
		(struct changed_chunk){ .old = chunk_map_take_out(txn->target.volume->chunks, logical) };
	chunk_map_put_back(txn->target.volume->chunks, copy);
	txn_count_stripes(txn, old, -1);
	txn_count_stripes(txn, copy, 1);
	block_groups_set_length(&txn->groups, group, length);
	group->is_recorded = false; /* under its new key */
	txn->is_changed = true;
	return 0;
}

/* --- In the trees ---------------------------------------- */

int txn_delete_item(struct tree_root *root, const struct key *key, struct diag *d)
{
	struct edit edit = edit_init(root);
	int err = edit_delete_key(&edit, key, d);

	edit_done(&edit);
	return err;
}

static int delete_device_extents(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	struct tree_root *devices;
	struct edit edit;
	int err = txn_tree(txn, DEV_TREE_OBJECTID, &devices, d);

	if (err)
		return err;
	edit = edit_init(devices);
	for (u16 i = 0; i < chunk->num_stripes && !err; i++) {
		const struct key key = { chunk->stripe[i].devid, DEV_EXTENT_KEY, chunk->stripe[i].physical };

		err = edit_delete_key(&edit, &key, d);
		if (err == -ENOENT)
			err = diag_fail(d, -EUCLEAN, "chunk %llu: its extent of device %llu at %llu is gone",
					(ull)chunk->logical, (ull)key.objectid, (ull)key.offset);
	}
	edit_done(&edit);
	return err;
}

static int delete_chunk_item(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	const struct key key = { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, chunk->logical };
	struct tree_root *chunks;
	int err = txn_tree(txn, CHUNK_TREE_OBJECTID, &chunks, d);

	return err ? err : txn_delete_item(chunks, &key, d);
}

static int write_group_flags(struct txn *txn, const struct block_group *group, struct diag *d)
{
	const struct key key = { group->logical, BLOCK_GROUP_ITEM_KEY, group->length };
	struct tree_root *root;
	struct edit edit;
	int err = txn_block_group_root(txn, &root, d);

	if (err)
		return err;
	edit = edit_init(root);
	err = edit_seek(&edit, &key, d);
	if (err == 1)
		err = diag_fail(d, -EUCLEAN, "the item of block group %llu is gone", (ull)group->logical);
	if (!err)
		le64_put(&((struct disk_block_group_item *)edit_data(&edit))->flags, group->flags);
	edit_done(&edit);
	return err;
}

static int delete_group(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	const struct block_group group = { .logical = chunk->logical, .length = chunk->length };
	const struct key key = { chunk->logical, BLOCK_GROUP_ITEM_KEY, chunk->length };
	struct tree_root *root;
	int err = txn_block_group_root(txn, &root, d);

	if (!err)
		err = txn_delete_item(root, &key, d);
	if (err || !txn->has_free_space_tree)
		return err;
	err = txn_tree(txn, FREE_SPACE_TREE_OBJECTID, &root, d);
	return err ? err : free_space_tree_remove_group(root, &group, d);
}

/* What is about it has its length in the key, and is written anew. */
static int rewrite_group(struct txn *txn, const struct chunk *old, const struct chunk *now, struct diag *d)
{
	struct block_group *group = block_groups_find(&txn->groups, now->logical);
	int err = delete_group(txn, old, d);

	if (!err)
		err = txn_record_group(txn, now, d);
	return err || !txn->has_free_space_tree ? err : block_groups_list_as_free(&txn->groups, group, d);
}

static int record(struct txn *txn, const struct changed_chunk *changed, struct diag *d)
{
	const struct chunk *now = chunk_map_find(txn->target.volume->chunks, changed->old->logical);
	int err = delete_device_extents(txn, changed->old, d);

	if (!err)
		err = delete_chunk_item(txn, changed->old, d);
	if (err)
		return err;
	if (!changed->group) {
		err = txn_put_chunk_item(txn, now, d);
		if (!err)
			err = txn_put_device_extents(txn, now, d);
		if (!err && now->length != changed->old->length)
			return rewrite_group(txn, changed->old, now, d);
		return err ? err : write_group_flags(txn, block_groups_find(&txn->groups, now->logical), d);
	}
	if (changed->old->type & BLOCK_GROUP_SYSTEM)
		txn->is_sys_array_stale = true;
	return err ? err : delete_group(txn, changed->old, d);
}

int txn_record_chunk_changes(struct txn *txn, bool *ret_did, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < txn->changed_chunks.len && !err; i++) {
		struct changed_chunk *changed = &txn->changed_chunks.items[i];

		if (changed->is_recorded)
			continue;
		*ret_did = changed->is_recorded = true;
		err = record(txn, changed, d);
	}
	return err;
}

void txn_settle_chunk_changes(struct txn *txn)
{
	array_for_each (&txn->changed_chunks, changed) {
		free(changed->old);
		block_group_free(changed->group);
	}
	txn->changed_chunks.len = 0;
}

void txn_revert_chunk_changes(struct txn *txn)
{
	array_for_each (&txn->changed_chunks, changed) {
		struct block_group *group = block_groups_find(&txn->groups, changed->old->logical);

		if (changed->group) {
			chunk_map_put_back(txn->target.volume->chunks, changed->old);
			block_groups_put_back(&txn->groups, changed->group);
		} else {
			free(chunk_map_take_out(txn->target.volume->chunks, changed->old->logical));
			chunk_map_put_back(txn->target.volume->chunks, changed->old);
			block_groups_set_length(&txn->groups, group, changed->old->length);
			block_groups_reflag(&txn->groups, group, changed->old->type);
			group->is_recorded = true;
		}
	}
	txn->changed_chunks.len = 0;
}
