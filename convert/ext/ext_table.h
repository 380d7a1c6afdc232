/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inode tables, read in long pieces from the first group to the last, without what was never used. */
#ifndef BTRKIT_CONVERT_EXT_EXT_TABLE_H
#define BTRKIT_CONVERT_EXT_EXT_TABLE_H

#include "convert/ext/ext_inode.h"

typedef int (*ext_inode_fn)(void *ctx, const struct ext_inode *inode, struct diag *d);

/* @nr inodes from @first on, which may be in use, cannot be read. */
typedef int (*ext_unread_fn)(void *ctx, u32 first, u32 nr, struct diag *d);

struct ext_table_scan {
	/* For each inode in use, with those that the filesystem keeps for itself. What it points to lasts for the call. */
	ext_inode_fn fn;
	ext_unread_fn unread; /* if the source is said to be partly unreadable, for what cannot be read; may be NULL */
	void *ctx;
	u32 ino; /* that is being looked at: where it failed, if it did; 0: none */
};

int ext_table_scan(const struct ext_fs *ext, struct ext_table_scan *scan, struct diag *d);

#endif
