/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device seed`: mark a filesystem as one from which others grow, or take the mark away. */
#include <stdio.h>

#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/cli/json.h"
#include "common/cli/report.h"

struct device_seed_command {
	struct open_command open;
	bool is_dry_run, is_forced, is_json;
};

#define AT(member) offsetof(struct device_seed_command, member)
static const struct option_row rows[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(is_forced), "of clear: though others may have grown from it", false },
	{ 'n', "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "only say whether it can be done", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON", false },
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Finding the filesystem", false },
	{ 0, "scan", "DIR", OPTION_STRING, AT(open.scan_dir), "look for further devices among the files of DIR", false },
	{ 0, "no-scan", NULL, OPTION_FLAG, AT(open.no_scan), "do not look for further devices on this host", false },
	{ 0, "offset", "BYTES", OPTION_SIZE, AT(open.offset_bytes), "the filesystem begins so far within the image", false },
};
#undef AT

const struct option_table device_seed_option_table = {
	.command = "btrkit device seed",
	.usage = "set|clear [options] DEVICE...",
	.summary = "Mark the filesystem on DEVICE... as a seed, which is never written again and from which others grow; or make it again\n"
		   "one that is written.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
};

static void print_json(const struct btrkit_device_seed_result *result, const char *status, bool is_marked,
		       const struct btrkit_error *error)
{
	struct json *object = json_new_object();

	json_set_string(object, "schema", "btrkit-device-seed-1");
	json_set_string(object, "status", status);
	if (error)
		json_set_string(object, "error", error->text);
	json_set_string(object, "operation", is_marked ? "set" : "clear");
	if (result->fsid[0]) {
		json_set_string(object, "uuid", result->fsid);
		json_set_u64(object, "devices", result->nr_devices);
		json_set_bool(object, "was_so_already", result->was_so_already);
	}
	json_print(object, stdout, false);
	json_free(object);
}

static void print_text(const struct device_seed_command *command, const struct btrkit_device_seed_result *result, bool is_marked)
{
	if (result->was_so_already)
		printf("%s is %s\n", result->fsid, is_marked ? "a seed already" : "not a seed");
	else if (command->is_dry_run)
		puts("it can be done; nothing was changed");
	else
		printf("%s is %s\n", result->fsid, is_marked ? "a seed now" : "no longer a seed");
}

static int run(struct device_seed_command *command, bool is_marked, const char *const *paths, size_t nr_paths)
{
	struct btrkit_device_seed_result result = { 0 };
	struct btrkit_device_options options;
	struct btrkit_error error = { 0 };
	int err;

	btrkit_device_options_init(&options);
	open_options_fill(&command->open, &options.open);
	options.is_forced = command->is_forced;
	options.is_dry_run = command->is_dry_run;
	err = is_marked ? btrkit_device_seed_set(paths, nr_paths, &options, &result, &error)
			: btrkit_device_seed_clear(paths, nr_paths, &options, &result, &error);
	if (command->is_json)
		print_json(&result, err == -EIO ? "failed" : err ? "refused" : command->is_dry_run ? "possible" : "done",
			   is_marked, err ? &error : NULL);
	if (err)
		return report_error(device_seed_option_table.command, "%s", error.text);
	if (!command->is_json)
		print_text(command, &result, is_marked);
	return 0;
}

int cmd_device_seed(int argc, char **argv)
{
	const struct option_table *table = &device_seed_option_table;
	struct device_seed_command command = { 0 };
	int first;
	enum options_result result = options_parse(table, argc, argv, &command, &first);
	bool is_set, is_clear;

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	is_set = first < argc && strcmp(argv[first], "set") == 0;
	is_clear = first < argc && strcmp(argv[first], "clear") == 0;
	if (!is_set && !is_clear)
		return usage_error(table, "say what to do: set or clear");
	if (argc - first < 2)
		return usage_error(table, "no device given");
	if (command.is_json && !json_is_available())
		return report_error(table->command, "--json: built without json-c");
	command.open.name = table->command;
	return run(&command, is_set, (const char *const *)argv + first + 1, (size_t)(argc - first - 1));
}
