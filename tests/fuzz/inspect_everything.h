/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows all trees, chunks and some inodes of a filesystem that may be damaged in any way. */
#ifndef BTRKIT_TESTS_FUZZ_INSPECT_EVERYTHING_H
#define BTRKIT_TESTS_FUZZ_INSPECT_EVERYTHING_H

#include <btrkit/fs.h>

#include "common/base/types.h"

void inspect_everything(struct btrkit_fs *fs, u64 *ret_nr_values);

#endif
