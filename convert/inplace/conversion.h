/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a conversion goes through: options -> source -> plan -> built -> verified -> flipped. */
#ifndef BTRKIT_CONVERT_INPLACE_CONVERSION_H
#define BTRKIT_CONVERT_INPLACE_CONVERSION_H

#include <btrkit/convert.h>

#include "convert/inplace/gather.h"
#include "convert/inplace/space_plan.h"
#include "convert/source/source.h"
#include "kernel-shared/build/making.h"
#include "kernel-shared/build/placed_data.h"
#include "kernel-shared/fs/fs.h"

/* What could not be read. */
struct unreadable {
	u64 nr_blocks, nr_own; /* all; those that are no file's, or a small one's */
	ARRAY(u32) nodes; /* that were named */
	bool is_own_named, has_unnamed;
	/* With do_skip_unreadable: what is known beforehand, and is not read again. */
	struct space_ranges known;
	struct blockdev *dev; /* the layer that sees to that */
};

struct conversion {
	const struct btrkit_convert_options *options;
	struct blockdev *dev; /* the caller's, or unreadable.dev over it */
	struct source *source;
	struct space_ranges used;
	struct gathered gathered;
	char *saved_name; /* of the saved subvolume */
	struct space_plan space;
	struct placed_data placed;
	struct btrkit_mkfs_options mkfs_options;
	struct btrkit_mkfs_device mkfs_device;
	struct making making; /* its image is what will be made */
	char fsid[37], label[256];
	struct unreadable unreadable;
	struct progress *progress;
	struct pool *pool;
	u64 scan_nsec; /* that the first scan of the source took */
	bool is_planned; /* what is left out was told */
	struct btrkit_convert_plan plan; /* for the caller */
};

void conversion_done(struct conversion *c);

/* --- options.c: what the new filesystem is to be; the source is open ---------------------------------------- */

int conversion_read_options(struct conversion *c, struct diag *d);

/* --- plan.c ------------------------------------------------------------------------------------------------- */

/* Everything is decided; nothing is written. -ENOSPC with the numbers. */
int conversion_make_plan(struct conversion *c, struct diag *d);

/* --- estimate.c --------------------------------------------------------------------------------------------- */

/* For a plan only: measure how fast the device is, and fill in how long it may take. What fails leaves that unknown. */
void conversion_estimate(struct conversion *c);
u64 conversion_now_nsec(void);

/* --- build.c ------------------------------------------------------------------------------------------------- */

/* Once more, from the plan itself: does anything that will be written lie where the source has something? -EINVAL. */
int conversion_judge_writes(const struct conversion *c, struct diag *d);

/* Write all but the superblocks, to free space only. */
int conversion_build(struct conversion *c, struct diag *d);

/* --- unreadable.c: of struct placed_data -------------------------------------------------------------------- */

int conversion_cannot_read(void *ctx, const struct placed_extent *extent, u64 logical, struct diag *d);
int conversion_judge_reading(void *ctx, struct diag *d);

/* --- skip_unreadable.c -------------------------------------------------------------------------------------- */

/* Read all that is in use; what cannot be read is known from then on. -EIO: too much, or what cannot be done without. */
int conversion_find_unreadable(struct conversion *c, struct diag *d);
/* Fill placed.unreadable, from the space plan. */
int conversion_place_unreadable(struct conversion *c, struct diag *d);
/* Name the files that it belongs to. */
int conversion_tell_unreadable(struct conversion *c, struct diag *d);
/* Count it, and tell the caller. */
void conversion_tell_loss(struct conversion *c, const struct btrkit_convert_loss *loss);

/* --- flip.c -------------------------------------------------------------------------------------------------- */

/* The filesystem as it will be, over the device. */
int conversion_open_built(struct conversion *c, struct btrkit_fs **ret_fs, struct diag *d);

/* The device becomes Btrfs. */
int conversion_flip(struct conversion *c, struct diag *d);

/*
 * Finish a conversion that was interrupted while it was flipped. 1: that is not what the device shows.
 */
int conversion_finish_flip(struct conversion *c, struct diag *d);

/* --- convert.c ------------------------------------------------------------------------------------------------ */

/* btrkit_convert() of a device that is open (for writing, unless it is a dry run) and stays the caller's. */
int convert_device(const struct btrkit_convert_options *options, struct blockdev *dev,
		   struct btrkit_convert_plan *ret_plan, struct diag *d);

#endif
