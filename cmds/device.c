/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all commands that change the devices of a filesystem have in common. */
#include "cmds/device.h"

#include <stdio.h>

#include "cmds/job.h"
#include "cmds/judge.h"
#include "common/cli/json.h"
#include "common/cli/report.h"

int device_option_call(struct device_command *command, const struct option_row *row, const char *value, struct diag *d)
{
	if (row->name && strcmp(row->name, "device") == 0) {
		if (command->nr_devices == DEVICES_MAX)
			return diag_fail(d, -E2BIG, "more than %d devices are named", DEVICES_MAX);
		command->devices[command->nr_devices++] = value;
		return 1;
	}
	if (!row->name || strcmp(row->name, "progress") != 0)
		return 0;
	command->progress = !value ? PROGRESS_ALWAYS : PROGRESS_JSON;
	if (value && strcmp(value, "json") != 0) {
		int err = progress_mode_parse(value, &command->progress, d);

		return err < 0 ? err : 1;
	}
	return 1;
}

static void sample_progress(void *ctx, struct progress_sample *ret)
{
	const struct device_command *command = ctx;

	job_sample(command->job, ret);
}

static void fill_options(struct device_command *command, struct btrkit_device_options *ret_options)
{
	btrkit_device_options_init(ret_options);
	open_options_fill(&command->open, &ret_options->open);
	ret_options->is_forced = command->is_forced;
	ret_options->is_dry_run = command->is_dry_run;
	ret_options->do_truncate = command->do_truncate;
	ret_options->device_uuid = command->device_uuid;
	ret_options->threads = command->threads;
	ret_options->job = command->job;
}

/* What is moved must not be torn further. Data is compared with its checksums when it is moved, not here. */
static int judge(struct device_command *command, const struct btrkit_device_options *options, struct btrkit_error *error)
{
	const struct judging judging = {
		.open = &command->open,
		.options = &options->open,
		.paths = command->devices,
		.nr_paths = command->nr_devices,
		.mended = command->mended,
		.threads = command->threads,
		.job = command->job,
		.unless = "--force",
	};

	return command->needs_check && !command->is_forced ? judge_filesystem(&judging, error) : 0;
}

static const char *status_of(const struct device_command *command, const struct btrkit_device_plan *plan, int err)
{
	struct btrkit_device_plan_info info = { 0 };

	if (!err)
		return command->is_dry_run ? "possible" : "done";
	if (plan)
		btrkit_device_plan_get_info(plan, &info, sizeof(info));
	return err == -ECANCELED		   ? "cancelled"
	       : err == -EIO || info.nr_steps_done ? "failed"
						   : "refused";
}

static int report(const struct option_table *table, const struct device_command *command,
		  const struct btrkit_device_plan *plan, int err, const struct btrkit_error *error, const char *done)
{
	if (command->is_json)
		device_print_json(plan, status_of(command, plan, err), err ? error : NULL);
	else if (plan && (!err || command->is_dry_run))
		device_print_plan(plan, command->is_dry_run);
	if (err)
		return report_error(table->command, "%s", error->text);
	if (!command->is_json)
		puts(command->is_dry_run ? "it can be done; nothing was changed" : done);
	return 0;
}

static int run(const struct option_table *table, struct device_command *command, device_operation_fn fn, void *arg,
	       const char *done)
{
	struct btrkit_device_plan *plan = NULL;
	struct btrkit_device_options options;
	struct btrkit_error error = { 0 };
	struct progress_bar *bar = NULL;
	int err, status;

	if (btrkit_job_new(&command->job) < 0)
		return report_error(table->command, "out of memory");
	command->open.has_bar = true;
	job_cancel_on_signals(command->job);
	fill_options(command, &options);
	(void)progress_bar_start(command->no_progress ? PROGRESS_NEVER : command->progress, sample_progress, command, &bar);
	err = judge(command, &options, &error);
	if (!err)
		err = fn(arg, command->devices, command->nr_devices, &options, &plan, &error);
	progress_bar_stop(bar);
	if (err)
		explain_not_opened(&command->open, command->devices, command->nr_devices, err, &error);
	job_free(command->job);
	status = report(table, command, plan, err, &error, done);
	btrkit_device_plan_free(plan);
	return status;
}

int device_run(const struct option_table *table, struct device_command *command, const char *target, device_operation_fn fn,
	       void *arg, const char *done)
{
	command->open.name = table->command;
	command->devices[command->nr_devices++] = target;
	if (command->is_json && !json_is_available())
		return report_error(table->command, "--json: built without json-c");
	return run(table, command, fn, arg, done);
}
