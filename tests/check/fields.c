/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "tests/check/fields.h"

#define I(m) FIELD_OF(INODE_ITEM_KEY, disk_inode_item, m)
#define R(m) FIELD_OF(ROOT_ITEM_KEY, disk_root_item, m)
#define E(m) FIELD_OF(EXTENT_DATA_KEY, disk_file_extent_item, m)
#define C(m) FIELD_OF(CHUNK_ITEM_KEY, disk_chunk, m)
#define D(m) FIELD_OF(DEV_ITEM_KEY, disk_dev_item, m)
#define X(m) FIELD_OF(DEV_EXTENT_KEY, disk_dev_extent, m)
#define N(type, m) FIELD_OF(type, disk_dir_item, m)

const struct field fields[] = {
	I(generation), I(transid), I(size), I(nbytes), I(nlink), I(uid), I(gid), I(mode), I(rdev), I(flags), I(sequence),
	I(block_group), I(atime.sec), I(mtime.sec), I(ctime.sec), I(otime.sec),
	R(inode.generation), R(inode.size), R(inode.nlink), R(inode.mode), R(generation), R(root_dirid), R(bytenr),
	R(byte_limit), R(bytes_used), R(last_snapshot), R(flags), R(refs), R(drop_progress.objectid), R(drop_level), R(level),
	R(generation_v2), R(uuid), R(parent_uuid), R(received_uuid), R(ctransid), R(otransid), R(stransid), R(rtransid),
	E(generation), E(ram_bytes), E(compression), E(encryption), E(other_encoding), E(type), E(disk_bytenr),
	E(disk_num_bytes), E(offset), E(num_bytes),
	C(length), C(owner), C(stripe_len), C(type), C(io_align), C(io_width), C(sector_size), C(num_stripes), C(sub_stripes),
	FIELD_OF(CHUNK_ITEM_KEY, disk_chunk, stripe[0].devid), FIELD_OF(CHUNK_ITEM_KEY, disk_chunk, stripe[0].offset),
	FIELD_OF(CHUNK_ITEM_KEY, disk_chunk, stripe[0].dev_uuid),
	D(devid), D(total_bytes), D(bytes_used), D(io_align), D(io_width), D(sector_size), D(type), D(generation),
	D(start_offset), D(dev_group), D(uuid), D(fsid),
	X(chunk_tree), X(chunk_objectid), X(chunk_offset), X(length), X(chunk_tree_uuid),
	FIELD_OF(BLOCK_GROUP_ITEM_KEY, disk_block_group_item, used),
	FIELD_OF(BLOCK_GROUP_ITEM_KEY, disk_block_group_item, chunk_objectid),
	FIELD_OF(BLOCK_GROUP_ITEM_KEY, disk_block_group_item, flags),
	FIELD_OF(FREE_SPACE_INFO_KEY, disk_free_space_info, extent_count),
	FIELD_OF(FREE_SPACE_INFO_KEY, disk_free_space_info, flags),
	{ FREE_SPACE_BITMAP_KEY, "first byte", 0, 1 },
	FIELD_OF(EXTENT_ITEM_KEY, disk_extent_item, refs), FIELD_OF(EXTENT_ITEM_KEY, disk_extent_item, generation),
	FIELD_OF(EXTENT_ITEM_KEY, disk_extent_item, flags), { EXTENT_ITEM_KEY, "inline type", 24, 1 },
	{ EXTENT_ITEM_KEY, "inline root", 25, 8 }, { EXTENT_ITEM_KEY, "inline objectid", 33, 8 },
	{ EXTENT_ITEM_KEY, "inline offset", 41, 8 }, { EXTENT_ITEM_KEY, "inline count", 49, 4 },
	FIELD_OF(METADATA_ITEM_KEY, disk_extent_item, refs), FIELD_OF(METADATA_ITEM_KEY, disk_extent_item, generation),
	FIELD_OF(METADATA_ITEM_KEY, disk_extent_item, flags), { METADATA_ITEM_KEY, "inline type", 24, 1 },
	{ METADATA_ITEM_KEY, "inline root", 25, 8 },
	FIELD_OF(EXTENT_DATA_REF_KEY, disk_extent_data_ref, root), FIELD_OF(EXTENT_DATA_REF_KEY, disk_extent_data_ref, objectid),
	FIELD_OF(EXTENT_DATA_REF_KEY, disk_extent_data_ref, offset), FIELD_OF(EXTENT_DATA_REF_KEY, disk_extent_data_ref, count),
	FIELD_OF(SHARED_DATA_REF_KEY, disk_shared_data_ref, count),
	FIELD_OF(INODE_REF_KEY, disk_inode_ref, index), FIELD_OF(INODE_REF_KEY, disk_inode_ref, name_len),
	{ INODE_REF_KEY, "name", 10, 1 },
	FIELD_OF(INODE_EXTREF_KEY, disk_inode_extref, parent_objectid), FIELD_OF(INODE_EXTREF_KEY, disk_inode_extref, index),
	FIELD_OF(INODE_EXTREF_KEY, disk_inode_extref, name_len), { INODE_EXTREF_KEY, "name", 18, 1 },
	N(DIR_ITEM_KEY, location.objectid), N(DIR_ITEM_KEY, location.type), N(DIR_ITEM_KEY, location.offset),
	N(DIR_ITEM_KEY, transid), N(DIR_ITEM_KEY, data_len), N(DIR_ITEM_KEY, name_len), N(DIR_ITEM_KEY, type),
	{ DIR_ITEM_KEY, "name", 30, 1 },
	N(DIR_INDEX_KEY, location.objectid), N(DIR_INDEX_KEY, location.type), N(DIR_INDEX_KEY, location.offset),
	N(DIR_INDEX_KEY, transid), N(DIR_INDEX_KEY, data_len), N(DIR_INDEX_KEY, name_len), N(DIR_INDEX_KEY, type),
	{ DIR_INDEX_KEY, "name", 30, 1 },
	N(XATTR_ITEM_KEY, location.objectid), N(XATTR_ITEM_KEY, location.type), N(XATTR_ITEM_KEY, transid),
	N(XATTR_ITEM_KEY, data_len), N(XATTR_ITEM_KEY, name_len), N(XATTR_ITEM_KEY, type), { XATTR_ITEM_KEY, "name", 30, 1 },
	FIELD_OF(ROOT_REF_KEY, disk_root_ref, dirid), FIELD_OF(ROOT_REF_KEY, disk_root_ref, sequence),
	FIELD_OF(ROOT_REF_KEY, disk_root_ref, name_len), { ROOT_REF_KEY, "name", 18, 1 },
	FIELD_OF(ROOT_BACKREF_KEY, disk_root_ref, dirid), FIELD_OF(ROOT_BACKREF_KEY, disk_root_ref, sequence),
	FIELD_OF(ROOT_BACKREF_KEY, disk_root_ref, name_len), { ROOT_BACKREF_KEY, "name", 18, 1 },
	{ UUID_KEY_SUBVOL, "subvolume", 0, 8 }, { UUID_KEY_RECEIVED_SUBVOL, "subvolume", 0, 8 },
	FIELD_OF(QGROUP_STATUS_KEY, disk_qgroup_status_item, version),
	FIELD_OF(QGROUP_STATUS_KEY, disk_qgroup_status_item, flags),
	FIELD_OF(QGROUP_STATUS_KEY, disk_qgroup_status_item, generation),
	FIELD_OF(QGROUP_STATUS_KEY, disk_qgroup_status_item, rescan),
	FIELD_OF(QGROUP_STATUS_KEY, disk_qgroup_status_item, enable_gen),
	FIELD_OF(QGROUP_INFO_KEY, disk_qgroup_info_item, generation),
	FIELD_OF(QGROUP_INFO_KEY, disk_qgroup_info_item, rfer), FIELD_OF(QGROUP_INFO_KEY, disk_qgroup_info_item, excl),
	FIELD_OF(QGROUP_INFO_KEY, disk_qgroup_info_item, rfer_cmpr),
	FIELD_OF(QGROUP_INFO_KEY, disk_qgroup_info_item, excl_cmpr),
	FIELD_OF(QGROUP_LIMIT_KEY, disk_qgroup_limit_item, flags),
	FIELD_OF(QGROUP_LIMIT_KEY, disk_qgroup_limit_item, max_rfer),
	FIELD_OF(QGROUP_LIMIT_KEY, disk_qgroup_limit_item, max_excl),
	FIELD_OF(QGROUP_LIMIT_KEY, disk_qgroup_limit_item, rsv_rfer),
	FIELD_OF(QGROUP_LIMIT_KEY, disk_qgroup_limit_item, rsv_excl),
};
const size_t nr_fields = ARRAY_LEN(fields);

