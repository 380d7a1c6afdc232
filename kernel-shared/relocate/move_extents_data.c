/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content of data extents at its new place. Sectors that have checksums are compared with them when they are read,
 * and another copy is taken if need be; others are taken as they are. Space that is only reserved is not read.
 */
#include "kernel-shared/fs/data.h"
#include "kernel-shared/relocate/move_extents.h"
#include "kernel-shared/space/csum_range.h"
#include "kernel-shared/volume/volume.h"

#define PIECE_BYTES MIB

/* What goes somewhere: an extent, or a piece of the one that is split. */
static size_t nr_pieces(const struct moving_batch *batch)
{
	return batch->is_split ? batch->pieces.len : batch->end - batch->first;
}

static struct extent_piece piece_at(const struct moving_batch *batch, size_t i)
{
	const struct moving_extent *extent = &batch->moving->extents.items[batch->first + (batch->is_split ? 0 : i)];

	return batch->is_split ? batch->pieces.items[i]
			       : (struct extent_piece){ extent->logical, extent->to, extent->nr_sectors };
}

static bool is_written(const struct moving_batch *batch, size_t i)
{
	return batch->moving->extents.items[batch->first + (batch->is_split ? 0 : i)].is_written;
}

int moving_batch_place_data(struct moving_batch *batch, struct diag *d)
{
	struct moving *moving = batch->moving;
	struct tree extents;
	int err = txn_read_tree(moving->txn, EXTENT_TREE_OBJECTID, &extents, d);

	for (size_t i = batch->first; i < batch->end && !err; i++) {
		struct moving_extent *extent = &moving->extents.items[i];
		u64 len = moving_extent_bytes(moving, extent);
		struct extent_info info;

		err = extent_lookup(&extents, extent->logical, len, true, &info, d);
		if (!err && info.refs != extent->nr_refs)
			err = diag_fail(d, -EUCLEAN,
					"extent %llu: has %llu references, %u were found; check the filesystem first",
					(unsigned long long)extent->logical, (unsigned long long)info.refs,
					extent->nr_refs);
		if (!err && batch->is_split)
			err = moving_batch_place_pieces(batch, &info, d);
		else if (!err)
			err = txn_move_data(moving->txn, len, len, &info, &extent->to, &len, d);
	}
	return err;
}

/* --- Checksums ---------------------------------------- */

struct csum_move {
	struct moving *moving;
	struct data_reader *reader;
	struct tree_root *csums;
	struct csum_geometry geometry;
};

/* The end of the run of sectors that all have checksums, or all have none. */
static u32 run_end(const bool *is_known, u32 from, u32 nr)
{
	u32 end = from + 1;

	while (end < nr && is_known[end] == is_known[from])
		end++;
	return end;
}

static int move_some_csums(const struct csum_move *it, u64 from, u64 to, u32 nr, struct diag *d)
{
	int err = data_csums_load(it->reader, from, nr, d);

	/* No cursor may stand in the tree while it is changed. */
	cursor_done(&it->reader->csums);
	for (u32 at = 0, end; at < nr && !err; at = end) {
		end = run_end(it->reader->is_known, at, nr);
		if (it->reader->is_known[at])
			err = csum_range_insert(it->csums, &it->geometry, to + (u64)at * it->moving->sectorsize,
						it->reader->expected + at * it->geometry.csum_bytes, end - at, d);
	}
	it->reader->csums = cursor_init(&it->csums->tree);
	return err;
}

static int move_csums(const struct moving_batch *batch, struct diag *d)
{
	struct moving *moving = batch->moving;
	struct csum_move it = { .moving = moving, .geometry = { moving->sectorsize, moving->fs->csum->size_bytes } };
	int err;

	if (!moving->fs->has_csum_tree)
		return 0;
	err = txn_tree(moving->txn, CSUM_TREE_OBJECTID, &it.csums, d);
	if (err)
		return err;
	it.reader = malloc(sizeof(*it.reader));
	if (!it.reader)
		return diag_no_memory(d, "checksums");
	data_reader_init(it.reader, moving->fs);
	for (size_t i = 0; i < nr_pieces(batch) && !err; i++) {
		const struct extent_piece piece = piece_at(batch, i);

		for (u32 at = 0; at < piece.nr_sectors && is_written(batch, i) && !err; at += DATA_BATCH_SECTORS)
			err = move_some_csums(&it, piece.from + (u64)at * moving->sectorsize,
					      piece.to + (u64)at * moving->sectorsize,
					      MIN(piece.nr_sectors - at, (u32)DATA_BATCH_SECTORS), d);
	}
	data_reader_done(it.reader);
	free(it.reader);
	return err;
}

/* --- Content ---------------------------------------- */

struct copy_piece {
	u64 from, to;
	u32 len;
};

