/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moving what a filesystem holds to other places on its devices.
 *
 * There are two ways. A chunk can get other stripes, even as another profile, under the same logical range: nothing that refers
 * to what it holds changes (move_chunk()). Or the extents of a block group get other logical addresses, and all that refers to
 * them is rewritten (move_extents()): where the length of a chunk suits no other place, and where space is to be compacted.
 *
 * Where new things go is said by the rules of the transaction (txn/reshape.h). A caller sets them, then moves what is in the way.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_RELOCATE_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_RELOCATE_H

#include "common/work/pool.h"
#include "common/work/progress.h"
#include "kernel-shared/fs/fs.h"
#include "kernel-shared/txn/reshape.h"

/*
 * Of tree blocks kept in memory, unless a caller of the library says how much: each is looked at in order, few of them again,
 * and the rest of what moving takes has to have room beside them in the 64 MiB that it may take.
 */
#define RELOCATE_CACHE_BYTES (16 * MIB)

/* What all of it works with. Functions here commit, also what the caller has changed before. */
struct relocate {
	struct btrkit_fs *fs; /* open for changes */
	struct pool *pool;
	struct cancel *cancel; /* NULL: nobody does; looked at between two steps, each of which is whole: -ECANCELED */
	struct progress *progress; /* counts bytes that were moved or verified; NULL: nobody looks */
	bool shortens_all; /* chunks of all kinds may end earlier, not those for data alone: devices end before some of them */
};

enum relocate_way {
	RELOCATE_NOTHING, /* it is where it shall be */
	RELOCATE_REMOVE, /* nothing is in use: the chunk goes */
	RELOCATE_SHORTEN, /* only its end lies where it may not, and nothing is in use there: it ends earlier */
	RELOCATE_DROP, /* copies that stay are verified, the others go */
	RELOCATE_CHUNK, /* move_chunk() */
	RELOCATE_EXTENTS, /* move_extents() */
};

/* What will be done with a block group. */
struct relocate_step {
	u64 logical;
	enum relocate_way way;
	u64 used_bytes; /* to be verified, or moved */
	u64 written_bytes; /* on all stripes */
	struct chunk *to; /* of SHORTEN, DROP and CHUNK: as it will be, of the latter as txn_place_chunk() says now; owned */
};
void relocate_step_done(struct relocate_step *step);

/*
 * How block group @logical can come to where the rules allow, as @profile. @may_keep: stripes that may stay do; else all of
 * it is written anew, as a balance does. Nothing is changed.
 * -ENOSPC: there is no room for it; -ENODATA: too many of its devices are missing, what it holds is lost.
 */
int relocate_plan(struct relocate *relocate, u64 logical, u64 profile, bool may_keep, struct relocate_step *ret_step,
		  struct diag *d);

/*
 * Do it, by whatever way is possible, and commit: the block group has gone, lies where the rules allow, or this has failed
 * and all is as it was, except that some of its extents may have moved. @ret_step, unless NULL, tells what was done.
 */
int relocate_group(struct relocate *relocate, u64 logical, u64 profile, bool may_keep, struct relocate_step *ret_step,
		   struct diag *d);

/*
 * Block group @logical, of which nothing is in use, now and on disk, goes, with the free space cache of the first version that
 * may be about it. Commits.
 */
int relocate_remove_empty(struct relocate *relocate, u64 logical, struct diag *d);

/* What is in use in @from comes to so many bytes on those stripes of @to that it does not have. */
int relocate_count_written(struct btrkit_fs *fs, const struct chunk *from, const struct chunk *to, u64 *ret_bytes, struct diag *d);

/* --- The two ways ---------------------------------------- */

/*
 * Copy what is in use in the chunk at to->logical to the stripes of @to that it does not have yet, comparing everything with
 * its checksums and taking another copy, or what parity gives, for what is bad; then make @to its place. The caller commits.
 * -EIO: something has no good copy, nothing is changed.
 */
int move_chunk(struct relocate *relocate, const struct chunk *to, struct diag *d);

/*
 * Give other addresses to all extents in block groups @logicals, which are closed; they are empty after this, and go. Commits as
 * it goes, each time a whole state.
 */
int move_extents(struct relocate *relocate, const u64 *logicals, size_t nr, struct diag *d);

#endif
