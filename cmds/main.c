/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The multi-call program: `btrkit COMMAND ...`, or called btrkit-COMMAND, mkfs.btrfs or btrfs through a link.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmds/cmds.h"
#include "common/cli/options.h"
#include "common/cli/report.h"

/* A command, or a group of commands whose next word names one of them. */
struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv); /* NULL: a group */
	const struct option_table *options;
	const struct command *members;
	size_t nr_members;
};

static const struct command inspect_commands[] = {
	{ .name = "chunks", .summary = "draw where the chunks lie on the devices", .run = cmd_inspect_chunks,
	  .options = &inspect_chunks_option_table },
	{ .name = "journal", .summary = "decode the journal of bcachefs, ext3 or ext4", .run = cmd_inspect_journal,
	  .options = &inspect_journal_option_table },
	{ .name = "summary", .summary = "identity, devices, space and features", .run = cmd_inspect_summary,
	  .options = &inspect_summary_option_table },
	{ .name = "super", .summary = "decode superblocks", .run = cmd_inspect_super,
	  .options = &inspect_super_option_table },
	{ .name = "tree", .summary = "decode trees, blocks, or the items of a file", .run = cmd_inspect_tree,
	  .options = &inspect_tree_option_table },
};

static const struct command edit_commands[] = {
	{ .name = "put", .summary = "put a file or a directory of the host into it", .run = cmd_edit, .options = &edit_put_option_table },
	{ .name = "get", .summary = "write a file's contents to the host", .run = cmd_edit, .options = &edit_get_option_table },
	{ .name = "rm", .summary = "remove a file or a directory", .run = cmd_edit, .options = &edit_rm_option_table },
	{ .name = "rmdir", .summary = "remove an empty directory", .run = cmd_edit, .options = &edit_rmdir_option_table },
	{ .name = "mv", .summary = "rename or move", .run = cmd_edit, .options = &edit_mv_option_table },
	{ .name = "cp", .summary = "copy, sharing the data", .run = cmd_edit, .options = &edit_cp_option_table },
	{ .name = "mkdir", .summary = "make a directory", .run = cmd_edit, .options = &edit_mkdir_option_table },
	{ .name = "mknod", .summary = "make a device, a fifo or a socket", .run = cmd_edit, .options = &edit_mknod_option_table },
	{ .name = "ln", .summary = "make a hard link", .run = cmd_edit, .options = &edit_ln_option_table },
	{ .name = "symlink", .summary = "make a symbolic link", .run = cmd_edit, .options = &edit_symlink_option_table },
	{ .name = "touch", .summary = "set times, or make an empty file", .run = cmd_edit, .options = &edit_touch_option_table },
	{ .name = "truncate", .summary = "set the size of a file", .run = cmd_edit, .options = &edit_truncate_option_table },
	{ .name = "chmod", .summary = "set permissions", .run = cmd_edit, .options = &edit_chmod_option_table },
	{ .name = "chown", .summary = "set owner and group", .run = cmd_edit, .options = &edit_chown_option_table },
	{ .name = "setxattr", .summary = "set an extended attribute", .run = cmd_edit, .options = &edit_setxattr_option_table },
	{ .name = "rmxattr", .summary = "remove an extended attribute", .run = cmd_edit, .options = &edit_rmxattr_option_table },
	{ .name = "subvol", .summary = "make, delete or change a subvolume", .run = cmd_edit, .options = &edit_subvol_option_table },
	{ .name = "snapshot", .summary = "make a snapshot", .run = cmd_edit, .options = &edit_snapshot_option_table },
	{ .name = "label", .summary = "set the filesystem's label", .run = cmd_edit, .options = &edit_label_option_table },
	{ .name = "batch", .summary = "run such commands from a file as one change", .run = cmd_edit_batch,
	  .options = &edit_batch_option_table },
};

static const struct command device_commands[] = {
	{ .name = "add", .summary = "add devices to a filesystem", .run = cmd_device_add, .options = &device_add_option_table },
	{ .name = "fix-size", .summary = "make sizes agree that do not", .run = cmd_device_fix_size,
	  .options = &device_fix_size_option_table },
	{ .name = "list", .summary = "the devices of a filesystem, and their sizes", .run = cmd_device_list,
	  .options = &device_list_option_table },
	{ .name = "lost", .summary = "files that are lost with missing devices", .run = cmd_device_lost,
	  .options = &device_lost_option_table },
	{ .name = "remove", .summary = "move what is on a device to the others, and remove it", .run = cmd_device_remove,
	  .options = &device_remove_option_table },
	{ .name = "replace", .summary = "other devices in the place of some", .run = cmd_device_replace,
	  .options = &device_replace_option_table },
	{ .name = "resize", .summary = "change how much of a device the filesystem has", .run = cmd_device_resize,
	  .options = &device_resize_option_table },
	{ .name = "seed", .summary = "mark a filesystem as one from which others grow", .run = cmd_device_seed,
	  .options = &device_seed_option_table },
	{ .name = "sprout", .summary = "make a filesystem that grows from a seed", .run = cmd_device_sprout,
	  .options = &device_sprout_option_table },
	{ .name = "usage", .summary = "what each device holds, by kind and profile", .run = cmd_device_usage,
	  .options = &device_usage_option_table },
};

