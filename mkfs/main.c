/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit mkfs`: read the sources, make the filesystem, tell what was made. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "mkfs/lzo2.h"
#include "common/cli/interrupt.h"
#include "common/cli/report.h"
#include "mkfs/options.h"

#define COMMAND "btrkit mkfs"

struct run {
	struct mkfs_command command;
	struct btrkit_mkfs_device *devices;
	size_t nr_devices;
	struct btrkit_content *content;
	struct source *sources;
	struct btrkit_job *job;
	struct progress scan; /* of reading the sources; the job's own begins later */
	struct cancel cancel;
	bool has_job_begun;
	struct progress_bar *bar;
	struct btrkit_mkfs_plan *plan;
};

static void sample_progress(void *ctx, struct progress_sample *ret)
{
	struct run *run = ctx;
	struct btrkit_job_state state = { 0 };

	btrkit_job_read(run->job, &state);
	if (state.phase) {
		*ret = (struct progress_sample){ state.phase, state.done_bytes, state.total_bytes, state.done_files,
						 state.total_files };
		return;
	}
	*ret = (struct progress_sample){
		.phase = run->scan.phase,
		.done_bytes = run->scan.done_bytes,
		.done_files = run->scan.done_files,
	};
}

static void warn(void *arg, const char *text)
{
	(void)arg;
	report_warning(COMMAND, "%s, left out", text);
}

static void note(void *arg, enum btrkit_severity severity, const char *text)
{
	const struct mkfs_command *command = arg;

	if (severity == BTRKIT_WARNING)
		report_warning(COMMAND, "%s", text);
	else if (command->verbosity && !command->is_quiet)
		fprintf(stderr, COMMAND ": %s\n", text);
}

static const char *spool_dir(const struct mkfs_command *command)
{
	const char *tmpdir = command->tmpdir ? command->tmpdir : getenv("TMPDIR");

	return tmpdir && tmpdir[0] ? tmpdir : "/var/tmp";
}

/* --- Content ------------------------------------------------------------------------------------------ */

/*
 * "SRC" or "SRC:/DEST": the part after the last ":/" is the destination, unless the whole is something that exists.
 * *ret_dest points into @rootdir.
 */
static char *split_rootdir(const char *rootdir, const char **ret_dest)
{
	const char *split = NULL;
	struct stat st;

	*ret_dest = "";
	if (stat(rootdir, &st) < 0)
		for (const char *at = rootdir; (at = strstr(at, ":/")); at++)
			split = at;
	if (!split)
		return strdup(rootdir);
	*ret_dest = split + 1;
	return strndup(rootdir, (size_t)(split - rootdir));
}

static int add_rootdir(struct run *run, const char *rootdir, const struct source_options *options, struct diag *d)
{
	const char *dest;
	_free_ char *path = split_rootdir(rootdir, &dest);
	struct source *source = NULL;
	btrkit_node node;
	struct stat st;
	int err;

	if (!path)
		return diag_no_memory(d, rootdir);
	err = source_make_directory(run->content, BTRKIT_TOP_NODE, dest, options, &node, d);
	if (err)
		return err;
	if (strcmp(path, "-") != 0 && stat(path, &st) < 0)
		return diag_fail(d, -errno, "%s: %s", path, strerror(errno));
	if (strcmp(path, "-") != 0 && S_ISDIR(st.st_mode))
		err = source_add_directory(run->content, node, path, options, &source, d);
	else
		err = source_add_file(run->content, node, path, options, &source, d);
	if (source) {
		source->next = run->sources;
		run->sources = source;
	}
	return err;
}

static int find_path(const struct run *run, const char *path, btrkit_node *ret_node, struct diag *d)
{
	btrkit_node node = BTRKIT_TOP_NODE;

	for (const char *at = path; *at;) {
		size_t len = strcspn(at, "/");

		if (len && btrkit_content_lookup(run->content, node, at, len, &node) < 0)
			return diag_fail(d, -ENOENT, "%s: not in the content", path);
		at += len + (at[len] == '/');
	}
	*ret_node = node;
	return 0;
}

static int mark_subvols(struct run *run, struct diag *d)
{
	array_for_each(&run->command.subvols, request) {
		struct btrkit_error error = { 0 };
		btrkit_node node;
		int err = find_path(run, request->path, &node, d);

		if (err)
			return diag_context(d, err, "--subvol");
		if (btrkit_content_set_subvol(run->content, node, request->flags, &error) < 0)
			return diag_from_error(d, &error);
	}
	return 0;
}

static bool is_below(const struct run *run, btrkit_node node, btrkit_node top)
{
	const char *name;
	size_t len;

	while (node != top && node != BTRKIT_TOP_NODE)
		node = btrkit_content_parent(run->content, node, &name, &len);
	return node == top;
}

static int mark_inode_flags(struct run *run, struct diag *d)
{
	array_for_each(&run->command.inode_flags, request) {
		btrkit_node top;
		int err = find_path(run, request->path, &top, d);

		if (err)
			return diag_context(d, err, "--inode-flags");
		for (u64 node = 0; node < btrkit_content_nr_nodes(run->content); node++) {
			struct btrkit_node_attr attr;
			struct btrkit_error error = { 0 };

			btrkit_content_get_attr(run->content, (btrkit_node)node, &attr);
			if ((!S_ISDIR(attr.mode) && !S_ISREG(attr.mode)) || !is_below(run, (btrkit_node)node, top))
				continue;
			attr.inode_flags |= request->flags;
			if (btrkit_content_set_attr(run->content, (btrkit_node)node, &attr, &error) < 0)
				return diag_from_error(d, &error);
		}
	}
	return 0;
}

/* With a seed and no epoch, the newest time of the content stands for "now": the clock must not leak in. */
static void choose_epoch(struct run *run)
{
	struct mkfs_command *command = &run->command;

	if (command->has_epoch || !command->seed)
		return;
	command->has_epoch = true;
	for (u64 node = 0; run->content && node < btrkit_content_nr_nodes(run->content); node++) {
		struct btrkit_node_attr attr;

		btrkit_content_get_attr(run->content, (btrkit_node)node, &attr);
		if (attr.mtime.sec + 1 > command->epoch_sec)
			command->epoch_sec = attr.mtime.sec + 1;
	}
}

static int read_sources(struct run *run, struct diag *d)
{
	const struct mkfs_command *command = &run->command;
	_cleanup_(pool_freep) struct pool *pool = NULL;
	struct source_options options = {
		.owners = &command->owners,
		.ignore_unreadable = command->ignore_unreadable,
		.warn = warn,
		.progress = &run->scan,
		.spool_dir = spool_dir(command),
		.do_keep_small = !command->is_dry_run || command->compress,
	};
	struct timespec now;
	int err = 0;

	if (command->rootdirs.len == 0)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	if (command->has_epoch)
		options.now.sec = command->epoch_sec;
	else if (!command->seed)
		options.now = (struct btrkit_time){ now.tv_sec, (u32)now.tv_nsec };
	if (btrkit_content_new(&run->content) < 0 || pool_new(command->threads, &run->cancel, &pool) < 0)
		return diag_no_memory(d, "the content");
	options.pool = pool;
	progress_begin(&run->scan, "scan", 0, 0);
	array_for_each(&command->rootdirs, rootdir) {
		err = add_rootdir(run, *rootdir, &options, d);
		if (err)
			return err;
	}
	err = mark_subvols(run, d);
	return err ? err : mark_inode_flags(run, d);
}

/* --- Making ------------------------------------------------------------------------------------------- */

static int make(struct run *run, struct diag *d)
{
	const struct mkfs_command *command = &run->command;
	struct btrkit_mkfs_options options;
	struct btrkit_error error = { 0 };

	btrkit_mkfs_options_init(&options);
	for (size_t i = 0; i < run->nr_devices; i++)
		run->devices[i].size_bytes = command->size;
	options.devices = run->devices;
	options.nr_devices = run->nr_devices;
	options.offset_bytes = command->offset;
	options.label = command->label;
	options.fsid = command->fsid;
	options.device_uuid = command->device_uuid;
	options.nodesize = (u32)command->nodesize;
	options.sectorsize = (u32)command->sectorsize;
	options.csum = command->csum;
	options.data_profile = command->data_profile;
	options.metadata_profile = command->metadata_profile;
	options.is_mixed = command->is_mixed;
	options.features = command->features[0] ? command->features : NULL;
	options.seed = command->seed;
	options.has_epoch = command->has_epoch;
	options.epoch_sec = command->epoch_sec;
	options.is_shrink = command->is_shrink;
	options.free_bytes = command->free_bytes;
	options.compress = command->compress;
	options.lzo_compress = lzo2_compress;
	options.spool_dir = spool_dir(command);
	options.use_reflink = command->use_reflink;
	options.no_discard = command->no_discard;
	options.is_forced = command->is_forced;
	options.is_dry_run = command->is_dry_run;
	options.threads = command->threads;
	options.job = run->job;
	options.note = note;
	options.note_arg = &run->command;
	if (btrkit_mkfs(&options, run->content, &run->plan, &error) < 0)
		return diag_from_error(d, &error);
	return 0;
}

static void cancel_job(void *job)
{
	btrkit_job_cancel(job);
}

static int run_all(struct run *run, char **paths, struct diag *d)
{
	int err;

	run->devices = calloc(run->nr_devices, sizeof(*run->devices));
	if (!run->devices || btrkit_job_new(&run->job) < 0)
		return diag_no_memory(d, "devices");
	for (size_t i = 0; i < run->nr_devices; i++)
		run->devices[i].path = paths[i];
	err = progress_bar_start(run->command.is_quiet ? PROGRESS_NEVER : run->command.progress, sample_progress, run,
				 &run->bar);
	if (err)
		return diag_no_memory(d, "the progress line");
	err = read_sources(run, d);
	if (err)
		return err;
	/* Only now: before, nothing was written, and the default action ends the program at once. */
	interrupt_catch(cancel_job, run->job, INTERRUPT_HANGUP);
	choose_epoch(run);
	return make(run, d);
}

static void run_done(struct run *run)
{
	btrkit_mkfs_plan_free(run->plan);
	btrkit_content_free(run->content);
	source_free_all(run->sources);
	interrupt_forget();
	btrkit_job_free(run->job);
	free(run->devices);
	mkfs_command_done(&run->command);
}

int cmd_mkfs(int argc, char **argv)
{
	struct run run = { 0 };
	struct diag d = { 0 };
	int first, status = 0;
	enum options_result result = mkfs_options_parse(argc, argv, &run.command, &first);

	if (result != OPTIONS_RUN) {
		status = options_exit_status(result);
	} else if (run.command.do_version) {
		puts("mkfs.btrfs, part of btrkit " PACKAGE_VERSION);
	} else if (run.command.do_list_features) {
		mkfs_print_features();
	} else {
		run.nr_devices = (size_t)(argc - first);
		status = run_all(&run, argv + first, &d) < 0 ? EXIT_FAILED : 0;
		progress_bar_stop(run.bar);
		if (status)
			report_error(COMMAND, "%s", d.text);
		else if (run.command.is_json)
			mkfs_print_plan_json(&run.command, run.plan);
		else if (!run.command.is_quiet)
			mkfs_print_plan(&run.command, run.plan);
	}
	run_done(&run);
	return status;
}
