/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Proves that checksums are of data that extents cover, or that the log will make into extents. */
#include "check/check.h"

typedef unsigned long long ull;

/* Ranges that are passed in order. */
struct covering {
	struct ranges_reader reader;
	struct range range; /* the first that ends behind the place */
	bool is_there;
};

static struct covering covering_begin(struct ranges *ranges)
{
	struct covering covering = { .reader = ranges_read(ranges) };

	covering.is_there = ranges_find(&covering.reader, 0, &covering.range);
	return covering;
}

/* Skip what is covered at *at. True: something was. */
static bool skip_covered(struct covering *covering, u64 *at)
{
	while (covering->is_there && covering->range.end <= *at)
		covering->is_there = ranges_next(&covering->reader, &covering->range);
	if (!covering->is_there || covering->range.start > *at)
		return false;
	*at = covering->range.end;
	return true;
}

static void judge_run(struct check *check, const struct range *run, struct covering *extents, struct covering *log)
{
	for (u64 at = run->start; at < run->end;) {
		u64 end = run->end;

		if (skip_covered(extents, &at) || skip_covered(log, &at))
			continue;
		if (extents->is_there)
			end = MIN(end, extents->range.start);
		if (log->is_there)
			end = MIN(end, log->range.start);
		complain(check, CSUM_WITHOUT_EXTENT, AT(.tree = CSUM_TREE_OBJECTID, .logical = at), (ull)at, (ull)end);
		at = end;
	}
}

int pass_csums(struct check *check, struct diag *d)
{
	struct covering csums, extents, log;
	int err;

	if (check->is_incomplete)
		return 0; /* the extents may be in what cannot be read */
	csums = covering_begin(&check->csums);
	extents = covering_begin(&check->data_extents);
	log = covering_begin(&check->log_extents);
	while (csums.is_there) {
		judge_run(check, &csums.range, &extents, &log);
		csums.is_there = ranges_next(&csums.reader, &csums.range);
	}
	ranges_reader_done(&csums.reader);
	ranges_reader_done(&extents.reader);
	ranges_reader_done(&log.reader);
	err = ranges_error(&check->csums, d);
	if (!err)
		err = ranges_error(&check->data_extents, d);
	return err ? err : ranges_error(&check->log_extents, d);
}
