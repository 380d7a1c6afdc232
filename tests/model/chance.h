/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers by chance for models, the same in each run; BTRKIT_TEST_SEED chooses others. */
#ifndef BTRKIT_TESTS_MODEL_CHANCE_H
#define BTRKIT_TESTS_MODEL_CHANCE_H

#include <stdlib.h>

#include "common/base/types.h"

static u64 random_state;

static u32 any(u32 below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)((random_state >> 33) % below);
}

static int begin_random(void **state)
{
	const char *seed = getenv("BTRKIT_TEST_SEED");

	(void)state;
	random_state = seed ? strtoull(seed, NULL, 10) : 1;
	return 0;
}

#endif
