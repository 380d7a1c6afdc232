/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the root tree and the uuid tree know of subvolumes: the name, from above (ROOT_REF) and from below (ROOT_BACKREF), and
 * which subvolume has a uuid.
 */
#include "kernel-shared/fs/edit_ops.h"

typedef unsigned long long ull;

/* --- Names -------------------------------------------------------------------------------------------------------------- */

int root_refs_add(struct txn *txn, u64 id, u64 parent, u64 dir, u64 index, const struct name *name, struct diag *d)
{
	const struct key ref_key = { parent, ROOT_REF_KEY, id }, backref_key = { id, ROOT_BACKREF_KEY, parent };
	u8 item[sizeof(struct disk_root_ref) + NAME_LEN_MAX];
	struct disk_root_ref *ref = (void *)item;
	u32 bytes = (u32)sizeof(*ref) + name->len;
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	le64_put(&ref->dirid, dir);
	le64_put(&ref->sequence, index);
	le16_put(&ref->name_len, (u16)name->len);
	memcpy(ref->name, name->bytes, name->len);
	edit = edit_init(roots);
	err = edit_put(&edit, &backref_key, item, bytes, d);
	if (!err)
		err = edit_put(&edit, &ref_key, item, bytes, d);
	edit_done(&edit);
	return err;
}

int root_refs_remove(struct txn *txn, u64 id, u64 parent, struct diag *d)
{
	const struct key ref_key = { parent, ROOT_REF_KEY, id }, backref_key = { id, ROOT_BACKREF_KEY, parent };
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	edit = edit_init(roots);
	err = edit_delete_key(&edit, &backref_key, d);
	if (!err)
		err = edit_delete_key(&edit, &ref_key, d);
	edit_done(&edit);
	return err;
}

int root_ref_find(struct btrkit_fs *fs, u64 id, u64 parent, u64 dir, const struct name *name, u64 *ret_index,
		  struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	const struct key key = { parent, ROOT_REF_KEY, id };
	const struct disk_root_ref *ref;
	int err = cursor_find(&cursor, &key, d);

	if (err)
		return err;
	ref = cursor_data(&cursor);
	if (cursor_data_bytes(&cursor) < sizeof(*ref) ||
	    cursor_data_bytes(&cursor) - sizeof(*ref) < le16_get(ref->name_len))
		return diag_fail(d, -EUCLEAN, "subvolume %llu: damaged name", (ull)id);
	if (le64_get(ref->dirid) != dir || le16_get(ref->name_len) != name->len ||
	    memcmp(ref->name, name->bytes, name->len) != 0)
		return 1;
	*ret_index = le64_get(ref->sequence);
	return 0;
}

/* --- The uuid tree ------------------------------------------------------------------------------------------------------- */

static struct key uuid_key(const u8 *uuid, u8 type)
{
	le64 half[2];

	memcpy(half, uuid, UUID_SIZE);
	return (struct key){ le64_get(half[0]), type, le64_get(half[1]) };
}

/* 1: there is no uuid tree; the kernel makes one when it mounts. */
static int uuid_tree(struct txn *txn, struct tree_root **ret_root, struct diag *d)
{
	int err = txn_tree(txn, UUID_TREE_OBJECTID, ret_root, d);

	if (err != -ENOENT)
		return err;
	diag_clear(d);
	return 1;
}

int uuid_entry_add(struct txn *txn, const u8 *uuid, u8 type, u64 id, struct diag *d)
{
	const struct key key = uuid_key(uuid, type);
	struct tree_root *root;
	le64 entry;
	int err = uuid_tree(txn, &root, d);

	if (err)
		return err < 0 ? err : 0;
	le64_put(&entry, id);
	return packed_append(root, &key, &entry, sizeof(entry), d);
}

/* Where in its item the entry is. 1: there is none. */
static int find_uuid_entry(const struct tree *tree, const struct key *key, u64 id, u32 *ret_at, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	int err = cursor_find(&cursor, key, d);

	if (err)
		return err;
	for (u32 at = 0; at + sizeof(le64) <= cursor_data_bytes(&cursor); at += sizeof(le64)) {
		le64 entry;

		memcpy(&entry, (const u8 *)cursor_data(&cursor) + at, sizeof(entry));
		*ret_at = at;
		if (le64_get(entry) == id)
			return 0;
	}
	return 1;
}

int uuid_entry_remove(struct txn *txn, const u8 *uuid, u8 type, u64 id, struct diag *d)
{
	const struct key key = uuid_key(uuid, type);
	struct tree_root *root;
	u32 at;
	int err = uuid_tree(txn, &root, d);

	if (!err)
		err = find_uuid_entry(&root->tree, &key, id, &at, d);
	if (err)
		return err < 0 ? err : 0;
	return packed_remove(root, &key, at, sizeof(le64), d);
}
