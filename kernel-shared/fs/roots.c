/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the id of a tree to its root block. */
#include "kernel-shared/fs/fs.h"
#include "kernel-shared/txn/txn.h"

typedef unsigned long long ull;

void root_item_unpack(const struct cursor *cursor, struct disk_root_item *ret_item)
{
	u32 bytes = MIN(cursor_data_bytes(cursor), (u32)sizeof(*ret_item));

	memset(ret_item, 0, sizeof(*ret_item));
	memcpy(ret_item, cursor_data(cursor), bytes);
	/* An old kernel that writes the item does not touch the fields that it does not know: they are stale then. */
	if (le64_get(ret_item->generation_v2) != le64_get(ret_item->generation))
		memset((u8 *)ret_item + ROOT_ITEM_V0_BYTES, 0, sizeof(*ret_item) - ROOT_ITEM_V0_BYTES);
}

static int committed_root_item(struct btrkit_fs *fs, u64 id, struct disk_root_item *ret_item, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	/* The key's offset is 0, or of a snapshot the transaction that made it. */
	const struct key last = { id, ROOT_ITEM_KEY, UINT64_MAX };
	int err = cursor_seek_back(&cursor, &last, d);

	if (err < 0)
		return err;
	if (err || !cursor_is_at(&cursor, id, ROOT_ITEM_KEY))
		return diag_fail(d, -ENOENT, "there is no tree %lld", (long long)id);
	if (cursor_data_bytes(&cursor) < ROOT_ITEM_V0_BYTES)
		return diag_fail(d, -EUCLEAN, "root item of tree %lld has %u bytes", (long long)id,
				 cursor_data_bytes(&cursor));
	root_item_unpack(&cursor, ret_item);
	return 0;
}

/* While something is changed, root items of subvolumes wait in the transaction to be written. */
static int waiting_root_item(struct btrkit_fs *fs, u64 id, struct disk_root_item *ret_item, struct diag *d)
{
	struct disk_root_item *item;
	struct tree_root *root;
	int err = txn_tree(fs->txn, id, &root, d);

	if (!err)
		err = txn_root_item(fs->txn, root, &item, d);
	if (!err)
		*ret_item = *item;
	return err;
}

int fs_root_item(struct btrkit_fs *fs, u64 id, struct disk_root_item *ret_item, struct diag *d)
{
	if (fs->txn && txn_has_changes(fs->txn) && tree_id_is_subvol(id))
		return waiting_root_item(fs, id, ret_item, d);
	return committed_root_item(fs, id, ret_item, d);
}
static int tree_from_item(struct btrkit_fs *fs, u64 id, const struct disk_root_item *item, struct tree *ret_tree,
			  struct diag *d)
{
	if (item->level >= LEVEL_MAX)
		return diag_fail(d, -EUCLEAN, "root item of tree %lld: level %u", (long long)id, item->level);
	*ret_tree = (struct tree){
		.cache = fs->cache,
		.id = id,
		.root_logical = le64_get(item->bytenr),
		.generation = le64_get(item->generation),
		.level = item->level,
	};
	return 0;
}

int fs_tree(struct btrkit_fs *fs, u64 id, struct tree *ret_tree, struct diag *d)
{
	struct disk_root_item item;
	int err;

	if (id == ROOT_TREE_OBJECTID || id == CHUNK_TREE_OBJECTID) {
		*ret_tree = id == ROOT_TREE_OBJECTID ? fs->root_tree : fs->chunk_tree;
		return 0;
	}
	if (fs->txn)
		return txn_read_tree(fs->txn, id, ret_tree, d);
	err = fs_root_item(fs, id, &item, d);
	return err ? err : tree_from_item(fs, id, &item, ret_tree, d);
}

