/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of btrkit_convert_finish(). */
#ifndef BTRKIT_CONVERT_INPLACE_FINISH_H
#define BTRKIT_CONVERT_INPLACE_FINISH_H

#include <btrkit/convert.h>

#include "kernel-shared/relocate/relocate.h"

struct finish {
	struct relocate relocate; /* with the filesystem */
	struct btrkit_finish_result *result;
};

/* -ECANCELED, where that was asked for. */
int finish_is_cancelled(const struct finish *finish, struct diag *d);

/* Take block groups of data together, and give back those that are empty (finish_compact.c). */
int finish_compact(struct finish *finish, struct diag *d);

/* Write files that lie in many small pieces anew (finish_defragment.c). @is_count_only: only look for them. */
int finish_defragment(struct finish *finish, bool is_count_only, struct diag *d);

#endif
