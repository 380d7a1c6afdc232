/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the commands of `btrkit restripe`. */
#ifndef BTRKIT_CMDS_RESTRIPE_H
#define BTRKIT_CMDS_RESTRIPE_H

#include <btrkit/restripe.h>

#include "cmds/job.h"
#include "cmds/open.h"

/* Start and resume. */
struct restripe_command {
	struct open_command open;
	const char *data, *metadata, *system, *devices;
	bool is_forced, is_full, is_dry_run, do_copy, do_discard, is_json, is_verbose, no_progress, no_check;
	unsigned threads;
	enum progress_mode progress;
	u64 *devids;
	size_t nr_devids;
	struct btrkit_job *job;
	struct json *json_devices, *json_chunks;
};

/* The process that restripes the filesystem on the device or image file at @path; 0: none that can be seen. */
int restripe_runner(const char *path);

#endif
