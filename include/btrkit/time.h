/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BTRKIT_TIME_H
#define BTRKIT_TIME_H

#include <stdint.h>

struct btrkit_time {
	int64_t sec; /* since 1970, negative before */
	uint32_t nsec;
};

#endif
