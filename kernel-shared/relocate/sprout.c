/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/sprout.h"
#include "kernel-shared/txn/reshape.h"

typedef unsigned long long ull;

/* --- The seed ---------------------------------------- */

/* The superblock as it is now: the set knows only what the newest one says. */
static int judge_device(const struct btrkit_fs *fs, const struct device *device, struct diag *d)
{
	bool is_own = !device_fsid_is_seed(&fs->super, device->fsid);

	if (!device->dev)
		return diag_fail(d, -ENODEV, "device %llu of the seed is missing", (ull)device->devid);
	if (!device->is_seeding)
		return diag_fail(d, -EINVAL, "%s: is not marked as a seed (btrkit device seed set)", device->dev->name);
	if (is_own && device->super_generation != le64_get(fs->super.generation))
		return diag_fail(d, -EUCLEAN, "%s: its superblock is of generation %llu, that of the others of %llu",
				 device->dev->name, (ull)device->super_generation, (ull)le64_get(fs->super.generation));
	return 0;
}

/* Of seeds that the seed grew from: are they as they were then? */
static int judge_older_seeds(const struct btrkit_fs *fs, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->chunk_tree);
	const struct key first = { DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, 0 };
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct disk_dev_item *item = cursor_data(&cursor);
		const struct device *device;

		if (!cursor_is_at(&cursor, DEV_ITEMS_OBJECTID, DEV_ITEM_KEY))
			break;
		device = device_set_find(fs->volume->devices, le64_get(item->devid), item->uuid);
		if (!device)
			return diag_fail(d, -ENODEV, "device %llu of the seed is missing", (ull)le64_get(item->devid));
		if (device_fsid_is_seed(&fs->super, item->fsid) &&
		    device->super_generation != le64_get(item->generation))
			return diag_fail(d, -EUCLEAN,
					 "%s: this seed was changed after the filesystem grew from it (generation %llu, it was %llu)",
					 device->dev->name, (ull)device->super_generation,
					 (ull)le64_get(item->generation));
	}
	return err < 0 ? err : 0;
}

int sprout_judge_seed(const struct btrkit_fs *fs, struct diag *d)
{
	if (!(le64_get(fs->super.flags) & SUPER_FLAG_SEEDING))
		return diag_fail(d, -EINVAL, "the filesystem is not a seed: mark it as one first (btrkit device seed set)");
	/* Items of devices name the old UUID, by which Linux would not find the seed. */
	if (le64_get(fs->super.incompat_flags) & INCOMPAT_METADATA_UUID)
		return diag_fail(d, -EOPNOTSUPP,
				 "the UUID of the filesystem was changed (metadata_uuid): Linux would not find it as a seed");
	array_for_each(&fs->volume->devices->devices, device) {
		int err = judge_device(fs, device, d);

		if (err)
			return err;
	}
	return judge_older_seeds(fs, d);
}

/* --- What it becomes ---------------------------------------- */

static void take_identity(struct btrkit_fs *fs, const u8 *fsid)
{
	memcpy(fs->super.fsid, fsid, UUID_SIZE);
	le64_put(&fs->super.flags, le64_get(fs->super.flags) & ~SUPER_FLAG_SEEDING);
	fs->volume->devices->super = fs->super;
	block_cache_set_fsid(fs->cache, fsid);
	fs->is_sprouting = true;
}

/* What has copies or parity gets copies. */
static u64 profile_on_one_device(const struct btrkit_fs *fs, u64 type)
{
	const struct chunk_map *chunks = fs->volume->chunks;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		if ((chunk->type & type) && (chunk->profile->copies > 1 || chunk->profile->parity))
			return BLOCK_GROUP_DUP;
	}
	return 0;
}

static int note_generations(struct btrkit_fs *fs, struct diag *d)
{
	int err = 0;

	array_for_each(&fs->volume->devices->devices, device)
		if (!err && device_fsid_is_seed(&fs->super, device->fsid))
			err = txn_set_device_generation(fs->txn, device->devid, device->super_generation, d);
	return err;
}

/* Every block of it is copied, which puts it where the filesystem may write. */
static int copy_chunk_tree(struct btrkit_fs *fs, struct diag *d)
{
	struct tree_root *chunks;
	struct edit edit;
	int err = txn_tree(fs->txn, CHUNK_TREE_OBJECTID, &chunks, d);

	if (err)
		return err;
	edit = edit_init(chunks);
	for (err = edit_seek_from(&edit, &KEY_MIN, d); err == 0;)
		err = edit_next(&edit, d);
	edit_done(&edit);
	return err < 0 ? err : 0;
}

/* The seed's chunks for the chunk tree are empty now. */
static int drop_system_chunks(struct btrkit_fs *fs, u64 own_devid, struct diag *d)
{
	const struct chunk_map *chunks = fs->volume->chunks;
	int err = 0;

	for (size_t i = chunk_map_count(chunks); i-- > 0 && !err;) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		u64 used;

		if (!(chunk->type & BLOCK_GROUP_SYSTEM) || chunk->stripe[0].devid == own_devid)
			continue;
		err = txn_group_used_bytes(fs->txn, chunk->logical, &used, d);
		if (!err && used == 0)
			err = txn_remove_chunk(fs->txn, chunk->logical, d);
	}
	return err ? err : txn_commit(fs->txn, d);
}

int sprout_grow(struct btrkit_fs *fs, const struct sprout_target *target, u64 *ret_devid, struct diag *d)
{
	int err;

	take_identity(fs, target->fsid);
	err = fs_begin_changes(fs, false, d);
	if (err) {
		blockdev_close(target->dev);
		return err;
	}
	txn_set_profile(fs->txn, BLOCK_GROUP_SYSTEM, profile_on_one_device(fs, BLOCK_GROUP_SYSTEM));
	txn_set_profile(fs->txn, BLOCK_GROUP_METADATA, profile_on_one_device(fs, BLOCK_GROUP_METADATA));
	err = txn_add_device(fs->txn, target->dev, target->total_bytes, target->uuid, ret_devid, d);
	if (!err)
		err = note_generations(fs, d);
	if (!err)
		err = copy_chunk_tree(fs, d);
	if (!err)
		err = txn_commit(fs->txn, d);
	if (err)
		return err;
	err = drop_system_chunks(fs, *ret_devid, d);
	return err ? diag_context(d, err, "the new filesystem is there, but what it does not need of the seed was not given up") : 0;
}
