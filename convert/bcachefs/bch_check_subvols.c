/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots form trees in which parents and children know each other; each subvolume has a snapshot that nobody else has, and a
 * directory at its top. Names of subvolumes are looked at with the others.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "convert/bcachefs/bch_check_names.h"

typedef unsigned long long ull;

/* Where in a snapshot's value its children are. */
#define CHILDREN_AT 8
#define CHILDREN 2
#define SNAPSHOT_DELETED (1 << 0 | 1 << 2) /* flags: is about to be, and, since 1.26, has been */

static const struct bch_snapshot *find(const struct bch_check *check, u32 id)
{
	const struct bch_snapshots *snapshots = &check->fs->snapshots;
	size_t i = array_lower_bound(&snapshots->list, it, it->id < id);

	return i < snapshots->list.len && snapshots->list.items[i].id == id ? &snapshots->list.items[i] : NULL;
}

static bool has_child(const struct bch_key *key, u32 id)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (le32_get(*(const le32 *)(const void *)(key->value + CHILDREN_AT + 4 * i)) == id)
			return true;
	return false;
}

static void judge_children(struct bch_check *check, const struct bch_key *key)
{
	u32 id = (u32)key->pos.offset;

	for (unsigned i = 0; i < CHILDREN; i++) {
		u32 child = le32_get(*(const le32 *)(const void *)(key->value + CHILDREN_AT + 4 * i));
		const struct bch_snapshot *snapshot = child ? find(check, child) : NULL;
		char text[128];

		if (!child || (snapshot && snapshot->parent == id))
			continue;
		snprintf(text, sizeof(text), snapshot ? "its child %u has another parent, %u" : "its child %u is not there", child,
			 snapshot ? snapshot->parent : 0);
		complain(check, BCH_SNAPSHOT_BAD, AT(0), id, text);
	}
	/* The parent's own key tells whether it knows this one. */
	if (find(check, id) && find(check, id)->parent && !find(check, find(check, id)->parent))
		complain(check, BCH_SNAPSHOT_BAD, AT(0), id, "its parent is not there");
}

/* Is it one that reading did without? */
static bool is_bad_snapshot(const struct bch_check *check, const struct bch_key *key)
{
	const struct bch_snapshot *snapshot = find(check, (u32)key->pos.offset);

	return key->value_bytes < CHILDREN_AT + 4 * CHILDREN || !snapshot || snapshot->is_rebuilt;
}

static int judge_snapshots(struct bch_check *check, struct diag *d)
{
	struct bch_sweep sweep;
	struct bch_key key;
	int err;

	bch_sweep_init(&sweep, check, BCH_SNAPSHOTS);
	while ((err = bch_sweep_next(&sweep, &key, d)) == 0) {
		if (key.type != BCH_KEY_SNAPSHOT)
			continue;
		if (is_bad_snapshot(check, &key)) {
			complain(check, BCH_SNAPSHOT_BAD, AT(0), (u32)key.pos.offset, "its key is cut off, or its parent is not older");
			continue;
		}
		judge_children(check, &key);
		array_for_each(&check->fs->snapshots.list, child)
			if (child->parent == key.pos.offset && !(child->flags & SNAPSHOT_DELETED) && !has_child(&key, child->id))
				complain(check, BCH_SNAPSHOT_BAD, AT(0), child->id, "its parent does not know it");
	}
	bch_sweep_done(&sweep);
	return err < 0 ? err : 0;
}

/* The directory at its top; NULL: all is well. */
static const char *judge_top(struct bch_check *check, const struct bch_subvol *subvol)
{
	const char *what = "the inode at its top is not there";
	bool is_old = check->fs->super->version < BCH_VERSION(0, 12);
	struct bch_view_sweep sweep;
	struct bch_inode inode;
	struct bch_key key;

	bch_view_sweep_init(&sweep, check, BCH_INODES, subvol->snapshot);
	sweep.offset = subvol->top_ino;
	while (bch_view_sweep_next(&sweep, &key, NULL) == 0) {
		if (bch_inode_get(&key, &inode, NULL) != 0)
			continue;
		if (inode.ino != subvol->top_ino)
			break;
		what = !S_ISDIR(inode.mode)			   ? "the inode at its top is no directory" :
		       !is_old && inode.subvol && inode.subvol != subvol->id ? "the inode at its top is that of another one" :
								     NULL;
		break;
	}
	bch_view_sweep_done(&sweep);
	if (what && bch_lost_has_inode(check, BCH_INODES, subvol->top_ino))
		what = "the inode at its top is in a node that cannot be read";
	return what;
}

static void judge_subvol(struct bch_check *check, const struct bch_subvol *subvol)
{
	const struct bch_snapshot *snapshot = find(check, subvol->snapshot);
	char text[128];
	const char *what = NULL;

	if (subvol->flags & BCH_SUBVOL_UNLINKED)
		return;
	if (check->fs->snapshots.list.len && !snapshot && !subvol->is_leaf_lost) {
		snprintf(text, sizeof(text), "its snapshot %u is not there", subvol->snapshot);
		what = text;
	} else if (snapshot && snapshot->subvol != subvol->id) {
		snprintf(text, sizeof(text), "its snapshot %u is that of subvolume %u", subvol->snapshot, snapshot->subvol);
		what = text;
	}
	if (what)
		complain(check, BCH_SUBVOL_BAD, AT(.tree = subvol->id), subvol->id, what);
	what = judge_top(check, subvol);
	if (what) {
		struct path_list paths = { 0 };

		bch_path_add(check, subvol, subvol->top_ino, &paths);
		complain(check, BCH_SUBVOL_BAD, AT(.tree = subvol->id, .paths = &paths), subvol->id, what);
		path_list_done(&paths);
	}
}

/* Keys that reading did without. */
static int judge_bad_subvols(struct bch_check *check, struct diag *d)
{
	struct bch_sweep sweep;
	struct bch_key key;
	int err;

	bch_sweep_init(&sweep, check, BCH_SUBVOLUMES);
	while ((err = bch_sweep_next(&sweep, &key, d)) == 0) {
		const struct bch_subvol *subvol = key.pos.offset <= UINT32_MAX ? bch_subvol_find(check->fs, (u32)key.pos.offset) : NULL;

		if (key.type == BCH_KEY_SUBVOLUME && (!subvol || subvol->is_rebuilt))
			complain(check, BCH_SUBVOL_BAD, AT(.tree = key.pos.offset), (u32)key.pos.offset, "its key is cut off");
	}
	bch_sweep_done(&sweep);
	return err < 0 ? err : 0;
}

int bch_pass_subvols(struct bch_check *check, struct diag *d)
{
	int err = judge_snapshots(check, d);

	if (!err)
		err = judge_bad_subvols(check, d);
	if (err)
		return err;
	if (!bch_subvol_find(check->fs, BCH_TOP_SUBVOL))
		complain(check, BCH_SUBVOL_BAD, AT(.tree = BCH_TOP_SUBVOL), BCH_TOP_SUBVOL, "it is not there, and all begins with it");
	array_for_each(&check->fs->snapshots.subvols, subvol) {
		if (bch_check_is_cancelled(check))
			return diag_fail(d, -ECANCELED, "cancelled");
		judge_subvol(check, subvol);
	}
	return 0;
}
