/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of items that hold names. */
#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"
#include "kernel-shared/format/name_hash.h"

static int check_name(const struct item_at *at, u32 name_len, u32 left)
{
	if (name_len == 0 || name_len > NAME_LEN_MAX)
		return item_bad(at, "name of %u bytes", name_len);
	if (name_len > left)
		return item_bad(at, "name of %u bytes, %u left in the item", name_len, left);
	return 0;
}

/* A name in a directory becomes part of paths: one that leads elsewhere must not get through. */
static int check_file_name(const struct item_at *at, const u8 *name, u32 name_len, u32 left)
{
	bool is_top = at->key.type == INODE_REF_KEY && at->key.objectid == at->key.offset;
	int err = check_name(at, name_len, left);

	if (err)
		return err;
	if (memchr(name, '/', name_len) || memchr(name, 0, name_len))
		return item_bad(at, "name with a slash or a zero byte");
	/* A top directory is its own parent, as "..". */
	if (name[0] == '.' && (name_len == 1 || (name_len == 2 && name[1] == '.')) && !is_top)
		return item_bad(at, "name \"%.*s\"", (int)name_len, (const char *)name);
	return 0;
}

static int check_refs(const struct item_at *at)
{
	bool is_extref = at->key.type == INODE_EXTREF_KEY;
	u32 fixed = is_extref ? sizeof(struct disk_inode_extref) : sizeof(struct disk_inode_ref);
	const u8 *from = at->data;

	if (at->size == 0)
		return item_bad(at, "no name");
	for (u32 left = at->size; left > 0;) {
		u32 name_len;
		int err;

		if (left < fixed)
			return item_bad(at, "%u bytes left over", left);
		name_len = is_extref ? le16_get(((const struct disk_inode_extref *)from)->name_len)
				     : le16_get(((const struct disk_inode_ref *)from)->name_len);
		err = check_file_name(at, from + fixed, name_len, left - fixed);
		if (err)
			return err;
		from += fixed + name_len;
		left -= fixed + name_len;
	}
	return 0;
}

static int check_dir_entry(const struct item_at *at, const struct disk_dir_item *item)
{
	struct key location = key_unpack(&item->location);
	u8 type = item->type & (u8)~FT_ENCRYPTED;

	if (at->key.type == XATTR_ITEM_KEY) {
		if (type != FT_XATTR)
			return item_bad(at, "xattr of type %u", item->type);
		return 0;
	}
	if (type >= FT_MAX || type == FT_XATTR)
		return item_bad(at, "entry of type %u", item->type);
	if (location.type != INODE_ITEM_KEY && location.type != ROOT_ITEM_KEY && location.type != 0)
		return item_bad(at, "entry leads to a key of type %u", location.type);
	if (le16_get(item->data_len) != 0)
		return item_bad(at, "entry with %u bytes of data", le16_get(item->data_len));
	return 0;
}

static int check_dir_items(const struct item_at *at)
{
	const u8 *from = at->data;
	u32 nr = 0;

	for (u32 left = at->size; left > 0; nr++) {
		const struct disk_dir_item *item = (const void *)from;
		u32 name_len, bytes;
		int err;

		if (left < sizeof(*item))
			return item_bad(at, "%u bytes left over", left);
		name_len = le16_get(item->name_len);
		err = at->key.type == XATTR_ITEM_KEY
			      ? check_name(at, name_len, left - (u32)sizeof(*item))
			      : check_file_name(at, item->name, name_len, left - (u32)sizeof(*item));
		if (!err)
			err = check_dir_entry(at, item);
		if (err)
			return err;
		bytes = (u32)sizeof(*item) + name_len + le16_get(item->data_len);
		if (bytes > left)
			return item_bad(at, "entry of %u bytes, %u left in the item", bytes, left);
		if (at->key.type != DIR_INDEX_KEY && name_hash(item->name, name_len) != at->key.offset)
			return item_bad(at, "the name's hash is %llu",
					(unsigned long long)name_hash(item->name, name_len));
		from += bytes;
		left -= bytes;
	}
	if (nr == 0 || (at->key.type == DIR_INDEX_KEY && nr > 1))
		return item_bad(at, "%u entries", nr);
	return 0;
}

static int check_root_ref(const struct item_at *at)
{
	const struct disk_root_ref *ref = at->data;
	int err;

	if (at->size < sizeof(*ref))
		return item_bad(at, "item of %u bytes", at->size);
	err = check_file_name(at, ref->name, le16_get(ref->name_len), at->size - (u32)sizeof(*ref));
	if (!err && at->size != sizeof(*ref) + le16_get(ref->name_len))
		err = item_bad(at, "item of %u bytes for a name of %u", at->size, le16_get(ref->name_len));
	return err;
}

int item_check_names(const struct item_at *at)
{
	switch (at->key.type) {
	case INODE_REF_KEY:
	case INODE_EXTREF_KEY:
		return check_refs(at);
	case ROOT_REF_KEY:
	case ROOT_BACKREF_KEY:
		return check_root_ref(at);
	default:
		return check_dir_items(at);
	}
}
