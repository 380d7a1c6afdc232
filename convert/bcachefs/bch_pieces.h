/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data of extents that was wanted in part, after it was checked and decompressed: who reads a file piece by piece wants the rest
 * next. Locked.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_PIECES_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_PIECES_H

#include "common/base/cleanup.h"
#include "convert/bcachefs/bch_extent.h"

struct bch_pieces;

struct bch_pieces *bch_pieces_new(void); /* NULL: no memory */
void bch_pieces_free(struct bch_pieces *pieces); /* NULL allowed */

/* Copy @nr sectors from @first on of what @replica holds; false if it is not there. NULL allowed. */
bool bch_pieces_get(struct bch_pieces *pieces, const struct bch_replica *replica, u32 first, u32 nr, void *buf);
/* Keep @data, crc.usize sectors: it no longer is the caller's. NULL allowed. */
void bch_pieces_put(struct bch_pieces *pieces, const struct bch_replica *replica, u8 *data);

#endif
