/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an operation works on is looked up, and may be changed. */
#include <sys/stat.h>

#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

int edit_any_subvol(struct btrkit_edit *edit, u64 id, struct subvol_edit *ret_subvol, struct disk_root_item *ret_item,
		    struct diag *d)
{
	int err = subvol_edit_init(edit->fs, id, &edit->now, ret_subvol, d);

	if (!err)
		err = fs_root_item(edit->fs, id, ret_item, d);
	if (!err && le32_get(ret_item->refs) == 0)
		err = diag_fail(d, -ENOENT, "subvolume %llu is being deleted", (ull)id);
	return err;
}

int edit_subvol(struct btrkit_edit *edit, u64 id, struct subvol_edit *ret_subvol, struct diag *d)
{
	struct disk_root_item item;
	int err = edit_any_subvol(edit, id, ret_subvol, &item, d);

	if (!err && (le64_get(item.flags) & ROOT_SUBVOL_RDONLY) && !edit->options.is_forced)
		err = diag_fail(d, -EROFS, "subvolume %llu is read-only", (ull)id);
	return err;
}

int edit_inode(struct btrkit_edit *edit, const struct btrkit_inode *inode, struct subvol_edit *ret_subvol,
	       struct disk_inode_item *ret_item, struct diag *d)
{
	int err;

	if (inode->ino == BTRKIT_EMPTY_DIR)
		return diag_fail(d, -EPERM, "this stands for a subvolume that is not there");
	err = edit_subvol(edit, inode->subvol, ret_subvol, d);
	return err ? err : inode_read(subvol_tree(ret_subvol), inode->ino, ret_item, d);
}

int edit_dir(struct btrkit_edit *edit, const struct btrkit_inode *dir, struct subvol_edit *ret_subvol, struct diag *d)
{
	struct disk_inode_item item;
	int err = edit_inode(edit, dir, ret_subvol, &item, d);

	if (!err && !S_ISDIR(le32_get(item.mode)))
		err = diag_fail(d, -ENOTDIR, "inode %llu of subvolume %llu is not a directory", (ull)dir->ino, (ull)dir->subvol);
	return err;
}

int edit_file(struct btrkit_edit *edit, const struct btrkit_inode *inode, struct subvol_edit *ret_subvol,
	      struct disk_inode_item *ret_item, struct diag *d)
{
	int err = edit_inode(edit, inode, ret_subvol, ret_item, d);
	u32 mode;

	if (err)
		return err;
	mode = le32_get(ret_item->mode);
	if (!S_ISREG(mode))
		return diag_fail(d, S_ISDIR(mode) ? -EISDIR : -EINVAL, "inode %llu of subvolume %llu is not a regular file",
				 (ull)inode->ino, (ull)inode->subvol);
	if (le64_get(ret_item->flags) & INODE_RO_VERITY)
		return diag_fail(d, -EPERM, "inode %llu of subvolume %llu is protected by fs-verity", (ull)inode->ino,
				 (ull)inode->subvol);
	return 0;
}

int edit_name(const char *bytes, size_t len, struct name *ret_name, struct diag *d)
{
	if (len > NAME_LEN_MAX)
		return diag_fail(d, -ENAMETOOLONG, "a name of %zu bytes", len);
	if (len == 0 || memchr(bytes, '/', len) || memchr(bytes, 0, len) || (bytes[0] == '.' && len == 1) ||
	    (len == 2 && memcmp(bytes, "..", 2) == 0))
		return diag_fail(d, -EINVAL, "\"%.*s\" cannot be the name of a file", (int)len, bytes);
	*ret_name = (struct name){ bytes, (u32)len };
	return 0;
}

/* Where the entry stands in its directory, and whether what it leads to knows of it. */
static int find_reference(struct btrkit_edit *edit, struct named *named, struct diag *d)
{
	const struct tree *tree = subvol_tree(&named->dir_subvol);
	int err;

	if (named->location.type != ROOT_ITEM_KEY) {
		err = inode_ref_find(tree, named->location.objectid, named->dir, &named->name, &named->index, d);
		return err == 1 ? diag_fail(d, -EUCLEAN, "%.*s leads to inode %llu, which does not know that name",
					    (int)named->name.len, named->name.bytes, (ull)named->location.objectid)
				: err;
	}
	err = root_ref_find(edit->fs, named->location.objectid, named->dir_subvol.id, named->dir, &named->name,
			    &named->index, d);
	if (err < 0)
		return err;
	named->is_subvol = err == 0;
	if (err == 0)
		return 0;
	named->is_dangling = true;
	err = dir_index_find(tree, named->dir, &named->name, &named->index, d);
	return err == 1 ? diag_fail(d, -EUCLEAN, "%.*s has no DIR_INDEX item", (int)named->name.len, named->name.bytes) : err;
}

int edit_find(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *bytes, size_t len,
	      struct named *ret_named, struct diag *d)
{
	struct dir_entry entry;
	int err;

	*ret_named = (struct named){ .dir = dir->ino };
	err = edit_name(bytes, len, &ret_named->name, d);
	if (!err)
		err = edit_dir(edit, dir, &ret_named->dir_subvol, d);
	if (!err)
		err = dir_entry_find(subvol_tree(&ret_named->dir_subvol), dir->ino, &ret_named->name, &entry, d);
	if (err)
		return err;
	ret_named->location = entry.location;
	ret_named->type = entry.type;
	return find_reference(edit, ret_named, d);
}
