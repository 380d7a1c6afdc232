/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mark of a seed: a flag in the superblocks of all devices of a filesystem, but not of those seeds from which it grew
 * itself. Nothing writes to what is marked.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_SEED_MARK_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_SEED_MARK_H

#include "kernel-shared/fs/fs.h"

/*
 * May @fs be marked, or (@is_marked false) the mark taken away? Its own devices are open for writing; no transaction has begun.
 * 0; 1: that is so already, on every device; -ENODEV: a device is missing; -EUCLEAN: one is stale; -EBUSY: there is a log, or
 * something that was interrupted; -EOPNOTSUPP: Linux would not find it as a seed.
 */
int seed_mark_judge(struct btrkit_fs *fs, bool is_marked, struct diag *d);

/*
 * Write the superblocks of its own devices with the mark or without. Nothing else changes, not even the generation, so that what grew
 * from the seed finds it as it was when it is marked again. After a power cut some devices may be marked: it is done again then.
 */
int seed_mark_write(struct btrkit_fs *fs, bool is_marked, struct diag *d);

#endif