/* Index of the first known root of at least @id; with the lock held. */
static size_t find_known(const struct btrkit_fs *fs, u64 id)
{
	size_t low = 0, high = fs->roots.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (fs->roots.items[middle].tree.id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void remember(struct btrkit_fs *fs, const struct fs_root *root)
{
	size_t at;
	LOCK_SCOPE(&fs->roots_lock);

	at = find_known(fs, root->tree.id);
	if (at < fs->roots.len && fs->roots.items[at].tree.id == root->tree.id)
		return;
	if (array_reserve(&fs->roots, 1) < 0)
		return; /* only slower */
	memmove(fs->roots.items + at + 1, fs->roots.items + at, (fs->roots.len - at) * sizeof(*fs->roots.items));
	fs->roots.items[at] = *root;
	fs->roots.len++;
}

static bool recall(struct btrkit_fs *fs, u64 id, struct fs_root *ret_root)
{
	size_t at;
	LOCK_SCOPE(&fs->roots_lock);

	at = find_known(fs, id);
	if (at == fs->roots.len || fs->roots.items[at].tree.id != id)
		return false;
	*ret_root = fs->roots.items[at];
	return true;
}

int fs_subvol_root(struct btrkit_fs *fs, u64 id, struct fs_root *ret_root, struct diag *d)
{
	struct disk_root_item item;
	struct fs_root root;
	int err;

	if (recall(fs, id, ret_root))
		return fs->txn ? txn_read_tree(fs->txn, id, &ret_root->tree, d) : 0;
	if (!tree_id_is_subvol(id))
		return diag_fail(d, -ENOENT, "tree %lld is not a subvolume", (long long)id);
	err = fs_root_item(fs, id, &item, d);
	if (!err)
		err = tree_from_item(fs, id, &item, &root.tree, d);
	if (err)
		return err == -ENOENT ? diag_fail(d, -ENOENT, "there is no subvolume %llu", (ull)id) : err;
	root.top_dir = le64_get(item.root_dirid);
	if (root.top_dir == 0) /* some tools leave it out of the first subvolume's item */
		root.top_dir = FIRST_FREE_OBJECTID;
	remember(fs, &root);
	*ret_root = root;
	return fs->txn ? txn_read_tree(fs->txn, id, &ret_root->tree, d) : 0;
}

/* --- All of a kind --------------------------------------------------------------------------------------------- */

int fs_for_each_root_item(const struct tree *roots, u64 id, fs_tree_fn fn, void *ctx, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(roots);
	const struct key first = { id, id ? ROOT_ITEM_KEY : 0, 0 };
	int err;

	cursor.do_skip_damage = id == 0;
	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);
		struct disk_root_item item;
		struct tree tree;
		int result;

		if (id && (key.objectid != id || key.type != ROOT_ITEM_KEY))
			return 0;
		if (key.type != ROOT_ITEM_KEY || cursor_data_bytes(&cursor) < ROOT_ITEM_V0_BYTES)
			continue;
		root_item_unpack(&cursor, &item);
		tree = (struct tree){ roots->cache, key.objectid, le64_get(item.bytenr), le64_get(item.generation), item.level };
		result = fn(ctx, &tree, key.offset, d);
		if (result)
			return result;
	}
	return err < 0 ? err : 0;
}

/* The tree of log trees, which the superblock knows. false: there is no log. */
static bool log_root_tree(struct btrkit_fs *fs, struct tree *ret_tree)
{
	*ret_tree = (struct tree){
		.cache = fs->cache,
		.id = TREE_LOG_OBJECTID,
		.root_logical = le64_get(fs->super.log_root),
		.level = fs->super.log_root_level,
	};
	return ret_tree->root_logical != 0;
}

int fs_for_each_log(struct btrkit_fs *fs, fs_tree_fn fn, void *ctx, struct diag *d)
{
	struct tree logs;
	int result;

	if (!log_root_tree(fs, &logs))
		return 0;
	result = fn(ctx, &logs, 0, d);
	return result ? result : fs_for_each_root_item(&logs, TREE_LOG_OBJECTID, fn, ctx, d);
}
