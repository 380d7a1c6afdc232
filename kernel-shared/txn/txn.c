/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Beginning, aborting and ending. */
#include "kernel-shared/format/super_check.h"
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

/* --- What can be changed ---------------------------------------- */

/* Structures of which changes are not known to us well enough. */
static const struct {
	u64 incompat;
	const char *name;
} unwritable[] = {
	{ INCOMPAT_ZONED, "zoned devices" },
	{ INCOMPAT_EXTENT_TREE_V2, "extent tree v2" },
	{ INCOMPAT_RAID_STRIPE_TREE, "a RAID stripe tree" },
	{ INCOMPAT_REMAP_TREE, "a remap tree" },
};

static int judge(const struct txn_target *target, bool has_log_plan, struct diag *d)
{
	const struct disk_super *super = target->super;
	u64 incompat = le64_get(super->incompat_flags), flags = le64_get(super->flags);

	for (size_t i = 0; i < sizeof(unwritable) / sizeof(unwritable[0]); i++)
		if (incompat & unwritable[i].incompat)
			return diag_fail(d, -EOPNOTSUPP, "filesystems with %s cannot be changed by this version",
					 unwritable[i].name);
	if (!(incompat & INCOMPAT_MIXED_BACKREF))
		return diag_fail(d, -EOPNOTSUPP,
				 "filesystems with the back references of before 2009 cannot be changed");
	if (flags & SUPER_FLAG_SEEDING)
		return diag_fail(d, -EROFS, "this is a seed device: it is never written");
	if (flags & (SUPER_FLAG_METADUMP | SUPER_FLAG_METADUMP_V2))
		return diag_fail(d, -EROFS, "this is a metadata dump");
	if (flags & (SUPER_FLAG_CHANGING_FSID | SUPER_FLAG_CHANGING_FSID_V2 | SUPER_FLAG_CHANGING_BG_TREE |
		     SUPER_FLAG_CHANGING_DATA_CSUM | SUPER_FLAG_CHANGING_META_CSUM))
		return diag_fail(d, -EBUSY,
				 "a conversion of the whole filesystem was interrupted: it has to be finished first");
	if (le64_get(super->log_root) && !has_log_plan)
		return diag_fail(d, -EBUSY, "there is a log that has not been replayed: replay it, or clear it, first");
	if (!target->may_be_degraded && device_set_nr_missing(target->volume->devices))
		return diag_fail(d, -ENODEV, "a device is missing: what is written would not be on it");
	return 0;
}

/*
 * A device that was away while the filesystem was changed. A power cut between two superblocks leaves one commit of
 * difference, and nothing is missing from it then.
 */
static int refuse_stale(const struct txn_target *target, struct diag *d)
{
	u64 newest = le64_get(target->super->generation);

	array_for_each (&target->volume->devices->devices, device)
		if (device->dev && device->super_generation + 1 < newest &&
		    !device_fsid_is_seed(target->super, device->fsid))
			return diag_fail(d, -ENODEV,
					 "%s: was away for some time (generation %llu, the others are at %llu): what it holds is "
					 "stale, it has to be replaced",
					 device->dev->name, (ull)device->super_generation, (ull)newest);
	return 0;
}

/* --- What there is ---------------------------------------- */

static int add_device(struct txn *txn, const struct disk_dev_item *item, struct diag *d)
{
	struct txn_device device = { .item = *item, .committed_item = *item, .limit_bytes = UINT64_MAX };

	device.device = device_set_find(txn->target.volume->devices, le64_get(item->devid), item->uuid);
	if (!device.device || (!device.device->dev && !txn->target.may_be_degraded))
		return diag_fail(d, -ENODEV, "device %llu is missing", (ull)le64_get(item->devid));
	device.is_seed = device_fsid_is_seed(&txn->super, item->fsid);
	if (device.device->dev && device.is_seed != device_fsid_is_seed(&txn->super, device.device->fsid))
		return diag_fail(d, -EUCLEAN, "device %llu: the chunk tree and the device differ about its filesystem",
				 (ull)le64_get(item->devid));
	if (!device.is_seed && device.device->dev && !device.device->dev->is_writable)
		return diag_fail(d, -EROFS, "%s: is not open for writing", device.device->dev->name);
	if (array_push(&txn->devices, device) < 0)
		return diag_no_memory(d, "devices");
	return 0;
}

