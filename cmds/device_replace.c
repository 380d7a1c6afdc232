/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device replace`: other devices in the place of some, which may be missing. */
#include <btrkit/missing.h>

#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/base/array.h"
#include "common/cli/report.h"

struct device_replace_command {
	struct device_command common;
	bool avoids_source, accepts_loss;
	ARRAY(struct btrkit_replacement) replacements;
};

#define AT(member) offsetof(struct device_replace_command, member)
static const struct option_row rows[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(common.is_forced), "overwrite what the new devices hold", false },
	{ 'r', "avoid-source", NULL, OPTION_FLAG, AT(avoids_source),
	  "read the old device only for what no other one has", false },
	{ 0, "accept-loss", NULL, OPTION_FLAG, AT(accepts_loss), "go on though something has no good copy", false },
	DEVICE_OPTION_ROWS(struct device_replace_command, common),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = device_option_call(&((struct device_replace_command *)target)->common, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_replace_option_table = {
	.command = "btrkit device replace",
	.usage = "[options] OLD NEW [OLD NEW]... [DEVICE]",
	.summary = "Put the device or image file NEW in the place of OLD: a path, a devid, or \"missing\". DEVICE is "
		   "any device of the\n"
		   "filesystem; it may be left out where OLD is a path.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

static int replace(void *arg, const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
		   struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	const struct device_replace_command *command = arg;
	struct btrkit_replace_options replace_options;

	btrkit_replace_options_init(&replace_options);
	replace_options.replacements = command->replacements.items;
	replace_options.nr_replacements = command->replacements.len;
	replace_options.prefers_other_copies = command->avoids_source;
	replace_options.accepts_loss = command->accepts_loss;
	return btrkit_device_replace(paths, nr_paths, options, &replace_options, ret_plan, error);
}

static bool is_path(const char *source)
{
	return strcmp(source, "missing") != 0 && source[strspn(source, "0123456789")];
}

/* *ret_target: the device by which the filesystem is found; NULL: none is said. -ENOMEM. */
static int take_operands(struct device_replace_command *command, int nr, char **operands, const char **ret_target)
{
	*ret_target = nr % 2 ? operands[nr - 1] : NULL;
	for (int i = 0; i + 1 < nr; i += 2) {
		if (!*ret_target && is_path(operands[i]))
			*ret_target = operands[i];
		if (array_push(&command->replacements, (struct btrkit_replacement){ operands[i], operands[i + 1] }) < 0)
			return -ENOMEM;
	}
	return 0;
}

int cmd_device_replace(int argc, char **argv)
{
	const struct option_table *table = &device_replace_option_table;
	struct device_replace_command command = { 0 };
	const char *target;
	int first, status;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < 2)
		return usage_error(table, argc == first ? "no device to be replaced given" : "no new device given");
	if (take_operands(&command, argc - first, argv + first, &target) < 0)
		status = report_error(table->command, "out of memory");
	else if (!target)
		status = usage_error(table, "no device of the filesystem given");
	else
		status = device_run(table, &command.common, target, replace, &command, "replaced");
	array_done(&command.replacements);
	return status;
}
