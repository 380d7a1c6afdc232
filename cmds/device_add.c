/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device add`: more devices for a filesystem. */
#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/cli/report.h"

struct device_add_command {
	struct device_command common;
	const char *const *new_paths;
	size_t nr_new;
};

#define AT(member) offsetof(struct device_add_command, member)
static const struct option_row rows[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(common.is_forced), "overwrite what the new devices hold", false },
	{ 0, "device-uuid", "UUID", OPTION_STRING, AT(common.device_uuid), "UUID of the only new device", false },
	DEVICE_OPTION_ROWS(struct device_add_command, common),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = device_option_call(&((struct device_add_command *)target)->common, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_add_option_table = {
	.command = "btrkit device add",
	.usage = "[options] NEW... DEVICE",
	.summary = "Add the devices or image files NEW, which must exist, to the filesystem that DEVICE is one of.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

static int add(void *arg, const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
	       struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	const struct device_add_command *command = arg;

	return btrkit_device_add(paths, nr_paths, options, command->new_paths, command->nr_new, ret_plan, error);
}

int cmd_device_add(int argc, char **argv)
{
	const struct option_table *table = &device_add_option_table;
	struct device_add_command command = { 0 };
	int first;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < 2)
		return usage_error(table, argc == first ? "no new device given" : "no device of the filesystem given");
	command.new_paths = (const char *const *)argv + first;
	command.nr_new = (size_t)(argc - first - 1);
	return device_run(table, &command.common, argv[argc - 1], add, &command, "added");
}
