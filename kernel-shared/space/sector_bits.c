/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/space/sector_bits.h"

/* Bits [low, high) of a word, high at most 64. */
static u64 mask(u32 low, u32 high)
{
	u64 upto = high == 64 ? UINT64_MAX : ((u64)1 << high) - 1;

	return upto & ~(((u64)1 << low) - 1);
}

void sector_bits_set(u64 *bits, u32 from, u32 count)
{
	while (count) {
		u32 low = from % 64, n = 64 - low < count ? 64 - low : count;

		bits[from / 64] |= mask(low, low + n);
		from += n;
		count -= n;
	}
}

void sector_bits_clear(u64 *bits, u32 from, u32 count)
{
	while (count) {
		u32 low = from % 64, n = 64 - low < count ? 64 - low : count;

		bits[from / 64] &= ~mask(low, low + n);
		from += n;
		count -= n;
	}
}

u32 sector_bits_find(const u64 *bits, u32 from, u32 end, bool value)
{
	while (from < end) {
		u64 word = value ? bits[from / 64] : ~bits[from / 64];
		u32 low = from % 64;

		word &= mask(low, 64);
		if (word) {
			u32 found = from - low + (u32)__builtin_ctzll(word);

			return found < end ? found : end;
		}
		from += 64 - low;
	}
	return end;
}
