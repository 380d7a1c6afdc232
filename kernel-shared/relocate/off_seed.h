/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes when a chunk moves away from the devices of a seed.
 *
 * Tree blocks that a filesystem has from a seed name the seed's fsid in their headers, and are accepted as long as the seed's
 * devices belong to it. When a chunk moves away from there, its blocks get the filesystem's own fsid: Linux would not
 * read them any more when the seed has been removed. Nothing else refers to a block's fsid or checksum.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_OFF_SEED_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_OFF_SEED_H

#include "kernel-shared/relocate/relocate.h"

/* Is something of @chunk on a device of a seed? */
bool chunk_is_of_seed(const struct btrkit_fs *fs, const struct chunk *chunk);

/*
 * The profile that @chunk, a seed's, can have on @nr_devices: that which it has, unless these are too few. Then data becomes single, as
 * with Linux, and what holds metadata RAID1 or DUP if it had copies or parity.
 */
u64 profile_off_seed(const struct chunk *chunk, u64 nr_devices);

/*
 * Make the tree blocks of [@logical, @logical + @len) the filesystem's own, where they lie now: in a chunk that has got
 * other stripes in this transaction, so that nobody else reads them yet. -EIO: a block that was copied cannot be read.
 */
int rename_blocks(struct btrkit_fs *fs, u64 logical, u64 len, struct diag *d);

#endif
