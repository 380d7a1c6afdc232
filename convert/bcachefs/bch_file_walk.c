/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "convert/bcachefs/bch_file.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_logged_ops.h"

#define REFLINK_INDEX_MASK (((u64)1 << 56) - 1)
#define REFLINK_ERROR ((u64)1 << 56)

/* Values. */
struct disk_reflink_p {
	le64 index; /* 0-55: sector in the btree of reflinks; 56: error */
	le32 front_pad, back_pad;
};
_Static_assert(sizeof(struct disk_reflink_p) == 16, "reflink_p");
#define REFLINK_V_HEAD sizeof(le64) /* the count of references */

struct walk {
	struct bch_fs *fs;
	struct bch_view view;
	struct bch_cursor reflinks;
	bool has_reflinks;
	u64 ino;
	u64 at, to; /* sectors; at: told to here */
	u64 covered; /* where the last key ends */
	bch_piece_fn fn;
	void *ctx;
	struct diag why;
	struct bch_extent extent;
};

static void walk_done(struct walk *walk)
{
	bch_view_done(&walk->view);
	if (walk->has_reflinks)
		bch_cursor_done(&walk->reflinks);
}

/* What is wrong with a key or a place ends nothing; that there is no memory does. */
static bool is_fatal(int err)
{
	return err != -EUCLEAN && err != -EIO && err != -EOPNOTSUPP;
}

static void forget_failure(struct walk *walk, const struct diag *d)
{
	diag_clear(&walk->why);
	walk->why.note = d ? d->note : NULL;
	walk->why.note_arg = d ? d->note_arg : NULL;
}

/* Up to @end there is something that walk->why says. */
static int tell_bad(struct walk *walk, u64 end, struct diag *d)
{
	struct bch_piece piece = {
		.kind = BCH_PIECE_BAD, .start_sector = walk->at, .nr_sectors = MIN(end, walk->to) - walk->at, .why = &walk->why
	};
	int err;

	if (is_fatal(walk->why.err))
		return diag_copy(d, &walk->why);
	err = walk->fn(walk->ctx, &piece, d);
	walk->at += piece.nr_sectors;
	return err;
}

static int tell_extent(struct walk *walk, const struct bch_key *key, const u8 *entries, size_t bytes, u64 start, u64 end, u64 key_start,
		       struct diag *d)
{
	struct bch_piece piece = {
		.kind = BCH_PIECE_DATA,
		.start_sector = start,
		.nr_sectors = end - start,
		.key = key,
		.extent = &walk->extent,
		.from_sector = (u32)(start - key_start),
	};

	if (bch_extent_get(walk->fs, entries, bytes, key->size_sectors, &walk->extent, &walk->why) < 0)
		return tell_bad(walk, end, d);
	walk->at = end;
	return !walk->extent.is_poisoned && bch_extent_is_unwritten(&walk->extent) ? 0 : walk->fn(walk->ctx, &piece, d);
}

static int tell_inline(struct walk *walk, const struct bch_key *key, size_t head, u64 start, u64 end, u64 key_start, struct diag *d)
{
	size_t skipped = head + (size_t)(start - key_start) * BCH_SECTOR_BYTES;
	struct bch_piece piece = {
		.kind = BCH_PIECE_INLINE,
		.start_sector = start,
		.nr_sectors = end - start,
		.key = key,
		.bytes = key->value,
	};

	if (skipped < key->value_bytes) {
		piece.bytes = key->value + skipped;
		piece.bytes_len = MIN(key->value_bytes - skipped, (size_t)piece.nr_sectors * BCH_SECTOR_BYTES);
	}
	walk->at = end;
	return walk->fn(walk->ctx, &piece, d);
}

/* --- Reflinks --------------------------------------------------------------------------------------------------- */

/* The key of the other btree that has sector @index. */
static int find_reflink(struct walk *walk, u64 index, struct bch_key *ret_key)
{
	struct bch_pos pos = { .offset = index + 1 };
	struct diag *why = &walk->why;
	int err;

	if (!walk->has_reflinks)
		bch_cursor_init(&walk->reflinks, walk->fs, BCH_REFLINK);
	walk->has_reflinks = true;
	err = bch_cursor_seek(&walk->reflinks, &pos, ret_key, why);
	if (err < 0)
		return err;
	if (err || ret_key->pos.inode != 0 || ret_key->size_sectors > ret_key->pos.offset ||
	    ret_key->pos.offset - ret_key->size_sectors > index)
		return diag_fail(why, -EUCLEAN, "inode %" PRIu64 ": its reflink at sector %" PRIu64 " leads nowhere (%" PRIu64 ")", walk->ino,
				 walk->at, index);
	return 0;
}

