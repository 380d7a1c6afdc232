/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/diag.h"
#include "kernel-shared/build/linear_space.h"

void linear_space_done(struct linear_space *space)
{
	array_done(&space->pieces);
	space->total_bytes = 0;
}

int linear_space_add(struct linear_space *space, u64 logical, u64 len)
{
	int err;

	if (len == 0)
		return 0;
	err = array_push(&space->pieces, (struct linear_piece){ space->total_bytes, logical, len });
	if (!err)
		space->total_bytes += len;
	return err;
}

int linear_space_add_chunk(struct linear_space *space, const struct chunk *chunk)
{
	size_t cap = CHUNK_RESERVED_MAX(chunk->num_stripes);
	_free_ struct logical_range *reserved = calloc(cap, sizeof(*reserved));
	u64 at = chunk->logical;
	size_t count;

	if (!reserved)
		return -ENOMEM;
	count = chunk_reserved_ranges(chunk, reserved, cap);
	for (size_t i = 0; i < count; i++) {
		int err = linear_space_add(space, at, reserved[i].logical - at);

		if (err)
			return err;
		at = reserved[i].logical + reserved[i].len;
	}
	return linear_space_add(space, at, chunk->logical + chunk->length - at);
}

const struct linear_piece *linear_space_piece(const struct linear_space *space, u64 linear)
{
	size_t low = 0, high = space->pieces.len;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (space->pieces.items[middle].linear <= linear)
			low = middle;
		else
			high = middle;
	}
	return &space->pieces.items[low];
}

u64 linear_space_logical(const struct linear_space *space, u64 linear, u64 *ret_left)
{
	const struct linear_piece *piece = linear_space_piece(space, linear);
	u64 within = linear - piece->linear;

	if (ret_left)
		*ret_left = piece->len - within;
	return piece->logical + within;
}
