/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From what is damaged to the files that people know: in each subvolume and snapshot that reaches it, by looking down the
 * trees when a problem is reported. The first paths are found, of the others only how many there are. A file with several
 * names is one file, and said by one of its names.
 *
 * May be called from several threads at once.
 */
#ifndef BTRKIT_CHECK_PATHS_H
#define BTRKIT_CHECK_PATHS_H

#include <btrkit/check.h>
#include <btrkit/file.h>

#include "common/base/array.h"
#include "kernel-shared/fs/fs.h"

struct path_list {
	char *paths[BTRKIT_PROBLEM_PATHS_MAX]; /* owned */
	size_t nr_paths;
	u64 total;
	bool is_total_least; /* there was too much to look at all of it */
	struct btrkit_inode dir; /* the last directory of a name */
	bool has_dir_path;
};

struct path_finder {
	struct btrkit_fs *view; /* of the filesystem, items unchecked; NULL: no path is found */
	ARRAY(u64) subvols; /* ascending; with none that is being deleted */
};

/* Where a file has an extent: @offset is that of the file's data minus that in the extent, as in an EXTENT_DATA_REF. */
struct extent_user {
	u64 ino, offset;
	u64 extent; /* its address */
};
struct extent_users {
	ARRAY(struct extent_user) list;
};

void path_list_done(struct path_list *list);

/* Add an inode of a subvolume, if it has a path. The caller adds each only once. */
void path_list_add_inode(struct path_list *list, struct path_finder *finder, u64 subvol, u64 ino);

/* Add a name in a directory. False: the directory has no path. */
bool path_list_add_name(struct path_list *list, struct path_finder *finder, u64 subvol, u64 dir, const char *name,
			size_t name_len);

/* An inode of subvolume @tree, there and wherever all leaves with its items are shared. */
void paths_of_inode(struct path_finder *finder, u64 tree, u64 ino, struct path_list *list);

/* All files that have a part of the data [@start, @end), or of those the ones that need checksums. */
void paths_of_data(struct path_finder *finder, u64 start, u64 end, bool needs_csums, struct path_list *list);

/*
 * All files that have the extent at @extent, or, if that is a tree block, whose items it leads to. @users: what is known
 * of them already, where the extent tree may not tell.
 */
void paths_of_extent(struct path_finder *finder, u64 extent, const struct extent_user *users, size_t nr_users,
		     struct path_list *list);

/* All files with items in the tree block at @logical, or below it. */
void paths_of_block(struct path_finder *finder, u64 logical, struct path_list *list);

/* Does the tree of @subvol lead to the block at @logical, of @level, whose parent says that it begins with @key? */
bool subvol_reaches_block(struct path_finder *finder, u64 subvol, const struct key *key, u8 level, u64 logical);

/* Add what files in the leaf at @logical have of @extent. -ENOMEM, or the leaf cannot be read. */
int extent_users_of_leaf(struct path_finder *finder, u64 logical, u64 extent, struct extent_users *users);

#endif
