/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fsck.btrkit: what fsck(8) and boot scripts call. Cheap unless -f is given: superblocks, chunks and devices, and whether
 * there is a log. Nothing is repaired.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmds/cmds.h"
#include "common/cli/options.h"
#include "common/cli/report.h"

struct fsck_command {
	bool is_automatic, is_read_only, is_answered, is_forced, is_verbose, do_version;
	const char *progress_fd;
};

#define AT(member) offsetof(struct fsck_command, member)
static const struct option_row rows[] = {
	{ 'a', NULL, NULL, OPTION_FLAG, AT(is_automatic), "the same as -p, for older scripts", false },
	{ 'p', NULL, NULL, OPTION_FLAG, AT(is_automatic), "ask nothing; nothing is repaired either way", false },
	{ 'n', NULL, NULL, OPTION_FLAG, AT(is_read_only), "change nothing, as ever", false },
	{ 'y', NULL, NULL, OPTION_FLAG, AT(is_answered), "ask nothing, as ever", false },
	{ 'f', NULL, NULL, OPTION_FLAG, AT(is_forced), "check everything, not only superblocks, chunks and devices", false },
	{ 'C', NULL, "FD", OPTION_STRING, AT(progress_fd), "write lines of pass, done, total, device to the open file FD; 0: draw", false },
	{ 'V', NULL, NULL, OPTION_FLAG, AT(do_version), "print the version and exit", false },
};
#undef AT

const struct option_table fsck_option_table = {
	.command = "fsck.btrkit",
	.usage = "[options] DEVICE...",
	.summary = "Check a filesystem as fsck(8) does: cheaply, unless -f is given. Nothing is written.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.epilogue = "Exit status: 0 clean, 4 problems, 8 the check could not run, 16 usage, 32 cancelled.\n",
};

/* -1: no number of an open file. */
static int parse_fd(const char *text)
{
	char *end;
	long fd = strtol(text, &end, 10);

	return *text && !*end && fd >= 0 && fd <= INT_MAX && (fd == 0 || fcntl((int)fd, F_GETFD) >= 0) ? (int)fd : -1;
}

int cmd_fsck(int argc, char **argv)
{
	char name[] = "check", quick[] = "--quick", quiet[] = "--progress=never", shown[] = "--progress=auto", end[] = "--";
	struct fsck_command command = { 0 };
	char *args[64] = { name };
	int first, nr = 1, fd = 0;
	enum options_result result = options_parse(&fsck_option_table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_checker_status(result);
	if (command.do_version) {
		puts("fsck.btrkit, part of btrkit " PACKAGE_VERSION);
		return 0;
	}
	if (first == argc || argc - first > 48) {
		usage_error(&fsck_option_table, first == argc ? "no device given" : "too many devices");
		return EXIT_CHECKER_USAGE;
	}
	if (command.progress_fd && (fd = parse_fd(command.progress_fd)) < 0) {
		usage_error(&fsck_option_table, "-C: \"%s\" is no open file", command.progress_fd);
		return EXIT_CHECKER_USAGE;
	}
	if (!command.is_forced)
		args[nr++] = quick;
	args[nr++] = command.progress_fd ? shown : quiet;
	args[nr++] = end;
	for (int i = first; i < argc; i++)
		args[nr++] = argv[i];
	return check_for_fsck(nr, args, fd);
}
