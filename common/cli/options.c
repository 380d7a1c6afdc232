/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/cli/options.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

/* Long options are told apart by numbers above any letter: this plus the row. */
#define ROW_BASE 1000
#define ROW_HELP 999
#define HELP_COLUMN 34

int usage_error(const struct option_table *table, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", table->command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (see %s --help)\n", table->command);
	return 2;
}

int options_exit_status(enum options_result result)
{
	static const int statuses[] = { [OPTIONS_BAD] = EXIT_USAGE, [OPTIONS_FAILED] = EXIT_FAILED };

	return statuses[result];
}

int options_checker_status(enum options_result result)
{
	static const int statuses[] = { [OPTIONS_BAD] = EXIT_CHECKER_USAGE, [OPTIONS_FAILED] = EXIT_CHECKER_FAILED };

	return statuses[result];
}

static int parse_unsigned(const char *text, unsigned *ret, struct diag *d)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || value > UINT32_MAX)
		return diag_fail(d, -EINVAL, "\"%s\" is not a number", text);
	*ret = (unsigned)value;
	return 0;
}

static int store_value(const struct option_table *table, const struct option_row *row, const char *value,
		       void *target, struct diag *d)
{
	void *at = (u8 *)target + row->target;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)at = true;
		return 0;
	case OPTION_STRING:
		*(const char **)at = value;
		return 0;
	case OPTION_ATTACHED:
		*(const char **)at = value ? value : "";
		return 0;
	case OPTION_SIZE:
		return size_parse(value, at, d);
	case OPTION_UNSIGNED:
		return parse_unsigned(value, at, d);
	case OPTION_CALL:
		return table->call(target, row, value, d);
	case OPTION_HEADING:
		break;
	}
	return -EINVAL;
}

/* How the user would write the option, for messages. */
static void row_name(const struct option_row *row, char *buf, size_t cap)
{
	if (row->name)
		snprintf(buf, cap, "--%s", row->name);
	else
		snprintf(buf, cap, "-%c", row->letter);
}

static void build_getopt(const struct option_table *table, char *letters, struct option *longs)
{
	size_t n = 0;

	*letters++ = ':'; /* tell a missing value from an unknown option, and print nothing */
	for (size_t i = 0; i < table->nr_rows; i++) {
		const struct option_row *row = &table->rows[i];

		if (row->kind == OPTION_HEADING)
			continue;
		if (row->letter) {
			*letters++ = row->letter;
			if (row->value && (!row->is_value_optional || row->kind == OPTION_ATTACHED))
				*letters++ = ':';
			if (row->kind == OPTION_ATTACHED)
				*letters++ = ':';
		}
		if (row->name)
			longs[n++] = (struct option){ row->name,
						      !row->value	      ? no_argument
						      : row->is_value_optional ? optional_argument
									       : required_argument,
						      NULL, ROW_BASE + (int)i };
	}
	*letters = '\0';
	longs[n++] = (struct option){ "help", no_argument, NULL, ROW_HELP };
	longs[n] = (struct option){ 0 };
}

static const struct option_row *row_of(const struct option_table *table, int code)
{
	if (code >= ROW_BASE)
		return &table->rows[code - ROW_BASE];
	for (size_t i = 0; i < table->nr_rows; i++)
		if (table->rows[i].kind != OPTION_HEADING && table->rows[i].letter == code)
			return &table->rows[i];
	return NULL;
}

/* Say what is wrong with the option that getopt_long() did not take. */
static enum options_result refuse_option(const struct option_table *table, int code, char **argv)
{
	const char *text = argv[optind - 1];
	char name[64];

