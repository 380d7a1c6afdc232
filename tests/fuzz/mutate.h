/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deterministic random changes to a set of seeds: the same start gives the same inputs on every machine. */
#ifndef BTRKIT_TESTS_FUZZ_MUTATE_H
#define BTRKIT_TESTS_FUZZ_MUTATE_H

#include "common/base/array.h"

struct mutator_seed {
	u8 *data; /* owned */
	size_t len;
};

struct mutator {
	ARRAY(struct mutator_seed) seeds;
	u64 random; /* state; not 0 */
};

/* Keep a copy. -ENOMEM. */
int mutator_add_seed(struct mutator *mutator, const void *data, size_t len);

/* The next input into @buf of @cap bytes; returns its length. */
size_t mutator_next(struct mutator *mutator, u8 *buf, size_t cap);

void mutator_done(struct mutator *mutator);

#endif
