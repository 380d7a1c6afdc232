/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New chunks, in two parts: one is usable at once, as somebody is waiting for space in the middle of a change; its
 * items are put into the trees later, when no tree is being changed.
 */
#include "kernel-shared/space/free_space_tree.h"
#include "kernel-shared/txn/txn_state.h"
#include "kernel-shared/volume/placement.h"

typedef unsigned long long ull;

/* Of several profiles that block groups of a kind have, the one that new ones get: as Linux chooses. */
u64 txn_profile_of(const struct txn *txn, u64 type)
{
	static const u64 order[] = { BLOCK_GROUP_RAID1C4, BLOCK_GROUP_RAID6, BLOCK_GROUP_RAID1C3, BLOCK_GROUP_RAID5,
				     BLOCK_GROUP_RAID10,  BLOCK_GROUP_RAID1, BLOCK_GROUP_DUP,	  BLOCK_GROUP_RAID0 };
	u64 seen = 0;

	for (u64 one = type & BLOCK_GROUP_TYPE_MASK; one; one &= one - 1)
		seen |= block_groups_sums(&txn->groups, one & -one)->profiles;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (seen & order[i])
			return order[i];
	return 0;
}

/* --- Holes of devices ---------------------------------------- */

static int add_hole(struct device_holes *holes, u64 from, u64 end, struct diag *d)
{
	from = (from + STRIPE_LEN_BYTES - 1) / STRIPE_LEN_BYTES * STRIPE_LEN_BYTES;
	if (end <= from)
		return 0;
	if (array_push(&holes->holes, (struct hole){ from, end - from }) < 0)
		return diag_no_memory(d, "device space");
	return 0;
}

/* The chunk map knows all stripes, also those whose device extents are not in the device tree yet. */
struct taken {
	u64 from, end;
};

static int by_from(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static int find_holes(const struct txn *txn, const struct txn_device *device, struct device_holes *holes,
		      struct diag *d)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;
	ARRAY(struct taken) taken = { 0 };
	u64 devid = le64_get(device->item.devid), at = DEVICE_RANGE_RESERVED_BYTES;
	u64 end = MIN(le64_get(device->item.total_bytes), device->device->dev->size_bytes);
	int err = 0;

	holes->devid = devid;
	memcpy(holes->uuid, device->item.uuid, UUID_SIZE);
	for (size_t i = 0; i < chunk_map_count(chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes && !err; s++)
			if (chunk->stripe[s].devid == devid &&
			    array_push(&taken, (struct taken){ chunk->stripe[s].physical,
							       chunk->stripe[s].physical + chunk->stripe_bytes }) < 0)
				err = diag_no_memory(d, "device space");
	}
	array_sort(&taken, by_from);
	for (size_t i = 0; i < taken.len && !err; i++) {
		err = add_hole(holes, at, MIN(taken.items[i].from, end), d);
		at = MAX(at, taken.items[i].end);
	}
	if (!err)
		err = add_hole(holes, at, end, d);
	array_done(&taken);
	return err;
}

/* --- Part one: usable ---------------------------------------- */

static u64 next_logical(const struct txn *txn)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;
	size_t nr = chunk_map_count(chunks);
	const struct chunk *last = nr ? chunk_map_at(chunks, nr - 1) : NULL;
	u64 end = last ? last->logical + last->length : MIB;

	return (end + MIB - 1) / MIB * MIB;
}

static struct txn_device *device_of(struct txn *txn, u64 devid)
{
	array_for_each (&txn->devices, device)
		if (le64_get(device->item.devid) == devid)
			return device;
	return NULL;
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
	for (u16 i = 0; i < chunk->num_stripes; i++) {
		struct txn_device *device = device_of(txn, chunk->stripe[i].devid);

		le64_put(&device->item.bytes_used, le64_get(device->item.bytes_used) + chunk->stripe_bytes);
		device->is_changed = true;
	}
	txn->is_changed = true;
	return 0;
}

int txn_alloc_chunk(struct txn *txn, u64 type, struct diag *d)
{
	_free_ struct device_holes *holes = calloc(MAX(txn->devices.len, (size_t)1), sizeof(*holes));
	_free_ struct chunk *chunk = NULL;
	u64 fs_bytes = 0;
	size_t nr = 0;
	int err = 0;

	if (!holes)
		return diag_no_memory(d, "device space");
	if ((le64_get(txn->super.incompat_flags) & INCOMPAT_MIXED_GROUPS) && type != BLOCK_GROUP_SYSTEM)
		type = BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA;
	array_for_each (&txn->devices, device) {
		if (device->is_seed || err)
			continue;
		fs_bytes += le64_get(device->item.total_bytes);
		err = find_holes(txn, device, &holes[nr++], d);
	}
	if (!err)
		err = place_chunk(type | txn_profile_of(txn, type), next_logical(txn), fs_bytes, holes, nr, &chunk, d);
	for (size_t i = 0; i < nr; i++)
		array_done(&holes[i].holes);
	return err ? err : adopt(txn, chunk, d);
}

void txn_revert_chunks(struct txn *txn)
{
	array_for_each (&txn->new_chunks, logical)
		chunk_map_remove(txn->target.volume->chunks, *logical);
	txn->new_chunks.len = 0;
	array_for_each (&txn->devices, device) {
		device->item = device->committed_item;
		device->is_changed = false;
	}
}

/* --- Part two: recorded ---------------------------------------- */

static int record_chunk_item(struct txn *txn, const struct chunk *chunk, struct diag *d)
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
	if (!err && (chunk->type & BLOCK_GROUP_SYSTEM))
		err = sys_chunk_array_write(txn->target.volume->chunks, &txn->super, d);
	return err;
}

static int record_device_extents(struct txn *txn, const struct chunk *chunk, struct diag *d)
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

static int record_group(struct txn *txn, const struct chunk *chunk, struct diag *d)
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

static int record_device(struct txn *txn, struct txn_device *device, struct diag *d)
{
	const struct key key = { DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, le64_get(device->item.devid) };
	struct tree_root *chunks;
	struct edit edit;
	int err = txn_tree(txn, CHUNK_TREE_OBJECTID, &chunks, d);

	if (err)
		return err;
	edit = edit_init(chunks);
	err = edit_seek(&edit, &key, d);
	if (err == 1 || (!err && edit_data_bytes(&edit) != sizeof(device->item)))
		err = diag_fail(d, -EUCLEAN, "the item of device %llu is gone", (ull)key.offset);
	if (!err)
		memcpy(edit_data(&edit), &device->item, sizeof(device->item));
	edit_done(&edit);
	device->is_changed = false;
	return err;
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
		err = record_chunk_item(txn, chunk, d);
		if (!err)
			err = record_device_extents(txn, chunk, d);
		if (!err)
			err = record_group(txn, chunk, d);
	}
	array_for_each (&txn->devices, device) {
		if (err || !device->is_changed)
			continue;
		*ret_did = true;
		err = record_device(txn, device, d);
	}
	return err;
}
