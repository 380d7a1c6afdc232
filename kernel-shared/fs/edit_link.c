/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes get names and lose them: create, link, unlink, rmdir. */
#include <sys/stat.h>

#include "kernel-shared/format/file_type.h"
#include "kernel-shared/fs/edit_inherit.h"
#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

#define LINKS_MAX 65535 /* as Linux */
#define SYMLINK_MAX 4095

/* --- One name ------------------------------------------------------------------------------------------------------------ */

/* A directory's size is twice the bytes of its names. */
static int adjust_dir(struct subvol_edit *subvol, u64 dir, const struct name *name, bool is_added, struct diag *d)
{
	struct disk_inode_item item;
	int err = inode_read(subvol_tree(subvol), dir, &item, d);
	u64 size, bytes = 2 * (u64)name->len;

	if (err)
		return err;
	size = le64_get(item.size);
	if (!is_added && size < bytes)
		return diag_fail(d, -EUCLEAN, "subvolume %llu directory %llu: the size of %llu is too small for its names",
				 (ull)subvol->id, (ull)dir, (ull)size);
	le64_put(&item.size, is_added ? size + bytes : size - bytes);
	inode_touch(subvol, &item, true);
	return inode_update(subvol, dir, &item, d);
}

static int put_reference(struct named *named, struct diag *d)
{
	struct subvol_edit *subvol = &named->dir_subvol;

	if (named->location.type == ROOT_ITEM_KEY)
		return root_refs_add(subvol->txn, named->location.objectid, subvol->id, named->dir, named->index, &named->name, d);
	return inode_ref_add(subvol, named->location.objectid, named->dir, &named->name, named->index, d);
}

int edit_put_reference(struct btrkit_edit *edit, struct named *named, struct diag *d)
{
	bool was_changing = edit->is_changing;
	int err;

	edit_changing(edit);
	err = put_reference(named, d);
	if (err == -EMLINK)
		edit->is_changing = was_changing;
	return err;
}

int edit_put_entry(struct named *named, struct diag *d)
{
	struct subvol_edit *subvol = &named->dir_subvol;
	int err = dir_item_add(subvol, named->dir, &named->name, &named->location, named->type, d);

	if (!err)
		err = dir_index_add(subvol, named->dir, named->index, &named->name, &named->location, named->type, d);
	return err ? err : adjust_dir(subvol, named->dir, &named->name, true, d);
}

int edit_take_name(struct named *named, struct diag *d)
{
	struct subvol_edit *subvol = &named->dir_subvol;
	int err = dir_item_remove(subvol, named->dir, &named->name, d);

	if (!err)
		err = dir_index_remove(subvol, named->dir, named->index, d);
	if (!err && named->is_subvol)
		err = root_refs_remove(subvol->txn, named->location.objectid, subvol->id, d);
	else if (!err && !named->is_dangling)
		err = inode_ref_remove(subvol, named->location.objectid, named->dir, &named->name, NULL, d);
	return err ? err : adjust_dir(subvol, named->dir, &named->name, false, d);
}

int edit_drop_link(struct subvol_edit *subvol, u64 ino, struct diag *d)
{
	struct disk_inode_item item;
	int err = inode_read(subvol_tree(subvol), ino, &item, d);

	if (err)
		return err;
	if (le32_get(item.nlink) <= 1 || S_ISDIR(le32_get(item.mode)))
		return inode_delete_items(subvol, ino, d);
	le32_put(&item.nlink, le32_get(item.nlink) - 1);
	inode_touch(subvol, &item, false);
	return inode_update(subvol, ino, &item, d);
}

/* --- Creating ------------------------------------------------------------------------------------------------------------ */

static void fill_time(const struct subvol_edit *subvol, const struct btrkit_time *wanted, struct disk_timespec *to)
{
	time_pack(to, wanted->sec || wanted->nsec ? wanted : &subvol->now);
}

