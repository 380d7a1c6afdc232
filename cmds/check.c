/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit check`: is a filesystem sound? */
#include <btrkit/check.h>
#include <btrkit/source.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/job.h"
#include "cmds/open.h"
#include "cmds/resolve.h"
#include "common/cli/json.h"
#include "common/cli/progress_bar.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

/* As fsck(8). */
enum { EXIT_CLEAN = 0, EXIT_PROBLEMS = 4, EXIT_CANCELLED = 32 };

struct check_command {
	struct open_command open;
	bool is_json, do_data, is_quick, is_strict, is_forced, only_first, is_read_only, do_list_problems;
	unsigned threads, verbosity;
	const char *mirror, *subvol, *tmpdir;
	u64 subvol_id; /* 0: all */
	u64 memory_bytes; /* 0: the library's default */
	enum progress_mode progress;
	int fsck_fd; /* 0: progress is for people */
	struct btrkit_job *job;
	char *passphrase; /* owned */
};

typedef int (*check_fn)(const char *const *paths, size_t nr_paths, const struct btrkit_check_options *options, btrkit_problem_fn fn,
			void *arg, struct btrkit_check_result *ret_result, struct btrkit_error *error);

#define AT(member) offsetof(struct check_command, member)
static const struct option_row rows[] = {
	{ 0, "data", NULL, OPTION_FLAG, AT(do_data), "read all file data and compare it with its checksums", false },
	{ 0, "check-data-csum", NULL, OPTION_FLAG, AT(do_data), NULL, false },
	{ 0, "mirror", "WHICH", OPTION_STRING, AT(mirror), "all copies (default), or the first", false },
	{ 0, "quick", NULL, OPTION_FLAG, AT(is_quick), "superblocks, chunks and devices only", false },
	{ 0, "subvol", "SUBVOL", OPTION_STRING, AT(subvol), "judge names of this subvolume only: an id, a path, or default", false },
	{ 0, "strict", NULL, OPTION_FLAG, AT(is_strict), "warnings count as problems", false },
	{ 0, "force", NULL, OPTION_FLAG, AT(is_forced), "check also what is mounted or in use; the result may be wrong", false },
	{ 0, "readonly", NULL, OPTION_FLAG, AT(is_read_only), NULL, false },
	{ 0, "list-problems", NULL, OPTION_FLAG, AT(do_list_problems), "list all that can be found, with what it means", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON, an object on each line", false },
	{ 'v', "verbose", NULL, OPTION_CALL, 0, "say what each problem means, and what would repair it", false },
	{ 'p', "progress", "WHEN", OPTION_CALL, 0, "draw progress: auto, always, never or json", false },
	{ 0, "threads", "N", OPTION_UNSIGNED, AT(threads), "work in N threads (all CPUs)", false },
	{ 0, "memory", "SIZE", OPTION_CALL, 0, "memory for tables, 16M at least (a quarter of what there is)", false },
	{ 0, "tmpdir", "DIR", OPTION_STRING, AT(tmpdir), "where tables go that do not fit (TMPDIR, else /var/tmp)", false },
	OPEN_OPTION_ROWS(struct check_command, open),
	SOURCE_OPTION_ROWS(struct check_command, open),
};
#undef AT

static int parse_memory(struct check_command *command, const char *value, struct diag *d)
{
	char least[SIZE_TEXT_MAX];
	int err = size_parse(value, &command->memory_bytes, d);

	if (!err && command->memory_bytes < BTRKIT_CHECK_MEMORY_MIN)
		err = diag_fail(d, -ERANGE, "%s is too little: the tables need %s at least", value,
				size_format(BTRKIT_CHECK_MEMORY_MIN, least));
	return err;
}

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct check_command *command = target;
	int err = open_option_call(&command->open, row, value, d);

	if (err)
		return err < 0 ? err : 0;
	if (strcmp(row->name, "memory") == 0)
		return parse_memory(command, value, d);
	if (strcmp(row->name, "progress") == 0 && strcmp(value, "json") == 0) {
		command->progress = PROGRESS_JSON;
		return 0;
	}
	if (strcmp(row->name, "progress") == 0)
		return progress_mode_parse(value, &command->progress, d);
	command->verbosity++;
	return 0;
}

const struct option_table check_option_table = {
	.command = "btrkit check",
	.usage = "[options] DEVICE...",
	.summary = "Prove that an unmounted filesystem is sound, or say what is wrong and which files it touches.\n"
		   "Nothing is written.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
	.epilogue = "Exit status: 0 clean, 4 problems, 8 the check could not run, 16 usage, 32 cancelled.\n",
};

static const char *severity_name(enum btrkit_problem_severity severity)
{
	static const char *const names[] = { "note", "warning", "error", "fatal" };

	return names[severity];
}

/* --- Problems -------------------------------------------------------------------------------------------------- */

static void print_problem(const struct check_command *command, const struct btrkit_problem *problem)
{
	printf("%s: ", severity_name(problem->kind->severity));
	print_escaped(stdout, problem->text, strlen(problem->text));
	printf(" [%s]\n", problem->kind->code);
	for (size_t i = 0; i < problem->nr_paths; i++) {
		fputs("  file: ", stdout);
		print_escaped(stdout, problem->paths[i], strlen(problem->paths[i]));
		putchar('\n');
	}
	if (problem->total_paths > problem->nr_paths)
		printf("  and %s%llu more\n", problem->is_total_least ? "at least " : "",
		       (ull)(problem->total_paths - problem->nr_paths));
	if (command->verbosity)
		printf("  means:  %s\n  repair: %s\n", problem->kind->meaning, problem->kind->repair);
}

static void print_problem_json(const struct btrkit_problem *problem)
{
	struct json *object = json_new_object(), *paths = json_new_array();

	json_set_string(object, "type", "problem");
	json_set_string(object, "code", problem->kind->code);
	json_set_string(object, "severity", severity_name(problem->kind->severity));
	json_set_string(object, "text", problem->text);
	if (problem->tree)
		json_set_s64(object, "tree", (s64)problem->tree);
	if (problem->inode)
		json_set_u64(object, "inode", problem->inode);
	if (problem->logical)
		json_set_u64(object, "logical", problem->logical);
	if (problem->devid)
		json_set_u64(object, "devid", problem->devid);
	if (problem->physical)
		json_set_u64(object, "physical", problem->physical);
	if (problem->has_key) {
		struct json *key = json_new_array();

		json_append(key, json_from_u64(problem->key_objectid));
		json_append(key, json_from_u64(problem->key_type));
		json_append(key, json_from_u64(problem->key_offset));
		json_set(object, "key", key);
	}
	for (size_t i = 0; i < problem->nr_paths; i++)
		json_append_string(paths, problem->paths[i]);
	json_set(object, "paths", paths);
	json_set_u64(object, "total_paths", problem->total_paths);
	if (problem->is_total_least)
		json_set(object, "is_total_least", json_from_bool(true));
	json_print(object, stdout, true);
	json_free(object);
}

static int take_problem(void *arg, const struct btrkit_problem *problem)
{
	struct check_command *command = arg;

	/* The line that is being drawn on the terminal gives way. */
	if (isatty(STDERR_FILENO) && isatty(STDOUT_FILENO))
		fputs("\r\033[K", stderr);
	if (command->is_json)
		print_problem_json(problem);
	else
		print_problem(command, problem);
	return 0;
}

static const char *spill_dir(const struct check_command *command)
{
	const char *tmpdir = command->tmpdir ? command->tmpdir : getenv("TMPDIR");

	return tmpdir && tmpdir[0] ? tmpdir : "/var/tmp";
}

/* Not among the problems: it is nothing that is wrong with the filesystem. */
static void note_spilled(const struct check_command *command, const struct btrkit_check_result *result)
{
	char memory[SIZE_TEXT_MAX], spilled[SIZE_TEXT_MAX];

	if (result->spilled_bytes)
		fprintf(stderr, "%s: tables did not fit into %s: %s went through temporary files in %s\n", command->open.name,
			size_format(result->memory_bytes, memory), size_format(result->spilled_bytes, spilled),
			spill_dir(command));
}

static void print_result(const struct check_command *command, const struct btrkit_check_result *result, const char *verdict)
{
	char metadata[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX];

	if (command->is_json) {
		struct json *object = json_new_object();

		json_set_string(object, "type", "summary");
		json_set_string(object, "schema", "btrkit-check-1");
		json_set_string(object, "verdict", verdict);
		json_set_u64(object, "fatal", result->nr_problems[BTRKIT_PROBLEM_FATAL]);
		json_set_u64(object, "errors", result->nr_problems[BTRKIT_PROBLEM_ERROR]);
		json_set_u64(object, "warnings", result->nr_problems[BTRKIT_PROBLEM_WARNING]);
		json_set_u64(object, "notes", result->nr_problems[BTRKIT_PROBLEM_NOTE]);
		json_set_u64(object, "metadata_bytes_read", result->metadata_bytes);
		json_set_u64(object, "data_bytes_read", result->data_bytes);
		json_set_u64(object, "blocks", result->nr_blocks);
		json_set_u64(object, "unreadable_blocks", result->nr_unreadable_blocks);
		json_set_u64(object, "extents", result->nr_extents);
		json_set_u64(object, "inodes", result->nr_inodes);
		json_set_u64(object, "subvolumes", result->nr_subvols);
		json_set_u64(object, "memory_bytes", result->memory_bytes);
		json_set_u64(object, "spilled_bytes", result->spilled_bytes);
		if (result->spilled_bytes)
			json_set_string(object, "spill_dir", spill_dir(command));
		json_print(object, stdout, true);
		json_free(object);
		return;
	}
	printf("%s: %llu fatal, %llu errors, %llu warnings, %llu notes\n", verdict,
	       (ull)result->nr_problems[BTRKIT_PROBLEM_FATAL], (ull)result->nr_problems[BTRKIT_PROBLEM_ERROR],
	       (ull)result->nr_problems[BTRKIT_PROBLEM_WARNING], (ull)result->nr_problems[BTRKIT_PROBLEM_NOTE]);
	printf("%llu subvolumes, %llu inodes, %llu extents, %llu tree blocks; read %s of metadata, %s of data\n",
	       (ull)result->nr_subvols, (ull)result->nr_inodes, (ull)result->nr_extents, (ull)result->nr_blocks,
	       size_format(result->metadata_bytes, metadata), size_format(result->data_bytes, data));
}

/* --- Running ----------------------------------------------------------------------------------------------------- */

static void sample_progress(void *ctx, struct progress_sample *ret)
{
	const struct check_command *command = ctx;

	job_sample(command->job, ret);
}

static int list_problems(const struct check_command *command)
{
	struct btrkit_problem_kind kind;

	for (size_t i = 0; btrkit_problem_kind_at(i, &kind) == 0; i++) {
		if (command->is_json) {
			struct json *object = json_new_object();

			json_set_string(object, "code", kind.code);
			json_set_string(object, "severity", severity_name(kind.severity));
			json_set_string(object, "message", kind.message);
			json_set_string(object, "meaning", kind.meaning);
			json_set_string(object, "repair", kind.repair);
			json_print(object, stdout, true);
			json_free(object);
		} else {
			printf("%s (%s)\n  means:  %s\n  repair: %s\n", kind.code, severity_name(kind.severity), kind.meaning,
			       kind.repair);
		}
	}
	return EXIT_CLEAN;
}

static int verdict_of(const struct check_command *command, const struct btrkit_check_result *result)
{
	u64 bad = result->nr_problems[BTRKIT_PROBLEM_FATAL] + result->nr_problems[BTRKIT_PROBLEM_ERROR];

	if (command->is_strict)
		bad += result->nr_problems[BTRKIT_PROBLEM_WARNING];
	return bad ? EXIT_PROBLEMS : EXIT_CLEAN;
}

static void fill_options(const struct check_command *command, struct btrkit_check_options *options)
{
	btrkit_check_options_init(options);
	options->open.super_mirror = (int)command->open.super - 1;
	options->open.tree_root = command->open.tree_root;
	options->open.chunk_root = command->open.chunk_root;
	options->open.use_backup_roots = command->open.use_backup_roots;
	options->open.no_device_scan = command->open.no_scan;
	options->open.scan_dir = command->open.scan_dir;
	options->open.offset_bytes = command->open.offset_bytes;
	options->open.is_exclusive = !command->is_forced;
	options->do_data = command->do_data;
	options->only_first_copy = command->only_first;
	options->is_quick = command->is_quick;
	options->subvol = command->subvol_id;
	options->threads = command->threads;
	options->job = command->job;
	options->memory_bytes = command->memory_bytes;
	options->tmpdir = spill_dir(command);
	options->no_journal = command->open.no_journal;
}

/* A subvolume may be named by its id, by its path, or as the default one. */
static int find_subvol(struct check_command *command, char **paths, int nr_paths)
{
	struct btrkit_error error = { 0 };
	struct btrkit_inode top;
	struct btrkit_fs *fs;
	int err = open_filesystem(&command->open, paths, nr_paths, &fs);

	if (err < 0)
		return EXIT_CHECKER_FAILED;
	err = resolve_top(fs, command->subvol, &top, &error);
	if (!err)
		command->subvol_id = top.subvol;
	else
		report_error(command->open.name, "--subvol: %s", error.text);
	btrkit_fs_close(fs);
	return err ? EXIT_CHECKER_FAILED : 0;
}

/* What to call, by what is on the devices; as open_filesystem() sees it, Btrfs goes before what was there earlier. */
static check_fn function_for(const struct check_command *command, const char *path)
{
	const char *type = command->open.type;
	struct btrkit_error error;
	struct btrkit_fs *fs;
	int err;

	if (!type) {
		struct btrkit_open_options options;

		type = btrkit_source_type(path, command->open.offset_bytes);
		if (!type || strcmp(type, "bcachefs") != 0)
			return btrkit_check;
		btrkit_open_options_init(&options);
		options.offset_bytes = command->open.offset_bytes;
		options.no_device_scan = true;
		err = btrkit_fs_open(&path, 1, &options, &fs, &error);
		if (err == 0)
			btrkit_fs_close(fs);
		return err == -EMEDIUMTYPE ? btrkit_check_bcachefs : btrkit_check;
	}
	return strcmp(type, "bcachefs") == 0 ? btrkit_check_bcachefs : strcmp(type, "btrfs") == 0 ? btrkit_check : NULL;
}

static int run(struct check_command *command, char **paths, int nr_paths)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	struct btrkit_error error = { 0 };
	struct progress_bar *bar = NULL;
	check_fn check = function_for(command, paths[0]);
	int err, status;

	if (!check) {
		report_error(command->open.name, "%s: only btrfs and bcachefs can be checked", command->open.type);
		return EXIT_CHECKER_USAGE;
	}
	fill_options(command, &options);
	if (command->open.passphrase_file) {
		options.passphrase = command->passphrase = read_passphrase(&command->open);
		if (!options.passphrase)
			return EXIT_CHECKER_FAILED;
	}
	job_cancel_on_signals(command->job);
	if (command->fsck_fd > 0)
		(void)progress_bar_start_fsck(command->fsck_fd, paths[0], sample_progress, command, &bar);
	else
		(void)progress_bar_start(command->progress, sample_progress, command, &bar);
	err = check((const char *const *)paths, (size_t)nr_paths, &options, take_problem, command, &result, &error);
	progress_bar_stop(bar);
	if (err == 1) {
		report_error(command->open.name, "%s: holds no bcachefs", paths[0]);
		return EXIT_CHECKER_FAILED;
	}
	if (err < 0 && err != -ECANCELED) {
		explain_not_opened(&command->open, (const char *const *)paths, (size_t)nr_paths, err, &error);
		report_error(command->open.name, "%s", error.text);
		return EXIT_CHECKER_FAILED;
	}
	status = err ? EXIT_CANCELLED : verdict_of(command, &result);
	note_spilled(command, &result);
	print_result(command, &result, status == EXIT_CANCELLED ? "cancelled" : status ? "problems found" : "clean");
	return status;
}

int cmd_check(int argc, char **argv)
{
	return check_for_fsck(argc, argv, 0);
}

int check_for_fsck(int argc, char **argv, int progress_fd)
{
	const struct option_table *table = &check_option_table;
	struct check_command command = { .open.name = table->command, .fsck_fd = progress_fd };
	int first, status;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_checker_status(result);
	if (command.is_json && !json_is_available()) {
		report_error(table->command, "--json: built without json-c");
		return EXIT_CHECKER_USAGE;
	}
	if (command.do_list_problems)
		return list_problems(&command);
	if (first == argc) {
		usage_error(table, "no device or image file given");
		return EXIT_CHECKER_USAGE;
	}
	if (command.mirror && strcmp(command.mirror, "all") != 0 && strcmp(command.mirror, "first") != 0) {
		usage_error(table, "--mirror is all or first, not \"%s\"", command.mirror);
		return EXIT_CHECKER_USAGE;
	}
	command.only_first = command.mirror && strcmp(command.mirror, "first") == 0;
	if (btrkit_job_new(&command.job) < 0) {
		report_error(table->command, "out of memory");
		return EXIT_CHECKER_FAILED;
	}
	status = command.subvol ? find_subvol(&command, argv + first, argc - first) : 0;
	if (!status)
		status = run(&command, argv + first, argc - first);
	if (command.passphrase)
		explicit_bzero(command.passphrase, strlen(command.passphrase));
	free(command.passphrase);
	job_free(command.job);
	return status;
}
