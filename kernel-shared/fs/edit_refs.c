/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of an inode, kept with it: INODE_REF has those of one directory, one behind the other; INODE_EXTREF, for what does
 * not fit there, those of one hash over directory and name.
 */
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/edit_items.h"

typedef unsigned long long ull;

static struct key ref_key(u64 ino, u64 dir)
{
	return (struct key){ ino, INODE_REF_KEY, dir };
}

static struct key extref_key(u64 ino, u64 dir, const struct name *name)
{
	return (struct key){ ino, INODE_EXTREF_KEY, extref_hash(dir, name->bytes, name->len) };
}

/* Where in its item a name is. */
struct ref_place {
	struct key key;
	u32 at, bytes;
	u64 index;
};

/* The next entry of an INODE_REF or INODE_EXTREF at *at; false: no more. */
static bool next_ref(const struct cursor *cursor, bool is_extref, u32 *at, u64 *ret_dir, u64 *ret_index,
		     struct name *ret_name)
{
	const u8 *data = (const u8 *)cursor_data(cursor) + *at;
	const struct disk_inode_ref *ref = (const void *)data;
	const struct disk_inode_extref *extref = (const void *)data;
	u32 fixed = is_extref ? sizeof(*extref) : sizeof(*ref), left = cursor_data_bytes(cursor) - *at;

	if (left < fixed)
		return false;
	*ret_dir = is_extref ? le64_get(extref->parent_objectid) : cursor_key(cursor).offset;
	*ret_index = le64_get(is_extref ? extref->index : ref->index);
	ret_name->len = le16_get(is_extref ? extref->name_len : ref->name_len);
	ret_name->bytes = (const char *)data + fixed;
	if (ret_name->len > left - fixed)
		return false;
	*at += fixed + ret_name->len;
	return true;
}

static int find_in_item(const struct tree *tree, const struct key *key, u64 dir, const struct name *name,
			struct ref_place *ret_place, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	u64 ref_dir, index;
	struct name ref_name;
	int err = cursor_find(&cursor, key, d);

	if (err)
		return err;
	for (u32 at = 0, next = 0; next_ref(&cursor, key->type == INODE_EXTREF_KEY, &next, &ref_dir, &index, &ref_name);
	     at = next) {
		if (ref_dir != dir || ref_name.len != name->len || memcmp(ref_name.bytes, name->bytes, name->len) != 0)
			continue;
		*ret_place = (struct ref_place){ *key, at, next - at, index };
		return 0;
	}
	return 1;
}

static int find_place(const struct tree *tree, u64 ino, u64 dir, const struct name *name, struct ref_place *ret_place,
		      struct diag *d)
{
	const struct key ref = ref_key(ino, dir), extref = extref_key(ino, dir, name);
	int err = find_in_item(tree, &ref, dir, name, ret_place, d);

	return err == 1 ? find_in_item(tree, &extref, dir, name, ret_place, d) : err;
}

int inode_ref_find(const struct tree *tree, u64 ino, u64 dir, const struct name *name, u64 *ret_index, struct diag *d)
{
	struct ref_place place;
	int err = find_place(tree, ino, dir, name, &place, d);

	if (!err)
		*ret_index = place.index;
	return err;
}

static int add_extref(struct subvol_edit *edit, u64 ino, u64 dir, const struct name *name, u64 index, struct diag *d)
{
	const struct key key = extref_key(ino, dir, name);
	u8 entry[sizeof(struct disk_inode_extref) + NAME_LEN_MAX];
	struct disk_inode_extref *ref = (void *)entry;
	int err;

	le64_put(&ref->parent_objectid, dir);
	le64_put(&ref->index, index);
	le16_put(&ref->name_len, (u16)name->len);
	memcpy(ref->name, name->bytes, name->len);
	err = packed_append(edit->root, &key, entry, (u32)sizeof(*ref) + name->len, d);
	return err == -EOVERFLOW ? diag_fail(d, -EMLINK, "inode %llu: too many names with one hash", (ull)ino) : err;
}

int inode_ref_add(struct subvol_edit *edit, u64 ino, u64 dir, const struct name *name, u64 index, struct diag *d)
{
	const struct key key = ref_key(ino, dir);
	u8 entry[sizeof(struct disk_inode_ref) + NAME_LEN_MAX];
	struct disk_inode_ref *ref = (void *)entry;
	int err;

	le64_put(&ref->index, index);
	le16_put(&ref->name_len, (u16)name->len);
	memcpy(ref->name, name->bytes, name->len);
	err = packed_append(edit->root, &key, entry, (u32)sizeof(*ref) + name->len, d);
	if (err != -EOVERFLOW)
		return err;
	if (!subvol_has_feature(edit, INCOMPAT_EXTENDED_IREF))
		return diag_fail(d, -EMLINK, "inode %llu: too many names in directory %llu without the extref feature", (ull)ino,
				 (ull)dir);
	diag_clear(d);
	return add_extref(edit, ino, dir, name, index, d);
}

int inode_ref_remove(struct subvol_edit *edit, u64 ino, u64 dir, const struct name *name, u64 *ret_index, struct diag *d)
{
	struct ref_place place;
	int err = find_place(subvol_tree(edit), ino, dir, name, &place, d);

	if (err == 1)
		return diag_fail(d, -ENOENT, "inode %llu is not called %.*s in directory %llu", (ull)ino, (int)name->len,
				 name->bytes, (ull)dir);
	if (!err)
		err = packed_remove(edit->root, &place.key, place.at, place.bytes, d);
	if (!err && ret_index)
		*ret_index = place.index;
	return err;
}
