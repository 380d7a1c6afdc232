/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Good bytes of a window: read in large pieces from the copy that stays, where there is one, and compared with
 * checksums; what is bad, sector by sector and block by block, from another copy or parity. A copy that stays and is
 * bad is mended, for those that go will not be there to replace it.
 */
#include "kernel-shared/relocate/move_chunk.h"
#include "kernel-shared/space/csum_range.h"

typedef unsigned long long ull;

static u64 sector_logical(const struct chunk_mover *mover, const struct window *window, u32 sector)
{
	return window->logical + (u64)sector * mover->sectorsize;
}

static u8 *sector_bytes(const struct chunk_mover *mover, const struct window *window, u32 sector)
{
	return window->bytes + (size_t)sector * mover->sectorsize;
}

static void mark(struct window *window, u32 from, u32 nr, u8 bits)
{
	for (u32 s = from; s < from + nr; s++)
		window->state[s] |= bits;
}

/* --- What is wanted ---------------------------------------- */

/* Of a row that keeps some stripes: what its new ones are to hold, or all of it, if that includes parity. */
static void want_of_row(const struct chunk_mover *mover, struct window *window, u32 first, u32 per_cell)
{
	const struct chunk *to = mover->to;
	u16 nr_data = profile_data_stripes(to->profile, to->num_stripes);
	struct cell cell = chunk_cell(to, sector_logical(mover, window, first));
	bool is_used = false, wants_parity = false;

	for (u32 s = first; s < first + nr_data * per_cell; s++)
		is_used |= window->state[s] & SECTOR_USED;
	for (u16 member = nr_data; member < to->num_stripes; member++)
		wants_parity |= mover->is_new[row_member_stripe(to, cell.row, member)];
	for (u16 member = 0; member < nr_data && is_used; member++)
		if (wants_parity || mover->is_new[row_member_stripe(to, cell.row, member)])
			mark(window, first + member * per_cell, per_cell, SECTOR_WANTED);
}

static void want_of_cell(const struct chunk_mover *mover, struct window *window, u32 first, u32 nr)
{
	struct cell cell = chunk_cell(mover->to, sector_logical(mover, window, first));
	bool is_new = false;

	for (unsigned copy = 1; copy <= mover->to->profile->copies; copy++)
		is_new |= mover->is_new[cell_stripe(mover->to, &cell, copy)];
	for (u32 s = first; s < first + nr && is_new; s++)
		if (window->state[s] & SECTOR_USED)
			window->state[s] |= SECTOR_WANTED;
}

static void find_wanted(const struct chunk_mover *mover, struct window *window)
{
	u32 per_cell = (u32)(STRIPE_LEN_BYTES / mover->sectorsize), step = per_cell;

	if (!mover->is_same_geometry) {
		for (u32 s = 0; s < window->nr; s++)
			if (window->state[s] & SECTOR_USED)
				window->state[s] |= SECTOR_WANTED;
		return;
	}
	if (mover->to->profile->parity)
		step *= profile_data_stripes(mover->to->profile, mover->to->num_stripes);
	for (u32 s = 0; s < window->nr; s += step)
		if (mover->to->profile->parity)
			want_of_row(mover, window, s, per_cell);
		else
			want_of_cell(mover, window, s, MIN(per_cell, window->nr - s));
}

/* --- Reading in large pieces ---------------------------------------- */

/* Of the copies in their order the first that can be read, but none behind one that stays and cannot. */
static void read_piece(struct chunk_mover *mover, struct window *window, u32 first, u32 nr, struct diag *d)
{
	const struct unit piece = {
		.logical = sector_logical(mover, window, first),
		.len = nr * mover->sectorsize,
		.is_block = !(mover->from->type & BLOCK_GROUP_DATA),
	};
	unsigned bad = 0;
	struct diag why = { 0 };

	for (unsigned i = 0; i < (unsigned)mover->from->profile->copies + mover->from->profile->parity; i++) {
		unsigned copy = chunk_nth_copy(mover, piece.logical, i);

		if (chunk_copy_is_missing(mover, piece.logical, copy))
			continue;
		if (volume_read(mover->volume, piece.logical, sector_bytes(mover, window, first), piece.len, copy,
				bad ? NULL : &why) == 0) {
			mark(window, first, nr, SECTOR_READ);
			if (bad)
				window_note_bad(window, &piece, bad, copy, why.text, d);
			return;
		}
		if (!bad)
			bad = copy;
		if (chunk_copy_is_kept(mover, piece.logical, copy))
			return;
	}
}

static void read_wanted(struct chunk_mover *mover, struct window *window, struct diag *d)
{
	u32 at = 0, nr;

	while (window_run(window, SECTOR_WANTED, &at, &nr))
		while (nr) {
			u64 left = chunk_cell(mover->from, sector_logical(mover, window, at)).left / mover->sectorsize;
			u32 piece = MIN(nr, (u32)MIN(left, (u64)UINT32_MAX));

			read_piece(mover, window, at, piece, d);
			at += piece;
			nr -= piece;
		}
}

