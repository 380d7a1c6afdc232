/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From what a user names, a path within a subvolume, to an inode, through symbolic links. */
#ifndef BTRKIT_CMDS_RESOLVE_H
#define BTRKIT_CMDS_RESOLVE_H

#include <btrkit/file.h>

#include "common/base/types.h"

/*
 * The top directory that paths begin from: of the whole filesystem (@subvol NULL), of the subvolume that a mount shows
 * ("default"), or of the subvolume with this id or path.
 */
int resolve_top(struct btrkit_fs *fs, const char *subvol, struct btrkit_inode *ret_top, struct btrkit_error *error);

/*
 * Follow @path from directory @top; symbolic links too, those that begin with '/' from @top again, and a last one if
 * @do_follow_last. -ELOOP: too many links.
 */
int resolve_path(struct btrkit_fs *fs, const struct btrkit_inode *top, const char *path, bool do_follow_last,
		 struct btrkit_inode *ret_inode, struct btrkit_error *error);

#endif
