/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit inspect super` and `btrkit inspect tree`: structures, decoded. */
#include <btrkit/inspect.h>
#include <btrkit/source.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmds/cmds.h"
#include "cmds/inspect.h"
#include "cmds/open.h"
#include "cmds/printer.h"
#include "common/cli/report.h"

typedef unsigned long long ull;

/* --- super ----------------------------------------------------------------------------------------------------- */

struct super_command {
	bool is_full, do_all, is_forced, is_json;
	unsigned mirror;
	u64 offset_bytes;
};

#define AT(member) offsetof(struct super_command, member)
static const struct option_row super_rows[] = {
	{ 'f', "full", NULL, OPTION_FLAG, AT(is_full), "show the chunk array and the backup roots too", false },
	{ 'a', "all", NULL, OPTION_FLAG, AT(do_all), "show all copies", false },
	{ 's', "super", "N", OPTION_UNSIGNED, AT(mirror), "show copy N: 0 (default), 1 or 2", false },
	{ 'F', "force", NULL, OPTION_FLAG, AT(is_forced), "show it even if it does not look like a superblock", false },
	{ 0, "offset", "BYTES", OPTION_SIZE, AT(offset_bytes), "the filesystem begins so far within the image", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON", false },
};
#undef AT
const struct option_table inspect_super_option_table = {
	.command = "btrkit inspect super",
	.usage = "[options] DEVICE...",
	.summary = "Show superblocks, each field as it stands, sound or not.",
	.rows = super_rows,
	.nr_rows = ARRAY_LEN(super_rows),
};

/* What Btrfs has never been on may be bcachefs. 1: it is neither. */
static int show_bcachefs(const struct super_command *command, const char *path, const struct btrkit_printer *printer)
{
	struct btrkit_error error = { 0 };
	int err = btrkit_inspect_super_bcachefs(path, command->offset_bytes, command->mirror, command->do_all, command->is_full,
						printer, &error);

	if (err == -EMEDIUMTYPE)
		return 1;
	return err < 0 ? -report_error(inspect_super_option_table.command, "%s", error.text) : 0;
}

static int show_supers(const struct super_command *command, const char *path, const struct btrkit_printer *printer)
{
	unsigned first = command->do_all ? 0 : command->mirror, last = command->do_all ? 2 : command->mirror;
	int status = 0;

	for (unsigned mirror = first; mirror <= last; mirror++) {
		struct btrkit_error error = { 0 };
		int err = btrkit_inspect_super(path, command->offset_bytes, mirror, command->is_full, command->is_forced,
					       printer, &error);

		if (err == -ENOENT && command->do_all && mirror > 0)
			break; /* a small device has fewer */
		if ((err == -EMEDIUMTYPE || err == -ENOENT) && mirror == first) {
			int other = show_bcachefs(command, path, printer);

			if (other <= 0)
				return -other;
		}
		if (err < 0)
			explain_other(path, command->offset_bytes, err, &error);
		if (err < 0)
			status = report_error(inspect_super_option_table.command, "%s", error.text);
	}
	return status;
}

int cmd_inspect_super(int argc, char **argv)
{
	const struct option_table *table = &inspect_super_option_table;
	struct super_command command = { 0 };
	struct json_printer json_state;
	struct text_printer text_state;
	struct btrkit_printer printer;
	struct json *supers = NULL;
	int first, status = 0;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (first == argc)
		return usage_error(table, "no device or image file given");
	if (command.mirror > 2)
		return usage_error(table, "there are superblock copies 0, 1 and 2");
	if (command.is_json && !json_is_available())
		return report_error(table->command, "--json: built without json-c");
	if (command.is_json) {
		supers = json_new_array();
		printer = json_printer_init(&json_state, stdout, supers);
	} else {
		printer = text_printer_init(&text_state, stdout);
	}
	for (int i = first; i < argc; i++)
		status |= show_supers(&command, argv[i], &printer);
	if (command.is_json) {
		struct json *object = json_new_object();

		json_set_string(object, "schema", "btrkit-supers-1");
		json_set(object, "superblocks", supers);
		json_print(object, stdout, false);
		json_free(object);
	}
	return status;
}

/* --- tree ------------------------------------------------------------------------------------------------------ */

struct tree_command {
	struct open_command open;
	const char *tree, *path;
	u64 block;
	bool has_block, do_follow, do_list, is_json;
};

#define AT(member) offsetof(struct tree_command, member)
static const struct option_row tree_rows[] = {
	{ 't', "tree", "TREE", OPTION_STRING, AT(tree), "show one tree: its id, or a name (root, extent, chunk, dev,\n"
							"fs, csum, uuid, free_space, block_group, log, ...)", false },
	{ 'b', "block", "LOGICAL", OPTION_CALL, 0, "show the block at this address", false },
	{ 0, "follow", NULL, OPTION_FLAG, AT(do_follow), "with --block: and all below it", false },
	{ 'p', "path", "PATH", OPTION_STRING, AT(path), "show the items of this file or directory", false },
	{ 'r', "roots", NULL, OPTION_FLAG, AT(do_list), "list the trees", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON, an object on each line", false },
	OPEN_OPTION_ROWS(struct tree_command, open),
	SOURCE_OPTION_ROWS(struct tree_command, open),
};
#undef AT

static int take_tree_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct tree_command *command = target;
	char *end;
	int err = open_option_call(&command->open, row, value, d);

	if (err)
		return err < 0 ? err : 0;
	errno = 0;
	command->block = strtoull(value, &end, 0);
	command->has_block = true;
	return value[0] < '0' || value[0] > '9' || *end || errno ? diag_fail(d, -EINVAL, "\"%s\" is no address", value) : 0;
}

const struct option_table inspect_tree_option_table = {
	.command = "btrkit inspect tree",
	.usage = "[options] DEVICE...",
	.summary = "Show trees: every block, and every item in it decoded.",
	.rows = tree_rows,
	.nr_rows = ARRAY_LEN(tree_rows),
	.call = take_tree_call,
};

static int list_tree(void *arg, const struct btrkit_tree_info *tree)
{
	const struct tree_command *command = arg;

	if (command->is_json) {
		struct json *object = json_new_object();

		json_set_s64(object, "tree", (s64)tree->id);
		if (tree->name)
			json_set_string(object, "name", tree->name);
		json_set_u64(object, "offset", tree->offset);
		json_set_u64(object, "logical", tree->logical);
		json_set_u64(object, "generation", tree->generation);
		json_set_s64(object, "level", tree->level);
		json_print(object, stdout, true);
		json_free(object);
	} else {
		printf("%5lld  %-16s  offset %llu  level %d  generation %llu  root %llu\n", (long long)tree->id,
		       tree->name ? tree->name : "subvolume", (ull)tree->offset, tree->level, (ull)tree->generation,
		       (ull)tree->logical);
	}
	return 0;
}

/* Blocks and paths are those of Btrfs. */
static int show_btrees(struct tree_command *command, struct btrkit_fs *fs, struct btrkit_error *error)
{
	if (command->has_block || command->path) {
		snprintf(error->text, sizeof(error->text), "%s is for Btrfs, but this is %s", command->path ? "--path" : "--block",
			 btrkit_fs_source_type(fs));
		return -EINVAL;
	}
	return command->do_list ? btrees_list(fs, command->is_json, error) : btrees_show(fs, command->tree, command->is_json, error);
}

static int show(struct tree_command *command, struct btrkit_fs *fs, const struct btrkit_printer *printer,
		struct btrkit_error *error)
{
	struct btrkit_inode inode;
	uint64_t id;
	int err;

	if (btrkit_fs_source_type(fs))
		return show_btrees(command, fs, error);
	if (command->do_list)
		return btrkit_tree_for_each(fs, list_tree, command, error);
	if (command->has_block)
		return btrkit_inspect_block(fs, command->block, command->do_follow, printer, error);
	if (command->path) {
		err = btrkit_lookup(fs, NULL, command->path, &inode, error);
		return err ? err : btrkit_inspect_inode(fs, &inode, printer, error);
	}
	if (!command->tree)
		return btrkit_inspect_all(fs, printer, error);
	err = strcmp(command->tree, "log") == 0 ? btrkit_tree_id_parse("TREE_LOG", &id) :
						   btrkit_tree_id_parse(command->tree, &id);
	if (err) {
		snprintf(error->text, sizeof(error->text), "\"%s\" is no tree's name or id (see --roots)", command->tree);
		return err;
	}
	return btrkit_inspect_tree(fs, id, printer, error);
}

int cmd_inspect_tree(int argc, char **argv)
{
	const struct option_table *table = &inspect_tree_option_table;
	struct tree_command command = { .open = { .name = table->command, .takes_sources = true } };
	struct btrkit_error error = { 0 };
	struct json_printer json_state;
	struct text_printer text_state;
	struct btrkit_printer printer;
	struct btrkit_fs *fs = NULL;
	int first, err, status = 0;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (first == argc)
		return usage_error(table, "no device or image file given");
	if (!!command.tree + command.has_block + !!command.path + command.do_list > 1)
		return usage_error(table, "--tree, --block, --path and --roots exclude each other");
	if (command.do_follow && !command.has_block)
		return usage_error(table, "--follow needs --block");
	if (command.is_json && !json_is_available())
		return report_error(table->command, "--json: built without json-c");
	if (open_filesystem(&command.open, argv + first, argc - first, &fs) < 0)
		return EXIT_FAILED;
	printer = command.is_json ? json_printer_init(&json_state, stdout, NULL) : text_printer_init(&text_state, stdout);
	err = show(&command, fs, &printer, &error);
	if (err < 0)
		status = report_error(table->command, "%s", error.text);
	if (err == -EUCLEAN)
		status = status_of_loss(fs);
	btrkit_fs_close(fs);
	return status;
}
