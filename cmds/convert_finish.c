/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit convert --finish`: the saved filesystem goes, and what lies apart is put together. */
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

static void print_json(const struct btrkit_finish_result *result, const char *status, const struct btrkit_error *error)
{
	struct json *object = json_new_object();

	json_set_string(object, "type", "finish");
	json_set_string(object, "status", status);
	if (error)
		json_set_string(object, "error", error->text);
	if (result->source_type[0])
		json_set_string(object, "source", result->source_type);
	json_set_u64(object, "image_bytes", result->image_bytes);
	json_set_u64(object, "freed_bytes", result->freed_bytes);
	json_set_u64(object, "data_chunks_before", result->nr_chunks_before);
	json_set_u64(object, "data_chunks", result->nr_chunks);
	json_set_u64(object, "unallocated_bytes_before", result->unallocated_bytes_before);
	json_set_u64(object, "unallocated_bytes", result->unallocated_bytes);
	json_set_u64(object, "moved_bytes", result->moved_bytes);
	json_set_u64(object, "fragmented_files", result->nr_fragmented);
	json_set_u64(object, "defragmented_files", result->nr_defragmented);
	json_print(object, stdout, true);
	json_free(object);
}

static void print_image(const struct btrkit_finish_result *result, const char *verb)
{
	char image[SIZE_TEXT_MAX], freed[SIZE_TEXT_MAX];

	if (result->image_bytes)
		printf("the saved %s of %s %s: %s free\n", result->source_type, size_format(result->image_bytes, image),
		       verb, size_format(result->freed_bytes, freed));
}

static void print_result(const struct btrkit_finish_result *result)
{
	char before[SIZE_TEXT_MAX], now[SIZE_TEXT_MAX], moved[SIZE_TEXT_MAX];

	print_image(result, "was deleted");
	printf("%llu block groups of data, %llu before; %s moved; %s not allocated, %s before\n",
	       (ull)result->nr_chunks, (ull)result->nr_chunks_before, size_format(result->moved_bytes, moved),
	       size_format(result->unallocated_bytes, now), size_format(result->unallocated_bytes_before, before));
	printf("%llu of %llu files in many pieces were written anew\n", (ull)result->nr_defragmented,
	       (ull)result->nr_fragmented);
}

static int finish(struct convert_command *command, bool is_dry_run, bool has_notes, struct btrkit_finish_result *result,
		  struct btrkit_error *error)
{
	struct btrkit_finish_options options;
	struct progress_bar *bar;
	int err;

	btrkit_finish_options_init(&options);
	options.path = command->path;
	options.is_dry_run = is_dry_run;
	options.threads = command->threads;
	options.job = command->job;
	options.note = has_notes ? convert_print_note : NULL;
	options.note_arg = command;
	bar = convert_start_progress(command);
	err = btrkit_convert_finish(&options, result, error);
	progress_bar_stop(bar);
	return err;
}

static int report_failure(const struct convert_command *command, const struct btrkit_finish_result *result,
			  struct btrkit_error *error)
{
	explain_other(command->path, 0, error->err, error);
	if (command->is_json)
		print_json(result, error->err == -ECANCELED ? "cancelled" : "failed", error);
	return report_error(convert_option_table.command, "%s", error->text);
}

int convert_run_finish(struct convert_command *command)
{
	struct btrkit_finish_result result = { 0 };
	struct btrkit_error error = { 0 };

	/* First in memory: can it be, and what would it give? */
	if (finish(command, true, true, &result, &error) < 0)
		return report_failure(command, &result, &error);
	if (!command->is_json) {
		print_image(&result, "will be deleted");
		printf("%llu block groups of data; %llu files lie in many pieces\n", (ull)result.nr_chunks_before,
		       (ull)result.nr_fragmented);
	}
	if (command->is_dry_run) {
		if (command->is_json)
			print_json(&result, "possible", NULL);
		else
			puts("nothing was changed");
		return 0;
	}
	if (result.image_bytes) {
		int status = convert_ask(command, "after this it cannot be rolled back. Go on?", "goes on");

		if (status)
			return status;
	}
	result = (struct btrkit_finish_result){ 0 };
	if (finish(command, false, true, &result, &error) < 0)
		return report_failure(command, &result, &error);
	if (command->is_json)
		print_json(&result, "finished", NULL);
	else
		print_result(&result);
	return 0;
}
