/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files behind blocks that cannot be read. What such a block of a subvolume held is gone, but its parent tells which inodes
 * it was about, and directories that can be read still have the names of these. Of the checksum tree, the parent tells
 * which data has lost its checksums.
 */
#include "check/block_table.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

/* Names beyond these are not kept. */
#define NAMES_MAX 65536

/* An unreadable block: items of inodes [first, last] were in it or below. */
struct lost_block {
	u64 logical, tree, first, last;
	struct key first_key, limit;
	u8 level;
};

/* A name that leads to such an inode, from a DIR_INDEX or a DIR_ITEM: the other one may be lost. */
struct lost_name {
	u64 ino;
	struct key key;
	u8 len;
	char name[NAME_LEN_MAX];
};

struct search {
	struct check *check;
	ARRAY(struct lost_block) blocks;
	struct ranges inodes; /* of all of these */
	ARRAY(struct lost_name) names;
	pthread_mutex_t lock; /* guards names */
	bool is_cut;
};

static int note_block(struct search *search, u8 level, const struct block_record *record)
{
	const struct block_level *at = &search->check->blocks->level[level];
	const struct block_pointer *pointer =
		&at->pointers.items[array_lower_bound(&at->pointers, it, it->logical < record->logical)];
	struct lost_block lost = { .logical = record->logical, .tree = record->tree, .level = level,
				   .first_key = pointer->first_key, .limit = pointer->limit };

	lost.first = MAX(pointer->first_key.objectid, FIRST_FREE_OBJECTID);
	/* Of the inode that the next block begins with, items before that one may have been here. */
	lost.last = pointer->limit.objectid - (pointer->limit.type <= INODE_ITEM_KEY);
	lost.last = MIN(MAX(lost.last, lost.first), LAST_FREE_OBJECTID);
	if (array_push(&search->blocks, lost) < 0)
		return -ENOMEM;
	return array_push(&search->inodes.list, (struct range){ lost.first, lost.last + 1 });
}

static int list_blocks(struct search *search)
{
	int err = 0;

	for (u8 level = 0; level < LEVEL_MAX; level++)
		array_for_each(&search->check->blocks->level[level].blocks, record)
			if (!err && record->state == BLOCK_BAD &&
			    (tree_id_is_subvol(record->tree) || record->tree == CSUM_TREE_OBJECTID))
				err = note_block(search, level, record);
	ranges_tidy(&search->inodes);
	return err;
}

/* --- Names that lead there --------------------------------------------------------------------------------------------- */

static bool is_lost(const struct search *search, u64 ino)
{
	size_t i = array_lower_bound(&search->inodes.list, it, it->end <= ino);

	return i < search->inodes.list.len && search->inodes.list.items[i].start <= ino;
}

static bool is_subvol_leaf(const struct check *check, const struct block_record *record)
{
	(void)check;
	return record->state == BLOCK_GOOD && tree_id_is_subvol(record->tree);
}

static int keep_name(struct search *search, const struct lost_name *name, struct diag *d)
{
	LOCK_SCOPE(&search->lock);

	if (search->names.len == NAMES_MAX) {
		search->is_cut = true;
		return 0;
	}
	return array_push(&search->names, *name) < 0 ? diag_no_memory(d, "names") : 0;
}

/* The entries of a DIR_INDEX or DIR_ITEM that was found to be good. */
static int take_entries(struct search *search, const struct key *key, const u8 *at, u32 left, struct diag *d)
{
	int err = 0;

	while (left >= sizeof(struct disk_dir_item) && !err) {
		const struct disk_dir_item *item = (const void *)at;
		u32 bytes = (u32)sizeof(*item) + le16_get(item->name_len) + le16_get(item->data_len);
		struct lost_name name = { .ino = le64_get(item->location.objectid), .key = *key,
					  .len = (u8)le16_get(item->name_len) };

		if (item->location.type == INODE_ITEM_KEY && is_lost(search, name.ino)) {
			memcpy(name.name, item->name, name.len);
			err = keep_name(search, &name, d);
		}
		at += bytes;
		left -= MIN(bytes, left);
	}
	return err;
}

