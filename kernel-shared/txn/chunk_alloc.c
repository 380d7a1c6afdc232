/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New chunks, in two parts: one is usable at once, as somebody is waiting for space in the middle of a change; its
 * items are put into the trees later, when no tree is being changed.
 */
#include "kernel-shared/space/free_space_tree.h"
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

static bool has_open_group(const struct txn *txn, u64 type)
{
	array_for_each (&txn->groups.groups, group)
		if (((*group)->flags & type & BLOCK_GROUP_TYPE_MASK) && !(*group)->is_read_only && !(*group)->is_closed)
			return true;
	return false;
}

/* Of several profiles that block groups of a kind have, the one that new ones get: as Linux chooses. */
u64 txn_profile_of(const struct txn *txn, u64 type)
{
	static const u64 order[] = { BLOCK_GROUP_RAID1C4, BLOCK_GROUP_RAID6, BLOCK_GROUP_RAID1C3, BLOCK_GROUP_RAID5,
				     BLOCK_GROUP_RAID10,  BLOCK_GROUP_RAID1, BLOCK_GROUP_DUP,	  BLOCK_GROUP_RAID0 };
	u64 seen = 0;

	for (size_t i = 0; i < ARRAY_LEN(txn->rules.profiles); i++)
		if ((type & txn->rules.profiles[i].type) && txn->rules.profiles[i].is_set)
			return txn->rules.profiles[i].profile;
	for (u64 one = type & BLOCK_GROUP_TYPE_MASK; one; one &= one - 1)
		seen |= block_groups_sums(&txn->groups, one & -one)->profiles;
	/* Where none can be written, as devices are missing, a careless new one would be a silent loss of copies. */
	if (!has_open_group(txn, type))
		array_for_each (&txn->groups.groups, group)
			seen |= (*group)->flags & type & BLOCK_GROUP_TYPE_MASK ? (*group)->flags & BLOCK_GROUP_PROFILE_MASK : 0;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (seen & order[i])
			return order[i];
	return 0;
}

/* --- Part one: usable ---------------------------------------- */

static u64 next_logical(const struct txn *txn)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;
	size_t nr = chunk_map_count(chunks);
	const struct chunk *last = nr ? chunk_map_at(chunks, nr - 1) : NULL;
	u64 end = last ? last->logical + last->length : MIB;

	/* Not where a chunk was until now: blocks of that address are still in use on disk. */
	array_for_each (&txn->changed_chunks, changed)
		end = MAX(end, changed->old->logical + changed->old->length);
	return (end + MIB - 1) / MIB * MIB;
}

static int adopt(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	int err;

	if (array_reserve(&txn->new_chunks, 1) < 0)
		return diag_no_memory(d, "a chunk");
	err = chunk_map_add(txn->target.volume->chunks, chunk, d);
	if (err)
		return err;
	err = block_groups_add(&txn->groups, chunk->logical, chunk->length, chunk->type, 0, true, NULL, d);
	if (err) {
		chunk_map_remove(txn->target.volume->chunks, chunk->logical);
		return err;
	}
	txn->new_chunks.items[txn->new_chunks.len++] = chunk->logical;
	txn_count_stripes(txn, chunk, 1);
	txn->is_changed = true;
	return 0;
}

int txn_alloc_chunk(struct txn *txn, u64 type, struct diag *d)
{
	_cleanup_(all_holes_done) struct all_holes holes = { 0 };
	_free_ struct chunk *chunk = NULL;
	int err;

	if ((le64_get(txn->super.incompat_flags) & INCOMPAT_MIXED_GROUPS) && type != BLOCK_GROUP_SYSTEM)
		type = BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA;
	err = txn_all_holes(txn, false, &holes, d);
	if (!err)
		err = place_chunk(type | txn_profile_of(txn, type), next_logical(txn), holes.total_bytes, holes.devices,
				  holes.nr, &chunk, d);
	return err ? err : adopt(txn, chunk, d);
}

void txn_revert_chunks(struct txn *txn)
{
	array_for_each (&txn->new_chunks, logical)
		chunk_map_remove(txn->target.volume->chunks, *logical);
	txn->new_chunks.len = 0;
}

/* --- Part two: recorded ---------------------------------------- */

int txn_put_chunk_item(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	const struct key key = { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, chunk->logical };
	u32 bytes = (u32)(sizeof(struct disk_chunk) + chunk->num_stripes * sizeof(struct disk_stripe));
	struct tree_root *chunks;
	struct edit edit;
	void *data;
	int err = txn_tree(txn, CHUNK_TREE_OBJECTID, &chunks, d);

	if (err)
		return err;
	edit = edit_init(chunks);
	err = edit_insert(&edit, &key, bytes, &data, d);
	if (!err && chunk_item_pack(chunk, txn->groups.sectorsize, data, bytes) != bytes)
		err = diag_fail(d, -EINVAL, "chunk %llu: its item cannot be made", (ull)chunk->logical);
	edit_done(&edit);
	if (chunk->type & BLOCK_GROUP_SYSTEM)
		txn->is_sys_array_stale = true;
	return err;
}

