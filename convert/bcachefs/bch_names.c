/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names in directories, and extended attributes. */
#include "convert/bcachefs/bch_inode.h"

#include <inttypes.h>

#define NAME_BYTES_MAX 512
#define TYPE_MASK 31
#define TYPE_CASEFOLD 128

struct disk_dirent {
	union {
		le64 ino;
		struct {
			le32 child_subvol, parent_subvol;
		};
	};
	u8 type;
};
_Static_assert(sizeof(struct disk_dirent) == 9, "dirent");

/* Follows, where the name is stored twice: the first is that which was given. */
struct disk_dirent_casefold {
	u8 pad;
	le16 name_len, folded_len;
};
_Static_assert(sizeof(struct disk_dirent_casefold) == 5, "dirent of a directory without case");

struct disk_xattr {
	u8 type, name_len;
	le16 value_len;
};
_Static_assert(sizeof(struct disk_xattr) == 4, "xattr");

static const char *const xattr_prefixes[] = { "user.", "system.posix_acl_access", "system.posix_acl_default", "trusted.", "security." };
enum { XATTR_ACL_ACCESS = 1, XATTR_ACL_DEFAULT = 2 };

static int fail_dirent(const struct bch_key *key, const char *why, struct diag *d)
{
	return diag_fail(d, -EUCLEAN, "directory %" PRIu64 ": the name at %" PRIu64 " %s", key->pos.inode, key->pos.offset, why);
}

static int get_name(const struct bch_key *key, bool is_casefold, struct bch_dirent *dirent, struct diag *d)
{
	const u8 *name = key->value + sizeof(struct disk_dirent);
	size_t len = key->value_bytes - sizeof(struct disk_dirent);

	if (is_casefold) {
		struct disk_dirent_casefold disk;

		if (len < sizeof(disk))
			return fail_dirent(key, "is cut off", d);
		memcpy(&disk, name, sizeof(disk));
		name += sizeof(disk);
		len -= sizeof(disk);
		if ((size_t)le16_get(disk.name_len) + le16_get(disk.folded_len) > len)
			return fail_dirent(key, "is cut off", d);
		len = le16_get(disk.name_len);
		dirent->hashed = (const char *)name + len;
		dirent->hashed_len = le16_get(disk.folded_len);
	} else {
		while (len > 0 && name[len - 1] == 0)
			len--;
	}
	if (len == 0 || len > NAME_BYTES_MAX)
		return fail_dirent(key, len ? "is too long" : "is empty", d);
	if (memchr(name, 0, len) || memchr(name, '/', len))
		return fail_dirent(key, "has a byte that no name has", d);
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return fail_dirent(key, "is one that no directory stores", d);
	dirent->name = (const char *)name;
	dirent->name_len = (u32)len;
	if (!is_casefold) {
		dirent->hashed = dirent->name;
		dirent->hashed_len = dirent->name_len;
	}
	return 0;
}

int bch_dirent_get(const struct bch_key *key, struct bch_dirent *ret_dirent, struct diag *d)
{
	struct bch_dirent dirent = { 0 };
	struct disk_dirent disk;
	int err;

	if (key->type != BCH_KEY_DIRENT)
		return fail_dirent(key, "has a key of another kind", d);
	if (key->value_bytes < sizeof(disk))
		return fail_dirent(key, "is cut off", d);
	memcpy(&disk, key->value, sizeof(disk));
	dirent.type = disk.type & TYPE_MASK;
	err = get_name(key, disk.type & TYPE_CASEFOLD, &dirent, d);
	if (err)
		return err;
	if (dirent.type == BCH_DT_SUBVOL) {
		dirent.subvol = le32_get(disk.child_subvol);
		dirent.parent_subvol = le32_get(disk.parent_subvol);
	} else {
		dirent.ino = le64_get(disk.ino);
	}
	*ret_dirent = dirent;
	return 0;
}

static int fail_xattr(const struct bch_key *key, const char *why, struct diag *d)
{
	return diag_fail(d, -EUCLEAN, "inode %" PRIu64 ": the extended attribute at %" PRIu64 " %s", key->pos.inode, key->pos.offset, why);
}

int bch_xattr_get(const struct bch_key *key, struct bch_xattr *ret_xattr, struct diag *d)
{
	struct disk_xattr disk;
	size_t prefix_len;
	const u8 *name;

	if (key->type != BCH_KEY_XATTR)
		return fail_xattr(key, "has a key of another kind", d);
	if (key->value_bytes < sizeof(disk))
		return fail_xattr(key, "is cut off", d);
	memcpy(&disk, key->value, sizeof(disk));
	name = key->value + sizeof(disk);
	if (sizeof(disk) + disk.name_len + le16_get(disk.value_len) > key->value_bytes)
		return fail_xattr(key, "is cut off", d);
	if (disk.type >= ARRAY_LEN(xattr_prefixes))
		return fail_xattr(key, "is of a kind that is not known", d);
	if (memchr(name, 0, disk.name_len))
		return fail_xattr(key, "has a NUL in its name", d);
	if ((disk.name_len == 0) != (disk.type == XATTR_ACL_ACCESS || disk.type == XATTR_ACL_DEFAULT))
		return fail_xattr(key, "has a name that its kind does not allow", d);
	prefix_len = strlen(xattr_prefixes[disk.type]);
	memcpy(ret_xattr->name, xattr_prefixes[disk.type], prefix_len);
	memcpy(ret_xattr->name + prefix_len, name, disk.name_len);
	ret_xattr->name[prefix_len + disk.name_len] = '\0';
	ret_xattr->value = name + disk.name_len;
	ret_xattr->value_len = le16_get(disk.value_len);
	ret_xattr->type = disk.type;
	return 0;
}
