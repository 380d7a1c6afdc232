/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The on-disk structures, byte for byte. Fields are little-endian types; the size of each struct is asserted.
 * Source: UAPI headers linux/btrfs_tree.h and linux/btrfs.h (names and layout of fields), Btrfs on-disk format page of
 * the Btrfs documentation; sizes confirmed on images made by Linux.
 */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_DISK_H
#define BTRKIT_KERNEL_SHARED_FORMAT_DISK_H

#include "kernel-shared/format/key.h"

#define PACKED __attribute__((packed))
#define DISK_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), "size of " #type)

#define UUID_SIZE 16
#define CSUM_SIZE 32
#define LABEL_SIZE 256
#define NAME_LEN_MAX 255
#define SYSTEM_CHUNK_ARRAY_SIZE 2048
#define NUM_BACKUP_ROOTS 4
#define LEVEL_MAX 8 /* levels are 0..7 */
#define STRIPE_LEN_BYTES (64 * KIB)

#define NODESIZE_MIN 4096
#define NODESIZE_MAX 65536
#define SECTORSIZE_MIN 4096
#define SECTORSIZE_MAX 65536

/* --- Superblock --------------------------------------------------------------------------------- */

#define SUPER_INFO_SIZE 4096
#define SUPER_MIRROR_MAX 3
/* No chunk may begin before this: boot loaders live there. */
#define DEVICE_RANGE_RESERVED_BYTES MIB

#define SUPER_MAGIC 0x4D5F53665248425FULL /* "_BHRfS_M" */
#define SUPER_MAGIC_TEMPORARY 0x4D5F536652484221ULL /* "!BHRfS_M": being made */

struct disk_dev_item {
	le64 devid;
	le64 total_bytes;
	le64 bytes_used;
	le32 io_align;
	le32 io_width;
	le32 sector_size;
	le64 type;
	le64 generation;
	le64 start_offset;
	le32 dev_group;
	u8 seek_speed;
	u8 bandwidth;
	u8 uuid[UUID_SIZE];
	u8 fsid[UUID_SIZE];
} PACKED;
DISK_SIZE(disk_dev_item, 98);

struct disk_root_backup {
	le64 tree_root;
	le64 tree_root_gen;
	le64 chunk_root;
	le64 chunk_root_gen;
	le64 extent_root; /* with the block-group-tree feature still the extent tree */
	le64 extent_root_gen;
	le64 fs_root;
	le64 fs_root_gen;
	le64 dev_root;
	le64 dev_root_gen;
	le64 csum_root;
	le64 csum_root_gen;
	le64 total_bytes;
	le64 bytes_used;
	le64 num_devices;
	le64 unused_64[4];
	u8 tree_root_level;
	u8 chunk_root_level;
	u8 extent_root_level;
	u8 fs_root_level;
	u8 dev_root_level;
	u8 csum_root_level;
	u8 unused_8[10];
} PACKED;
DISK_SIZE(disk_root_backup, 168);

struct disk_super {
	u8 csum[CSUM_SIZE]; /* of everything after this field */
	u8 fsid[UUID_SIZE];
	le64 bytenr; /* physical address of this copy */
	le64 flags;
	le64 magic;
	le64 generation;
	le64 root;
	le64 chunk_root;
	le64 log_root;
	le64 log_root_transid; /* unused, 0 */
	le64 total_bytes;
	le64 bytes_used;
	le64 root_dir_objectid;
	le64 num_devices;
	le32 sectorsize;
	le32 nodesize;
	le32 leafsize; /* unused, equals nodesize */
	le32 stripesize;
	le32 sys_chunk_array_size;
	le64 chunk_root_generation;
	le64 compat_flags;
	le64 compat_ro_flags;
	le64 incompat_flags;
	le16 csum_type;
	u8 root_level;
	u8 chunk_root_level;
	u8 log_root_level;
	struct disk_dev_item dev_item;
	u8 label[LABEL_SIZE];
	le64 cache_generation;
	le64 uuid_tree_generation;
	u8 metadata_uuid[UUID_SIZE];
	le64 nr_global_roots;
	le64 remap_root;
	le64 remap_root_generation;
	u8 remap_root_level;
	u8 reserved[199];
	u8 sys_chunk_array[SYSTEM_CHUNK_ARRAY_SIZE];
	struct disk_root_backup super_roots[NUM_BACKUP_ROOTS];
	u8 padding[565];
} PACKED;
DISK_SIZE(disk_super, SUPER_INFO_SIZE);
_Static_assert(offsetof(struct disk_super, magic) == 0x40, "magic");
_Static_assert(offsetof(struct disk_super, csum_type) == 0xc4, "csum_type");
_Static_assert(offsetof(struct disk_super, dev_item) == 0xc9, "dev_item");
_Static_assert(offsetof(struct disk_super, label) == 0x12b, "label");
_Static_assert(offsetof(struct disk_super, metadata_uuid) == 0x23b, "metadata_uuid");
_Static_assert(offsetof(struct disk_super, sys_chunk_array) == 0x32b, "sys_chunk_array");
_Static_assert(offsetof(struct disk_super, super_roots) == 0xb2b, "super_roots");

