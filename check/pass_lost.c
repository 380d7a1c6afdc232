/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files behind leaves that cannot be read. What such a leaf held is gone, but its parent tells which inodes it was about,
 * and directories that can be read still have the names of these.
 */
#include <btrkit/file.h>
#include <limits.h>
#include <stdio.h>

#include "check/block_table.h"
#include "check/paths.h"

typedef unsigned long long ull;

/* An unreadable leaf of a subvolume: items of inodes [first, last] were in it. */
struct lost_leaf {
	u64 logical, first, last;
	u32 index;
};

/* A name that leads to such an inode. */
struct lost_name {
	u64 dir, ino;
	u8 len;
	char name[NAME_LEN_MAX];
};

struct search {
	struct check *check;
	ARRAY(struct lost_leaf) leaves;
	struct worker_names {
		ARRAY(struct lost_name) list;
	} *workers;
};

static int list_leaves(struct search *search)
{
	const struct block_level *at = &search->check->blocks->level[0];

	for (u32 i = 0; i < at->blocks.len; i++) {
		const struct block_record *record = &at->blocks.items[i];
		const struct block_pointer *pointer;

		if (record->state != BLOCK_BAD || !tree_id_is_subvol(record->tree))
			continue;
		pointer = &at->pointers.items[array_lower_bound(&at->pointers, it, it->logical < record->logical)];
		if (array_push(&search->leaves, (struct lost_leaf){ record->logical, pointer->first_key.objectid,
								    pointer->limit.objectid, i }) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* --- Names that lead there --------------------------------------------------------------------------------------------- */

static bool is_lost(const struct search *search, u64 ino)
{
	array_for_each(&search->leaves, leaf)
		if (ino >= leaf->first && ino <= leaf->last)
			return true;
	return false;
}

static bool is_subvol_leaf(const struct check *check, const struct block_record *record)
{
	(void)check;
	return record->state == BLOCK_GOOD && tree_id_is_subvol(record->tree);
}

static int visit_leaf(void *ctx, unsigned worker, u32 index, const u8 *leaf, struct diag *d)
{
	struct search *search = ctx;

	(void)index;
	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		const struct disk_dir_item *item = leaf_item_data(leaf, slot);
		struct lost_name name = { .dir = leaf_key(leaf, slot).objectid };

		if (leaf_key(leaf, slot).type != DIR_INDEX_KEY ||
		    block_check_item(block_cache_check_params(search->check->fs->cache), leaf, slot, NULL) < 0 ||
		    item->location.type != INODE_ITEM_KEY || !is_lost(search, le64_get(item->location.objectid)))
			continue;
		name.ino = le64_get(item->location.objectid);
		name.len = (u8)le16_get(item->name_len);
		memcpy(name.name, item->name, name.len);
		if (array_push(&search->workers[worker].list, name) < 0)
			return diag_no_memory(d, "names");
	}
	return 0;
}

/* --- Paths ------------------------------------------------------------------------------------------------------------- */

static bool reaches(const struct check *check, u8 level, u32 index, u32 leaf)
{
	const struct block_level *at = &check->blocks->level[level];

	if (index == BLOCK_NONE || level == 0)
		return level == 0 && index == leaf;
	for (u32 i = 0; i < at->blocks.items[index].nr_children; i++)
		if (reaches(check, (u8)(level - 1), at->children.items[at->blocks.items[index].first_child + i], leaf))
			return true;
	return false;
}

static void add_name(const struct search *search, u64 subvol, const struct lost_name *name, struct path_list *list)
{
	const struct btrkit_inode dir = { subvol, name->dir };
	char path[PATH_MAX + NAME_LEN_MAX + 2];
	struct btrkit_error unused;
	size_t len;

	/* A directory that is lost itself has no path; its name stands for all that is below. */
	if (btrkit_path(search->check->fs, &dir, path, PATH_MAX, &unused) < 0)
		return;
	len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "%s%.*s", len > 1 ? "/" : "", name->len, name->name);
	path_list_add(list, path);
}

static void report(struct search *search, const struct lost_leaf *leaf)
{
	struct check *check = search->check;
	struct path_list list = { 0 };
	u64 tree = check->blocks->level[0].blocks.items[leaf->index].tree;

	array_for_each(&check->roots, root) {
		if (root->is_reloc || !tree_id_is_subvol(root->id) || !reaches(check, root->level, root->root_block, leaf->index))
			continue;
		for (unsigned w = 0; w < pool_threads(check->pool); w++)
			array_for_each(&search->workers[w].list, name)
				if (name->ino >= leaf->first && name->ino <= leaf->last)
					add_name(search, root->id, name, &list);
	}
	complain(check, FILES_BEHIND_BLOCK,
		 AT(.tree = tree, .logical = leaf->logical, .paths = (const char *const *)list.paths, .nr_paths = list.nr_paths,
		    .total_paths = list.total),
		 (ull)leaf->logical, (ull)tree, (ull)leaf->first, (ull)leaf->last);
	path_list_done(&list);
}

int pass_lost(struct check *check, struct diag *d)
{
	struct search search = { .check = check };
	const struct block_sweep sweep = { .wanted = is_subvol_leaf, .visit = visit_leaf, .ctx = &search };
	int err = list_leaves(&search) < 0 ? diag_no_memory(d, "lost blocks") : 0;

	if (!err && search.leaves.len) {
		search.workers = calloc(pool_threads(check->pool), sizeof(*search.workers));
		check->sink.is_muted = true;
		err = search.workers ? block_table_sweep(check, 0, &sweep, d) : diag_no_memory(d, "lost blocks");
		check->sink.is_muted = false;
		for (size_t i = 0; i < search.leaves.len && !err; i++)
			report(&search, &search.leaves.items[i]);
		for (unsigned w = 0; search.workers && w < pool_threads(check->pool); w++)
			array_done(&search.workers[w].list);
		free(search.workers);
	}
	array_done(&search.leaves);
	return err;
}
