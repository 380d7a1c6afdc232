/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inode tables, read in long pieces from the first group to the last, without what was never used. */
#ifndef BTRKIT_CONVERT_EXT_EXT_TABLE_H
#define BTRKIT_CONVERT_EXT_EXT_TABLE_H

#include "convert/ext/ext_inode.h"

typedef int (*ext_inode_fn)(void *ctx, const struct ext_inode *inode, struct diag *d);

/* Call @fn for each inode in use, with those that the filesystem keeps for itself. What it points to lasts for the call. */
int ext_table_scan(const struct ext_fs *ext, ext_inode_fn fn, void *ctx, struct diag *d);

#endif
