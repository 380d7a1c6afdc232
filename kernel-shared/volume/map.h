/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arithmetic of one chunk: logical offset to stripe and place. Pure; for volume/, and for who gives chunks
 * other stripes.
 *
 * A striped chunk is a table of 64 KiB cells: rows of data stripes. RAID5/6 rotate: in row r, data stripe i lies on
 * stripe (r + i) mod n, P after the last data stripe, Q after P. Confirmed on chunks written by Linux.
 */
#ifndef BTRKIT_KERNEL_SHARED_VOLUME_MAP_H
#define BTRKIT_KERNEL_SHARED_VOLUME_MAP_H

#include "kernel-shared/volume/chunk_map.h"

struct cell {
	u64 row;
	u16 column; /* data stripe within the row */
	u32 within; /* byte offset within the cell */
	u64 left; /* bytes to the end of the cell, or of the chunk, whichever comes first */
};

static inline struct cell chunk_cell(const struct chunk *chunk, u64 logical)
{
	u64 offset = logical - chunk->logical;
	u16 data_stripes = profile_data_stripes(chunk->profile, chunk->num_stripes);

	if (!chunk->profile->is_striped)
		return (struct cell){ .left = chunk->length - offset };
	return (struct cell){
		.row = offset / STRIPE_LEN_BYTES / data_stripes,
		.column = (u16)(offset / STRIPE_LEN_BYTES % data_stripes),
		.within = (u32)(offset % STRIPE_LEN_BYTES),
		/* A damaged chunk may end within a cell. */
		.left = MIN(STRIPE_LEN_BYTES - offset % STRIPE_LEN_BYTES, chunk->length - offset),
	};
}

/* Stripe index of member @member of row @row on a parity profile: data 0..nr_data-1, then P, then Q. */
static inline u16 row_member_stripe(const struct chunk *chunk, u64 row, unsigned member)
{
	return (u16)((row + member) % chunk->num_stripes);
}

/* Stripe index of copy @mirror (from 1) of a cell. */
static inline u16 cell_stripe(const struct chunk *chunk, const struct cell *cell, unsigned mirror)
{
	if (chunk->profile->parity)
		return row_member_stripe(chunk, cell->row, cell->column);
	return (u16)(cell->column * chunk->sub_stripes + mirror - 1);
}

#endif
