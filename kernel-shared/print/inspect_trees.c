/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole trees, single blocks, and what belongs to one inode. */
#include <stdio.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/print/show.h"

typedef unsigned long long ull;

int btrkit_tree_id_parse(const char *text, uint64_t *ret_id)
{
	u64 id = tree_id_by_name(text);
	char *end;

	if (!id) {
		id = (u64)strtoll(text, &end, 0);
		if (end == text || *end || id == 0)
			return -EINVAL;
	}
	*ret_id = id;
	return 0;
}

/* --- Finding trees ------------------------------------------------------------------------------------------- */

static struct btrkit_tree_info info_of(const struct tree *tree)
{
	return (struct btrkit_tree_info){ tree->id, tree_name(tree->id), tree->root_logical, tree->generation,
					  tree->level };
}

static int log_root_tree(struct btrkit_fs *fs, struct tree *ret_tree, struct diag *d)
{
	if (le64_get(fs->super.log_root) == 0)
		return diag_fail(d, -ENOENT, "there is no log");
	*ret_tree = (struct tree){
		.cache = fs->cache,
		.id = TREE_LOG_OBJECTID,
		.root_logical = le64_get(fs->super.log_root),
		.level = fs->super.log_root_level,
	};
	return 0;
}

static int find_tree(struct btrkit_fs *fs, u64 id, struct tree *ret_tree, struct diag *d)
{
	return id == TREE_LOG_OBJECTID ? log_root_tree(fs, ret_tree, d) : fs_tree(fs, id, ret_tree, d);
}

static int for_each_tree(struct btrkit_fs *fs, btrkit_tree_fn fn, void *arg, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	struct btrkit_tree_info info = info_of(&fs->root_tree);
	struct tree log;
	int err = fn(arg, &info);

	info = info_of(&fs->chunk_tree);
	if (!err)
		err = fn(arg, &info);
	if (!err && le64_get(fs->super.log_root) && log_root_tree(fs, &log, d) == 0) {
		info = info_of(&log);
		err = fn(arg, &info);
	}
	if (err)
		return err;
	for (err = cursor_first(&cursor, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);
		struct disk_root_item item;

		if (key.type != ROOT_ITEM_KEY || cursor_data_bytes(&cursor) < ROOT_ITEM_V0_BYTES)
			continue;
		root_item_unpack(&cursor, &item);
		info = (struct btrkit_tree_info){ key.objectid, tree_name(key.objectid), le64_get(item.bytenr),
						  le64_get(item.generation), item.level };
		err = fn(arg, &info);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

int btrkit_tree_for_each(struct btrkit_fs *fs, btrkit_tree_fn fn, void *arg, struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&fs->note, &d);
	return fs_error(error, &d, for_each_tree(fs, fn, arg, &d));
}

/* --- Showing blocks -------------------------------------------------------------------------------------------- */

struct shower {
	struct btrkit_fs *fs;
	printer *to;
	u64 nr_damaged;
};

static int show_visited(void *ctx, struct tree_block *block, struct diag *d)
{
	struct shower *shower = ctx;

	(void)d;
	show_block(shower->to, block->data, &shower->fs->super);
	return 0;
}

static int show_damaged(void *ctx, const struct block_expect *expect, const struct diag *why, struct diag *d)
{
	struct shower *shower = ctx;

	(void)d;
	shower->nr_damaged++;
	show_begin(shower->to, NULL);
	show_text(shower->to, "kind", "damaged");
	show_u64(shower->to, "logical", expect->logical);
	if (expect->level >= 0)
		show_u64(shower->to, "level", (u64)expect->level);
	show_text(shower->to, "problem", why->text);
	show_end(shower->to);
	return 0;
}

static int show_tree(struct btrkit_fs *fs, const struct tree *tree, printer *to, struct diag *d)
{
	struct shower shower = { .fs = fs, .to = to };
	const struct tree_walk walk = { show_visited, show_damaged, &shower };
	int err = tree_walk(tree, &walk, d);

	if (!err && shower.nr_damaged)
		return diag_fail(d, -EUCLEAN, "tree %lld: %llu block%s cannot be read", (long long)tree->id,
				 (ull)shower.nr_damaged, shower.nr_damaged == 1 ? "" : "s");
	return err;
}

int btrkit_inspect_tree(struct btrkit_fs *fs, uint64_t id, const struct btrkit_printer *to, struct btrkit_error *error)
{
	struct tree tree;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = find_tree(fs, id, &tree, &d);
	if (!err)
		err = show_tree(fs, &tree, to, &d);
	return fs_error(error, &d, err);
}

static int inspect_block(struct btrkit_fs *fs, u64 logical, bool do_follow, printer *to, struct diag *d)
{
	_cleanup_(block_putp) struct tree_block *block = NULL;
	const struct block_expect expect = { .logical = logical, .level = -1 };
	struct tree below;
	int err;

	if (logical % fs->volume->sectorsize)
		return diag_fail(d, -EINVAL, "%llu is not a multiple of the sectorsize, %u", (ull)logical,
				 fs->volume->sectorsize);
	err = block_get(fs->cache, &expect, &block, d);
	if (err)
		return err;
	if (!do_follow) {
		show_block(to, block->data, &fs->super);
		return 0;
	}
	below = (struct tree){ fs->cache, 0, logical, block->generation, block->level };
	return show_tree(fs, &below, to, d);
}

int btrkit_inspect_block(struct btrkit_fs *fs, uint64_t logical, bool do_follow, const struct btrkit_printer *to,
			 struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&fs->note, &d);
	return fs_error(error, &d, inspect_block(fs, logical, do_follow, to, &d));
}

/* --- One inode ------------------------------------------------------------------------------------------------- */

static int inspect_inode(struct btrkit_fs *fs, const struct btrkit_inode *inode, printer *to, struct diag *d)
{
	const struct key first = { inode->ino, 0, 0 };
	struct cursor cursor;
	struct fs_root root;
	int err = fs_subvol_root(fs, inode->subvol, &root, d);
	u64 found = 0;

	if (err)
		return err;
	cursor = cursor_init(&root.tree);
	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);

		if (key.objectid != inode->ino)
			break;
		show_begin(to, NULL);
		show_u64(to, "leaf", cursor.path[0].block->logical);
		show_u64(to, "slot", cursor.path[0].slot);
		show_key(to, "key", &key);
		show_u64(to, "item_size", cursor_data_bytes(&cursor));
		show_item(to, &key, cursor_data(&cursor), cursor_data_bytes(&cursor), &fs->super);
		show_end(to);
		found++;
	}
	cursor_done(&cursor);
	if (err >= 0 && !found)
		return diag_fail(d, -ENOENT, "subvolume %llu has no inode %llu", (ull)inode->subvol, (ull)inode->ino);
	return err < 0 ? err : 0;
}

int btrkit_inspect_inode(struct btrkit_fs *fs, const struct btrkit_inode *inode, const struct btrkit_printer *to,
			 struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&fs->note, &d);
	return fs_error(error, &d, inspect_inode(fs, inode, to, &d));
}
