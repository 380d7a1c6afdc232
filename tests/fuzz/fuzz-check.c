/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole damaged filesystem, checked: without a crash, without end or without bound in memory; what nobody damaged is
 * clean. With DAMAGE_FLAG the data is read, too.
 */
#include <xxhash.h>

#include "check/check.h"
#include "tests/fuzz/damage.h"

const char fuzz_name[] = "fuzz-check";
const unsigned fuzz_iterations = 10000;
const size_t fuzz_input_max = DAMAGE_INPUT_MAX;

struct found {
	u64 errors, problems;
	u64 texts; /* the sum of their hashes */
};

static int take_problem(void *arg, const struct btrkit_problem *problem)
{
	struct found *found = arg;

	fuzz_require(problem->kind && problem->text[0] && problem->nr_paths <= BTRKIT_PROBLEM_PATHS_MAX &&
		     problem->nr_paths <= problem->total_paths);
	for (size_t i = 0; i < problem->nr_paths; i++)
		fuzz_require(problem->paths[i][0] == '/');
	found->problems++;
	found->texts += XXH3_64bits(problem->text, strlen(problem->text));
	found->errors += problem->kind->severity >= BTRKIT_PROBLEM_ERROR;
	return 0;
}

/* @memory_bytes: 0 for as much as the check wants. False: it cannot be opened. */
static bool check_with(const struct damage *damage, u64 memory_bytes, struct found *ret_found)
{
	struct fs_options for_fs = {
		.super_mirror = -1,
		.use_backup_roots = damage->how & HOW_BACKUP_ROOTS,
		.cache_bytes = damage->how & HOW_SMALL_CACHE ? 1 : 0,
		.may_be_partial = true,
	};
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	if (damage_devices(damage, &set, &d) != 0 || fs_open_devices(set, &for_fs, &fs, &d) != 0)
		return false;
	*ret_found = (struct found){ 0 };
	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = damage->has_flag;
	options.only_first_copy = damage->how & HOW_REFUSE_MISSING; /* a bit that means nothing else here */
	options.memory_bytes = memory_bytes;
	fuzz_require(check_run(fs, &options, take_problem, ret_found, &result, &d) == 0);
	fuzz_require(!damage_is_none(damage) || (ret_found->errors == 0 && result.nr_inodes > 50));
	fuzz_require(ret_found->errors == result.nr_problems[BTRKIT_PROBLEM_ERROR] + result.nr_problems[BTRKIT_PROBLEM_FATAL]);
	return true;
}

/* With next to no memory everything goes through temporary files, and the same is found. */
static void check_damaged(const struct damage *damage)
{
	struct found found, starved;

	if (!check_with(damage, 0, &found) || !(damage->how & HOW_SMALL_CACHE))
		return;
	fuzz_require(check_with(damage, 1, &starved));
	fuzz_require(found.problems == starved.problems && found.texts == starved.texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct damage damage;

	damage_take(data, size, &damage);
	check_damaged(&damage);
	damage_done(&damage);
	return 0;
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const u8 hows[] = { 0, HOW_REFUSE_MISSING, HOW_BACKUP_ROOTS | HOW_FIRST_COPY, HOW_MISSING,
				   HOW_SMALL_CACHE | HOW_BAD_CSUM };

	damage_seeds(add, ctx, hows, ARRAY_LEN(hows), 0);
}
