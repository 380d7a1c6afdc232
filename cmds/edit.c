/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit edit`: one statement or a batch of them, in one transaction. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmds/cmds.h"
#include "cmds/edit.h"
#include "cmds/resolve.h"
#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "common/cli/report.h"

#define WORDS_MAX 64

static const struct edit_statement *const statements[] = {
	&statement_chmod, &statement_chown, &statement_cp, &statement_get, &statement_label, &statement_ln,
	&statement_mkdir, &statement_mknod, &statement_mv, &statement_put, &statement_rm, &statement_rmdir,
	&statement_rmxattr, &statement_setxattr, &statement_snapshot, &statement_subvol, &statement_symlink,
	&statement_touch, &statement_truncate,
};

/* "btrkit edit put" -> "put" */
static const char *name_of(const struct option_table *table)
{
	return strrchr(table->command, ' ') + 1;
}

static const struct edit_statement *find_statement(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(statements); i++)
		if (strcmp(name_of(statements[i]->table), name) == 0)
			return statements[i];
	return NULL;
}

/* --- Sessions ------------------------------------------------------------------------------------------------------------- */

static int session_open(struct edit_session *session, struct edit_command *command, bool is_reading, char **paths, int nr_paths)
{
	struct btrkit_open_options options;
	struct btrkit_edit_options edit_options;
	int err;

	btrkit_edit_options_init(&edit_options);
	edit_options.is_forced = command->is_forced;
	err = session_now(session, &edit_options.now, &edit_options.has_now);
	if (err)
		return err;
	open_options_fill(&command->open, &options);
	options.is_writable = !is_reading;
	options.is_overlaid = command->is_dry_run;
	err = btrkit_fs_open((const char *const *)paths, (size_t)nr_paths, &options, &session->fs, &session->error);
	if (err) {
		explain_not_opened(&command->open, (const char *const *)paths, (size_t)nr_paths, err, &session->error);
		return err;
	}
	if (!is_reading)
		err = btrkit_edit_new(session->fs, &edit_options, &session->edit, &session->error);
	return err ? err : resolve_top(session->fs, command->subvol, &session->top, &session->error);
}

static void session_close(struct edit_session *session)
{
	btrkit_edit_free(session->edit);
	btrkit_fs_close(session->fs);
	free(session->buf);
}

/* --- One statement --------------------------------------------------------------------------------------------------------- */

static int run_statement(const struct edit_statement *statement, int argc, char **argv)
{
	const struct option_table *table = statement->table;
	struct edit_command command = { .open.name = table->command };
	_cleanup_(session_close) struct edit_session session = { 0 };
	int first, err;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < (int)statement->nr_operands)
		return usage_error(table, "too few operands");
	if (argc - first == (int)statement->nr_operands)
		return usage_error(table, "no device or image file given");
	err = session_open(&session, &command, statement->is_reading, argv + first + statement->nr_operands,
			   argc - first - (int)statement->nr_operands);
	if (!err)
		err = statement->run(&session, &command, argv + first);
	if (!err && session.edit)
		err = btrkit_edit_commit(session.edit, &session.error);
	return err ? report_error(table->command, "%s", session.error.text) : 0;
}

int cmd_edit(int argc, char **argv)
{
	return run_statement(find_statement(argv[0]), argc, argv);
}

/* --- Batches ---------------------------------------------------------------------------------------------------------------- */

/* "\n", "\t", "\\", "\x0a", ...: what stands behind the backslash at *at. */
static bool take_escape(char **at, char *ret)
{
	static const char names[] = "nrt", values[] = "\n\r\t";
	const char *found;
	unsigned byte;
	int used = 0;

	++*at;
	if (**at == 'x') {
		if (sscanf(*at + 1, "%2x%n", &byte, &used) != 1 || used != 2 || byte == 0)
			return false;
		*at += 3;
		*ret = (char)byte;
		return true;
	}
	if (**at == '\0')
		return false;
	found = strchr(names, **at);
	*ret = found ? values[found - names] : **at;
	++*at;
	return true;
}

/*
 * Split a line into words, in place: between blanks, or within '' as they are, or within "" with escapes, which may also stand
 * outside of quotes. Returns the number of words, or -1: a quote or an escape is not complete, or there are too many.
 */
static int split_line(char *line, char **words)
{
	char *from = line, *to = line;
	int nr = 0;

	for (;;) {
		char quote = '\0';

		from += strspn(from, " \t\r\n");
		if (*from == '\0' || (*from == '#' && nr == 0))
			return nr;
		if (nr == WORDS_MAX - 1)
			return -1;
		words[nr++] = to;
		while (*from && (quote || !strchr(" \t\r\n", *from))) {
			if (quote != '\'' && *from == '\\') {
				if (!take_escape(&from, to++))
					return -1;
			} else if (*from == quote || (!quote && (*from == '\'' || *from == '"'))) {
				quote = quote ? '\0' : *from;
				from++;
			} else {
				*to++ = *from++;
			}
		}
		if (quote)
			return -1;
		from += *from != '\0';
		*to++ = '\0';
	}
}

/* What a whole batch is told cannot be told one line. */
static bool has_batch_option(const struct edit_command *command)
{
	return command->is_dry_run || command->is_forced || command->open.scan_dir || command->open.no_scan ||
	       command->open.offset_bytes;
}

static int run_line(struct edit_session *session, char *line)
{
	struct edit_command command = { .open.name = "btrkit edit batch" };
	const struct edit_statement *statement;
	char *words[WORDS_MAX] = { NULL };
	struct btrkit_inode top = session->top;
	int nr = split_line(line, words), first, err = 0;
	enum options_result result;

	if (nr < 0)
		return session_fail(session, -EINVAL, "a quote or an escape is not complete, or there are too many words");
	if (nr == 0)
		return 0;
	statement = find_statement(words[0]);
	if (!statement)
		return session_fail(session, -EINVAL, "unknown command \"%s\"", words[0]);
	result = options_parse(statement->table, nr, words, &command, &first);
	if (result == OPTIONS_FAILED)
		return session_fail(session, -ENOMEM, "out of memory");
	if (result != OPTIONS_RUN)
		return session_fail(session, -EINVAL, "bad options");
	if (nr - first != (int)statement->nr_operands)
		return session_fail(session, -EINVAL, "%s takes %u operands here, not %d", words[0], statement->nr_operands, nr - first);
	if (has_batch_option(&command))
		return session_fail(session, -EINVAL, "options about the filesystem are for the whole batch, not for a line");
	if (command.subvol)
		err = resolve_top(session->fs, command.subvol, &session->top, &session->error);
	if (!err)
		err = statement->run(session, &command, words + first);
	session->top = top;
	return err;
}

static int run_lines(struct edit_session *session, FILE *file, const char *name)
{
	_free_ char *line = NULL;
	size_t cap = 0;
	unsigned nr = 0;
	int err = 0;

	while (!err && getline(&line, &cap, file) >= 0) {
		char why[512];

		nr++;
		err = run_line(session, line);
		if (!err)
			continue;
		snprintf(why, sizeof(why), "%.500s", session->error.text);
		session_fail(session, err, "%s:%u: %s", name, nr, why);
	}
	if (!err && ferror(file))
		err = session_fail(session, -EIO, "%s: cannot be read", name);
	return err;
}

static const struct option_row batch_rows[] = { EDIT_ROWS };
const struct option_table edit_batch_option_table = {
	.command = "btrkit edit batch",
	.usage = "[options] FILE DEVICE...",
	.summary = "Run the commands that FILE has (-: standard input), one a line and without devices, as one change:\n"
		   "all of them, or none.",
	.rows = batch_rows,
	.nr_rows = ARRAY_LEN(batch_rows),
};

int cmd_edit_batch(int argc, char **argv)
{
	const struct option_table *table = &edit_batch_option_table;
	struct edit_command command = { .open.name = table->command };
	_cleanup_(session_close) struct edit_session session = { 0 };
	FILE *file = stdin;
	const char *name;
	int first, err;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < 2)
		return usage_error(table, argc == first ? "no file given" : "no device or image file given");
	name = argv[first];
	if (strcmp(name, "-") != 0)
		file = fopen(name, "re");
	if (!file)
		return report_error(table->command, "%s: %s", name, strerror(errno));
	err = session_open(&session, &command, false, argv + first + 1, argc - first - 1);
	if (!err)
		err = run_lines(&session, file, file == stdin ? "standard input" : name);
	if (!err)
		err = btrkit_edit_commit(session.edit, &session.error);
	if (file != stdin)
		fclose(file);
	return err ? report_error(table->command, "%s", session.error.text) : 0;
}
