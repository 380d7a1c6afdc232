/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arithmetic on numbers that came from a disk or a user: each function returns false, and leaves *ret alone, when
 * the exact result does not fit.
 */
#ifndef BTRKIT_COMMON_BASE_CHECKED_H
#define BTRKIT_COMMON_BASE_CHECKED_H

#include "common/base/types.h"

static inline bool checked_add(u64 a, u64 b, u64 *ret)
{
	u64 sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

static inline bool checked_sub(u64 a, u64 b, u64 *ret)
{
	if (b > a)
		return false;
	*ret = a - b;
	return true;
}

static inline bool checked_mul(u64 a, u64 b, u64 *ret)
{
	u64 product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

static inline bool checked_round_up(u64 n, u64 to, u64 *ret)
{
	u64 sum;

	if (to == 0 || !checked_add(n, to - 1, &sum))
		return false;
	*ret = round_down_u64(sum, to);
	return true;
}

/* Does [start, start + len) lie within [0, limit)? Never overflows. */
static inline bool range_fits(u64 start, u64 len, u64 limit)
{
	return start <= limit && len <= limit - start;
}

#endif
