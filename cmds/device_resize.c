/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device resize`: a filesystem gets more or less of a device. */
#include <stdio.h>
#include <stdlib.h>

#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

struct device_resize_command {
	struct device_command common;
	u64 devid; /* 0: the operand */
	enum btrkit_resize_kind kind;
	u64 bytes;
};

#define AT(member) offsetof(struct device_resize_command, member)
static const struct option_row rows[] = {
	{ 't', "truncate", NULL, OPTION_FLAG, AT(common.do_truncate), "make an image file longer before, or cut it afterwards",
	  false },
	{ 'f', "force", NULL, OPTION_FLAG, AT(common.is_forced), "go on although the filesystem is damaged", false },
	DEVICE_OPTION_ROWS(struct device_resize_command, common),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = device_option_call(&((struct device_resize_command *)target)->common, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_resize_option_table = {
	.command = "btrkit device resize",
	.usage = "[options] [DEVID:]SIZE|max|min|+SIZE|-SIZE DEVICE",
	.summary = "Give the filesystem so much of DEVICE, or of its device DEVID; what lies beyond is moved first.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

/* "[DEVID:]SIZE|max|min|+SIZE|-SIZE" */
static int parse_size(const char *text, struct device_resize_command *command, struct diag *d)
{
	const char *colon = strchr(text, ':'), *size = colon ? colon + 1 : text;
	char *end;

	if (colon && colon != text) {
		errno = 0;
		command->devid = strtoull(text, &end, 10);
		if (text[0] < '0' || text[0] > '9' || end != colon || errno || command->devid == 0)
			return diag_fail(d, -EINVAL, "\"%.*s\" is no devid", (int)(colon - text), text);
	}
	if (strcmp(size, "max") == 0 || strcmp(size, "min") == 0) {
		command->kind = size[1] == 'a' ? BTRKIT_RESIZE_MAX : BTRKIT_RESIZE_MIN;
		return 0;
	}
	command->kind = size[0] == '+' ? BTRKIT_RESIZE_BY_MORE : size[0] == '-' ? BTRKIT_RESIZE_BY_LESS : BTRKIT_RESIZE_TO;
	return size_parse(size + (command->kind != BTRKIT_RESIZE_TO), &command->bytes, d);
}

static int resize(void *arg, const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
		  struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	const struct device_resize_command *command = arg;

	return btrkit_device_resize(paths, nr_paths, options, command->devid, command->kind, command->bytes, ret_plan, error);
}

/* "-1G" is a size, not an option: it becomes ":-1G", which no option looks like. @ret: of 64 bytes, kept by the caller. */
static void protect_size(int argc, char **argv, char *ret)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9' && strlen(argv[i]) < 62) {
			snprintf(ret, 64, ":%s", argv[i]);
			argv[i] = ret;
			return;
		}
}

int cmd_device_resize(int argc, char **argv)
{
	const struct option_table *table = &device_resize_option_table;
	struct device_resize_command command = { 0 };
	char size[64];
	struct diag d = { 0 };
	int first;
	enum options_result result;

	protect_size(argc, argv, size);
	result = options_parse(table, argc, argv, &command, &first);
	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first != 2)
		return usage_error(table, "a size and one device of the filesystem have to be given");
	if (parse_size(argv[first], &command, &d) < 0)
		return usage_error(table, "%s", d.text);
	command.common.needs_check = command.kind != BTRKIT_RESIZE_MAX && command.kind != BTRKIT_RESIZE_BY_MORE;
	return device_run(table, &command.common, argv[argc - 1], resize, &command, "resized");
}
