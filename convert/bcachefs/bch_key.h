/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys as they are used in memory, however they were packed. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_KEY_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_KEY_H

#include "common/base/diag.h"
#include "convert/bcachefs/bch_disk.h"

struct bch_pos {
	u64 inode, offset;
	u32 snapshot;
};
#define BCH_POS_MIN ((struct bch_pos){ 0, 0, 0 })
#define BCH_POS_MAX ((struct bch_pos){ UINT64_MAX, UINT64_MAX, UINT32_MAX })

struct bch_key {
	struct bch_pos pos; /* of extents: where they end */
	u32 size_sectors; /* of extents; else 0 */
	u8 type; /* enum bch_key_type, or one that is not known */
	u32 version_hi;
	u64 version_lo;
	const u8 *value;
	u32 value_bytes; /* a multiple of 8 */
};

/* By inode, offset, snapshot. */
int bch_pos_compare(const struct bch_pos *a, const struct bch_pos *b);
struct bch_pos bch_pos_get(const struct disk_bch_pos *pos);
/* The next higher position. */
struct bch_pos bch_pos_successor(struct bch_pos pos);

/*
 * Read the key at the beginning of @bytes, of which there are @len_bytes; @format is that of the node, NULL where all keys are
 * unpacked. Returns how many bytes it takes with its value, or -EUCLEAN. key->value points into @bytes.
 */
int bch_key_get(const struct disk_bch_format *format, const u8 *bytes, size_t len_bytes, struct bch_key *ret_key,
		struct diag *d);

/* -EUCLEAN if no key can be packed that way. */
int bch_format_check(const struct disk_bch_format *format, struct diag *d);

/* "extents"; "btree 40" into @buf where there is no name. And "dirent". */
const char *bch_btree_name(u8 btree, char buf[16]);
const char *bch_key_type_name(u8 type, char buf[16]);

/* "4096:8:U32_MAX", as the tools of bcachefs write it; POS_MIN, SPOS_MAX. */
#define BCH_POS_TEXT_MAX 64
const char *bch_pos_text(const struct bch_pos *pos, char buf[BCH_POS_TEXT_MAX]);

#endif
