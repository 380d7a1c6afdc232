/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes: numbers, items, the end of them. */
#include "kernel-shared/fs/edit_items.h"

typedef unsigned long long ull;

int subvol_edit_init(struct btrkit_fs *fs, u64 id, const struct btrkit_time *now, struct subvol_edit *ret_edit,
		     struct diag *d)
{
	struct tree_root *root;
	int err;

	if (!fs->txn)
		return diag_fail(d, -EROFS, "the filesystem was not opened to be changed");
	if (!tree_id_is_subvol(id))
		return diag_fail(d, -ENOENT, "tree %lld is not a subvolume", (long long)id);
	err = txn_tree(fs->txn, id, &root, d);
	if (err)
		return err;
	*ret_edit = (struct subvol_edit){
		.fs = fs,
		.txn = fs->txn,
		.root = root,
		.id = id,
		.generation = txn_generation(fs->txn),
		.sectorsize = fs->volume->sectorsize,
		.now = *now,
	};
	return 0;
}

bool subvol_has_feature(const struct subvol_edit *edit, u64 incompat)
{
	return (le64_get(edit->fs->super.incompat_flags) & incompat) == incompat;
}

int inode_next_number(const struct subvol_edit *edit, u64 *ret_ino, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(subvol_tree(edit));
	const struct key last = { LAST_FREE_OBJECTID, UINT8_MAX, UINT64_MAX };
	u64 highest = FIRST_FREE_OBJECTID;
	int err = cursor_seek_back(&cursor, &last, d);

	if (err < 0)
		return err;
	if (err == 0)
		highest = MAX(highest, cursor_key(&cursor).objectid);
	if (highest == LAST_FREE_OBJECTID)
		return diag_fail(d, -ENOSPC, "subvolume %llu: no inode number is left", (ull)edit->id);
	*ret_ino = highest + 1;
	return 0;
}

int inode_insert(struct subvol_edit *edit, u64 ino, const struct disk_inode_item *item, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key key = { ino, INODE_ITEM_KEY, 0 };

	return edit_put(&at, &key, item, sizeof(*item), d);
}

/* A subvolume's root item tells when something in it was changed last. */
static int touch_root(struct subvol_edit *edit, struct diag *d)
{
	struct disk_root_item *item;
	int err = txn_root_item(edit->txn, edit->root, &item, d);

	if (err)
		return err;
	le64_put(&item->ctransid, edit->generation);
	time_pack(&item->ctime, &edit->now);
	return 0;
}

int inode_update(struct subvol_edit *edit, u64 ino, struct disk_inode_item *item, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	int err = edit_seek(&at, &key, d);

	if (err < 0)
		return err;
	if (err)
		return diag_fail(d, -ENOENT, "subvolume %llu has no inode %llu", (ull)edit->id, (ull)ino);
	if (edit_data_bytes(&at) != sizeof(*item))
		return diag_fail(d, -EUCLEAN, "subvolume %llu inode %llu: item of %u bytes", (ull)edit->id, (ull)ino,
				 edit_data_bytes(&at));
	le64_put(&item->transid, edit->generation);
	memcpy(edit_data(&at), item, sizeof(*item));
	return touch_root(edit, d);
}

void inode_touch(const struct subvol_edit *edit, struct disk_inode_item *item, bool is_content)
{
	time_pack(&item->ctime, &edit->now);
	if (is_content)
		time_pack(&item->mtime, &edit->now);
	le64_put(&item->sequence, le64_get(item->sequence) + 1);
}

int inode_delete_items(struct subvol_edit *edit, u64 ino, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key first = { ino, 0, 0 };
	u64 dropped_bytes;
	int err = file_drop_extents(edit, ino, 0, FILE_END, &dropped_bytes, d);

	for (bool is_on_next = false; !err;) {
		if (!is_on_next)
			err = edit_seek_from(&at, &first, d);
		if (err || edit_key(&at).objectid != ino)
			break;
		err = edit_delete(&at, &is_on_next, d);
	}
	return err < 0 ? err : 0;
}

int orphan_add(struct subvol_edit *edit, u64 ino, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key key = { ORPHAN_OBJECTID, ORPHAN_ITEM_KEY, ino };
	void *data;
	int err = edit_seek(&at, &key, d);

	return err == 1 ? edit_insert_here(&at, &key, 0, &data, d) : err;
}

int orphan_remove(struct subvol_edit *edit, u64 ino, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(subvol_tree(edit));
	const struct key key = { ORPHAN_OBJECTID, ORPHAN_ITEM_KEY, ino };
	int err = cursor_find(&cursor, &key, d);

	cursor_done(&cursor);
	if (err)
		return err < 0 ? err : 0;
	return edit_delete_key(&at, &key, d);
}
