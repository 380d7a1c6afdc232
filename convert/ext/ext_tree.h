/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tree of directories, from the root on, by paths. */
#ifndef BTRKIT_CONVERT_EXT_EXT_TREE_H
#define BTRKIT_CONVERT_EXT_EXT_TREE_H

#include "convert/ext/ext_dir.h"

struct ext_tree_walk {
	const struct ext_fs *ext;
	/*
	 * An entry, with its path, which begins with a slash. 1: if it is a directory it is to be entered, which must be said only once of
	 * each; 0: it is not; a negative errno ends the walk. @ino is one that the filesystem has.
	 */
	int (*entry)(void *ctx, const char *path, u32 ino, struct diag *d);
	/* @nr blocks of directory @ino were passed over; may be NULL. The root's path is "/". */
	void (*unread)(void *ctx, const char *path, u32 ino, u32 nr, struct diag *d);
	void *ctx;
	bool is_tolerant; /* what is damaged or cannot be read is passed over */
};

/* Directories in no particular order. -EUCLEAN, -EIO, -ENOMEM, or what a function returns. */
int ext_tree_walk(const struct ext_tree_walk *walk, struct diag *d);

/* A path of inode @ino into @buf, cut off where it is longer. False: none can be found. */
bool ext_tree_find_path(const struct ext_fs *ext, u32 ino, char *buf, size_t cap);

#endif
