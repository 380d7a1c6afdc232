/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device sprout`: a new filesystem that grows from a seed. */
#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/cli/report.h"

struct device_sprout_command {
	struct device_command common;
	const char *new_path, *fsid;
};

#define AT(member) offsetof(struct device_sprout_command, member)
static const struct option_row rows[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(common.is_forced), "overwrite what the new device holds", false },
	{ 'U', "uuid", "UUID", OPTION_STRING, AT(fsid), "UUID of the new filesystem", false },
	{ 0, "device-uuid", "UUID", OPTION_STRING, AT(common.device_uuid), "UUID of the new device", false },
	DEVICE_OPTION_ROWS(struct device_sprout_command, common),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = device_option_call(&((struct device_sprout_command *)target)->common, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_sprout_option_table = {
	.command = "btrkit device sprout",
	.usage = "[options] SEED... NEW",
	.summary = "Make a new filesystem on the device or image file NEW, which must exist: it has all that the seed on SEED... has, and\n"
		   "writes to NEW alone. The seed is only read.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

static int sprout(void *arg, const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
		  struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	const struct device_sprout_command *command = arg;

	return btrkit_device_sprout(paths, nr_paths, options, command->new_path, command->fsid, ret_plan, error);
}

int cmd_device_sprout(int argc, char **argv)
{
	const struct option_table *table = &device_sprout_option_table;
	struct device_sprout_command command = { 0 };
	struct device_command *common = &command.common;
	int first;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < 2)
		return usage_error(table, argc == first ? "no seed given" : "no new device given");
	if ((size_t)(argc - first) - 1 + common->nr_devices > DEVICES_MAX)
		return usage_error(table, "more than %d devices are named", DEVICES_MAX);
	command.new_path = argv[argc - 1];
	for (int i = first; i < argc - 2; i++)
		common->devices[common->nr_devices++] = argv[i];
	return device_run(table, common, argv[argc - 2], sprout, &command, "the new filesystem is there");
}
