/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit restripe start` and `btrkit restripe resume`. */
#include "cmds/restripe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/judge.h"
#include "common/base/cleanup.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

/* Time to think before everything is written anew, for who sits before a terminal. */
#define WARNING_SECONDS 10

#define AT(member) offsetof(struct restripe_command, member)
#define COMMON_ROWS                                                                                                          \
	{ 'n', "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "only say what would be done", false },                           \
	{ 0, "simulate", NULL, OPTION_FLAG, AT(is_dry_run), "the same", false },                                               \
	{ 0, "devices", "LIST", OPTION_STRING, AT(devices),                                                                    \
	  "device ids, separated by commas: the result lies on these alone", false },                                          \
	{ 0, "copy", NULL, OPTION_FLAG, AT(do_copy), "write all stripes anew, also where those that are there would do", false }, \
	{ 0, "discard", NULL, OPTION_FLAG, AT(do_discard), "discard space that is given up; punch holes into image files", false }, \
	{ 0, "no-check", NULL, OPTION_FLAG, AT(no_check), "do not check the filesystem first", false },                        \
	{ 0, "threads", "N", OPTION_UNSIGNED, AT(threads), "threads; default: one for each CPU", false },                      \
	{ 'v', "verbose", NULL, OPTION_FLAG, AT(is_verbose), "tell of each chunk", false },                                    \
	{ 0, "progress", "WHEN", OPTION_CALL, 0, "draw progress: auto, always, never or json", true },                         \
	{ 0, "no-progress", NULL, OPTION_FLAG, AT(no_progress), "draw no progress", false },                                   \
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON", false },                                                    \
	OPEN_OPTION_ROWS(struct restripe_command, open)

static const struct option_row start_rows[] = {
	{ 'd', "data", "FILTERS", OPTION_ATTACHED, AT(data), "data chunks, those that the filters choose", true },
	{ 'm', "metadata", "FILTERS", OPTION_ATTACHED, AT(metadata), "metadata chunks, and system chunks with them", true },
	{ 's', "system", "FILTERS", OPTION_ATTACHED, AT(system), "system chunks; only with --force", true },
	{ 'f', "force", NULL, OPTION_FLAG, AT(is_forced), "metadata may lose its redundancy", false },
	{ 0, "full-balance", NULL, OPTION_FLAG, AT(is_full), "without filters: do not warn that everything is written anew", false },
	COMMON_ROWS,
};
static const struct option_row resume_rows[] = { COMMON_ROWS };
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct restripe_command *command = target;
	int err = open_option_call(&command->open, row, value, d);

	if (err)
		return err < 0 ? err : 0;
	if (value && strcmp(value, "json") != 0)
		return progress_mode_parse(value, &command->progress, d);
	command->progress = value ? PROGRESS_JSON : PROGRESS_ALWAYS;
	return 0;
}

const struct option_table restripe_start_option_table = {
	.command = "btrkit restripe start",
	.usage = "[options] [-d[FILTERS]] [-m[FILTERS]] [-s[FILTERS]] DEVICE...",
	.summary = "Give chunks another profile, move them to other devices, or compact what is in them. Filters, separated by commas,\n"
		   "choose them: profiles=A|B, usage=PERCENT, usage=A..B, devid=ID, drange=A..B, vrange=A..B, limit=N, limit=A..B,\n"
		   "stripes=A..B, convert=PROFILE, soft.",
	.rows = start_rows,
	.nr_rows = ARRAY_LEN(start_rows),
	.call = take_call,
};

const struct option_table restripe_resume_option_table = {
	.command = "btrkit restripe resume",
	.usage = "[options] DEVICE...",
	.summary = "Go on with a restripe, or a balance of Linux, that was paused or cut short.",
	.rows = resume_rows,
	.nr_rows = ARRAY_LEN(resume_rows),
	.call = take_call,
};

/* --- What is told on the way ---------------------------------------- */

static void chunk_to_json(struct restripe_command *command, const struct btrkit_restripe_chunk *chunk)
{
	struct json *object = json_new_object();

	json_set_u64(object, "logical", chunk->logical);
	json_set_u64(object, "length", chunk->length);
	json_set_u64(object, "used_bytes", chunk->used_bytes);
	json_set_string(object, "kind", chunk->kind);
	json_set_string(object, "from", chunk->from);
	json_set_string(object, "to", chunk->to);
	json_set_string(object, "way", chunk->way);
	json_set_u64(object, "written_bytes", chunk->written_bytes);
	json_set_bool(object, "is_done", chunk->is_done);
	json_append(command->json_chunks, object);
}

static const char *way_text(const char *way)
{
	static const char *const texts[][2] = { { "nothing", "stays where it is" },
						{ "remove", "is empty and goes" },
						{ "drop", "copies are verified, others dropped" },
						{ "chunk", "is copied as it is" },
						{ "extents", "is emptied" } };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (strcmp(texts[i][0], way) == 0)
			return texts[i][1];
	return way;
}

static void tell_chunk(void *arg, const struct btrkit_restripe_chunk *chunk)
{
	struct restripe_command *command = arg;
	char used[SIZE_TEXT_MAX];

	if (command->is_json) {
		chunk_to_json(command, chunk);
		return;
	}
	if (!command->is_dry_run && !command->is_verbose)
		return;
	clear_bar(&command->open);
	printf("chunk %llu, %s, %s used: ", (ull)chunk->logical, chunk->kind, size_format(chunk->used_bytes, used));
	if (strcmp(chunk->from, chunk->to) == 0)
		printf("%s, %s\n", chunk->from, way_text(chunk->way));
	else
		printf("%s to %s, %s\n", chunk->from, chunk->to, way_text(chunk->way));
}

static void device_to_json(struct restripe_command *command, const struct btrkit_restripe_device *device)
{
	struct json *object = json_new_object();

	json_set_u64(object, "devid", device->devid);
	json_set(object, "path", device->path ? json_from_bytes(device->path, strlen(device->path)) : NULL);
	json_set_u64(object, "size_bytes", device->total_bytes);
	json_set_u64(object, "allocated_bytes_before", device->before_bytes);
	json_set_u64(object, "allocated_bytes_after", device->after_bytes);
	json_append(command->json_devices, object);
}

static void tell_device(void *arg, const struct btrkit_restripe_device *device)
{
	struct restripe_command *command = arg;
	char total[SIZE_TEXT_MAX], before[SIZE_TEXT_MAX], after[SIZE_TEXT_MAX];

	if (command->is_json) {
		device_to_json(command, device);
	} else if (command->is_dry_run) {
		printf("device %llu: of %s are allocated now %s, then %s  ", (ull)device->devid,
		       size_format(device->total_bytes, total), size_format(device->before_bytes, before),
		       size_format(device->after_bytes, after));
		if (device->path)
			print_escaped(stdout, device->path, strlen(device->path));
		putchar('\n');
	}
}

static void print_note(void *arg, enum btrkit_severity severity, const char *text)
{
	const struct restripe_command *command = arg;

	if (severity != BTRKIT_WARNING)
		return;
	clear_bar(&command->open);
	report_warning(command->open.name, "%s", text);
}

/* --- What is told at the end ---------------------------------------- */

static void print_json(struct restripe_command *command, const struct btrkit_restripe_result *result, const char *status,
		       const struct btrkit_error *error)
{
	struct json *object = json_new_object();

	json_set_string(object, "schema", "btrkit-restripe-1");
	json_set_string(object, "status", status);
	if (error)
		json_set_string(object, "error", error->text);
	json_set_u64(object, "considered", result->counts.considered);
	json_set_u64(object, "expected", result->counts.expected);
	json_set_u64(object, "completed", result->counts.completed);
	json_set_u64(object, "dropped", result->nr_dropped);
	json_set_u64(object, "moved", result->nr_moved);
	json_set_u64(object, "emptied", result->nr_emptied);
	json_set_u64(object, "removed", result->nr_removed);
	json_set_u64(object, "used_bytes", result->used_bytes);
	json_set_u64(object, "written_bytes", result->written_bytes);
	json_set_u64(object, "lacking_bytes", result->lacking_bytes);
	json_set(object, "devices", take_ptr(command->json_devices));
	json_set(object, "chunks", take_ptr(command->json_chunks));
	json_print(object, stdout, false);
	json_free(object);
}

static void print_done(const struct restripe_command *command, const struct btrkit_restripe_result *result)
{
	char used[SIZE_TEXT_MAX], written[SIZE_TEXT_MAX];
	const struct btrkit_restripe_counts *counts = &result->counts;

	if (command->is_dry_run)
		printf("%llu of %llu chunks, with %s in use, of which %s would be written; nothing was changed\n",
		       (ull)counts->expected, (ull)counts->considered, size_format(result->used_bytes, used),
		       size_format(result->written_bytes, written));
	else
		printf("done: %llu of %llu chunks; %llu moved, %llu emptied, %llu with copies dropped, %llu removed\n",
		       (ull)counts->completed, (ull)counts->considered, (ull)result->nr_moved, (ull)result->nr_emptied,
		       (ull)result->nr_dropped, (ull)result->nr_removed);
}

static int report(struct restripe_command *command, const struct btrkit_restripe_result *result, int err,
		  const struct btrkit_error *error)
{
	if (command->is_json)
		print_json(command, result, err ? (result->has_begun ? "paused" : "refused") : command->is_dry_run ? "possible" : "done",
			   err ? error : NULL);
	else if (!err)
		print_done(command, result);
	return err ? report_error(command->open.name, "%s", error->text) : 0;
}

/* --- Running ---------------------------------------- */

/* "1,3,4" */
static int parse_devices(struct restripe_command *command, struct diag *d)
{
	const char *at = command->devices;
	char *end;

	if (!at)
		return 0;
	command->devids = calloc(strlen(at) + 1, sizeof(*command->devids));
	if (!command->devids)
		return diag_no_memory(d, "a list of devices");
	for (;; at = end + 1) {
		errno = 0;
		command->devids[command->nr_devids] = strtoull(at, &end, 10);
		if (*at < '0' || *at > '9' || errno || !command->devids[command->nr_devids++] || (*end && *end != ','))
			return diag_fail(d, -EINVAL, "--devices: \"%s\", character %zu: a device id is expected", command->devices,
					 (size_t)(at - command->devices) + 1);
		if (!*end)
			return 0;
	}
}

static void warn_of_all(const struct restripe_command *command)
{
	if (command->data || command->metadata || command->system || command->is_full || command->is_dry_run)
		return;
	report_warning(command->open.name, "without filters all there is will be written anew; --full-balance does not warn");
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "It begins in %d seconds; Ctrl-C stops it before.\n", WARNING_SECONDS);
	sleep(WARNING_SECONDS);
}

static void sample_progress(void *ctx, struct progress_sample *ret)
{
	const struct restripe_command *command = ctx;

	job_sample(command->job, ret);
}

static void fill_options(struct restripe_command *command, struct btrkit_restripe_options *options)
{
	btrkit_restripe_options_init(options);
	options->data = command->data;
	options->metadata = command->metadata;
	options->system = command->system;
	options->is_forced = command->is_forced;
	options->is_dry_run = command->is_dry_run;
	options->do_copy = command->do_copy;
	options->do_discard = command->do_discard;
	options->devids = command->devids;
	options->nr_devids = command->nr_devids;
	options->threads = command->threads;
	options->job = command->job;
	options->note = print_note;
	options->chunk = tell_chunk;
	options->device = tell_device;
	options->note_arg = options->arg = command;
}

static int judge(const struct restripe_command *command, const struct btrkit_open_options *options, char **paths, int nr_paths,
		 struct btrkit_error *error)
{
	const struct judging judging = {
		.open = &command->open,
		.options = options,
		.paths = (const char *const *)paths,
		.nr_paths = (size_t)nr_paths,
		.threads = command->threads,
		.job = command->job,
		.unless = "--no-check",
	};

	return command->no_check ? 0 : judge_filesystem(&judging, error);
}

static int run(struct restripe_command *command, bool is_resumed, char **paths, int nr_paths)
{
	enum progress_mode mode = command->no_progress || command->is_dry_run ? PROGRESS_NEVER : command->progress;
	struct btrkit_restripe_result result = { 0 };
	struct btrkit_restripe_options options;
	struct btrkit_open_options open_options;
	struct btrkit_error error = { 0 };
	struct progress_bar *bar = NULL;
	int err;

	fill_options(command, &options);
	open_options_fill(&command->open, &open_options);
	if (command->is_json) {
		command->json_devices = json_new_array();
		command->json_chunks = json_new_array();
	}
	(void)progress_bar_start(mode, sample_progress, command, &bar);
	command->open.has_bar = bar && mode != PROGRESS_JSON;
	err = judge(command, &open_options, paths, nr_paths, &error);
	if (!err)
		err = (is_resumed ? btrkit_restripe_resume : btrkit_restripe_start)(
			(const char *const *)paths, (size_t)nr_paths, &open_options, &options, &result, &error);
	progress_bar_stop(bar);
	command->open.has_bar = false;
	if (err)
		explain_not_opened(&command->open, (const char *const *)paths, (size_t)nr_paths, err, &error);
	err = report(command, &result, err, &error);
	json_free(command->json_devices);
	json_free(command->json_chunks);
	return err;
}

static int start_or_resume(const struct option_table *table, bool is_resumed, int argc, char **argv)
{
	struct restripe_command command = { .open = { .name = table->command, .is_exclusive = true } };
	struct diag d = { 0 };
	int first, status, err;

	if (open_command_parse(table, argc, argv, &command, &command.is_json, &first, &status) != OPTIONS_RUN)
		return status;
	err = parse_devices(&command, &d);
	if (err < 0) {
		free(command.devids);
		return err == -ENOMEM ? report_error(table->command, "%s", d.text) : usage_error(table, "%s", d.text);
	}
	if (!is_resumed)
		warn_of_all(&command);
	if (btrkit_job_new(&command.job) < 0) {
		free(command.devids);
		return report_error(table->command, "out of memory");
	}
	job_cancel_on_signals(command.job);
	status = run(&command, is_resumed, argv + first, argc - first);
	job_free(command.job);
	free(command.devids);
	return status;
}

int cmd_restripe_start(int argc, char **argv)
{
	return start_or_resume(&restripe_start_option_table, false, argc, argv);
}

int cmd_restripe_resume(int argc, char **argv)
{
	return start_or_resume(&restripe_resume_option_table, true, argc, argv);
}