/* disk_super.flags, and the flags of tree block headers (low 56 bits there). */
#define HEADER_FLAG_WRITTEN (1ULL << 0)
#define HEADER_FLAG_RELOC (1ULL << 1)
#define SUPER_FLAG_ERROR (1ULL << 2)
#define SUPER_FLAG_SEEDING (1ULL << 32)
#define SUPER_FLAG_METADUMP (1ULL << 33)
#define SUPER_FLAG_METADUMP_V2 (1ULL << 34)
#define SUPER_FLAG_CHANGING_FSID (1ULL << 35)
#define SUPER_FLAG_CHANGING_FSID_V2 (1ULL << 36)
#define SUPER_FLAG_CHANGING_BG_TREE (1ULL << 38)
#define SUPER_FLAG_CHANGING_DATA_CSUM (1ULL << 39)
#define SUPER_FLAG_CHANGING_META_CSUM (1ULL << 40)

#define COMPAT_RO_FREE_SPACE_TREE (1ULL << 0)
#define COMPAT_RO_FREE_SPACE_TREE_VALID (1ULL << 1)
#define COMPAT_RO_VERITY (1ULL << 2)
#define COMPAT_RO_BLOCK_GROUP_TREE (1ULL << 3)

#define INCOMPAT_MIXED_BACKREF (1ULL << 0)
#define INCOMPAT_DEFAULT_SUBVOL (1ULL << 1)
#define INCOMPAT_MIXED_GROUPS (1ULL << 2)
#define INCOMPAT_COMPRESS_LZO (1ULL << 3)
#define INCOMPAT_COMPRESS_ZSTD (1ULL << 4)
#define INCOMPAT_BIG_METADATA (1ULL << 5)
#define INCOMPAT_EXTENDED_IREF (1ULL << 6)
#define INCOMPAT_RAID56 (1ULL << 7)
#define INCOMPAT_SKINNY_METADATA (1ULL << 8)
#define INCOMPAT_NO_HOLES (1ULL << 9)
#define INCOMPAT_METADATA_UUID (1ULL << 10)
#define INCOMPAT_RAID1C34 (1ULL << 11)
#define INCOMPAT_ZONED (1ULL << 12)
#define INCOMPAT_EXTENT_TREE_V2 (1ULL << 13)
#define INCOMPAT_RAID_STRIPE_TREE (1ULL << 14)
#define INCOMPAT_SIMPLE_QUOTA (1ULL << 16)
#define INCOMPAT_REMAP_TREE (1ULL << 17)

/* --- Tree blocks ---------------------------------------------------------------------------------- */

struct disk_header {
	u8 csum[CSUM_SIZE]; /* of everything after this field */
	u8 fsid[UUID_SIZE]; /* the metadata_uuid where the filesystem has one */
	le64 bytenr; /* logical address of this block */
	le64 flags; /* low 56 bits: HEADER_FLAG_*; high 8 bits: back reference revision */
	u8 chunk_tree_uuid[UUID_SIZE];
	le64 generation;
	le64 owner;
	le32 nritems;
	u8 level;
} PACKED;
DISK_SIZE(disk_header, 101);
#define HEADER_BACKREF_REV_SHIFT 56
#define HEADER_MIXED_BACKREF_REV 1ULL
#define HEADER_FLAGS_MASK ((1ULL << HEADER_BACKREF_REV_SHIFT) - 1)

