/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "kernel-shared/fs/edit_inherit.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

static struct name name_of(const char *text)
{
	return (struct name){ text, (u32)strlen(text) };
}

static bool is_called(const struct name *name, const char *text)
{
	return name->len == strlen(text) && memcmp(name->bytes, text, name->len) == 0;
}

/* --- ACLs ------------------------------------------------------------------------------------------------------------------ */

/* As system.posix_acl_* have them: a le32 version, then entries. */
struct acl_entry {
	le16 tag, perm;
	le32 id;
};
#define ACL_VERSION 2
#define ACL_HEADER_BYTES ((u32)sizeof(le32))
enum { ACL_USER_OBJ = 0x01, ACL_USER = 0x02, ACL_GROUP_OBJ = 0x04, ACL_GROUP = 0x08, ACL_MASK = 0x10, ACL_OTHER = 0x20 };

static u32 acl_count(u32 bytes)
{
	return (bytes - ACL_HEADER_BYTES) / (u32)sizeof(struct acl_entry);
}

static struct acl_entry *acl_entries(u8 *acl)
{
	return (struct acl_entry *)(acl + ACL_HEADER_BYTES);
}

/* One entry each for the owner, the group and others; not more than one mask, and one if there are further entries. */
static bool acl_is_sound(const u8 *acl, u32 bytes)
{
	const struct acl_entry *entries = (const void *)(acl + ACL_HEADER_BYTES);
	u32 nr[ACL_OTHER + 1] = { 0 };

	if (bytes < ACL_HEADER_BYTES || (bytes - ACL_HEADER_BYTES) % sizeof(*entries) ||
	    le32_get(*(const le32 *)acl) != ACL_VERSION)
		return false;
	for (u32 i = 0; i < acl_count(bytes); i++) {
		u16 tag = le16_get(entries[i].tag);

		if (tag == 0 || tag > ACL_OTHER || (tag & (tag - 1)) || le16_get(entries[i].perm) > 7)
			return false;
		nr[tag]++;
	}
	return nr[ACL_USER_OBJ] == 1 && nr[ACL_GROUP_OBJ] == 1 && nr[ACL_OTHER] == 1 && nr[ACL_MASK] <= 1 &&
	       (nr[ACL_MASK] || !(nr[ACL_USER] || nr[ACL_GROUP]));
}

/* The entry of a sound ACL with this tag, or NULL. */
static struct acl_entry *acl_find(u8 *acl, u32 bytes, u16 tag)
{
	struct acl_entry *entries = acl_entries(acl);

	for (u32 i = 0; i < acl_count(bytes); i++)
		if (le16_get(entries[i].tag) == tag)
			return &entries[i];
	return NULL;
}

/* The three entries that a mode's permissions stand for: owner; mask, or else group; others. */
struct acl_classes {
	struct acl_entry *by_shift[3]; /* others, group, owner */
};

static struct acl_classes acl_classes(u8 *acl, u32 bytes)
{
	struct acl_entry *mask = acl_find(acl, bytes, ACL_MASK);

	return (struct acl_classes){ { acl_find(acl, bytes, ACL_OTHER), mask ? mask : acl_find(acl, bytes, ACL_GROUP_OBJ),
				       acl_find(acl, bytes, ACL_USER_OBJ) } };
}

static u32 acl_mode(u8 *acl, u32 bytes)
{
	const struct acl_classes classes = acl_classes(acl, bytes);
	u32 mode = 0;

	for (unsigned i = 0; i < 3; i++)
		mode |= (u32)le16_get(classes.by_shift[i]->perm) << i * 3;
	return mode;
}

static void acl_set_mode(u8 *acl, u32 bytes, u32 mode)
{
	const struct acl_classes classes = acl_classes(acl, bytes);

	for (unsigned i = 0; i < 3; i++)
		le16_put(&classes.by_shift[i]->perm, (u16)(mode >> i * 3 & 7));
}

/* The ACL of an inode; *ret_acl stays NULL if there is none, or one without entries. Freed by the caller. 1: it is damaged. */
static int acl_read(const struct tree *tree, u64 ino, const char *name, u8 **ret_acl, u32 *ret_bytes, struct diag *d)
{
	const struct name as_name = name_of(name);
	_free_ u8 *acl = NULL;
	u32 bytes;
	int err = xattr_find(tree, ino, &as_name, NULL, 0, &bytes, d);

	if (err)
		return err < 0 ? err : 0;
	acl = malloc(MAX(bytes, 1U));
	if (!acl)
		return diag_no_memory(d, "an ACL");
	err = xattr_find(tree, ino, &as_name, acl, bytes, &bytes, d);
	if (err)
		return err;
	if (bytes == ACL_HEADER_BYTES)
		return 0;
	if (!acl_is_sound(acl, bytes))
		return 1;
	*ret_acl = take_ptr(acl);
	*ret_bytes = bytes;
	return 0;
}

