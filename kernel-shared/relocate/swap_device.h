/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One device takes the place of another, which may be missing: with its devid and its uuid, so that no chunk changes.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_SWAP_DEVICE_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_SWAP_DEVICE_H

#include "kernel-shared/relocate/rebuild.h"
#include "kernel-shared/volume/map.h"

struct swap_rules {
	bool prefers_others; /* as for rebuild_device() */
	bool accepts_loss; /* go on though some of it has no good copy */
};

/*
 * Are there enough of its devices to read all of what a chunk holds? A damaged sector may still be lost.
 */
bool chunk_is_readable(const struct volume *volume, const struct chunk *chunk);

/* A device that goes, or is missing, and the one that comes. */
struct device_swap {
	u64 devid;
	struct blockdev *dev; /* taken over, also on failure */
	struct blockdev
		*old; /* set when all is done: the caller's, who takes its superblocks away; NULL: it was missing */
	struct rebuild_result result;
};

/*
 * Rebuild devices on others, make these the filesystem's, and commit, all of them at once: where several are missing,
 * there may be no room for the commit before all are there again. Nothing can be seen of it before the commit: whoever
 * interrupts it has what there was, and begins anew; but where RAID5/6 needs it, a device that was missing is there again
 * right before the commit. -ENODATA: chunks with something in use cannot be read, as too many
 * of their devices are missing; -EIO: some of it has no good copy; both only without accepts_loss. -ENOSPC: a device is
 * smaller than the old one; -EBUSY, -EROFS: see txn_swap_device(); -ECANCELED.
 */
int swap_devices(struct relocate *relocate, struct device_swap *swaps, size_t nr, const struct swap_rules *rules,
		 struct diag *d);

/* Could swap_devices() do it, as far as can be said before anything is read? The devices stay the caller's. */
int swap_devices_judge(struct relocate *relocate, const struct device_swap *swaps, size_t nr,
		       const struct swap_rules *rules, struct diag *d);

#endif
