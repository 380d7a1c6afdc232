/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sweep by owner: each inode of a subvolume beside the names in it, its attributes and its extents. */
#include <dirent.h>
#include <sys/stat.h>

#include "convert/bcachefs/bch_check_names.h"
#include "convert/bcachefs/bch_look.h"
#include "convert/bcachefs/bch_logged_ops.h"

typedef unsigned long long ull;

/* How far behind its hash a name may be, where all places in between are taken. */
#define PROBES_MAX 4096

/* --- Streams ---------------------------------------------------------------------------------------------------------- */

int bch_stream_open(struct bch_stream *stream, struct bch_check *check, u8 btree, u32 snapshot, struct diag *d)
{
	bch_view_sweep_init(&stream->sweep, check, btree, snapshot);
	return bch_stream_next(stream, d);
}

int bch_stream_next(struct bch_stream *stream, struct diag *d)
{
	int err = bch_view_sweep_next(&stream->sweep, &stream->key, d);

	stream->state = err ? 1 : 0;
	return err < 0 ? err : 0;
}

void bch_stream_done(struct bch_stream *stream)
{
	if (stream->sweep.check)
		bch_view_sweep_done(&stream->sweep);
}

/* Those that cannot be taken apart were complained of, and are lost. */
int bch_stream_inode(struct bch_stream *stream, struct bch_inode *ret_inode, struct diag *d)
{
	int err = 0;

	while (!err && stream->state == 0) {
		bool is_inode = bch_inode_get(&stream->key, ret_inode, NULL) == 0;

		err = bch_stream_next(stream, d);
		if (is_inode && !err) {
			bch_inode_truncate(stream->sweep.check->fs, stream->sweep.view.snapshot, ret_inode);
			return 0;
		}
	}
	return err ? err : 1;
}

/* --- Names and attributes ------------------------------------------------------------------------------------------------ */

/* A name that did not find its place free is in one of the next: are all those before it taken? */
static bool is_probed(struct bch_check *check, const struct bch_view *view, const struct bch_key *key, u64 hash)
{
	struct bch_cursor cursor;
	struct bch_key other;
	u64 next = hash;
	int err;

	if (key->pos.offset < hash || key->pos.offset - hash > PROBES_MAX)
		return false;
	if (bch_lost_has(check, view->cursor.btree, (struct bch_pos){ key->pos.inode, hash, 0 }, key->pos))
		return true;
	bch_cursor_init(&cursor, check->fs, view->cursor.btree);
	err = bch_cursor_seek(&cursor, &(struct bch_pos){ key->pos.inode, hash, 0 }, &other, NULL);
	while (err == 0 && other.pos.inode == key->pos.inode && other.pos.offset <= next && next < key->pos.offset) {
		next += other.pos.offset == next && bch_snapshot_sees(check->fs, view->snapshot, other.pos.snapshot);
		err = bch_cursor_next(&cursor, &other, NULL);
	}
	bch_cursor_done(&cursor);
	return next == key->pos.offset;
}

static void judge_hash(struct bch_names_pass *pass, const struct bch_stream *stream, const char *what, const char *name, size_t len,
		       u64 hash)
{
	const struct bch_key *key = &stream->key;

	if (hash == key->pos.offset || is_probed(pass->check, &stream->sweep.view, key, hash))
		return;
	complain_of(pass, BCH_HASH_WRONG, key->pos.inode, (ull)key->pos.inode, what, (int)len, name, (ull)key->pos.offset, (ull)hash);
}

static void judge_subvol_name(struct bch_names_pass *pass, const struct bch_dirent *dirent)
{
	const struct bch_snapshots *snapshots = &pass->check->fs->snapshots;
	const struct bch_subvol *subvol = bch_subvol_find(pass->check->fs, dirent->subvol);

	/* A snapshot also has the names of subvolumes that were in what it was made from; nobody shows them there. */
	if (!bch_dirent_is_of(dirent, pass->subvol))
		return;
	if (subvol)
		pass->nr_subvol_names[subvol - snapshots->subvols.items]++;
	else
		complain(pass->check, BCH_SUBVOL_BAD, AT(.tree = dirent->subvol), dirent->subvol,
			 "a name leads to it, but it is not there");
}

