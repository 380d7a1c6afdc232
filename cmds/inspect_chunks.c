/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit inspect chunks` and `btrkit inspect summary`: where space is allocated, and how much of it is used. */
#include <btrkit/subvol.h>
#include <stdio.h>

#include "cmds/cmds.h"
#include "cmds/inspect.h"
#include "cmds/open.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

struct chunks_command {
	struct open_command open;
	const char *svg;
	bool is_json;
};

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct chunks_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

static const struct option_row chunks_rows[] = {
	{ 0, "svg", "FILE", OPTION_STRING, offsetof(struct chunks_command, svg), "draw the map into FILE (- for stdout)", false },
	{ 0, "json", NULL, OPTION_FLAG, offsetof(struct chunks_command, is_json), "print the layout as JSON", false },
	OPEN_OPTION_ROWS(struct chunks_command, open),
};
const struct option_table inspect_chunks_option_table = {
	.command = "btrkit inspect chunks",
	.usage = "[options] DEVICE...",
	.summary = "Draw where the chunks of a filesystem lie on its devices, and how full each one is.",
	.rows = chunks_rows,
	.nr_rows = ARRAY_LEN(chunks_rows),
	.call = take_call,
};

static const struct option_row summary_rows[] = {
	{ 0, "json", NULL, OPTION_FLAG, offsetof(struct chunks_command, is_json), "print it as JSON", false },
	OPEN_OPTION_ROWS(struct chunks_command, open),
};
const struct option_table inspect_summary_option_table = {
	.command = "btrkit inspect summary",
	.usage = "[options] DEVICE...",
	.summary = "Tell what a filesystem is, what its devices hold, and how much of it is used.",
	.rows = summary_rows,
	.nr_rows = ARRAY_LEN(summary_rows),
	.call = take_call,
};

/* Parse, open and read the layout. 0, or the exit status + 1 that ends the command. */
static int begin(const struct option_table *table, int argc, char **argv, struct chunks_command *command,
		 struct btrkit_fs **ret_fs, struct device_layout *layout)
{
	struct btrkit_error error = { 0 };
	int first;
	enum options_result result = options_parse(table, argc, argv, command, &first);

	if (result != OPTIONS_RUN)
		return 1 + options_exit_status(result);
	if (first == argc)
		return 1 + usage_error(table, "no device or image file given");
	if (command->is_json && command->svg && strcmp(command->svg, "-") == 0)
		return 1 + usage_error(table, "--json and --svg - both write to standard output");
	if (command->is_json && !json_is_available())
		return 1 + report_error(table->command, "--json: built without json-c");
	command->open.name = table->command;
	if (open_filesystem(&command->open, argv + first, argc - first, ret_fs) < 0)
		return 1 + EXIT_FAILED;
	if (device_layout_read(*ret_fs, layout, &error) < 0)
		return 1 + report_error(table->command, "%s", error.text[0] ? error.text : "out of memory");
	return 0;
}

static void print_layout_json(const struct device_layout *layout)
{
	struct json *object = json_new_object();

	json_set_string(object, "schema", "btrkit-chunks-1");
	json_set_string(object, "uuid", layout->info.fsid);
	json_set(object, "devices", device_layout_json(layout));
	json_print(object, stdout, false);
	json_free(object);
}

int cmd_inspect_chunks(int argc, char **argv)
{
	struct chunks_command command = { 0 };
	struct btrkit_fs *fs = NULL;
	struct device_layout layout = { 0 };
	struct diag d = { 0 };
	int end = begin(&inspect_chunks_option_table, argc, argv, &command, &fs, &layout), status = 0;

	if (end) {
		status = end - 1;
	} else {
		if (command.svg && chunk_map_write_svg(&layout, command.svg, &d) < 0)
			status = report_error(command.open.name, "%s", d.text);
		else if (command.is_json)
			print_layout_json(&layout);
		else if (!command.svg)
			chunk_map_print(&layout, stdout);
	}
	device_layout_done(&layout);
	btrkit_fs_close(fs);
	return status;
}

/* --- Summary --------------------------------------------------------------------------------------------------- */

struct subvol_counts {
	u64 subvols, snapshots, read_only, deleted;
	bool is_unknown;
};

static int count_subvol(void *arg, const struct btrkit_subvol *subvol)
{
	struct subvol_counts *counts = arg;

	counts->subvols++;
	counts->snapshots += subvol->is_snapshot;
	counts->read_only += subvol->is_read_only;
	counts->deleted += subvol->is_deleted;
	return 0;
}

static struct json *feature_names_json(const struct btrkit_fs_info *info)
{
	struct json *list = json_new_array();
	char name[64];

	for (unsigned bit = 0; bit < 64; bit++)
		if (info->incompat & 1ULL << bit)
			json_append_string(list, btrkit_feature_name(false, bit, name, sizeof(name)));
	for (unsigned bit = 0; bit < 64; bit++)
		if (info->compat_ro & 1ULL << bit)
			json_append_string(list, btrkit_feature_name(true, bit, name, sizeof(name)));
	return list;
}

static void print_features(const struct btrkit_fs_info *info)
{
	const char *separator = "";
	char name[64];

	fputs("Features:           ", stdout);
	for (unsigned bit = 0; bit < 128; bit++) {
		if (!((bit < 64 ? info->incompat : info->compat_ro) & 1ULL << bit % 64))
			continue;
		printf("%s%s", separator, btrkit_feature_name(bit >= 64, bit % 64, name, sizeof(name)));
		separator = ", ";
	}
	putchar('\n');
}

static u64 allocated_bytes(const struct device_layout *layout)
{
	u64 sum = 0;

	array_for_each(&layout->classes, class)
		sum += class->physical_bytes;
	return sum;
}

static void print_summary_json(const struct device_layout *layout, const struct subvol_counts *counts)
{
	const struct btrkit_fs_info *info = &layout->info;
	struct json *object = json_new_object(), *classes = json_new_array();

	json_set_string(object, "schema", "btrkit-summary-1");
	json_set_string(object, "label", info->label);
	json_set_string(object, "uuid", info->fsid);
	json_set_u64(object, "generation", info->generation);
	json_set_u64(object, "nodesize_bytes", info->nodesize);
	json_set_u64(object, "sectorsize_bytes", info->sectorsize);
	json_set_string(object, "csum", info->csum);
	json_set(object, "features", feature_names_json(info));
	json_set_u64(object, "size_bytes", info->total_bytes);
	json_set_u64(object, "used_bytes", info->used_bytes);
	json_set_u64(object, "allocated_bytes", allocated_bytes(layout));
	json_set_bool(object, "has_log", info->has_log);
	json_set_u64(object, "missing_devices", info->nr_missing);
	json_set_u64(object, "default_subvolume", info->default_subvol);
	if (!counts->is_unknown) {
		json_set_u64(object, "subvolumes", counts->subvols);
		json_set_u64(object, "snapshots", counts->snapshots);
	}
	array_for_each(&layout->classes, class) {
		struct json *row = json_new_object();

		json_set_string(row, "kind", class->kind);
		json_set_string(row, "profile", class->profile);
		json_set_u64(row, "chunks", class->nr_chunks);
		json_set_u64(row, "size_bytes", class->length);
		json_set_u64(row, "allocated_bytes", class->physical_bytes);
		if (class->has_used)
			json_set_u64(row, "used_bytes", class->used_bytes);
		json_append(classes, row);
	}
	json_set(object, "allocation", classes);
	json_set(object, "devices", device_layout_json(layout));
	json_print(object, stdout, false);
	json_free(object);
}

static void print_identity(const struct btrkit_fs_info *info)
{
	fputs("Label:              ", stdout);
	print_escaped(stdout, info->label[0] ? info->label : "(none)", strlen(info->label[0] ? info->label : "(none)"));
	printf("\nUUID:               %s\n", info->fsid);
	printf("Generation:         %llu\n", (ull)info->generation);
	printf("Node size:          %u\nSector size:        %u\n", info->nodesize, info->sectorsize);
	printf("Checksum:           %s\n", info->csum);
	print_features(info);
	if (info->has_log)
		puts("Log:                not replayed: what was fsynced last is not seen");
}

static void print_space(const struct device_layout *layout)
{
	char total[SIZE_TEXT_MAX], used[SIZE_TEXT_MAX], allocated[SIZE_TEXT_MAX];
	u64 on_devices = allocated_bytes(layout);

	printf("Filesystem size:    %s (%llu bytes)\n", size_format(layout->info.total_bytes, total),
	       (ull)layout->info.total_bytes);
	printf("Allocated:          %s (%llu bytes)\n", size_format(on_devices, allocated), (ull)on_devices);
	printf("Used:               %s (%llu bytes)\n", size_format(layout->info.used_bytes, used),
	       (ull)layout->info.used_bytes);
	puts("Allocation:");
	array_for_each(&layout->classes, class) {
		printf("  %-14s%-9s%12s  used ", class->kind, class->profile, size_format(class->length, total));
		if (class->has_used && class->length)
			printf("%s (%.1f %%)\n", size_format(class->used_bytes, used),
			       100.0 * (double)class->used_bytes / (double)class->length);
		else
			puts("?");
	}
}

static void print_summary(const struct device_layout *layout, const struct subvol_counts *counts)
{
	char size[SIZE_TEXT_MAX], allocated[SIZE_TEXT_MAX];

	print_identity(&layout->info);
	print_space(layout);
	if (!counts->is_unknown)
		printf("Subvolumes:         %llu, of these %llu snapshot%s, %llu read-only; default: %llu\n",
		       (ull)counts->subvols, (ull)counts->snapshots, counts->snapshots == 1 ? "" : "s",
		       (ull)counts->read_only, (ull)layout->info.default_subvol);
	printf("Devices:            %zu", layout->info.nr_devices);
	if (layout->info.nr_missing)
		printf(", %zu missing", layout->info.nr_missing);
	puts("\n   ID        SIZE   ALLOCATED  PATH");
	array_for_each(&layout->devices, device) {
		printf("%5llu  %10s  %10s  ", (ull)device->devid, size_format(device->total_bytes, size),
		       size_format(device_layout_allocated_bytes(layout, device->devid), allocated));
		if (device->path)
			print_escaped(stdout, device->path, strlen(device->path));
		else
			fputs("missing", stdout);
		putchar('\n');
	}
}

int cmd_inspect_summary(int argc, char **argv)
{
	struct chunks_command command = { 0 };
	struct btrkit_fs *fs = NULL;
	struct device_layout layout = { 0 };
	struct subvol_counts counts = { 0 };
	struct btrkit_error error = { 0 };
	int end = begin(&inspect_summary_option_table, argc, argv, &command, &fs, &layout), status = 0;

	if (end) {
		status = end - 1;
	} else {
		if (btrkit_subvol_for_each(fs, count_subvol, &counts, &error) < 0) {
			counts.is_unknown = true;
			status = report_error(command.open.name, "%s", error.text);
		}
		if (command.is_json)
			print_summary_json(&layout, &counts);
		else
			print_summary(&layout, &counts);
	}
	device_layout_done(&layout);
	btrkit_fs_close(fs);
	return status;
}
