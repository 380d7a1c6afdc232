/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directory entries that lead to subvolumes, against the root tree's references. A snapshot has the entries of what it was
 * taken from, which lead nowhere in it, and rightly so: only a subvolume that is none is judged.
 */
#include <xxhash.h>

#include "check/check.h"
#include "check/inode_part.h"

typedef unsigned long long ull;

/* The same sum as over the entries, from the references. */
static int sum_references(struct check *check, u64 subvol, u64 *ret_sum)
{
	const struct key first = { subvol, ROOT_REF_KEY, 0 };
	struct cursor cursor = cursor_init(&check->fs->root_tree);
	u64 sum = 0;
	int err;

	for (err = cursor_seek(&cursor, &first, NULL); err == 0 && cursor_is_at(&cursor, subvol, ROOT_REF_KEY);
	     err = cursor_next(&cursor, NULL)) {
		const struct disk_root_ref *ref = cursor_data(&cursor);
		struct hashed_name hashed = { .ino = cursor_key(&cursor).offset };

		if (cursor_data_bytes(&cursor) < sizeof(*ref) ||
		    cursor_data_bytes(&cursor) - sizeof(*ref) < le16_get(ref->name_len))
			continue; /* complained of where leaves are read */
		hashed.dir = le64_get(ref->dirid);
		hashed.index = le64_get(ref->sequence);
		hashed.name = XXH3_64bits_withSeed(ref->name, le16_get(ref->name_len), ~check->hash_seed);
		sum += check_hash(check, &hashed, sizeof(hashed));
	}
	cursor_done(&cursor);
	*ret_sum = sum;
	return err < 0 ? err : 0;
}

/* The key of a snapshot's root item has the generation in which it was taken. */
static bool is_snapshot(const struct check *check, u64 subvol)
{
	array_for_each(&check->roots, root)
		if (root->id == subvol && !root->is_reloc && root->item_key.offset)
			return true;
	return false;
}

static void judge_entry(struct check *check, u64 subvol, const struct key *key, const struct disk_dir_item *item)
{
	const struct key wanted = { subvol, ROOT_REF_KEY, le64_get(item->location.objectid) };
	struct cursor cursor = cursor_init(&check->fs->root_tree);
	const struct disk_root_ref *ref;
	int err = cursor_find(&cursor, &wanted, NULL);

	if (err == 0) {
		ref = cursor_data(&cursor);
		if (cursor_data_bytes(&cursor) < sizeof(*ref) || le64_get(ref->dirid) != key->objectid ||
		    le64_get(ref->sequence) != key->offset)
			err = 1;
	}
	if (err == 1)
		complain(check, SUBVOL_ENTRY_DANGLES, AT(.tree = subvol, .inode = key->objectid), (ull)subvol,
			 (ull)key->objectid, (int)le16_get(item->name_len), (const char *)item->name, (ull)wanted.offset);
	cursor_done(&cursor);
}

void judge_subvol_entries(struct check *check, u64 subvol, u64 names)
{
	struct cursor cursor;
	struct fs_root root;
	u64 sum;

	if (!tree_id_is_subvol(subvol) || sum_references(check, subvol, &sum) < 0 || sum == names ||
	    is_snapshot(check, subvol) || fs_subvol_root(check->fs, subvol, &root, NULL) < 0)
		return;
	cursor = cursor_init(&root.tree);
	cursor.do_skip_damage = true;
	for (int err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);

		if (key.type == DIR_INDEX_KEY &&
		    block_check_item(block_cache_check_params(check->fs->cache), cursor.path[0].block->data,
				     cursor.path[0].slot, NULL) == 0 &&
		    ((const struct disk_dir_item *)cursor_data(&cursor))->location.type == ROOT_ITEM_KEY)
			judge_entry(check, subvol, &key, cursor_data(&cursor));
	}
	cursor_done(&cursor);
}
