/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmds/judge.h"

#include <btrkit/check.h>
#include <stdio.h>
#include <string.h>

#include "common/cli/report.h"

#define PROBLEMS_SHOWN 10

struct judgement {
	const struct judging *judging;
	u64 nr_problems;
};

static int report_problem(void *arg, const struct btrkit_problem *problem)
{
	struct judgement *judgement = arg;
	const struct judging *judging = judgement->judging;

	if (problem->kind->severity < BTRKIT_PROBLEM_ERROR)
		return 0;
	for (const char *const *code = judging->mended; code && *code; code++)
		if (strcmp(*code, problem->kind->code) == 0)
			return 0;
	if (judgement->nr_problems++ >= PROBLEMS_SHOWN)
		return 0;
	clear_bar(judging->open);
	report_warning(judging->open->name, "%s", problem->text);
	return 0;
}

/* What cannot even be opened, as a device is missing, is not damage that could be left as it is. */
static int judge_opening(const struct judging *judging, const struct btrkit_open_options *options, struct btrkit_error *error)
{
	struct btrkit_fs *fs = NULL;
	int err = btrkit_fs_open(judging->paths, judging->nr_paths, options, &fs, error);

	btrkit_fs_close(fs);
	return err;
}

int judge_filesystem(const struct judging *judging, struct btrkit_error *error)
{
	struct judgement judgement = { .judging = judging };
	struct btrkit_check_result result = { 0 };
	struct btrkit_check_options check;
	int err;

	btrkit_check_options_init(&check);
	check.open = *judging->options;
	check.open.note = NULL; /* they come again when it is opened */
	err = judge_opening(judging, &check.open, error);
	if (err)
		return err;
	check.only_first_copy = true;
	check.threads = judging->threads;
	check.job = judging->job;
	err = btrkit_check(judging->paths, judging->nr_paths, &check, report_problem, &judgement, &result, error);
	if (err || judgement.nr_problems == 0)
		return err;
	snprintf(error->text, sizeof(error->text),
		 "the filesystem is damaged, nothing was changed; with %s what can be read moves, and what is damaged may get worse",
		 judging->unless);
	error->err = -EUCLEAN;
	return error->err;
}