/* Seeds are as they were when the filesystem grew from them: Linux does not mount it if they are not. */
static int judge_seeds(const struct txn *txn, struct diag *d)
{
	array_for_each (&txn->devices, device) {
		const struct device *seed = device->device;

		if (!device->is_seed || !seed->dev)
			continue;
		if (!seed->is_seeding)
			return diag_fail(d, -EUCLEAN, "%s: is no longer marked as a seed, though the filesystem grew from it",
					 seed->dev->name);
		if (seed->super_generation != le64_get(device->item.generation))
			return diag_fail(d, -EUCLEAN,
					 "%s: this seed was changed after the filesystem grew from it (generation %llu, it was %llu)",
					 seed->dev->name, (ull)seed->super_generation,
					 (ull)le64_get(device->item.generation));
	}
	return 0;
}

static int load_devices(struct txn *txn, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(txn->target.chunk_tree);
	const struct key first = { DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, 0 };
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		struct disk_dev_item item;

		if (!cursor_is_at(&cursor, DEV_ITEMS_OBJECTID, DEV_ITEM_KEY))
			break;
		memcpy(&item, cursor_data(&cursor), sizeof(item));
		err = add_device(txn, &item, d);
		if (err)
			return err;
	}
	if (err < 0 || txn->target.is_sprouting)
		return err < 0 ? err : 0;
	array_for_each (&txn->devices, device)
		if (!device->is_seed && device->device->dev)
			return judge_seeds(txn, d);
	return diag_fail(d, -EROFS, "no device of this filesystem may be written");
}

/*
 * What is written while a device is being replaced has to reach the new one, too, of which Linux has noted how far it
 * has been filled.
 */
static int refuse_replacement(struct txn *txn, struct diag *d)
{
	const struct key key = { 0, DEV_REPLACE_KEY, 0 };
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	const struct disk_dev_replace_item *item;
	struct tree tree;
	u64 state;
	int err = txn_read_tree(txn, DEV_TREE_OBJECTID, &tree, d);

	if (err)
		return err;
	cursor = cursor_init(&tree);
	err = cursor_find(&cursor, &key, d);
	if (err)
		return err < 0 ? err : 0;
	item = cursor_data(&cursor);
	if (cursor_data_bytes(&cursor) < sizeof(*item))
		return diag_fail(d, -EUCLEAN, "the item about the replacement of a device is too short");
	state = le64_get(item->replace_state);
	if (state == DEV_REPLACE_STARTED || state == DEV_REPLACE_SUSPENDED)
		return diag_fail(d, -EBUSY,
				 "the replacement of device %llu is not finished: Linux goes on with it when it mounts "
				 "the filesystem",
				 (ull)le64_get(item->src_devid));
	return 0;
}

/*
 * One group for each chunk, with the numbers of its item. In the extent tree the items lie between extents: each is
 * looked up by its key, not found by a walk over the whole tree.
 */
static int load_groups(struct txn *txn, struct diag *d)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	struct tree_root *root;
	int err = txn_block_group_root(txn, &root, d);

	if (err)
		return err;
	cursor = cursor_init(&root->tree);
	for (size_t i = 0; i < chunk_map_count(chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		const struct key key = { chunk->logical, BLOCK_GROUP_ITEM_KEY, chunk->length };
		const struct disk_block_group_item *item;

		err = cursor_find(&cursor, &key, d);
		if (err == 1)
			err = diag_fail(d, -EUCLEAN, "chunk %llu: has no block group item; check the filesystem first",
					(ull)chunk->logical);
		if (err)
			break;
		item = cursor_data(&cursor);
		if (le64_get(item->flags) != chunk->type || le64_get(item->used) > chunk->length)
			return diag_fail(d, -EUCLEAN,
					 "block group %llu: does not fit its chunk; check the filesystem first",
					 (ull)chunk->logical);
		err = block_groups_add(&txn->groups, chunk->logical, chunk->length, chunk->type, le64_get(item->used),
				       false, NULL, d);
	}
	return err;
}

static int learn_chunk_tree_uuid(struct txn *txn, struct diag *d)
{
	const struct tree *tree = txn->target.chunk_tree;
	const struct block_expect expect = {
		.logical = tree->root_logical, .level = tree->level, .generation = tree->generation, .tree_id = tree->id
	};
	_cleanup_(block_putp) struct tree_block *root = NULL;
	int err = block_get(txn->target.cache, &expect, &root, d);

	if (!err)
		memcpy(txn->id.chunk_tree_uuid, block_header(root->data)->chunk_tree_uuid, UUID_SIZE);
	return err;
}

