/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Free space caches of the first version: an item (FREE_SPACE, 0, block group) in the root tree leads to an inode of
 * that tree, whose file extents lie in data block groups. After a commit that is not Linux's, Linux believes none of
 * them; so those that are in the way need not be moved.
 */
#include "kernel-shared/relocate/move_extents.h"

struct cache_inode {
	u64 group, ino;
};

struct cache_list {
	ARRAY(struct cache_inode) caches;
};

/* Does the inode have data in the groups? */
static int lies_inside(const struct moving *moving, u64 ino, bool *ret_is_inside, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&moving->fs->root_tree);
	const struct key first = { ino, EXTENT_DATA_KEY, 0 };
	int err;

	*ret_is_inside = false;
	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		struct leaf_data_ref ref;

		if (!cursor_is_at(&cursor, ino, EXTENT_DATA_KEY))
			return 0;
		if (leaf_data_ref_get(cursor.path[0].block->data, cursor.path[0].slot, &ref) &&
		    moving_is_inside(moving, ref.logical))
			*ret_is_inside = true;
	}
	return err < 0 ? err : 0;
}

static int list(const struct moving *moving, struct cache_list *list, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&moving->fs->root_tree);
	const struct key first = { FREE_SPACE_OBJECTID, 0, 0 };
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct disk_free_space_header *header = cursor_data(&cursor);
		struct key location;
		bool is_inside;

		if (!cursor_is_at(&cursor, FREE_SPACE_OBJECTID, 0))
			return 0;
		if (cursor_data_bytes(&cursor) < sizeof(*header))
			return diag_fail(d, -EUCLEAN, "free space cache of block group %llu: its item has %u bytes",
					 (unsigned long long)cursor_key(&cursor).offset, cursor_data_bytes(&cursor));
		location = key_unpack(&header->location);
		err = lies_inside(moving, location.objectid, &is_inside, d);
		if (err)
			return err;
		if ((is_inside || moving_is_inside(moving, cursor_key(&cursor).offset)) &&
		    array_push(&list->caches, (struct cache_inode){ cursor_key(&cursor).offset, location.objectid }) <
			    0)
			return diag_no_memory(d, "free space caches");
	}
	return err < 0 ? err : 0;
}

/* Take out the items of one kind that the inode has. Subvolumes have items with the same object numbers in this tree.
 */
static int drop_items(const struct moving *moving, struct edit *edit, u64 ino, u8 type, struct diag *d)
{
	const struct key first = { ino, type, 0 };
	struct leaf_data_ref at;
	int err;

	while ((err = edit_seek_from(edit, &first, d)) == 0) {
		const struct key key = edit_key(edit);

		if (key.objectid != ino || key.type != type)
			return 0;
		if (leaf_data_ref_get(edit->path[0].block->data, edit->path[0].slot, &at)) {
			const struct data_ref ref = { .logical = at.logical,
						      .len = at.len,
						      .root = ROOT_TREE_OBJECTID,
						      .objectid = ino,
						      .offset = at.offset };

			err = txn_drop_data_ref(moving->txn, &ref, d);
		}
		if (!err)
			err = edit_delete(edit, NULL, d);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

static int drop(const struct moving *moving, const struct cache_inode *cache, struct diag *d)
{
	const struct key key = { FREE_SPACE_OBJECTID, 0, cache->group };
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(moving->txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	edit = edit_init(roots);
	err = edit_delete_key(&edit, &key, d);
	if (!err)
		err = drop_items(moving, &edit, cache->ino, INODE_ITEM_KEY, d);
	if (!err)
		err = drop_items(moving, &edit, cache->ino, EXTENT_DATA_KEY, d);
	edit_done(&edit);
	return err;
}

int move_extents_drop_caches(struct moving *moving, struct diag *d)
{
	struct cache_list caches = { 0 };
	int err = list(moving, &caches, d);

	if (!err && caches.caches.len)
		txn_use_reserve(moving->txn);
	for (size_t i = 0; i < caches.caches.len && !err; i++)
		err = drop(moving, &caches.caches.items[i], d);
	array_done(&caches.caches);
	return err ? err : txn_commit(moving->txn, d);
}
