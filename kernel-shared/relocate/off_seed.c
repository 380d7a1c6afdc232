/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/off_seed.h"

#include "kernel-shared/format/super_check.h"
#include "kernel-shared/volume/volume.h"

bool chunk_is_of_seed(const struct btrkit_fs *fs, const struct chunk *chunk)
{
	for (u16 i = 0; i < chunk->num_stripes; i++) {
		const struct device *device = device_set_find(fs->volume->devices, chunk->stripe[i].devid, NULL);

		if (device && device_fsid_is_seed(&fs->super, device->fsid))
			return true;
	}
	return false;
}

u64 profile_off_seed(const struct chunk *chunk, u64 nr_devices)
{
	const struct profile *profile = chunk->profile;

	if (nr_devices >= profile->devs_min)
		return profile->flag;
	if ((chunk->type & BLOCK_GROUP_TYPE_MASK) == BLOCK_GROUP_DATA || (profile->copies == 1 && !profile->parity))
		return 0;
	return nr_devices >= 2 ? BLOCK_GROUP_RAID1 : BLOCK_GROUP_DUP;
}

static bool is_tree_block(const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	const struct disk_extent_item *item = cursor_data(cursor);

	return (key.type == METADATA_ITEM_KEY || key.type == EXTENT_ITEM_KEY) &&
	       cursor_data_bytes(cursor) >= sizeof(*item) && (le64_get(item->flags) & EXTENT_FLAG_TREE_BLOCK);
}

static int rename_block(struct btrkit_fs *fs, u64 logical, u8 *block, struct diag *d)
{
	u32 nodesize = fs->volume->nodesize;
	struct disk_header *header = (struct disk_header *)block;
	int err = volume_read(fs->volume, logical, block, nodesize, 0, d);

	if (err)
		return err;
	if (!block_csum_is_good(block, nodesize, fs->csum) || le64_get(header->bytenr) != logical)
		return diag_fail(d, -EIO, "tree block %llu: is not what was copied", (unsigned long long)logical);
	if (memcmp(header->fsid, super_metadata_fsid(&fs->super), UUID_SIZE) == 0)
		return 0;
	memcpy(header->fsid, super_metadata_fsid(&fs->super), UUID_SIZE);
	block_finish(block, nodesize, fs->csum);
	return volume_write(fs->volume, logical, block, nodesize, d);
}

int rename_blocks(struct btrkit_fs *fs, u64 logical, u64 len, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	const struct key first = { logical, 0, 0 };
	_free_ u8 *block = malloc(fs->volume->nodesize);
	struct tree extents;
	int err;

	if (!block)
		return diag_no_memory(d, "a tree block");
	err = txn_read_tree(fs->txn, EXTENT_TREE_OBJECTID, &extents, d);
	if (err)
		return err;
	cursor = cursor_init(&extents);
	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		u64 at = cursor_key(&cursor).objectid;
		int bad;

		if (at - logical >= len)
			return 0;
		bad = is_tree_block(&cursor) ? rename_block(fs, at, block, d) : 0;
		if (bad)
			return bad;
	}
	return err < 0 ? err : 0;
}