static const struct command journal_commands[] = {
	{ .name = "list", .summary = "what is in it, entry by entry", .run = cmd_journal_list, .options = &journal_list_option_table },
	{ .name = "verify", .summary = "whether all is there that a mount would need", .run = cmd_journal_verify,
	  .options = &journal_verify_option_table },
};

static const struct command log_commands[] = {
	{ .name = "show", .summary = "what a replay would do", .run = cmd_log_show, .options = &log_show_option_table },
	{ .name = "replay", .summary = "do what a mount would do", .run = cmd_log_replay, .options = &log_replay_option_table },
	{ .name = "export", .summary = "write the logged files into a folder", .run = cmd_log_export,
	  .options = &log_export_option_table },
	{ .name = "clear", .summary = "throw the log away", .run = cmd_log_clear, .options = &log_clear_option_table },
};

static const struct command restripe_commands[] = {
	{ .name = "start", .summary = "change profiles and places of chunks, or compact them", .run = cmd_restripe_start,
	  .options = &restripe_start_option_table },
	{ .name = "status", .summary = "what runs or is paused, and what is left of it", .run = cmd_restripe_status,
	  .options = &restripe_status_option_table },
	{ .name = "pause", .summary = "end a run so that it can be resumed", .run = cmd_restripe_pause,
	  .options = &restripe_pause_option_table },
	{ .name = "resume", .summary = "go on with a paused run, also one of Linux", .run = cmd_restripe_resume,
	  .options = &restripe_resume_option_table },
	{ .name = "cancel", .summary = "forget a paused run", .run = cmd_restripe_cancel,
	  .options = &restripe_cancel_option_table },
};

static const struct command commands[] = {
	{ .name = "mkfs", .summary = "make a filesystem, empty or from directories and archives", .run = cmd_mkfs,
	  .options = &mkfs_option_table },
	{ .name = "check", .summary = "prove a filesystem sound, or say what is wrong", .run = cmd_check,
	  .options = &check_option_table },
	{ .name = "fsck", .summary = "what fsck(8) calls: a cheap check, unless forced", .run = cmd_fsck,
	  .options = &fsck_option_table },
	{ .name = "convert", .summary = "make a converted filesystem what it was before", .run = cmd_convert,
	  .options = &convert_option_table },
	{ .name = "device", .summary = "add, remove and resize devices, and tell what they hold",
	  .members = device_commands, .nr_members = ARRAY_LEN(device_commands) },
	{ .name = "ls", .summary = "list files", .run = cmd_ls, .options = &ls_option_table },
	{ .name = "cat", .summary = "write a file's contents to standard output", .run = cmd_cat,
	  .options = &cat_option_table },
	{ .name = "restore", .summary = "extract files with all their metadata", .run = cmd_restore,
	  .options = &restore_option_table },
	{ .name = "edit", .summary = "change files and subvolumes without mounting", .members = edit_commands,
	  .nr_members = ARRAY_LEN(edit_commands) },
	{ .name = "inspect", .summary = "look at the structures: superblocks, trees, chunks",
	  .members = inspect_commands, .nr_members = ARRAY_LEN(inspect_commands) },
	{ .name = "journal", .summary = "look at the journal of bcachefs, ext3 or ext4", .members = journal_commands,
	  .nr_members = ARRAY_LEN(journal_commands) },
	{ .name = "log", .summary = "what was fsynced before a crash: show, replay, export or clear it",
	  .members = log_commands, .nr_members = ARRAY_LEN(log_commands) },
	{ .name = "restripe", .summary = "change RAID profiles, and compact: what Linux calls a balance",
	  .members = restripe_commands, .nr_members = ARRAY_LEN(restripe_commands) },
};
static const struct command top = { .members = commands, .nr_members = ARRAY_LEN(commands) };

static const struct command *find_command(const struct command *group, const char *name)
{
	for (size_t i = 0; i < group->nr_members; i++)
		if (strcmp(group->members[i].name, name) == 0)
			return &group->members[i];
	return NULL;
}

