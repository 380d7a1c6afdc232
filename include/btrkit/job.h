/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A long operation as seen from outside: how far it is, and a way to stop it. Any thread may look at a job or cancel
 * it while another one works on it.
 */
#ifndef BTRKIT_JOB_H
#define BTRKIT_JOB_H

#include <stdint.h>

#include <btrkit/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_job;

/* -ENOMEM. */
BTRKIT_API int btrkit_job_new(struct btrkit_job **ret_job);
BTRKIT_API void btrkit_job_free(struct btrkit_job *job);

/* Ask the operation to end with -ECANCELED. May be called from a signal handler. */
BTRKIT_API void btrkit_job_cancel(struct btrkit_job *job);

struct btrkit_job_state {
	const char *phase; /* a constant: "scan", "compress", "data", "metadata", "flush"; NULL: not begun */
	uint64_t done_bytes, total_bytes; /* total 0: not known */
	uint64_t done_files, total_files;
};

BTRKIT_API void btrkit_job_read(const struct btrkit_job *job, struct btrkit_job_state *ret_state);

#ifdef __cplusplus
}
#endif

#endif
