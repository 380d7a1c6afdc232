/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes, names and directories inside kernel-shared/. Cursors stand in the subvolume's tree. */
#ifndef BTRKIT_KERNEL_SHARED_FS_INODE_H
#define BTRKIT_KERNEL_SHARED_FS_INODE_H

#include <btrkit/file.h>

#include "kernel-shared/fs/fs.h"

/* -ENOENT: there is no such inode. */
int inode_read(const struct tree *tree, u64 ino, struct disk_inode_item *ret_item, struct diag *d);

/* What stat(2) would tell of an inode with this item. */
void stat_unpack(const struct btrkit_inode *inode, const struct disk_inode_item *item, struct btrkit_stat *ret_stat);

/* One entry of a DIR_ITEM, DIR_INDEX or XATTR_ITEM, which may hold several: begin with *at = 0; false: no more. */
bool dir_item_next(const struct cursor *cursor, u32 *at, const struct disk_dir_item **ret_entry);

/*
 * The file or directory that an entry of directory @dir leads to: an inode, the top of a subvolume, or
 * BTRKIT_EMPTY_DIR where the subvolume has its name elsewhere or not at all.
 */
int dir_entry_target(struct btrkit_fs *fs, const struct btrkit_inode *dir, const struct disk_dir_item *entry,
		     struct btrkit_inode *ret_inode, bool *ret_is_subvol, struct diag *d);

/* -ENOENT: @dir has no entry @name. */
int dir_find(struct btrkit_fs *fs, const struct btrkit_inode *dir, const char *name, size_t name_len,
	     struct btrkit_inode *ret_inode, struct diag *d);

/* A name of an inode and the directory that holds it. */
struct inode_name {
	struct btrkit_inode dir;
	size_t name_len;
	char name[NAME_LEN_MAX + 1];
};

/*
 * The first name of an inode (a directory has one only); for the top of a subvolume its name in the parent subvolume.
 * -ENOENT: it has none.
 */
int inode_first_name(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct inode_name *ret_name, struct diag *d);

/* Path from the top of the filesystem into @buf; see btrkit_path(). */
int inode_path(struct btrkit_fs *fs, const struct btrkit_inode *inode, char *buf, size_t cap, struct diag *d);

static inline struct btrkit_time time_unpack(const struct disk_timespec *from)
{
	return (struct btrkit_time){ .sec = (s64)le64_get(from->sec), .nsec = le32_get(from->nsec) };
}

#endif
