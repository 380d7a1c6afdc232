/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit convert`: another filesystem becomes Btrfs where it lies, and back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/convert.h"
#include "cmds/job.h"
#include "common/cli/json.h"
#include "common/cli/report.h"

#define AT(member) offsetof(struct convert_command, member)
static const struct option_row rows[] = {
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Converting", false },
	{ 'd', "no-datasum", NULL, OPTION_FLAG, AT(no_datasum), "no checksums for data", false },
	{ 'i', "no-xattr", NULL, OPTION_FLAG, AT(no_xattrs), "leave out extended attributes and ACLs", false },
	{ 'n', "no-inline", NULL, OPTION_FLAG, AT(no_inline), "small files keep their blocks", false },
	{ 'N', "nodesize", "SIZE", OPTION_SIZE, AT(nodesize), "size of tree blocks (16K)", false },
	{ 'm', "metadata", "PROFILE", OPTION_STRING, AT(metadata_profile),
	  "metadata profile: dup or single (dup where there is room for it)", false },
	{ 'l', "label", "LABEL", OPTION_STRING, AT(label), "name of the filesystem", false },
	{ 'L', "copy-label", NULL, OPTION_FLAG, AT(do_copy_label), "take the name that it has", false },
	{ 'O', "features", "LIST", OPTION_STRING, AT(features), "features to set, or with ^ to clear, as for mkfs", false },
	{ 0, "csum", "KIND", OPTION_STRING, AT(csum), "checksums: crc32c, xxhash, sha256 or blake2", false },
	{ 0, "checksum", "KIND", OPTION_STRING, AT(csum), NULL, false },
	{ 0, "uuid", "SPEC", OPTION_CALL, 0, "UUID of the filesystem: new (default), copy, or a UUID", false },
	{ 0, "skip-unsupported", NULL, OPTION_FLAG, AT(do_skip_unsupported),
	  "leave out files that Btrfs cannot have, naming each", false },
	{ 0, "skip-unreadable", NULL, OPTION_FLAG, AT(do_skip_unreadable),
	  "go on although some of it cannot be read, naming each file", false },
	{ 0, NULL, NULL, OPTION_HEADING, 0, "And back, or on", false },
	{ 'r', "rollback", NULL, OPTION_FLAG, AT(is_rollback), "restore the filesystem that was converted", false },
	{ 0, "finish", NULL, OPTION_FLAG, AT(is_finish), "delete the saved filesystem, and put together what lies apart", false },
	{ 'y', "yes", NULL, OPTION_FLAG, AT(is_sure), "do not ask", false },
	{ 0, "relocate", NULL, OPTION_FLAG, AT(do_relocate), "move home again what a balance has moved", false },
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Behaviour", false },
	{ 0, "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "only say what would be done, and whether it can be", false },
	{ 0, "verify", "HOW", OPTION_CALL, 0, "what is proved before the device is changed: full (default),\n"
					      "meta (data is not read again) or none", false },
	{ 0, "image", NULL, OPTION_FLAG, AT(is_image), "DEVICE is an image file; refuse anything else", false },
	{ 0, "threads", "N", OPTION_UNSIGNED, AT(threads), "work in N threads (all CPUs)", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON, an object on a line", false },
	{ 'p', "progress", "WHEN", OPTION_CALL, 0, "draw progress: auto, always, never or json", true },
	{ 0, "no-progress", NULL, OPTION_FLAG, AT(no_progress), "draw no progress", false },
};
#undef AT

static int take_verify(struct convert_command *command, const char *value, struct diag *d)
{
	static const char *const names[] = {
		[BTRKIT_CONVERT_VERIFY_FULL] = "full",
		[BTRKIT_CONVERT_VERIFY_META] = "meta",
		[BTRKIT_CONVERT_VERIFY_NONE] = "none",
	};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(value, names[i]) == 0) {
			command->verify = (enum btrkit_convert_verify)i;
			return 0;
		}
	return diag_fail(d, -EINVAL, "\"%s\" is no way to verify: there are full, meta and none", value);
}

static int take_uuid(struct convert_command *command, const char *value)
{
	command->uuid = strcmp(value, "new") == 0    ? BTRKIT_CONVERT_UUID_NEW
			: strcmp(value, "copy") == 0 ? BTRKIT_CONVERT_UUID_COPY
						     : BTRKIT_CONVERT_UUID_GIVEN;
	command->fsid = value;
	return 0;
}

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct convert_command *command = target;

	if (strcmp(row->name, "verify") == 0)
		return take_verify(command, value, d);
	if (strcmp(row->name, "uuid") == 0)
		return take_uuid(command, value);
	if (!value) {
		command->progress = PROGRESS_ALWAYS;
		return 0;
	}
	if (strcmp(value, "json") != 0)
		return progress_mode_parse(value, &command->progress, d);
	command->progress = PROGRESS_JSON;
	return 0;
}

const struct option_table convert_option_table = {
	.command = "btrkit convert",
	.usage = "[options] DEVICE",
	.summary = "Make the ext2, ext3 or ext4 on a device Btrfs, where it lies. With --rollback make it again what it was; all that\n"
		   "was changed since the conversion is lost then.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

void convert_print_note(void *arg, enum btrkit_severity severity, const char *text)
{
	const struct convert_command *command = arg;

	if (severity == BTRKIT_WARNING) {
		report_warning(convert_option_table.command, "%s", text);
	} else if (!command->is_json) {
		print_escaped(stdout, text, strlen(text));
		putchar('\n');
	}
}

static void sample_progress(void *ctx, struct progress_sample *ret)
{
	const struct convert_command *command = ctx;

	job_sample(command->job, ret);
}

struct progress_bar *convert_start_progress(struct convert_command *command)
{
	enum progress_mode mode = command->no_progress ? PROGRESS_NEVER : command->progress;
	struct progress_bar *bar = NULL;

	(void)progress_bar_start(mode, sample_progress, command, &bar);
	return bar;
}

int convert_ask(const struct convert_command *command, const char *question, const char *what)
{
	char answer[16] = "";

	if (command->is_sure)
		return 0;
	if (!isatty(STDIN_FILENO))
		return report_error(convert_option_table.command, "nobody to ask: --yes %s without asking", what);
	fflush(stdout);
	fprintf(stderr, "%s: %s [y/N] ", command->path, question);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	if (!command->is_json)
		puts("nothing was changed");
	return EXIT_FAILED;
}

enum { WAY_CONVERT = 1, WAY_ROLLBACK = 2, WAY_FINISH = 4 };

/* The first option that means nothing in the way that was chosen, or NULL. *ret_ways: in which ways it means something. */
static const char *misplaced_option(const struct convert_command *command, unsigned way, unsigned *ret_ways)
{
	const struct {
		const char *name;
		bool is_given;
		unsigned ways;
	} options[] = {
		{ "--rollback", command->is_rollback, WAY_ROLLBACK },
		{ "--relocate", command->do_relocate, WAY_ROLLBACK },
		{ "--yes", command->is_sure, WAY_ROLLBACK | WAY_FINISH },
		{ "--no-datasum", command->no_datasum, WAY_CONVERT },
		{ "--no-xattr", command->no_xattrs, WAY_CONVERT },
		{ "--no-inline", command->no_inline, WAY_CONVERT },
		{ "--nodesize", command->nodesize != 0, WAY_CONVERT },
		{ "--metadata", command->metadata_profile != NULL, WAY_CONVERT },
		{ "--label", command->label != NULL, WAY_CONVERT },
		{ "--copy-label", command->do_copy_label, WAY_CONVERT },
		{ "--features", command->features != NULL, WAY_CONVERT },
		{ "--csum", command->csum != NULL, WAY_CONVERT },
		{ "--uuid", command->fsid != NULL, WAY_CONVERT },
		{ "--skip-unsupported", command->do_skip_unsupported, WAY_CONVERT },
		{ "--skip-unreadable", command->do_skip_unreadable, WAY_CONVERT },
		{ "--verify", command->verify != BTRKIT_CONVERT_VERIFY_FULL, WAY_CONVERT | WAY_ROLLBACK },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].is_given && !(options[i].ways & way)) {
			*ret_ways = options[i].ways;
			return options[i].name;
		}
	return NULL;
}

static int refuse_misplaced(const struct option_table *table, const char *option, unsigned way, unsigned ways)
{
	if (way != WAY_CONVERT)
		return usage_error(table, "%s: not with %s", option, way == WAY_FINISH ? "--finish" : "--rollback");
	return usage_error(table, "%s: not without --rollback%s", option, ways & WAY_FINISH ? " or --finish" : "");
}

int cmd_convert(int argc, char **argv)
{
	const struct option_table *table = &convert_option_table;
	struct convert_command command = { 0 };
	int first, status;
	unsigned way, ways;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	way = command.is_finish ? WAY_FINISH : command.is_rollback ? WAY_ROLLBACK : WAY_CONVERT;
	if (misplaced_option(&command, way, &ways))
		return refuse_misplaced(table, misplaced_option(&command, way, &ways), way, ways);
	if (argc - first != 1)
		return usage_error(table, "one device or image file has to be given");
	if (command.is_json && !json_is_available())
		return report_error(table->command, "--json: built without json-c");
	if (btrkit_job_new(&command.job) < 0)
		return report_error(table->command, "out of memory");
	command.path = argv[first];
	job_cancel_on_signals(command.job);
	status = way == WAY_FINISH     ? convert_run_finish(&command)
		 : way == WAY_ROLLBACK ? convert_run_rollback(&command)
				       : convert_run(&command);
	job_free(command.job);
	return status;
}
