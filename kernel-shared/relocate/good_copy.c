/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/good_copy.h"

#include "kernel-shared/relocate/unit_copies.h"
#include "kernel-shared/space/extent_item.h"

typedef unsigned long long ull;

int good_copy_init(struct good_copy *reader, struct btrkit_fs *fs, struct diag *d)
{
	*reader = (struct good_copy){ .fs = fs, .first_lost = UINT64_MAX };
	data_reader_init(&reader->csums, fs);
	reader->other = malloc(fs->volume->nodesize);
	if (!reader->other)
		return diag_no_memory(d, "a tree block");
	return fs_tree(fs, EXTENT_TREE_OBJECTID, &reader->extent_tree, d);
}

void good_copy_done(struct good_copy *reader)
{
	if (reader->fs)
		data_reader_done(&reader->csums);
	free(reader->other);
	reader->other = NULL;
}

/* The copy that is asked for as the @turn-th, from 0. */
static unsigned mirror_at(struct copy_order order, unsigned mirrors, unsigned turn)
{
	if (order.is_last)
		return turn + 1 == mirrors ? order.mirror : turn + 1 < order.mirror ? turn + 1 : turn + 2;
	return turn == 0 ? order.mirror : turn <= order.mirror - 1 ? turn : turn + 1;
}

static bool can_read(struct good_copy *reader, u64 logical, void *buf, size_t len, unsigned mirror)
{
	int err = volume_read(reader->fs->volume, logical, buf, len, mirror, NULL);

	reader->has_no_memory |= err == -ENOMEM;
	return err == 0;
}

/* No copy is good. */
static void count_lost(struct good_copy *reader, u64 logical, u64 len, bool is_read)
{
	if (is_read)
		reader->damaged_bytes += len;
	else
		reader->lost_bytes += len;
	reader->first_lost = MIN(reader->first_lost, logical);
}

/* The order of copies, of so many. */
struct turns {
	struct copy_order order;
	unsigned mirrors;
};

static unsigned mirror_of_turn(const void *ctx, const struct unit *unit, unsigned turn)
{
	const struct turns *turns = ctx;

	(void)unit;
	return mirror_at(turns->order, turns->mirrors, turn);
}

/* A good copy of it; where there is none, the first that can be read. */
static void read_unit(struct good_copy *reader, const struct unit *unit, u8 *bytes, struct copy_order order)
{
	const struct turns turns = { order, volume_nr_mirrors(reader->fs->volume, unit->logical) };
	struct unit_copies copies;

	unit_try_copies(reader->fs, unit, mirror_of_turn, &turns, turns.mirrors, bytes, &copies);
	if (copies.has_no_memory) {
		reader->has_no_memory = true;
		return;
	}
	if (copies.good) {
		reader->mended_bytes += copies.nr_bad ? unit->len : 0;
		return;
	}
	count_lost(reader, unit->logical, unit->len, copies.readable != 0);
	if (!copies.readable || !can_read(reader, unit->logical, bytes, unit->len, copies.readable))
		memset(bytes, 0, unit->len);
}

/* --- Data ---------------------------------------- */

static int read_data(struct good_copy *reader, u64 logical, u8 *buf, size_t len, struct copy_order order,
		     struct diag *d)
{
	u32 sectorsize = reader->fs->volume->sectorsize, nr = (u32)(len / sectorsize);
	unsigned mirrors = volume_nr_mirrors(reader->fs->volume, logical);
	int err = data_csums_load(&reader->csums, logical, nr, d);
	bool is_read;

	if (err)
		return err;
	is_read = can_read(reader, logical, buf, len, mirror_at(order, mirrors, 0));
	for (u32 s = 0; s < nr; s++) {
		u8 *at = buf + (size_t)s * sectorsize;
		const struct unit unit = {
			.logical = logical + (u64)s * sectorsize,
			.len = sectorsize,
			.csum = reader->csums.is_known[s]
					? reader->csums.expected + s * reader->fs->csum->size_bytes
					: NULL,
		};

		if (!is_read || !unit_is_good(reader->fs, &unit, at, NULL))
			read_unit(reader, &unit, at, order);
	}
	return 0;
}

