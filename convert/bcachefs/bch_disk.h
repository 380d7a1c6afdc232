/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bcachefs as it lies on disk, versions 0.9 to 1.31. All integers are little-endian; a volume whose superblock says otherwise is
 * refused. A sector has 512 bytes, whatever the block size.
 *
 * Source: images that bcachefs-tools of 2020, 2024 and 2025 made, and what those tools say of them.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_DISK_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_DISK_H

#include "common/base/types.h"

#define BCH_SECTOR_BYTES 512
#define BCH_DEVICES_MAX 64
#define BCH_NO_DEVICE 255 /* in pointers, since 1.27: what was there is gone */
#define BCH_LEVEL_MAX 4 /* of a btree's root; leaves have 0 */

#define BCH_VERSION(major, minor) ((u16)((major) << 10 | (minor)))
#define BCH_VERSION_MAJOR(version) ((unsigned)(version) >> 10)
#define BCH_VERSION_MINOR(version) ((unsigned)(version) & 1023)
#define BCH_VERSION_MIN BCH_VERSION(0, 9)
#define BCH_VERSION_KNOWN BCH_VERSION(1, 31)

struct disk_bch_csum {
	le64 lo, hi;
};

/* --- Superblock ---------------------------------------------------------------------------------------------- */

#define BCH_LAYOUT_SECTOR 7
#define BCH_SUPER_SECTOR 8
#define BCH_SUPER_COPIES_MAX 61

struct disk_bch_layout {
	u8 magic[16];
	u8 type; /* 0 */
	u8 size_max_bits; /* log2 of sectors */
	u8 nr_copies;
	u8 pad[5];
	le64 sector[BCH_SUPER_COPIES_MAX];
};
_Static_assert(sizeof(struct disk_bch_layout) == 512, "layout of bcachefs");

struct disk_bch_super {
	struct disk_bch_csum csum; /* of all that follows, to the end of the sections */
	le16 version;
	le16 version_min; /* the oldest of anything in it */
	u8 pad_14[4];
	u8 magic[16];
	u8 uuid[16]; /* internal: magic numbers are made from it */
	u8 user_uuid[16];
	u8 label[32];
	le64 sector; /* where this copy was written to */
	le64 seq;
	le16 block_sectors;
	u8 dev_idx;
	u8 nr_devices;
	le32 u64s; /* of the sections */
	le64 time_base_lo;
	le32 time_base_hi;
	le32 time_precision; /* ns */
	le64 flags[7];
	le64 write_time;
	le64 features[2];
	le64 compat[2];
	struct disk_bch_layout layout;
	/* Sections follow: each begins with struct disk_bch_section. */
};
_Static_assert(sizeof(struct disk_bch_super) == 752, "superblock of bcachefs");

struct disk_bch_section {
	le32 u64s; /* with this header */
	le32 type;
};

enum bch_section {
	BCH_SECTION_JOURNAL = 0, /* le64 bucket[] */
	BCH_SECTION_MEMBERS_V1 = 1,
	BCH_SECTION_CRYPT = 2,
	BCH_SECTION_REPLICAS_V0 = 3,
	BCH_SECTION_QUOTA = 4,
	BCH_SECTION_DISK_GROUPS = 5,
	BCH_SECTION_CLEAN = 6,
	BCH_SECTION_REPLICAS = 7,
	BCH_SECTION_BLACKLIST = 8, /* struct disk_bch_blacklist[] */
	BCH_SECTION_JOURNAL_V2 = 9, /* struct disk_bch_bucket_range[] */
	BCH_SECTION_COUNTERS = 10,
	BCH_SECTION_MEMBERS_V2 = 11,
	BCH_SECTION_ERRORS = 12,
	BCH_SECTION_EXT = 13,
	BCH_SECTION_DOWNGRADE = 14,
	BCH_SECTION_RECOVERY_PASSES = 15,
	BCH_SECTION_EXTENT_TYPE_U64S = 16,
};

struct disk_bch_blacklist {
	le64 start, end; /* end is not in it */
};
struct disk_bch_bucket_range {
	le64 start, nr;
};
struct disk_bch_clean {
	struct disk_bch_section header;
	le32 flags;
	u8 unused_c[4];
	le64 journal_seq;
	/* Journal entries follow. */
};
_Static_assert(sizeof(struct disk_bch_clean) == 24, "clean section");
struct disk_bch_crypt {
	struct disk_bch_section header;
	le64 flags; /* bits 0-3: how the passphrase becomes a key; 0: scrypt */
	le64 kdf_flags; /* log2 of N, R and P, 16 bits each */
	le64 key_magic; /* "bch**key" when the key is in clear */
	u8 key[32];
};
_Static_assert(sizeof(struct disk_bch_crypt) == 64, "crypt section");

