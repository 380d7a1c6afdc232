/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which subvolumes there are, and from which snapshot each descends. */
#include <inttypes.h>

#include "convert/bcachefs/bch_fs.h"

struct disk_subvol {
	le32 flags, snapshot;
	le64 ino;
	/* What follows, later versions have. */
	le32 creation_parent, fs_path_parent;
	le64 otime_lo, otime_hi;
};
_Static_assert(sizeof(struct disk_subvol) == 40, "subvolume");
#define SUBVOL_BYTES_MIN 16

struct disk_snapshot {
	le32 flags, parent, children[2], subvol;
};
_Static_assert(sizeof(struct disk_snapshot) == 20, "snapshot");

static int get_snapshot(const struct bch_key *key, struct bch_snapshot *ret_snapshot, struct diag *d)
{
	struct disk_snapshot disk;

	if (key->pos.inode != 0 || key->pos.offset == 0 || key->pos.offset > UINT32_MAX ||
	    key->value_bytes < sizeof(disk))
		return diag_fail(d, -EUCLEAN, "snapshot %" PRIu64 " has a bad key", key->pos.offset);
	memcpy(&disk, key->value, sizeof(disk));
	*ret_snapshot = (struct bch_snapshot){
		.id = (u32)key->pos.offset,
		.parent = le32_get(disk.parent),
		.subvol = le32_get(disk.subvol),
		.flags = le32_get(disk.flags),
		.children = { le32_get(disk.children[0]), le32_get(disk.children[1]) },
	};
	/* A parent is always older, and older ones have higher numbers: so there are no circles. */
	if (ret_snapshot->parent && ret_snapshot->parent <= ret_snapshot->id)
		return diag_fail(d, -EUCLEAN, "snapshot %u has the parent %u, which is not older", ret_snapshot->id,
				 ret_snapshot->parent);
	return 0;
}

static int add_snapshot(struct bch_snapshots *snapshots, const struct bch_key *key, struct diag *d)
{
	struct bch_snapshot snapshot;
	int err;

	if (key->type != BCH_KEY_SNAPSHOT)
		return 0;
	err = get_snapshot(key, &snapshot, d);
	if (err)
		return err;
	return array_push(&snapshots->list, snapshot) < 0 ? diag_no_memory(d, "snapshots") : 0;
}

static int add_subvol(struct bch_fs *fs, struct bch_snapshots *snapshots, const struct bch_key *key, struct diag *d)
{
	struct disk_subvol disk = { 0 };
	struct bch_subvol subvol;

	if (key->type != BCH_KEY_SUBVOLUME)
		return 0;
	if (key->pos.inode != 0 || key->pos.offset == 0 || key->pos.offset > UINT32_MAX ||
	    key->value_bytes < SUBVOL_BYTES_MIN)
		return diag_fail(d, -EUCLEAN, "subvolume %" PRIu64 " has a bad key", key->pos.offset);
	memcpy(&disk, key->value, MIN(sizeof(disk), (size_t)key->value_bytes));
	subvol = (struct bch_subvol){
		.id = (u32)key->pos.offset,
		.snapshot = le32_get(disk.snapshot),
		.top_ino = le64_get(disk.ino),
		.flags = le32_get(disk.flags),
		.parent = le32_get(disk.creation_parent),
		.fs_path_parent = le32_get(disk.fs_path_parent),
	};
	if (le64_get(disk.otime_lo))
		subvol.otime = bch_time(fs, le64_get(disk.otime_lo));
	return array_push(&snapshots->subvols, subvol) < 0 ? diag_no_memory(d, "subvolumes") : 0;
}

static bool is_damage(int err)
{
	return err == -EUCLEAN || err == -EIO;
}

