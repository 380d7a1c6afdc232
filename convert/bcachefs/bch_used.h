/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a device bcachefs uses, without its own space accounting. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_USED_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_USED_H

#include "convert/bcachefs/bch_fs.h"

/*
 * As source_ops.used_ranges. -EUCLEAN: a node or key cannot be read, so that something in use would not be told. -EOPNOTSUPP: erasure
 * coding. -EINVAL: there was no such device.
 */
int bch_used_ranges(struct bch_fs *fs, u32 given, source_range_fn fn, void *ctx, struct diag *d);

#endif
