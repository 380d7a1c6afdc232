/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files behind data. Which inodes may have an extent is what the extent tree records of it, and what the caller knows;
 * each subvolume is then asked whether that inode has it there, so that snapshots are found however they share, and a wrong
 * record names nobody.
 */
#include "check/paths.h"
#include "kernel-shared/fs/inode.h"

/* What is looked at for one problem, at most: a badly damaged filesystem has many problems. */
#define STEPS_MAX 200000
/* No file has more of one extent in a row. */
#define EXTENT_BYTES_MAX (128 * MIB)

struct extent_search {
	struct path_finder *finder;
	u64 start, end; /* only of data in here */
	bool is_any; /* or of all data */
	bool needs_csums; /* only files whose data has checksums */
	struct extent_users users;
	u64 nr_steps;
	bool is_cut;
};

static bool has_steps_left(struct extent_search *search)
{
	if (search->nr_steps++ < STEPS_MAX)
		return true;
	search->is_cut = true;
	return false;
}

static void add_user(struct extent_search *search, u64 ino, u64 offset, u64 extent)
{
	if (array_push(&search->users.list, (struct extent_user){ ino, offset, extent }) < 0)
		search->is_cut = true;
}

/* --- What is recorded ------------------------------------------------------------------------------------------------ */

int extent_users_of_leaf(struct path_finder *finder, u64 logical, u64 extent, struct extent_users *users)
{
	const struct block_expect expect = { .logical = logical, .level = 0 };
	const struct block_check_params *params = block_cache_check_params(finder->view->cache);
	_cleanup_(block_putp) struct tree_block *leaf = NULL;
	int err = block_get(finder->view->cache, &expect, &leaf, NULL);

	if (err)
		return err;
	for (u32 slot = 0; slot < leaf->nritems && !err; slot++) {
		const struct key key = leaf_key(leaf->data, slot);
		const struct disk_file_extent_item *item = leaf_item_data(leaf->data, slot);

		if (key.type != EXTENT_DATA_KEY || block_check_item(params, leaf->data, slot, NULL) < 0 ||
		    item->type == FILE_EXTENT_INLINE || le64_get(item->disk_bytenr) != extent)
			continue;
		err = array_push(&users->list,
				 (struct extent_user){ key.objectid, key.offset - le64_get(item->offset), extent });
	}
	return err;
}

static void take_leaf(struct extent_search *search, u64 leaf, u64 extent)
{
	if (extent_users_of_leaf(search->finder, leaf, extent, &search->users) == -ENOMEM)
		search->is_cut = true;
}

static void take_data_ref(struct extent_search *search, u64 extent, const struct disk_extent_data_ref *ref)
{
	add_user(search, le64_get(ref->objectid), le64_get(ref->offset), extent);
}

/* The inline references of an extent item, which may be bad. */
static void take_inline(struct extent_search *search, u64 extent, const u8 *at, u32 left)
{
	while (left >= sizeof(struct disk_extent_inline_ref)) {
		const struct disk_extent_inline_ref *ref = (const void *)at;
		u32 bytes = sizeof(*ref);

		if (at[0] == EXTENT_DATA_REF_KEY) {
			bytes = 1 + sizeof(struct disk_extent_data_ref);
			if (left < bytes)
				return;
			take_data_ref(search, extent, (const void *)(at + 1));
		} else if (at[0] == SHARED_DATA_REF_KEY) {
			bytes += (u32)sizeof(struct disk_shared_data_ref);
			take_leaf(search, le64_get(ref->offset), extent);
		} else if (at[0] != EXTENT_OWNER_REF_KEY) {
			return;
		}
		if (left < bytes)
			return;
		at += bytes;
		left -= bytes;
	}
}

/* True: @extent is a tree block. */
static bool take_item(struct extent_search *search, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	const struct disk_extent_item *item = cursor_data(cursor);
	u32 bytes = cursor_data_bytes(cursor);

	if (key.type == METADATA_ITEM_KEY || key.type == TREE_BLOCK_REF_KEY || key.type == SHARED_BLOCK_REF_KEY)
		return true;
	if (key.type == EXTENT_ITEM_KEY && bytes >= sizeof(*item)) {
		if (le64_get(item->flags) & EXTENT_FLAG_TREE_BLOCK)
			return true;
		take_inline(search, key.objectid, (const u8 *)(item + 1), bytes - (u32)sizeof(*item));
	} else if (key.type == EXTENT_DATA_REF_KEY && bytes >= sizeof(struct disk_extent_data_ref)) {
		take_data_ref(search, key.objectid, cursor_data(cursor));
	} else if (key.type == SHARED_DATA_REF_KEY) {
		take_leaf(search, key.offset, key.objectid);
	}
	return false;
}

