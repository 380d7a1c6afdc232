/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command line options as one const table for each command, from which parsing, --help and shell completion come.
 */
#ifndef BTRKIT_COMMON_CLI_OPTIONS_H
#define BTRKIT_COMMON_CLI_OPTIONS_H

#include "common/base/diag.h"

enum option_kind {
	OPTION_FLAG, /* bool: set true */
	OPTION_STRING, /* const char * */
	OPTION_ATTACHED, /* const char *, with is_value_optional: -dVALUE or --name=VALUE; "" where there is none */
	OPTION_SIZE, /* u64, by size_parse() */
	OPTION_UNSIGNED, /* unsigned: a plain decimal number */
	OPTION_CALL, /* given to the table's function */
	OPTION_HEADING, /* no option: a line between groups in --help; @help is its text */
};

struct option_row {
	char letter; /* 0: none */
	const char *name; /* without "--"; NULL: none */
	const char *value; /* what --help calls the value; NULL: takes none */
	enum option_kind kind;
	size_t target; /* offset in the command's struct */
	const char *help; /* NULL: not shown */
	bool is_value_optional; /* --name=VALUE only, but for OPTION_ATTACHED */
};

struct option_table {
	const char *command; /* as called: "btrkit mkfs" */
	const char *usage; /* what follows it: "[options] DEVICE..." */
	const char *summary; /* a sentence or two */
	const struct option_row *rows;
	size_t nr_rows;
	/* For OPTION_CALL: 0, or a negative errno with the reason in @d. @value is NULL when the option takes none. */
	int (*call)(void *target, const struct option_row *row, const char *value, struct diag *d);
	const char *epilogue; /* further help text; NULL: none */
};

#define OPTION_HELP_ROW                                                                            \
	{                                                                                          \
		0, "help", NULL, OPTION_FLAG, 0, "print this help and exit", false                 \
	}

enum options_result {
	OPTIONS_RUN, /* go on */
	OPTIONS_DONE, /* --help was printed: exit 0 */
	OPTIONS_BAD, /* a usage error was printed: exit 2 (16 for checkers) */
	OPTIONS_FAILED, /* nothing is wrong with them, but there is no memory, which was printed: exit 1 (8 for checkers) */
};

/* The exit status where a command does not run; and that of a checker, as fsck(8) has them. */
int options_exit_status(enum options_result result);
int options_checker_status(enum options_result result);

/*
 * Parse @argv (argv[0] is the command's name) into @target. Operands are moved behind the options; *ret_first_operand
 * is the index of the first. --help is known to every table.
 */
enum options_result options_parse(const struct option_table *table, int argc, char **argv, void *target,
				  int *ret_first_operand);

/* "command: text" and how to get help on stderr; returns 2. */
__attribute__((format(printf, 2, 3))) int usage_error(const struct option_table *table, const char *format, ...);

void options_print_help(const struct option_table *table);

/* The options' names, one a line, for shell completion. */
void options_print_names(const struct option_table *table);

#endif
