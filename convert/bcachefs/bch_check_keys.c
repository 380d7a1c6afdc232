/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inodes, names and extended attributes, each key by itself, of all snapshots: is it of a type that belongs there, can it be taken
 * apart, is there the snapshot that it is of? And operations that were cut off. What is wrong with an inode makes it lost for later
 * passes.
 */
#include "convert/bcachefs/bch_check.h"
#include "convert/bcachefs/bch_check_key.h"
#include "convert/bcachefs/bch_logged_ops.h"

typedef unsigned long long ull;

bool bch_key_belongs(u8 btree, u8 type)
{
	if (type == BCH_KEY_DELETED || type == BCH_KEY_WHITEOUT || type == BCH_KEY_COOKIE)
		return true;
	switch (btree) {
	case BCH_EXTENTS:
		return type == BCH_KEY_EXTENT || type == BCH_KEY_RESERVATION || type == BCH_KEY_REFLINK_P ||
		       type == BCH_KEY_INLINE_DATA || type == BCH_KEY_ERROR || type == BCH_KEY_EXTENT_WHITEOUT;
	case BCH_INODES:
		return type == BCH_KEY_INODE || type == BCH_KEY_INODE_V2 || type == BCH_KEY_INODE_V3 ||
		       type == BCH_KEY_INODE_GENERATION || type == BCH_KEY_INODE_ALLOC_CURSOR;
	case BCH_DIRENTS:
		return type == BCH_KEY_DIRENT || type == BCH_KEY_HASH_WHITEOUT;
	case BCH_XATTRS:
		return type == BCH_KEY_XATTR || type == BCH_KEY_HASH_WHITEOUT;
	case BCH_REFLINK:
		return type == BCH_KEY_REFLINK_V || type == BCH_KEY_INDIRECT_INLINE_DATA || type == BCH_KEY_ERROR;
	default:
		return true;
	}
}

void bch_complain_of_key(struct bch_check *check, u8 btree, const struct bch_pos *pos, const char *why)
{
	struct path_list paths = { 0 };
	char name[16], at[BCH_POS_TEXT_MAX];

	bch_paths_of_key(check, btree, pos, &paths);
	complain(check, BCH_KEY_BAD, AT(.inode = btree == BCH_INODES ? pos->offset : pos->inode, .paths = &paths),
		 bch_btree_name(btree, name), bch_pos_text(pos, at), why);
	path_list_done(&paths);
}

static void complain_of_snapshot(struct bch_check *check, u8 btree, const struct bch_pos *pos)
{
	char name[16], at[BCH_POS_TEXT_MAX];

	array_for_each(&check->snapshots_missing, missing)
		if (*missing == pos->snapshot)
			return;
	if (array_push(&check->snapshots_missing, pos->snapshot) < 0)
		return;
	complain(check, BCH_KEY_OF_NO_SNAPSHOT, AT(0), bch_btree_name(btree, name), bch_pos_text(pos, at), pos->snapshot);
}

bool bch_key_judge(struct bch_check *check, u8 btree, const struct bch_key *key)
{
	const struct bch_snapshots *snapshots = &check->fs->snapshots;
	char name[16], type[16], at[BCH_POS_TEXT_MAX];

	if (!bch_key_belongs(btree, key->type)) {
		complain(check, BCH_KEY_MISPLACED, AT(.inode = key->pos.inode), bch_btree_name(btree, name),
			 bch_pos_text(&key->pos, at), bch_key_type_name(key->type, type));
		return false;
	}
	if (snapshots->list.len && !snapshots->is_list_lost && key->pos.snapshot && btree != BCH_REFLINK) {
		u32 wanted = key->pos.snapshot;
		size_t i = array_lower_bound(&snapshots->list, it, it->id < wanted);

		if (i == snapshots->list.len || snapshots->list.items[i].id != wanted)
			complain_of_snapshot(check, btree, &key->pos);
	}
	return true;
}

static int judge_value(struct bch_check *check, u8 btree, const struct bch_key *key, struct diag *d)
{
	struct bch_dirent dirent;
	struct bch_inode inode;
	struct bch_xattr xattr;
	struct diag why = { 0 };
	int err = 0;

	if (key->type == BCH_KEY_DIRENT)
		err = bch_dirent_get(key, &dirent, &why);
	else if (key->type == BCH_KEY_XATTR)
		err = bch_xattr_get(key, &xattr, &why);
	else if (btree == BCH_INODES && key->type != BCH_KEY_WHITEOUT)
		err = bch_inode_get(key, &inode, &why);
	if (err >= 0)
		return 0;
	if (err == -ENOMEM)
		return diag_copy(d, &why);
	bch_complain_of_key(check, btree, &key->pos, why.text);
	return btree == BCH_INODES ? bch_lost_add(check, btree, &key->pos, &key->pos, d) : 0;
}

static void judge_logged_op(struct bch_check *check, const struct bch_key *key)
{
	const struct bch_subvol *subvol;
	struct path_list paths = { 0 };
	struct diag why = { 0 };
	struct bch_logged_op op;
	int err = bch_logged_op_get(key, &op, &why);

	if (err < 0)
		bch_complain_of_key(check, BCH_LOGGED_OPS, &key->pos, why.text);
	if (err)
		return;
	subvol = bch_subvol_find(check->fs, op.subvol);
	if (subvol)
		bch_path_add(check, subvol, op.ino, &paths);
	complain(check, BCH_UNFINISHED, AT(.tree = op.subvol, .inode = op.ino, .paths = &paths), (ull)op.ino,
		 op.is_truncate ? "a truncation" : "the insertion or removal of a range");
	path_list_done(&paths);
}

int bch_pass_keys(struct bch_check *check, struct diag *d)
{
	static const u8 btrees[] = { BCH_INODES, BCH_DIRENTS, BCH_XATTRS, BCH_LOGGED_OPS };
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(btrees) && err >= 0; i++) {
		struct bch_sweep sweep;
		struct bch_key key;

		bch_sweep_init(&sweep, check, btrees[i]);
		while ((err = bch_sweep_next(&sweep, &key, d)) == 0) {
			if (btrees[i] == BCH_LOGGED_OPS)
				judge_logged_op(check, &key);
			else if (bch_key_judge(check, btrees[i], &key))
				err = judge_value(check, btrees[i], &key, d);
			if (err < 0)
				break;
		}
		bch_sweep_done(&sweep);
	}
	return err < 0 ? err : 0;
}
