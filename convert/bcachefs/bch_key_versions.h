/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys as older versions wrote them, made to what they have been since. A node, a bset or a jset is of the version that wrote it, and
 * stays so when a newer one takes over the volume:
 *
 *	before 0.10	types of keys began anew, at 128, in each btree
 *	before 0.11	inodes had their number as inode of the position, and have it as offset since
 *	before 0.12	positions had no snapshot (0): in a volume that has been taken over they are of the one that was there first
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_KEY_VERSIONS_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_KEY_VERSIONS_H

#include "convert/bcachefs/bch_key.h"

/* What wrote them, and where they are. Of a root, @level is one higher than that of its node. */
struct bch_written {
	u16 volume; /* the version in the superblock */
	u16 version;
	u8 btree, level;
};

static inline bool bch_is_before_snapshots(const struct bch_written *written)
{
	return written->version < BCH_VERSION(0, 12) && written->volume >= BCH_VERSION(0, 12);
}

struct bch_pos bch_pos_as_now(const struct bch_written *written, struct bch_pos pos);
u8 bch_key_type_as_now(const struct bch_written *written, u8 type);

/* The value of a key of @type: what a pointer says of the begin of its node. */
void bch_value_as_now(const struct bch_written *written, u8 type, u8 *value, size_t bytes);
/* All of an unpacked key of which @bytes are there, in place. Too few of them are left alone. */
void bch_unpacked_as_now(const struct bch_written *written, u8 *key, size_t bytes);

#endif
