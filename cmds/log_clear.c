/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit log clear`: throw the log away, after saying what goes with it. */
#include <stdio.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/log.h"
#include "common/cli/report.h"

struct log_clear_command {
	struct open_command open;
	bool is_sure, is_dry_run;
};

#define AT(member) offsetof(struct log_clear_command, member)
static const struct option_row rows[] = {
	{ 'y', "yes", NULL, OPTION_FLAG, AT(is_sure), "do not ask", false },
	{ 'n', "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "only say what would be lost", false },
	OPEN_OPTION_ROWS(struct log_clear_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct log_clear_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table log_clear_option_table = {
	.command = "btrkit log clear",
	.usage = "[options] DEVICE...",
	.summary = "Throw the log away: what was fsynced after the last commit is lost. Says first what that is, and asks.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

/*
 * Say what is lost. 0: said; 1: there is no log; negative: it cannot be told, which was said. The filesystem is closed again: it is
 * opened anew for writing.
 */
static int tell_loss(struct log_clear_command *command, char **paths, int nr_paths)
{
	struct btrkit_log *log = NULL;
	struct btrkit_fs *fs = NULL;
	int err = open_filesystem(&command->open, paths, nr_paths, &fs);

	if (!err)
		err = open_log(&command->open, fs, &log);
	if (!err) {
		puts("What is fsynced, but not committed, and would be lost:");
		err = print_log(&command->open, fs, log);
	}
	btrkit_log_close(log);
	btrkit_fs_close(fs);
	return err;
}

static bool is_agreed(void)
{
	char answer[16] = "";

	fflush(stdout);
	fputs("Throw all of this away? [y/N] ", stderr);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int clear(struct log_clear_command *command, char **paths, int nr_paths)
{
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };

	open_options_fill(&command->open, &options);
	if (btrkit_log_clear((const char *const *)paths, (size_t)nr_paths, &options, &error) < 0)
		return report_error(command->open.name, "%s", error.text);
	puts("the log is cleared");
	return 0;
}

int cmd_log_clear(int argc, char **argv)
{
	const struct option_table *table = &log_clear_option_table;
	struct log_clear_command command = { .open = { .name = table->command, .knows_log = true, .is_exclusive = true } };
	int first, err;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (first == argc)
		return usage_error(table, "no device or image file given");
	err = tell_loss(&command, argv + first, argc - first);
	if (err > 0) {
		puts("there is no log");
		return 0;
	}
	if (err == -EBUSY || err == -EMEDIUMTYPE)
		return EXIT_FAILED;
	if (err < 0)
		report_warning(table->command, "what would be lost cannot be told");
	if (command.is_dry_run)
		return err ? EXIT_FAILED : 0;
	if (!command.is_sure && !isatty(STDIN_FILENO))
		return report_error(table->command, "nobody to ask: --yes clears the log without asking");
	if (!command.is_sure && !is_agreed()) {
		puts("nothing was changed");
		return EXIT_FAILED;
	}
	return clear(&command, argv + first, argc - first);
}
