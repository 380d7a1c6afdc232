/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit device lost`: the files that are lost with devices that are missing. */
#include <btrkit/missing.h>
#include <stdio.h>

#include "cmds/cmds.h"
#include "cmds/device.h"
#include "common/base/cleanup.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

struct device_lost_command {
	struct open_command open;
	bool is_json, is_raw;
	struct json *files; /* with is_json */
	u64 nr_files, lost_bytes;
};

#define AT(member) offsetof(struct device_lost_command, member)
static const struct option_row rows[] = {
	{ 'b', "raw", NULL, OPTION_FLAG, AT(is_raw), "print sizes in bytes", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON", false },
	OPEN_OPTION_ROWS(struct device_lost_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct device_lost_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table device_lost_option_table = {
	.command = "btrkit device lost",
	.usage = "[options] DEVICE...",
	.summary = "List the files of a filesystem that have data on missing devices which no other one has.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

static void print_file(const struct device_lost_command *command, const struct btrkit_lost_file *file)
{
	char lost[SIZE_TEXT_MAX];

	printf("%12s  ", size_format_as(file->lost_bytes, command->is_raw, lost));
	if (file->path)
		print_escaped(stdout, file->path, strlen(file->path));
	else
		printf("inode %llu of subvolume %llu, which was deleted", (ull)file->ino, (ull)file->subvol);
	puts(file->has_no_csums ? "  (no checksums)" : "");
}

static struct json *file_json(const struct btrkit_lost_file *file)
{
	struct json *object = json_new_object();

	json_set(object, "path", file->path ? json_from_bytes(file->path, strlen(file->path)) : NULL);
	json_set_u64(object, "subvolume", file->subvol);
	json_set_u64(object, "inode", file->ino);
	json_set_u64(object, "lost_bytes", file->lost_bytes);
	json_set_u64(object, "first_offset_bytes", file->first_offset);
	json_set_bool(object, "has_checksums", !file->has_no_csums);
	return object;
}

static int show(void *arg, const struct btrkit_lost_file *file)
{
	struct device_lost_command *command = arg;

	command->nr_files++;
	command->lost_bytes += file->lost_bytes;
	if (command->is_json)
		json_append(command->files, file_json(file));
	else
		print_file(command, file);
	return 0;
}

static void print_end(struct device_lost_command *command, const struct btrkit_fs_info *info)
{
	char lost[SIZE_TEXT_MAX];
	struct json *object;

	if (!command->is_json) {
		printf("%llu file%s, %s lost; %zu device%s missing\n", (ull)command->nr_files, command->nr_files == 1 ? "" : "s",
		       size_format_as(command->lost_bytes, command->is_raw, lost), info->nr_missing, info->nr_missing == 1 ? " is" : "s are");
		return;
	}
	object = json_new_object();
	json_set_string(object, "schema", "btrkit-device-lost-1");
	json_set_string(object, "uuid", info->fsid);
	json_set_u64(object, "missing_devices", info->nr_missing);
	json_set_u64(object, "lost_bytes", command->lost_bytes);
	json_set(object, "files", take_ptr(command->files));
	json_print(object, stdout, false);
	json_free(object);
}

static int show_files(struct device_lost_command *command, struct btrkit_fs *fs)
{
	struct btrkit_error error = { 0 };
	struct btrkit_fs_info info;
	int err;

	btrkit_fs_get_info(fs, &info, sizeof(info));
	if (command->is_json)
		command->files = json_new_array();
	err = btrkit_device_lost_files(fs, show, command, &error);
	if (!err)
		print_end(command, &info);
	json_free(command->files);
	return err ? report_error(command->open.name, "%s", error.text) : 0;
}

int cmd_device_lost(int argc, char **argv)
{
	const struct option_table *table = &device_lost_option_table;
	struct device_lost_command command = { .open.name = table->command };
	struct btrkit_fs *fs = NULL;
	int first, status;

	if (open_command_parse(table, argc, argv, &command, &command.is_json, &first, &status) != OPTIONS_RUN)
		return status;
	if (open_filesystem(&command.open, argv + first, argc - first, &fs) < 0)
		return EXIT_FAILED;
	status = show_files(&command, fs);
	btrkit_fs_close(fs);
	return status;
}
