/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commit: the one place where the recursion of trees is closed. Recording references changes the extent tree, which
 * allocates blocks, which changes references, block groups, the free space tree and root items; each round leaves less,
 * as blocks are copied only once, until nothing is left to be recorded. Then everything is written.
 */
#include "kernel-shared/space/free_space_tree.h"
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

/* Far more rounds than any filesystem takes. */
#define ROUNDS_MAX 64

/* --- Block groups ---------------------------------------- */

static int write_group_item(struct edit *edit, struct block_group *group, struct diag *d)
{
	const struct key key = { group->logical, BLOCK_GROUP_ITEM_KEY, group->length };
	struct disk_block_group_item *item;
	int err = edit_seek(edit, &key, d);

	if (err == 1)
		return diag_fail(d, -EUCLEAN, "the item of block group %llu is gone", (ull)group->logical);
	if (err)
		return err;
	item = edit_data(edit);
	/* The seek itself may have allocated in this group. */
	le64_put(&item->used, group->used);
	group->item_used = group->used;
	return 0;
}

static int write_groups(struct txn *txn, bool *ret_did, struct diag *d)
{
	struct tree_root *root;
	struct edit edit;
	int err = txn_block_group_root(txn, &root, d);

	if (err)
		return err;
	edit = edit_init(root);
	for (size_t i = 0; i < txn->groups.groups.len && !err; i++) {
		struct block_group *group = txn->groups.groups.items[i];

		if (!group->is_recorded || group->used == group->item_used)
			continue;
		*ret_did = true;
		err = write_group_item(&edit, group, d);
	}
	edit_done(&edit);
	return err;
}

static int write_free_space(struct txn *txn, struct diag *d)
{
	struct tree_root *root;
	int err = 0;

	if (!txn->has_free_space_tree)
		return 0;
	err = txn_tree(txn, FREE_SPACE_TREE_OBJECTID, &root, d);
	for (size_t i = 0; i < txn->groups.groups.len && !err; i++) {
		struct block_group *group = txn->groups.groups.items[i];

		if (group->is_changed && group->is_recorded)
			err = free_space_tree_update(root, txn->groups.sectorsize, group, d);
	}
	return err;
}

/* Does the free space tree say what is so? */
static bool free_space_is_written(const struct txn *txn)
{
	for (size_t i = 0; i < txn->groups.groups.len && txn->has_free_space_tree; i++) {
		const struct block_group *group = txn->groups.groups.items[i];
		const u64 *listed = group->listed ? group->listed : group->disk;

		if (group->is_changed &&
		    memcmp(listed, group->now, ((size_t)group->nr_sectors + 63) / 64 * sizeof(u64)) != 0)
			return false;
	}
	return true;
}

/* --- The superblock ---------------------------------------- */

struct backup_field {
	u64 tree;
	size_t root, generation, level;
};