const char *change_name(enum change change)
{
	static const char *const names[] = { "+1", "flip", "zero", "ones" };

	return names[change];
}

bool apply_change(u8 *at, u32 size, enum change change)
{
	u8 before[LABEL_SIZE];

	if (size > sizeof(before))
		return false;
	memcpy(before, at, size);
	switch (change) {
	case CHANGE_ADD_ONE:
		for (u32 i = 0; i < size && ++at[i] == 0; i++)
			;
		break;
	case CHANGE_FLIP_MIDDLE:
		at[size / 2] ^= 0x10;
		break;
	case CHANGE_ZERO:
		memset(at, 0, size);
		break;
	default:
		memset(at, 0xff, size);
	}
	return memcmp(before, at, size) != 0;
}

/*
 * Changes that leave a sound filesystem sound. Each row: the kinds of items that it is about (the end of the kind's name),
 * the field, the change ("" stands for all), and why.
 */
static const struct harmless {
	const char *kind, *field, *change, *reason;
} harmless[] = {
	{ "type 1 directory", "uid", "", "anybody may own a file" },
	{ "type 1 file", "uid", "", "anybody may own a file" },
	{ "type 1 directory", "gid", "", "any group may own a file" },
	{ "type 1 file", "gid", "", "any group may own a file" },
	{ "type 1 directory", "mode", "+1", "any permissions are possible" },
	{ "type 1 file", "mode", "+1", "any permissions are possible" },
	{ "type 1 directory", "sequence", "", "a counter without a rule" },
	{ "type 1 file", "sequence", "", "a counter without a rule" },
	{ "type 1 directory", "block_group", "", "unused since 2008" },
	{ "type 1 file", "block_group", "", "unused since 2008" },
	{ "type 1 directory", "atime.sec", "", "any time is possible" },
	{ "type 1 file", "atime.sec", "", "any time is possible" },
	{ "type 1 directory", "mtime.sec", "", "any time is possible" },
	{ "type 1 file", "mtime.sec", "", "any time is possible" },
	{ "type 1 directory", "ctime.sec", "", "any time is possible" },
	{ "type 1 file", "ctime.sec", "", "any time is possible" },
	{ "type 1 directory", "otime.sec", "", "any time is possible" },
	{ "type 1 file", "otime.sec", "", "any time is possible" },
	{ "type 1 directory", "generation", "", "any generation up to the filesystem's is possible" },
	{ "type 1 file", "generation", "", "any generation up to the filesystem's is possible" },
	{ "type 1 directory", "transid", "", "any generation up to the filesystem's is possible" },
	{ "type 1 file", "transid", "", "any generation up to the filesystem's is possible" },
	{ "type 1 directory", "nbytes", "", "of directories, which the first inodes are: nobody reads it" },
	{ "type 1 directory", "flags", "+1", "NODATASUM of a directory: what new files inherit" },
	{ "type 1 file", "size", "+1", "a file may end in a hole" },
	{ "type 1 file", "size", "flip", "a file may end in a hole" },
	{ "type 1 file", "size", "ones", "a file may end in a hole" },
	{ "type 1 file", "flags", "+1", "NODATASUM of a file without data extents" },
	{ "type 108 hole", "ram_bytes", "", "nobody reads it" },
	{ "super", "label", "", "any label is possible" },
	{ "super", "flags", "flip", "the fsid is being changed: the check says so" },
	{ "super", "cache_generation", "", "an older generation, or none" },
	{ "super", "uuid_tree_generation", "zero", "tells Linux to look whether the uuid tree is complete" },
	{ "type 240", "flags", "", "quotas are off, or their numbers not exact: the check says so" },
	{ "type 240", "generation", "", "an older one: Linux marks the numbers as inexact" },
	{ "type 240 simple", "generation", "", "with simple quotas Linux does not look at it" },
	{ "type 240 simple", "rescan", "", "there is nothing to scan" },
	{ "type 240 simple", "flags", "", "quotas may be off" },
	{ "type 240", "rescan", "", "where the last scan came to" },
	{ "type 240", "enable_gen", "", "of quotas that are not simple: Linux writes what is in memory" },
	{ "type 242", "generation", "", "any generation up to the filesystem's is possible" },
	{ "type 242", "rfer_cmpr", "", "nobody reads it; with simple quotas Linux does not count it" },
	{ "type 242", "excl_cmpr", "", "as rfer_cmpr" },
	{ "type 244", "flags", "", "which limits there are is for the user to say" },
	{ "type 244", "max_rfer", "", "any limit is possible" },
	{ "type 244", "max_excl", "", "any limit is possible" },
	{ "type 244", "rsv_rfer", "", "nobody reads it" },
	{ "type 244", "rsv_excl", "", "nobody reads it" },
	{ "type 84", "transid", "", "any generation up to the filesystem's is possible" },
	{ "type 96", "transid", "", "any generation up to the filesystem's is possible" },
	{ "type 24", "transid", "", "any generation up to the filesystem's is possible" },
	{ "type 108", "generation", "", "any generation up to the filesystem's is possible" },
	{ "type 168", "generation", "", "any generation up to the filesystem's is possible" },
	{ "type 169", "generation", "", "any generation up to the filesystem's is possible" },
	{ "type 204", "chunk_tree_uuid", "", "Linux writes zeroes, mkfs the uuid, and nobody reads it" },
	{ "type 228", "sub_stripes", "", "means something for RAID10 only" },
	{ "subvolume type 132", "key.offset", "+1", "of a snapshot: any older generation; Linux looks for the highest" },
	{ "subvolume type 132", "key.offset", "zero", "of a snapshot: any older generation; Linux looks for the highest" },
	{ "relocation system type 132", "key.offset", "+1", "any older generation; Linux looks for the highest" },
	{ "quota system type 132", "refs", "zero", "mkfs.btrfs writes 0 there, and nobody reads it" },
	{ "deleted subvolume type 132", "drop_progress.objectid", "", "another place in the same leaf" },
	{ "deleted subvolume type 132", "drop_level", "", "the level of a root that is a leaf" },
	{ "type 132", "byte_limit", "", "was never used" },
	{ "type 249", "key.offset", "", "Linux leaves the statistics of a device that was removed" },
	{ "type 132", "stransid", "", "a generation of the filesystem that sent the subvolume" },
	{ "type 132", "parent_uuid", "", "the subvolume that it is a snapshot of may be gone" },
	{ "system type 132", "uuid", "", "of trees that are not subvolumes; others are looked up in the uuid tree" },
	{ "system type 132", "received_uuid", "", "as uuid" },
	{ "system type 132", "root_dirid", "", "of trees that are not subvolumes; nobody reads it" },
	{ "deleted subvolume type 132", "uuid", "", "it is no longer looked up" },
	{ "deleted subvolume type 132", "received_uuid", "", "it is no longer looked up" },
	{ "deleted subvolume type 132", "root_dirid", "", "nobody goes there" },
	{ "top subvolume type 132", "root_dirid", "zero", "some tools leave it out, and Linux does not look there" },
	{ "type 132", "ctransid", "", "of trees that are not subvolumes, or an older generation" },
	{ "type 132", "otransid", "", "of trees that are not subvolumes, or an older generation" },
	{ "type 132", "rtransid", "", "of trees that are not subvolumes, or an older generation" },
	{ "type 132", "last_snapshot", "", "an older generation" },
	{ "type 132", "generation_v2", "", "unequal to generation: an old kernel wrote the item" },
	{ "subvolume type 132", "flags", "+1", "a subvolume may be read-only" },
	{ "subvolume type 132", "flags", "zero", "a subvolume may be writable" },
	{ "type 216", "io_align", "", "nobody reads it" },
	{ "type 216", "io_width", "", "nobody reads it" },
	{ "type 216", "generation", "", "nobody reads it" },
	{ "type 216", "dev_group", "", "nobody reads it" },
	{ "tree 1 type 12", "name", "", "the root tree's directory has one entry, and its own name is not read" },
	{ "tree 1 type 12", "index", "", "as its name" },
	{ "tree 1 type 12", "key.offset", "", "as its name" },
	{ "tree 1 type 1 directory", "size", "", "as its name" },
	{ "tree 1 type 1 directory", "nlink", "", "as its name" },
	{ "tree 1 type 1 directory", "rdev", "", "as its name" },
	{ "tree 1 type 1 directory", "mode", "", "as its name" },
	{ "tree 1 type 1 directory", "flags", "", "as its name" },
	{ "tree 1 type 108", "type", "", "of a free space cache: Linux ignores one that is not valid" },
	{ "tree 1 type 108", "ram_bytes", "", "of a free space cache" },
	{ "tree 1 type 108", "other_encoding", "", "of a free space cache" },
	{ "tree 1 type 108", "compression", "", "of a free space cache" },
	{ "tree 1 type 0", "key.offset", "", "of a free space cache" },
	{ "tree 1 type 84", "location.offset", "", "Linux writes -1, and looks at the subvolume's id only" },
	{ "type 132", "bytes_used", "", "a statistic that nobody reads" },
	{ "type 132", "inode.generation", "", "the inode of a root item is never read" },
	{ "type 132", "inode.size", "", "the inode of a root item is never read" },
	{ "type 132", "inode.nlink", "", "the inode of a root item is never read" },
	{ "type 132", "inode.mode", "", "the inode of a root item is never read" },
};

const char *harmless_reason(const char *kind, const char *field, enum change change)
{
	size_t len = strlen(kind);

	for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
		size_t end = strlen(harmless[i].kind);

		if (strcmp(field, harmless[i].field) == 0 &&
		    (!harmless[i].change[0] || strcmp(harmless[i].change, change_name(change)) == 0) && len >= end &&
		    strcmp(kind + len - end, harmless[i].kind) == 0)
			return harmless[i].reason;
	}
	return NULL;
}
