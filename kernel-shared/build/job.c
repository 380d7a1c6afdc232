/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "kernel-shared/build/job.h"

int btrkit_job_new(struct btrkit_job **ret_job)
{
	struct btrkit_job *job = calloc(1, sizeof(*job));

	if (!job)
		return -ENOMEM;
	*ret_job = job;
	return 0;
}

void btrkit_job_free(struct btrkit_job *job)
{
	free(job);
}

void btrkit_job_cancel(struct btrkit_job *job)
{
	atomic_store(&job->cancel.is_requested, true);
}

void btrkit_job_read(const struct btrkit_job *job, struct btrkit_job_state *ret_state)
{
	/* Nothing is changed; atomic_load() of C17 wants a pointer to non-const. */
	struct progress *progress = (struct progress *)&job->progress;

	*ret_state = (struct btrkit_job_state){
		.phase = atomic_load(&progress->phase),
		.done_bytes = atomic_load(&progress->done_bytes),
		.total_bytes = atomic_load(&progress->total_bytes),
		.done_files = atomic_load(&progress->done_files),
		.total_files = atomic_load(&progress->total_files),
	};
}
