/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes: entries like those of directories, with a value behind the name. */
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/edit_items.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

static struct key key_of(u64 ino, const struct name *name)
{
	return (struct key){ ino, XATTR_ITEM_KEY, name_hash(name->bytes, name->len) };
}

struct xattr_place {
	u32 at, bytes; /* of the entry in its item */
	u32 item_bytes; /* of all in it; 0: there is no item */
};

/* 1: there is none of that name; ret_place->item_bytes is set all the same. */
static int find_place(const struct tree *tree, u64 ino, const struct name *name, void *buf, u32 cap, u32 *ret_len,
		      struct xattr_place *ret_place, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key key = key_of(ino, name);
	const struct disk_dir_item *item;
	int err = cursor_find(&cursor, &key, d);

	*ret_place = (struct xattr_place){ 0 };
	if (err)
		return err;
	ret_place->item_bytes = cursor_data_bytes(&cursor);
	for (u32 at = 0, next = 0; dir_item_next(&cursor, &next, &item); at = next) {
		u32 value_len = le16_get(item->data_len);

		if (le16_get(item->name_len) != name->len || memcmp(item->name, name->bytes, name->len) != 0)
			continue;
		ret_place->at = at;
		ret_place->bytes = next - at;
		if (ret_len)
			*ret_len = value_len;
		if (buf && cap)
			memcpy(buf, item->name + name->len, MIN(value_len, cap));
		return 0;
	}
	return 1;
}

int xattr_find(const struct tree *tree, u64 ino, const struct name *name, void *buf, u32 cap, u32 *ret_len, struct diag *d)
{
	struct xattr_place place;

	return find_place(tree, ino, name, buf, cap, ret_len, &place, d);
}

static int append(struct subvol_edit *edit, u64 ino, const struct name *name, const void *value, u32 value_len,
		  struct diag *d)
{
	const struct key key = key_of(ino, name);
	u32 bytes = (u32)sizeof(struct disk_dir_item) + name->len + value_len;
	_free_ struct disk_dir_item *item = calloc(1, bytes);

	if (!item)
		return diag_no_memory(d, "an extended attribute");
	le64_put(&item->transid, edit->generation);
	le16_put(&item->data_len, (u16)value_len);
	le16_put(&item->name_len, (u16)name->len);
	item->type = FT_XATTR;
	memcpy(item->name, name->bytes, name->len);
	if (value_len)
		memcpy(item->name + name->len, value, value_len);
	return packed_append(edit->root, &key, item, bytes, d);
}

/* 1: there is no attribute of that name, but room for it. */
static int find_room(const struct tree *tree, u64 ino, const struct name *name, u32 value_len, struct xattr_place *ret_place,
		     struct diag *d)
{
	u32 most = leaf_item_max_bytes(block_cache_nodesize(tree->cache));
	int err = find_place(tree, ino, name, NULL, 0, NULL, ret_place, d);

	if (err < 0)
		return err;
	if (ret_place->item_bytes - ret_place->bytes + sizeof(struct disk_dir_item) + name->len + (u64)value_len > most)
		return diag_fail(d, -ENOSPC, "inode %llu: attribute %.*s of %u bytes does not fit into a block", (ull)ino,
				 (int)name->len, name->bytes, value_len);
	return err;
}

int xattr_check_room(const struct tree *tree, u64 ino, const struct name *name, u32 value_len, struct diag *d)
{
	struct xattr_place place;
	int err = find_room(tree, ino, name, value_len, &place, d);

	return err < 0 ? err : 0;
}

int xattr_set(struct subvol_edit *edit, u64 ino, const struct name *name, const void *value, u32 value_len,
	      struct diag *d)
{
	const struct key key = key_of(ino, name);
	struct xattr_place place;
	int err = find_room(subvol_tree(edit), ino, name, value_len, &place, d);

	if (err == 0)
		err = packed_remove(edit->root, &key, place.at, place.bytes, d);
	return err < 0 ? err : append(edit, ino, name, value, value_len, d);
}

int xattr_remove(struct subvol_edit *edit, u64 ino, const struct name *name, struct diag *d)
{
	const struct key key = key_of(ino, name);
	struct xattr_place place;
	int err = find_place(subvol_tree(edit), ino, name, NULL, 0, NULL, &place, d);

	if (err == 1)
		return diag_fail(d, -ENODATA, "inode %llu has no attribute %.*s", (ull)ino, (int)name->len, name->bytes);
	return err ? err : packed_remove(edit->root, &key, place.at, place.bytes, d);
}
