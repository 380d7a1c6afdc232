/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The multi-call program: `btrkit COMMAND ...`, or called btrkit-COMMAND, mkfs.btrfs or btrfs through a link.
 */
#include <stdio.h>
#include <string.h>

#include "cmds/cmds.h"
#include "common/cli/options.h"
#include "common/cli/report.h"

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
	const struct option_table *options;
};

static const struct command commands[] = {
	{ "mkfs", "make a filesystem, empty or from directories and archives", cmd_mkfs, &mkfs_option_table },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* The command that a link's name stands for; NULL: the program's own name. */
static const struct command *command_of_link(const char *program)
{
	const char *base = strrchr(program, '/');

	base = base ? base + 1 : program;
	if (strcmp(base, "mkfs.btrfs") == 0)
		return find_command("mkfs");
	return strncmp(base, "btrkit-", 7) == 0 ? find_command(base + 7) : NULL;
}

static void print_help(void)
{
	puts("Usage: btrkit COMMAND [options]\n\n"
	     "Makes, reads and inspects Btrfs filesystems on image files and unmounted devices.\n\nCommands:");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	puts("\nbtrkit COMMAND --help tells a command's options; btrkit --version what was built in.");
}

static void print_version(void)
{
	printf("btrkit %s\nbuilt with: zlib%s%s%s%s%s%s\n", PACKAGE_VERSION, HAVE_ZSTD ? " zstd" : "",
	       HAVE_LZO ? " lzo" : "", HAVE_ISAL ? " isa-l" : "", HAVE_GCRYPT ? " libgcrypt" : "",
	       HAVE_ARCHIVE ? " libarchive" : "", HAVE_JSON ? " json-c" : "");
}

/* Edits that turn @a into @b, for "did you mean". */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[64], len = strlen(b);

	if (len >= ARRAY_LEN(row))
		return len;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);
			size_t skip = MIN(row[j], row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = MIN(change, skip);
		}
	}
	return row[len];
}

static int unknown_command(const char *name)
{
	const char *nearest = NULL;
	size_t best = 3;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		size_t distance = edit_distance(name, commands[i].name);

		if (distance < best) {
			best = distance;
			nearest = commands[i].name;
		}
	}
	if (nearest)
		fprintf(stderr, "btrkit: unknown command \"%s\", did you mean \"%s\"?\n", name, nearest);
	else
		fprintf(stderr, "btrkit: unknown command \"%s\" (see btrkit --help)\n", name);
	return EXIT_USAGE;
}

/* What the completion script asks for: commands, or one command's options. */
static int print_completions(const char *name)
{
	const struct command *command = name ? find_command(name) : NULL;

	if (command)
		options_print_names(command->options);
	for (size_t i = 0; !name && i < ARRAY_LEN(commands); i++)
		puts(commands[i].name);
	return 0;
}

int main(int argc, char **argv)
{
	const struct command *command = command_of_link(argv[0]);

	if (command)
		return command->run(argc, argv);
	if (argc < 2) {
		fprintf(stderr, "btrkit: no command given (see btrkit --help)\n");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		print_version();
		return 0;
	}
	if (strcmp(argv[1], "--complete") == 0)
		return print_completions(argc > 2 ? argv[2] : NULL);
	if (strcmp(argv[1], "help") == 0 && argc > 2) {
		char *help[] = { argv[2], "--help", NULL };

		command = find_command(argv[2]);
		return command ? command->run(2, help) : unknown_command(argv[2]);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help();
		return 0;
	}
	command = find_command(argv[1]);
	return command ? command->run(argc - 1, argv + 1) : unknown_command(argv[1]);
}