/*
 * Linux reads the array before it knows of seeds, and does not mount what names a chunk there. When a filesystem grows from
 * a seed, all of the chunk tree moves away from there.
 */
static bool is_needed_in_array(void *ctx, const struct chunk *chunk)
{
	const struct txn *txn = ctx;
	const struct block_group *group = block_groups_find(&txn->groups, chunk->logical);
	bool is_on_seed = false;

	for (u16 i = 0; i < chunk->num_stripes; i++)
		array_for_each (&txn->devices, device)
			is_on_seed |= device->is_seed && le64_get(device->item.devid) == chunk->stripe[i].devid;
	return !is_on_seed || !group || group->used > 0;
}

int txn_write_sys_array(struct txn *txn, struct diag *d)
{
	if (!txn->is_sys_array_stale)
		return 0;
	return sys_chunk_array_write_some(txn->target.volume->chunks, is_needed_in_array, txn, &txn->super, d);
}

int txn_put_device_extents(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	struct disk_dev_extent extent = { 0 };
	struct tree_root *devices;
	struct edit edit;
	int err = txn_tree(txn, DEV_TREE_OBJECTID, &devices, d);

	if (err)
		return err;
	edit = edit_init(devices);
	le64_put(&extent.chunk_tree, CHUNK_TREE_OBJECTID);
	le64_put(&extent.chunk_objectid, FIRST_CHUNK_TREE_OBJECTID);
	le64_put(&extent.chunk_offset, chunk->logical);
	le64_put(&extent.length, chunk->stripe_bytes);
	memcpy(extent.chunk_tree_uuid, txn->id.chunk_tree_uuid, UUID_SIZE);
	for (u16 i = 0; i < chunk->num_stripes && !err; i++) {
		const struct key key = { chunk->stripe[i].devid, DEV_EXTENT_KEY, chunk->stripe[i].physical };

		err = edit_put(&edit, &key, &extent, sizeof(extent), d);
	}
	edit_done(&edit);
	return err;
}

int txn_record_group(struct txn *txn, const struct chunk *chunk, struct diag *d)
{
	const struct key key = { chunk->logical, BLOCK_GROUP_ITEM_KEY, chunk->length };
	struct block_group *group = block_groups_find(&txn->groups, chunk->logical);
	struct disk_block_group_item item = { 0 };
	struct tree_root *root;
	struct edit edit;
	int err = txn_block_group_root(txn, &root, d);

	if (err)
		return err;
	le64_put(&item.used, group->used);
	le64_put(&item.chunk_objectid, FIRST_CHUNK_TREE_OBJECTID);
	le64_put(&item.flags, group->flags);
	edit = edit_init(root);
	group->item_used = group->used;
	err = edit_put(&edit, &key, &item, sizeof(item), d);
	edit_done(&edit);
	group->is_recorded = !err;
	if (!err && txn->has_free_space_tree) {
		err = txn_tree(txn, FREE_SPACE_TREE_OBJECTID, &root, d);
		if (!err)
			err = free_space_tree_add_group(root, txn->groups.sectorsize, group, d);
	}
	return err;
}

/* Feature bits of profiles, which a filesystem has as long as it has such chunks. */
static void fit_features(struct txn *txn)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;
	u64 has = 0, bits = le64_get(txn->super.incompat_flags);

	for (size_t i = 0; i < chunk_map_count(chunks); i++)
		has |= chunk_map_at(chunks, i)->profile->incompat;
	if (txn->changed_chunks.len)
		bits &= ~(INCOMPAT_RAID56 | INCOMPAT_RAID1C34);
	le64_put(&txn->super.incompat_flags, bits | has);
}

int txn_record_chunks(struct txn *txn, bool *ret_did, struct diag *d)
{
	int err = 0;

	/* Recording one may need another. */
	for (size_t i = 0; i < txn->new_chunks.len && !err; i++) {
		u64 logical = txn->new_chunks.items[i];
		const struct block_group *group = block_groups_find(&txn->groups, logical);
		const struct chunk *chunk = chunk_map_find(txn->target.volume->chunks, logical);

		if (group->is_recorded)
			continue;
		*ret_did = true;
		err = txn_put_chunk_item(txn, chunk, d);
		if (!err)
			err = txn_put_device_extents(txn, chunk, d);
		if (!err)
			err = txn_record_group(txn, chunk, d);
	}
	if (!err)
		err = txn_record_chunk_changes(txn, ret_did, d);
	fit_features(txn);
	return err ? err : txn_record_devices(txn, ret_did, d);
}
