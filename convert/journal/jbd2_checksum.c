/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/journal/jbd2_checksum.h"

#include "common/csum/csum.h"

/* Remainders of half-bytes for the polynomial 0x04c11db7, most significant bit first. */
static const u32 nibble_table[16] = {
	0x00000000, 0x04c11db7, 0x09823b6e, 0x0d4326d9, 0x130476dc, 0x17c56b6b, 0x1a864db2, 0x1e475005,
	0x2608edb8, 0x22c9f00f, 0x2f8ad6d6, 0x2b4bcb61, 0x350c9b64, 0x31cd86d3, 0x3c8ea00a, 0x384fbdbd,
};

u32 jbd2_crc32_update(u32 crc, const void *data, size_t len)
{
	const u8 *at = data;

	for (; len > 0; len--) {
		crc ^= (u32)*at++ << 24;
		crc = nibble_table[crc >> 28] ^ (crc << 4);
		crc = nibble_table[crc >> 28] ^ (crc << 4);
	}
	return crc;
}

u32 jbd2_checksum_seed(const u8 uuid[16])
{
	return crc32c_update(0xffffffff, uuid, 16);
}

u32 jbd2_super_checksum(const struct disk_jbd2_super *super)
{
	struct disk_jbd2_super copy = *super;

	be32_put(&copy.checksum, 0);
	return crc32c_update(0xffffffff, &copy, sizeof(copy));
}

u32 jbd2_tail_checksum(u32 seed, const u8 *block, u32 block_bytes)
{
	static const u8 zeroes[4];

	return crc32c_update(crc32c_update(seed, block, block_bytes - 4), zeroes, sizeof(zeroes));
}

u32 jbd2_commit_checksum(u32 seed, const u8 *block, u32 nr_bytes, u32 block_bytes)
{
	static const u8 zeroes[512];
	const size_t field = offsetof(struct disk_jbd2_commit, checksum);
	u32 crc = crc32c_update(seed, block, field);

	crc = crc32c_update(crc, zeroes, 4);
	crc = crc32c_update(crc, block + field + 4, nr_bytes - field - 4);
	for (u32 left = block_bytes - nr_bytes; left > 0;) {
		u32 piece = MIN(left, (u32)sizeof(zeroes));

		crc = crc32c_update(crc, zeroes, piece);
		left -= piece;
	}
	return crc;
}

u32 jbd2_data_checksum(u32 seed, u32 sequence, const u8 *block, u32 block_bytes)
{
	be32 field;

	be32_put(&field, sequence);
	return crc32c_update(crc32c_update(seed, &field, sizeof(field)), block, block_bytes);
}
