/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growable typed arrays. Declare with ARRAY(struct thing), zero-initialised; items[] is contiguous and len counts.
 *
 *	ARRAY(u64) sizes = {0};
 *	if (array_push(&sizes, n) < 0)
 *		return -ENOMEM;
 *	...
 *	array_done(&sizes);
 */
#ifndef BTRKIT_COMMON_BASE_ARRAY_H
#define BTRKIT_COMMON_BASE_ARRAY_H

#include <errno.h>
#include <stdlib.h>

#include "common/base/types.h"

#define ARRAY(type)                                                                                \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t len;                                                                        \
		size_t cap;                                                                        \
	}

/* Make room for @more further items of @item_size; 0 or -ENOMEM. Use through array_reserve(). */
int array_grow(void **items, size_t *cap, size_t len, size_t more, size_t item_size);

#define array_reserve(a, more)                                                                     \
	array_grow((void **)&(a)->items, &(a)->cap, (a)->len, (more), sizeof(*(a)->items))

#define array_push(a, ...)                                                                         \
	({                                                                                         \
		int push_err_ = array_reserve((a), 1);                                             \
		if (push_err_ == 0)                                                                \
			(a)->items[(a)->len++] = (__VA_ARGS__);                                    \
		push_err_;                                                                         \
	})

#define array_done(a)                                                                              \
	do {                                                                                       \
		free((a)->items);                                                                  \
		(a)->items = NULL;                                                                 \
		(a)->len = (a)->cap = 0;                                                           \
	} while (0)

/* qsort(), for which even the NULL of an empty array would be wrong. */
#define array_sort(a, compare)                                                                     \
	do {                                                                                       \
		if ((a)->len > 1)                                                                  \
			qsort((a)->items, (a)->len, sizeof(*(a)->items), (compare));               \
	} while (0)

/* An empty array has no items to point to, and not even 0 may be added to NULL. */
/*
 * In a sorted array: the index of the first item for which @is_before, an expression with the pointer @it, is false, or the
 * number of items.
 */
#define array_lower_bound(a, it, is_before)                                                        \
	({                                                                                         \
		size_t low_ = 0, high_ = (a)->len;                                                 \
		while (low_ < high_) {                                                             \
			size_t middle_ = low_ + (high_ - low_) / 2;                                \
			__auto_type it = &(a)->items[middle_];                                     \
			if (is_before)                                                             \
				low_ = middle_ + 1;                                                \
			else                                                                       \
				high_ = middle_;                                                   \
		}                                                                                  \
		low_;                                                                              \
	})

#define array_for_each(a, it) for (__auto_type it = (a)->items; it && it < (a)->items + (a)->len; it++)

#endif
