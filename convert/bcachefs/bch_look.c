/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_look.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_file.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_logged_ops.h"

/* --- Keys of one inode ------------------------------------------------------------------------------------------ */

static bool is_damage(int err)
{
	return err == -EUCLEAN || err == -EIO;
}

static struct diag fresh(const struct diag *d)
{
	return (struct diag){ .note = d ? d->note : NULL, .note_arg = d ? d->note_arg : NULL };
}

/* Return @err, of which @why says more, unless a sink failed without a word. */
static int hand_over(struct diag *d, int err, struct diag *why)
{
	if (!why->err)
		why->err = err;
	return diag_copy(d, why);
}

/* The first failure is the one that is told. */
static void remember(struct diag *first, int err, const struct diag *why)
{
	if (first->err)
		return;
	diag_copy(first, why);
	first->err = err;
}

int bch_for_each_of_inode(struct bch_fs *fs, u8 btree, u32 snapshot, u64 ino, bch_key_fn fn, void *ctx, struct diag *d)
{
	_cleanup_(bch_view_done) struct bch_view view;
	struct diag first = fresh(d);
	bool do_seek = true;
	u64 at = 0;

	bch_view_init(&view, fs, btree, snapshot);
	for (;;) {
		struct diag why = fresh(d);
		struct bch_key key;
		int err = do_seek ? bch_view_seek(&view, ino, at, &key, &why) : bch_view_next(&view, &key, &why);
		bool is_lost = is_damage(err);

		if (err > 0 || (!err && key.pos.inode != ino))
			break;
		if (!err) {
			at = key.pos.offset;
			err = fn(ctx, &key, &why);
		}
		if (err && !is_damage(err))
			return err < 0 ? hand_over(d, err, &why) : err;
		if (err)
			remember(&first, err, &why);
		do_seek = is_lost;
		if (is_lost) {
			const struct bch_pos *lost = &view.cursor.lost_max;

			if (lost->inode != ino || lost->offset < at || lost->offset == UINT64_MAX)
				break;
			at = lost->offset + 1;
		}
	}
	return first.err ? diag_copy(d, &first) : 0;
}

int bch_inode_find(struct bch_fs *fs, u32 snapshot, u64 ino, struct bch_inode *ret_inode, struct diag *d)
{
	_cleanup_(bch_view_done) struct bch_view view;
	struct bch_key key;
	int err;

	bch_view_init(&view, fs, BCH_INODES, snapshot);
	err = bch_view_seek(&view, 0, ino, &key, d);
	/* What is lost is behind it. */
	if (is_damage(err) && (view.cursor.lost_min.inode != 0 || view.cursor.lost_min.offset > ino))
		err = 1;
	if (!err && (key.pos.inode != 0 || key.pos.offset != ino))
		err = 1;
	if (!err)
		err = bch_inode_get(&key, ret_inode, d);
	if (!err)
		bch_inode_truncate(fs, snapshot, ret_inode);
	return err > 0 ? diag_fail(d, -ENOENT, "there is no inode %" PRIu64, ino) : err;
}

/* --- Telling one inode ------------------------------------------------------------------------------------------ */

struct telling {
	struct bch_fs *fs;
	const struct bch_subvol *subvol;
	struct bch_inode inode;
	struct source_sink *sink;
	ARRAY(struct source_run) runs;
	u8 *bytes; /* of a file that is inline data only */
	u64 end_byte; /* of what has been told of the file's pieces */
	bool has_other; /* pieces that are not inline */
	struct diag bad; /* the first piece that is */
};

static int tell_xattr(void *ctx, const struct bch_key *key, struct diag *d)
{
	struct telling *telling = ctx;
	struct bch_xattr xattr;
	_free_ u8 *acl = NULL;
	size_t len;
	int err;

	if (key->type == BCH_KEY_HASH_WHITEOUT)
		return 0;
	err = bch_xattr_get(key, &xattr, d);
	if (err)
		return err;
	if (xattr.type != 1 && xattr.type != 2)
		return telling->sink->xattr(telling->sink, telling->inode.ino, xattr.name, xattr.value, xattr.value_len, d);
	err = bch_acl_to_posix(xattr.value, xattr.value_len, &acl, &len, d);
	if (err)
		return diag_context(d, err, "inode %" PRIu64, telling->inode.ino);
	return telling->sink->xattr(telling->sink, telling->inode.ino, xattr.name, acl, len, d);
}

