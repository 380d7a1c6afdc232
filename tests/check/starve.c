/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory must not change what the check finds: each image is checked with enough of it, and with so little, less than an
 * option could ask for, that every table goes through temporary files, and both must say the same.
 *
 *	starve IMAGE...
 *
 * Each image is a filesystem of its own. Prints what only one of the two has said; exits 0 when there is nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "check/check.h"

typedef unsigned long long ull;

struct found {
	ARRAY(char *) problems;
	int err;
	u64 spilled_bytes, nr_inodes, nr_extents, nr_blocks;
};

static int take_problem(void *arg, const struct btrkit_problem *problem)
{
	struct found *found = arg;
	char *text = NULL, *with_path;

	if (asprintf(&text, "%s: %s (%llu files)", problem->kind->code, problem->text, (ull)problem->total_paths) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < problem->nr_paths; i++) {
		if (asprintf(&with_path, "%s %s", text, problem->paths[i]) < 0)
			return -ENOMEM;
		free(text);
		text = with_path;
	}
	return array_push(&found->problems, text);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void check_with(const char *path, u64 memory_bytes, struct found *ret)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct diag d = { 0 };
	struct btrkit_fs *fs;

	*ret = (struct found){ 0 };
	btrkit_check_options_init(&options);
	options.open.no_device_scan = true;
	options.do_data = true;
	options.memory_bytes = memory_bytes;
	options.tmpdir = getenv("TMPDIR");
	ret->err = fs_open_paths(&path, 1, &options.open, true, &fs, &d);
	if (!ret->err)
		ret->err = check_run(fs, &options, take_problem, ret, &result, &d);
	if (ret->err)
		fprintf(stderr, "%s, %llu bytes: %s\n", path, (ull)memory_bytes, d.text);
	array_sort(&ret->problems, by_text);
	ret->spilled_bytes = result.spilled_bytes;
	ret->nr_inodes = result.nr_inodes;
	ret->nr_extents = result.nr_extents;
	ret->nr_blocks = result.nr_blocks;
}

static void found_done(struct found *found)
{
	array_for_each(&found->problems, problem)
		free(*problem);
	array_done(&found->problems);
}

/* Both lists are sorted. */
static bool is_same(const struct found *roomy, const struct found *starved)
{
	size_t r = 0, s = 0, nr_different = 0;

	while (r < roomy->problems.len || s < starved->problems.len) {
		int order = r == roomy->problems.len ? 1 : s == starved->problems.len ? -1 :
			    strcmp(roomy->problems.items[r], starved->problems.items[s]);

		if (order)
			printf("%s: %s\n", order < 0 ? "only with memory" : "only without",
			       order < 0 ? roomy->problems.items[r] : starved->problems.items[s]);
		nr_different += order != 0;
		r += order <= 0;
		s += order >= 0;
	}
	if (roomy->nr_inodes != starved->nr_inodes || roomy->nr_extents != starved->nr_extents ||
	    roomy->nr_blocks != starved->nr_blocks) {
		printf("other numbers: %llu %llu %llu, without memory %llu %llu %llu\n", (ull)roomy->nr_inodes,
		       (ull)roomy->nr_extents, (ull)roomy->nr_blocks, (ull)starved->nr_inodes, (ull)starved->nr_extents,
		       (ull)starved->nr_blocks);
		return false;
	}
	return nr_different == 0 && roomy->err == starved->err;
}

static bool compare(const char *path)
{
	struct found roomy, starved;
	bool is_good;

	check_with(path, GIB, &roomy);
	check_with(path, 1, &starved);
	is_good = is_same(&roomy, &starved);
	if (!starved.err && starved.nr_blocks > 100 && starved.spilled_bytes == 0) {
		printf("nothing was written to temporary files\n");
		is_good = false;
	}
	if (roomy.spilled_bytes) {
		printf("%llu bytes did not fit into %llu\n", (ull)roomy.spilled_bytes, (ull)GIB);
		is_good = false;
	}
	printf("%s: %zu problems, %s; %llu bytes were written\n", path, roomy.problems.len, is_good ? "the same" : "not the same",
	       (ull)starved.spilled_bytes);
	found_done(&roomy);
	found_done(&starved);
	return is_good;
}

int main(int argc, char **argv)
{
	bool is_good = argc > 1;

	for (int i = 1; i < argc; i++)
		is_good = compare(argv[i]) && is_good;
	return is_good ? 0 : 1;
}
