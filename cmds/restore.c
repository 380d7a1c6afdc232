/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit restore`: extract files, with all that belongs to them, from an unmounted filesystem. */
#include "cmds/restore.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/resolve.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

#define BUFFER_BYTES ((size_t)MIB)

typedef unsigned long long ull;

/* Ctrl-C reaches the pool through this: a handler gets no argument of ours. */
static struct cancel signalled;

#define AT(member) offsetof(struct restore_command, member)
static const struct option_row rows[] = {
	{ 'p', "path", "PATH", OPTION_STRING, AT(path), "extract this file, or what this directory holds (the top)", false },
	{ 0, "subvol", "SUBVOL", OPTION_STRING, AT(subvol), "PATH begins in this subvolume: an id, a path, or default", false },
	{ 0, "no-subvolumes", NULL, OPTION_FLAG, AT(no_subvols), "leave out subvolumes and snapshots below PATH", false },
	{ 'o', "overwrite", NULL, OPTION_FLAG, AT(may_overwrite), "replace files that exist", false },
	{ 'i', "inode-flags", NULL, OPTION_FLAG, AT(do_set_flags), "restore flags as of chattr(1): immutable, no copy on write, ...", false },
	{ 0, "ignore-csums", NULL, OPTION_FLAG, OPEN_OPTION(struct restore_command, open, ignore_data_csums),
	  "take data that does not match its checksum", false },
	{ 'n', "dry-run", NULL, OPTION_FLAG, AT(is_dry_run), "list what would be extracted", false },
	{ 'v', "verbose", NULL, OPTION_CALL, 0, "list what is extracted", false },
	{ 'q', "quiet", NULL, OPTION_FLAG, AT(is_quiet), "say nothing but errors", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print the result as JSON", false },
	{ 0, "progress", "WHEN", OPTION_CALL, 0, "draw progress: auto, always or never", false },
	{ 0, "threads", "N", OPTION_UNSIGNED, AT(threads), "work in N threads (all CPUs)", false },
	OPEN_OPTION_ROWS(struct restore_command, open),
	SOURCE_OPTION_ROWS(struct restore_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	struct restore_command *command = target;
	int err = open_option_call(&command->open, row, value, d);

	if (err)
		return err < 0 ? err : 0;
	if (strcmp(row->name, "progress") == 0)
		return progress_mode_parse(value, &command->progress, d);
	command->verbosity++;
	return 0;
}

const struct option_table restore_option_table = {
	.command = "btrkit restore",
	.usage = "[options] DEVICE... DESTINATION",
	.summary = "Extract files from an unmounted filesystem, also a damaged one, with owners, modes, times, extended\n"
		   "attributes, hard links and holes. The filesystem is only read.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

__attribute__((format(printf, 2, 0))) static void complain(struct restore *r, const char *format, va_list args)
{
	char text[2048];

	vsnprintf(text, sizeof(text), format, args);
	atomic_fetch_add(&r->nr_errors, 1);
	clear_bar(r->open);
	report_error(r->command->open.name, "%s", text);
}

void restore_complain(struct restore *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(r, format, args);
	va_end(args);
}

void restore_lose(struct restore *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(r, format, args);
	va_end(args);
	atomic_fetch_add(&r->nr_lost, 1);
}

bool restore_is_cancelled(const struct restore *r)
{
	return atomic_load_explicit(&r->cancel->is_requested, memory_order_relaxed);
}

static void on_signal(int signal)
{
	(void)signal;
	atomic_store(&signalled.is_requested, true);
}

static void sample_progress(void *ctx, struct progress_sample *ret)
{
	struct restore *r = ctx;

	*ret = (struct progress_sample){ .phase = r->progress.phase,
					 .done_bytes = r->progress.done_bytes,
					 .done_files = r->progress.done_files };
}

/* Each directory on the way down takes a descriptor, and each file of a batch. */
static void allow_many_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)65536);
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* without it, only very deep trees fail, and say so */
	}
}

/* Is there anything in it? */
static bool is_inhabited(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned nr = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return true; /* it cannot be told: better leave it alone */
	}
	while (nr < 3 && readdir(dir))
		nr++; /* "." and ".." are always there */
	closedir(dir);
	return nr > 2;
}

/*
 * Open the directory that gets the result. A directory's content goes into @dest, which is made; a single file goes into
 * @dest if that is a directory, else beside it, under its name.
 */
static int open_destination(struct restore *r, const char *dest, bool is_dir, const char **name, char **ret_owned)
{
	_free_ char *parent = NULL;
	const char *slash = strrchr(dest, '/');
	struct stat st;

	if (r->command->is_dry_run)
		return 0;
	if (is_dir && mkdir(dest, 0700) < 0 && errno != EEXIST)
		return report_error(r->command->open.name, "%s: cannot be made: %s", dest, strerror(errno));
	if (!is_dir && (stat(dest, &st) < 0 || !S_ISDIR(st.st_mode))) {
		parent = slash ? strndup(dest, (size_t)(slash - dest + 1)) : strdup(".");
		*name = *ret_owned = strdup(slash ? slash + 1 : dest);
		if (!parent || !*name)
			return report_error(r->command->open.name, "out of memory");
		dest = parent;
	}
	r->dest_fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->dest_fd < 0)
		return report_error(r->command->open.name, "%s: %s", dest, strerror(errno));
	r->keeps_dest = !r->command->may_overwrite && is_inhabited(r->dest_fd);
	return 0;
}

static void print_result(const struct restore *r)
{
	char size[SIZE_TEXT_MAX];

	if (r->command->is_json) {
		struct json *object = json_new_object();

		json_set_string(object, "schema", "btrkit-restore-1");
		json_set_bool(object, "dry_run", r->command->is_dry_run);
		json_set_u64(object, "files", r->nr_files);
		json_set_u64(object, "directories", r->nr_dirs);
		json_set_u64(object, "hard_links", r->nr_links);
		json_set_u64(object, "others", r->nr_others);
		json_set_u64(object, "bytes", r->nr_bytes);
		json_set_u64(object, "errors", r->nr_errors);
		json_print(object, stdout, false);
		json_free(object);
	} else if (!r->command->is_quiet && !r->command->is_dry_run) {
		printf("Restored %llu files (%s), %llu directories, %llu hard links, %llu others; %llu errors.\n",
		       (ull)r->nr_files, size_format(r->nr_bytes, size), (ull)r->nr_dirs, (ull)r->nr_links,
		       (ull)r->nr_others, (ull)r->nr_errors);
	}
}

static int make_workers(struct restore *r)
{
	if (pool_new(r->command->threads, r->cancel, &r->pool) < 0)
		return -ENOMEM;
	r->buffers = calloc(pool_threads(r->pool), sizeof(*r->buffers));
	for (unsigned i = 0; r->buffers && i < pool_threads(r->pool); i++)
		if (!(r->buffers[i] = malloc(BUFFER_BYTES)))
			return -ENOMEM;
	return r->buffers ? 0 : -ENOMEM;
}

static void restore_done(struct restore *r)
{
	for (unsigned i = 0; r->buffers && i < pool_threads(r->pool); i++)
		free(r->buffers[i]);
	free(r->buffers);
	pool_free(r->pool);
	if (r->dest_fd >= 0)
		close(r->dest_fd);
}

static int extract(struct restore *r, const struct btrkit_inode *inode, const char *name)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	struct progress_bar *bar = NULL;
	bool is_drawn = !r->command->is_quiet && !r->command->is_dry_run && !r->command->verbosity;
	int err;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	progress_begin(&r->progress, "restore", 0, 0);
	(void)progress_bar_start(is_drawn ? r->command->progress : PROGRESS_NEVER, sample_progress, r, &bar);
	r->open->has_bar = bar != NULL;
	err = restore_tree(r, inode, name);
	progress_bar_stop(bar);
	r->open->has_bar = false;
	if (err == -ECANCELED)
		return report_error(r->command->open.name, "stopped; what was extracted so far is kept");
	return err ? report_error(r->command->open.name, "%s", strerror(-err)) : 0;
}

static int run(struct restore *r, const char *dest)
{
	_free_ char *owned = NULL;
	const char *path = r->command->path ? r->command->path : "/", *name = strrchr(path, '/');
	struct btrkit_error error = { 0 };
	struct btrkit_inode top, inode;
	struct btrkit_stat st;
	bool is_dir;
	int err = resolve_top(r->fs, r->command->subvol, &top, &error);

	if (!err)
		err = resolve_path(r->fs, &top, path, false, &inode, &error);
	if (err)
		return report_error(r->command->open.name, "%s", error.text);
	/* Where the inode cannot be read, there may still be what a directory holds. */
	is_dir = btrkit_stat(r->fs, &inode, &st, &error) < 0 || S_ISDIR(st.mode);
	if (make_workers(r) < 0)
		return report_error(r->command->open.name, "out of memory");
	allow_many_descriptors();
	name = name ? name + 1 : path;
	err = open_destination(r, dest, is_dir, &name, &owned);
	if (!err)
		err = extract(r, &inode, name);
	if (!err && reason_of_doubt(r->fs))
		restore_lose(r, "%s", reason_of_doubt(r->fs));
	if (!err)
		print_result(r);
	if (err || r->nr_errors > r->nr_lost)
		return EXIT_FAILED;
	return r->nr_lost ? status_of_loss(r->fs) : 0;
}

int cmd_restore(int argc, char **argv)
{
	const struct option_table *table = &restore_option_table;
	struct restore_command command = { .open = { .name = table->command, .takes_sources = true } };
	struct restore r = { .command = &command, .open = &command.open, .cancel = &signalled, .dest_fd = -1 };
	int first, status;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < 2)
		return usage_error(table, "a device or image file and a destination are needed");
	if (command.is_json && (command.verbosity || !json_is_available()))
		return usage_error(table, "--json %s", command.verbosity ? "and --verbose exclude each other" : "was not built in");
	if (open_filesystem(&command.open, argv + first, argc - first - 1, &r.fs) < 0)
		return EXIT_FAILED;
	status = run(&r, argv[argc - 1]);
	restore_done(&r);
	btrkit_fs_close(r.fs);
	return status;
}