/* @inode: what the name is in; NULL: it is not there. *nr_dirs counts directories. */
static int judge_name(struct bch_names_pass *pass, const struct bch_inode *inode, u64 *nr_dirs, struct diag *d)
{
	const struct bch_key *key = &pass->dirents.key;
	struct bch_name_fact fact = { .dir = key->pos.inode, .offset = key->pos.offset };
	struct bch_dirent dirent;
	u64 hash;

	if (key->type != BCH_KEY_DIRENT || bch_dirent_get(key, &dirent, NULL) < 0)
		return 0;
	fact.child = dirent.ino;
	fact.type = dirent.type;
	if (inode && !S_ISDIR(inode->mode))
		inode = NULL;
	if (!inode && !bch_lost_has_inode(pass->check, BCH_INODES, key->pos.inode))
		complain(pass->check, BCH_DIRENT_WITHOUT_DIR, AT(.tree = pass->subvol->id, .inode = dirent.ino), pass->subvol->id,
			 (ull)dirent.ino, (ull)key->pos.inode);
	if (inode && bch_name_hash(pass->check->fs, inode, dirent.hashed, dirent.hashed_len, &hash) == 0)
		judge_hash(pass, &pass->dirents, "name", dirent.name, dirent.name_len, hash);
	*nr_dirs += dirent.type == DT_DIR; /* subvolumes do not count */
	if (dirent.type == BCH_DT_SUBVOL) {
		judge_subvol_name(pass, &dirent);
		return 0;
	}
	return sorter_add(pass->names, &fact, 1, d);
}

static void judge_xattr(struct bch_names_pass *pass, const struct bch_inode *inode)
{
	const struct bch_key *key = &pass->xattrs.key;
	struct bch_xattr xattr;
	u64 hash;

	if (key->type != BCH_KEY_XATTR || bch_xattr_get(key, &xattr, NULL) < 0)
		return;
	if (!inode) {
		if (!bch_lost_has_inode(pass->check, BCH_INODES, key->pos.inode))
			complain(pass->check, BCH_XATTR_WITHOUT_INODE, AT(.tree = pass->subvol->id, .inode = key->pos.inode),
				 pass->subvol->id, (ull)key->pos.inode);
		return;
	}
	/* The hash is that of the name without its prefix, which is stored before the value. */
	if (bch_xattr_hash(pass->check->fs, inode, key->value[0], (const char *)key->value + 4, key->value[1], &hash) == 0)
		judge_hash(pass, &pass->xattrs, "attribute", xattr.name, strlen(xattr.name), hash);
}

/* --- Extents ------------------------------------------------------------------------------------------------------------- */

struct extents_seen {
	u64 end, data_end; /* in sectors */
	u64 nr_sectors;
};

static bool is_allocation(const struct bch_key *key)
{
	return key->type == BCH_KEY_EXTENT || key->type == BCH_KEY_RESERVATION || key->type == BCH_KEY_REFLINK_P ||
	       key->type == BCH_KEY_INLINE_DATA || key->type == BCH_KEY_ERROR;
}

static void judge_extent(struct bch_names_pass *pass, const struct bch_inode *inode, struct extents_seen *seen)
{
	const struct bch_key *key = &pass->extents.key;
	u64 start = key->pos.offset - MIN((u64)key->size_sectors, key->pos.offset), end;

	if (!is_allocation(key))
		return;
	if (!inode) {
		if (!bch_lost_has_inode(pass->check, BCH_INODES, key->pos.inode))
			complain(pass->check, BCH_EXTENT_WITHOUT_INODE, AT(.tree = pass->subvol->id, .inode = key->pos.inode),
				 pass->subvol->id, (ull)key->pos.inode);
		return;
	}
	if (!S_ISREG(inode->mode) && !S_ISLNK(inode->mode))
		complain_of(pass, BCH_EXTENT_MISFIT, inode->ino, (ull)inode->ino, (ull)start);
	if (start < seen->end)
		complain_of(pass, BCH_EXTENT_OVERLAP, inode->ino, (ull)inode->ino, (ull)start, (ull)seen->end);
	seen->end = MAX(seen->end, key->pos.offset);
	seen->nr_sectors += key->size_sectors;
	/* What a truncation that was begun is about to drop may still be there. */
	end = MIN(key->pos.offset, bch_truncate_sector(pass->check->fs, pass->subvol->snapshot, inode->ino));
	if (key->type != BCH_KEY_RESERVATION)
		seen->data_end = MAX(seen->data_end, end);
}

static void judge_size(struct bch_names_pass *pass, const struct bch_inode *inode, const struct extents_seen *seen)
{
	u64 block_sectors = pass->check->fs->super->block_bytes / BCH_SECTOR_BYTES;
	u64 sectors = inode->size / BCH_SECTOR_BYTES + (inode->size % BCH_SECTOR_BYTES != 0);

	if ((inode->flags & (BCH_INODE_SIZE_DIRTY | BCH_INODE_UNLINKED)) || !(S_ISREG(inode->mode) || S_ISLNK(inode->mode)))
		return;
	sectors = (sectors + block_sectors - 1) / block_sectors * block_sectors;
	if (seen->data_end > sectors)
		complain_of(pass, BCH_EXTENT_BEYOND_SIZE, inode->ino, (ull)inode->ino, (ull)seen->data_end, (ull)inode->size);
	if (inode->sectors != seen->nr_sectors && !(inode->flags & BCH_INODE_SECTORS_DIRTY) &&
	    !bch_lost_has_inode(pass->check, BCH_EXTENTS, inode->ino))
		complain_of(pass, BCH_SECTORS_WRONG, inode->ino, (ull)inode->ino, (ull)inode->sectors, (ull)seen->nr_sectors);
}

