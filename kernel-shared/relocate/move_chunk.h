/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of move_chunk(), for relocate/ alone.
 *
 * A chunk is worked on in windows of one or two MiB, each by one thread: what is in use there is read and verified,
 * then written to those stripes that are new. Windows of a chunk that is to have parity consist of whole rows.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_MOVE_CHUNK_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_MOVE_CHUNK_H

#include "kernel-shared/relocate/relocate.h"
#include "kernel-shared/relocate/unit_copies.h"
#include "kernel-shared/volume/map.h"
#include "kernel-shared/volume/volume.h"

/* --- Stripes that stay ---------------------------------------- */

/*
 * The stripe of @from where that of number @stripe of @to lies already, with the same content; -1: there is none. Where
 * every stripe holds all of a chunk their order does not matter.
 */
int kept_stripe_of(const struct chunk *from, const struct chunk *to, u16 stripe);

/* Stripe @stripe of @chunk begins so many bytes before what it has of the cell. */
static inline u64 cell_physical(const struct chunk *chunk, u16 stripe, const struct cell *cell, u64 logical)
{
	return chunk->stripe[stripe].physical +
	       (chunk->profile->is_striped ? cell->row * STRIPE_LEN_BYTES + cell->within : logical - chunk->logical);
}

/* --- The work ---------------------------------------- */

struct chunk_mover {
	struct relocate *relocate;
	struct volume *volume;
	const struct chunk *from, *to;
	bool is_same_geometry; /* striped, and each stripe holds what it did */
	bool has_new; /* something is to be written; else what stays is verified only */
	bool *is_new; /* of stripes of @to */
	bool *is_kept, *is_missing; /* of stripes of @from */
	struct tree extents, csums;
	u32 sectorsize, nodesize;
	u64 *used; /* a bit for each sector of the chunk */
	u32 nr_sectors;
	u64 window_bytes;
	struct window *windows; /* memory for so many threads at once */
	size_t nr_windows;
	pthread_mutex_t lock; /* guards is_taken of windows */
	pthread_cond_t given_back;
	atomic_ullong differing_bytes; /* without checksums, not the same in all copies */
};

/* What is known of a sector of a window. */
enum {
	SECTOR_USED = 1,
	SECTOR_WANTED = 2, /* to be read */
	SECTOR_READ = 4, /* there are bytes, of some copy */
	SECTOR_BLOCK = 8, /* of a tree block */
	SECTOR_SUMMED = 16, /* has a checksum */
};

/* Neighbours that were bad in one copy, and good in another: told of together. */
struct bad_run {
	u64 logical, len; /* 0: none */
	bool is_block;
	unsigned bad, good; /* copies */
	char why[160];
};

struct window {
	bool is_taken;
	u64 logical;
	u32 nr; /* sectors */
	u8 *bytes;
	u8 *other; /* of another copy; NULL: not needed yet */
	u8 *parity; /* two cells; NULL: not needed */
	u8 *block; /* a tree block */
	u8 *csums;
	bool *is_known; /* there is a checksum */
	u8 *state; /* of sectors */
	struct bad_run bad_run;
};

/* --- One unit (move_chunk_good.c) ---------------------------------------- */

/* Is copy @copy of @logical, numbered as for volume_read(), on a stripe that stays, or on a missing device? */
bool chunk_copy_is_kept(const struct chunk_mover *mover, u64 logical, unsigned copy);
bool chunk_copy_is_missing(const struct chunk_mover *mover, u64 logical, unsigned copy);
/* Copies in the order in which they are tried: the @i-th, from 0. Those that stay come first. */
unsigned chunk_nth_copy(const struct chunk_mover *mover, u64 logical, unsigned i);
/* Write good bytes over a copy, as far as it stays. */
int chunk_mend(struct chunk_mover *mover, u64 logical, const u8 *bytes, u64 len, unsigned copy, struct diag *d);

/* Have a good copy of @unit in @bytes, and mend those that are bad and stay. -EIO: none is good. */
int unit_find_good(struct chunk_mover *mover, struct window *window, const struct unit *unit, u8 *bytes,
		   struct diag *d);

/* Tell of a bad copy; with its neighbours, when they are known. */
void window_note_bad(struct window *window, const struct unit *unit, unsigned bad, unsigned good, const char *why,
		     struct diag *d);
void window_tell_bad(struct window *window, struct diag *d);

/* --- A window (move_chunk_read.c, move_chunk_write.c) ---------------------------------------- */

/* Have good bytes for all sectors that are wanted, mending what stays and is bad. -EIO: something has no good copy. */
int window_load(struct chunk_mover *mover, struct window *window, struct diag *d);

/* Write what is new. */
int window_write(struct chunk_mover *mover, struct window *window, struct diag *d);

/* The next run of sectors from *at on for which all of @bits are set: false, there is none. */
bool window_run(const struct window *window, u8 bits, u32 *at, u32 *ret_nr);

#endif
