/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Proves that checksums are of data that extents cover, or that the log will make into extents. */
#include "check/check.h"

typedef unsigned long long ull;

/* The part of [*at, end) that @ranges begin at *at with is skipped. True: something was. */
static bool skip_covered(const struct ranges *ranges, u64 *at)
{
	size_t i = array_lower_bound(&ranges->list, it, it->end <= *at);

	if (i == ranges->list.len || ranges->list.items[i].start > *at)
		return false;
	*at = ranges->list.items[i].end;
	return true;
}

/* Where the next range of @ranges begins behind @at. */
static u64 next_start(const struct ranges *ranges, u64 at)
{
	size_t i = array_lower_bound(&ranges->list, it, it->start <= at);

	return i < ranges->list.len ? ranges->list.items[i].start : UINT64_MAX;
}

int pass_csums(struct check *check, struct diag *d)
{
	(void)d;
	if (check->is_incomplete)
		return 0; /* the extents may be in what cannot be read */
	array_for_each(&check->csums.list, run) {
		for (u64 at = run->start; at < run->end;) {
			u64 end;

			if (skip_covered(&check->data_extents, &at) || skip_covered(&check->log_extents, &at))
				continue;
			end = MIN(next_start(&check->data_extents, at), next_start(&check->log_extents, at));
			end = MIN(end, run->end);
			complain(check, CSUM_WITHOUT_EXTENT, AT(.tree = CSUM_TREE_OBJECTID, .logical = at), (ull)at, (ull)end);
			at = end;
		}
	}
	return 0;
}
