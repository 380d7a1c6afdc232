/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit convert --rollback`: the filesystem that was converted, again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmds/cmds.h"
#include "cmds/convert.h"
#include "cmds/open.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

/* --- What is said ---------------------------------------- */

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
	json_set_u64(object, "unreadable_bytes", plan->unreadable_bytes);
	json_print(object, stdout, true);
	json_free(object);
}

static int report_failure(const struct convert_command *command, const struct btrkit_rollback_plan *plan,
			  struct btrkit_error *error)
{
	explain_other(command->path, 0, error->err, error);
	if (command->is_json)
		print_json(plan, error->err == -ECANCELED ? "cancelled" : error->err == -EIO ? "failed" : "refused", error);
	else if (plan->source_type[0] && error->err != -ECANCELED)
		print_plan(plan);
	return report_error(convert_option_table.command, "%s", error->text);
}

/* --- Running ---------------------------------------- */

static int roll_back(struct convert_command *command, bool is_dry_run, bool no_verify, bool has_notes,
		     struct btrkit_rollback_plan *plan, struct btrkit_error *error)
{
	struct btrkit_rollback_options options;
	struct progress_bar *bar;
	int err;

	btrkit_rollback_options_init(&options);
	options.path = command->path;
	options.no_verify = no_verify;
	options.do_relocate = command->do_relocate;
	options.is_dry_run = is_dry_run;
	options.threads = command->threads;
	options.job = command->job;
	options.note = has_notes ? convert_print_note : NULL;
	options.note_arg = command;
	bar = convert_start_progress(command);
	err = btrkit_convert_rollback(&options, plan, error);
	progress_bar_stop(bar);
	return err;
}

int convert_run_rollback(struct convert_command *command)
{
	struct btrkit_rollback_plan plan = { 0 };
	struct btrkit_error error = { 0 };
	int status;

	/* First, without reading all of it: can it be, and what would be lost? */
	if (roll_back(command, true, (command->verify != BTRKIT_CONVERT_VERIFY_FULL) || !command->is_dry_run, true, &plan, &error) < 0)
		return report_failure(command, &plan, &error);
	if (!command->is_json)
		print_plan(&plan);
	if (command->is_dry_run && command->is_json)
		print_json(&plan, "possible", NULL);
	else if (command->is_dry_run)
		puts("it can be rolled back; nothing was changed");
	if (command->is_dry_run)
		return 0;
	status = convert_ask(command, "make it what it was before the conversion?", "rolls back");
	if (status)
		return status;
	if (roll_back(command, false, (command->verify != BTRKIT_CONVERT_VERIFY_FULL), false, &plan, &error) < 0)
		return report_failure(command, &plan, &error);
	if (command->is_json)
		print_json(&plan, "restored", NULL);
	else
		printf("%s is %s again\n", command->path, plan.source_type);
	return 0;
}
