/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is judged as a whole, a sector of data or a tree block, and which of its copies is good. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_UNIT_COPIES_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_UNIT_COPIES_H

#include "kernel-shared/fs/fs.h"

struct unit {
	u64 logical;
	u32 len;
	bool is_block;
	struct block_expect expect; /* of a block */
	const u8 *csum; /* of data; NULL: it has none, and is believed */
};

/* false, with the reason in @d: it is not. */
bool unit_is_good(const struct btrkit_fs *fs, const struct unit *unit, const u8 *bytes, struct diag *d);

/* Those bad ones that are remembered: as many as a profile has copies. */
#define UNIT_BAD_MAX 4

/* Copies by number, as for volume_read(). */
struct unit_copies {
	unsigned good; /* 0: none is */
	unsigned bad[UNIT_BAD_MAX], nr_bad; /* came before it, but cannot be read or are wrong */
	unsigned readable; /* the first of these that can be read; 0: none */
	struct diag why; /* of the first of these */
	bool has_no_memory; /* to compute a copy from parity: nothing can be said of any, and @why tells it */
};

/* The copy that is tried as the @turn-th, from 0; it may be none: 0. */
typedef unsigned (*unit_turn_fn)(const void *ctx, const struct unit *unit, unsigned turn);

/* Try copies, in @nr turns, until one is good; that is in @bytes then. */
void unit_try_copies(struct btrkit_fs *fs, const struct unit *unit, unit_turn_fn turn_fn, const void *ctx, unsigned nr,
		     u8 *bytes, struct unit_copies *ret_copies);

#endif
