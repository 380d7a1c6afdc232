/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmds/open.h"

#include <btrkit/source.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "common/base/cleanup.h"
#include "common/cli/json.h"
#include "common/cli/report.h"

#define WARNINGS_MAX 100

int open_option_call(struct open_command *command, const struct option_row *row, const char *value, struct diag *d)
{
	if (!row->name || strcmp(row->name, "super") != 0)
		return 0;
	if (strlen(value) != 1 || value[0] < '0' || value[0] > '2')
		return diag_fail(d, -EINVAL, "\"%s\" is no superblock copy: there are 0, 1 and 2", value);
	command->super = (unsigned)(value[0] - '0') + 1;
	return 1;
}

enum options_result open_command_parse(const struct option_table *table, int argc, char **argv, void *command,
				       const bool *is_json, int *ret_first, int *ret_status)
{
	enum options_result result = options_parse(table, argc, argv, command, ret_first);

	*ret_status = options_exit_status(result);
	if (result != OPTIONS_RUN)
		return result;
	if (*ret_first == argc)
		*ret_status = usage_error(table, "no device or image file given");
	else if (*is_json && !json_is_available())
		*ret_status = report_error(table->command, "--json: built without json-c");
	else
		return OPTIONS_RUN;
	return OPTIONS_DONE;
}

