/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys: every item of every tree is found by (objectid, type, offset), compared in that order as unsigned numbers.
 * Source: UAPI header linux/btrfs_tree.h, struct btrfs_disk_key, and the constants around it.
 */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_KEY_H
#define BTRKIT_KERNEL_SHARED_FORMAT_KEY_H

#include "common/base/types.h"

struct key {
	u64 objectid;
	u8 type;
	u64 offset;
};

struct disk_key {
	le64 objectid;
	u8 type;
	le64 offset;
} __attribute__((packed));
_Static_assert(sizeof(struct disk_key) == 17, "disk_key");

static inline struct key key_unpack(const struct disk_key *from)
{
	return (struct key){
		.objectid = le64_get(from->objectid),
		.type = from->type,
		.offset = le64_get(from->offset),
	};
}

static inline void key_pack(struct disk_key *to, const struct key *key)
{
	le64_put(&to->objectid, key->objectid);
	to->type = key->type;
	le64_put(&to->offset, key->offset);
}

/* <0, 0, >0 as @a sorts before, with or after @b. */
static inline int key_compare(const struct key *a, const struct key *b)
{
	if (a->objectid != b->objectid)
		return a->objectid < b->objectid ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return 0;
}

#define KEY_MIN ((struct key){ 0, 0, 0 })
#define KEY_MAX ((struct key){ UINT64_MAX, UINT8_MAX, UINT64_MAX })

/* Objectids of trees, and of the roots' items in the root tree. */
#define ROOT_TREE_OBJECTID ((u64)1)
#define EXTENT_TREE_OBJECTID ((u64)2)
#define CHUNK_TREE_OBJECTID ((u64)3)
#define DEV_TREE_OBJECTID ((u64)4)
#define FS_TREE_OBJECTID ((u64)5)
#define ROOT_TREE_DIR_OBJECTID ((u64)6)
#define CSUM_TREE_OBJECTID ((u64)7)
#define QUOTA_TREE_OBJECTID ((u64)8)
#define UUID_TREE_OBJECTID ((u64)9)
#define FREE_SPACE_TREE_OBJECTID ((u64)10)
#define BLOCK_GROUP_TREE_OBJECTID ((u64)11)
#define RAID_STRIPE_TREE_OBJECTID ((u64)12)
#define REMAP_TREE_OBJECTID ((u64)13)

/* Objectids that are negative when read as signed. */
#define BALANCE_OBJECTID ((u64)-4)
#define ORPHAN_OBJECTID ((u64)-5)
#define TREE_LOG_OBJECTID ((u64)-6)
#define TREE_LOG_FIXUP_OBJECTID ((u64)-7)
#define TREE_RELOC_OBJECTID ((u64)-8)
#define DATA_RELOC_TREE_OBJECTID ((u64)-9)
#define EXTENT_CSUM_OBJECTID ((u64)-10)
#define FREE_SPACE_OBJECTID ((u64)-11)
#define FREE_INO_OBJECTID ((u64)-12)
#define MULTIPLE_OBJECTIDS ((u64)-255)

/* Other fixed objectids, each in its own tree. */
#define DEV_STATS_OBJECTID ((u64)0)
#define DEV_ITEMS_OBJECTID ((u64)1)
#define FIRST_CHUNK_TREE_OBJECTID ((u64)256)
/* Inodes and subvolumes count from here; 256 is also the inode of every subvolume's top directory. */
#define FIRST_FREE_OBJECTID ((u64)256)
#define LAST_FREE_OBJECTID ((u64)-256)

enum key_type {
	INODE_ITEM_KEY = 1,
	INODE_REF_KEY = 12,
	INODE_EXTREF_KEY = 13,
	XATTR_ITEM_KEY = 24,
	VERITY_DESC_ITEM_KEY = 36,
	VERITY_MERKLE_ITEM_KEY = 37,
	ORPHAN_ITEM_KEY = 48,
	DIR_LOG_ITEM_KEY = 60,
	DIR_LOG_INDEX_KEY = 72,
	DIR_ITEM_KEY = 84,
	DIR_INDEX_KEY = 96,
	EXTENT_DATA_KEY = 108,
	CSUM_ITEM_KEY = 120, /* historical */
	EXTENT_CSUM_KEY = 128,
	ROOT_ITEM_KEY = 132,
	ROOT_BACKREF_KEY = 144,
	ROOT_REF_KEY = 156,
	EXTENT_ITEM_KEY = 168,
	METADATA_ITEM_KEY = 169,
	EXTENT_OWNER_REF_KEY = 172,
	TREE_BLOCK_REF_KEY = 176,
	EXTENT_DATA_REF_KEY = 178,
	EXTENT_REF_V0_KEY = 180, /* historical */
	SHARED_BLOCK_REF_KEY = 182,
	SHARED_DATA_REF_KEY = 184,
	BLOCK_GROUP_ITEM_KEY = 192,
	FREE_SPACE_INFO_KEY = 198,
	FREE_SPACE_EXTENT_KEY = 199,
	FREE_SPACE_BITMAP_KEY = 200,
	DEV_EXTENT_KEY = 204,
	DEV_ITEM_KEY = 216,
	CHUNK_ITEM_KEY = 228,
	RAID_STRIPE_KEY = 230,
	QGROUP_STATUS_KEY = 240,
	QGROUP_INFO_KEY = 242,
	QGROUP_LIMIT_KEY = 244,
	QGROUP_RELATION_KEY = 246,
	TEMPORARY_ITEM_KEY = 248, /* balance status */
	PERSISTENT_ITEM_KEY = 249, /* device statistics */
	DEV_REPLACE_KEY = 250,
	UUID_KEY_SUBVOL = 251,
	UUID_KEY_RECEIVED_SUBVOL = 252,
	STRING_ITEM_KEY = 253,
};

#endif
