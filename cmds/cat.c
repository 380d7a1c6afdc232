/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit cat`: a file's contents on standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/open.h"
#include "cmds/resolve.h"
#include "common/base/cleanup.h"
#include "common/cli/report.h"

#define PIECE_BYTES ((size_t)MIB)

struct cat_command {
	struct open_command open;
	const char *path, *subvol;
};

#define AT(member) offsetof(struct cat_command, member)
static const struct option_row rows[] = {
	{ 'p', "path", "PATH", OPTION_STRING, AT(path), "the file; symbolic links are followed", false },
	{ 0, "subvol", "SUBVOL", OPTION_STRING, AT(subvol), "PATH begins in this subvolume: an id, a path, or default", false },
	{ 0, "ignore-csums", NULL, OPTION_FLAG, OPEN_OPTION(struct cat_command, open, ignore_data_csums),
	  "hand out data that does not match its checksum", false },
	OPEN_OPTION_ROWS(struct cat_command, open),
	SOURCE_OPTION_ROWS(struct cat_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct cat_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table cat_option_table = {
	.command = "btrkit cat",
	.usage = "[options] --path PATH DEVICE...",
	.summary = "Write the contents of a file of an unmounted filesystem to standard output.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

static int write_all(const char *buf, size_t len, struct btrkit_error *error)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = -errno;

			snprintf(error->text, sizeof(error->text), "standard output: %s", strerror(-err));
			return err;
		}
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int cat_file(struct btrkit_fs *fs, const struct cat_command *command, struct btrkit_error *error)
{
	_free_ char *buf = malloc(PIECE_BYTES);
	struct btrkit_file *file = NULL;
	struct btrkit_inode top, inode;
	size_t got = PIECE_BYTES;
	int err = resolve_top(fs, command->subvol, &top, error);

	if (!buf) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return -ENOMEM;
	}
	if (!err)
		err = resolve_path(fs, &top, command->path, true, &inode, error);
	if (!err)
		err = btrkit_file_open(fs, &inode, &file, error);
	for (u64 at = 0; !err && got == PIECE_BYTES; at += got) {
		int write_err;

		err = btrkit_file_read(file, at, buf, PIECE_BYTES, &got, error);
		write_err = write_all(buf, err && got > PIECE_BYTES ? 0 : got, error);
		err = err ? err : write_err;
	}
	btrkit_file_close(file);
	return err;
}

int cmd_cat(int argc, char **argv)
{
	const struct option_table *table = &cat_option_table;
	struct cat_command command = { .open = { .name = table->command, .takes_sources = true } };
	struct btrkit_error error = { 0 };
	struct btrkit_fs *fs = NULL;
	int first, status = 0;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (!command.path)
		return usage_error(table, "no --path given");
	if (first == argc)
		return usage_error(table, "no device or image file given");
	if (open_filesystem(&command.open, argv + first, argc - first, &fs) < 0)
		return EXIT_FAILED;
	if (cat_file(fs, &command, &error) < 0)
		status = report_error(table->command, "%s", error.text);
	if (!status && reason_of_doubt(fs)) {
		report_error(table->command, "%s", reason_of_doubt(fs));
		status = status_of_loss(fs);
	}
	btrkit_fs_close(fs);
	return status;
}
