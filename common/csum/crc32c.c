/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRC-32C: by ISA-L where it is built in, else by a table of 16 entries (half a byte at a time). */
#include "common/csum/csum.h"

#if HAVE_ISAL
#include <isa-l/crc.h>
#endif

/* Remainders of the 16 half-bytes for the reflected Castagnoli polynomial 0x82f63b78. */
static const u32 nibble_table[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

u32 crc32c_update_portable(u32 crc, const void *data, size_t len)
{
	const u8 *at = data;

	for (; len > 0; len--) {
		crc ^= *at++;
		crc = nibble_table[crc & 15] ^ (crc >> 4);
		crc = nibble_table[crc & 15] ^ (crc >> 4);
	}
	return crc;
}

u32 crc32c_update(u32 crc, const void *data, size_t len)
{
#if HAVE_ISAL
	/* ISA-L takes the length as an int, and reads but never writes through its pointer. */
	const u8 *at = data;

	while (len > 0) {
		int piece = (int)MIN(len, (size_t)1 << 30);

		crc = crc32_iscsi((unsigned char *)at, piece, crc);
		at += piece;
		len -= (size_t)piece;
	}
	return crc;
#else
	return crc32c_update_portable(crc, data, len);
#endif
}
