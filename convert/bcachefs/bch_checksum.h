/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checksums of bcachefs: of superblocks, jsets, bsets and extents. Source: images; names and numbers from bcachefs-tools' output. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_CHECKSUM_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_CHECKSUM_H

#include "convert/bcachefs/bch_disk.h"

enum bch_csum_type {
	BCH_CSUM_NONE = 0,
	BCH_CSUM_CRC32C_NONZERO = 1, /* metadata: begins with all ones, inverted in the end */
	BCH_CSUM_CRC64_NONZERO = 2,
	BCH_CSUM_CHACHA20_POLY1305_80 = 3, /* encrypted: authenticated with the key, see bch_crypt.h */
	BCH_CSUM_CHACHA20_POLY1305_128 = 4,
	BCH_CSUM_CRC32C = 5, /* data: begins with 0, not inverted */
	BCH_CSUM_CRC64 = 6,
	BCH_CSUM_XXHASH = 7,
	BCH_NR_CSUM_TYPES
};

/* "crc32c"; NULL: unknown. How many bytes of a stored checksum count. */
const char *bch_csum_name(unsigned type);
unsigned bch_csum_bytes(unsigned type);
static inline bool bch_csum_is_encrypted(unsigned type)
{
	return type == BCH_CSUM_CHACHA20_POLY1305_80 || type == BCH_CSUM_CHACHA20_POLY1305_128;
}

/* Types without a key only. */
struct disk_bch_csum bch_csum_of(unsigned type, const void *data, size_t len_bytes);
/* ECMA-182, most significant bit first; continued from @crc. */
u64 bch_crc64_update(u64 crc, const void *data, size_t len_bytes);

#endif
