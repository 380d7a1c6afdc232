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

static int for_each_tree(struct btrkit_fs *fs, fs_tree_fn fn, void *ctx, struct diag *d)
{
	int result = fn(ctx, &fs->root_tree, 0, d);

	if (!result)
		result = fn(ctx, &fs->chunk_tree, 0, d);
	if (!result)
		result = fs_for_each_root_item(&fs->root_tree, 0, fn, ctx, d);
	return result ? result : fs_for_each_log(fs, fn, ctx, d);
}

struct tree_user {
	btrkit_tree_fn fn;
	void *arg;
};

static int hand_tree(void *ctx, const struct tree *tree, u64 offset, struct diag *d)
{
	const struct tree_user *user = ctx;
	const struct btrkit_tree_info info = {
		.id = tree->id,
		.offset = offset,
		.name = tree_name(tree->id),
		.logical = tree->root_logical,
		.generation = tree->generation,
		.level = tree->level,
	};

	(void)d;
	return user->fn(user->arg, &info);
}

int btrkit_tree_for_each(struct btrkit_fs *fs, btrkit_tree_fn fn, void *arg, struct btrkit_error *error)
{
	struct tree_user user = { fn, arg };
	struct diag d;
	int result;

	fs_diag_init(&fs->note, &d);
	result = fs_check_is_btrfs(fs, &d);
	if (!result)
		result = for_each_tree(fs, hand_tree, &user, &d);
	/* What the user's function returned is the user's to explain. */
	return result < 0 && d.err ? fs_error(error, &d, result) : result;
}

/* --- Showing blocks -------------------------------------------------------------------------------------------- */

struct shower {
	struct btrkit_fs *fs;
	printer *to;
	u64 nr_trees, nr_damaged;
	/* Of a subvolume whose deletion was interrupted: what lies before this key, from this level's blocks on up, is gone. */
	struct key drop_progress;
	u8 drop_level;
};

/* Has a deletion freed the block already? Whatever stands there now, it is no damage. */
static bool is_dropped(const struct shower *shower, const struct block_expect *expect)
{
	return shower->drop_progress.objectid && expect->limit && expect->level >= 0 &&
	       expect->level + 1 >= shower->drop_level && key_compare(expect->limit, &shower->drop_progress) <= 0;
}

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

	bool is_gone = is_dropped(shower, expect);

	(void)d;
	shower->nr_damaged += !is_gone;
	show_begin(shower->to, NULL);
	show_text(shower->to, "kind", is_gone ? "dropped" : "damaged");
	show_u64(shower->to, "logical", expect->logical);
	if (expect->level >= 0)
		show_u64(shower->to, "level", (u64)expect->level);
	if (!is_gone)
		show_text(shower->to, "problem", why->text);
	show_end(shower->to);
	return 0;
}

/* How far the deletion of a subvolume has come. */
static void learn_drop_progress(struct shower *shower, u64 id)
{
	struct disk_root_item item;

	shower->drop_progress = (struct key){ 0 };
	if (!tree_id_is_subvol(id) || fs_root_item(shower->fs, id, &item, NULL) < 0 || le32_get(item.refs) != 0)
		return;
	shower->drop_progress = key_unpack(&item.drop_progress);
	shower->drop_level = item.drop_level;
}

/* The blocks of a tree, as long as there is memory; damage is counted. */
static int show_tree(void *ctx, const struct tree *tree, u64 offset, struct diag *d)
{
	struct shower *shower = ctx;
	const struct tree_walk walk = { show_visited, show_damaged, shower };

	(void)offset;
	shower->nr_trees++;
	learn_drop_progress(shower, tree->id);
	return tree_walk(tree, &walk, d);
}

static int judge_damage(const struct shower *shower, struct diag *d)
{
	if (!shower->nr_damaged)
		return 0;
	return diag_fail(d, -EUCLEAN, "%llu block%s cannot be read", (ull)shower->nr_damaged,
			 shower->nr_damaged == 1 ? "" : "s");
}

static int show_trees(struct btrkit_fs *fs, u64 id, struct shower *shower, struct diag *d)
{
	if (id == ROOT_TREE_OBJECTID || id == CHUNK_TREE_OBJECTID)
		return show_tree(shower, id == ROOT_TREE_OBJECTID ? &fs->root_tree : &fs->chunk_tree, 0, d);
	if (id == TREE_LOG_OBJECTID)
		return fs_for_each_log(fs, show_tree, shower, d);
	return fs_for_each_root_item(&fs->root_tree, id, show_tree, shower, d);
}

int btrkit_inspect_tree(struct btrkit_fs *fs, uint64_t id, const struct btrkit_printer *to, struct btrkit_error *error)
{
	struct shower shower = { .fs = fs, .to = to };
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = fs_check_is_btrfs(fs, &d);
	if (!err)
		err = show_trees(fs, id, &shower, &d);
	if (!err && !shower.nr_trees && id == TREE_LOG_OBJECTID)
		err = diag_fail(&d, -ENOENT, "there is no log");
	else if (!err && !shower.nr_trees)
		err = diag_fail(&d, -ENOENT, "there is no tree %lld", (long long)id);
	return fs_error(error, &d, err ? err : judge_damage(&shower, &d));
}

int btrkit_inspect_all(struct btrkit_fs *fs, const struct btrkit_printer *to, struct btrkit_error *error)
{
	struct shower shower = { .fs = fs, .to = to };
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = fs_check_is_btrfs(fs, &d);
	if (!err)
		err = for_each_tree(fs, show_tree, &shower, &d);
	return fs_error(error, &d, err ? err : judge_damage(&shower, &d));
}

static int inspect_block(struct btrkit_fs *fs, u64 logical, bool do_follow, printer *to, struct diag *d)
{
	_cleanup_(block_putp) struct tree_block *block = NULL;
	const struct block_expect expect = { .logical = logical, .level = -1 };
	struct shower shower = { .fs = fs, .to = to };
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
	err = show_tree(&shower, &below, 0, d);
	return err ? err : judge_damage(&shower, d);
}

int btrkit_inspect_block(struct btrkit_fs *fs, uint64_t logical, bool do_follow, const struct btrkit_printer *to,
			 struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&fs->note, &d);
	return fs_error(error, &d, fs_check_is_btrfs(fs, &d) ?: inspect_block(fs, logical, do_follow, to, &d));
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
	return fs_error(error, &d, fs_check_is_btrfs(fs, &d) ?: inspect_inode(fs, inode, to, &d));
}
