/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names in directories: a DIR_ITEM entry, found by the name's hash, and a DIR_INDEX item, which keeps the order in which names
 * were made.
 */
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/edit_items.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

/* 0 and 1 stand for "." and "..", which are not stored. */
#define DIR_INDEX_FIRST 2

static struct key item_key(u64 dir, const struct name *name)
{
	return (struct key){ dir, DIR_ITEM_KEY, name_hash(name->bytes, name->len) };
}

static bool is_named(const struct disk_dir_item *item, const struct name *name)
{
	return le16_get(item->name_len) == name->len && memcmp(item->name, name->bytes, name->len) == 0;
}

static void unpack_entry(const struct disk_dir_item *item, struct dir_entry *ret_entry)
{
	*ret_entry = (struct dir_entry){
		.location = key_unpack(&item->location),
		.transid = le64_get(item->transid),
		.type = item->type,
	};
}

/* Where in its item the entry is. 1: there is none. */
static int find_entry(const struct tree *tree, u64 dir, const struct name *name, struct dir_entry *ret_entry, u32 *ret_at,
		      u32 *ret_bytes, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key key = item_key(dir, name);
	const struct disk_dir_item *item;
	int err = cursor_find(&cursor, &key, d);

	if (err)
		return err;
	for (u32 at = 0, next = 0; dir_item_next(&cursor, &next, &item); at = next) {
		if (!is_named(item, name))
			continue;
		unpack_entry(item, ret_entry);
		*ret_at = at;
		*ret_bytes = next - at;
		return 0;
	}
	return 1;
}

int dir_entry_find(const struct tree *tree, u64 dir, const struct name *name, struct dir_entry *ret_entry, struct diag *d)
{
	u32 at, bytes;

	return find_entry(tree, dir, name, ret_entry, &at, &bytes, d);
}

int dir_index_read(const struct tree *tree, u64 dir, u64 index, struct dir_entry *ret_entry, char *ret_name, u32 *ret_len,
		   struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key key = { dir, DIR_INDEX_KEY, index };
	const struct disk_dir_item *item;
	u32 at = 0;
	int err = cursor_find(&cursor, &key, d);

	if (err)
		return err;
	if (!dir_item_next(&cursor, &at, &item) || le16_get(item->name_len) > NAME_LEN_MAX)
		return diag_fail(d, -EUCLEAN, "subvolume %llu directory %llu: damaged entry %llu", (ull)tree->id, (ull)dir,
				 (ull)index);
	unpack_entry(item, ret_entry);
	*ret_len = le16_get(item->name_len);
	memcpy(ret_name, item->name, *ret_len);
	return 0;
}

int dir_is_empty(const struct tree *tree, u64 dir, bool *ret_is_empty, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key first = { dir, DIR_ITEM_KEY, 0 };
	int err = cursor_seek(&cursor, &first, d);

	if (err < 0)
		return err;
	*ret_is_empty = err == 1 ||
			(!cursor_is_at(&cursor, dir, DIR_ITEM_KEY) && !cursor_is_at(&cursor, dir, DIR_INDEX_KEY));
	return 0;
}

int dir_next_index(const struct tree *tree, u64 dir, u64 *ret_index, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key last = { dir, DIR_INDEX_KEY, UINT64_MAX };
	int err = cursor_seek_back(&cursor, &last, d);

	if (err < 0)
		return err;
	*ret_index = DIR_INDEX_FIRST;
	if (err == 1 || !cursor_is_at(&cursor, dir, DIR_INDEX_KEY))
		return 0;
	if (cursor_key(&cursor).offset == UINT64_MAX)
		return diag_fail(d, -EUCLEAN, "subvolume %llu directory %llu: no index is left", (ull)tree->id, (ull)dir);
	*ret_index = MAX(cursor_key(&cursor).offset + 1, (u64)DIR_INDEX_FIRST);
	return 0;
}

/* --- Changing ------------------------------------------------------------------------------------------------------- */

static u32 pack_entry(const struct subvol_edit *edit, const struct name *name, const struct key *location, u8 type, void *to)
{
	struct disk_dir_item *item = to;

	key_pack(&item->location, location);
	le64_put(&item->transid, edit->generation);
	le16_put(&item->data_len, 0);
	le16_put(&item->name_len, (u16)name->len);
	item->type = type;
	memcpy(item->name, name->bytes, name->len);
	return (u32)sizeof(*item) + name->len;
}

int dir_item_add(struct subvol_edit *edit, u64 dir, const struct name *name, const struct key *location, u8 type,
		 struct diag *d)
{
	const struct key key = item_key(dir, name);
	u8 entry[sizeof(struct disk_dir_item) + NAME_LEN_MAX];
	struct dir_entry there;
	int err = dir_entry_find(subvol_tree(edit), dir, name, &there, d);

	if (err == 0)
		return diag_fail(d, -EEXIST, "%.*s exists", (int)name->len, name->bytes);
	if (err < 0)
		return err;
	return packed_append(edit->root, &key, entry, pack_entry(edit, name, location, type, entry), d);
}

int dir_index_add(struct subvol_edit *edit, u64 dir, u64 index, const struct name *name, const struct key *location,
		  u8 type, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key key = { dir, DIR_INDEX_KEY, index };
	u8 entry[sizeof(struct disk_dir_item) + NAME_LEN_MAX];

	return edit_put(&at, &key, entry, pack_entry(edit, name, location, type, entry), d);
}

int dir_item_remove(struct subvol_edit *edit, u64 dir, const struct name *name, struct diag *d)
{
	const struct key key = item_key(dir, name);
	struct dir_entry entry;
	u32 at, bytes;
	int err = find_entry(subvol_tree(edit), dir, name, &entry, &at, &bytes, d);

	if (err == 1)
		return diag_fail(d, -ENOENT, "directory %llu of subvolume %llu has no entry %.*s", (ull)dir, (ull)edit->id,
				 (int)name->len, name->bytes);
	return err ? err : packed_remove(edit->root, &key, at, bytes, d);
}

int dir_index_remove(struct subvol_edit *edit, u64 dir, u64 index, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key key = { dir, DIR_INDEX_KEY, index };

	return edit_delete_key(&at, &key, d);
}

int dir_index_find(const struct tree *tree, u64 dir, const struct name *name, u64 *ret_index, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key first = { dir, DIR_INDEX_KEY, 0 };
	const struct disk_dir_item *item;
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		u32 at = 0;

		if (!cursor_is_at(&cursor, dir, DIR_INDEX_KEY))
			return 1;
		if (!dir_item_next(&cursor, &at, &item) || !is_named(item, name))
			continue;
		*ret_index = cursor_key(&cursor).offset;
		return 0;
	}
	return err;
}

int dir_item_check_room(const struct tree *tree, u64 dir, const struct name *name, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key key = item_key(dir, name);
	u32 most = leaf_item_max_bytes(block_cache_nodesize(tree->cache));
	int err = cursor_find(&cursor, &key, d);

	if (err)
		return err < 0 ? err : 0;
	if (cursor_data_bytes(&cursor) + sizeof(struct disk_dir_item) + name->len > most)
		return diag_fail(d, -EOVERFLOW, "%.*s: too many names in its directory have the same hash", (int)name->len,
				 name->bytes);
	return 0;
}
