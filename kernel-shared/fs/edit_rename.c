/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One name for another. */
#include <sys/stat.h>

#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

/* Deeper than any tree of directories that Linux lets one make by path. */
#define DEPTH_MAX 65536

static bool is_dir(const struct named *named)
{
	return (named->type & (u8)~FT_ENCRYPTED) == FT_DIR;
}

static bool is_same_thing(const struct named *a, const struct named *b)
{
	return a->dir_subvol.id == b->dir_subvol.id && key_compare(&a->location, &b->location) == 0;
}

/* The directory that @named leads to. */
static int inode_of(struct btrkit_edit *edit, const struct named *named, struct btrkit_inode *ret_inode, struct diag *d)
{
	struct fs_root root;
	int err;

	*ret_inode = (struct btrkit_inode){ named->dir_subvol.id, named->location.objectid };
	if (!named->is_subvol)
		return 0;
	err = fs_subvol_root(edit->fs, named->location.objectid, &root, d);
	if (!err)
		*ret_inode = (struct btrkit_inode){ named->location.objectid, root.top_dir };
	return err;
}

/* A directory may not come to lie within itself. */
static int check_no_loop(struct btrkit_edit *edit, const struct named *moved, const struct named *to, struct diag *d)
{
	struct btrkit_inode at = { to->dir_subvol.id, to->dir }, self;
	int err;

	if (!is_dir(moved) || moved->is_dangling)
		return 0;
	err = inode_of(edit, moved, &self, d);
	for (unsigned depth = 0; !err; depth++) {
		struct inode_name up;

		if (at.subvol == self.subvol && at.ino == self.ino)
			return diag_fail(d, -EINVAL, "%.*s would come to lie within itself", (int)moved->name.len,
					 moved->name.bytes);
		if (at.subvol == FS_TREE_OBJECTID && at.ino == FIRST_FREE_OBJECTID)
			return 0;
		if (depth == DEPTH_MAX)
			return diag_fail(d, -EUCLEAN, "directory %llu lies within itself", (ull)to->dir);
		err = inode_first_name(edit->fs, &at, &up, d);
		if (!err)
			at = up.dir;
	}
	return err;
}

static int check_move(struct btrkit_edit *edit, const struct named *moved, const struct named *to, struct diag *d)
{
	if (moved->dir_subvol.id != to->dir_subvol.id && !moved->is_subvol)
		return diag_fail(d, -EXDEV, "%.*s cannot move to another subvolume", (int)moved->name.len, moved->name.bytes);
	if (moved->is_dangling && (moved->dir_subvol.id != to->dir_subvol.id || moved->dir != to->dir))
		return diag_fail(d, -EPERM, "%.*s stands for a subvolume that is not there", (int)moved->name.len,
				 moved->name.bytes);
	return check_no_loop(edit, moved, to, d);
}

static int check_replaced(const struct named *moved, const struct named *target, struct diag *d)
{
	int len = (int)target->name.len;
	const char *name = target->name.bytes;
	bool is_empty = true;
	int err = 0;

	if (target->is_subvol)
		return diag_fail(d, -EBUSY, "%.*s is a subvolume", len, name);
	if (is_dir(target) && !is_dir(moved))
		return diag_fail(d, -EISDIR, "%.*s is a directory", len, name);
	if (!is_dir(target) && is_dir(moved))
		return diag_fail(d, -ENOTDIR, "%.*s is no directory", len, name);
	if (is_dir(target) && !target->is_dangling)
		err = dir_is_empty(subvol_tree(&target->dir_subvol), target->location.objectid, &is_empty, d);
	if (!err && !is_empty)
		err = diag_fail(d, -ENOTEMPTY, "%.*s is not empty", len, name);
	return err;
}

/* Of what was moved: ctime. */
static int touch(struct btrkit_edit *edit, const struct named *named, struct diag *d)
{
	struct disk_inode_item item;
	struct subvol_edit subvol = named->dir_subvol;
	struct btrkit_inode inode;
	int err;

	if (named->is_dangling)
		return 0;
	err = inode_of(edit, named, &inode, d);
	if (!err && named->is_subvol)
		err = subvol_edit_init(edit->fs, inode.subvol, &edit->now, &subvol, d);
	if (!err)
		err = inode_read(subvol_tree(&subvol), inode.ino, &item, d);
	if (err)
		return err;
	inode_touch(&subvol, &item, false);
	return inode_update(&subvol, inode.ino, &item, d);
}