bool bch_dirent_is_of(const struct bch_dirent *dirent, const struct bch_subvol *subvol)
{
	return dirent->type != BCH_DT_SUBVOL || !dirent->parent_subvol || dirent->parent_subvol == subvol->id;
}

static int tell_dirent(void *ctx, const struct bch_key *key, struct diag *d)
{
	struct telling *telling = ctx;
	struct source_sink *sink = telling->sink;
	struct bch_dirent dirent;
	int err;

	if (key->type == BCH_KEY_HASH_WHITEOUT)
		return 0;
	err = bch_dirent_get(key, &dirent, d);
	if (err || !bch_dirent_is_of(&dirent, telling->subvol))
		return err;
	if (dirent.type != BCH_DT_SUBVOL)
		return sink->entry ? sink->entry(sink, telling->inode.ino, dirent.name, dirent.name_len, dirent.ino, d) : 0;
	return sink->subvol ? sink->subvol(sink, telling->inode.ino, dirent.name, dirent.name_len, dirent.subvol, d) : 0;
}

/* --- Where a file lies ------------------------------------------------------------------------------------------ */

static const struct bch_replica *best_replica(const struct bch_fs *fs, const struct bch_extent *extent)
{
	const struct bch_replica *best = NULL;

	for (unsigned i = 0; i < extent->nr_replicas; i++) {
		const struct bch_replica *replica = &extent->replica[i];

		if (replica->is_cached || replica->device >= BCH_DEVICES_MAX)
			continue;
		if (fs->devices[replica->device].dev)
			return replica;
		if (!best)
			best = replica;
	}
	return best;
}

static void place_run(const struct bch_fs *fs, const struct bch_piece *piece, struct source_run *run)
{
	const struct bch_replica *replica = piece->kind == BCH_PIECE_DATA ? best_replica(fs, piece->extent) : NULL;

	run->is_encoded = true;
	if (!replica)
		return;
	run->device = fs->devices[replica->device].given;
	run->physical = replica->physical;
	if (!bch_crc_is_plain(&replica->crc))
		return;
	run->physical += ((u64)replica->crc.offset_sectors + piece->from_sector) * BCH_SECTOR_BYTES;
	run->is_encoded = piece->extent->is_poisoned || bch_csum_is_encrypted(replica->crc.csum_type);
}

static int keep_inline(struct telling *telling, const struct bch_piece *piece, struct diag *d)
{
	u64 start = piece->start_sector * BCH_SECTOR_BYTES, size = telling->inode.size;

	if (!telling->bytes) {
		telling->bytes = calloc(1, (size_t)size);
		if (!telling->bytes)
			return diag_no_memory(d, "a file's contents");
	}
	if (start < size && piece->bytes_len)
		memcpy(telling->bytes + start, piece->bytes, MIN(piece->bytes_len, (size_t)(size - start)));
	return 0;
}

#define INLINE_FILE_BYTES_MAX (64 * KIB)

static int add_run(void *ctx, const struct bch_piece *piece, struct diag *d)
{
	struct telling *telling = ctx;
	struct source_run *last = telling->runs.len ? &telling->runs.items[telling->runs.len - 1] : NULL;
	struct source_run run = {
		.file_offset = piece->start_sector * BCH_SECTOR_BYTES,
		.len = piece->nr_sectors * BCH_SECTOR_BYTES,
	};

	if (piece->kind == BCH_PIECE_BAD)
		remember(&telling->bad, piece->why->err, piece->why);
	if (piece->kind != BCH_PIECE_INLINE || telling->inode.size > INLINE_FILE_BYTES_MAX)
		telling->has_other = true;
	else if (keep_inline(telling, piece, d) < 0)
		return -ENOMEM;
	place_run(telling->fs, piece, &run);
	if (last && !last->is_encoded && !run.is_encoded && last->device == run.device && last->file_offset + last->len == run.file_offset &&
	    last->physical + last->len == run.physical) {
		last->len += run.len;
		return 0;
	}
	return array_push(&telling->runs, run) < 0 ? diag_no_memory(d, "runs of a file") : 0;
}

