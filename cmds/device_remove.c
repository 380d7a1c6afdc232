/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device remove`: devices leave a filesystem, those that are there and those that are missing. */
#include <btrkit/missing.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/cli/report.h"

struct device_remove_command {
	struct device_command common;
	const char *const *which;
	size_t nr_which;
	/* Of missing ones: */
	const char *data_profile, *metadata_profile;
	bool accepts_loss;
	bool is_refused_for_loss; /* too many devices are missing */
	bool is_unreadable; /* a device that is there has what cannot be read, and no other one has it */
};

#define AT(member) offsetof(struct device_remove_command, member)
static const struct option_row rows[] = {
	{ 'f', "force", NULL, OPTION_FLAG, AT(common.is_forced), "go on although the filesystem is damaged", false },
	{ 0, "convert-data", "PROFILE", OPTION_STRING, AT(data_profile), "of missing devices: data becomes PROFILE", false },
	{ 0, "convert-metadata", "PROFILE", OPTION_STRING, AT(metadata_profile), "of missing devices: metadata becomes PROFILE",
	  false },
	{ 0, "accept-loss", NULL, OPTION_FLAG, AT(accepts_loss), "of missing devices: give up data that only they had", false },
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
	.usage = "[options] DEVICE|DEVID|missing... DEVICE",
	.summary = "Move what is on devices to the others of the filesystem, which the last DEVICE is one of, and remove them.\n"
		   "With \"missing\", do without all devices that are missing.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

/* --- Missing ones ---------------------------------------- */

static bool is_devid(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

static bool are_devids(const struct device_remove_command *command)
{
	for (size_t i = 0; i < command->nr_which; i++)
		if (!is_devid(command->which[i]))
			return false;
	return true;
}

/* All that are missing, and no other. */
static bool is_all_missing(const struct device_remove_command *command)
{
	return command->nr_which == 1 && strcmp(command->which[0], "missing") == 0;
}

static bool has_missing_options(const struct device_remove_command *command)
{
	return command->data_profile || command->metadata_profile || command->accepts_loss;
}

static int remove_missing(struct device_remove_command *command, const char *const *paths, size_t nr_paths,
			  const struct btrkit_device_options *options, struct btrkit_device_plan **ret_plan,
			  struct btrkit_error *error)
{
	uint64_t *devids = calloc(command->nr_which, sizeof(*devids));
	struct btrkit_remove_missing_options removal;
	int err;

	if (!devids) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return error->err = -ENOMEM;
	}
	for (size_t i = 0; i < command->nr_which; i++)
		devids[i] = strtoull(command->which[i], NULL, 10);
	btrkit_remove_missing_options_init(&removal);
	if (!is_all_missing(command)) {
		removal.devids = devids;
		removal.nr_devids = command->nr_which;
	}
	removal.data_profile = command->data_profile;
	removal.metadata_profile = command->metadata_profile;
	removal.accepts_loss = command->accepts_loss;
	err = btrkit_device_remove_missing(paths, nr_paths, options, &removal, ret_plan, error);
	command->is_refused_for_loss = err == -ENODATA;
	free(devids);
	return err;
}

/* --- All of them ---------------------------------------- */

static int remove_devices(void *arg, const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			  struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	struct device_remove_command *command = arg;
	struct btrkit_error why, both;
	int err;

	if (is_all_missing(command) || has_missing_options(command))
		return remove_missing(command, paths, nr_paths, options, ret_plan, error);
	err = btrkit_device_remove(paths, nr_paths, options, command->which, command->nr_which, ret_plan, error);
	command->is_unreadable = err == -EIO;
	if (err != -ENODEV || !are_devids(command))
		return err;
	/* What is missing may be just what is named. */
	why = *error;
	btrkit_device_plan_free(*ret_plan);
	*ret_plan = NULL;
	err = remove_missing(command, paths, nr_paths, options, ret_plan, error);
	if (err != -ENODEV)
		return err;
	both.err = err;
	snprintf(both.text, sizeof(both.text), "%.400s; %.600s", why.text, error->text);
	*error = both;
	return err;
}

/* To be pasted: the same filesystem, found in the same way. */
static void print_lost_command(const struct device_command *common)
{
	fputs("  btrkit device lost", stderr);
	if (common->open.no_scan)
		fputs(" --no-scan", stderr);
	if (common->open.scan_dir) {
		fputs(" --scan ", stderr);
		print_escaped(stderr, common->open.scan_dir, strlen(common->open.scan_dir));
	}
	for (size_t i = 0; i < common->nr_devices; i++) {
		fputc(' ', stderr);
		print_escaped(stderr, common->devices[i], strlen(common->devices[i]));
	}
	fputc('\n', stderr);
}

static void print_advice(const struct device_remove_command *command)
{
	if (command->is_refused_for_loss) {
		fputs("The files that are lost: btrkit device lost\n", stderr);
		print_lost_command(&command->common);
	} else if (command->is_unreadable) {
		fputs("The files with data that cannot be read are named by btrkit check --check-data-csum.\n"
		      "To do without a device that fails, detach it. Then, with another device of the filesystem,\n"
		      "  btrkit device lost DEVICE\n"
		      "names the files that are lost without it, and\n"
		      "  btrkit device remove --accept-loss missing DEVICE\n"
		      "gives them up.\n",
		      stderr);
	}
}

int cmd_device_remove(int argc, char **argv)
{
	const struct option_table *table = &device_remove_option_table;
	struct device_remove_command command = { 0 };
	int first, status;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < 2)
		return usage_error(table, argc == first ? "no device to remove given" : "no device of the filesystem given");
	command.which = (const char *const *)argv + first;
	command.nr_which = (size_t)(argc - first - 1);
	if (!is_all_missing(&command) && has_missing_options(&command) && !are_devids(&command))
		return usage_error(table, "these options are for missing devices: name them by devid, or \"missing\"");
	/* What moves from missing devices is verified block by block, from whatever copies there are. */
	command.common.needs_check = !is_all_missing(&command) && !has_missing_options(&command);
	status = device_run(table, &command.common, argv[argc - 1], remove_devices, &command, "removed");
	if (!command.common.is_json)
		print_advice(&command);
	return status;
}