static int tell_reflink(struct walk *walk, const struct bch_key *key, u64 end, u64 key_start, struct diag *d)
{
	struct disk_reflink_p disk;
	u64 index;

	if (key->value_bytes < sizeof(disk.index)) {
		diag_fail(&walk->why, -EUCLEAN, "inode %" PRIu64 ": a reflink is cut off", walk->ino);
		return tell_bad(walk, end, d);
	}
	memcpy(&disk.index, key->value, sizeof(disk.index));
	if (le64_get(disk.index) & REFLINK_ERROR) {
		diag_fail(&walk->why, -EIO, "inode %" PRIu64 ": a reflink is marked as leading nowhere", walk->ino);
		return tell_bad(walk, end, d);
	}
	index = (le64_get(disk.index) & REFLINK_INDEX_MASK) + (walk->at - key_start);
	while (walk->at < end) {
		struct bch_key target;
		u64 start = walk->at, next, target_start;
		int err;

		forget_failure(walk, d);
		if (find_reflink(walk, index, &target) < 0)
			return tell_bad(walk, end, d);
		next = MIN(end, start + (target.pos.offset - index));
		/* Where the target would begin in the file; may be before its begin, but only differences are used. */
		target_start = start - (index - (target.pos.offset - target.size_sectors));
		if (target.type == BCH_KEY_REFLINK_V && target.value_bytes >= REFLINK_V_HEAD) {
			err = tell_extent(walk, &target, target.value + REFLINK_V_HEAD, target.value_bytes - REFLINK_V_HEAD, start, next,
					  target_start, d);
		} else if (target.type == BCH_KEY_INDIRECT_INLINE_DATA && target.value_bytes >= REFLINK_V_HEAD) {
			err = tell_inline(walk, &target, REFLINK_V_HEAD, start, next, target_start, d);
		} else {
			diag_fail(&walk->why, target.type == BCH_KEY_ERROR ? -EIO : -EUCLEAN,
				  "inode %" PRIu64 ": its reflink at sector %" PRIu64 " leads to no data", walk->ino, start);
			err = tell_bad(walk, next, d);
		}
		if (err)
			return err;
		index += next - start;
	}
	return 0;
}

/* --- Keys of the file ------------------------------------------------------------------------------------------- */

static int tell_key(struct walk *walk, const struct bch_key *key, u64 key_start, struct diag *d)
{
	u64 end = MIN(walk->to, key->pos.offset);

	switch (key->type) {
	case BCH_KEY_EXTENT:
		return tell_extent(walk, key, key->value, key->value_bytes, walk->at, end, key_start, d);
	case BCH_KEY_INLINE_DATA:
		return tell_inline(walk, key, 0, walk->at, end, key_start, d);
	case BCH_KEY_REFLINK_P:
		return tell_reflink(walk, key, end, key_start, d);
	case BCH_KEY_RESERVATION:
		walk->at = end;
		return 0;
	case BCH_KEY_ERROR:
		diag_fail(&walk->why, -EIO, "inode %" PRIu64 ": its data at sector %" PRIu64 " is marked as lost", walk->ino, walk->at);
		return tell_bad(walk, end, d);
	default:
		diag_fail(&walk->why, -EUCLEAN, "inode %" PRIu64 ": its data at sector %" PRIu64 " has a key of a wrong kind (%u)", walk->ino,
			  walk->at, key->type);
		return tell_bad(walk, end, d);
	}
}

static int take_key(struct walk *walk, const struct bch_key *key, struct diag *d)
{
	u64 start;

	forget_failure(walk, d);
	if (key->size_sectors == 0 || key->size_sectors > key->pos.offset) {
		diag_fail(&walk->why, -EUCLEAN, "inode %" PRIu64 ": the extent to sector %" PRIu64 " has %u sectors", walk->ino,
			  key->pos.offset, key->size_sectors);
		return tell_bad(walk, key->pos.offset, d);
	}
	start = key->pos.offset - key->size_sectors;
	if (start < walk->covered) {
		diag_fail(&walk->why, -EUCLEAN, "inode %" PRIu64 ": two extents overlap at sector %" PRIu64, walk->ino, start);
		return tell_bad(walk, key->pos.offset, d);
	}
	walk->covered = key->pos.offset;
	if (start >= walk->to) {
		walk->at = walk->to;
		return 0;
	}
	walk->at = MAX(walk->at, start);
	return tell_key(walk, key, start, d);
}

/* Keys of a whole range could not be read: go on behind it. */
static int skip_lost(struct walk *walk, struct diag *d)
{
	const struct bch_pos *lost = &walk->view.cursor.lost_max;
	bool is_all = lost->inode != walk->ino || lost->offset <= walk->at || lost->offset == UINT64_MAX;

	return tell_bad(walk, is_all ? walk->to : lost->offset, d);
}

int bch_file_walk(struct bch_fs *fs, u32 snapshot, u64 ino, u64 from, u64 to, bch_piece_fn fn, void *ctx, struct diag *d)
{
	_cleanup_(walk_done) struct walk walk = { .fs = fs, .ino = ino, .at = from, .to = to, .fn = fn, .ctx = ctx };
	bool do_seek = true;

	walk.to = MIN(to, bch_truncate_sector(fs, snapshot, ino));
	bch_view_init(&walk.view, fs, BCH_EXTENTS, snapshot);
	while (walk.at < walk.to) {
		struct bch_key key;
		int err;

		forget_failure(&walk, d);
		err = do_seek ? bch_view_seek(&walk.view, ino, walk.at + 1, &key, &walk.why) : bch_view_next(&walk.view, &key, &walk.why);
		if (err > 0 || (!err && key.pos.inode != ino))
			return 0;
		do_seek = err < 0;
		err = err < 0 ? skip_lost(&walk, d) : take_key(&walk, &key, d);
		if (err)
			return err;
	}
	return 0;
}
