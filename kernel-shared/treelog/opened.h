/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a struct btrkit_log is. */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_OPENED_H
#define BTRKIT_KERNEL_SHARED_TREELOG_OPENED_H

#include "kernel-shared/treelog/plan.h"

struct btrkit_log {
	struct btrkit_fs *fs;
	struct treelog *log; /* owned */
	struct plan *plan; /* owned */
};

#endif
