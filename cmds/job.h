/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A job of the library, as commands see it: drawn, and cancelled by Ctrl-C. */
#ifndef BTRKIT_CMDS_JOB_H
#define BTRKIT_CMDS_JOB_H

#include <btrkit/job.h>

#include "common/cli/progress_bar.h"

/* How far it is. */
void job_sample(const struct btrkit_job *job, struct progress_sample *ret_sample);

/* SIGINT and SIGTERM cancel it; job_free() ends that. */
void job_cancel_on_signals(struct btrkit_job *job);
void job_free(struct btrkit_job *job);

#endif
