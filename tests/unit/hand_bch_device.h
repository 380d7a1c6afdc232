/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices in memory for hand-made superblocks of bcachefs, and what is told of them. After cmocka.h. */
#ifndef BTRKIT_TESTS_UNIT_HAND_BCH_DEVICE_H
#define BTRKIT_TESTS_UNIT_HAND_BCH_DEVICE_H

#include <stdio.h>

#include "tests/unit/hand_bch_super.h"

/* The warnings. */
struct notes {
	unsigned nr;
	char last[DIAG_TEXT_MAX];
};

static inline void take_note(void *arg, enum diag_severity severity, const char *text)
{
	struct notes *notes = arg;

	if (severity != DIAG_WARNING)
		return;
	notes->nr++;
	snprintf(notes->last, sizeof(notes->last), "%s", text);
}

static inline struct blockdev *new_device(const char *name)
{
	struct blockdev *dev;

	assert_int_equal(memory_device_new(name, HAND_DEVICE_BYTES, &dev), 0);
	return dev;
}

#endif