void clear_bar(const struct open_command *command)
{
	if (command->has_bar && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* May come from several threads. A device that is rotten all over has a bad copy in each sector: a few tell the story. */
static void warn(void *arg, enum btrkit_severity severity, const char *text)
{
	struct open_command *command = arg;
	unsigned nr;

	if (severity != BTRKIT_WARNING)
		return;
	nr = atomic_fetch_add(&command->nr_warnings, 1);
	if (nr > WARNINGS_MAX)
		return;
	clear_bar(command);
	if (nr < WARNINGS_MAX)
		report_warning(command->name, "%s", text);
	else
		report_warning(command->name, "there are more warnings than %d, which are not shown", WARNINGS_MAX);
}

void open_options_fill(struct open_command *command, struct btrkit_open_options *ret_options)
{
	btrkit_open_options_init(ret_options);
	ret_options->super_mirror = (int)command->super - 1;
	ret_options->tree_root = command->tree_root;
	ret_options->chunk_root = command->chunk_root;
	ret_options->use_backup_roots = command->use_backup_roots;
	ret_options->no_device_scan = command->no_scan;
	ret_options->scan_dir = command->scan_dir;
	ret_options->offset_bytes = command->offset_bytes;
	ret_options->ignore_data_csums = command->ignore_data_csums;
	ret_options->knows_log = command->knows_log;
	ret_options->is_exclusive = command->is_exclusive;
	ret_options->note = warn;
	ret_options->note_arg = command;
}

int status_of_loss(const struct btrkit_fs *fs)
{
	return btrkit_fs_source_type(fs) ? EXIT_PARTLY : EXIT_FAILED;
}

const char *reason_of_doubt(const struct btrkit_fs *fs)
{
	struct btrkit_fs_info info;

	btrkit_fs_get_info(fs, &info, sizeof(info));
	if (info.is_incomplete)
		return "parts of the journal are lost: files may be missing, or as they were some time before the crash";
	return info.has_lost_snapshots ? "keys of subvolumes or snapshots are lost: others stand in for them, as far as that is sure" : NULL;
}

/* --- Filesystems that are not Btrfs ----------------------------------------------------------------------------- */

/* An empty line is a passphrase, too. */
char *read_passphrase(const struct open_command *command)
{
	const char *path = command->passphrase_file;
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (!file) {
		report_error(command->name, "%s: %s", path, strerror(errno));
		return NULL;
	}
	len = getline(&line, &cap, file);
	if (len < 0) {
		report_error(command->name, "%s: holds no passphrase", is_stdin ? "standard input" : path);
		free(line);
		line = NULL;
	} else {
		line[strcspn(line, "\r\n")] = '\0';
	}
	if (!is_stdin)
		(void)fclose(file); /* it was only read */
	return line;
}

/* Options that mean something for Btrfs alone; NULL: none was given. */
static const char *btrfs_option(const struct open_command *command)
{
	return command->super	  ? "--super" :
	       command->tree_root	  ? "--tree-root" :
	       command->chunk_root	  ? "--chunk-root" :
	       command->use_backup_roots ? "--backup-roots" :
	       command->scan_dir	  ? "--scan" :
					    NULL;
}

static int open_source(struct open_command *command, const char *type, char **paths, int nr_paths, struct btrkit_fs **ret_fs)
{
	struct btrkit_source_options options;
	struct btrkit_error error = { 0 };
	_free_ char *passphrase = NULL;
	int err;

	if (btrfs_option(command)) {
		report_error(command->name, "%s is for Btrfs, but %s holds %s", btrfs_option(command), paths[0], type);
		return -EINVAL;
	}
	btrkit_source_options_init(&options);
	if (command->passphrase_file) {
		options.passphrase = passphrase = read_passphrase(command);
		if (!passphrase)
			return -EINVAL;
	}
	options.type = type;
	options.no_journal = command->no_journal;
	options.ignore_data_csums = command->ignore_data_csums;
	options.offset_bytes = command->offset_bytes;
	options.note = warn;
	options.note_arg = command;
	err = btrkit_source_open((const char *const *)paths, (size_t)nr_paths, &options, ret_fs, &error);
	if (passphrase)
		explicit_bzero(passphrase, strlen(passphrase));
	if (err < 0)
		report_error(command->name, "%s", error.text);
	return err;
}

/* What the first device is marked as, where the command can read that; NULL: nothing that would matter. */
static const char *source_type(const struct open_command *command, const char *path)
{
	if (command->type)
		return strcmp(command->type, "btrfs") == 0 ? NULL : command->type;
	return btrkit_source_type(path, command->offset_bytes);
}

static int open_btrfs(struct open_command *command, char **paths, int nr_paths, struct btrkit_fs **ret_fs, struct btrkit_error *error)
{
	struct btrkit_open_options options;

	open_options_fill(command, &options);
	return btrkit_fs_open((const char *const *)paths, (size_t)nr_paths, &options, ret_fs, error);
}

/* What can be done with what is no Btrfs. */
static const char *uses_of(const char *type)
{
	return strcmp(type, "bcachefs") == 0 ? "btrkit ls, cat, restore, inspect, journal and check read it" :
					       "btrkit ls, cat, restore and journal read it, and btrkit convert makes it Btrfs";
}

void explain_other(const char *path, uint64_t offset_bytes, int err, struct btrkit_error *error)
{
	const char *type = err == -EMEDIUMTYPE ? btrkit_source_type(path, offset_bytes) : NULL;

	if (type)
		snprintf(error->text, sizeof(error->text), "%s: holds %s, not Btrfs: %s", path, type, uses_of(type));
}

void explain_not_opened(const struct open_command *command, const char *const *paths, size_t nr_paths, int err,
			struct btrkit_error *error)
{
	size_t len = strlen(error->text), i = 0;
	const char *type = NULL;

	while (i < nr_paths && !(type = source_type(command, paths[i])))
		i++;
	if (err == -EMEDIUMTYPE && type && !command->type)
		explain_other(paths[i], command->offset_bytes, err, error);
	else if (type && command->takes_sources)
		snprintf(error->text + len, sizeof(error->text) - len, "; there is %s, too, which --type %s reads", type, type);
}

/*
 * A device that was made Btrfs by another tool may still have the mark of what it was before, and the other way round; what can be
 * opened as Btrfs is, unless told otherwise.
 */
int open_filesystem(struct open_command *command, char **paths, int nr_paths, struct btrkit_fs **ret_fs)
{
	struct btrkit_error error = { 0 };
	const char *type = NULL;
	int err = -EMEDIUMTYPE;

	if (!command->type || strcmp(command->type, "btrfs") == 0)
		err = open_btrfs(command, paths, nr_paths, ret_fs, &error);
	if (err == -EMEDIUMTYPE && command->takes_sources)
		type = source_type(command, paths[0]);
	if (type)
		return open_source(command, type, paths, nr_paths, ret_fs);
	if (err < 0) {
		explain_not_opened(command, (const char *const *)paths, (size_t)nr_paths, err, &error);
		report_error(command->name, "%s", error.text);
	}
	return err;
}
