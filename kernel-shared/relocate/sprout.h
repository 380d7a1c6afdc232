/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filesystem grows from a seed: it has all that the seed has, by referring to the seed's devices, and writes to a device
 * of its own alone.
 *
 * As Linux does it: the new filesystem has an fsid of its own, which its new tree blocks name, while those of the seed go on
 * naming the seed's; the items of the seed's devices keep their fsid, and note at which generation the seed was, so that it
 * is found out when it has changed. All of the chunk tree moves to the new device, because Linux reads it before it knows of
 * seeds. Metadata that was redundant is redundant on the one new device, too (DUP), where Linux would have it single.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_SPROUT_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_SPROUT_H

#include "kernel-shared/fs/fs.h"

/* A device to be taken over, and what it holds so far. */
struct sprout_target {
	struct blockdev *dev; /* owned */
	u64 total_bytes; /* that the filesystem gets of it */
	const u8 *fsid, *uuid; /* of the filesystem, and of the device */
};

/*
 * Is @fs, opened for reading, a seed from which something can grow? All of its devices have to be there, marked, and as new as
 * each other: -EINVAL, -ENODEV, -EUCLEAN, -EOPNOTSUPP.
 */
int sprout_judge_seed(const struct btrkit_fs *fs, struct diag *d);

/*
 * Make @fs, a seed that was judged, the filesystem that grows from it on @target->dev, which becomes the set's, also when this
 * fails. What the device held has been wiped: the first thing that makes it a filesystem is the commit. After a failure @fs
 * is good for nothing but to be closed; the text tells if the new filesystem is there nevertheless.
 * -ENOSPC: the device is too small.
 */
int sprout_grow(struct btrkit_fs *fs, const struct sprout_target *target, u64 *ret_devid, struct diag *d);

#endif
