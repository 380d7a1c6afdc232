/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of ranges of logical addresses, as many as there may be: gathered in any order by all threads, then tidied, then
 * searched by readers, of which each thread has its own.
 */
#ifndef BTRKIT_CHECK_RANGES_H
#define BTRKIT_CHECK_RANGES_H

#include "common/base/array.h"
#include "common/spill/sequence.h"
#include "common/spill/sorter.h"

/* The range [start, end). */
struct range {
	u64 start, end;
};

struct ranges {
	struct spill *spill;
	size_t memory_bytes;
	struct sorter *raw; /* while they are gathered */
	struct sequence *list; /* then: ascending, apart */
	ARRAY(u64) index; /* the starts of ranges 0, stride, 2 * stride... */
	u64 stride;
	_Atomic(int) err; /* a temporary file could not be read */
};

int ranges_init(struct ranges *ranges, struct spill *spill, size_t memory_bytes);
void ranges_done(struct ranges *ranges); /* also when never initialised, but zeroed */

/* By any thread. */
int ranges_add(struct ranges *ranges, const struct range *list, size_t nr, struct diag *d);

/* All are there: sort them, join those that meet or overlap. */
int ranges_tidy(struct ranges *ranges, struct diag *d);

/* Of tidied ranges; a zeroed set has none. */
u64 ranges_count(const struct ranges *ranges);

/* What went wrong while they were searched; 0: nothing. */
int ranges_error(const struct ranges *ranges, struct diag *d);

struct ranges_reader {
	struct ranges *ranges;
	struct sequence_reader reader;
};

static inline struct ranges_reader ranges_read(struct ranges *ranges)
{
	return (struct ranges_reader){ .ranges = ranges };
}
void ranges_reader_done(struct ranges_reader *reader);

/* The first range that ends behind @at; false: there is none, or an error, which the set keeps. */
bool ranges_find(struct ranges_reader *reader, u64 at, struct range *ret_range);
/* The one behind the last that was found. */
bool ranges_next(struct ranges_reader *reader, struct range *ret_range);
/* Does one of them cover @at? */
bool ranges_cover(struct ranges_reader *reader, u64 at);

#endif
