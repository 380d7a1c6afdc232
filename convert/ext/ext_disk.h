/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structures of ext2, ext3 and ext4 as they lie on disk, as far as they are read without libext2fs.
 * Source: ext4 documentation, "Data Structures and Algorithms"; confirmed on filesystems that Linux and mke2fs made.
 */
#ifndef BTRKIT_CONVERT_EXT_EXT_DISK_H
#define BTRKIT_CONVERT_EXT_EXT_DISK_H

#include <assert.h>

#include "common/base/types.h"

#define EXT_SUPER_OFFSET 1024
#define EXT_SUPER_BYTES 1024
#define EXT_MAGIC_OFFSET (EXT_SUPER_OFFSET + 56)

struct disk_ext_inode {
	le16 mode, uid_lo;
	le32 size_lo, atime, ctime, mtime, dtime;
	le16 gid_lo, links_count;
	le32 blocks_lo, flags, version_lo;
	u8 block[60]; /* pointers to blocks, an extent tree's root, a link's target, or contents */
	le32 generation, file_acl_lo, size_hi, fragment;
	le16 blocks_hi, file_acl_hi, uid_hi, gid_hi, csum_lo, reserved;
	/* From here on only in inodes of more than 128 bytes, and as far as extra_isize says. */
	le16 extra_isize, csum_hi;
	le32 ctime_extra, mtime_extra, atime_extra, crtime, crtime_extra, version_hi, projid;
};
static_assert(sizeof(struct disk_ext_inode) == 160, "ext inode");
#define EXT_OLD_INODE_BYTES 128

struct disk_ext_extent_header {
	le16 magic, entries, max, depth;
	le32 generation;
};
#define EXT_EXTENT_MAGIC 0xf30a
#define EXT_EXTENT_DEPTH_MAX 5
#define EXT_EXTENT_INIT_MAX 32768 /* a longer one was never written; its length is what is beyond */

struct disk_ext_extent {
	le32 block; /* of the file */
	le16 len, start_hi;
	le32 start_lo;
};

struct disk_ext_index {
	le32 block, leaf_lo;
	le16 leaf_hi, unused;
};
static_assert(sizeof(struct disk_ext_extent_header) == 12, "extent header");
static_assert(sizeof(struct disk_ext_extent) == 12, "extent");
static_assert(sizeof(struct disk_ext_index) == 12, "extent index");

struct disk_ext_dirent {
	le32 ino;
	le16 rec_len;
	u8 name_len, file_type;
};
static_assert(sizeof(struct disk_ext_dirent) == 8, "dirent");

struct disk_ext_dirent_tail {
	le32 zero;
	le16 rec_len;
	u8 name_len, file_type; /* 0, 0xde */
	le32 csum;
};
static_assert(sizeof(struct disk_ext_dirent_tail) == 12, "dirent tail");
#define EXT_DIRENT_TAIL_TYPE 0xde

struct disk_ext_dx_countlimit {
	le16 limit, count;
};

struct disk_ext_dx_tail {
	le32 reserved, csum;
};

#define EXT_XATTR_MAGIC 0xea020000U

struct disk_ext_xattr_header { /* of a block; in an inode there is only the magic */
	le32 magic, refcount, blocks, hash, csum, reserved[3];
};
static_assert(sizeof(struct disk_ext_xattr_header) == 32, "xattr header");

struct disk_ext_xattr_entry {
	u8 name_len, name_index;
	le16 value_offset;
	le32 value_ino, value_bytes, hash;
};
static_assert(sizeof(struct disk_ext_xattr_entry) == 16, "xattr entry");

#endif
