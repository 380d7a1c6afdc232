/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modes, owners, times, flags, extended attributes. */
#include <sys/stat.h>

#include "kernel-shared/fs/edit_inherit.h"
#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

#define SET_ALL                                                                                                        \
	(BTRKIT_SET_MODE | BTRKIT_SET_UID | BTRKIT_SET_GID | BTRKIT_SET_ATIME | BTRKIT_SET_MTIME | BTRKIT_SET_CTIME | \
	 BTRKIT_SET_FLAGS)
/* What a user may set; the rest says how the file is stored. */
#define FLAGS_SETTABLE                                                                                                     \
	(INODE_NODATASUM | INODE_NODATACOW | INODE_NOCOMPRESS | INODE_SYNC | INODE_IMMUTABLE | INODE_APPEND | INODE_NODUMP | \
	 INODE_NOATIME | INODE_DIRSYNC)
#define XATTR_VALUE_MAX 65535

/* Data with checksums and data without do not lie in one file. */
static int set_flags(struct disk_inode_item *item, u32 wanted, struct diag *d)
{
	u64 old = le64_get(item->flags), new = (old & ~(u64)FLAGS_SETTABLE) | wanted;
	u64 about_data = INODE_NODATACOW | INODE_NODATASUM;
	u32 mode = le32_get(item->mode);

	if (wanted & ~(u32)FLAGS_SETTABLE)
		return diag_fail(d, -EINVAL, "flags 0x%x cannot be set", wanted & ~(u32)FLAGS_SETTABLE);
	if (S_ISREG(mode) && (new & INODE_NODATACOW))
		new |= INODE_NODATASUM;
	if (((old ^ new) & about_data) && !S_ISDIR(mode) && (le64_get(item->size) || le64_get(item->nbytes)))
		return diag_fail(d, -EINVAL, "whether data is copied and has checksums can be set only while a file is empty");
	if (new & INODE_NOCOMPRESS)
		new &= ~(u64)INODE_COMPRESS;
	le64_put(&item->flags, new);
	return 0;
}

int edit_set_attr(struct btrkit_edit *edit, const struct btrkit_inode *inode, unsigned mask,
		  const struct btrkit_node_attr *attr, struct diag *d)
{
	struct disk_inode_item item;
	struct subvol_edit subvol;
	int err;

	if (mask & ~(unsigned)SET_ALL)
		return diag_fail(d, -EINVAL, "unknown attributes 0x%x", mask & ~(unsigned)SET_ALL);
	err = edit_inode(edit, inode, &subvol, &item, d);
	if (!err && (mask & BTRKIT_SET_MODE) && S_ISLNK(le32_get(item.mode)))
		err = diag_fail(d, -EOPNOTSUPP, "the permissions of a symbolic link are not set");
	if (!err && (mask & BTRKIT_SET_FLAGS))
		err = set_flags(&item, attr->inode_flags, d);
	if (err)
		return err;
	if (mask & BTRKIT_SET_MODE)
		le32_put(&item.mode, (le32_get(item.mode) & S_IFMT) | (attr->mode & 07777));
	if (mask & BTRKIT_SET_UID)
		le32_put(&item.uid, attr->uid);
	if (mask & BTRKIT_SET_GID)
		le32_put(&item.gid, attr->gid);
	inode_touch(&subvol, &item, false);
	if (mask & BTRKIT_SET_ATIME)
		time_pack(&item.atime, &attr->atime);
	if (mask & BTRKIT_SET_MTIME)
		time_pack(&item.mtime, &attr->mtime);
	if (mask & BTRKIT_SET_CTIME)
		time_pack(&item.ctime, &attr->ctime);
	edit_changing(edit);
	if (mask & BTRKIT_SET_MODE)
		err = acl_follow_mode(&subvol, inode->ino, attr->mode, d);
	return err ? err : inode_update(&subvol, inode->ino, &item, d);
}

static int xattr_name(const char *bytes, struct name *ret_name, struct diag *d)
{
	size_t len = strlen(bytes);

	if (len == 0 || len > NAME_LEN_MAX)
		return diag_fail(d, len ? -ENAMETOOLONG : -EINVAL, "attribute name of %zu bytes", len);
	*ret_name = (struct name){ bytes, (u32)len };
	return 0;
}

static int drop_xattr(struct subvol_edit *subvol, u64 ino, const struct name *name, struct diag *d)
{
	u32 len;
	int err = xattr_find(subvol_tree(subvol), ino, name, NULL, 0, &len, d);

	return err == 0 ? xattr_remove(subvol, ino, name, d) : err < 0 ? err : 0;
}

int edit_set_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name, const void *value,
		   size_t value_len, struct diag *d)
{
	struct disk_inode_item item;
	struct subvol_edit subvol;
	struct name as_name;
	int err = xattr_name(name, &as_name, d);

	if (!err && value_len > XATTR_VALUE_MAX)
		err = diag_fail(d, -E2BIG, "attribute %s of %zu bytes, limit %d", name, value_len, XATTR_VALUE_MAX);
	if (!err)
		err = edit_inode(edit, inode, &subvol, &item, d);
	if (!err)
		err = xattr_check_value(&as_name, value, (u32)value_len, &item, d);
	if (!err)
		err = xattr_check_room(subvol_tree(&subvol), inode->ino, &as_name, (u32)value_len, d);
	if (err)
		return err;
	edit_changing(edit);
	if (xattr_removes(&as_name, (u32)value_len))
		err = drop_xattr(&subvol, inode->ino, &as_name, d);
	else
		err = xattr_set(&subvol, inode->ino, &as_name, value, (u32)value_len, d);
	if (err)
		return err;
	item_follow_xattr(&as_name, value, (u32)value_len, &item);
	inode_touch(&subvol, &item, false);
	return inode_update(&subvol, inode->ino, &item, d);
}

int edit_remove_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name, struct diag *d)
{
	struct disk_inode_item item;
	struct subvol_edit subvol;
	struct name as_name;
	u32 len;
	int err = xattr_name(name, &as_name, d);

	if (!err)
		err = edit_inode(edit, inode, &subvol, &item, d);
	if (!err)
		err = xattr_find(subvol_tree(&subvol), inode->ino, &as_name, NULL, 0, &len, d);
	if (err)
		return err < 0 ? err : diag_fail(d, -ENODATA, "inode %llu has no attribute %s", (ull)inode->ino, name);
	edit_changing(edit);
	err = xattr_remove(&subvol, inode->ino, &as_name, d);
	if (err)
		return err;
	item_follow_xattr(&as_name, NULL, 0, &item);
	inode_touch(&subvol, &item, false);
	return inode_update(&subvol, inode->ino, &item, d);
}