void edit_fill_inode(const struct subvol_edit *subvol, const struct btrkit_node_attr *attr, struct disk_inode_item *ret_item)
{
	u64 flags = attr->inode_flags;

	memset(ret_item, 0, sizeof(*ret_item));
	le64_put(&ret_item->generation, subvol->generation);
	le64_put(&ret_item->transid, subvol->generation);
	le32_put(&ret_item->nlink, 1);
	le32_put(&ret_item->uid, attr->uid);
	le32_put(&ret_item->gid, attr->gid);
	le32_put(&ret_item->mode, attr->mode);
	/* Linux keeps its own wide encoding here: minor in the low 20 bits, major above. */
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		le64_put(&ret_item->rdev, (u64)attr->rdev_major << 20 | attr->rdev_minor);
	if ((flags & INODE_NODATACOW) && S_ISREG(attr->mode))
		flags |= INODE_NODATASUM;
	le64_put(&ret_item->flags, flags);
	fill_time(subvol, &attr->atime, &ret_item->atime);
	fill_time(subvol, &attr->mtime, &ret_item->mtime);
	fill_time(subvol, &attr->ctime, &ret_item->ctime);
	time_pack(&ret_item->otime, &subvol->now);
}

static int check_attr(const struct btrkit_node_attr *attr, struct diag *d)
{
	if (file_type_of_mode(attr->mode) == FT_UNKNOWN || (attr->mode & ~(u32)(S_IFMT | 07777)))
		return diag_fail(d, -EINVAL, "impossible mode 0%o", attr->mode);
	if (attr->rdev_minor > 0xfffff || attr->rdev_major > 0xfff)
		return diag_fail(d, -EINVAL, "impossible device %u:%u", attr->rdev_major, attr->rdev_minor);
	return 0;
}

static int check_target(const struct subvol_edit *subvol, const char *target, size_t len, struct diag *d)
{
	u32 room = leaf_item_max_bytes(block_cache_nodesize(subvol->root->tree.cache)) - (u32)FILE_EXTENT_INLINE_HEADER_BYTES;

	if (len == 0 || memchr(target, 0, len))
		return diag_fail(d, -EINVAL, "impossible link target of %zu bytes", len);
	if (len > SYMLINK_MAX || len > room)
		return diag_fail(d, -ENAMETOOLONG, "link target of %zu bytes, at most %u fit", len, MIN(room, (u32)SYMLINK_MAX));
	return 0;
}

int edit_find_free(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		   struct named *ret_named, struct diag *d)
{
	int err = edit_find(edit, dir, name, name_len, ret_named, d);

	if (err == 0)
		return diag_fail(d, -EEXIST, "%.*s exists", (int)name_len, name);
	if (err == 1)
		err = dir_item_check_room(subvol_tree(&ret_named->dir_subvol), dir->ino, &ret_named->name, d);
	return err ? err : dir_next_index(subvol_tree(&ret_named->dir_subvol), dir->ino, &ret_named->index, d);
}

/* The new inode with its name and its attributes. */
static int put_new(struct btrkit_edit *edit, struct named *named, const struct disk_inode_item *item,
		   const struct inherited *inherited, struct diag *d)
{
	struct subvol_edit *subvol = &named->dir_subvol;
	int err;

	edit_changing(edit);
	err = inode_insert(subvol, named->location.objectid, item, d);
	if (!err)
		err = edit_put_reference(edit, named, d);
	if (!err)
		err = edit_put_entry(named, d);
	return err ? err : inherit_attributes(subvol, named->location.objectid, inherited, d);
}

int edit_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		const struct btrkit_node_attr *attr, const char *target, size_t target_len,
		struct btrkit_inode *ret_inode, struct diag *d)
{
	_cleanup_(inherited_done) struct inherited inherited = { 0 };
	struct disk_inode_item dir_item, item;
	struct named named;
	struct subvol_edit *subvol = &named.dir_subvol;
	u64 ino;
	int err = check_attr(attr, d);

