/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit journal list` and `btrkit journal verify`: journals of bcachefs, ext3 and ext4. */
#include "cmds/journal.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmds/cmds.h"
#include "cmds/printer.h"
#include "common/base/cleanup.h"
#include "common/cli/json.h"
#include "common/cli/report.h"

typedef unsigned long long ull;

/* --- Opening --------------------------------------------------------------------------------------------------- */

static void warn(void *arg, enum btrkit_severity severity, const char *text)
{
	const struct journal_command *command = arg;

	if (severity == BTRKIT_WARNING)
		report_warning(command->name, "%s", text);
}

/* *ret_line is freed by the caller. */
static int read_line(const char *path, char **ret_line, const char *command)
{
	FILE *file = fopen(path, "re");
	size_t room = 0;
	ssize_t len = file ? getline(ret_line, &room, file) : -1;

	if (len < 0)
		report_error(command, "%s: %s", path, file ? "is empty" : strerror(errno));
	if (file)
		(void)fclose(file); /* it was only read */
	if (len > 0 && (*ret_line)[len - 1] == '\n')
		(*ret_line)[len - 1] = '\0';
	return len < 0 ? -EINVAL : 0;
}

int open_journal(const struct journal_command *command, char **paths, int nr_paths, struct btrkit_journal **ret_journal)
{
	struct btrkit_journal_options options;
	struct btrkit_error error = { 0 };
	char *passphrase = NULL;
	const char *tmpdir = command->tmpdir ? command->tmpdir : getenv("TMPDIR");
	int err = 0;

	btrkit_journal_options_init(&options);
	if (command->passphrase_file)
		err = read_line(command->passphrase_file, &passphrase, command->name);
	options.offset_bytes = command->offset_bytes;
	options.memory_bytes = command->memory_bytes;
	options.tmpdir = tmpdir && *tmpdir ? tmpdir : NULL;
	options.passphrase = passphrase;
	options.note = warn;
	options.note_arg = (void *)command;
	if (!err) {
		err = btrkit_journal_open((const char *const *)paths, (size_t)nr_paths, &options, ret_journal, &error);
		if (err < 0)
			report_error(command->name, "%s", error.text);
	}
	if (passphrase)
		explicit_bzero(passphrase, strlen(passphrase));
	free(passphrase);
	return err;
}

/* --- list -------------------------------------------------------------------------------------------------------- */

struct list_command {
	struct journal_command journal;
	bool only_needed, is_short;
};

#define AT(member) offsetof(struct list_command, member)
static const struct option_row list_rows[] = {
	{ 0, "needed", NULL, OPTION_FLAG, AT(only_needed), "only entries that a mount would replay", false },
	{ 's', "short", NULL, OPTION_FLAG, AT(is_short), "do not show what is in each entry", false },
	JOURNAL_OPTION_ROWS(struct list_command, journal),
};
#undef AT
const struct option_table journal_list_option_table = {
	.command = "btrkit journal list",
	.usage = "[options] DEVICE...",
	.summary = "Show the journal of bcachefs, ext3 or ext4, entry by entry. Nothing is written.",
	.rows = list_rows,
	.nr_rows = ARRAY_LEN(list_rows),
};

/* By the name under which other structures are looked at. */
const struct option_table inspect_journal_option_table = {
	.command = "btrkit inspect journal",
	.usage = "[options] DEVICE...",
	.summary = "Show the journal of bcachefs, ext3 or ext4, entry by entry: the same as btrkit journal list.",
	.rows = list_rows,
	.nr_rows = ARRAY_LEN(list_rows),
};

static int list(const struct option_table *table, int argc, char **argv)
{
	struct list_command command = { .journal.name = table->command };
	struct btrkit_journal *journal = NULL;
	struct btrkit_error error = { 0 };
	struct json_printer json_state;
	struct text_printer text_state;
	struct btrkit_printer printer;
	unsigned flags = 0;
	int first, err;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (first == argc)
		return usage_error(table, "no device or image file given");
	if (command.journal.is_json && !json_is_available())
		return report_error(table->command, "--json: built without json-c");
	err = open_journal(&command.journal, argv + first, argc - first, &journal);
	if (err)
		return EXIT_FAILED;
	printer = command.journal.is_json ? json_printer_init(&json_state, stdout, NULL) : text_printer_init(&text_state, stdout);
	flags |= command.only_needed ? BTRKIT_JOURNAL_NEEDED : 0;
	flags |= command.is_short ? BTRKIT_JOURNAL_SHORT : 0;
	err = btrkit_journal_show(journal, flags, &printer, &error);
	btrkit_journal_close(journal);
	return err < 0 ? report_error(table->command, "%s", error.text) : 0;
}

int cmd_journal_list(int argc, char **argv)
{
	return list(&journal_list_option_table, argc, argv);
}

int cmd_inspect_journal(int argc, char **argv)
{
	return list(&inspect_journal_option_table, argc, argv);
}

/* --- verify ------------------------------------------------------------------------------------------------------ */

/* As fsck(8). */
enum { EXIT_SOUND = 0, EXIT_DAMAGED = 4 };

static const struct option_row verify_rows[] = {
	JOURNAL_OPTION_ROWS(struct list_command, journal),
};
const struct option_table journal_verify_option_table = {
	.command = "btrkit journal verify",
	.usage = "[options] DEVICE...",
	.summary = "Tell whether a journal of bcachefs, ext3 or ext4 has all that a mount would need: which entries these are, and which\n"
		   "are damaged or missing. Nothing is written.",
	.rows = verify_rows,
	.nr_rows = ARRAY_LEN(verify_rows),
};

static const char *const severities[] = {
	[BTRKIT_JOURNAL_GOOD] = "good",
	[BTRKIT_JOURNAL_ODD] = "odd",
	[BTRKIT_JOURNAL_DAMAGED] = "damaged",
};

static int print_finding(void *arg, const struct btrkit_journal_finding *finding)
{
	static const char *const marks[] = { "", "note: ", "DAMAGE: " };
	const struct list_command *command = arg;
	struct json *object;

	if (!command->journal.is_json) {
		printf("%s%s\n", marks[finding->severity], finding->text);
		return 0;
	}
	object = json_new_object();
	json_set_string(object, "type", "finding");
	json_set_string(object, "severity", severities[finding->severity]);
	json_set_string(object, "what", finding->what);
	json_set_u64(object, "first", finding->first);
	json_set_u64(object, "last", finding->last);
	json_set_string(object, "text", finding->text);
	json_print(object, stdout, true);
	json_free(object);
	return 0;
}

static void print_verdict(const struct list_command *command, const struct btrkit_journal_verdict *verdict)
{
	struct json *object;

	if (!command->journal.is_json) {
		if (verdict->nr_damages)
			printf("%llu damages: of %llu entries that are needed, %llu are damaged and %llu missing\n",
			       (ull)verdict->nr_damages, (ull)(verdict->nr_good + verdict->nr_bad + verdict->nr_missing),
			       (ull)verdict->nr_bad, (ull)verdict->nr_missing);
		else if (verdict->last)
			printf("sound: %llu entries are needed, all of them are good\n", (ull)verdict->nr_good);
		else
			puts("sound: no entry is needed");
		return;
	}
	object = json_new_object();
	json_set_string(object, "type", "verdict");
	json_set_string(object, "schema", "btrkit-journal-1");
	json_set_u64(object, "first_needed", verdict->first);
	json_set_u64(object, "last_needed", verdict->last);
	json_set_u64(object, "good", verdict->nr_good);
	json_set_u64(object, "bad", verdict->nr_bad);
	json_set_u64(object, "missing", verdict->nr_missing);
	json_set_u64(object, "damages", verdict->nr_damages);
	json_print(object, stdout, true);
	json_free(object);
}

int cmd_journal_verify(int argc, char **argv)
{
	const struct option_table *table = &journal_verify_option_table;
	struct list_command command = { .journal.name = table->command };
	struct btrkit_journal_verdict verdict = { 0 };
	struct btrkit_journal *journal = NULL;
	struct btrkit_error error = { 0 };
	int first, err;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_checker_status(result);
	if (first == argc) {
		(void)usage_error(table, "no device or image file given");
		return EXIT_CHECKER_USAGE;
	}
	if (command.journal.is_json && !json_is_available()) {
		report_error(table->command, "--json: built without json-c");
		return EXIT_CHECKER_FAILED;
	}
	err = open_journal(&command.journal, argv + first, argc - first, &journal);
	if (err)
		return EXIT_CHECKER_FAILED;
	err = btrkit_journal_verify(journal, print_finding, &command, &verdict, sizeof(verdict), &error);
	btrkit_journal_close(journal);
	if (err < 0) {
		report_error(table->command, "%s", error.text);
		return EXIT_CHECKER_FAILED;
	}
	print_verdict(&command, &verdict);
	return verdict.nr_damages ? EXIT_DAMAGED : EXIT_SOUND;
}
