/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit convert --rollback`: the filesystem that was converted, again. */
#include <btrkit/convert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "common/cli/json.h"
#include "common/cli/options.h"
#include "common/cli/progress_bar.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

/* Ctrl-C reaches the job through this: a handler gets no argument of ours. */
static struct btrkit_job *signalled_job;

struct convert_command {
	bool is_rollback, is_dry_run, is_sure, do_relocate, is_json, no_verify, no_progress;
	unsigned threads;
	enum progress_mode progress;
	const char *path;
	struct btrkit_job *job;
};

#define AT(member) offsetof(struct convert_command, member)
static const struct option_row rows[] = {
	{ 'r', "rollback", NULL, OPTION_FLAG, AT(is_rollback), "restore the filesystem that was converted", false },
	{ 0, "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "only say whether it can be done, and what would be lost", false },
	{ 'y', "yes", NULL, OPTION_FLAG, AT(is_sure), "do not ask", false },
	{ 0, "verify", "HOW", OPTION_CALL, 0, "full: compare the saved image with its checksums first (default); none", false },
	{ 0, "relocate", NULL, OPTION_FLAG, AT(do_relocate), "move home again what a balance has moved", false },
	{ 0, "threads", "N", OPTION_UNSIGNED, AT(threads), "work in N threads (all CPUs)", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON, an object on a line", false },
	{ 'p', "progress", "WHEN", OPTION_CALL, 0, "draw progress: auto, always, never or json", true },
	{ 0, "no-progress", NULL, OPTION_FLAG, AT(no_progress), "draw no progress", false },
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct convert_command *command = target;

	if (strcmp(row->name, "verify") == 0) {
		command->no_verify = strcmp(value, "none") == 0;
		return command->no_verify || strcmp(value, "full") == 0
			       ? 0
			       : diag_fail(d, -EINVAL, "\"%s\" is no way to verify: there are full and none", value);
	}
	if (!value) {
		command->progress = PROGRESS_ALWAYS;
		return 0;
	}
	if (strcmp(value, "json") != 0)
		return progress_mode_parse(value, &command->progress, d);
	command->progress = PROGRESS_JSON;
	return 0;
}

const struct option_table convert_option_table = {
	.command = "btrkit convert",
	.usage = "--rollback [options] DEVICE",
	.summary = "Restore the ext2, ext3 or ext4 that was converted to Btrfs on this device. All that was changed since is lost.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

/* --- What is said --------------------------------------------------------------------------------------------------------- */

static void print_note(void *arg, enum btrkit_severity severity, const char *text)
{
	const struct convert_command *command = arg;

	if (severity == BTRKIT_WARNING) {
		report_warning(convert_option_table.command, "%s", text);
	} else if (!command->is_json) {
		print_escaped(stdout, text, strlen(text));
		putchar('\n');
	}
}

static void print_loss(const struct btrkit_rollback_plan *plan)
{
	char lost[SIZE_TEXT_MAX];

	printf("generation at the conversion %llu, now %llu\n", (ull)plan->generation_converted, (ull)plan->generation_now);
	if (plan->has_changes)
		printf("changed since, and lost with a rollback: %s of file data, something in %llu subvolumes\n",
		       size_format(plan->lost_data_bytes, lost), (ull)plan->nr_changed_subvols);
	else if (!plan->is_loss_unknown)
		puts("nothing was changed since");
	if (plan->is_loss_unknown)
		puts("Btrfs is damaged: what was changed since is not fully known");
}

static void print_plan(const struct btrkit_rollback_plan *plan)
{
	char image[SIZE_TEXT_MAX], used[SIZE_TEXT_MAX], restored[SIZE_TEXT_MAX], relocated[SIZE_TEXT_MAX];

	printf("saved: %s of %s, %s in use; %s to be copied back", plan->source_type, size_format(plan->image_bytes, image),
	       size_format(plan->used_bytes, used), size_format(plan->restored_bytes, restored));
	if (plan->relocated_bytes)
		printf(", %s to be moved home", size_format(plan->relocated_bytes, relocated));
	putchar('\n');
	print_loss(plan);
}

static void print_json(const struct btrkit_rollback_plan *plan, const char *status, const struct btrkit_error *error)
{
	struct json *object = json_new_object();

	json_set_string(object, "type", "rollback");
	json_set_string(object, "status", status);
	if (error)
		json_set_string(object, "error", error->text);
	if (plan->source_type[0])
		json_set_string(object, "source", plan->source_type);
	json_set_u64(object, "image_bytes", plan->image_bytes);
	json_set_u64(object, "used_bytes", plan->used_bytes);
	json_set_u64(object, "restored_bytes", plan->restored_bytes);
	json_set_u64(object, "relocated_bytes", plan->relocated_bytes);
	json_set_u64(object, "occupied_bytes", plan->occupied_bytes);
	json_set_u64(object, "lost_data_bytes", plan->lost_data_bytes);
	json_set_u64(object, "changed_subvolumes", plan->nr_changed_subvols);
	json_set_u64(object, "generation_converted", plan->generation_converted);
	json_set_u64(object, "generation_now", plan->generation_now);
	json_set_bool(object, "has_changes", plan->has_changes);
	json_set_bool(object, "is_loss_unknown", plan->is_loss_unknown);
	json_set_bool(object, "is_verified", plan->is_verified);
	json_print(object, stdout, true);
	json_free(object);
}

static int report_failure(const struct convert_command *command, const struct btrkit_rollback_plan *plan,
			  const struct btrkit_error *error)
{
	if (command->is_json)
		print_json(plan, error->err == -ECANCELED ? "cancelled" : error->err == -EIO ? "failed" : "refused", error);
	else if (plan->source_type[0] && error->err != -ECANCELED)
		print_plan(plan);
	return report_error(convert_option_table.command, "%s", error->text);
}

/* --- Running ------------------------------------------------------------------------------------------------------------ */

static void on_signal(int signal)
{
	(void)signal;
	btrkit_job_cancel(signalled_job);
}

static void sample_progress(void *ctx, struct progress_sample *ret)
{
	const struct convert_command *command = ctx;
	struct btrkit_job_state state = { 0 };

	btrkit_job_read(command->job, &state);
	*ret = (struct progress_sample){ state.phase, state.done_bytes, state.total_bytes, state.done_files, state.total_files };
}

static int roll_back(struct convert_command *command, bool is_dry_run, bool no_verify, bool has_notes,
		     struct btrkit_rollback_plan *plan, struct btrkit_error *error)
{
	struct btrkit_rollback_options options;
	struct progress_bar *bar = NULL;
	int err;

	btrkit_rollback_options_init(&options);
	options.path = command->path;
	options.no_verify = no_verify;
	options.do_relocate = command->do_relocate;
	options.is_dry_run = is_dry_run;
	options.threads = command->threads;
	options.job = command->job;
	options.note = has_notes ? print_note : NULL;
	options.note_arg = command;
	(void)progress_bar_start(command->no_progress ? PROGRESS_NEVER : command->progress, sample_progress, command, &bar);
	err = btrkit_convert_rollback(&options, plan, error);
	progress_bar_stop(bar);
	return err;
}

static bool is_agreed(const struct convert_command *command)
{
	char answer[16] = "";

	fflush(stdout);
	fprintf(stderr, "Make %s what it was before the conversion? [y/N] ", command->path);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int run_rollback(struct convert_command *command)
{
	struct btrkit_rollback_plan plan = { 0 };
	struct btrkit_error error = { 0 };

	/* First, without reading all of it: can it be, and what would be lost? */
	if (roll_back(command, true, command->no_verify || !command->is_dry_run, true, &plan, &error) < 0)
		return report_failure(command, &plan, &error);
	if (!command->is_json)
		print_plan(&plan);
	if (command->is_dry_run && command->is_json)
		print_json(&plan, "possible", NULL);
	else if (command->is_dry_run)
		puts("it can be rolled back; nothing was changed");
	if (command->is_dry_run)
		return 0;
	if (!command->is_sure && !isatty(STDIN_FILENO))
		return report_error(convert_option_table.command, "nobody to ask: --yes rolls back without asking");
	if (!command->is_sure && !is_agreed(command)) {
		puts("nothing was changed");
		return EXIT_FAILED;
	}
	if (roll_back(command, false, command->no_verify, false, &plan, &error) < 0)
		return report_failure(command, &plan, &error);
	if (command->is_json)
		print_json(&plan, "restored", NULL);
	else
		printf("%s is %s again\n", command->path, plan.source_type);
	return 0;
}

int cmd_convert(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART) };
	const struct option_table *table = &convert_option_table;
	struct convert_command command = { 0 };
	int first, status;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return result == OPTIONS_DONE ? 0 : EXIT_USAGE;
	if (!command.is_rollback)
		return usage_error(table, "only --rollback can be done");
	if (argc - first != 1)
		return usage_error(table, "one device or image file has to be given");
	if (command.is_json && !json_is_available())
		return report_error(table->command, "--json: built without json-c");
	if (btrkit_job_new(&command.job) < 0)
		return report_error(table->command, "out of memory");
	command.path = argv[first];
	signalled_job = command.job;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = run_rollback(&command);
	btrkit_job_free(command.job);
	return status;
}
