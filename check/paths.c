/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of paths, and the files that an inode is in all snapshots. */
#include "check/paths.h"

#include <limits.h>
#include <stdio.h>

#include "kernel-shared/fs/inode.h"

/* Of an inode with more leaves than these, the first ones decide whether it is shared. */
#define LEAVES_MAX 64

void path_list_done(struct path_list *list)
{
	for (size_t i = 0; i < list->nr_paths; i++)
		free(list->paths[i]);
	list->nr_paths = 0;
}

void path_list_add_inode(struct path_list *list, struct path_finder *finder, u64 subvol, u64 ino)
{
	const struct btrkit_inode inode = { subvol, ino };
	char path[PATH_MAX];

	if (list->nr_paths == BTRKIT_PROBLEM_PATHS_MAX) {
		list->total++;
		return;
	}
	if (inode_path(finder->view, &inode, path, sizeof(path), NULL) < 0)
		return;
	list->paths[list->nr_paths] = strdup(path);
	list->nr_paths += list->paths[list->nr_paths] != NULL;
	list->total++;
}

bool path_list_add_name(struct path_list *list, struct path_finder *finder, u64 subvol, u64 dir, const char *name,
			size_t name_len)
{
	const struct btrkit_inode inode = { subvol, dir };
	char path[PATH_MAX + NAME_LEN_MAX + 2];
	size_t len;

	if (list->nr_paths == BTRKIT_PROBLEM_PATHS_MAX && list->dir.subvol == subvol && list->dir.ino == dir) {
		list->total += list->has_dir_path;
		return list->has_dir_path;
	}
	/* A directory that is lost itself has no path; its name stands for all that is below. */
	list->dir = inode;
	list->has_dir_path = inode_path(finder->view, &inode, path, PATH_MAX, NULL) == 0;
	if (!list->has_dir_path)
		return false;
	list->total++;
	if (list->nr_paths == BTRKIT_PROBLEM_PATHS_MAX)
		return true;
	len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "%s%.*s", len > 1 ? "/" : "", (int)name_len, name);
	list->paths[list->nr_paths] = strdup(path);
	list->nr_paths += list->paths[list->nr_paths] != NULL;
	return true;
}

/* --- Inodes -------------------------------------------------------------------------------------------------------- */

/* The leaves with items of an inode, in key order. */
static size_t leaves_of_inode(struct path_finder *finder, u64 subvol, u64 ino, u64 leaves[LEAVES_MAX])
{
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	const struct key first = { ino, 0, 0 };
	struct fs_root root;
	size_t nr = 0;
	int err;

	if (fs_subvol_root(finder->view, subvol, &root, NULL) < 0)
		return 0;
	cursor = cursor_init(&root.tree);
	for (err = cursor_seek(&cursor, &first, NULL); err == 0 && nr < LEAVES_MAX; err = cursor_next(&cursor, NULL)) {
		const struct tree_block *leaf = cursor.path[0].block;

		if (cursor_key(&cursor).objectid != ino)
			break;
		leaves[nr++] = leaf->logical;
		cursor.path[0].slot = leaf->nritems - 1; /* to the next leaf */
		if (cursor_key(&cursor).objectid != ino)
			break;
	}
	return nr;
}

void paths_of_inode(struct path_finder *finder, u64 tree, u64 ino, struct path_list *list)
{
	u64 own[LEAVES_MAX], other[LEAVES_MAX];
	size_t nr;

	if (!tree_id_is_subvol(tree))
		return;
	nr = leaves_of_inode(finder, tree, ino, own);
	array_for_each(&finder->subvols, subvol)
		if (*subvol == tree || (nr && leaves_of_inode(finder, *subvol, ino, other) == nr &&
					memcmp(own, other, nr * sizeof(*own)) == 0))
			path_list_add_inode(list, finder, *subvol, ino);
}
