/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit restripe status`, `pause` and `cancel`: an interrupted run, or one of another process. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cmds/cmds.h"
#include "cmds/restripe.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

/* How often it is looked whether a process that was asked to end has done so. */
#define POLL_NS 50000000

struct state_command {
	struct open_command open;
	bool is_json;
	int runner; /* 0: nobody */
	bool has_record; /* in the filesystem */
	struct btrkit_restripe_status status;
};

#define AT(member) offsetof(struct state_command, member)
static const struct option_row status_rows[] = {
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON", false },
	OPEN_OPTION_ROWS(struct state_command, open),
};
static const struct option_row other_rows[] = {
	OPEN_OPTION_ROWS(struct state_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct state_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table restripe_status_option_table = {
	.command = "btrkit restripe status",
	.usage = "[options] DEVICE...",
	.summary = "Tell whether a restripe, or a balance of Linux, runs or is paused, and what is left to do.",
	.rows = status_rows,
	.nr_rows = ARRAY_LEN(status_rows),
	.call = take_call,
};

const struct option_table restripe_pause_option_table = {
	.command = "btrkit restripe pause",
	.usage = "[options] DEVICE...",
	.summary = "Ask the process that restripes the filesystem to end after the chunk at hand, as Ctrl-C does, and wait for it.",
	.rows = other_rows,
	.nr_rows = ARRAY_LEN(other_rows),
	.call = take_call,
};

const struct option_table restripe_cancel_option_table = {
	.command = "btrkit restripe cancel",
	.usage = "[options] DEVICE...",
	.summary = "Forget a paused restripe or balance: what it has done stays done. One that runs is paused before.",
	.rows = other_rows,
	.nr_rows = ARRAY_LEN(other_rows),
	.call = take_call,
};

/* --- What there is ---------------------------------------- */

static int find_runner(char **paths, int nr_paths)
{
	int runner = 0;

	for (int i = 0; i < nr_paths && !runner; i++)
		runner = restripe_runner(paths[i]);
	return runner;
}

/* Negative: a failure, which was reported. Of what somebody changes meanwhile not all may be readable. */
static int read_state(struct state_command *command, char **paths, int nr_paths)
{
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };
	struct btrkit_fs *fs = NULL;
	int err;

	command->runner = find_runner(paths, nr_paths);
	open_options_fill(&command->open, &options);
	if (command->runner)
		options.note = NULL;
	err = btrkit_fs_open((const char *const *)paths, (size_t)nr_paths, &options, &fs, &error);
	if (err)
		explain_not_opened(&command->open, (const char *const *)paths, (size_t)nr_paths, err, &error);
	if (!err) {
		err = btrkit_restripe_get_status(fs, &command->status, sizeof(command->status), &error);
		command->has_record = !err;
		btrkit_fs_close(fs);
		if (err == -ENOENT)
			return 0;
	}
	if (err && !command->runner)
		report_error(command->open.name, "%s", error.text);
	return command->runner ? 0 : err;
}

/* Ask whoever restripes it to end, and wait until that has happened. Returns whether there was somebody. */
static bool stop_runner(char **paths, int nr_paths)
{
	const struct timespec pause = { 0, POLL_NS };
	int pid = find_runner(paths, nr_paths);

	if (!pid || kill(pid, SIGTERM) < 0)
		return false;
	while (find_runner(paths, nr_paths) == pid)
		nanosleep(&pause, NULL);
	return true;
}

/* --- status ---------------------------------------- */

static const char *state_name(const struct state_command *command)
{
	return command->runner ? "running" : command->has_record ? "paused" : "none";
}

static void print_kind(const char *name, bool has_kind, const char *filters)
{
	if (has_kind)
		printf("  %s: %s\n", name, filters[0] ? filters : "all");
}

static void print_state(const struct state_command *command)
{
	const struct btrkit_restripe_status *status = &command->status;
	char left[SIZE_TEXT_MAX];

	if (command->runner)
		printf("running, as process %d\n", command->runner);
	else
		puts(command->has_record ? "paused" : "nothing is running or paused");
	if (!command->has_record)
		return;
	print_kind("data", status->has_data, status->data);
	print_kind("metadata", status->has_metadata, status->metadata);
	print_kind("system", status->has_system, status->system);
	if (status->devices[0])
		printf("  to devices: %s\n", status->devices);
	printf("  about %llu chunks are left, with %s in use\n", (ull)status->nr_left, size_format(status->left_bytes, left));
}

static void print_json(const struct state_command *command)
{
	const struct btrkit_restripe_status *status = &command->status;
	struct json *object = json_new_object();

	json_set_string(object, "schema", "btrkit-restripe-status-1");
	json_set_string(object, "state", state_name(command));
	if (command->runner)
		json_set_u64(object, "process", (u64)command->runner);
	if (command->has_record) {
		if (status->has_data)
			json_set_string(object, "data", status->data);
		if (status->has_metadata)
			json_set_string(object, "metadata", status->metadata);
		if (status->has_system)
			json_set_string(object, "system", status->system);
		if (status->devices[0])
			json_set_string(object, "devices", status->devices);
		json_set_bool(object, "is_forced", status->is_forced);
		json_set_u64(object, "chunks_left", status->nr_left);
		json_set_u64(object, "left_bytes", status->left_bytes);
	}
	json_print(object, stdout, false);
	json_free(object);
}

/* --- Running ---------------------------------------- */

/* Parse; the exit status where that is the end, else -1. */
static int begin(const struct option_table *table, int argc, char **argv, struct state_command *command, int *ret_first)
{
	int status;

	return open_command_parse(table, argc, argv, command, &command->is_json, ret_first, &status) == OPTIONS_RUN ? -1 : status;
}

int cmd_restripe_status(int argc, char **argv)
{
	struct state_command command = { .open.name = restripe_status_option_table.command };
	int first, status = begin(&restripe_status_option_table, argc, argv, &command, &first);

	if (status >= 0)
		return status;
	if (read_state(&command, argv + first, argc - first) < 0)
		return EXIT_FAILED;
	if (command.is_json)
		print_json(&command);
	else
		print_state(&command);
	return 0;
}

int cmd_restripe_pause(int argc, char **argv)
{
	struct state_command command = { .open.name = restripe_pause_option_table.command };
	bool had_runner;
	int first, status = begin(&restripe_pause_option_table, argc, argv, &command, &first);

	if (status >= 0)
		return status;
	had_runner = stop_runner(argv + first, argc - first);
	command.open.is_exclusive = true;
	if (read_state(&command, argv + first, argc - first) < 0)
		return EXIT_FAILED;
	if (!command.has_record)
		return report_error(command.open.name, had_runner ? "it was done before it could be paused" : "nothing is running");
	puts("paused");
	return 0;
}

int cmd_restripe_cancel(int argc, char **argv)
{
	struct state_command command = { .open = { .name = restripe_cancel_option_table.command, .is_exclusive = true } };
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };
	int first, status = begin(&restripe_cancel_option_table, argc, argv, &command, &first);

	if (status >= 0)
		return status;
	(void)stop_runner(argv + first, argc - first); /* or there is nobody */
	open_options_fill(&command.open, &options);
	if (btrkit_restripe_cancel((const char *const *)argv + first, (size_t)(argc - first), &options, &error) < 0) {
		explain_not_opened(&command.open, (const char *const *)argv + first, (size_t)(argc - first), error.err, &error);
		return report_error(command.open.name, "%s", error.text);
	}
	puts("cancelled");
	return 0;
}