/* All that can be read; *ret_is_lost: not all could be, and *first says why. What is wrong with one key costs that key. */
static int for_each_key(struct bch_fs *fs, u8 btree, struct bch_snapshots *snapshots, bool *ret_is_lost, struct diag *first, struct diag *d)
{
	_cleanup_(bch_cursor_done) struct bch_cursor cursor;
	struct bch_pos at = BCH_POS_MIN;
	bool do_seek = true;

	bch_cursor_init(&cursor, fs, btree);
	for (;;) {
		struct diag why = { .note = d ? d->note : NULL, .note_arg = d ? d->note_arg : NULL };
		struct bch_key key;
		int err = do_seek ? bch_cursor_seek(&cursor, &at, &key, &why) : bch_cursor_next(&cursor, &key, &why);

		if (err > 0)
			return 0;
		do_seek = is_damage(err);
		if (do_seek) /* on behind what is lost, and never back */
			at = bch_pos_compare(&cursor.lost_max, &at) < 0 ? BCH_POS_MAX : bch_pos_successor(cursor.lost_max);
		else if (!err)
			err = btree == BCH_SNAPSHOTS ? add_snapshot(snapshots, &key, &why) : add_subvol(fs, snapshots, &key, &why);
		if (err && !is_damage(err))
			return diag_copy(d, &why);
		if (err && !first->err)
			diag_copy(first, &why);
		*ret_is_lost |= err < 0;
		if (do_seek && bch_pos_compare(&at, &BCH_POS_MAX) >= 0)
			return 0;
	}
}

/*
 * Is there any inode of a snapshot other than the first? Every volume has that one, as 0 or all ones. What cannot be
 * read is not counted.
 */
static int has_others(struct bch_fs *fs, bool *ret_has_others, struct diag *d)
{
	struct bch_pos at = BCH_POS_MIN; /* it goes on behind what is lost, and never back */
	struct bch_cursor cursor;
	struct bch_key key;
	struct diag why = { 0 };
	int err;

	*ret_has_others = false;
	bch_cursor_init(&cursor, fs, BCH_INODES);
	err = bch_cursor_seek(&cursor, &at, &key, &why);
	while (err <= 0 && !*ret_has_others) {
		if (!err) {
			*ret_has_others = key.pos.snapshot != 0 && key.pos.snapshot != UINT32_MAX;
			at = key.pos;
			err = bch_cursor_next(&cursor, &key, &why);
		} else if ((err == -EUCLEAN || err == -EIO) && bch_pos_compare(&cursor.lost_max, &at) >= 0 &&
			   bch_pos_compare(&cursor.lost_max, &BCH_POS_MAX) < 0) {
			at = bch_pos_successor(cursor.lost_max);
			err = bch_cursor_seek(&cursor, &at, &key, &why);
		} else {
			break;
		}
	}
	bch_cursor_done(&cursor);
	return err < 0 && err != -EUCLEAN && err != -EIO ? diag_copy(d, &why) : 0;
}

/* Made before there were any, or as good as that. */
static int make_up_subvol(struct bch_snapshots *snapshots, struct diag *d)
{
	const struct bch_subvol only = { .id = BCH_TOP_SUBVOL, .top_ino = BCH_TOP_INODE };

	return array_push(&snapshots->subvols, only) < 0 ? diag_no_memory(d, "subvolumes") : 0;
}

/*
 * The lists of a volume that never had a snapshot need not be readable; of another, what is lost is made up for as far as that is sure.
 */
static int do_without(struct bch_fs *fs, struct bch_snapshots *snapshots, const struct diag *why, struct diag *d)
{
	bool others;
	int err = has_others(fs, &others, d);

	if (err)
		return err;
	if (others)
		return bch_snapshots_rebuild(fs, snapshots, why, d);
	diag_note(d, DIAG_WARNING, "%s: the volume is read as one that has neither subvolumes nor snapshots", why->text);
	bch_snapshots_done(snapshots);
	*snapshots = (struct bch_snapshots){ 0 };
	return make_up_subvol(snapshots, d);
}

/* A key that leads to one that is not there. */
static bool lacks_parent(const struct bch_snapshots *snapshots, struct diag *why)
{
	array_for_each(&snapshots->list, snapshot) {
		u32 parent = snapshot->parent;
		size_t i = array_lower_bound(&snapshots->list, it, it->id < parent);

		if (parent && (i == snapshots->list.len || snapshots->list.items[i].id != parent)) {
			diag_fail(why, -EUCLEAN, "snapshot %u, from which %u descends, is not there", parent, snapshot->id);
			return true;
		}
	}
	return false;
}

static bool lacks_list(const struct bch_snapshots *snapshots, struct diag *why)
{
	bool lacks = !snapshots->list.len != !snapshots->subvols.len;

	if (lacks)
		diag_fail(why, -EUCLEAN, snapshots->list.len ? "there are snapshots, but no subvolumes" :
							       "there are subvolumes, but no snapshots");
	return lacks;
}