/* In a leaf; the data of item n lies at [offset, offset + size) counted from the end of the header. */
struct disk_item {
	struct disk_key key;
	le32 offset;
	le32 size;
} PACKED;
DISK_SIZE(disk_item, 25);

/* In a node. */
struct disk_key_ptr {
	struct disk_key key;
	le64 blockptr;
	le64 generation;
} PACKED;
DISK_SIZE(disk_key_ptr, 33);

/* --- Chunks and devices ------------------------------------------------------------------------------- */

struct disk_stripe {
	le64 devid;
	le64 offset; /* physical */
	u8 dev_uuid[UUID_SIZE];
} PACKED;
DISK_SIZE(disk_stripe, 32);

struct disk_chunk {
	le64 length;
	le64 owner; /* EXTENT_TREE_OBJECTID */
	le64 stripe_len;
	le64 type; /* BLOCK_GROUP_* */
	le32 io_align;
	le32 io_width;
	le32 sector_size;
	le16 num_stripes;
	le16 sub_stripes;
	struct disk_stripe stripe[];
} PACKED;
DISK_SIZE(disk_chunk, 48);

struct disk_dev_extent {
	le64 chunk_tree;
	le64 chunk_objectid;
	le64 chunk_offset; /* logical */
	le64 length;
	u8 chunk_tree_uuid[UUID_SIZE];
} PACKED;
DISK_SIZE(disk_dev_extent, 48);

struct disk_block_group_item {
	le64 used;
	le64 chunk_objectid;
	le64 flags;
} PACKED;
DISK_SIZE(disk_block_group_item, 24);

#define BLOCK_GROUP_DATA (1ULL << 0)
#define BLOCK_GROUP_SYSTEM (1ULL << 1)
#define BLOCK_GROUP_METADATA (1ULL << 2)
#define BLOCK_GROUP_RAID0 (1ULL << 3)
#define BLOCK_GROUP_RAID1 (1ULL << 4)
#define BLOCK_GROUP_DUP (1ULL << 5)
#define BLOCK_GROUP_RAID10 (1ULL << 6)
#define BLOCK_GROUP_RAID5 (1ULL << 7)
#define BLOCK_GROUP_RAID6 (1ULL << 8)
#define BLOCK_GROUP_RAID1C3 (1ULL << 9)
#define BLOCK_GROUP_RAID1C4 (1ULL << 10)
#define BLOCK_GROUP_REMAPPED (1ULL << 11)
#define BLOCK_GROUP_METADATA_REMAP (1ULL << 12)
#define BLOCK_GROUP_TYPE_MASK (BLOCK_GROUP_DATA | BLOCK_GROUP_SYSTEM | BLOCK_GROUP_METADATA)
#define BLOCK_GROUP_PROFILE_MASK                                                                   \
	(BLOCK_GROUP_RAID0 | BLOCK_GROUP_RAID1 | BLOCK_GROUP_DUP | BLOCK_GROUP_RAID10 |            \
	 BLOCK_GROUP_RAID5 | BLOCK_GROUP_RAID6 | BLOCK_GROUP_RAID1C3 | BLOCK_GROUP_RAID1C4)

struct disk_free_space_info {
	le32 extent_count;
	le32 flags;
} PACKED;
DISK_SIZE(disk_free_space_info, 8);
#define FREE_SPACE_USING_BITMAPS (1U << 0)

/* --- Extents and back references ---------------------------------------------------------------------- */

struct disk_extent_item {
	le64 refs;
	le64 generation;
	le64 flags;
} PACKED;
DISK_SIZE(disk_extent_item, 24);
#define EXTENT_FLAG_DATA (1ULL << 0)
#define EXTENT_FLAG_TREE_BLOCK (1ULL << 1)
#define EXTENT_FLAG_FULL_BACKREF (1ULL << 8)

