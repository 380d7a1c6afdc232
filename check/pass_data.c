/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads all data that has checksums, every copy, in order of address and in all threads. Proves that it matches them. */
#include <stdio.h>

#include "check/check.h"

typedef unsigned long long ull;

/* What workers read at once: each of them, and all together, at most. */
#define PIECE_BYTES MIB
#define BUFFERS_BYTES (32 * MIB)
/* Pieces that are made at a time. */
#define PIECES_MAX 16384

struct data_sweep {
	struct check *check;
	struct tree csum_tree;
	u64 piece_bytes;
	struct ranges_reader csums;
	struct range run; /* what is left of the range of data that becomes pieces; empty: the next one */
	ARRAY(struct range) pieces;
	struct data_worker {
		u8 *data;
		u8 *csums; /* of a piece, sector by sector */
		u8 *has_csum; /* one byte a sector */
		u8 *good_copies; /* how many copies of the sector are good */
	} *workers;
	_Atomic(u64) nr_bytes;
};

/* The checksums of [start, end) as the tree has them. */
static int load_csums(struct data_sweep *sweep, struct data_worker *own, u64 start, u64 end, struct diag *d)
{
	u32 sectorsize = check_sectorsize(sweep->check), size_bytes = sweep->check->fs->csum->size_bytes;
	const struct key key = { EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, start };
	struct cursor cursor = cursor_init(&sweep->csum_tree);
	int err = cursor_seek_back(&cursor, &key, d);

	memset(own->has_csum, 0, sweep->piece_bytes / sectorsize);
	if (err == 1)
		err = cursor_first(&cursor, d);
	for (; err == 0; err = cursor_next(&cursor, d)) {
		const struct key at = cursor_key(&cursor);
		const u8 *sums = cursor_data(&cursor);
		u64 nr = cursor_data_bytes(&cursor) / size_bytes;

		if (at.type != EXTENT_CSUM_KEY || at.offset + nr * sectorsize <= start)
			continue;
		if (at.offset >= end)
			break;
		for (u64 i = 0; i < nr; i++) {
			u64 logical = at.offset + i * sectorsize, sector = (logical - start) / sectorsize;

			if (logical < start || logical >= end)
				continue;
			memcpy(own->csums + sector * size_bytes, sums + i * size_bytes, size_bytes);
			own->has_csum[sector] = 1;
		}
	}
	cursor_done(&cursor);
	return err < 0 ? err : 0;
}

static bool is_missing(const struct check *check, u64 logical, unsigned mirror)
{
	const struct device_set *devices = check->fs->volume->devices;
	struct physical_part part;
	const struct device *device;

	if (volume_map(check->fs->volume->chunks, logical, 1, mirror, &part) < 0)
		return true;
	device = device_set_find(devices, part.devid, NULL);
	return !device || !device->dev;
}

/* [first, end) are sectors whose copy @mirror is bad. */
static void report(struct data_sweep *sweep, const struct data_worker *own, u64 start, u64 first, u64 end, unsigned mirror,
		   const char *why)
{
	struct check *check = sweep->check;
	u32 sectorsize = check_sectorsize(check);
	u64 logical = start + first * sectorsize, len_bytes = (end - first) * sectorsize;
	struct physical_part part = { 0 };
	struct place place;
	bool is_lost = false;

	(void)volume_map(check->fs->volume->chunks, logical, sectorsize, mirror, &part);
	place = (struct place){ .data = logical, .data_len_bytes = len_bytes, .devid = part.devid, .physical = part.physical };
	for (u64 sector = first; sector < end; sector++)
		is_lost = is_lost || own->good_copies[sector] == 0;
	if (is_lost)
		complain(check, DATA_LOST, &place, (ull)logical, (ull)len_bytes, why);
	else
		complain(check, DATA_COPY_BAD, &place, (ull)logical, (ull)len_bytes, mirror, (ull)part.devid, why);
}

/* One copy: which sectors are good goes into @bad (0: good). */
static void read_copy(struct data_sweep *sweep, struct data_worker *own, u64 start, u64 end, unsigned mirror, u8 *bad,
		      char why[160])
{
	const struct csum_kind *csum = sweep->check->fs->csum;
	u32 sectorsize = check_sectorsize(sweep->check);
	struct diag d = { 0 };
	bool is_whole = volume_read(sweep->check->fs->volume, start, own->data, (size_t)(end - start), mirror, &d) == 0;

	snprintf(why, 160, "checksum does not match");
	for (u64 sector = 0; sector < (end - start) / sectorsize; sector++) {
		u8 *data = own->data + sector * sectorsize, computed[CSUM_SIZE];
		bool is_read = is_whole ||
			       volume_read(sweep->check->fs->volume, start + sector * sectorsize, data, sectorsize, mirror, &d) == 0;

		bad[sector] = 0;
		if (!own->has_csum[sector])
			continue;
		if (!is_read) {
			snprintf(why, 160, "%.150s", d.text);
			bad[sector] = 1;
			continue;
		}
		csum_compute(csum, data, sectorsize, computed);
		bad[sector] = memcmp(computed, own->csums + sector * csum->size_bytes, csum->size_bytes) != 0;
	}
	sweep->nr_bytes += end - start;
}

/* What is on a missing device is no further problem where another copy has it. */
static void excuse_missing(const struct data_sweep *sweep, const struct data_worker *own, u64 start, u64 nr, unsigned mirrors,
			   u8 bad[][PIECE_BYTES / SECTORSIZE_MIN])
{
	u32 sectorsize = check_sectorsize(sweep->check);

	for (unsigned m = 0; m < mirrors; m++)
		for (u64 sector = 0; sector < nr; sector++)
			if (bad[m][sector] && own->good_copies[sector] && is_missing(sweep->check, start + sector * sectorsize, m + 1))
				bad[m][sector] = 0;
}

