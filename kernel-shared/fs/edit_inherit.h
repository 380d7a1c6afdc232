/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a new inode takes over from its directory, as Linux has it; and what else follows from a mode, an ACL or a property
 * that is set.
 * Source: measured on what Linux 6.18 makes (tests/interop/edit-inherit.sh).
 */
#ifndef BTRKIT_KERNEL_SHARED_FS_EDIT_INHERIT_H
#define BTRKIT_KERNEL_SHARED_FS_EDIT_INHERIT_H

#include "kernel-shared/fs/edit_items.h"

#define XATTR_ACL_ACCESS "system.posix_acl_access"
#define XATTR_ACL_DEFAULT "system.posix_acl_default"
#define XATTR_COMPRESSION "btrfs.compression"

/* Attributes that a new inode gets. Zeroes: none. */
struct inherited {
	u8 *access_acl, *default_acl; /* NULL: none */
	u32 acl_bytes; /* of each */
	const char *compression; /* NULL: none */
};
void inherited_done(struct inherited *inherited);

/*
 * What a new inode takes over from directory @dir, whose item is @dir_item: flags, group, the bits of its mode that an ACL
 * leaves it, into @item, which has the type and the mode asked for; attributes into @ret_inherited. -EUCLEAN: a damaged ACL.
 */
int inherit_from_dir(const struct subvol_edit *subvol, u64 dir, const struct disk_inode_item *dir_item,
		     struct disk_inode_item *item, struct inherited *ret_inherited, struct diag *d);
/*
 * What the top directory of a new subvolume takes over from directory @dir, where it gets its name: permissions that an ACL
 * leaves it, but no ACL; and the properties of the subvolume that @dir is in, but not those of @dir.
 */
int inherit_for_subvol(const struct subvol_edit *subvol, u64 dir, struct disk_inode_item *item,
		       struct inherited *ret_inherited, struct diag *d);
/* Give the attributes to the new inode. */
int inherit_attributes(struct subvol_edit *subvol, u64 ino, const struct inherited *inherited, struct diag *d);

/* An access ACL that @ino has follows its new permissions, as chmod(2) does it. A damaged one stays as it is. */
int acl_follow_mode(struct subvol_edit *subvol, u64 ino, u32 mode, struct diag *d);
/* May the attribute be set? Of btrfs.compression, only what Linux takes, and where data is copied on write: -EINVAL. */
int xattr_check_value(const struct name *name, const void *value, u32 value_len, const struct disk_inode_item *item,
		      struct diag *d);
/*
 * And the item of an inode follows an attribute that is set, or, @value_len 0, removed: permissions, compression. Is it to be
 * removed, where an empty value stands for that?
 */
bool xattr_removes(const struct name *name, u32 value_len);
void item_follow_xattr(const struct name *name, const void *value, u32 value_len, struct disk_inode_item *item);

#endif