/* Memory of one thread, made when it first needs it. */
struct copier {
	struct data_reader reader;
	u8 bytes[PIECE_BYTES];
};

struct copying {
	struct moving *moving;
	ARRAY(struct copy_piece) pieces;
	struct copier **copiers; /* one for each worker */
	unsigned nr_copiers;
};

static void copying_done(struct copying *copying)
{
	for (unsigned i = 0; i < copying->nr_copiers && copying->copiers; i++) {
		if (copying->copiers[i])
			data_reader_done(&copying->copiers[i]->reader);
		free(copying->copiers[i]);
	}
	free(copying->copiers);
	array_done(&copying->pieces);
}

/* Neighbours that stay neighbours are copied together. */
static int add_pieces(struct copying *copying, const struct extent_piece *extent, struct diag *d)
{
	u64 len = (u64)extent->nr_sectors * copying->moving->sectorsize;

	for (u64 at = 0; at < len;) {
		struct copy_piece *last = copying->pieces.len ? &copying->pieces.items[copying->pieces.len - 1] : NULL;
		bool is_next = last && last->len < PIECE_BYTES && last->from + last->len == extent->from + at &&
			       last->to + last->len == extent->to + at;
		u32 more = (u32)MIN(len - at, PIECE_BYTES - (is_next ? last->len : 0));

		if (is_next)
			last->len += more;
		else if (array_push(&copying->pieces, (struct copy_piece){ extent->from + at, extent->to + at, more }) <
			 0)
			return diag_no_memory(d, "data to be copied");
		at += more;
	}
	return 0;
}

static int read_piece(struct data_reader *reader, const struct copy_piece *piece, u8 *buf, struct diag *d)
{
	struct btrkit_fs *fs = reader->fs;
	u32 sectorsize = fs->volume->sectorsize, nr_sectors = piece->len / sectorsize, nr;
	bool is_known[DATA_BATCH_SECTORS] = { false };
	int err = 0;

	for (u32 first = 0; first < nr_sectors && !err; first += nr) {
		nr = MIN(nr_sectors - first, (u32)DATA_BATCH_SECTORS);
		if (fs->has_csum_tree) {
			err = data_csums_load(reader, piece->from + (u64)first * sectorsize, nr, d);
			memcpy(is_known, reader->is_known, sizeof(is_known));
		}
		for (u32 at = 0, end; at < nr && !err; at = end) {
			u64 offset = (u64)(first + at) * sectorsize;
			size_t good;

			end = run_end(is_known, at, nr);
			err = data_read(reader, piece->from + offset, buf + offset, (size_t)(end - at) * sectorsize,
					is_known[at], &good, d);
		}
	}
	return err;
}

/* Pieces go to places where nothing is, and do not overlap: in whatever order. */
static int copy_piece(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct copying *copying = ctx;
	struct volume *volume = copying->moving->fs->volume;
	const struct copy_piece *piece = &copying->pieces.items[i];
	struct copier **copier = &copying->copiers[worker];
	const struct chunk *chunk;
	int err;

	if (!*copier) {
		*copier = malloc(sizeof(**copier));
		if (!*copier)
			return diag_no_memory(d, "copying data");
		data_reader_init(&(*copier)->reader, copying->moving->fs);
	}
	err = read_piece(&(*copier)->reader, piece, (*copier)->bytes, d);
	if (!err)
		err = volume_write(volume, piece->to, (*copier)->bytes, piece->len, d);
	if (err)
		return err;
	chunk = chunk_map_find(volume->chunks, piece->to);
	volume_write_out(volume, chunk, piece->to, MIN((u64)piece->len, chunk->logical + chunk->length - piece->to));
	progress_add(copying->moving->relocate->progress, piece->len, 0);
	return 0;
}

static int copy_content(const struct moving_batch *batch, struct diag *d)
{
	_cleanup_(copying_done) struct copying copying = { .moving = batch->moving };
	struct pool *pool = batch->moving->relocate->pool;
	int err = 0;

	for (size_t i = 0; i < nr_pieces(batch) && !err; i++) {
		const struct extent_piece piece = piece_at(batch, i);

		if (is_written(batch, i))
			err = add_pieces(&copying, &piece, d);
	}
	if (err)
		return err;
	copying.nr_copiers = pool_threads(pool);
	copying.copiers = calloc(copying.nr_copiers, sizeof(*copying.copiers));
	if (!copying.copiers)
		return diag_no_memory(d, "copying data");
	return pool_for_each(pool, copying.pieces.len, copy_piece, &copying, d);
}

int moving_batch_copy_data(const struct moving_batch *batch, struct diag *d)
{
	int err = batch->first < batch->end ? move_csums(batch, d) : 0;

	return err || batch->first == batch->end ? err : copy_content(batch, d);
}
