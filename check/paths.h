/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From inodes and extents to the files that people know. */
#ifndef BTRKIT_CHECK_PATHS_H
#define BTRKIT_CHECK_PATHS_H

#include <btrkit/check.h>

#include "common/base/types.h"

struct path_list {
	char *paths[BTRKIT_PROBLEM_PATHS_MAX]; /* owned */
	size_t nr_paths;
	u64 total;
};

void path_list_done(struct path_list *list);

/* Add a path, unless it is there already. */
void path_list_add(struct path_list *list, const char *path);

/* The path of an inode of subvolume @tree, if it has one. Damage on the way leaves the list empty. */
void paths_of_inode(struct btrkit_fs *fs, u64 tree, u64 inode, struct path_list *ret_list);

/* Of all files, in all subvolumes and snapshots, that the data extent at @logical belongs to. */
void paths_of_extent(struct btrkit_fs *fs, u64 logical, struct path_list *ret_list);

#endif