int acl_follow_mode(struct subvol_edit *subvol, u64 ino, u32 mode, struct diag *d)
{
	const struct name name = name_of(XATTR_ACL_ACCESS);
	_free_ u8 *acl = NULL;
	u32 bytes;
	int err = acl_read(subvol_tree(subvol), ino, XATTR_ACL_ACCESS, &acl, &bytes, d);

	if (err || !acl || acl_mode(acl, bytes) == (mode & 0777))
		return err < 0 ? err : 0;
	acl_set_mode(acl, bytes, mode);
	return xattr_set(subvol, ino, &name, acl, bytes, d);
}

/* What a default ACL leaves of the mode asked for; the ACL becomes what the new inode's access ACL is to say. */
static void acl_limit_mode(u8 *acl, u32 bytes, struct disk_inode_item *item)
{
	u32 mode = le32_get(item->mode), allowed = mode & acl_mode(acl, bytes) & 0777;

	acl_set_mode(acl, bytes, allowed);
	le32_put(&item->mode, (mode & ~0777U) | allowed);
}

/* --- Compression ------------------------------------------------------------------------------------------------------------ */

/* The algorithm of a property; a level may follow it. NULL: it asks for none. */
static const char *compression_of(const void *value, u32 len)
{
	static const char *const known[] = { "zlib", "lzo", "zstd" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (len >= strlen(known[i]) && memcmp(value, known[i], strlen(known[i])) == 0)
			return known[i];
	return NULL;
}

static bool can_compress(u64 flags)
{
	return !(flags & (INODE_NODATACOW | INODE_NODATASUM));
}

static u64 flags_compressed(u64 flags, bool is_compressed)
{
	flags &= ~(u64)(INODE_COMPRESS | INODE_NOCOMPRESS);
	return flags | (is_compressed ? INODE_COMPRESS : INODE_NOCOMPRESS);
}

static bool is_no_compression(const void *value, u32 len)
{
	return (len == 2 && memcmp(value, "no", 2) == 0) || (len == 4 && memcmp(value, "none", 4) == 0);
}

int xattr_check_value(const struct name *name, const void *value, u32 value_len, const struct disk_inode_item *item,
		      struct diag *d)
{
	u32 mode = le32_get(item->mode);

	if (!is_called(name, XATTR_COMPRESSION) || value_len == 0)
		return 0;
	if (!compression_of(value, value_len) && !is_no_compression(value, value_len))
		return diag_fail(d, -EINVAL, "\"%.*s\" is no compression", (int)MIN(value_len, 64U), (const char *)value);
	if ((!S_ISREG(mode) && !S_ISDIR(mode)) || !can_compress(le64_get(item->flags)))
		return diag_fail(d, -EINVAL, "compression is only of directories and files whose data is copied on write and has "
				 "checksums");
	return 0;
}

bool xattr_removes(const struct name *name, u32 value_len)
{
	return is_called(name, XATTR_COMPRESSION) && value_len == 0;
}

void item_follow_xattr(const struct name *name, const void *value, u32 value_len, struct disk_inode_item *item)
{
	u64 flags = le64_get(item->flags);

	if (is_called(name, XATTR_ACL_ACCESS) && value_len && acl_is_sound(value, value_len)) {
		u32 mode = le32_get(item->mode) & ~0777U;

		le32_put(&item->mode, mode | acl_mode((u8 *)(uintptr_t)value, value_len));
	}
	if (!is_called(name, XATTR_COMPRESSION))
		return;
	if (value_len == 0)
		le64_put(&item->flags, flags & ~(u64)(INODE_COMPRESS | INODE_NOCOMPRESS));
	else
		le64_put(&item->flags, flags_compressed(flags, !is_no_compression(value, value_len)));
}

/* The property of directory @dir, if it is one that is handed on to @item. */
static int inherit_compression(const struct subvol_edit *subvol, u64 dir, struct disk_inode_item *item,
			       struct inherited *inherited, struct diag *d)
{
	const struct name name = name_of(XATTR_COMPRESSION);
	u64 flags = le64_get(item->flags);
	u32 mode = le32_get(item->mode), len;
	char value[16];
	int err;

	if ((!S_ISREG(mode) && !S_ISDIR(mode)) || !can_compress(flags))
		return 0;
	err = xattr_find(subvol_tree(subvol), dir, &name, value, sizeof(value), &len, d);
	if (err)
		return err < 0 ? err : 0;
	inherited->compression = compression_of(value, MIN(len, (u32)sizeof(value)));
	if (inherited->compression)
		le64_put(&item->flags, flags_compressed(flags, true));
	return 0;
}

/* --- All of it -------------------------------------------------------------------------------------------------------------- */

void inherited_done(struct inherited *inherited)
{
	free(inherited->access_acl);
	free(inherited->default_acl);
	*inherited = (struct inherited){ 0 };
}

static void inherit_flags(u64 dir_flags, struct disk_inode_item *item)
{
	u64 flags = le64_get(item->flags);

	if (dir_flags & INODE_NODATACOW)
		flags |= INODE_NODATACOW;
	if ((flags & INODE_NODATACOW) && S_ISREG(le32_get(item->mode)))
		flags |= INODE_NODATASUM;
	if (dir_flags & INODE_NOCOMPRESS)
		flags = flags_compressed(flags, false);
	else if ((dir_flags & INODE_COMPRESS) && !(flags & INODE_NOCOMPRESS))
		flags = flags_compressed(flags, true);
	le64_put(&item->flags, flags);
}

static void inherit_group(const struct disk_inode_item *dir_item, struct disk_inode_item *item)
{
	u32 mode = le32_get(item->mode);

	if (!(le32_get(dir_item->mode) & S_ISGID))
		return;
	item->gid = dir_item->gid;
	if (S_ISDIR(mode))
		le32_put(&item->mode, mode | S_ISGID);
}

static int inherit_acl(const struct subvol_edit *subvol, u64 dir, struct disk_inode_item *item, struct inherited *inherited,
		       struct diag *d)
{
	_free_ u8 *acl = NULL;
	u32 bytes, mode = le32_get(item->mode);
	int err = S_ISLNK(mode) ? 0 : acl_read(subvol_tree(subvol), dir, XATTR_ACL_DEFAULT, &acl, &bytes, d);

	if (err == 1)
		return diag_fail(d, -EUCLEAN, "subvolume %llu directory %llu: its default ACL is damaged", (ull)subvol->id, (ull)dir);
	if (err || !acl)
		return err;
	if (S_ISDIR(mode)) {
		inherited->default_acl = malloc(bytes);
		if (!inherited->default_acl)
			return diag_no_memory(d, "an ACL");
		memcpy(inherited->default_acl, acl, bytes);
	}
	inherited->acl_bytes = bytes;
	acl_limit_mode(acl, bytes, item);
	/* One that says no more than the mode is not kept. */
	if (acl_count(bytes) > 3)
		inherited->access_acl = take_ptr(acl);
	return 0;
}

int inherit_from_dir(const struct subvol_edit *subvol, u64 dir, const struct disk_inode_item *dir_item,
		     struct disk_inode_item *item, struct inherited *ret_inherited, struct diag *d)
{
	int err;

	inherit_group(dir_item, item);
	inherit_flags(le64_get(dir_item->flags), item);
	err = inherit_compression(subvol, dir, item, ret_inherited, d);
	return err ? err : inherit_acl(subvol, dir, item, ret_inherited, d);
}

int inherit_for_subvol(const struct subvol_edit *subvol, u64 dir, struct disk_inode_item *item,
		       struct inherited *ret_inherited, struct diag *d)
{
	int err = inherit_acl(subvol, dir, item, ret_inherited, d);

	inherited_done(ret_inherited);
	return err ? err : inherit_compression(subvol, FIRST_FREE_OBJECTID, item, ret_inherited, d);
}

int inherit_attributes(struct subvol_edit *subvol, u64 ino, const struct inherited *inherited, struct diag *d)
{
	const struct name access = name_of(XATTR_ACL_ACCESS), preset = name_of(XATTR_ACL_DEFAULT);
	const struct name compression = name_of(XATTR_COMPRESSION);
	int err = 0;

	if (inherited->compression)
		err = xattr_set(subvol, ino, &compression, inherited->compression, (u32)strlen(inherited->compression), d);
	if (!err && inherited->access_acl)
		err = xattr_set(subvol, ino, &access, inherited->access_acl, inherited->acl_bytes, d);
	if (!err && inherited->default_acl)
		err = xattr_set(subvol, ino, &preset, inherited->default_acl, inherited->acl_bytes, d);
	return err;
}
