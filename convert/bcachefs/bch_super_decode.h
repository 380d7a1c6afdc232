/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the bytes of one copy of a superblock to what they say, every field checked. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_SUPER_DECODE_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_SUPER_DECODE_H

#include "convert/bcachefs/bch_super.h"

/* Of bcachefs, or of bcache, which it had in its first years. */
bool bch_magic_is_known(const u8 magic[16]);

/*
 * Before the rest is read: version, and how long it is. -EOPNOTSUPP: a version or byte order that is not known;
 * -EUCLEAN. Nothing is certain before the checksum of all is.
 */
int bch_super_head_judge(const struct blockdev *dev, u64 sector, const struct disk_bch_super *head, u64 *ret_bytes,
			 struct diag *d);

/* @raw is taken over, also by a failure. */
int bch_super_decode(const struct blockdev *dev, u64 sector, u8 *raw, size_t raw_bytes, struct bch_super **ret_super,
		     struct diag *d);

#endif