int bch_snapshots_read(struct bch_fs *fs, struct bch_snapshots *ret_snapshots, struct diag *d)
{
	struct bch_snapshots snapshots = { 0 };
	struct diag why = { 0 };
	int err = for_each_key(fs, BCH_SNAPSHOTS, &snapshots, &snapshots.is_list_lost, &why, d);

	if (!err)
		err = for_each_key(fs, BCH_SUBVOLUMES, &snapshots, &snapshots.is_subvols_lost, &why, d);
	if (!err && !why.err && lacks_list(&snapshots, &why))
		*(snapshots.list.len ? &snapshots.is_subvols_lost : &snapshots.is_list_lost) = true;
	if (!err && !why.err)
		snapshots.is_list_lost = lacks_parent(&snapshots, &why);
	if (!err && why.err)
		err = do_without(fs, &snapshots, &why, d);
	else if (!err && snapshots.subvols.len == 0)
		err = make_up_subvol(&snapshots, d);
	if (err) {
		bch_snapshots_done(&snapshots);
		return err;
	}
	*ret_snapshots = snapshots;
	return 0;
}

void bch_snapshots_done(struct bch_snapshots *snapshots)
{
	array_done(&snapshots->list);
	array_done(&snapshots->subvols);
	array_done(&snapshots->facts);
}

const struct bch_subvol *bch_subvol_find(const struct bch_fs *fs, u32 id)
{
	size_t i = array_lower_bound(&fs->snapshots.subvols, it, it->id < id);

	if (i == fs->snapshots.subvols.len || fs->snapshots.subvols.items[i].id != id)
		return NULL;
	return &fs->snapshots.subvols.items[i];
}

/* What is known of a snapshot by its inodes; NULL: nothing. */
static const struct bch_snapshot_fact *find_fact(const struct bch_snapshots *snapshots, u32 id)
{
	size_t i = array_lower_bound(&snapshots->facts, it, it->id < id);

	return i < snapshots->facts.len && snapshots->facts.items[i].id == id ? &snapshots->facts.items[i] : NULL;
}

/*
 * The way up from @snapshot is lost before @ancestor. What is sure all the same: a subvolume's own snapshots are ancestors of its
 * youngest, as is what all of the tree descend from; those of other trees are not, and leaves are nobody's. A subvolume that was made
 * as a snapshot of another has ancestors that are the other's, but they are older than the first of its own.
 */
static int judge_by_facts(const struct bch_fs *fs, u32 snapshot, u32 ancestor)
{
	const struct bch_snapshot_fact *own = find_fact(&fs->snapshots, snapshot), *fact = find_fact(&fs->snapshots, ancestor);
	const struct bch_subvol *subvol = own && own->owner ? bch_subvol_find(fs, own->owner) : NULL;

	if (!subvol || !fact)
		return -1;
	if (fact->owner == subvol->id)
		return 1;
	if (fact->tree && fact->tree != subvol->top_ino)
		return 0;
	if (fact->tree && fact->is_root)
		return 1;
	if (fact->is_leaf || (fact->owner && ancestor < subvol->first_snapshot))
		return 0;
	return -1;
}

int bch_snapshot_judge(const struct bch_fs *fs, u32 snapshot, u32 ancestor)
{
	const struct bch_snapshots *snapshots = &fs->snapshots;
	u32 at = snapshot;

	/* Where there are no snapshots, positions have 0, or all ones once a newer version has read them. */
	if (snapshots->list.len == 0 && snapshots->facts.len == 0 && snapshot == 0)
		return ancestor == 0 || ancestor == UINT32_MAX;
	while (at && at < ancestor) {
		size_t i = array_lower_bound(&snapshots->list, it, it->id < at);

		if (i == snapshots->list.len || snapshots->list.items[i].id != at)
			return snapshots->facts.len ? judge_by_facts(fs, snapshot, ancestor) : 0;
		at = snapshots->list.items[i].parent;
	}
	if (at == ancestor)
		return at != 0;
	if (at == snapshot && snapshots->facts.len) { /* a younger one: of what may have lost those */
		const struct bch_snapshot_fact *own = find_fact(snapshots, snapshot);
		const struct bch_subvol *subvol = own && own->owner ? bch_subvol_find(fs, own->owner) : NULL;

		if (subvol && subvol->is_leaf_lost)
			return judge_by_facts(fs, snapshot, ancestor);
	}
	return 0;
}