static int tell_runs(struct telling *telling, struct diag *d)
{
	const struct bch_inode *inode = &telling->inode;
	struct source_sink *sink = telling->sink;
	u64 block_bytes = telling->fs->super->block_bytes, end;
	int err;

	if (inode->size == 0 || (!sink->runs && !sink->bytes))
		return 0;
	if (inode->size > INT64_MAX - block_bytes)
		return diag_fail(d, -EUCLEAN, "inode %" PRIu64 ": has a size of %" PRIu64, inode->ino, inode->size);
	end = round_up_u64(inode->size, block_bytes) / BCH_SECTOR_BYTES;
	telling->bad = fresh(d);
	err = bch_file_walk(telling->fs, telling->subvol->snapshot, inode->ino, 0, end, add_run, telling, d);
	if (err)
		return err;
	if (telling->bytes && !telling->has_other && sink->bytes)
		err = sink->bytes(sink, inode->ino, telling->bytes, (size_t)inode->size, d);
	else if (telling->runs.len && sink->runs)
		err = sink->runs(sink, inode->ino, telling->runs.items, telling->runs.len, d);
	if (!err && telling->bad.err)
		err = diag_copy(d, &telling->bad);
	return err;
}

static int tell_inode(struct telling *telling, char **ret_target, size_t *ret_len, struct diag *d)
{
	struct source_inode described;

	bch_source_inode(telling->fs, &telling->inode, &described);
	if (S_ISLNK(telling->inode.mode)) {
		struct diag why = fresh(d);
		int err = bch_link_target(telling->fs, telling->subvol->snapshot, &telling->inode, ret_target, ret_len, &why);

		if (!err)
			described.size = *ret_len;
		else if (telling->sink->symlink)
			return diag_copy(d, &why);
	}
	return telling->sink->inode(telling->sink, &described, d);
}

/* A failure that lets others be told: the first is kept. */
static int step(struct diag *first, int err, struct diag *why, struct diag *d)
{
	if (!is_damage(err))
		return err < 0 ? hand_over(d, err, why) : err;
	remember(first, err, why);
	*why = fresh(d);
	return 0;
}

static int tell(struct telling *telling, struct diag *d)
{
	const struct bch_inode *inode = &telling->inode;
	struct source_sink *sink = telling->sink;
	u32 snapshot = telling->subvol->snapshot;
	struct diag first = fresh(d), why = fresh(d);
	_free_ char *target = NULL;
	size_t len = 0;
	int err;

	err = tell_inode(telling, &target, &len, d);
	if (err)
		return err;
	if (sink->xattr && !telling->fs->options->no_xattrs)
		err = step(&first, bch_for_each_of_inode(telling->fs, BCH_XATTRS, snapshot, inode->ino, tell_xattr, telling, &why), &why, d);
	if (err)
		return err;
	if (S_ISDIR(inode->mode) && (sink->entry || sink->subvol))
		err = bch_for_each_of_inode(telling->fs, BCH_DIRENTS, snapshot, inode->ino, tell_dirent, telling, &why);
	else if (S_ISREG(inode->mode))
		err = tell_runs(telling, &why);
	else if (S_ISLNK(inode->mode) && sink->symlink)
		err = sink->symlink(sink, inode->ino, target, len, &why);
	err = step(&first, err, &why, d);
	if (err)
		return err;
	return first.err ? diag_copy(d, &first) : 0;
}

static void telling_done(struct telling *telling)
{
	array_done(&telling->runs);
	free(telling->bytes);
}

int bch_look(struct bch_fs *fs, const struct bch_subvol *subvol, u64 ino, struct source_sink *sink, struct diag *d)
{
	_cleanup_(telling_done) struct telling telling = { .fs = fs, .subvol = subvol, .sink = sink };
	int err = bch_inode_find(fs, subvol->snapshot, ino, &telling.inode, d);

	return err ?: tell(&telling, d);
}

/* --- Names ------------------------------------------------------------------------------------------------------ */

struct wanted {
	const struct bch_subvol *subvol;
	const char *name;
	size_t len;
	struct bch_dirent *ret_dirent;
};

