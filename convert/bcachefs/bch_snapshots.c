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

static int add_snapshot(struct bch_snapshots *snapshots, const struct bch_key *key, struct diag *d)
{
	struct disk_snapshot disk;
	struct bch_snapshot snapshot;

	if (key->type != BCH_KEY_SNAPSHOT)
		return 0;
	if (key->pos.inode != 0 || key->pos.offset == 0 || key->pos.offset > UINT32_MAX ||
	    key->value_bytes < sizeof(disk))
		return diag_fail(d, -EUCLEAN, "snapshot %" PRIu64 " has a bad key", key->pos.offset);
	memcpy(&disk, key->value, sizeof(disk));
	snapshot = (struct bch_snapshot){
		.id = (u32)key->pos.offset,
		.parent = le32_get(disk.parent),
		.subvol = le32_get(disk.subvol),
		.flags = le32_get(disk.flags),
	};
	/* A parent is always older, and older ones have higher numbers: so there are no circles. */
	if (snapshot.parent && snapshot.parent <= snapshot.id)
		return diag_fail(d, -EUCLEAN, "snapshot %u has the parent %u, which is not older", snapshot.id,
				 snapshot.parent);
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

static int for_each_key(struct bch_fs *fs, u8 btree, struct bch_snapshots *snapshots, struct diag *d)
{
	struct bch_cursor cursor;
	struct bch_key key;
	int err;

	bch_cursor_init(&cursor, fs, btree);
	for (err = bch_cursor_seek(&cursor, &BCH_POS_MIN, &key, d); !err; err = bch_cursor_next(&cursor, &key, d)) {
		err = btree == BCH_SNAPSHOTS ? add_snapshot(snapshots, &key, d) : add_subvol(fs, snapshots, &key, d);
		if (err)
			break;
	}
	bch_cursor_done(&cursor);
	return err < 0 ? err : 0;
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

/* The lists of a volume that never had a snapshot need not be readable; of another, nobody would know which of its keys
 * are seen. */
static int do_without(struct bch_fs *fs, struct bch_snapshots *snapshots, int err, struct diag *d)
{
	struct diag why = { .err = err };
	bool others;

	if (err != -EUCLEAN && err != -EIO)
		return err;
	if (d)
		memcpy(why.text, d->text, sizeof(why.text));
	err = has_others(fs, &others, d);
	if (err)
		return err;
	if (others)
		return diag_copy(d, &why);
	diag_clear(d);
	diag_note(d, DIAG_WARNING, "%s: the volume is read as one that has neither subvolumes nor snapshots", why.text);
	bch_snapshots_done(snapshots);
	return make_up_subvol(snapshots, d);
}

int bch_snapshots_read(struct bch_fs *fs, struct bch_snapshots *ret_snapshots, struct diag *d)
{
	struct bch_snapshots snapshots = { 0 };
	int err = for_each_key(fs, BCH_SNAPSHOTS, &snapshots, d);

	if (!err)
		err = for_each_key(fs, BCH_SUBVOLUMES, &snapshots, d);
	if (!err && snapshots.subvols.len == 0 && snapshots.list.len == 0)
		err = make_up_subvol(&snapshots, d);
	if (err)
		err = do_without(fs, &snapshots, err, d);
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
}

const struct bch_subvol *bch_subvol_find(const struct bch_fs *fs, u32 id)
{
	size_t i = array_lower_bound(&fs->snapshots.subvols, it, it->id < id);

	if (i == fs->snapshots.subvols.len || fs->snapshots.subvols.items[i].id != id)
		return NULL;
	return &fs->snapshots.subvols.items[i];
}

bool bch_snapshot_sees(const struct bch_fs *fs, u32 snapshot, u32 ancestor)
{
	/* Where there are no snapshots, positions have 0, or all ones once a newer version has read them. */
	if (fs->snapshots.list.len == 0 && snapshot == 0)
		return ancestor == 0 || ancestor == UINT32_MAX;
	while (snapshot && snapshot < ancestor) {
		size_t i = array_lower_bound(&fs->snapshots.list, it, it->id < snapshot);

		if (i == fs->snapshots.list.len || fs->snapshots.list.items[i].id != snapshot)
			return false;
		snapshot = fs->snapshots.list.items[i].parent;
	}
	return snapshot == ancestor && snapshot != 0;
}
