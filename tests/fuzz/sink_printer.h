/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A printer that reads every byte it is given, keeps nothing, and insists on what include/btrkit/inspect.h promises. */
#ifndef BTRKIT_TESTS_FUZZ_SINK_PRINTER_H
#define BTRKIT_TESTS_FUZZ_SINK_PRINTER_H

#include <btrkit/inspect.h>

#include "common/base/types.h"

#define SINK_DEPTH_MAX 16

struct sink {
	unsigned depth;
	bool is_list[SINK_DEPTH_MAX];
	u64 nr_values;
	u64 sum;
};

/* Printing into @sink, which is zeroed at first. */
struct btrkit_printer sink_printer(struct sink *sink);

/* Everything that began has ended. */
void sink_finish(const struct sink *sink);

#endif
