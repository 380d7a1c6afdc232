/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of a restripe in the root tree: it is there while one runs and after one was interrupted. Linux goes on with it when
 * it mounts the filesystem. Source: UAPI header linux/btrfs_tree.h; items of paused balances of Linux 6.18.
 */
#include "kernel-shared/relocate/restripe.h"

static const struct key item_key = { BALANCE_OBJECTID, TEMPORARY_ITEM_KEY, 0 };

int restripe_item_read(struct btrkit_fs *fs, struct restripe_filters *ret_filters, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	int err = cursor_find(&cursor, &item_key, d);

	return err ? err : restripe_filters_unpack(cursor_data(&cursor), ret_filters, d);
}

int restripe_item_write(struct btrkit_fs *fs, const struct restripe_filters *filters, struct diag *d)
{
	struct disk_balance_item item;
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(fs->txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	restripe_filters_pack(filters, &item);
	edit = edit_init(roots);
	err = edit_put(&edit, &item_key, &item, sizeof(item), d);
	edit_done(&edit);
	return err;
}

int restripe_item_delete(struct btrkit_fs *fs, struct diag *d)
{
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(fs->txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	edit = edit_init(roots);
	err = edit_delete_key(&edit, &item_key, d);
	edit_done(&edit);
	return err;
}
