/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device fix-size`: sizes of devices that do not agree. */
#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/cli/report.h"

/* Problems of a check that this command is for. */
static const char *const mended[] = {
	"block-copy-bad", /* the other one is taken when it moves */
	"device-items-differ", "device-size-unaligned", "device-too-small", "super-total-bytes-wrong", NULL,
};

struct device_fix_size_command {
	struct device_command common;
};

#define AT(member) offsetof(struct device_fix_size_command, member)
static const struct option_row rows[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(common.is_forced), "go on although the filesystem is damaged", false },
	DEVICE_OPTION_ROWS(struct device_fix_size_command, common),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = device_option_call(&((struct device_fix_size_command *)target)->common, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_fix_size_option_table = {
	.command = "btrkit device fix-size",
	.usage = "[options] DEVICE",
	.summary = "Make the sizes that the filesystem has of its devices agree with each other, and with the devices.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

static int fix_size(void *arg, const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
		    struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	(void)arg;
	return btrkit_device_fix_size(paths, nr_paths, options, ret_plan, error);
}

int cmd_device_fix_size(int argc, char **argv)
{
	const struct option_table *table = &device_fix_size_option_table;
	struct device_fix_size_command command = { .common = { .needs_check = true, .mended = mended } };
	int first;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first != 1)
		return usage_error(table, "one device of the filesystem has to be given");
	return device_run(table, &command.common, argv[argc - 1], fix_size, NULL, "the sizes agree");
}
