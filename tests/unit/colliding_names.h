/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that all have the same hash. Include after cmocka.h. */
#ifndef BTRKIT_TESTS_UNIT_COLLIDING_NAMES_H
#define BTRKIT_TESTS_UNIT_COLLIDING_NAMES_H

#include <stdlib.h>
#include <string.h>

#include "kernel-shared/format/name_hash.h"

#define PART_BYTES 8

struct hashed {
	u32 hash;
	u32 number;
};

static inline int by_hash(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Letters without a pattern: the checksum is linear, and would tell regular ones apart. */
static inline void part_name(u32 number, char part[PART_BYTES + 1])
{
	u64 random = (number + 1) * 0x9E3779B97F4A7C15ULL;

	for (unsigned i = 0; i < PART_BYTES; i++) {
		random ^= random >> 29;
		random *= 0xBF58476D1CE4E5B9ULL;
		part[i] = (char)('0' + (random >> 32) % 64); /* '0' to 'o' */
	}
	part[PART_BYTES] = '\0';
}

/*
 * Two parts whose checksums are equal. What a checksum becomes over a part depends on what it was only by a term that is
 * the same for all parts of one length: so names made of either part at each place all have the same hash.
 */
static inline void find_parts(char parts[2][PART_BYTES + 1])
{
	const u32 nr = 400000;
	struct hashed *list = malloc(nr * sizeof(*list));

	assert_non_null(list);
	for (u32 i = 0; i < nr; i++) {
		char part[PART_BYTES + 1];

		part_name(i, part);
		list[i] = (struct hashed){ (u32)name_hash(part, PART_BYTES), i };
	}
	qsort(list, nr, sizeof(*list), by_hash);
	for (u32 i = 1; i < nr; i++)
		if (list[i].hash == list[i - 1].hash) {
			part_name(list[i].number, parts[0]);
			part_name(list[i - 1].number, parts[1]);
			free(list);
			return;
		}
	free(list);
	fail_msg("no two names with one hash");
}

/* Name number @n of those with one hash, of @nr_parts parts. */
static inline void colliding_name(char parts[2][PART_BYTES + 1], unsigned n, unsigned nr_parts, char *name)
{
	for (unsigned i = 0; i < nr_parts; i++)
		memcpy(name + i * PART_BYTES, parts[n >> i & 1], PART_BYTES);
	name[nr_parts * PART_BYTES] = '\0';
}

#endif