/* The first of each member; how long one is, the section says (56 in the first version). */
struct disk_bch_member {
	u8 uuid[16]; /* zeroes: the slot is unused */
	le64 nr_buckets;
	le16 first_bucket;
	le16 bucket_sectors;
	u8 btree_bitmap_shift, pad[3];
	le64 last_mount;
	le64 flags; /* bits 0-3: state */
	le32 iops[4];
	le64 errors[3], errors_at_reset[3], errors_reset_time; /* errors: of reads, writes, checksums */
	le64 seq; /* of the superblock's last write that this member took part in */
};
_Static_assert(sizeof(struct disk_bch_member) == 128, "member");
#define BCH_MEMBER_V1_BYTES 56

enum {
	BCH_FEATURE_LZ4 = 1 << 0,
	BCH_FEATURE_GZIP = 1 << 1,
	BCH_FEATURE_ZSTD = 1 << 2,
	BCH_FEATURE_EC = 1 << 4,
	BCH_FEATURE_NEW_SIPHASH = 1 << 7,
	BCH_FEATURE_NEW_EXTENT_OVERWRITE = 1 << 9,
	BCH_FEATURE_EXTENTS_ABOVE_BTREE_UPDATES = 1 << 12,
	BCH_FEATURE_BTREE_UPDATES_JOURNALLED = 1 << 13,
	BCH_FEATURES_KNOWN = (1 << 24) - 1,
};

/* --- Journal ------------------------------------------------------------------------------------------------- */

#define BCH_JSET_MAGIC 0x245235c1a3625032ULL /* with the first word of the internal UUID */

struct disk_bch_jset {
	struct disk_bch_csum csum; /* of all that follows */
	le64 magic;
	le64 seq;
	le32 version;
	le32 flags; /* BCH_JSET_* */
	le32 u64s; /* of the entries */
	u8 clocks[4]; /* from here on it is encrypted, if the volume is */
	le64 last_seq; /* the oldest that was needed when this one was written; of no_flush ones meaningless */
};
_Static_assert(sizeof(struct disk_bch_jset) == 56, "jset");
#define BCH_JSET_ENCRYPTED_AT 44
enum {
	BCH_JSET_CSUM_TYPE = 15,
	BCH_JSET_BIG_ENDIAN = 1 << 4,
	BCH_JSET_NO_FLUSH = 1 << 5,
};

struct disk_bch_jentry {
	le16 u64s; /* of what follows */
	u8 btree, level, type, pad[3];
};
_Static_assert(sizeof(struct disk_bch_jentry) == 8, "entry of a jset");

enum bch_jentry_type {
	BCH_JENTRY_KEYS = 0,
	BCH_JENTRY_ROOT = 1,
	BCH_JENTRY_PRIO_PTRS = 2,
	BCH_JENTRY_BLACKLIST = 3,
	BCH_JENTRY_BLACKLIST_V2 = 4,
	BCH_JENTRY_USAGE = 5,
	BCH_JENTRY_DATA_USAGE = 6,
	BCH_JENTRY_CLOCK = 7,
	BCH_JENTRY_DEV_USAGE = 8,
	BCH_JENTRY_LOG = 9,
	BCH_JENTRY_OVERWRITE = 10, /* keys as they were before: never applied */
	BCH_JENTRY_WRITE_BUFFER_KEYS = 11, /* as KEYS */
	BCH_JENTRY_DATETIME = 12,
	BCH_JENTRY_LOG_KEY = 13,
	BCH_JENTRY_REWIND_LIMIT = 14,
	BCH_JENTRY_REWIND = 15,
	BCH_NR_JENTRY_TYPES
};

/* --- Keys ---------------------------------------------------------------------------------------------------- */

struct disk_bch_pos {
	le32 snapshot;
	le64 offset, inode;
};
_Static_assert(sizeof(struct disk_bch_pos) == 20, "position");

/* Unpacked. Its value follows. */
struct disk_bch_key {
	u8 u64s; /* with the value */
	u8 format; /* bits 0-6; bit 7 is of no concern to a reader */
	u8 type; /* enum bch_key_type */
	u8 pad;
	le64 version_lo;
	le32 version_hi;
	le32 size; /* of extents, in sectors: they end at the position */
	struct disk_bch_pos pos;
};
_Static_assert(sizeof(struct disk_bch_key) == 40, "key");
enum { BCH_FORMAT_PACKED = 0, BCH_FORMAT_UNPACKED = 1, BCH_FORMAT_MASK = 127 };