/* The command that a link's name stands for; NULL: the program's own name. */
static const struct command *command_of_link(const char *program)
{
	const char *base = strrchr(program, '/');

	base = base ? base + 1 : program;
	if (strcmp(base, "mkfs.btrfs") == 0)
		return find_command(&top, "mkfs");
	if (strcmp(base, "fsck.btrkit") == 0)
		return find_command(&top, "fsck");
	return strncmp(base, "btrkit-", 7) == 0 ? find_command(&top, base + 7) : NULL;
}

/* "btrkit", or "btrkit GROUP". */
static void print_group_name(const struct command *group, FILE *file)
{
	fprintf(file, "btrkit%s%s", group->name ? " " : "", group->name ? group->name : "");
}

static void print_help(const struct command *group)
{
	fputs("Usage: ", stdout);
	print_group_name(group, stdout);
	puts(" COMMAND [options]\n");
	if (!group->name)
		puts("Makes, reads and inspects Btrfs filesystems on image files and unmounted devices.\n");
	puts("Commands:");
	for (size_t i = 0; i < group->nr_members; i++)
		printf("  %-10s %s\n", group->members[i].name, group->members[i].summary);
	putchar('\n');
	print_group_name(group, stdout);
	puts(group->name ? " COMMAND --help tells a command's options."
			 : " COMMAND --help tells a command's options; btrkit --version what was built in.");
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

static int unknown_command(const struct command *group, const char *name)
{
	const char *nearest = NULL;
	size_t best = 3;

	for (size_t i = 0; i < group->nr_members; i++) {
		size_t distance = edit_distance(name, group->members[i].name);

		if (distance < best) {
			best = distance;
			nearest = group->members[i].name;
		}
	}
	print_group_name(group, stderr);
	fprintf(stderr, ": unknown command \"%s\"", name);
	if (nearest) {
		fprintf(stderr, ", did you mean \"%s\"?\n", nearest);
	} else {
		fputs(" (see ", stderr);
		print_group_name(group, stderr);
		fputs(" --help)\n", stderr);
	}
	return EXIT_USAGE;
}

/* What the completion script asks for: a group's commands, or one command's options. */
static int print_completions(char **names)
{
	const struct command *command = &top;

	while (*names && command && command->nr_members)
		command = find_command(command, *names++);
	if (!command)
		return 0;
	if (command->options)
		options_print_names(command->options);
	for (size_t i = 0; i < command->nr_members; i++)
		puts(command->members[i].name);
	return 0;
}

/* argv[0] is the group's or command's own name. */
static int run(const struct command *command, int argc, char **argv)
{
	const struct command *member;

	if (command->run)
		return command->run(argc, argv);
	if (argc < 2) {
		print_group_name(command, stderr);
		fputs(": no command given (see ", stderr);
		print_group_name(command, stderr);
		fputs(" --help)\n", stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(command);
		return 0;
	}
	member = find_command(command, argv[1]);
	return member ? run(member, argc - 1, argv + 1) : unknown_command(command, argv[1]);
}

/* "btrkit help [COMMAND...]" */
static int help(char **names)
{
	char *help_args[] = { "help", "--help", NULL };
	const struct command *command = &top, *inner;

	for (; *names; names++, command = inner) {
		inner = find_command(command, *names);
		if (!inner)
			return unknown_command(command, *names);
	}
	return run(command, 2, help_args);
}

/* Called "btrfs", the program knows restripe by the name that it has there. */
static void accept_foreign_name(char **argv)
{
	static char restripe[] = "restripe";
	const char *base = strrchr(argv[0], '/');

	if (strcmp(base ? base + 1 : argv[0], "btrfs") == 0 && strcmp(argv[1], "balance") == 0)
		argv[1] = restripe;
}

static int run_named(int argc, char **argv)
{
	const struct command *linked = command_of_link(argv[0]);

	if (linked)
		return run(linked, argc, argv);
	if (argc > 1)
		accept_foreign_name(argv);
	if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		print_version();
		return 0;
	}
	if (argc > 1 && strcmp(argv[1], "--complete") == 0)
		return print_completions(argv + 2);
	if (argc > 1 && strcmp(argv[1], "help") == 0)
		return help(argv + 2);
	return run(&top, argc, argv);
}

/* A full disk or a closed pipe behind standard output is a failure, too. */
int main(int argc, char **argv)
{
	int status = run_named(argc, argv);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "btrkit: standard output: %s\n", strerror(errno));
		return status ? status : EXIT_FAILED;
	}
	return status;
}
