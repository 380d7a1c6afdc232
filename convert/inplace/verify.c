/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert_verify(): both sides summed and compared, then the check of the whole. */
#include "convert/inplace/verify_facts.h"

#include <stdio.h>

#include "check/check.h"

typedef unsigned long long ull;

/* --- The check ------------------------------------------------------------------------------------------------------------ */

struct judgement {
	struct diag *d;
	bool may_lack_csums; /* of which is known that they are missing */
	u64 nr_known;
	bool has_error;
	char first[DIAG_TEXT_MAX - 128];
};

static int take_problem(void *arg, const struct btrkit_problem *problem)
{
	struct judgement *judgement = arg;

	if (judgement->may_lack_csums && strcmp(problem->kind->code, "csum-missing") == 0) {
		judgement->nr_known++;
		return 0;
	}
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR && !judgement->has_error) {
		judgement->has_error = true;
		snprintf(judgement->first, sizeof(judgement->first), "%s", problem->text);
	} else if (problem->kind->severity >= BTRKIT_PROBLEM_WARNING) {
		diag_note(judgement->d, DIAG_WARNING, "the new filesystem: %s", problem->text);
	}
	return 0;
}

static int judge_structure(struct verify *v, struct diag *d)
{
	const struct verify_input *input = v->input;
	struct judgement judgement = { .d = d, .may_lack_csums = input->nr_unreadable > 0 };
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	u64 nr_errors;
	int err;

	btrkit_check_options_init(&options);
	options.do_data = input->do_data;
	options.threads = input->threads;
	options.job = input->job;
	options.memory_bytes = input->memory_bytes;
	options.tmpdir = input->tmpdir;
	err = check_fs(v->fs, &options, take_problem, &judgement, &result, d);
	if (err)
		return err;
	nr_errors = result.nr_problems[BTRKIT_PROBLEM_ERROR] + result.nr_problems[BTRKIT_PROBLEM_FATAL] - judgement.nr_known;
	if (nr_errors)
		return diag_fail(d, -EBADMSG, "the new filesystem is not sound, %llu errors: %s", (ull)nr_errors, judgement.first);
	return 0;
}

/* What is damaged where the new filesystem is read was written that way: no fault of the source. */
static int judge_reading(int err, struct diag *d)
{
	return err == -EUCLEAN ? diag_context(d, -EBADMSG, "the new filesystem") : err;
}

/* --- Both sides ------------------------------------------------------------------------------------------------------------- */

static int compare_tree(struct verify *v, struct verify_tree *tree, struct diag *d)
{
	struct sum_sink sums;
	int err = judge_reading(verify_tree_sum(v, tree, d), d);

	sum_sink_init(&sums, &v->key, tree, true);
	if (!err)
		err = tree->expect(v, &sums.sink, false, d);
	return err ? err : verify_judge_sums(v, tree, d);
}

static int prepare(struct verify *v, struct diag *d)
{
	const struct device_set *devices = v->fs->volume->devices;
	int err = 0;

	fact_key_init(&v->key);
	progress_begin(v->progress, "verify", 0, v->input->source->info.nr_inodes);
	if (v->fs->partial_why)
		return diag_fail(d, -EBADMSG, "the new filesystem is not whole: %s", v->fs->partial_why);
	if (devices->devices.len != 1)
		return diag_fail(d, -EBADMSG, "the new filesystem has %zu devices", devices->devices.len);
	err = verify_judge_subvols(v, d);
	return err ? err : verify_tree_open(v, FS_TREE_OBJECTID, &v->files, d);
}

int convert_verify(const struct verify_input *input, struct diag *d)
{
	struct verify v = {
		.input = input,
		.fs = input->fs,
		.sectorsize = input->fs->volume->sectorsize,
		.cancel = input->job ? &input->job->cancel : NULL,
		.progress = input->job ? &input->job->progress : NULL,
		.files = { .expect = verify_expect_files },
		.saved = { .expect = verify_expect_saved, .is_saved = true },
	};
	int err = judge_reading(prepare(&v, d), d);

	if (!err)
		err = compare_tree(&v, &v.files, d);
	if (!err)
		err = compare_tree(&v, &v.saved, d);
	if (!err)
		err = verify_copied(&v, d);
	if (!err)
		err = judge_reading(verify_unreadable(&v, d), d);
	verify_tree_done(&v.files);
	verify_tree_done(&v.saved);
	array_done(&v.copied);
	return err ? err : judge_structure(&v, d);
}