#define BACKUP_FIELD(id, name)                                                                                         \
	{                                                                                                              \
		id, offsetof(struct disk_root_backup, name), offsetof(struct disk_root_backup, name##_gen),            \
			offsetof(struct disk_root_backup, name##_level)                                                \
	}

static const struct backup_field backup_fields[] = {
	BACKUP_FIELD(ROOT_TREE_OBJECTID, tree_root),	 BACKUP_FIELD(CHUNK_TREE_OBJECTID, chunk_root),
	BACKUP_FIELD(EXTENT_TREE_OBJECTID, extent_root), BACKUP_FIELD(FS_TREE_OBJECTID, fs_root),
	BACKUP_FIELD(DEV_TREE_OBJECTID, dev_root),	 BACKUP_FIELD(CSUM_TREE_OBJECTID, csum_root),
};

/* Into the oldest slot: the one after the newest. */
static int write_backup(struct txn *txn, struct diag *d)
{
	struct disk_root_backup backup = { 0 };
	unsigned newest = NUM_BACKUP_ROOTS - 1;

	for (unsigned i = 0; i < NUM_BACKUP_ROOTS; i++)
		if (le64_get(txn->super.super_roots[i].tree_root_gen) >=
		    le64_get(txn->super.super_roots[newest].tree_root_gen))
			newest = i;
	for (size_t i = 0; i < sizeof(backup_fields) / sizeof(backup_fields[0]); i++) {
		const struct backup_field *field = &backup_fields[i];
		u8 *base = (u8 *)&backup;
		struct tree tree;
		int err = txn_read_tree(txn, field->tree, &tree, d);

		if (err)
			return err;
		le64_put((le64 *)(base + field->root), tree.root_logical);
		le64_put((le64 *)(base + field->generation), tree.generation);
		base[field->level] = (u8)tree.level;
	}
	backup.total_bytes = txn->super.total_bytes;
	backup.bytes_used = txn->super.bytes_used;
	backup.num_devices = txn->super.num_devices;
	txn->super.super_roots[(newest + 1) % NUM_BACKUP_ROOTS] = backup;
	return 0;
}

static int make_super(struct txn *txn, struct diag *d)
{
	struct disk_super *super = &txn->super;
	u64 old_generation = le64_get(txn->target.super->generation), used = le64_get(txn->target.super->bytes_used);
	int err;

	le64_put(&super->generation, txn->source.generation);
	le64_put(&super->root, txn->target.root_tree->root_logical);
	super->root_level = (u8)txn->target.root_tree->level;
	le64_put(&super->chunk_root, txn->target.chunk_tree->root_logical);
	super->chunk_root_level = (u8)txn->target.chunk_tree->level;
	le64_put(&super->chunk_root_generation, txn->target.chunk_tree->generation);
	array_for_each (&txn->groups.groups, group)
		used += (*group)->used - (*group)->disk_used;
	le64_put(&super->bytes_used, used);
	le64_put(&super->log_root, 0);
	super->log_root_level = 0;
	/* The uuid tree is kept up to date by those who change subvolumes; if it was before, it is now. */
	if (le64_get(super->uuid_tree_generation) == old_generation)
		le64_put(&super->uuid_tree_generation, txn->source.generation);
	err = txn_write_sys_array(txn, d);
	return err ? err : write_backup(txn, d);
}

/* --- All together ---------------------------------------- */

static int record_everything(struct txn *txn, struct diag *d)
{
	int err = txn_mark_quotas(txn, d);

	for (unsigned round = 0; !err; round++) {
		bool did = false;

		if (round >= ROUNDS_MAX)
			return diag_fail(d, -EOVERFLOW, "the commit does not come to an end");
		err = txn_run_refs(txn, &did, d);
		if (!err)
			err = txn_write_quotas(txn, &did, d);
		if (!err)
			err = txn_record_chunks(txn, &did, d);
		if (!err)
			err = write_free_space(txn, d);
		if (!err)
			err = write_groups(txn, &did, d);
		if (!err)
			err = txn_write_root_items(txn, &did, d);
		if (!err && !did && txn->delayed.heads.len == 0 && free_space_is_written(txn))
			break;
	}
	return err;
}

/* The root tree is always new, so that the superblock's generation is that of its root. */
static int touch_root_tree(struct txn *txn, struct diag *d)
{
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	edit = edit_init(roots);
	err = edit_seek(&edit, &KEY_MIN, d);
	edit_done(&edit);
	return err < 0 ? err : 0;
}

static void settle(struct txn *txn)
{
	struct tree_root *extents;

	*txn->target.super = txn->super;
	txn->target.volume->devices->super = txn->super;
	block_cache_settle_dirty(txn->target.cache, txn->source.generation);
	txn_roots_settle(txn);
	(void)txn_tree(txn, EXTENT_TREE_OBJECTID, &extents, NULL); /* is known since the beginning */
	block_groups_settle(&txn->groups, &extents->tree);
	txn->new_chunks.len = 0;
	txn_settle_chunk_changes(txn);
	txn_settle_devices(txn);
	txn->source.generation = ++txn->id.generation;
	txn->is_changed = txn->may_use_reserve = txn->is_sys_array_stale = false;
}

int txn_commit(struct txn *txn, struct diag *d)
{
	int err = txn_is_usable(txn, d);

	if (err || !txn->is_changed)
		return err;
	txn->may_use_reserve = true;
	err = touch_root_tree(txn, d);
	if (!err)
		err = record_everything(txn, d);
	if (!err)
		err = make_super(txn, d);
	if (!err)
		err = txn_write_blocks(txn, d);
	if (!err)
		err = txn_write_supers(txn, d);
	if (err) {
		txn_abort(txn);
		return err;
	}
	settle(txn);
	return 0;
}
