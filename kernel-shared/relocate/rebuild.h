/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All that chunks have on one device, made again on another at the same physical addresses: from the device itself
 * where it is there and right, else from other copies or parity. Nothing refers to the new device yet, and the
 * filesystem is only read.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_REBUILD_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_REBUILD_H

#include "kernel-shared/relocate/relocate.h"

struct rebuild_result {
	u64 written_bytes;
	u64 mended_bytes; /* the device had them wrong or not at all, another copy has them right */
	u64 damaged_bytes; /* no copy is right; written as they were found */
	u64 lost_bytes; /* no copy can be read; zeroes were written */
	u64 first_lost; /* logical address of the first of the last two; UINT64_MAX: none */
};

/* Bytes that rebuild_device() will write, near enough for a plan. */
int rebuild_estimate(struct relocate *relocate, u64 devid, u64 *ret_bytes, struct diag *d);

/*
 * Write to @to what is in use of device @devid, which may be missing. @prefers_others: read the device itself only for
 * what no other copy has. Whole rows of parity profiles are written, and their parity as the data has it. -EIO: @to
 * cannot be written; -ECANCELED. What no copy has is counted only.
 */
int rebuild_device(struct relocate *relocate, u64 devid, struct blockdev *to, bool prefers_others,
		   struct rebuild_result *ret_result, struct diag *d);

#endif