/* What @old names gets the name of @place, and its index. */
static struct named as_named(const struct named *old, const struct named *place)
{
	struct named new = *old;

	new.dir_subvol = place->dir_subvol;
	new.dir = place->dir;
	new.name = place->name;
	new.index = place->index;
	return new;
}

/*
 * References of subvolumes are found by the two subvolumes alone, so the old one has to go before the new one comes; those of
 * inodes come first, because there may be no room for them.
 */
static int put_reference_early(struct btrkit_edit *edit, struct named *named, struct diag *d)
{
	return named->location.type == ROOT_ITEM_KEY ? 0 : edit_put_reference(edit, named, d);
}

static int put_rest(struct btrkit_edit *edit, struct named *named, struct diag *d)
{
	int err = named->is_subvol ? edit_put_reference(edit, named, d) : 0;

	return err ? err : edit_put_entry(named, d);
}

static int exchange(struct btrkit_edit *edit, struct named *old, struct named *target, struct diag *d)
{
	struct named one = as_named(old, target), two = as_named(target, old);
	int err = check_move(edit, old, target, d);

	if (!err)
		err = check_move(edit, target, old, d);
	if (!err)
		err = put_reference_early(edit, &one, d);
	if (!err)
		err = put_reference_early(edit, &two, d);
	if (err)
		return err;
	edit_changing(edit);
	err = edit_take_name(old, d);
	if (!err)
		err = edit_take_name(target, d);
	if (!err)
		err = put_rest(edit, &one, d);
	if (!err)
		err = put_rest(edit, &two, d);
	if (!err)
		err = touch(edit, &one, d);
	return err ? err : touch(edit, &two, d);
}

/* @target: what has the new name; NULL: nothing. */
static int move(struct btrkit_edit *edit, struct named *old, struct named *place, struct named *target, struct diag *d)
{
	struct named new = as_named(old, place);
	int err = put_reference_early(edit, &new, d);

	if (err)
		return err;
	edit_changing(edit);
	err = edit_take_name(old, d);
	if (!err && target)
		err = edit_take_name(target, d);
	if (!err && target && !target->is_dangling)
		err = edit_drop_link(&target->dir_subvol, target->location.objectid, d);
	if (!err)
		err = put_rest(edit, &new, d);
	return err ? err : touch(edit, &new, d);
}

int edit_rename(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		const struct btrkit_inode *new_dir, const char *new_name, size_t new_name_len, unsigned flags,
		struct diag *d)
{
	bool is_exchange = flags & BTRKIT_RENAME_EXCHANGE, is_free;
	struct named old, target;
	int err;

	if (flags & ~(BTRKIT_RENAME_EXCHANGE | BTRKIT_RENAME_NOREPLACE) || (is_exchange && (flags & BTRKIT_RENAME_NOREPLACE)))
		return diag_fail(d, -EINVAL, "impossible flags 0x%x", flags);
	err = edit_find(edit, dir, name, name_len, &old, d);
	if (err == 1)
		return diag_fail(d, -ENOENT, "%.*s: no such file or directory", (int)name_len, name);
	if (!err)
		err = edit_find(edit, new_dir, new_name, new_name_len, &target, d);
	if (err < 0)
		return err;
	is_free = err == 1;
	if (is_free && is_exchange)
		return diag_fail(d, -ENOENT, "%.*s: no such file or directory", (int)new_name_len, new_name);
	if (!is_free && (flags & BTRKIT_RENAME_NOREPLACE))
		return diag_fail(d, -EEXIST, "%.*s exists", (int)new_name_len, new_name);
	if (!is_free && is_same_thing(&old, &target))
		return 0; /* two names of one file both stay, as POSIX has it */
	if (is_exchange)
		return exchange(edit, &old, &target, d);
	err = check_move(edit, &old, &target, d);
	if (!err && is_free)
		err = edit_find_free(edit, new_dir, new_name, new_name_len, &target, d);
	else if (!err)
		err = check_replaced(&old, &target, d);
	return err ? err : move(edit, &old, &target, is_free ? NULL : &target, d);
}
