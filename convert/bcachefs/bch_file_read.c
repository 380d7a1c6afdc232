/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading files. Extents hold 64 KiB at most when they have checksums or are compressed; those that lie one behind the other on one
 * device and are stored plainly are read at once, straight to where they belong, and checked there.
 */
#include <inttypes.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_file.h"
#include "convert/bcachefs/bch_fs.h"

#define PENDING_MAX 64
#define LINK_BYTES_MAX 4096

/* Data that is to be read together with what lies before it. */
struct pending {
	struct bch_key key; /* without a value */
	struct bch_extent extent;
	const struct bch_replica *replica; /* of extent */
	u32 from_sector;
	u64 start_byte; /* in the file */
	size_t len;
	u8 *to;
};

struct reader {
	struct bch_fs *fs;
	u64 begin, end; /* bytes of the file that are wanted */
	u64 at; /* to here it is there, or pending */
	u8 *buf; /* for begin */
	u64 bad_offset;
	u8 *bounce; /* for pieces that are not wanted as a whole */
	size_t bounce_bytes;
	unsigned nr_pending;
	struct pending *pending; /* PENDING_MAX */
};

static void reader_done(struct reader *reader)
{
	free(reader->bounce);
	free(reader->pending);
}

/* From here on nothing is right. */
static int fail_at(struct reader *reader, u64 byte)
{
	reader->bad_offset = MAX(byte, reader->begin);
	return -EIO;
}

/* --- What can be read at once ----------------------------------------------------------------------------------- */

static const struct bch_replica *first_there(const struct bch_fs *fs, const struct bch_extent *extent)
{
	for (unsigned i = 0; i < extent->nr_replicas; i++) {
		const struct bch_replica *replica = &extent->replica[i];

		if (!replica->is_cached && replica->device < BCH_DEVICES_MAX && fs->devices[replica->device].dev)
			return replica;
	}
	return NULL;
}

static u64 physical_of(const struct pending *pending)
{
	return pending->replica->physical + ((u64)pending->replica->crc.offset_sectors + pending->from_sector) * BCH_SECTOR_BYTES;
}

/* Can it be checked where it is wanted? What has a checksum has to be wanted as a whole. */
static bool is_direct(const struct bch_replica *replica, const struct bch_piece *piece)
{
	const struct bch_crc *crc = &replica->crc;

	if (!bch_crc_is_plain(crc))
		return false;
	return crc->csum_type == BCH_CSUM_NONE || (crc->offset_sectors + piece->from_sector == 0 && piece->nr_sectors == crc->usize_sectors);
}

static int flush_one(struct reader *reader, struct pending *pending, bool is_read, struct diag *d)
{
	struct diag why = { 0 };
	int err;

	if (is_read && bch_crc_open(reader->fs, &pending->key, &pending->replica->crc, pending->to, &why) == 0)
		return 0;
	/* Whichever copy is good; and if none is, why. */
	err = bch_extent_read(reader->fs, &pending->key, &pending->extent, pending->from_sector, (u32)(pending->len / BCH_SECTOR_BYTES),
			      pending->to, d);
	if (err)
		fail_at(reader, pending->start_byte);
	return err;
}

static int flush(struct reader *reader, struct diag *d)
{
	struct pending *first = reader->pending;
	struct diag why = { 0 };
	unsigned nr = reader->nr_pending;
	size_t len = 0;
	bool is_read;
	int err = 0;

	if (nr == 0)
		return 0;
	reader->nr_pending = 0;
	for (unsigned i = 0; i < nr; i++)
		len += first[i].len;
	is_read = bch_device_read(reader->fs, first->replica->device, physical_of(first), first->to, len, &why) == 0;
	for (unsigned i = 0; !err && i < nr; i++)
		err = flush_one(reader, &first[i], is_read, d);
	return err;
}

static int add_pending(struct reader *reader, const struct bch_piece *piece, const struct bch_replica *replica, struct diag *d)
{
	struct pending *last, *pending;
	u64 start = piece->start_sector * BCH_SECTOR_BYTES;
	int err = 0;

	if (!reader->pending)
		reader->pending = malloc(PENDING_MAX * sizeof(*reader->pending));
	if (!reader->pending)
		return diag_no_memory(d, "reading");
	pending = &reader->pending[reader->nr_pending];
	if (reader->nr_pending == PENDING_MAX) {
		err = flush(reader, d);
		pending = reader->pending;
	} else if (reader->nr_pending) {
		u64 physical = replica->physical + ((u64)replica->crc.offset_sectors + piece->from_sector) * BCH_SECTOR_BYTES;

		last = pending - 1;
		if (last->replica->device != replica->device || physical_of(last) + last->len != physical ||
		    last->start_byte + last->len != start) {
			err = flush(reader, d);
			pending = reader->pending;
		}
	}
	if (err)
		return err;
	*pending = (struct pending){
		.key = *piece->key,
		.extent = *piece->extent,
		.from_sector = piece->from_sector,
		.start_byte = start,
		.len = (size_t)piece->nr_sectors * BCH_SECTOR_BYTES,
		.to = reader->buf + (start - reader->begin),
	};
	pending->replica = &pending->extent.replica[replica - piece->extent->replica];
	reader->nr_pending++;
	return 0;
}

/* --- Pieces ----------------------------------------------------------------------------------------------------- */

