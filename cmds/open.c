/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmds/open.h"

#include <stdio.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "common/cli/json.h"
#include "common/cli/report.h"

#define WARNINGS_MAX 100

int open_option_call(struct open_command *command, const struct option_row *row, const char *value, struct diag *d)
{
	if (!row->name || strcmp(row->name, "super") != 0)
		return 0;
	if (strlen(value) != 1 || value[0] < '0' || value[0] > '2')
		return diag_fail(d, -EINVAL, "\"%s\" is no superblock copy: there are 0, 1 and 2", value);
	command->super = (unsigned)(value[0] - '0') + 1;
	return 1;
}

enum options_result open_command_parse(const struct option_table *table, int argc, char **argv, void *command,
				       const bool *is_json, int *ret_first, int *ret_status)
{
	enum options_result result = options_parse(table, argc, argv, command, ret_first);

	*ret_status = result == OPTIONS_DONE ? 0 : EXIT_USAGE;
	if (result != OPTIONS_RUN)
		return result;
	if (*ret_first == argc)
		*ret_status = usage_error(table, "no device or image file given");
	else if (*is_json && !json_is_available())
		*ret_status = report_error(table->command, "--json: built without json-c");
	else
		return OPTIONS_RUN;
	return OPTIONS_DONE;
}

void clear_bar(const struct open_command *command)
{
	if (command->has_bar && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* May come from several threads. A device that is rotten all over has a bad copy in each sector: a few tell the story. */
static void warn(void *arg, enum btrkit_severity severity, const char *text)
{
	struct open_command *command = arg;
	unsigned nr;

	if (severity != BTRKIT_WARNING)
		return;
	nr = atomic_fetch_add(&command->nr_warnings, 1);
	if (nr > WARNINGS_MAX)
		return;
	clear_bar(command);
	if (nr < WARNINGS_MAX)
		report_warning(command->name, "%s", text);
	else
		report_warning(command->name, "there are more warnings than %d, which are not shown", WARNINGS_MAX);
}

void open_options_fill(struct open_command *command, struct btrkit_open_options *ret_options)
{
	btrkit_open_options_init(ret_options);
	ret_options->super_mirror = (int)command->super - 1;
	ret_options->tree_root = command->tree_root;
	ret_options->chunk_root = command->chunk_root;
	ret_options->use_backup_roots = command->use_backup_roots;
	ret_options->no_device_scan = command->no_scan;
	ret_options->scan_dir = command->scan_dir;
	ret_options->offset_bytes = command->offset_bytes;
	ret_options->ignore_data_csums = command->ignore_data_csums;
	ret_options->knows_log = command->knows_log;
	ret_options->is_exclusive = command->is_exclusive;
	ret_options->note = warn;
	ret_options->note_arg = command;
}

int open_filesystem(struct open_command *command, char **paths, int nr_paths, struct btrkit_fs **ret_fs)
{
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };
	int err;

	open_options_fill(command, &options);
	err = btrkit_fs_open((const char *const *)paths, (size_t)nr_paths, &options, ret_fs, &error);
	if (err < 0)
		report_error(command->name, "%s", error.text);
	return err;
}