static int sweep_piece(void *ctx, unsigned worker, u64 n, struct diag *d)
{
	struct data_sweep *sweep = ctx;
	struct check *check = sweep->check;
	struct data_worker *own = &sweep->workers[worker];
	u64 start = sweep->pieces.items[n].start, end = sweep->pieces.items[n].end;
	u64 nr = (end - start) / check_sectorsize(check);
	unsigned mirrors = MIN(volume_nr_mirrors(check->fs->volume, start), 8U);
	u8 bad[8][PIECE_BYTES / SECTORSIZE_MIN];
	char why[8][160];
	int err;

	if (check->options->only_first_copy)
		mirrors = MIN(mirrors, 1U);
	err = load_csums(sweep, own, start, end, NULL);
	if (err == -ENOMEM)
		return diag_no_memory(d, "checksums");
	memset(own->good_copies, 0, nr);
	for (unsigned m = 0; m < mirrors; m++) {
		read_copy(sweep, own, start, end, m + 1, bad[m], why[m]);
		for (u64 sector = 0; sector < nr; sector++)
			own->good_copies[sector] += own->has_csum[sector] && !bad[m][sector];
	}
	if (device_set_nr_missing(check->fs->volume->devices))
		excuse_missing(sweep, own, start, nr, mirrors, bad);
	for (unsigned m = 0; m < mirrors; m++) {
		for (u64 sector = 0; sector < nr; sector++) {
			u64 first = sector;

			while (sector < nr && bad[m][sector])
				sector++;
			if (sector > first)
				report(sweep, own, start, first, sector, m + 1, why[m]);
		}
	}
	progress_add(check->progress, end - start, 0);
	return check->sink.err;
}

/* The next piece of the data that has checksums. False: there is none left. */
static bool next_piece(struct data_sweep *sweep, struct range *ret_piece)
{
	struct check *check = sweep->check;

	for (;;) {
		size_t group = check_group_of(check, sweep->run.start);
		const struct chunk *chunk = group == SIZE_MAX ? NULL : chunk_map_at(check->fs->volume->chunks, group);

		/* Where there is no chunk, no extent can be: complained of. */
		if (sweep->run.start < sweep->run.end && chunk) {
			ret_piece->start = sweep->run.start;
			ret_piece->end = MIN(MIN(sweep->run.end, sweep->run.start + sweep->piece_bytes), chunk->logical + chunk->length);
			sweep->run.start = ret_piece->end;
			return true;
		}
		if (!ranges_next(&sweep->csums, &sweep->run))
			return false;
	}
}

static int make_pieces(struct data_sweep *sweep, struct diag *d)
{
	struct range piece;

	sweep->pieces.len = 0;
	while (sweep->pieces.len < PIECES_MAX && next_piece(sweep, &piece))
		if (array_push(&sweep->pieces, piece) < 0)
			return diag_no_memory(d, "reading data");
	return ranges_error(&sweep->check->csums, d);
}

/* How much there is to do, for the progress bar. */
static u64 count_bytes(struct check *check)
{
	struct ranges_reader csums = ranges_read(&check->csums);
	struct range run;
	u64 total = 0;

	for (bool is_there = ranges_find(&csums, 0, &run); is_there; is_there = ranges_next(&csums, &run))
		total += run.end - run.start;
	ranges_reader_done(&csums);
	return total;
}

static int make_workers(struct data_sweep *sweep, unsigned nr)
{
	u32 sectorsize = check_sectorsize(sweep->check), sectors;

	sweep->piece_bytes = MIN(round_down_u64(MAX(BUFFERS_BYTES / nr, (u64)sectorsize), sectorsize), PIECE_BYTES);
	sectors = (u32)(sweep->piece_bytes / sectorsize);
	sweep->workers = calloc(nr, sizeof(*sweep->workers));
	for (unsigned w = 0; sweep->workers && w < nr; w++) {
		struct data_worker *own = &sweep->workers[w];

		own->data = malloc(sweep->piece_bytes);
		own->csums = malloc((size_t)sectors * CSUM_SIZE);
		own->has_csum = malloc(sectors);
		own->good_copies = malloc(sectors);
		if (!own->data || !own->csums || !own->has_csum || !own->good_copies)
			return -ENOMEM;
	}
	return sweep->workers ? 0 : -ENOMEM;
}

int pass_data(struct check *check, struct diag *d)
{
	struct data_sweep sweep = { .check = check };
	unsigned nr = pool_threads(check->pool);
	int err;

	if (fs_tree(check->fs, CSUM_TREE_OBJECTID, &sweep.csum_tree, NULL) < 0)
		return 0;
	err = make_workers(&sweep, nr) < 0 ? diag_no_memory(d, "reading data") : 0;
	progress_begin(check->progress, "data", count_bytes(check), 0);
	sweep.csums = ranges_read(&check->csums);
	while (!err && (err = make_pieces(&sweep, d)) == 0 && sweep.pieces.len)
		err = pool_for_each(check->pool, sweep.pieces.len, sweep_piece, &sweep, d);
	ranges_reader_done(&sweep.csums);
	for (unsigned w = 0; sweep.workers && w < nr; w++) {
		free(sweep.workers[w].data);
		free(sweep.workers[w].csums);
		free(sweep.workers[w].has_csum);
		free(sweep.workers[w].good_copies);
	}
	free(sweep.workers);
	array_done(&sweep.pieces);
	check->result->data_bytes = sweep.nr_bytes;
	return err;
}
