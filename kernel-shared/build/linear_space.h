/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The usable logical space of one kind (data, metadata, system), seen as one run of bytes: its chunks in order without
 * what lies on superblock mirrors. Whatever is laid out one after the other is placed by its linear offset.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_LINEAR_SPACE_H
#define BTRKIT_KERNEL_SHARED_BUILD_LINEAR_SPACE_H

#include "common/base/array.h"
#include "kernel-shared/volume/chunk_map.h"

struct linear_piece {
	u64 linear; /* offset of its first byte in the space */
	u64 logical;
	u64 len;
};

struct linear_space {
	ARRAY(struct linear_piece) pieces; /* ascending by linear and by logical */
	u64 total_bytes;
};

void linear_space_done(struct linear_space *space);

/*
 * Append the piece [logical, logical + len), which lies after all others. One that touches the last is still a piece of
 * its own: an extent must not reach from one chunk into the next. -ENOMEM.
 */
int linear_space_add(struct linear_space *space, u64 logical, u64 len);

/* Append what may be used of a chunk. -ENOMEM. */
int linear_space_add_chunk(struct linear_space *space, const struct chunk *chunk);

/* The piece that holds linear offset @linear < total_bytes. */
const struct linear_piece *linear_space_piece(const struct linear_space *space, u64 linear);

/* Logical address of @linear < total_bytes; *ret_left, unless NULL: how many bytes go on from there without a gap. */
u64 linear_space_logical(const struct linear_space *space, u64 linear, u64 *ret_left);

#endif