/* 1: it is this one. */
static int compare_name(void *ctx, const struct bch_key *key, struct diag *d)
{
	const struct wanted *wanted = ctx;
	struct bch_dirent dirent;
	int err;

	if (key->type == BCH_KEY_HASH_WHITEOUT)
		return 0;
	err = bch_dirent_get(key, &dirent, d);
	if (err || !bch_dirent_is_of(&dirent, wanted->subvol) || dirent.name_len != wanted->len ||
	    memcmp(dirent.name, wanted->name, wanted->len) != 0)
		return err;
	dirent.name = dirent.hashed = wanted->name; /* the key's bytes are about to go */
	dirent.hashed_len = dirent.name_len;
	*wanted->ret_dirent = dirent;
	return 1;
}

/* Where its hash says, or behind that as long as places are taken. 1: found. */
static int look_up_by_hash(struct bch_fs *fs, const struct bch_inode *dir, struct wanted *wanted, struct diag *d)
{
	_cleanup_(bch_view_done) struct bch_view view;
	struct bch_key key;
	u64 at;
	int err;

	bch_view_init(&view, fs, BCH_DIRENTS, wanted->subvol->snapshot);
	if (bch_name_hash(fs, dir, wanted->name, wanted->len, &at) < 0)
		return 0;
	for (err = bch_view_seek(&view, dir->ino, at, &key, d); !err; err = bch_view_next(&view, &key, d), at++) {
		if (key.pos.inode != dir->ino || key.pos.offset != at)
			return 0;
		err = compare_name(wanted, &key, d);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

int bch_look_up(struct bch_fs *fs, const struct bch_subvol *subvol, u64 dir_ino, const char *name, size_t name_len,
		struct bch_dirent *ret_dirent, struct diag *d)
{
	struct wanted wanted = { .subvol = subvol, .name = name, .len = name_len, .ret_dirent = ret_dirent };
	struct diag why = fresh(d);
	struct bch_inode dir;
	int err = bch_inode_find(fs, subvol->snapshot, dir_ino, &dir, d);

	if (err)
		return err;
	if (!S_ISDIR(dir.mode))
		return diag_fail(d, -ENOTDIR, "inode %" PRIu64 " is no directory", dir_ino);
	err = look_up_by_hash(fs, &dir, &wanted, &why);
	/* A hash may be one that this build cannot make, or folded before, or damaged: only all of the directory tells. */
	if (err <= 0)
		err = bch_for_each_of_inode(fs, BCH_DIRENTS, subvol->snapshot, dir_ino, compare_name, &wanted, d);
	if (err < 0)
		return err;
	return err ? 0 : diag_fail(d, -ENOENT, "directory %" PRIu64 " has no such name", dir_ino);
}

/* --- All -------------------------------------------------------------------------------------------------------- */

struct scan {
	struct bch_fs *fs;
	const struct bch_subvol *subvol;
	struct source_sink *sink;
	struct progress *progress;
};

static int scan_inode(void *ctx, const struct bch_key *key, struct diag *d)
{
	const struct scan *scan = ctx;
	_cleanup_(telling_done) struct telling telling = { .fs = scan->fs, .subvol = scan->subvol, .sink = scan->sink };
	int err = bch_inode_get(key, &telling.inode, d);

	if (err > 0 || (!err && telling.inode.flags & BCH_INODE_UNLINKED))
		return 0;
	if (!err) {
		bch_inode_truncate(scan->fs, scan->subvol->snapshot, &telling.inode);
		err = tell(&telling, d);
	}
	progress_add(scan->progress, 0, 1);
	if (!is_damage(err))
		return err;
	if (scan->fs->source.is_partly_unreadable) {
		diag_note(d, DIAG_WARNING, "%s", d ? d->text : "");
		return 0;
	}
	return -ECANCELED; /* so that no others are told; @d has the reason, which is what is returned */
}

int bch_scan(struct bch_fs *fs, const struct bch_subvol *subvol, struct source_sink *sink, struct progress *progress, struct diag *d)
{
	struct scan scan = { .fs = fs, .subvol = subvol, .sink = sink, .progress = progress };
	int err;

	progress_begin(progress, "inodes", 0, fs->source.info.nr_inodes);
	/* Inodes are those of "inode" 0 of their btree. */
	err = bch_for_each_of_inode(fs, BCH_INODES, subvol->snapshot, 0, scan_inode, &scan, d);
	return err;
}
