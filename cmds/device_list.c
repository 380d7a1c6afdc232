/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device list` and `btrkit device usage`: the devices of a filesystem, and what each holds. */
#include <stdio.h>

#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/base/cleanup.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

struct device_list_command {
	struct open_command open;
	bool is_json, is_raw, has_shares;
	struct json *devices; /* with is_json */
};

#define AT(member) offsetof(struct device_list_command, member)
static const struct option_row rows[] = {
	{ 'b', "raw", NULL, OPTION_FLAG, AT(is_raw), "print sizes in bytes", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON", false },
	OPEN_OPTION_ROWS(struct device_list_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct device_list_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_list_option_table = {
	.command = "btrkit device list",
	.usage = "[options] DEVICE...",
	.summary = "List the devices of a filesystem: sizes, what is allocated, and where they are.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

const struct option_table device_usage_option_table = {
	.command = "btrkit device usage",
	.usage = "[options] DEVICE...",
	.summary = "Tell what each device of a filesystem holds, by kind and profile.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

/* --- As text ---------------------------------------- */

static void print_path(const struct btrkit_device_usage *usage)
{
	if (usage->path)
		print_escaped(stdout, usage->path, strlen(usage->path));
	else
		fputs("missing", stdout);
}

static void print_row(const struct device_list_command *command, const struct btrkit_device_usage *usage)
{
	char total[SIZE_TEXT_MAX], allocated[SIZE_TEXT_MAX];

	printf("devid %4llu  size %12s  allocated %12s  ", (ull)usage->devid, size_format_as(usage->total_bytes, command->is_raw, total),
	       size_format_as(usage->allocated_bytes, command->is_raw, allocated));
	print_path(usage);
	puts(usage->is_seed ? "  (seed)" : "");
}

static void print_value(const struct device_list_command *command, const char *name, u64 bytes)
{
	char text[SIZE_TEXT_MAX];

	printf("   %-24s %16s\n", name, size_format_as(bytes, command->is_raw, text));
}

static void print_usage(const struct device_list_command *command, const struct btrkit_device_usage *usage)
{
	print_path(usage);
	printf(", devid %llu%s\n", (ull)usage->devid, usage->is_seed ? ", of a seed" : "");
	print_value(command, "size", usage->total_bytes);
	if (usage->path)
		print_value(command, "size of the device", usage->host_bytes);
	if (usage->path)
		print_value(command, "slack", usage->slack_bytes);
	if (usage->lacking_bytes)
		print_value(command, "lacking", usage->lacking_bytes);
	for (size_t i = 0; i < usage->nr_shares; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s, %s", usage->shares[i].kind, usage->shares[i].profile);
		print_value(command, name, usage->shares[i].bytes);
	}
	print_value(command, "unallocated", usage->unallocated_bytes);
	putchar('\n');
}

static void print_filesystem(const struct device_list_command *command, const struct btrkit_fs_info *info)
{
	char used[SIZE_TEXT_MAX];

	fputs("label: ", stdout);
	print_escaped(stdout, info->label, strlen(info->label));
	printf("%suuid: %s\n", info->label[0] ? "  " : "none  ", info->fsid);
	printf("%zu device%s, %zu missing, %s used\n", info->nr_devices, info->nr_devices == 1 ? "" : "s", info->nr_missing,
	       size_format_as(info->used_bytes, command->is_raw, used));
}

/* --- As JSON ---------------------------------------- */

static struct json *shares_json(const struct btrkit_device_usage *usage)
{
	struct json *shares = json_new_array();

	for (size_t i = 0; i < usage->nr_shares; i++) {
		struct json *object = json_new_object();

		json_set_string(object, "kind", usage->shares[i].kind);
		json_set_string(object, "profile", usage->shares[i].profile);
		json_set_u64(object, "allocated_bytes", usage->shares[i].bytes);
		json_append(shares, object);
	}
	return shares;
}

static struct json *device_json(const struct device_list_command *command, const struct btrkit_device_usage *usage)
{
	struct json *object = json_new_object();

	json_set_u64(object, "devid", usage->devid);
	json_set_string(object, "uuid", usage->uuid);
	json_set(object, "path", usage->path ? json_from_bytes(usage->path, strlen(usage->path)) : NULL);
	json_set_bool(object, "is_missing", !usage->path);
	json_set_bool(object, "is_seed", usage->is_seed);
	json_set_u64(object, "size_bytes", usage->total_bytes);
	if (usage->path) {
		json_set_u64(object, "device_size_bytes", usage->host_bytes);
		json_set_u64(object, "slack_bytes", usage->slack_bytes);
		json_set_u64(object, "lacking_bytes", usage->lacking_bytes);
	}
	json_set_u64(object, "recorded_bytes", usage->recorded_bytes);
	json_set_u64(object, "allocated_bytes", usage->allocated_bytes);
	json_set_u64(object, "unallocated_bytes", usage->unallocated_bytes);
	if (command->has_shares)
		json_set(object, "allocations", shares_json(usage));
	return object;
}

static void print_json(struct device_list_command *command, const struct btrkit_fs_info *info)
{
	struct json *object = json_new_object();

	json_set_string(object, "schema", command->has_shares ? "btrkit-device-usage-1" : "btrkit-device-list-1");
	json_set_string(object, "label", info->label);
	json_set_string(object, "uuid", info->fsid);
	json_set_u64(object, "size_bytes", info->total_bytes);
	json_set_u64(object, "used_bytes", info->used_bytes);
	json_set_u64(object, "missing_devices", info->nr_missing);
	json_set(object, "devices", take_ptr(command->devices));
	json_print(object, stdout, false);
	json_free(object);
}

/* --- Running ---------------------------------------- */

static int show(void *arg, const struct btrkit_device_usage *usage)
{
	struct device_list_command *command = arg;

	if (command->is_json)
		json_append(command->devices, device_json(command, usage));
	else if (command->has_shares)
		print_usage(command, usage);
	else
		print_row(command, usage);
	return 0;
}

static int show_devices(struct device_list_command *command, struct btrkit_fs *fs)
{
	struct btrkit_error error = { 0 };
	struct btrkit_fs_info info;
	int err;

	btrkit_fs_get_info(fs, &info, sizeof(info));
	if (command->is_json)
		command->devices = json_new_array();
	else if (!command->has_shares)
		print_filesystem(command, &info);
	err = btrkit_device_usage_for_each(fs, show, command, &error);
	if (!err && command->is_json)
		print_json(command, &info);
	json_free(command->devices);
	return err ? report_error(command->open.name, "%s", error.text) : 0;
}

static int run(const struct option_table *table, bool has_shares, int argc, char **argv)
{
	struct device_list_command command = { .open.name = table->command, .has_shares = has_shares };
	struct btrkit_fs *fs = NULL;
	int first, status;

	if (open_command_parse(table, argc, argv, &command, &command.is_json, &first, &status) != OPTIONS_RUN)
		return status;
	if (open_filesystem(&command.open, argv + first, argc - first, &fs) < 0)
		return EXIT_FAILED;
	status = show_devices(&command, fs);
	btrkit_fs_close(fs);
	return status;
}

int cmd_device_list(int argc, char **argv)
{
	return run(&device_list_option_table, false, argc, argv);
}

int cmd_device_usage(int argc, char **argv)
{
	return run(&device_usage_option_table, true, argc, argv);
}
