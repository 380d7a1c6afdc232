/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "kernel-shared/relocate/block_marks.h"

#define REGION_SECTORS 65536

void block_marks_done(struct block_marks *marks)
{
	array_for_each (&marks->regions, region)
		free(region->bits);
	array_done(&marks->regions);
}

/* The index of the region of @logical, or where it would be. */
static size_t place_of(const struct block_marks *marks, u64 number)
{
	return array_lower_bound(&marks->regions, it, it->number < number);
}

/* The word of @logical, or NULL, and its bit in it. */
static u64 *word_of(const struct block_marks *marks, u64 logical, u64 *ret_bit)
{
	u64 sector = logical / marks->sectorsize, number = sector / REGION_SECTORS;
	size_t at = place_of(marks, number);

	if (at == marks->regions.len || marks->regions.items[at].number != number)
		return NULL;
	*ret_bit = 1ULL << (sector % 64);
	return &marks->regions.items[at].bits[sector % REGION_SECTORS / 64];
}

bool block_marks_has(const struct block_marks *marks, u64 logical)
{
	u64 bit;
	const u64 *word = word_of(marks, logical, &bit);

	return word && (*word & bit);
}

static int add_region(struct block_marks *marks, u64 number)
{
	size_t at = place_of(marks, number);
	u64 *bits;

	if (array_reserve(&marks->regions, 1) < 0)
		return -ENOMEM;
	bits = calloc(REGION_SECTORS / 64, sizeof(*bits));
	if (!bits)
		return -ENOMEM;
	memmove(marks->regions.items + at + 1, marks->regions.items + at,
		(marks->regions.len - at) * sizeof(*marks->regions.items));
	marks->regions.items[at] = (struct marked_region){ number, bits };
	marks->regions.len++;
	return 0;
}

int block_marks_add(struct block_marks *marks, u64 logical)
{
	u64 bit, *word = word_of(marks, logical, &bit);

	if (!word) {
		if (add_region(marks, logical / marks->sectorsize / REGION_SECTORS) < 0)
			return -ENOMEM;
		word = word_of(marks, logical, &bit);
	}
	*word |= bit;
	return 0;
}

void block_marks_remove(struct block_marks *marks, u64 logical)
{
	u64 bit, *word = word_of(marks, logical, &bit);

	if (word)
		*word &= ~bit;
}
