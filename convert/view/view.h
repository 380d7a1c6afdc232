/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source behind the functions that read files of Btrfs. Nothing is kept of it but what costs much to find again: what single
 * inodes are, as listing a directory asks for it and so does who lists, and the names of directories that were met, as no source
 * tells the way up.
 */
#ifndef BTRKIT_CONVERT_VIEW_VIEW_H
#define BTRKIT_CONVERT_VIEW_VIEW_H

#include <pthread.h>

#include "convert/source/source.h"
#include "kernel-shared/fs/foreign.h"

#define VIEW_STATS 1024 /* inodes that are remembered */

struct view_stat {
	u64 subvol;
	struct source_inode inode; /* ino 0: nothing is remembered here */
};

struct view {
	struct source *source;
	struct blockdev **devs; /* owned, and so is each */
	size_t nr_devs;
	pthread_mutex_t lock; /* guards what is below */
	struct view_stat stats[VIEW_STATS];
	void *names; /* of directories, by inode: a tree of tsearch(3) */
};

/* Of whatever a user names: the top by the number that Btrfs has for it. */
struct btrkit_inode view_plain_inode(void *ctx, const struct btrkit_inode *inode);

/* --- view_inode.c --- */

/* An inode, remembered or looked for. */
int view_inode(struct view *view, const struct btrkit_inode *inode, struct source_inode *ret_inode, struct diag *d);

int view_stat(void *ctx, const struct btrkit_inode *inode, struct btrkit_stat *ret_stat, struct diag *d);
int view_readlink(void *ctx, const struct btrkit_inode *inode, char *buf, size_t cap, struct diag *d);
int view_xattr_for_each(void *ctx, const struct btrkit_inode *inode, btrkit_xattr_fn fn, void *arg, struct diag *d);

/* --- view_names.c: where directories have their names --- */

int view_find(void *ctx, const struct btrkit_inode *dir, const char *name, size_t name_len, struct btrkit_inode *ret_inode,
	      struct diag *d);
int view_first_name(void *ctx, const struct btrkit_inode *inode, struct inode_name *ret_name, struct diag *d);
void view_forget_names(struct view *view);

/* --- view_dir.c --- */

int view_dir_open(void *ctx, const struct btrkit_inode *inode, struct foreign_dir **ret_dir, struct diag *d);
int view_dir_next(struct foreign_dir *dir, bool do_skip_damage, struct btrkit_dir_entry *ret_entry, struct diag *d);
u64 view_dir_nr_skipped(const struct foreign_dir *dir);
void view_dir_close(struct foreign_dir *dir); /* NULL allowed */
DEFINE_FREEP(struct foreign_dir *, view_dir_close)

/* --- view_file.c --- */

int view_file_open(void *ctx, const struct btrkit_inode *inode, struct foreign_file **ret_file, u64 *ret_size, struct diag *d);
int view_file_read(struct foreign_file *file, bool do_skip_damage, u64 offset, void *buf, size_t len, size_t *ret_len, struct diag *d);
int view_file_range_at(struct foreign_file *file, bool do_skip_damage, u64 offset, struct btrkit_file_range *ret_range, struct diag *d);
u64 view_file_nr_skipped(const struct foreign_file *file);
void view_file_close(struct foreign_file *file);

#endif
