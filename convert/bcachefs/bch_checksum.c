/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRC-64 as bcachefs has it, and the table of its checksums. */
#include "convert/bcachefs/bch_checksum.h"

#include <xxhash.h>

#include "common/csum/csum.h"

#if HAVE_ISAL
#include <isa-l/crc64.h>
#endif

static const struct csum_row {
	const char *name;
	unsigned bytes;
} csum_rows[BCH_NR_CSUM_TYPES] = {
	[BCH_CSUM_NONE] = { "none", 0 },
	[BCH_CSUM_CRC32C_NONZERO] = { "crc32c", 4 },
	[BCH_CSUM_CRC64_NONZERO] = { "crc64", 8 },
	[BCH_CSUM_CHACHA20_POLY1305_80] = { "chacha20/poly1305 (80 bits)", 10 },
	[BCH_CSUM_CHACHA20_POLY1305_128] = { "chacha20/poly1305 (128 bits)", 16 },
	[BCH_CSUM_CRC32C] = { "crc32c", 4 },
	[BCH_CSUM_CRC64] = { "crc64", 8 },
	[BCH_CSUM_XXHASH] = { "xxhash", 8 },
};

const char *bch_csum_name(unsigned type)
{
	return type < BCH_NR_CSUM_TYPES ? csum_rows[type].name : NULL;
}

unsigned bch_csum_bytes(unsigned type)
{
	return type < BCH_NR_CSUM_TYPES ? csum_rows[type].bytes : 0;
}

#if !HAVE_ISAL
/* What each bit of the byte that is shifted out leaves: x^64 to x^71, modulo the polynomial x^64 + 0x42f0e1eba9ea3693.
 */
#define CRC64_OF(i)                                                                                                    \
	(((i)&1 ? 0x42f0e1eba9ea3693ULL : 0) ^ ((i)&2 ? 0x85e1c3d753d46d26ULL : 0) ^                                   \
	 ((i)&4 ? 0x493366450e42ecdfULL : 0) ^ ((i)&8 ? 0x9266cc8a1c85d9beULL : 0) ^                                   \
	 ((i)&16 ? 0x663d78ff90e185efULL : 0) ^ ((i)&32 ? 0xcc7af1ff21c30bdeULL : 0) ^                                 \
	 ((i)&64 ? 0xda050215ea6c212fULL : 0) ^ ((i)&128 ? 0xf6fae5c07d3274cdULL : 0))
#define CRC64_4(i) CRC64_OF(i), CRC64_OF((i) + 1), CRC64_OF((i) + 2), CRC64_OF((i) + 3)
#define CRC64_16(i) CRC64_4(i), CRC64_4((i) + 4), CRC64_4((i) + 8), CRC64_4((i) + 12)
#define CRC64_64(i) CRC64_16(i), CRC64_16((i) + 16), CRC64_16((i) + 32), CRC64_16((i) + 48)
static const u64 crc64_table[256] = { CRC64_64(0), CRC64_64(64), CRC64_64(128), CRC64_64(192) };
#endif

u64 bch_crc64_update(u64 crc, const void *data, size_t len_bytes)
{
#if HAVE_ISAL
	/* ISA-L inverts before and after. */
	return ~crc64_ecma_norm(~crc, data, len_bytes);
#else
	const u8 *at = data;

	for (; len_bytes > 0; len_bytes--)
		crc = crc << 8 ^ crc64_table[(u8)(crc >> 56) ^ *at++];
	return crc;
#endif
}

struct disk_bch_csum bch_csum_of(unsigned type, const void *data, size_t len_bytes)
{
	struct disk_bch_csum csum = { 0 };

	switch (type) {
	case BCH_CSUM_CRC32C_NONZERO:
		le64_put(&csum.lo, (u32)~crc32c_update(UINT32_MAX, data, len_bytes));
		break;
	case BCH_CSUM_CRC32C:
		le64_put(&csum.lo, crc32c_update(0, data, len_bytes));
		break;
	case BCH_CSUM_CRC64_NONZERO:
		le64_put(&csum.lo, ~bch_crc64_update(UINT64_MAX, data, len_bytes));
		break;
	case BCH_CSUM_CRC64:
		le64_put(&csum.lo, bch_crc64_update(0, data, len_bytes));
		break;
	case BCH_CSUM_XXHASH:
		le64_put(&csum.lo, XXH64(data, len_bytes, 0));
		break;
	default:
		break;
	}
	return csum;
}