/* --- Tree blocks ---------------------------------------- */

static bool is_tree_block(const struct cursor *cursor, struct block_expect *expect)
{
	const struct key key = cursor_key(cursor);
	const struct disk_extent_item *item = cursor_data(cursor);
	u32 bytes = cursor_data_bytes(cursor);

	if ((key.type != METADATA_ITEM_KEY && key.type != EXTENT_ITEM_KEY) || bytes < sizeof(*item) ||
	    !(le64_get(item->flags) & EXTENT_FLAG_TREE_BLOCK))
		return false;
	*expect =
		(struct block_expect){ .logical = key.objectid, .generation = le64_get(item->generation), .level = -1 };
	if (key.type == METADATA_ITEM_KEY)
		expect->level = (int)MIN(key.offset, (u64)LEVEL_MAX);
	else if (bytes >= sizeof(*item) + sizeof(struct disk_tree_block_info))
		expect->level = ((const struct disk_tree_block_info *)(item + 1))->level;
	return true;
}

static int load_block(struct chunk_mover *mover, struct window *window, const struct block_expect *expect,
		      struct diag *d)
{
	const struct unit unit = {
		.logical = expect->logical, .len = mover->nodesize, .is_block = true, .expect = *expect
	};
	u64 end = sector_logical(mover, window, window->nr);
	u64 from = MAX(expect->logical, window->logical), to = MIN(expect->logical + mover->nodesize, end);
	u32 first = (u32)((from - window->logical) / mover->sectorsize), nr = (u32)((to - from) / mover->sectorsize);
	bool is_wanted = false, is_whole = to - from == mover->nodesize;
	int err;

	for (u32 s = first; s < first + nr; s++) {
		is_wanted |= window->state[s] & SECTOR_WANTED;
		is_whole &= !!(window->state[s] & SECTOR_READ);
	}
	mark(window, first, nr, SECTOR_BLOCK);
	if (!is_wanted || (is_whole && unit_is_good(mover->relocate->fs, &unit, sector_bytes(mover, window, first), NULL)))
		return 0;
	err = unit_find_good(mover, window, &unit, window->block, d);
	if (err)
		return err;
	memcpy(sector_bytes(mover, window, first), window->block + (from - expect->logical), to - from);
	mark(window, first, nr, SECTOR_READ);
	return 0;
}

static int load_blocks(struct chunk_mover *mover, struct window *window, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&mover->extents);
	u64 before = mover->nodesize - mover->sectorsize;
	const struct key first = { window->logical - MIN(before, window->logical - mover->from->logical), 0, 0 };
	u64 end = sector_logical(mover, window, window->nr);
	struct block_expect expect;
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		if (cursor_key(&cursor).objectid >= end)
			return 0;
		if (!is_tree_block(&cursor, &expect) || expect.logical + mover->nodesize <= window->logical)
			continue;
		err = load_block(mover, window, &expect, d);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

/* --- Data ---------------------------------------- */

static int load_sector(struct chunk_mover *mover, struct window *window, u32 sector, struct diag *d)
{
	u32 size = mover->relocate->fs->csum->size_bytes;
	const struct unit unit = {
		.logical = sector_logical(mover, window, sector),
		.len = mover->sectorsize,
		.csum = window->is_known[sector] ? window->csums + (size_t)sector * size : NULL,
	};
	u8 *bytes = sector_bytes(mover, window, sector);
	int err = 0;

	if (unit.csum)
		window->state[sector] |= SECTOR_SUMMED;
	if (!(window->state[sector] & SECTOR_READ) || !unit_is_good(mover->relocate->fs, &unit, bytes, NULL))
		err = unit_find_good(mover, window, &unit, bytes, d);
	if (!err)
		window->state[sector] |= SECTOR_READ;
	return err;
}

static int load_data(struct chunk_mover *mover, struct window *window, struct diag *d)
{
	const struct csum_geometry geometry = { mover->sectorsize, mover->relocate->fs->csum->size_bytes };
	int err = 0;

	memset(window->is_known, false, window->nr * sizeof(*window->is_known));
	if (mover->from->type & BLOCK_GROUP_DATA)
		err = csum_range_find(&mover->csums, &geometry, window->logical, window->nr, window->csums,
				      window->is_known, d);
	for (u32 s = 0; s < window->nr && !err; s++)
		if ((window->state[s] & (SECTOR_USED | SECTOR_WANTED | SECTOR_BLOCK)) == (SECTOR_USED | SECTOR_WANTED))
			err = load_sector(mover, window, s, d);
	return err;
}