/* --- Putting them together ------------------------------------------------------------------------------------------------ */

static void judge_lost(struct bch_names_pass *pass, const struct bch_inode *inode)
{
	if (inode->size > 0 && (S_ISREG(inode->mode) || S_ISLNK(inode->mode)) &&
	    bch_lost_has_inode(pass->check, BCH_EXTENTS, inode->ino))
		complain_of(pass, BCH_FILE_DATA_LOST, inode->ino, (ull)inode->ino);
	if (S_ISDIR(inode->mode) && bch_lost_has_inode(pass->check, BCH_DIRENTS, inode->ino))
		complain_of(pass, BCH_NAMES_LOST, inode->ino, (ull)inode->ino);
	if (bch_lost_has_inode(pass->check, BCH_XATTRS, inode->ino))
		complain_of(pass, BCH_XATTRS_LOST, inode->ino, (ull)inode->ino);
}

/* What is of inodes below @limit is nobody's; what is of @inode, which is @limit's, is looked at with it. */
static int pass_over(struct bch_names_pass *pass, const struct bch_inode *inode, u64 limit, bool is_last, u64 *nr_dirs,
		     struct extents_seen *seen, struct diag *d)
{
	int err = 0;

#define is_wanted(stream)                                                                                            \
	((stream)->state == 0 &&                                                                                    \
	 (is_last || (stream)->key.pos.inode < limit || (inode && (stream)->key.pos.inode == limit)))
#define owner_of(stream) (inode && (stream)->key.pos.inode == limit ? inode : NULL)
	while (!err && is_wanted(&pass->dirents)) {
		err = judge_name(pass, owner_of(&pass->dirents), nr_dirs, d);
		if (!err)
			err = bch_stream_next(&pass->dirents, d);
	}
	while (!err && is_wanted(&pass->xattrs)) {
		judge_xattr(pass, owner_of(&pass->xattrs));
		err = bch_stream_next(&pass->xattrs, d);
	}
	while (!err && is_wanted(&pass->extents)) {
		judge_extent(pass, owner_of(&pass->extents), seen);
		err = bch_stream_next(&pass->extents, d);
	}
#undef is_wanted
#undef owner_of
	return err;
}

static int judge_owner(struct bch_names_pass *pass, const struct bch_inode *inode, struct diag *d)
{
	struct extents_seen seen = { 0 };
	u64 nr_dirs = 0;
	int err = pass_over(pass, NULL, inode->ino, false, &nr_dirs, &seen, d);

	nr_dirs = 0;
	seen = (struct extents_seen){ 0 };
	if (!err)
		err = pass_over(pass, inode, inode->ino, false, &nr_dirs, &seen, d);
	if (err)
		return err;
	pass->check->result->nr_inodes++;
	progress_add(pass->check->progress, 0, 1);
	judge_lost(pass, inode);
	judge_size(pass, inode, &seen);
	if (S_ISDIR(inode->mode) && !(inode->flags & BCH_INODE_UNLINKED) && inode->nlink != nr_dirs + 2 &&
	    !bch_lost_has_inode(pass->check, BCH_DIRENTS, inode->ino))
		complain_of(pass, BCH_LINK_COUNT_WRONG, inode->ino, (ull)inode->ino, inode->nlink, (ull)nr_dirs + 2);
	return 0;
}

int bch_names_by_owner(struct bch_names_pass *pass, struct diag *d)
{
	u32 snapshot = pass->subvol->snapshot;
	struct extents_seen seen = { 0 };
	struct bch_inode inode;
	u64 nr_dirs = 0;
	int err = bch_stream_open(&pass->inodes, pass->check, BCH_INODES, snapshot, d);

	if (!err)
		err = bch_stream_open(&pass->dirents, pass->check, BCH_DIRENTS, snapshot, d);
	if (!err)
		err = bch_stream_open(&pass->xattrs, pass->check, BCH_XATTRS, snapshot, d);
	if (!err)
		err = bch_stream_open(&pass->extents, pass->check, BCH_EXTENTS, snapshot, d);
	while (!err && (err = bch_stream_inode(&pass->inodes, &inode, d)) == 0)
		err = judge_owner(pass, &inode, d);
	if (err >= 0)
		err = pass_over(pass, NULL, UINT64_MAX, true, &nr_dirs, &seen, d);
	bch_stream_done(&pass->inodes);
	bch_stream_done(&pass->dirents);
	bch_stream_done(&pass->xattrs);
	bch_stream_done(&pass->extents);
	return err;
}