/* Follows disk_extent_item for tree blocks when the filesystem is not skinny-metadata. */
struct disk_tree_block_info {
	struct disk_key key;
	u8 level;
} PACKED;
DISK_SIZE(disk_tree_block_info, 18);

/* For TREE_BLOCK_REF (offset: root), SHARED_BLOCK_REF (offset: parent block), EXTENT_OWNER_REF (offset: root). */
struct disk_extent_inline_ref {
	u8 type;
	le64 offset;
} PACKED;
DISK_SIZE(disk_extent_inline_ref, 9);

/* EXTENT_DATA_REF; inline it follows the type byte directly. */
struct disk_extent_data_ref {
	le64 root;
	le64 objectid;
	le64 offset;
	le32 count;
} PACKED;
DISK_SIZE(disk_extent_data_ref, 28);

/* SHARED_DATA_REF; inline it follows the type byte and the parent's le64 address. */
struct disk_shared_data_ref {
	le32 count;
} PACKED;
DISK_SIZE(disk_shared_data_ref, 4);

struct disk_extent_owner_ref {
	le64 root;
} PACKED;
DISK_SIZE(disk_extent_owner_ref, 8);

/* --- Inodes, names, file extents -------------------------------------------------------------------------- */

struct disk_timespec {
	le64 sec; /* signed */
	le32 nsec;
} PACKED;
DISK_SIZE(disk_timespec, 12);

struct disk_inode_item {
	le64 generation;
	le64 transid;
	le64 size;
	le64 nbytes;
	le64 block_group;
	le32 nlink;
	le32 uid;
	le32 gid;
	le32 mode;
	le64 rdev;
	le64 flags; /* INODE_*; high 32 bits: read-only compatible flags */
	le64 sequence;
	le64 reserved[4];
	struct disk_timespec atime;
	struct disk_timespec ctime;
	struct disk_timespec mtime;
	struct disk_timespec otime;
} PACKED;
DISK_SIZE(disk_inode_item, 160);

#define INODE_NODATASUM (1U << 0)
#define INODE_NODATACOW (1U << 1)
#define INODE_READONLY (1U << 2)
#define INODE_NOCOMPRESS (1U << 3)
#define INODE_PREALLOC (1U << 4)
#define INODE_SYNC (1U << 5)
#define INODE_IMMUTABLE (1U << 6)
#define INODE_APPEND (1U << 7)
#define INODE_NODUMP (1U << 8)
#define INODE_NOATIME (1U << 9)
#define INODE_DIRSYNC (1U << 10)
#define INODE_COMPRESS (1U << 11)
#define INODE_ROOT_ITEM_INIT (1U << 31)
#define INODE_RO_VERITY (1ULL << 32)

struct disk_inode_ref {
	le64 index;
	le16 name_len;
	u8 name[];
} PACKED;
DISK_SIZE(disk_inode_ref, 10);

struct disk_inode_extref {
	le64 parent_objectid;
	le64 index;
	le16 name_len;
	u8 name[];
} PACKED;
DISK_SIZE(disk_inode_extref, 18);

/* DIR_ITEM, DIR_INDEX and XATTR_ITEM; the name follows, then, for an xattr, its value. */
struct disk_dir_item {
	struct disk_key location;
	le64 transid;
	le16 data_len;
	le16 name_len;
	u8 type; /* FT_* */
	u8 name[];
} PACKED;
DISK_SIZE(disk_dir_item, 30);

enum file_type {
	FT_UNKNOWN = 0,
	FT_REG_FILE = 1,
	FT_DIR = 2,
	FT_CHRDEV = 3,
	FT_BLKDEV = 4,
	FT_FIFO = 5,
	FT_SOCK = 6,
	FT_SYMLINK = 7,
	FT_XATTR = 8,
	FT_MAX = 9,
};
#define FT_ENCRYPTED 0x80

struct disk_dir_log_item {
	le64 end;
} PACKED;
DISK_SIZE(disk_dir_log_item, 8);

