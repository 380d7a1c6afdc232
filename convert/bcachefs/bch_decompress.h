/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The compressions that data in bcachefs may have. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_DECOMPRESS_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_DECOMPRESS_H

#include "common/base/diag.h"
#include "convert/bcachefs/bch_extent.h"

/* "zstd"; NULL: unknown. */
const char *bch_compression_name(unsigned compression);

/*
 * Exactly @dst_bytes of what @src holds, padding behind it included. -EUCLEAN: it does not give so many; -EOPNOTSUPP: a kind that
 * this build does not know, named. Nothing outside the two buffers is touched, whatever the input is. Thread-safe.
 */
int bch_decompress(unsigned compression, const void *src, size_t src_bytes, void *dst, size_t dst_bytes, struct diag *d);

#endif