enum bch_key_type {
	BCH_KEY_DELETED = 0,
	BCH_KEY_WHITEOUT = 1,
	BCH_KEY_ERROR = 2,
	BCH_KEY_COOKIE = 3,
	BCH_KEY_HASH_WHITEOUT = 4,
	BCH_KEY_BTREE_PTR = 5,
	BCH_KEY_EXTENT = 6,
	BCH_KEY_RESERVATION = 7,
	BCH_KEY_INODE = 8,
	BCH_KEY_INODE_GENERATION = 9,
	BCH_KEY_DIRENT = 10,
	BCH_KEY_XATTR = 11,
	BCH_KEY_ALLOC = 12,
	BCH_KEY_QUOTA = 13,
	BCH_KEY_STRIPE = 14,
	BCH_KEY_REFLINK_P = 15,
	BCH_KEY_REFLINK_V = 16,
	BCH_KEY_INLINE_DATA = 17,
	BCH_KEY_BTREE_PTR_V2 = 18,
	BCH_KEY_INDIRECT_INLINE_DATA = 19,
	BCH_KEY_ALLOC_V2 = 20,
	BCH_KEY_SUBVOLUME = 21,
	BCH_KEY_SNAPSHOT = 22,
	BCH_KEY_INODE_V2 = 23,
	BCH_KEY_ALLOC_V3 = 24,
	BCH_KEY_SET = 25,
	BCH_KEY_LRU = 26,
	BCH_KEY_ALLOC_V4 = 27,
	BCH_KEY_BACKPOINTER = 28,
	BCH_KEY_INODE_V3 = 29,
	BCH_KEY_BUCKET_GENS = 30,
	BCH_KEY_SNAPSHOT_TREE = 31,
	BCH_KEY_LOGGED_OP_TRUNCATE = 32,
	BCH_KEY_LOGGED_OP_FINSERT = 33,
	BCH_KEY_ACCOUNTING = 34,
	BCH_KEY_INODE_ALLOC_CURSOR = 35,
	BCH_KEY_EXTENT_WHITEOUT = 36,
	BCH_NR_KEY_TYPES
};

enum bch_btree {
	BCH_EXTENTS = 0,
	BCH_INODES = 1,
	BCH_DIRENTS = 2,
	BCH_XATTRS = 3,
	BCH_ALLOC = 4,
	BCH_QUOTAS = 5,
	BCH_STRIPES = 6,
	BCH_REFLINK = 7,
	BCH_SUBVOLUMES = 8,
	BCH_SNAPSHOTS = 9,
	BCH_LRU = 10,
	BCH_FREESPACE = 11,
	BCH_NEED_DISCARD = 12,
	BCH_BACKPOINTERS = 13,
	BCH_BUCKET_GENS = 14,
	BCH_SNAPSHOT_TREES = 15,
	BCH_DELETED_INODES = 16,
	BCH_LOGGED_OPS = 17,
	BCH_REBALANCE_WORK = 18,
	BCH_SUBVOLUME_CHILDREN = 19,
	BCH_ACCOUNTING = 20,
	BCH_BTREES_KNOWN,
	BCH_BTREES_MAX = 63, /* ids that a journal may hold */
};

/* --- Nodes of btrees ----------------------------------------------------------------------------------------- */

#define BCH_BSET_MAGIC 0x90135c78b99e07f5ULL /* with the first word of the internal UUID */

struct disk_bch_format {
	u8 key_u64s, nr_fields, bits_per_field[6];
	le64 field_offset[6]; /* inode, offset, snapshot, size, version_hi, version_lo */
};
_Static_assert(sizeof(struct disk_bch_format) == 56, "format of packed keys");

struct disk_bch_bset {
	le64 seq, journal_seq;
	le32 flags; /* 0-3 checksum type, 4 big endian, 5 separate whiteouts, 16-31 its sector within the node */
	le16 version, u64s;
};
_Static_assert(sizeof(struct disk_bch_bset) == 24, "bset");

/* What a node begins with; its first bset is part of it. */
struct disk_bch_node {
	struct disk_bch_csum csum;
	le64 magic;
	le64 flags; /* 0-3 btree (low), 4-7 level, 8 new_extent_overwrite, 9-24 btree (high), 32-63 seq (low) */
	struct disk_bch_pos min_key, max_key;
	le64 unused_ptr;
	struct disk_bch_format format;
	struct disk_bch_bset bset;
};
_Static_assert(sizeof(struct disk_bch_node) == 160, "node");

/* Each further bset begins at a block boundary with this. */
struct disk_bch_node_entry {
	struct disk_bch_csum csum;
	struct disk_bch_bset bset;
};
_Static_assert(sizeof(struct disk_bch_node_entry) == 40, "further bset");

/* Value of BCH_KEY_BTREE_PTR_V2; pointers follow. */
struct disk_bch_btree_ptr_v2 {
	le64 mem_ptr; /* means nothing on disk */
	le64 seq; /* of the node's first bset */
	le16 sectors_written; /* 0: not known */
	le16 flags;
	struct disk_bch_pos min_key;
};
_Static_assert(sizeof(struct disk_bch_btree_ptr_v2) == 40, "pointer to a node");

#endif
