/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Free space caches in files of the root tree ("v1"). */
#ifndef BTRKIT_CHECK_SPACE_CACHE_H
#define BTRKIT_CHECK_SPACE_CACHE_H

#include "check/check.h"

struct range_list {
	ARRAY(struct range) list;
};

/* After the sums of block groups are known. Problems are reported; a negative errno ends the check. */
int judge_space_caches(struct check *check, struct diag *d);

/* Say where what a cache has as unused, ascending, and what is reserved differ from the extents of the group. */
int detail_space_cache(struct check *check, size_t group, const struct range_list *unused,
		       const struct range_list *reserved_ranges);

#endif
