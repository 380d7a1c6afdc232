/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/fs/data.h"

typedef unsigned long long ull;

void data_reader_init(struct data_reader *reader, struct btrkit_fs *fs)
{
	reader->fs = fs;
	reader->more_csums = NULL;
	reader->csums = cursor_init(&fs->csum_tree);
}

void data_reader_done(struct data_reader *reader)
{
	cursor_done(&reader->csums);
}

/* --- Checksums ---------------------------------------------------------------------------------------------- */

/* Copy what the item at the cursor has for [logical, +nr sectors). */
static void take_csums(struct data_reader *reader, u64 logical, u32 nr)
{
	u64 sectorsize = reader->fs->volume->sectorsize;
	u32 size = reader->fs->csum->size_bytes;
	u64 item_start = cursor_key(&reader->csums).offset;
	u64 item_end = item_start + cursor_data_bytes(&reader->csums) / size * sectorsize;
	u64 from = MAX(item_start, logical), to = MIN(item_end, logical + nr * sectorsize);
	u32 first = (u32)((from - logical) / sectorsize);

	if (from >= to)
		return;
	memcpy(reader->expected + first * size,
	       (const u8 *)cursor_data(&reader->csums) + (from - item_start) / sectorsize * size,
	       (to - from) / sectorsize * size);
	memset(reader->is_known + first, true, (to - from) / sectorsize);
}

int data_csums_load(struct data_reader *reader, u64 logical, u32 nr, struct diag *d)
{
	const struct key key = { EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, logical };
	u64 end = logical + (u64)nr * reader->fs->volume->sectorsize;
	int err = cursor_seek_back(&reader->csums, &key, d);

	memset(reader->is_known, false, nr * sizeof(reader->is_known[0]));
	if (err == 1)
		err = cursor_seek(&reader->csums, &key, d);
	for (; err == 0; err = cursor_next(&reader->csums, d)) {
		struct key at = cursor_key(&reader->csums);

		if (at.objectid == EXTENT_CSUM_OBJECTID && at.type == EXTENT_CSUM_KEY) {
			if (at.offset >= end)
				break;
			take_csums(reader, logical, nr);
			/* Mostly one item has them all: do not touch the next leaf. */
			if (reader->is_known[nr - 1])
				break;
		} else if (key_compare(&at, &key) > 0) {
			break;
		}
	}
	return err < 0 ? diag_context(d, err, "checksums of data at %llu", (ull)logical) : 0;
}

static bool sector_is_good(const struct data_reader *reader, u32 sector, const u8 *data)
{
	const struct csum_kind *csum = reader->fs->csum;
	u8 computed[CSUM_BYTES_MAX];

	csum_compute(csum, data, reader->fs->volume->sectorsize, computed);
	return memcmp(computed, reader->expected + sector * csum->size_bytes, csum->size_bytes) == 0;
}

/* --- One sector that needs care ------------------------------------------------------------------------------ */

/* Look for a copy of sector number @sector of the batch that can be read and, if it has a checksum, matches. */
static int find_good_copy(struct data_reader *reader, u64 logical, u32 sector, u8 *buf, bool is_verified, struct diag *d)
{
	u32 sectorsize = reader->fs->volume->sectorsize;
	unsigned mirrors = volume_nr_mirrors(reader->fs->volume, logical);
	unsigned nr_mismatched = 0;
	struct diag why;

	why.err = 0;
	why.note = NULL;
	for (unsigned mirror = 1; mirror <= mirrors; mirror++) {
		int err = volume_read(reader->fs->volume, logical, buf, sectorsize, mirror, &why);

		if (err == -ENOMEM)
			return diag_copy(d, &why);
		if (err)
			continue;
		if (is_verified && !sector_is_good(reader, sector, buf)) {
			nr_mismatched++;
			continue;
		}
		if (nr_mismatched)
			diag_note(d, DIAG_WARNING, "data at %llu: checksum of copy %u does not match; copy %u is good",
				  (ull)logical, mirror - 1, mirror);
		return 0;
	}
	if (nr_mismatched)
		return diag_fail(d, -EIO, "data at %llu: the checksum matches none of %u copies that can be read",
				 (ull)logical, nr_mismatched);
	if (!why.err)
		return diag_fail(d, -EUCLEAN, "data at %llu: no chunk covers this address", (ull)logical);
	return diag_copy(d, &why);
}

static int check_sector(struct data_reader *reader, u64 logical, u32 sector, u8 *buf, bool is_read, bool is_verified,
			struct diag *d)
{
	logical += (u64)sector * reader->fs->volume->sectorsize;
	if (is_verified && !reader->is_known[sector])
		return diag_fail(d, -EIO, "data at %llu has no checksum", (ull)logical);
	if (is_read && (!is_verified || sector_is_good(reader, sector, buf)))
		return 0;
	return find_good_copy(reader, logical, sector, buf, is_verified, d);
}

static int read_batch(struct data_reader *reader, u64 logical, u8 *buf, u32 nr, bool is_verified, size_t *ret_good,
		      struct diag *d)
{
	u32 sectorsize = reader->fs->volume->sectorsize;
	struct diag why;
	bool is_read;
	int err;

	why.err = 0;
	why.note = NULL;
	if (is_verified) {
		err = data_csums_load(reader, logical, nr, d);
		if (err)
			return err;
		if (reader->more_csums)
			reader->more_csums(reader->more_csums_ctx, logical, nr, reader->expected, reader->is_known);
	}
	is_read = volume_read(reader->fs->volume, logical, buf, (size_t)nr * sectorsize, 0, &why) == 0;
	if (is_read && !is_verified) {
		*ret_good += (size_t)nr * sectorsize;
		return 0;
	}
	for (u32 sector = 0; sector < nr; sector++) {
		err = check_sector(reader, logical, sector, buf + (size_t)sector * sectorsize, is_read, is_verified, d);
		if (err)
			return err;
		*ret_good += sectorsize;
	}
	return 0;
}

int data_read(struct data_reader *reader, u64 logical, void *buf, size_t len, bool is_verified, size_t *ret_good,
	      struct diag *d)
{
	u32 sectorsize = reader->fs->volume->sectorsize;
	size_t done = 0;

	*ret_good = 0;
	if (is_verified && reader->fs->ignore_data_csums)
		is_verified = false;
	if (is_verified && !reader->fs->has_csum_tree)
		return diag_fail(d, -EIO, "data at %llu cannot be verified: there is no checksum tree", (ull)logical);
	while (done < len) {
		u32 nr = (u32)MIN((len - done) / sectorsize, (size_t)DATA_BATCH_SECTORS);
		int err = read_batch(reader, logical + done, (u8 *)buf + done, nr, is_verified, ret_good, d);

		if (err)
			return err;
		done += (size_t)nr * sectorsize;
	}
	return 0;
}
