/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A filesystem does without devices that are missing: what chunks had there gets a place on those that are left. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_REMOVE_MISSING_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_REMOVE_MISSING_H

#include "kernel-shared/relocate/relocate.h"

/* What block groups of a type become. */
struct type_profile {
	bool is_set; /* else they keep the profile that they have */
	u64 profile; /* BLOCK_GROUP_PROFILE_MASK bits; 0: single */
};

struct removal {
	struct relocate *relocate;
	const u64 *devids; /* all of them missing */
	size_t nr;
	struct type_profile data, metadata; /* system block groups as metadata */
	/*
	 * Data that is on these devices alone is given up: what checksums cover cannot be read afterwards, as before;
	 * the rest is zeroes. Without it that is refused. Never metadata.
	 */
	bool accepts_loss;
	/* Told of each step: @is_done false, it is planned; may be NULL. */
	int (*tell)(void *ctx, const struct chunk *chunk, const struct relocate_step *step, bool is_done,
		    struct diag *d);
	void *ctx;
	u64 lost_bytes; /* counted: given up */
};

/*
 * Tell of each step that removal_run() will make, and refuse what it would refuse, as far as that can be known before
 * anything has moved. Chunks get their new places in the transaction, which the caller aborts or runs.
 * -ENODATA: data would be lost; -ENOSPC: too few devices are left for a profile, or too little room; -EINVAL.
 */
int removal_plan(struct removal *removal, struct diag *d);

/*
 * Do it, step by step, each a commit; in the end the devices are no longer the filesystem's. Whatever ends it, the same
 * call goes on from there.
 */
int removal_run(struct removal *removal, struct diag *d);

#endif
