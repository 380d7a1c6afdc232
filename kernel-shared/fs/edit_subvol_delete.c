/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A subvolume goes, with all that is in it, and whatever leads to it. */
#include <uuid/uuid.h>

#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

static int check_no_inner(struct btrkit_fs *fs, u64 id, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	const struct key first = { id, ROOT_REF_KEY, 0 };
	int err = cursor_seek(&cursor, &first, d);

	if (err == 0 && cursor_is_at(&cursor, id, ROOT_REF_KEY))
		return diag_fail(d, -ENOTEMPTY, "subvolume %llu has subvolume %llu in it", (ull)id,
				 (ull)cursor_key(&cursor).offset);
	return err < 0 ? err : 0;
}

static int default_subvol(struct btrkit_fs *fs, u64 *ret_id, struct diag *d)
{
	const struct name name = { "default", 7 };
	struct dir_entry entry;
	int err = dir_entry_find(&fs->root_tree, le64_get(fs->super.root_dir_objectid), &name, &entry, d);

	*ret_id = err == 0 ? entry.location.objectid : FS_TREE_OBJECTID;
	return err < 0 ? err : 0;
}

/* The name above it. *ret_has: it has one. */
static int find_name(struct btrkit_edit *edit, u64 id, struct inode_name *ret_name, struct named *ret_named, bool *ret_has,
		     struct diag *d)
{
	struct fs_root root;
	struct btrkit_inode top;
	int err = fs_subvol_root(edit->fs, id, &root, d);

	*ret_has = false;
	if (err)
		return err;
	top = (struct btrkit_inode){ id, root.top_dir };
	err = inode_first_name(edit->fs, &top, ret_name, d);
	if (err == -ENOENT) {
		diag_clear(d);
		return 0;
	}
	if (!err)
		err = edit_find(edit, &ret_name->dir, ret_name->name, ret_name->name_len, ret_named, d);
	if (err < 0)
		return err;
	if (err == 1 || !ret_named->is_subvol || ret_named->location.objectid != id)
		return diag_fail(d, -EUCLEAN, "subvolume %llu: %s of directory %llu leads elsewhere", (ull)id, ret_name->name,
				 (ull)ret_name->dir.ino);
	*ret_has = true;
	return 0;
}

int edit_subvol_delete(struct btrkit_edit *edit, u64 id, struct diag *d)
{
	struct disk_root_item item;
	struct subvol_edit subvol;
	struct inode_name name;
	struct named named;
	bool has_name;
	u64 the_default;
	int err = edit_any_subvol(edit, id, &subvol, &item, d);

	if (!err && id == FS_TREE_OBJECTID)
		err = diag_fail(d, -EPERM, "the top-level subvolume cannot be deleted");
	if (!err)
		err = default_subvol(edit->fs, &the_default, d);
	if (!err && id == the_default)
		err = diag_fail(d, -EPERM, "subvolume %llu is the default one", (ull)id);
	if (!err)
		err = check_no_inner(edit->fs, id, d);
	if (!err)
		err = find_name(edit, id, &name, &named, &has_name, d);
	if (err)
		return err;
	edit_changing(edit);
	txn_use_reserve(subvol.txn);
	if (has_name)
		err = edit_take_name(&named, d);
	if (!err)
		err = uuid_entry_remove(subvol.txn, item.uuid, UUID_KEY_SUBVOL, id, d);
	if (!err && !uuid_is_null(item.received_uuid))
		err = uuid_entry_remove(subvol.txn, item.received_uuid, UUID_KEY_RECEIVED_SUBVOL, id, d);
	return err ? err : txn_tree_delete(subvol.txn, subvol.root, d);
}
