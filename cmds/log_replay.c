/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit log replay`: do what a mount would do with the log. */
#include <stdio.h>

#include "cmds/cmds.h"
#include "cmds/log.h"
#include "common/cli/report.h"

struct log_replay_command {
	struct open_command open;
	bool do_skip_bad, is_dry_run;
};

#define AT(member) offsetof(struct log_replay_command, member)
static const struct option_row rows[] = {
	{ 'n', "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "only say what would be done", false },
	{ 0, "skip-bad", NULL, OPTION_FLAG, AT(do_skip_bad), "replay what is sound of a damaged log; the rest is lost", false },
	OPEN_OPTION_ROWS(struct log_replay_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct log_replay_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table log_replay_option_table = {
	.command = "btrkit log replay",
	.usage = "[options] DEVICE...",
	.summary = "Replay the log, as mounting the filesystem would: what was fsynced after the last commit becomes part of it.\n"
		   "A log that is damaged is refused, unless --skip-bad is given.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

/* Say what is done. 0; 1: there is no log; negative: a failure, which was said. */
static int tell_plan(struct log_replay_command *command, char **paths, int nr_paths, struct btrkit_log_info *ret_info)
{
	struct btrkit_log *log = NULL;
	struct btrkit_fs *fs = NULL;
	int err = open_filesystem(&command->open, paths, nr_paths, &fs);

	if (!err)
		err = open_log(&command->open, fs, &log);
	if (!err) {
		btrkit_log_get_info(log, ret_info, sizeof(*ret_info));
		if (command->is_dry_run)
			err = print_log(&command->open, fs, log);
		else if (ret_info->nr_losses)
			report_losses(&command->open, log);
	}
	btrkit_log_close(log);
	btrkit_fs_close(fs);
	return err;
}

static int replay(struct log_replay_command *command, char **paths, int nr_paths, const struct btrkit_log_info *info)
{
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };

	open_options_fill(&command->open, &options);
	if (btrkit_log_replay((const char *const *)paths, (size_t)nr_paths, &options, command->do_skip_bad, NULL, NULL, &error) < 0)
		return report_error(command->open.name, "%s; nothing was changed", error.text);
	printf("the log is replayed: %llu inodes, %llu steps, %llu losses\n", (unsigned long long)info->nr_inodes,
	       (unsigned long long)info->nr_steps, (unsigned long long)info->nr_losses);
	return 0;
}

int cmd_log_replay(int argc, char **argv)
{
	const struct option_table *table = &log_replay_option_table;
	struct log_replay_command command = { .open = { .name = table->command, .knows_log = true, .is_exclusive = true } };
	struct btrkit_log_info info = { 0 };
	int first, err;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (first == argc)
		return usage_error(table, "no device or image file given");
	err = tell_plan(&command, argv + first, argc - first, &info);
	if (err > 0) {
		puts("there is no log");
		return 0;
	}
	if (err < 0)
		return EXIT_FAILED;
	if (info.nr_losses && !command.do_skip_bad)
		return report_error(table->command, "the log is damaged: nothing was changed; --skip-bad replays what is sound");
	return command.is_dry_run ? 0 : replay(&command, argv + first, argc - first, &info);
}
