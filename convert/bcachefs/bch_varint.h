/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Integers of variable length, of which inodes consist. Source: images, whose inodes bcachefs-tools list. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_VARINT_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_VARINT_H

#include <errno.h>

#include "common/base/types.h"

/*
 * Read the integer at the beginning of @bytes, of which there are @len. Returns how many bytes it takes, or -EUCLEAN.
 * The number of the first byte's trailing ones says how many follow; eight of them: the next eight are the value.
 */
static inline int bch_varint_get(const u8 *bytes, size_t len, u64 *ret)
{
	unsigned nr;
	u64 raw = 0;
	le64 word = { { 0 } };

	if (len == 0)
		return -EUCLEAN;
	nr = (unsigned)__builtin_ctz(~(unsigned)bytes[0]) + 1;
	if (len < nr)
		return -EUCLEAN;
	if (nr == 9) {
		memcpy(&word, bytes + 1, sizeof(word));
		*ret = le64_get(word);
		return 9;
	}
	memcpy(&word, bytes, nr);
	raw = le64_get(word);
	*ret = raw >> nr;
	return (int)nr;
}

/* As inodes had them until 2020: most significant byte first, the first byte's highest one bit tells the length. */
static inline int bch_old_varint_get(const u8 *bytes, size_t len, u64 *ret)
{
	static const u8 lengths[8] = { 1, 2, 3, 4, 6, 8, 10, 13 };
	unsigned highest, nr;
	u64 value;

	if (len == 0 || bytes[0] == 0)
		return -EUCLEAN;
	highest = 31 - (unsigned)__builtin_clz(bytes[0]);
	nr = lengths[7 - highest];
	if (len < nr)
		return -EUCLEAN;
	value = bytes[0] & ~(1U << highest);
	/* Beyond 64 bits there is nothing in times, the only fields that may have more. */
	for (unsigned i = 1; i < nr; i++)
		value = value << 8 | bytes[i];
	*ret = value;
	return (int)nr;
}

#endif
