/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of include/btrkit/job.h. */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_JOB_H
#define BTRKIT_KERNEL_SHARED_BUILD_JOB_H

#include <btrkit/job.h>

#include "common/work/pool.h"
#include "common/work/progress.h"

struct btrkit_job {
	struct progress progress;
	struct cancel cancel;
};

#endif
