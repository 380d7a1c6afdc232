/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A window is written to the stripes that are new. */
#include "kernel-shared/relocate/move_chunk.h"
#include "kernel-shared/volume/raid56.h"

/* --- Copies ---------------------------------------- */

static int write_piece(struct chunk_mover *mover, u64 logical, const u8 *bytes, u64 len, struct diag *d)
{
	const struct chunk *to = mover->to;
	struct cell cell = chunk_cell(to, logical);
	int err = 0;

	for (unsigned copy = 1; copy <= to->profile->copies && !err; copy++) {
		u16 stripe = cell_stripe(to, &cell, copy);

		if (mover->is_new[stripe])
			err = volume_stripe_write(mover->volume, &to->stripe[stripe],
						  cell_physical(to, stripe, &cell, logical), bytes, len, logical, d);
	}
	return err;
}

static int write_copies(struct chunk_mover *mover, struct window *window, struct diag *d)
{
	u32 at = 0, nr;
	int err = 0;

	while (!err && window_run(window, SECTOR_WANTED, &at, &nr)) {
		u64 logical = window->logical + (u64)at * mover->sectorsize, len = (u64)nr * mover->sectorsize;

		at += nr;
		while (len && !err) {
			u64 piece = MIN(len, chunk_cell(mover->to, logical).left);

			err = write_piece(mover, logical, window->bytes + (logical - window->logical), piece, d);
			logical += piece;
			len -= piece;
		}
	}
	return err;
}

/* --- Rows with parity ---------------------------------------- */

/* Is anything in use in a row? */
static bool row_is_used(const struct window *window, u32 first, u32 nr)
{
	for (u32 s = first; s < first + nr && s < window->nr; s++)
		if (window->state[s] & SECTOR_USED)
			return true;
	return false;
}

static int write_member(struct chunk_mover *mover, u64 logical, u64 row, u16 member, const u8 *bytes, struct diag *d)
{
	u16 stripe = row_member_stripe(mover->to, row, member);
	const struct chunk_stripe *place = &mover->to->stripe[stripe];

	if (!mover->is_new[stripe])
		return 0;
	return volume_stripe_write(mover->volume, place, place->physical + row * STRIPE_LEN_BYTES, bytes,
				   STRIPE_LEN_BYTES, logical, d);
}

/* @bytes: of all its data. */
static int write_row(struct chunk_mover *mover, struct window *window, u64 logical, u8 *bytes, struct diag *d)
{
	const struct chunk *to = mover->to;
	u16 nr_data = profile_data_stripes(to->profile, to->num_stripes);
	u64 row = chunk_cell(to, logical).row;
	_free_ u8 **data = calloc(nr_data, sizeof(*data));
	u8 *p = window->parity, *q = to->profile->parity > 1 ? p + STRIPE_LEN_BYTES : NULL;
	int err = 0;

	if (!data)
		return diag_no_memory(d, "a RAID5/6 row");
	for (u16 i = 0; i < nr_data; i++)
		data[i] = bytes + i * STRIPE_LEN_BYTES;
	raid56_generate(data, nr_data, p, q, STRIPE_LEN_BYTES);
	for (u16 i = 0; i < nr_data && !err; i++)
		err = write_member(mover, logical, row, i, data[i], d);
	if (!err)
		err = write_member(mover, logical, row, nr_data, p, d);
	if (!err && q)
		err = write_member(mover, logical, row, (u16)(nr_data + 1), q, d);
	return err;
}

static int write_rows(struct chunk_mover *mover, struct window *window, struct diag *d)
{
	u32 row_sectors = (u32)(profile_data_stripes(mover->to->profile, mover->to->num_stripes) * STRIPE_LEN_BYTES /
				mover->sectorsize);
	int err = 0;

	for (u32 s = 0; s < window->nr; s++)
		if (!(window->state[s] & SECTOR_READ))
			memset(window->bytes + (size_t)s * mover->sectorsize, 0, mover->sectorsize);
	for (u32 first = 0; first < window->nr && !err; first += row_sectors)
		if (row_is_used(window, first, row_sectors))
			err = write_row(mover, window, window->logical + (u64)first * mover->sectorsize,
					window->bytes + (size_t)first * mover->sectorsize, d);
	return err;
}

/* --- Both ---------------------------------------- */

int window_write(struct chunk_mover *mover, struct window *window, struct diag *d)
{
	int err = mover->to->profile->parity ? write_rows(mover, window, d) : write_copies(mover, window, d);

	/* The disks write while the next windows are read. */
	if (!err)
		volume_write_out(mover->volume, mover->to, window->logical, (u64)window->nr * mover->sectorsize);
	return err;
}
