/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Before what a filesystem holds is moved: is it sound? */
#ifndef BTRKIT_CMDS_JUDGE_H
#define BTRKIT_CMDS_JUDGE_H

#include "cmds/open.h"

struct judging {
	const struct open_command *open; /* for messages */
	const struct btrkit_open_options *options;
	const char *const *paths;
	size_t nr_paths;
	const char *const *mended; /* codes of problems that do not matter; NULL behind the last; NULL: all do */
	unsigned threads;
	struct btrkit_job *job;
	const char *unless; /* the option with which it goes on in spite of them */
};

/*
 * Check the metadata, one copy of it, and tell of the first problems that matter on stderr. -EUCLEAN: there are some, @error says
 * so; or what the check fails with.
 */
int judge_filesystem(const struct judging *judging, struct btrkit_error *error);

#endif