static int visit_leaf(void *ctx, unsigned worker, u32 index, const u8 *leaf, struct diag *d)
{
	struct search *search = ctx;
	const struct block_check_params *params = block_cache_check_params(search->check->fs->cache);
	int err = 0;

	(void)worker;
	(void)index;
	for (u32 slot = 0; slot < block_nritems(leaf) && !err; slot++) {
		const struct key key = leaf_key(leaf, slot);

		if ((key.type == DIR_INDEX_KEY || key.type == DIR_ITEM_KEY) && block_check_item(params, leaf, slot, NULL) == 0)
			err = take_entries(search, &key, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot), d);
	}
	return err;
}

static int by_inode(const void *a, const void *b)
{
	const struct lost_name *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return key_compare(&x->key, &y->key);
}

/* --- Paths ------------------------------------------------------------------------------------------------------------- */

/* Snapshots that share a block may have other names for its inodes, or none. */
static bool has_name(const struct tree *tree, const struct lost_name *name)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct disk_dir_item *item;
	u32 at = 0;

	if (cursor_find(&cursor, &name->key, NULL) != 0)
		return false;
	while (dir_item_next(&cursor, &at, &item))
		if (le16_get(item->name_len) == name->len && le64_get(item->location.objectid) == name->ino &&
		    memcmp(item->name, name->name, name->len) == 0)
			return true;
	return false;
}

static void add_paths_of(struct search *search, const struct lost_block *lost, u64 subvol, struct path_list *list)
{
	struct path_finder *finder = &search->check->finder;
	size_t first = array_lower_bound(&search->names, it, it->ino < lost->first);
	struct fs_root root;
	u64 named = 0;

	if (fs_subvol_root(finder->view, subvol, &root, NULL) < 0)
		return;
	if (root.top_dir >= lost->first && root.top_dir <= lost->last)
		path_list_add_inode(list, finder, subvol, root.top_dir);
	for (size_t i = first; i < search->names.len && search->names.items[i].ino <= lost->last; i++) {
		const struct lost_name *name = &search->names.items[i];

		if (name->ino != named && has_name(&root.tree, name) &&
		    path_list_add_name(list, finder, subvol, name->key.objectid, name->name, name->len))
			named = name->ino;
	}
	list->is_total_least = search->is_cut;
}

static void report(struct search *search, const struct lost_block *lost)
{
	struct check *check = search->check;
	struct path_list list = { 0 };

	if (lost->tree == CSUM_TREE_OBJECTID) {
		u64 start = lost->first_key.objectid == EXTENT_CSUM_OBJECTID ? lost->first_key.offset : 0;
		u64 end = lost->limit.objectid == EXTENT_CSUM_OBJECTID ? lost->limit.offset : UINT64_MAX;

		if (check->finder.view)
			paths_of_data(&check->finder, start, end, true, &list);
		complain(check, CSUMS_BEHIND_BLOCK, AT(.tree = lost->tree, .logical = lost->logical, .paths = &list),
			 (ull)lost->logical, (ull)start, (ull)end);
	} else {
		if (check->finder.view)
			array_for_each(&check->finder.subvols, subvol)
				if (subvol_reaches_block(&check->finder, *subvol, &lost->first_key, lost->level, lost->logical))
					add_paths_of(search, lost, *subvol, &list);
		complain(check, FILES_BEHIND_BLOCK, AT(.tree = lost->tree, .logical = lost->logical, .paths = &list),
			 (ull)lost->logical, (ull)lost->tree, (ull)lost->first, (ull)lost->last);
	}
	path_list_done(&list);
}

int pass_lost(struct check *check, struct diag *d)
{
	struct search search = { .check = check, .lock = PTHREAD_MUTEX_INITIALIZER };
	const struct block_sweep sweep = { .wanted = is_subvol_leaf, .visit = visit_leaf, .ctx = &search };
	int err = list_blocks(&search) < 0 ? diag_no_memory(d, "lost blocks") : 0;

	if (!err && search.blocks.len) {
		check->sink.is_muted = true;
		err = block_table_sweep(check, 0, &sweep, d);
		check->sink.is_muted = false;
		array_sort(&search.names, by_inode);
		for (size_t i = 0; i < search.blocks.len && !err; i++)
			report(&search, &search.blocks.items[i]);
	}
	array_done(&search.blocks);
	array_done(&search.inodes.list);
	array_done(&search.names);
	pthread_mutex_destroy(&search.lock);
	return err;
}
