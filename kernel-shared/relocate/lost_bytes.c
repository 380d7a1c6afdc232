/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/lost_bytes.h"

#include "kernel-shared/volume/map.h"

static bool is_there(const struct volume *volume, const struct chunk_stripe *stripe, u64 within, u64 len)
{
	const struct device *device = device_set_find(volume->devices, stripe->devid, stripe->dev_uuid);
	u64 size_bytes = device && device->dev ? device->dev->size_bytes : 0;

	return stripe->physical <= size_bytes && within <= size_bytes - stripe->physical &&
	       len <= size_bytes - stripe->physical - within;
}

bool chunk_is_whole(const struct volume *volume, const struct chunk *chunk)
{
	for (u16 s = 0; s < chunk->num_stripes; s++)
		if (!is_there(volume, &chunk->stripe[s], 0, chunk->stripe_bytes))
			return false;
	return true;
}

/* Of a row with parity: as many as there is parity for may be gone. */
static bool is_computable(const struct volume *volume, const struct chunk *chunk, u64 within, u64 len)
{
	u16 nr_gone = 0;

	for (u16 s = 0; s < chunk->num_stripes; s++)
		nr_gone = (u16)(nr_gone + !is_there(volume, &chunk->stripe[s], within, len));
	return nr_gone <= chunk->profile->parity;
}

static bool is_readable(const struct volume *volume, const struct chunk *chunk, u64 logical, u64 len)
{
	struct cell cell = chunk_cell(chunk, logical);
	u64 within = chunk->profile->is_striped ? cell.row * STRIPE_LEN_BYTES + cell.within : logical - chunk->logical;

	for (unsigned copy = 1; copy <= chunk->profile->copies; copy++)
		if (is_there(volume, &chunk->stripe[cell_stripe(chunk, &cell, copy)], within, len))
			return true;
	return chunk->profile->parity && is_computable(volume, chunk, within, len);
}

u64 chunk_lost_bytes(const struct volume *volume, const struct chunk *chunk, u64 logical, u64 len, u64 *ret_first)
{
	u64 lost = 0, piece;

	for (; len && !chunk_is_whole(volume, chunk); logical += piece, len -= piece) {
		/* Sector by sector where the end may lie. */
		piece = MIN(MIN(len, chunk_cell(chunk, logical).left), STRIPE_LEN_BYTES);
		if (is_readable(volume, chunk, logical, piece))
			continue;
		piece = MIN(piece, (u64)volume->sectorsize);
		if (is_readable(volume, chunk, logical, piece))
			continue;
		if (!lost)
			*ret_first = logical;
		lost += piece;
	}
	return lost;
}