/* --- Tree blocks ---------------------------------------- */

/*
 * A whole tree block into reader->other. A device that was away for a while has old blocks at the same addresses, with
 * right checksums: the extent tree knows which generation it has to be.
 */
static void read_block(struct good_copy *reader, u64 logical, u64 generation, struct copy_order order)
{
	const struct unit unit = {
		.logical = logical,
		.len = reader->fs->volume->nodesize,
		.is_block = true,
		.expect = { .logical = logical, .level = -1, .generation = generation },
	};

	read_unit(reader, &unit, reader->other, order);
}

/* 1: no tree block begins at @logical. */
static int block_generation(struct good_copy *reader, u64 logical, u64 *ret_generation, struct diag *d)
{
	struct extent_info info = { 0 };
	int err = extent_lookup(&reader->extent_tree, logical, reader->fs->volume->nodesize, false, &info, d);

	if (err == -ENOENT) {
		diag_clear(d);
		return 1;
	}
	*ret_generation = info.generation;
	return err;
}

/* Blocks follow each other from @used_from on; of the first and the last, only a part may be asked for. */
static int read_blocks(struct good_copy *reader, u64 used_from, u64 logical, u8 *buf, size_t len,
		       struct copy_order order, struct diag *d)
{
	u32 nodesize = reader->fs->volume->nodesize;
	u64 end = logical + len;

	for (u64 at = logical - (logical - used_from) % nodesize; at < end; at += nodesize) {
		u64 from = MAX(at, logical), to = MIN(at + nodesize, end), generation = 0;
		int err = block_generation(reader, at, &generation, d);

		if (err == 1)
			err = diag_fail(d, -EUCLEAN, "metadata at %llu: in use, but no tree block begins there",
					(ull)at);
		if (err)
			return err;
		read_block(reader, at, generation, order);
		memcpy(buf + (from - logical), reader->other + (from - at), to - from);
	}
	return 0;
}

/* --- Both ---------------------------------------- */

/* In mixed block groups a tree block is a sector, and has no checksum beside its own. */
static int read_mixed(struct good_copy *reader, u64 logical, u8 *buf, size_t len, struct copy_order order,
		      struct diag *d)
{
	u32 sectorsize = reader->fs->volume->sectorsize;

	for (u64 end = logical + len; logical < end; logical += sectorsize, buf += sectorsize) {
		u64 generation = 0;
		int err = block_generation(reader, logical, &generation, d);

		if (err < 0)
			return err;
		if (err == 1) {
			err = read_data(reader, logical, buf, sectorsize, order, d);
			if (err)
				return err;
			continue;
		}
		read_block(reader, logical, generation, order);
		memcpy(buf, reader->other, sectorsize);
	}
	return 0;
}

static int read_by_type(struct good_copy *reader, u64 used_from, u64 logical, u8 *buf, size_t len, struct copy_order order,
			struct diag *d)
{
	const struct chunk *chunk = chunk_map_find(reader->fs->volume->chunks, logical);
	u64 both = BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA;

	if (!chunk)
		return diag_fail(d, -ENOENT, "no chunk covers logical address %llu", (ull)logical);
	if ((chunk->type & both) == both)
		return read_mixed(reader, logical, buf, len, order, d);
	if (chunk->type & BLOCK_GROUP_DATA)
		return read_data(reader, logical, buf, len, order, d);
	return read_blocks(reader, used_from, logical, buf, len, order, d);
}

int good_copy_read(struct good_copy *reader, u64 used_from, u64 logical, u8 *buf, size_t len, struct copy_order order,
		   struct diag *d)
{
	int err = read_by_type(reader, used_from, logical, buf, len, order, d);

	if (!err && reader->has_no_memory)
		err = diag_no_memory(d, "a copy from parity");
	return err;
}
