/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/paths.h"

#include <btrkit/file.h>
#include <limits.h>
#include <stdio.h>

#include "kernel-shared/fs/fs.h"

/* Shared leaves lead up through shared nodes; real trees are not deeper than their levels. */
#define DEPTH_MAX (2 * LEVEL_MAX)
/* What is looked at for one problem, at most: a badly damaged filesystem has many problems. */
#define STEPS_MAX 20000

struct search {
	struct btrkit_fs *fs;
	struct path_list *list;
	u64 extent;
	u64 nr_steps;
};

void path_list_done(struct path_list *list)
{
	for (size_t i = 0; i < list->nr_paths; i++)
		free(list->paths[i]);
	list->nr_paths = 0;
}

void path_list_add(struct path_list *list, const char *path)
{
	for (size_t i = 0; i < list->nr_paths; i++)
		if (strcmp(list->paths[i], path) == 0)
			return;
	list->total++;
	if (list->nr_paths == BTRKIT_PROBLEM_PATHS_MAX)
		return;
	list->paths[list->nr_paths] = strdup(path);
	list->nr_paths += list->paths[list->nr_paths] != NULL;
}

void paths_of_inode(struct btrkit_fs *fs, u64 tree, u64 ino, struct path_list *list)
{
	const struct btrkit_inode inode = { tree, ino };
	struct btrkit_error unused;
	char path[PATH_MAX];

	if (tree_id_is_subvol(tree) && btrkit_path(fs, &inode, path, sizeof(path), &unused) == 0)
		path_list_add(list, path);
}

/* --- From a data extent up ----------------------------------------------------------------------------------- */

static void take_leaf(struct search *search, u64 leaf_logical, unsigned depth);

/* Which trees lead to the block; each gives the files of the leaf below it that have the extent. */
static void climb(struct search *search, u64 block, const u64 *inodes, size_t nr_inodes, unsigned depth);

static void take_root(struct search *search, u64 root, const u64 *inodes, size_t nr_inodes)
{
	for (size_t i = 0; i < nr_inodes; i++)
		paths_of_inode(search->fs, root, inodes[i], search->list);
}

static void take_block_ref(struct search *search, u8 type, u64 offset, const u64 *inodes, size_t nr_inodes, unsigned depth)
{
	if (type == TREE_BLOCK_REF_KEY)
		take_root(search, offset, inodes, nr_inodes);
	else if (type == SHARED_BLOCK_REF_KEY && depth < DEPTH_MAX)
		climb(search, offset, inodes, nr_inodes, depth + 1);
}

static void take_data_ref(struct search *search, const struct disk_extent_data_ref *ref)
{
	paths_of_inode(search->fs, le64_get(ref->root), le64_get(ref->objectid), search->list);
}

/* One inline reference at @at; returns its bytes, 0 at the end. */
static u32 take_inline(struct search *search, const u8 *at, u32 left, const u64 *inodes, size_t nr_inodes, unsigned depth)
{
	const struct disk_extent_inline_ref *ref = (const void *)at;

	if (left < sizeof(*ref))
		return 0;
	switch (at[0]) {
	case EXTENT_DATA_REF_KEY:
		if (left < 1 + sizeof(struct disk_extent_data_ref))
			return 0;
		take_data_ref(search, (const void *)(at + 1));
		return 1 + sizeof(struct disk_extent_data_ref);
	case SHARED_DATA_REF_KEY:
		take_leaf(search, le64_get(ref->offset), depth);
		return sizeof(*ref) + sizeof(struct disk_shared_data_ref);
	case EXTENT_OWNER_REF_KEY:
		return sizeof(*ref);
	default:
		take_block_ref(search, at[0], le64_get(ref->offset), inodes, nr_inodes, depth);
		return sizeof(*ref);
	}
}

static void take_extent_item(struct search *search, const struct cursor *cursor, const u64 *inodes, size_t nr_inodes,
			     unsigned depth)
{
	const struct disk_extent_item *item = cursor_data(cursor);
	u32 bytes = cursor_data_bytes(cursor), at = sizeof(*item), step;
	bool is_old_block = cursor_key(cursor).type == EXTENT_ITEM_KEY &&
			    (le64_get(item->flags) & EXTENT_FLAG_TREE_BLOCK);

	if (is_old_block)
		at += sizeof(struct disk_tree_block_info);
	while (at < bytes && (step = take_inline(search, (const u8 *)item + at, bytes - at, inodes, nr_inodes, depth)))
		at += step;
}

static void take_keyed(struct search *search, const struct cursor *cursor, const u64 *inodes, size_t nr_inodes,
		       unsigned depth)
{
	const struct key key = cursor_key(cursor);

	if (key.type == EXTENT_DATA_REF_KEY)
		take_data_ref(search, cursor_data(cursor));
	else if (key.type == SHARED_DATA_REF_KEY)
		take_leaf(search, key.offset, depth);
	else
		take_block_ref(search, key.type, key.offset, inodes, nr_inodes, depth);
}

/* Every reference that the extent tree records of what begins at @logical. */
static void for_each_ref(struct search *search, u64 logical, const u64 *inodes, size_t nr_inodes, unsigned depth)
{
	const struct key first = { logical, EXTENT_ITEM_KEY, 0 };
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	struct tree tree;
	int err;

	if (fs_tree(search->fs, EXTENT_TREE_OBJECTID, &tree, NULL) < 0)
		return;
	cursor = cursor_init(&tree);
	for (err = cursor_seek(&cursor, &first, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);

		if (key.objectid != logical || search->nr_steps++ > STEPS_MAX)
			return;
		if (key.type == EXTENT_ITEM_KEY || key.type == METADATA_ITEM_KEY)
			take_extent_item(search, &cursor, inodes, nr_inodes, depth);
		else if (key.type != BLOCK_GROUP_ITEM_KEY)
			take_keyed(search, &cursor, inodes, nr_inodes, depth);
	}
}

static void climb(struct search *search, u64 block, const u64 *inodes, size_t nr_inodes, unsigned depth)
{
	for_each_ref(search, block, inodes, nr_inodes, depth);
}

/* The inodes of a shared leaf that have the extent; then up from the leaf. */
static void take_leaf(struct search *search, u64 leaf_logical, unsigned depth)
{
	_cleanup_(block_putp) struct tree_block *leaf = NULL;
	const struct block_expect expect = { .logical = leaf_logical, .level = 0 };
	u64 inodes[64];
	size_t nr = 0;

	if (depth >= DEPTH_MAX || block_get(search->fs->cache, &expect, &leaf, NULL) < 0)
		return;
	for (u32 slot = 0; slot < leaf->nritems && nr < ARRAY_LEN(inodes); slot++) {
		const struct key key = leaf_key(leaf->data, slot);
		const struct disk_file_extent_item *item = leaf_item_data(leaf->data, slot);

		if (key.type != EXTENT_DATA_KEY || item->type == FILE_EXTENT_INLINE ||
		    le64_get(item->disk_bytenr) != search->extent)
			continue;
		if (nr == 0 || inodes[nr - 1] != key.objectid)
			inodes[nr++] = key.objectid;
	}
	if (nr)
		climb(search, leaf_logical, inodes, nr, depth + 1);
}

void paths_of_extent(struct btrkit_fs *fs, u64 logical, struct path_list *list)
{
	struct search search = { .fs = fs, .list = list, .extent = logical };

	for_each_ref(&search, logical, NULL, 0, 0);
}