	if (!err)
		err = edit_find_free(edit, dir, name, name_len, &named, d);
	if (!err && S_ISLNK(attr->mode))
		err = check_target(subvol, target, target_len, d);
	if (!err)
		err = inode_read(subvol_tree(subvol), dir->ino, &dir_item, d);
	if (!err)
		err = inode_next_number(subvol, &ino, d);
	if (err)
		return err;
	edit_fill_inode(subvol, attr, &item);
	err = inherit_from_dir(subvol, dir->ino, &dir_item, &item, &inherited, d);
	if (err)
		return err;
	le64_put(&item.size, target_len);
	le64_put(&item.nbytes, target_len);
	named.location = (struct key){ ino, INODE_ITEM_KEY, 0 };
	named.type = file_type_of_mode(attr->mode);
	err = put_new(edit, &named, &item, &inherited, d);
	if (!err && S_ISLNK(attr->mode))
		err = file_insert_inline(subvol, ino, target, (u32)target_len, target_len, COMPRESS_NONE, d);
	if (!err)
		*ret_inode = (struct btrkit_inode){ dir->subvol, ino };
	return err;
}

int edit_link(struct btrkit_edit *edit, const struct btrkit_inode *inode, const struct btrkit_inode *dir,
	      const char *name, size_t name_len, struct diag *d)
{
	struct disk_inode_item item;
	struct named named;
	int err = edit_find_free(edit, dir, name, name_len, &named, d);

	if (err)
		return err;
	if (inode->subvol != dir->subvol)
		return diag_fail(d, -EXDEV, "%.*s: a file of another subvolume cannot be linked to", (int)name_len, name);
	err = inode_read(subvol_tree(&named.dir_subvol), inode->ino, &item, d);
	if (err)
		return err;
	if (S_ISDIR(le32_get(item.mode)))
		return diag_fail(d, -EPERM, "%.*s: a directory has one name only", (int)name_len, name);
	if (le32_get(item.nlink) >= LINKS_MAX)
		return diag_fail(d, -EMLINK, "inode %llu has %u names", (ull)inode->ino, le32_get(item.nlink));
	named.location = (struct key){ inode->ino, INODE_ITEM_KEY, 0 };
	named.type = file_type_of_mode(le32_get(item.mode));
	err = edit_put_reference(edit, &named, d);
	if (!err)
		err = edit_put_entry(&named, d);
	if (err)
		return err;
	le32_put(&item.nlink, le32_get(item.nlink) + 1);
	inode_touch(&named.dir_subvol, &item, false);
	return inode_update(&named.dir_subvol, inode->ino, &item, d);
}

/* --- Removing ------------------------------------------------------------------------------------------------------------ */

static int check_removal(const struct named *named, bool is_rmdir, struct diag *d)
{
	int len = (int)named->name.len;
	const char *name = named->name.bytes;
	bool is_dir = (named->type & (u8)~FT_ENCRYPTED) == FT_DIR, is_empty = true;
	int err = 0;

	if (named->is_subvol)
		return diag_fail(d, is_rmdir ? -EBUSY : -EISDIR, "%.*s is a subvolume", len, name);
	if (is_dir != is_rmdir)
		return diag_fail(d, is_rmdir ? -ENOTDIR : -EISDIR, "%.*s is %s directory", len, name, is_dir ? "a" : "no");
	if (is_dir && !named->is_dangling)
		err = dir_is_empty(subvol_tree(&named->dir_subvol), named->location.objectid, &is_empty, d);
	if (!err && !is_empty)
		err = diag_fail(d, -ENOTEMPTY, "%.*s is not empty", len, name);
	return err;
}

int edit_unlink(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		bool is_rmdir, struct diag *d)
{
	struct named named;
	int err = edit_find(edit, dir, name, name_len, &named, d);

	if (err == 1)
		return diag_fail(d, -ENOENT, "%.*s: no such file or directory", (int)name_len, name);
	if (!err)
		err = check_removal(&named, is_rmdir, d);
	if (err)
		return err;
	edit_changing(edit);
	txn_use_reserve(named.dir_subvol.txn);
	err = edit_take_name(&named, d);
	if (!err && !named.is_dangling)
		err = edit_drop_link(&named.dir_subvol, named.location.objectid, d);
	return err;
}
