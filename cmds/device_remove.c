/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device remove`: devices leave a filesystem. */
#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/cli/report.h"

struct device_remove_command {
	struct device_command common;
	const char *const *which;
	size_t nr_which;
};

#define AT(member) offsetof(struct device_remove_command, member)
static const struct option_row rows[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(common.is_forced), "go on although the filesystem is damaged", false },
	DEVICE_OPTION_ROWS(struct device_remove_command, common),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = device_option_call(&((struct device_remove_command *)target)->common, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_remove_option_table = {
	.command = "btrkit device remove",
	.usage = "[options] DEVICE|DEVID... DEVICE",
	.summary = "Move what is on devices to the others of the filesystem, which the last DEVICE is one of, and remove them.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

static int remove_devices(void *arg, const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			  struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	const struct device_remove_command *command = arg;

	return btrkit_device_remove(paths, nr_paths, options, command->which, command->nr_which, ret_plan, error);
}

int cmd_device_remove(int argc, char **argv)
{
	const struct option_table *table = &device_remove_option_table;
	struct device_remove_command command = { 0 };
	int first;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return result == OPTIONS_DONE ? 0 : EXIT_USAGE;
	if (argc - first < 2)
		return usage_error(table, argc == first ? "no device to remove given" : "no device of the filesystem given");
	command.common.needs_check = true;
	command.which = (const char *const *)argv + first;
	command.nr_which = (size_t)(argc - first - 1);
	return device_run(table, &command.common, argv[argc - 1], remove_devices, &command, "removed");
}