/* An inline extent has only the first FILE_EXTENT_INLINE_HEADER_BYTES of this, then its bytes. */
struct disk_file_extent_item {
	le64 generation;
	le64 ram_bytes;
	u8 compression;
	u8 encryption;
	le16 other_encoding;
	u8 type; /* enum file_extent_type */
	le64 disk_bytenr; /* logical; 0: a hole */
	le64 disk_num_bytes;
	le64 offset; /* into the (uncompressed) extent */
	le64 num_bytes; /* in the file */
} PACKED;
DISK_SIZE(disk_file_extent_item, 53);
#define FILE_EXTENT_INLINE_HEADER_BYTES offsetof(struct disk_file_extent_item, disk_bytenr)
_Static_assert(FILE_EXTENT_INLINE_HEADER_BYTES == 21, "inline header");

enum file_extent_type { FILE_EXTENT_INLINE = 0, FILE_EXTENT_REG = 1, FILE_EXTENT_PREALLOC = 2 };
enum compression { COMPRESS_NONE = 0, COMPRESS_ZLIB = 1, COMPRESS_LZO = 2, COMPRESS_ZSTD = 3 };

/* Largest extent: uncompressed, and the file range that one compressed extent may hold. */
#define EXTENT_BYTES_MAX (128 * MIB)
#define COMPRESSED_EXTENT_BYTES_MAX (128 * KIB)

struct disk_verity_descriptor_item {
	le64 size;
	le64 reserved[2];
	u8 encryption;
} PACKED;
DISK_SIZE(disk_verity_descriptor_item, 25);

/* --- Roots --------------------------------------------------------------------------------------------- */

struct disk_root_item {
	struct disk_inode_item inode;
	le64 generation;
	le64 root_dirid;
	le64 bytenr;
	le64 byte_limit;
	le64 bytes_used;
	le64 last_snapshot;
	le64 flags; /* ROOT_* */
	le32 refs;
	struct disk_key drop_progress;
	u8 drop_level;
	u8 level;
	/* What follows is valid only while generation_v2 equals generation: older kernels do not know it. */
	le64 generation_v2;
	u8 uuid[UUID_SIZE];
	u8 parent_uuid[UUID_SIZE];
	u8 received_uuid[UUID_SIZE];
	le64 ctransid;
	le64 otransid;
	le64 stransid;
	le64 rtransid;
	struct disk_timespec ctime;
	struct disk_timespec otime;
	struct disk_timespec stime;
	struct disk_timespec rtime;
	le64 global_tree_id;
	le64 reserved[7];
} PACKED;
DISK_SIZE(disk_root_item, 439);
/* Before generation_v2 (Linux 3.6) the item ended after the level; with it, this much at least. */
#define ROOT_ITEM_V0_BYTES offsetof(struct disk_root_item, generation_v2)
#define ROOT_SUBVOL_RDONLY (1ULL << 0)
#define ROOT_SUBVOL_DEAD (1ULL << 48)

/* ROOT_REF and ROOT_BACKREF; the name follows. */
struct disk_root_ref {
	le64 dirid;
	le64 sequence; /* the directory index */
	le16 name_len;
	u8 name[];
} PACKED;
DISK_SIZE(disk_root_ref, 18);

/* --- Quotas, balance, replace, statistics ------------------------------------------------------------------- */

struct disk_qgroup_status_item {
	le64 version;
	le64 generation;
	le64 flags;
	le64 rescan;
	le64 enable_gen; /* simple quotas only; absent from older items */
} PACKED;
DISK_SIZE(disk_qgroup_status_item, 40);
#define QGROUP_STATUS_V0_BYTES offsetof(struct disk_qgroup_status_item, enable_gen)
#define QGROUP_STATUS_ON (1ULL << 0)
#define QGROUP_STATUS_RESCAN (1ULL << 1)
#define QGROUP_STATUS_INCONSISTENT (1ULL << 2)
#define QGROUP_STATUS_SIMPLE_MODE (1ULL << 3)

struct disk_qgroup_info_item {
	le64 generation;
	le64 rfer;
	le64 rfer_cmpr;
	le64 excl;
	le64 excl_cmpr;
} PACKED;
DISK_SIZE(disk_qgroup_info_item, 40);

