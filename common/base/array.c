/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/array.h"

int array_grow(void **items, size_t *cap, size_t len, size_t more, size_t item_size)
{
	size_t want, bytes;
	void *grown;

	if (__builtin_add_overflow(len, more, &want))
		return -ENOMEM;
	if (want <= *cap)
		return 0;
	/* Half as much again: amortised, and at most a third of the memory is unused in large tables. */
	if (want < *cap + *cap / 2)
		want = *cap + *cap / 2;
	if (want < 8)
		want = 8;
	if (__builtin_mul_overflow(want, item_size, &bytes))
		return -ENOMEM;
	grown = realloc(*items, bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*cap = want;
	return 0;
}