static int load(struct txn *txn, struct diag *d)
{
	u64 incompat = le64_get(txn->super.incompat_flags), compat_ro = le64_get(txn->super.compat_ro_flags);
	struct tree_root *root;
	int err;

	txn->is_skinny = incompat & INCOMPAT_SKINNY_METADATA;
	txn->has_block_group_tree = compat_ro & COMPAT_RO_BLOCK_GROUP_TREE;
	/* One that is not valid is made anew by Linux, and left alone by us. */
	txn->has_free_space_tree =
		(compat_ro & COMPAT_RO_FREE_SPACE_TREE) && (compat_ro & COMPAT_RO_FREE_SPACE_TREE_VALID);
	err = learn_chunk_tree_uuid(txn, d);
	if (!err)
		err = load_devices(txn, d);
	if (!err)
		err = refuse_replacement(txn, d);
	if (!err)
		err = txn_tree(txn, EXTENT_TREE_OBJECTID, &root, d);
	if (err)
		return err;
	txn->groups.volume = txn->target.volume;
	txn->groups.sectorsize = txn->target.volume->sectorsize;
	txn->groups.extent_tree = root->tree;
	err = txn_judge_chunks(txn, d);
	if (!err)
		err = load_groups(txn, d);
	return err ? err : txn_load_quotas(txn, d);
}

/* --- The public part ---------------------------------------- */

static void set_generation(struct txn *txn)
{
	txn->super = *txn->target.super;
	txn->source.generation = txn->id.generation = le64_get(txn->super.generation) + 1;
}

int txn_new(const struct txn_target *target, bool has_log_plan, struct txn **ret_txn, struct diag *d)
{
	_cleanup_(txn_freep) struct txn *txn = NULL;
	int err = judge(target, has_log_plan, d);

	if (!err)
		err = refuse_stale(target, d);
	if (err)
		return err;
	txn = calloc(1, sizeof(*txn));
	if (!txn)
		return diag_no_memory(d, "a transaction");
	txn->source.ops = &txn_source_ops;
	txn->target = *target;
	txn->id.nodesize = block_cache_nodesize(target->cache);
	txn->id.csum = target->csum;
	memcpy(txn->id.fsid, super_metadata_fsid(target->super), UUID_SIZE);
	set_generation(txn);
	err = load(txn, d);
	if (err)
		return err;
	target->volume->mend = txn_mend;
	target->volume->has_kept = txn_has_kept;
	target->volume->mend_ctx = txn;
	*ret_txn = take_ptr(txn);
	return 0;
}

int txn_is_usable(const struct txn *txn, struct diag *d)
{
	if (!txn->is_lost)
		return 0;
	return diag_fail(
		d, -ESHUTDOWN,
		"writing the superblocks has failed: the filesystem has to be opened again before it is changed");
}

void txn_abort(struct txn *txn)
{
	block_cache_drop_dirty(txn->target.cache);
	delayed_refs_done(&txn->delayed);
	txn->quota_deltas.len = 0;
	txn_roots_revert(txn);
	block_groups_revert(&txn->groups);
	txn_revert_chunks(txn);
	txn_revert_chunk_changes(txn);
	txn_revert_devices(txn);
	set_generation(txn);
	txn->is_changed = false;
	txn->may_use_reserve = false;
	txn->is_sys_array_stale = false;
}

void txn_free(struct txn *txn)
{
	if (!txn)
		return;
	txn_abort(txn);
	if (txn->target.volume->mend_ctx == txn) {
		txn->target.volume->mend = NULL;
		txn->target.volume->has_kept = NULL;
	}
	txn_roots_done(txn);
	block_groups_done(&txn->groups);
	array_done(&txn->devices);
	array_done(&txn->quota_deltas);
	array_done(&txn->new_chunks);
	array_done(&txn->changed_chunks);
	free(txn);
}

u64 txn_generation(const struct txn *txn)
{
	return txn->source.generation;
}

bool txn_has_changes(const struct txn *txn)
{
	return txn->is_changed;
}

struct disk_super *txn_super(struct txn *txn)
{
	txn->is_changed = true;
	return &txn->super;
}

int txn_exclude(struct txn *txn, u64 logical, u64 len, struct diag *d)
{
	return block_groups_exclude(&txn->groups, logical, len, d);
}

void txn_use_reserve(struct txn *txn)
{
	txn->may_use_reserve = true;
}