/* What nothing uses but counts in parity: as it is there, or as the other members of the row have it. */
static void load_unused(struct chunk_mover *mover, struct window *window)
{
	for (u32 s = 0; s < window->nr; s++) {
		const struct unit unit = { .logical = sector_logical(mover, window, s), .len = mover->sectorsize };

		if ((window->state[s] & (SECTOR_USED | SECTOR_WANTED | SECTOR_READ)) == SECTOR_WANTED &&
		    unit_find_good(mover, window, &unit, sector_bytes(mover, window, s), NULL) == 0)
			window->state[s] |= SECTOR_READ;
	}
}

/* --- The other copies ---------------------------------------- */

/* Compare a sector with what another copy has; @bytes NULL: that cannot be read. */
static int compare_sector(struct chunk_mover *mover, struct window *window, u32 sector, const u8 *bytes, unsigned copy,
			  struct diag *d)
{
	u64 logical = sector_logical(mover, window, sector);
	const u8 *good = sector_bytes(mover, window, sector);
	bool is_proven = window->state[sector] & (SECTOR_SUMMED | SECTOR_BLOCK);
	const struct unit unit = { .logical = logical,
				   .len = mover->sectorsize,
				   .is_block = window->state[sector] & SECTOR_BLOCK };

	if (bytes && memcmp(bytes, good, mover->sectorsize) == 0)
		return 0;
	if (bytes && !is_proven) {
		atomic_fetch_add(&mover->differing_bytes, mover->sectorsize);
		return 0;
	}
	if (!chunk_copy_is_kept(mover, logical, copy))
		return 0;
	window_note_bad(window, &unit, copy, chunk_nth_copy(mover, logical, 0),
			bytes ? "it differs" : "it cannot be read", d);
	return chunk_mend(mover, logical, good, mover->sectorsize, copy, d);
}

static int compare_piece(struct chunk_mover *mover, struct window *window, u32 first, u32 nr, unsigned copy,
			 struct diag *d)
{
	u64 logical = sector_logical(mover, window, first);
	u8 *other = window->other + (size_t)first * mover->sectorsize;
	bool is_read;
	int err = 0;

	if (chunk_copy_is_missing(mover, logical, copy) || copy == chunk_nth_copy(mover, logical, 0))
		return 0;
	is_read = volume_read(mover->volume, logical, other, (size_t)nr * mover->sectorsize, copy, NULL) == 0;
	for (u32 s = 0; s < nr && !err; s++) {
		u8 *bytes = other + (size_t)s * mover->sectorsize;
		bool has_bytes = is_read || volume_read(mover->volume, logical + (u64)s * mover->sectorsize, bytes,
							mover->sectorsize, copy, NULL) == 0;

		err = compare_sector(mover, window, first + s, has_bytes ? bytes : NULL, copy, d);
	}
	return err;
}

/* Which sectors of copy @copy are looked at: all, if it stays; else those that nothing proves. */
static bool is_compared(const struct chunk_mover *mover, const struct window *window, u32 sector, unsigned copy)
{
	u8 state = window->state[sector];

	if ((state & (SECTOR_USED | SECTOR_READ)) != (SECTOR_USED | SECTOR_READ))
		return false;
	return !(state & (SECTOR_SUMMED | SECTOR_BLOCK)) ||
	       chunk_copy_is_kept(mover, sector_logical(mover, window, sector), copy);
}

static int compare_copy(struct chunk_mover *mover, struct window *window, unsigned copy, struct diag *d)
{
	int err = 0;

	for (u32 first = 0, end; first < window->nr && !err; first = end) {
		u64 left = chunk_cell(mover->from, sector_logical(mover, window, first)).left / mover->sectorsize;

		for (end = first; end < window->nr && end - first < left && is_compared(mover, window, end, copy);)
			end++;
		if (end == first) {
			end++;
			continue;
		}
		if (!window->other)
			window->other = malloc(mover->window_bytes);
		if (!window->other)
			return diag_no_memory(d, "moving a chunk");
		err = compare_piece(mover, window, first, end - first, copy, d);
	}
	return err;
}

int window_load(struct chunk_mover *mover, struct window *window, struct diag *d)
{
	int err = 0;

	find_wanted(mover, window);
	read_wanted(mover, window, d);
	if (mover->from->type & (BLOCK_GROUP_METADATA | BLOCK_GROUP_SYSTEM))
		err = load_blocks(mover, window, d);
	if (!err)
		err = load_data(mover, window, d);
	if (err)
		return err;
	load_unused(mover, window);
	for (unsigned copy = 1; mover->from->profile->copies > 1 && copy <= mover->from->profile->copies && !err;
	     copy++)
		err = compare_copy(mover, window, copy, d);
	window_tell_bad(window, d);
	return err;
}