	if (optopt == ROW_HELP) {
		text = "--help";
	} else if (optopt >= ROW_BASE) {
		row_name(row_of(table, optopt), name, sizeof(name));
		text = name;
	} else if (optopt) {
		snprintf(name, sizeof(name), "-%c", optopt);
		text = name;
	}
	/* A long option that is known is refused for its value alone. */
	if (code == ':')
		usage_error(table, "option %s needs a value", text);
	else if (optopt >= ROW_HELP)
		usage_error(table, "option %s takes no value", text);
	else
		usage_error(table, "unknown option %s", text);
	return OPTIONS_BAD;
}

static enum options_result take_option(const struct option_table *table, int code, char **argv, void *target)
{
	const struct option_row *row = row_of(table, code);
	struct diag d = { 0 };
	char name[64];
	int err;

	if (code == ROW_HELP) {
		options_print_help(table);
		return OPTIONS_DONE;
	}
	if (code == ':' || code == '?' || !row)
		return refuse_option(table, code, argv);
	err = store_value(table, row, optarg, target, &d);
	if (err == -ENOMEM) {
		report_error(table->command, "%s", d.text);
		return OPTIONS_FAILED;
	}
	if (err < 0) {
		row_name(row, name, sizeof(name));
		usage_error(table, "%s: %s", name, d.text);
		return OPTIONS_BAD;
	}
	return OPTIONS_RUN;
}

enum options_result options_parse(const struct option_table *table, int argc, char **argv, void *target,
				  int *ret_first_operand)
{
	_free_ struct option *longs = calloc(table->nr_rows + 2, sizeof(*longs));
	_free_ char *letters = calloc(1, 3 * table->nr_rows + 2);
	enum options_result result = OPTIONS_RUN;

	if (!longs || !letters) {
		report_error(table->command, "out of memory");
		return OPTIONS_FAILED;
	}
	build_getopt(table, letters, longs);
	opterr = 0;
	optind = 0; /* start afresh: one process may parse several command lines */
	while (result == OPTIONS_RUN) {
		int code = getopt_long(argc, argv, letters, longs, NULL);

		if (code == -1)
			break;
		result = take_option(table, code, argv, target);
	}
	*ret_first_operand = optind;
	return result;
}

static void print_row(const struct option_row *row)
{
	char text[128];
	int used = 0;

	if (row->kind == OPTION_HEADING) {
		printf("\n%s:\n", row->help);
		return;
	}
	if (row->letter)
		used += snprintf(text, sizeof(text), "  -%c", row->letter);
	else
		used += snprintf(text, sizeof(text), "    ");
	if (row->name)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "%s --%s", row->letter ? "," : " ", row->name);
	if (row->value)
		used += snprintf(text + used, sizeof(text) - (size_t)used, row->is_value_optional ? "[=%s]" : " %s",
				 row->value);
	if (used > HELP_COLUMN - 2)
		printf("%s\n%*s", text, HELP_COLUMN, "");
	else
		printf("%-*s", HELP_COLUMN, text);
	for (const char *at = row->help; *at; at++) {
		putchar(*at);
		if (*at == '\n')
			printf("%*s", HELP_COLUMN, "");
	}
	putchar('\n');
}

void options_print_help(const struct option_table *table)
{
	bool has_heading = table->nr_rows && table->rows[0].kind == OPTION_HEADING;

	printf("Usage: %s %s\n\n%s\n", table->command, table->usage, table->summary);
	if (!has_heading)
		printf("\nOptions:\n");
	for (size_t i = 0; i < table->nr_rows; i++)
		if (table->rows[i].help)
			print_row(&table->rows[i]);
	printf("%-*s%s\n", HELP_COLUMN, "      --help", "print this help and exit");
	if (table->epilogue)
		printf("\n%s", table->epilogue);
}

void options_print_names(const struct option_table *table)
{
	for (size_t i = 0; i < table->nr_rows; i++) {
		const struct option_row *row = &table->rows[i];

		if (row->kind == OPTION_HEADING || !row->help)
			continue;
		if (row->letter)
			printf("-%c\n", row->letter);
		if (row->name)
			printf("--%s%s\n", row->name, row->value ? "=" : "");
	}
	puts("--help");
}
