/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a device bcachefs uses, without its own space accounting. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_USED_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_USED_H

#include "convert/bcachefs/bch_fs.h"

/* As source_ops.used_ranges. -EOPNOTSUPP: volumes on several devices, and erasure coding. */
int bch_used_ranges(struct bch_fs *fs, source_range_fn fn, void *ctx, struct diag *d);

#endif
