/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Uses every call of the reading API on a filesystem that may be damaged in any way, within a budget. */
#ifndef BTRKIT_TESTS_FUZZ_READ_EVERYTHING_H
#define BTRKIT_TESTS_FUZZ_READ_EVERYTHING_H

#include <btrkit/fs.h>

#include "common/base/types.h"

struct read_totals {
	u64 entries, bytes, xattrs, ranges, failures;
};

/* @do_skip_damage: list directories around damage. */
void read_everything(struct btrkit_fs *fs, bool do_skip_damage, struct read_totals *ret_totals);

#endif
