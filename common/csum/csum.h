/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The four checksum kinds that a Btrfs filesystem may have, as one table. Every function is thread-safe.
 * Source: Btrfs documentation, "Checksumming"; values confirmed on images made by Linux.
 */
#ifndef BTRKIT_COMMON_CSUM_CSUM_H
#define BTRKIT_COMMON_CSUM_CSUM_H

#include "common/base/types.h"

enum csum_type {
	CSUM_TYPE_CRC32C = 0,
	CSUM_TYPE_XXHASH64 = 1,
	CSUM_TYPE_SHA256 = 2,
	CSUM_TYPE_BLAKE2B = 3,
};
#define CSUM_TYPE_COUNT 4
#define CSUM_BYTES_MAX 32

struct csum_kind {
	u16 type; /* as in the superblock */
	const char *name; /* as mkfs.btrfs --csum spells it */
	u32 size_bytes; /* of one checksum on disk */
	void (*compute)(const void *data, size_t len, u8 *ret);
};

/* The row of @type; NULL when it is unknown, or its library was not built in (csum_type_name() tells these apart). */
const struct csum_kind *csum_kind_by_type(u16 type);

/* The row named "crc32c", "xxhash" or "xxhash64", "sha256", "blake2" or "blake2b"; NULL as above. */
const struct csum_kind *csum_kind_by_name(const char *name);

/* The format's name for @type, built in or not; NULL when the format has no such type. */
const char *csum_type_name(u16 type);

/* Checksum of @len bytes at @data into @ret, kind->size_bytes bytes in disk order. */
static inline void csum_compute(const struct csum_kind *kind, const void *data, size_t len, u8 *ret)
{
	kind->compute(data, len, ret);
}

/* CRC-32C of @data continued from @crc, without inversion before or after. */
u32 crc32c_update(u32 crc, const void *data, size_t len);

/* The same without any special instruction; for machines without ISA-L, and to test against. */
u32 crc32c_update_portable(u32 crc, const void *data, size_t len);

#endif
