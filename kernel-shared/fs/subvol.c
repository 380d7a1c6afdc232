/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <uuid/uuid.h>

#include <btrkit/subvol.h>

#include "kernel-shared/fs/foreign.h"

static void format_uuid(const u8 *uuid, char ret_text[37])
{
	if (uuid_is_null(uuid))
		ret_text[0] = '\0';
	else
		uuid_unparse_lower(uuid, ret_text);
}

static int fill_subvol(struct btrkit_fs *fs, u64 id, const struct disk_root_item *item, struct btrkit_subvol *ret,
		       struct diag *d)
{
	struct btrkit_inode top = { .subvol = id, .ino = le64_get(item->root_dirid) };
	struct inode_name name;
	int err;

	if (top.ino == 0)
		top.ino = FIRST_FREE_OBJECTID;
	*ret = (struct btrkit_subvol){
		.id = id,
		.top_dir = top.ino,
		.generation = le64_get(item->generation),
		.otransid = le64_get(item->otransid),
		.ctime = time_unpack(&item->ctime),
		.otime = time_unpack(&item->otime),
		.is_read_only = le64_get(item->flags) & ROOT_SUBVOL_RDONLY,
		.is_snapshot = !uuid_is_null(item->parent_uuid),
		.is_default = id == fs->default_subvol,
		.is_deleted = le32_get(item->refs) == 0 || (le64_get(item->flags) & ROOT_SUBVOL_DEAD),
	};
	format_uuid(item->uuid, ret->uuid);
	format_uuid(item->parent_uuid, ret->parent_uuid);
	format_uuid(item->received_uuid, ret->received_uuid);
	if (id == FS_TREE_OBJECTID)
		return 0;
	err = inode_first_name(fs, &top, &name, d);
	if (err == -ENOENT) {
		diag_clear(d);
		return 0;
	}
	if (err)
		return err;
	ret->parent_id = name.dir.subvol;
	ret->parent_dir = name.dir.ino;
	ret->name_len = name.name_len;
	memcpy(ret->name, name.name, name.name_len + 1);
	return 0;
}

/* --- Filesystems that are not Btrfs ------------------------------------------------------------------------- */

static int get_foreign(struct btrkit_fs *fs, u64 id, struct btrkit_subvol *ret_subvol, struct diag *d)
{
	int err;

	for (size_t i = 0; (err = fs->foreign->subvol_at(fs->foreign_ctx, i, ret_subvol, d)) == 0; i++)
		if (ret_subvol->id == id)
			return 0;
	return err < 0 ? err : diag_fail(d, -ENOENT, "there is no subvolume %llu", (unsigned long long)id);
}

/* 0, what @fn returns, or what failed, which then is in @d. */
static int for_each_foreign(struct btrkit_fs *fs, btrkit_subvol_fn fn, void *arg, struct diag *d)
{
	struct btrkit_subvol subvol;
	int err;

	for (size_t i = 0; (err = fs->foreign->subvol_at(fs->foreign_ctx, i, &subvol, d)) == 0; i++) {
		int result = fn(arg, &subvol);

		if (result)
			return result;
	}
	return err < 0 ? err : 0; /* 1: there are no more */
}

/* --- The public door ---------------------------------------------------------------------------------------- */

int btrkit_subvol_get(struct btrkit_fs *fs, uint64_t id, struct btrkit_subvol *ret_subvol, struct btrkit_error *error)
{
	struct disk_root_item item;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	if (fs->foreign)
		return fs_error(error, &d, get_foreign(fs, id, ret_subvol, &d));
	if (!tree_id_is_subvol(id))
		err = diag_fail(&d, -ENOENT, "tree %lld is not a subvolume", (long long)id);
	else
		err = fs_root_item(fs, id, &item, &d);
	if (!err)
		err = fill_subvol(fs, id, &item, ret_subvol, &d);
	return fs_error(error, &d, err);
}

int btrkit_subvol_for_each(struct btrkit_fs *fs, btrkit_subvol_fn fn, void *arg, struct btrkit_error *error)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	struct key from = { FS_TREE_OBJECTID, ROOT_ITEM_KEY, 0 };
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	if (fs->foreign) {
		err = for_each_foreign(fs, fn, arg, &d);
		return err < 0 && d.err ? fs_error(error, &d, err) : err;
	}
	while ((err = cursor_seek(&cursor, &from, &d)) == 0) {
		const struct key key = cursor_key(&cursor);
		struct disk_root_item item;
		struct btrkit_subvol subvol;
		int result;

		if (!tree_id_is_subvol(key.objectid) && key.objectid > FIRST_FREE_OBJECTID)
			break;
		/* The next one, whatever lies between. */
		if (tree_id_is_subvol(key.objectid) && key.type < ROOT_ITEM_KEY) {
			from = (struct key){ key.objectid, ROOT_ITEM_KEY, 0 };
			continue;
		}
		from = (struct key){ MAX(key.objectid + 1, FIRST_FREE_OBJECTID), ROOT_ITEM_KEY, 0 };
		if (!tree_id_is_subvol(key.objectid) || key.type > ROOT_ITEM_KEY ||
		    cursor_data_bytes(&cursor) < ROOT_ITEM_V0_BYTES)
			continue;
		root_item_unpack(&cursor, &item);
		err = fill_subvol(fs, key.objectid, &item, &subvol, &d);
		if (err)
			return fs_error(error, &d, err);
		result = fn(arg, &subvol);
		if (result)
			return result;
	}
	return err < 0 ? fs_error(error, &d, err) : 0;
}
