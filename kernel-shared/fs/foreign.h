/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filesystems that are not Btrfs behind the functions of <btrkit/file.h> and <btrkit/subvol.h>: what these do is then done by a table
 * of operations, which layers above fill. Everything else refuses such a filesystem.
 */
#ifndef BTRKIT_KERNEL_SHARED_FS_FOREIGN_H
#define BTRKIT_KERNEL_SHARED_FS_FOREIGN_H

#include <btrkit/file.h>
#include <btrkit/subvol.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/fs/inode.h"

struct foreign_dir;
struct foreign_file;

/*
 * As the public functions of the same names, with failures in @d. @ctx is the filesystem's. BTRKIT_INODE_TOP stands for the top
 * directory. Any number of threads may call at once, but each dir and file belongs to one at a time.
 */
struct foreign_ops {
	void (*close)(void *ctx);
	void (*get_info)(void *ctx, struct btrkit_fs_info *ret_info);
	const char *(*type)(void *ctx);
	int (*subvol_at)(void *ctx, size_t index, struct btrkit_subvol *ret_subvol, struct diag *d); /* 1: no more */

	int (*stat)(void *ctx, const struct btrkit_inode *inode, struct btrkit_stat *ret_stat, struct diag *d);
	int (*readlink)(void *ctx, const struct btrkit_inode *inode, char *buf, size_t cap, struct diag *d);
	/* What @fn returns ends it and is returned; d->err stays 0 then. */
	int (*xattr_for_each)(void *ctx, const struct btrkit_inode *inode, btrkit_xattr_fn fn, void *arg, struct diag *d);
	int (*find)(void *ctx, const struct btrkit_inode *dir, const char *name, size_t name_len, struct btrkit_inode *ret_inode,
		    struct diag *d);
	/* The inode that stands for the top in any case, and other inodes themselves. */
	struct btrkit_inode (*plain_inode)(void *ctx, const struct btrkit_inode *inode);
	int (*first_name)(void *ctx, const struct btrkit_inode *inode, struct inode_name *ret_name, struct diag *d);

	int (*dir_open)(void *ctx, const struct btrkit_inode *inode, struct foreign_dir **ret_dir, struct diag *d);
	int (*dir_next)(struct foreign_dir *dir, bool do_skip_damage, struct btrkit_dir_entry *ret_entry, struct diag *d);
	u64 (*dir_nr_skipped)(const struct foreign_dir *dir);
	void (*dir_close)(struct foreign_dir *dir);

	int (*file_open)(void *ctx, const struct btrkit_inode *inode, struct foreign_file **ret_file, u64 *ret_size, struct diag *d);
	/* @len bytes before the end of the file. */
	int (*file_read)(struct foreign_file *file, bool do_skip_damage, u64 offset, void *buf, size_t len, size_t *ret_len,
			 struct diag *d);
	int (*file_range_at)(struct foreign_file *file, bool do_skip_damage, u64 offset, struct btrkit_file_range *ret_range,
			     struct diag *d);
	u64 (*file_nr_skipped)(const struct foreign_file *file);
	void (*file_close)(struct foreign_file *file);
};

/* A filesystem that is what @ops say; @ctx is taken over, also when it fails. */
int fs_new_foreign(const struct foreign_ops *ops, void *ctx, const struct fs_note *note, struct btrkit_fs **ret_fs, struct diag *d);

#endif