/* All records from key @first on, of extents that begin before @end. True: there was a tree block. */
static bool take_records(struct extent_search *search, u64 first, u64 end)
{
	const struct key key = { first, 0, 0 };
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	bool is_block = false;
	struct tree tree;

	if (fs_tree(search->finder->view, EXTENT_TREE_OBJECTID, &tree, NULL) < 0)
		return false;
	cursor = cursor_init(&tree);
	for (int err = cursor_seek(&cursor, &key, NULL); err == 0 && has_steps_left(search); err = cursor_next(&cursor, NULL)) {
		if (cursor_key(&cursor).objectid >= end)
			break;
		is_block = take_item(search, &cursor) || is_block;
	}
	return is_block;
}

/* --- Who has it -------------------------------------------------------------------------------------------------------- */

static bool covers(const struct extent_search *search, const struct disk_file_extent_item *item)
{
	u64 start = le64_get(item->disk_bytenr), len = le64_get(item->disk_num_bytes);

	if (item->type == FILE_EXTENT_PREALLOC)
		return false; /* never read */
	if (item->compression == 0) {
		start += le64_get(item->offset);
		len = le64_get(item->num_bytes);
	}
	return start < search->end && (start >= search->start || search->start - start < len);
}

static bool has_extent(struct extent_search *search, const struct tree *tree, const struct extent_user *user)
{
	const struct block_check_params *params = block_cache_check_params(search->finder->view->cache);
	/* Of a clone the offset may lie before the file's beginning. */
	u64 from = user->offset > (u64)INT64_MAX ? 0 : user->offset;
	const struct key first = { user->ino, EXTENT_DATA_KEY, from };
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);

	for (int err = cursor_seek(&cursor, &first, NULL); err == 0 && has_steps_left(search); err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);
		const struct disk_file_extent_item *item = cursor_data(&cursor);

		if (key.objectid != user->ino || key.type != EXTENT_DATA_KEY || key.offset - from > EXTENT_BYTES_MAX)
			return false;
		if (block_check_item(params, cursor.path[0].block->data, cursor.path[0].slot, NULL) == 0 &&
		    item->type != FILE_EXTENT_INLINE && le64_get(item->disk_bytenr) == user->extent &&
		    (search->is_any || covers(search, item)))
			return true;
	}
	return false;
}

static bool has_csums(const struct tree *tree, u64 ino)
{
	struct disk_inode_item item;

	return inode_read(tree, ino, &item, NULL) < 0 || !(le64_get(item.flags) & INODE_NODATASUM);
}

static int by_user(const void *a, const void *b)
{
	const struct extent_user *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->extent != y->extent)
		return x->extent < y->extent ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void forget_doubles(struct extent_users *users)
{
	size_t kept = 0;

	array_sort(&users->list, by_user);
	array_for_each(&users->list, user)
		if (kept == 0 || by_user(&users->list.items[kept - 1], user) != 0)
			users->list.items[kept++] = *user;
	users->list.len = kept;
}

static void name_users(struct extent_search *search, struct path_list *list)
{
	const struct extent_users *users = &search->users;

	forget_doubles(&search->users);
	array_for_each(&search->finder->subvols, subvol) {
		struct fs_root root;
		u64 named = 0;

		if (fs_subvol_root(search->finder->view, *subvol, &root, NULL) < 0)
			continue;
		array_for_each(&users->list, user) {
			if (user->ino == named || !has_extent(search, &root.tree, user))
				continue;
			named = user->ino;
			if (search->needs_csums && !has_csums(&root.tree, user->ino))
				continue;
			path_list_add_inode(list, search->finder, *subvol, user->ino);
		}
	}
	list->is_total_least = list->is_total_least || search->is_cut;
}

void paths_of_extent(struct path_finder *finder, u64 extent, const struct extent_user *users, size_t nr_users,
		     struct path_list *list)
{
	struct extent_search search = { .finder = finder, .is_any = true };

	for (size_t i = 0; i < nr_users; i++)
		add_user(&search, users[i].ino, users[i].offset, users[i].extent);
	if (take_records(&search, extent, extent + 1) && !nr_users)
		paths_of_block(finder, extent, list);
	else
		name_users(&search, list);
	array_done(&search.users.list);
}

/* The extent that reaches into the data from before it. */
static u64 first_extent(struct path_finder *finder, u64 logical)
{
	const struct key last = { logical, EXTENT_ITEM_KEY, UINT64_MAX };
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	struct tree tree;

	if (fs_tree(finder->view, EXTENT_TREE_OBJECTID, &tree, NULL) < 0)
		return logical;
	cursor = cursor_init(&tree);
	for (int err = cursor_seek_back(&cursor, &last, NULL); err == 0; err = cursor_prev(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);

		if (key.type == EXTENT_ITEM_KEY)
			return key.offset > logical - key.objectid ? key.objectid : logical;
		if (key.type == METADATA_ITEM_KEY || key.objectid + EXTENT_BYTES_MAX < logical)
			break;
	}
	return logical;
}

void paths_of_data(struct path_finder *finder, u64 start, u64 end, bool needs_csums, struct path_list *list)
{
	struct extent_search search = { .finder = finder, .start = start, .end = end, .needs_csums = needs_csums };

	take_records(&search, first_extent(finder, start), end);
	name_users(&search, list);
	array_done(&search.users.list);
}
