/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One bit for each sector of a block group: runs are set, cleared, found, 64 at a time. */
#ifndef BTRKIT_KERNEL_SHARED_SPACE_SECTOR_BITS_H
#define BTRKIT_KERNEL_SHARED_SPACE_SECTOR_BITS_H

#include "common/base/types.h"

/* Words for @nr bits; those behind the last bit must stay clear. */
static inline size_t sector_bits_words(u32 nr)
{
	return ((size_t)nr + 63) / 64;
}

void sector_bits_set(u64 *bits, u32 from, u32 count);
void sector_bits_clear(u64 *bits, u32 from, u32 count);

/* The first bit at or after @from, and before @end, that is @value; @end: none. */
u32 sector_bits_find(const u64 *bits, u32 from, u32 end, bool value);

/* Are all of them @value? */
static inline bool sector_bits_all(const u64 *bits, u32 from, u32 count, bool value)
{
	return sector_bits_find(bits, from, from + count, !value) == from + count;
}

#endif