struct disk_qgroup_limit_item {
	le64 flags;
	le64 max_rfer;
	le64 max_excl;
	le64 rsv_rfer;
	le64 rsv_excl;
} PACKED;
DISK_SIZE(disk_qgroup_limit_item, 40);

/* Block group flags of a balance have this one for "single", which has no bit elsewhere. */
#define BALANCE_PROFILE_SINGLE (1ULL << 48)

/* Of disk_balance_item.flags. */
#define BALANCE_DATA (1ULL << 0)
#define BALANCE_SYSTEM (1ULL << 1)
#define BALANCE_METADATA (1ULL << 2)
#define BALANCE_KINDS (BALANCE_DATA | BALANCE_SYSTEM | BALANCE_METADATA)
#define BALANCE_FORCE (1ULL << 3)
#define BALANCE_RESUME (1ULL << 4)

/* Of disk_balance_args.flags: which members count. */
#define BALANCE_ARGS_PROFILES (1ULL << 0)
#define BALANCE_ARGS_USAGE (1ULL << 1)
#define BALANCE_ARGS_DEVID (1ULL << 2)
#define BALANCE_ARGS_DRANGE (1ULL << 3)
#define BALANCE_ARGS_VRANGE (1ULL << 4)
#define BALANCE_ARGS_LIMIT (1ULL << 5)
#define BALANCE_ARGS_LIMIT_RANGE (1ULL << 6)
#define BALANCE_ARGS_STRIPES_RANGE (1ULL << 7)
#define BALANCE_ARGS_CONVERT (1ULL << 8)
#define BALANCE_ARGS_SOFT (1ULL << 9)
#define BALANCE_ARGS_USAGE_RANGE (1ULL << 10)
#define BALANCE_ARGS_KNOWN ((1ULL << 11) - 1)

struct disk_balance_args {
	le64 profiles;
	le64 usage; /* or two le32: usage_min, usage_max */
	le64 devid;
	le64 pstart;
	le64 pend;
	le64 vstart;
	le64 vend;
	le64 target;
	le64 flags;
	le64 limit; /* or two le32: limit_min, limit_max */
	le32 stripes_min;
	le32 stripes_max;
	le64 unused[6];
} PACKED;
DISK_SIZE(disk_balance_args, 136);

struct disk_balance_item {
	le64 flags;
	struct disk_balance_args data;
	struct disk_balance_args meta;
	struct disk_balance_args sys;
	le64 unused[4]; /* Linux 6.18 neither reads nor writes them in an item that is there; here: */
} PACKED;
/*
 * Our own: with unused[0] this, unused[1] and on have a bit for each device, from devid 1 on, on which the result has to be. Linux goes
 * on without regard to that.
 */
#define BALANCE_DEVICES_MAGIC 0x5665644f5474654cULL /* "LetTOdeV" */
#define BALANCE_DEVICES_WORDS 3
DISK_SIZE(disk_balance_item, 448);

#define DEV_STAT_VALUES_MAX 5
struct disk_dev_stats_item {
	le64 values[DEV_STAT_VALUES_MAX]; /* write, read, flush, corruption, generation errors */
} PACKED;
DISK_SIZE(disk_dev_stats_item, 40);

struct disk_dev_replace_item {
	le64 src_devid;
	le64 cursor_left;
	le64 cursor_right;
	le64 cont_reading_from_srcdev_mode;
	le64 replace_state;
	le64 time_started;
	le64 time_stopped;
	le64 num_write_errors;
	le64 num_uncorrectable_read_errors;
} PACKED;
DISK_SIZE(disk_dev_replace_item, 72);

/* Its replace_state, where the replacement is not over. */
#define DEV_REPLACE_STARTED 1
#define DEV_REPLACE_SUSPENDED 4
/* Of the device that is being filled, in its superblock, until it takes the id of the other: num_devices leaves it out. */
#define DEV_REPLACE_DEVID 0ULL

/* v1 free space cache, in the root tree. */
struct disk_free_space_header {
	struct disk_key location;
	le64 generation;
	le64 num_entries;
	le64 num_bitmaps;
} PACKED;
DISK_SIZE(disk_free_space_header, 41);

#endif