static int read_through_bounce(struct reader *reader, const struct bch_piece *piece, u64 from, u64 to, struct diag *d)
{
	size_t wanted = (size_t)piece->nr_sectors * BCH_SECTOR_BYTES;
	int err;

	if (reader->bounce_bytes < wanted) {
		free(reader->bounce);
		reader->bounce = malloc(wanted);
		reader->bounce_bytes = reader->bounce ? wanted : 0;
		if (!reader->bounce)
			return diag_no_memory(d, "reading");
	}
	err = bch_extent_read(reader->fs, piece->key, piece->extent, piece->from_sector, (u32)piece->nr_sectors, reader->bounce, d);
	if (err) {
		fail_at(reader, from);
		return err;
	}
	memcpy(reader->buf + (from - reader->begin), reader->bounce + (from - piece->start_sector * BCH_SECTOR_BYTES), (size_t)(to - from));
	return 0;
}

/* Bytes [@from, @to) of the file, which the piece covers. */
static int read_data(struct reader *reader, const struct bch_piece *piece, u64 from, u64 to, struct diag *d)
{
	const struct bch_replica *replica = first_there(reader->fs, piece->extent);
	bool is_whole = to - from == piece->nr_sectors * BCH_SECTOR_BYTES;
	int err;

	if (is_whole && !piece->extent->is_poisoned && replica && is_direct(replica, piece))
		return add_pending(reader, piece, replica, d);
	err = flush(reader, d);
	if (err)
		return err;
	if (!is_whole)
		return read_through_bounce(reader, piece, from, to, d);
	err = bch_extent_read(reader->fs, piece->key, piece->extent, piece->from_sector, (u32)piece->nr_sectors,
			      reader->buf + (from - reader->begin), d);
	if (err)
		fail_at(reader, from);
	return err;
}

static void read_inline(struct reader *reader, const struct bch_piece *piece, u64 from, u64 to)
{
	u8 *dst = reader->buf + (from - reader->begin);
	size_t skipped = (size_t)(from - piece->start_sector * BCH_SECTOR_BYTES), len = (size_t)(to - from);
	size_t there = piece->bytes_len > skipped ? MIN(piece->bytes_len - skipped, len) : 0;

	if (there)
		memcpy(dst, piece->bytes + skipped, there);
	memset(dst + there, 0, len - there);
}

static int read_piece(void *ctx, const struct bch_piece *piece, struct diag *d)
{
	struct reader *reader = ctx;
	u64 start = piece->start_sector * BCH_SECTOR_BYTES;
	u64 from = MAX(start, reader->begin), to = MIN(start + piece->nr_sectors * BCH_SECTOR_BYTES, reader->end);
	int err = 0;

	if (from > reader->at)
		memset(reader->buf + (reader->at - reader->begin), 0, (size_t)(from - reader->at));
	reader->at = to;
	switch (piece->kind) {
	case BCH_PIECE_DATA:
		return read_data(reader, piece, from, to, d);
	case BCH_PIECE_INLINE:
		read_inline(reader, piece, from, to);
		return 0;
	case BCH_PIECE_BAD:
		err = flush(reader, d);
		if (err)
			return err;
		fail_at(reader, from);
		return diag_copy(d, piece->why);
	}
	return 0;
}

int bch_file_read(struct bch_fs *fs, u32 snapshot, u64 ino, u64 file_offset, void *buf, size_t len, u64 *ret_bad_offset, struct diag *d)
{
	_cleanup_(reader_done) struct reader reader = {
		.fs = fs, .begin = file_offset, .end = file_offset + len, .at = file_offset, .buf = buf, .bad_offset = file_offset
	};
	int err;

	if (len == 0)
		return 0;
	if (file_offset > INT64_MAX || len > INT64_MAX - file_offset)
		return diag_fail(d, -EINVAL, "inode %" PRIu64 ": no file has bytes at %" PRIu64, ino, file_offset);
	err = bch_file_walk(fs, snapshot, ino, file_offset / BCH_SECTOR_BYTES,
			    (reader.end + BCH_SECTOR_BYTES - 1) / BCH_SECTOR_BYTES, read_piece, &reader, d);
	if (!err)
		err = flush(&reader, d);
	if (err) {
		if (ret_bad_offset)
			*ret_bad_offset = reader.bad_offset;
		return err;
	}
	memset(reader.buf + (reader.at - reader.begin), 0, (size_t)(reader.end - reader.at));
	return 0;
}

int bch_link_target(struct bch_fs *fs, u32 snapshot, const struct bch_inode *inode, char **ret_target, size_t *ret_len, struct diag *d)
{
	_free_ char *target = NULL;
	size_t len;
	u64 bad;
	int err;

	if (inode->size == 0 || inode->size > LINK_BYTES_MAX)
		return diag_fail(d, -EUCLEAN, "inode %" PRIu64 ": a symbolic link of %" PRIu64 " bytes", inode->ino, inode->size);
	target = malloc((size_t)inode->size + 1);
	if (!target)
		return diag_no_memory(d, "a symbolic link");
	err = bch_file_read(fs, snapshot, inode->ino, 0, target, (size_t)inode->size, &bad, d);
	if (err)
		return err;
	/* The tools, unlike Linux, store the NUL. */
	for (len = (size_t)inode->size; len > 0 && target[len - 1] == '\0'; len--)
		;
	target[len] = '\0';
	if (len == 0 || memchr(target, '\0', len))
		return diag_fail(d, -EUCLEAN, "inode %" PRIu64 ": a symbolic link that leads nowhere", inode->ino);
	*ret_target = take_ptr(target);
	*ret_len = len;
	return 0;
}
