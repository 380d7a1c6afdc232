/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmds/job.h"

#include "common/cli/interrupt.h"

void job_sample(const struct btrkit_job *job, struct progress_sample *ret_sample)
{
	struct btrkit_job_state state = { 0 };

	btrkit_job_read(job, &state);
	*ret_sample = (struct progress_sample){ state.phase, state.done_bytes, state.total_bytes, state.done_files,
						state.total_files };
}

static void cancel(void *arg)
{
	btrkit_job_cancel(arg);
}

void job_cancel_on_signals(struct btrkit_job *job)
{
	interrupt_catch(cancel, job, INTERRUPT_RESTARTS);
}

void job_free(struct btrkit_job *job)
{
	interrupt_forget();
	btrkit_job_free(job);
}
