/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/device_change.h"

#include "kernel-shared/build/job.h"

void btrkit_device_options_init_size(struct btrkit_device_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
	btrkit_open_options_init(&options->open);
}

static int open_fs(struct device_change *change, const char *const *paths, size_t nr_paths)
{
	const struct btrkit_open_options *options = &change->options.open;
	int err;

	if (!change->may_reach_beyond)
		return fs_open_paths(paths, nr_paths, options, false, &change->fs, &change->d);
	err = fs_open_for_log(paths, nr_paths, options, &change->fs, &change->d);
	if (err)
		return err;
	change->fs->may_reach_beyond = true;
	return fs_begin_changes(change->fs, false, &change->d);
}

void device_options_take(const struct btrkit_device_options *from, struct btrkit_device_options *ret_options)
{
	btrkit_device_options_init(ret_options);
	if (from)
		memcpy(ret_options, from, MIN(from->struct_size, sizeof(*ret_options)));
	ret_options->struct_size = sizeof(*ret_options);
}

int device_change_begin(struct device_change *change, const char *operation, const char *const *paths, size_t nr_paths,
			const struct btrkit_device_options *options)
{
	struct btrkit_device_options *taken = &change->options;
	struct cancel *cancel;
	int err;

	device_options_take(options, taken);
	taken->open.is_writable = taken->open.is_exclusive = true;
	taken->open.is_overlaid = taken->is_dry_run;
	if (!taken->open.cache_bytes)
		taken->open.cache_bytes = RELOCATE_CACHE_BYTES;
	change->note = (struct fs_note){ taken->open.note, taken->open.note_arg };
	fs_diag_init(&change->note, &change->d);
	cancel = taken->job ? &taken->job->cancel : NULL;
	err = open_fs(change, paths, nr_paths);
	if (err)
		return err;
	if (pool_new(taken->threads, cancel, &change->pool) < 0)
		return diag_no_memory(&change->d, "threads");
	change->relocate = (struct relocate){
		.fs = change->fs,
		.pool = change->pool,
		.cancel = cancel,
		.progress = taken->job ? &taken->job->progress : NULL,
		.shortens_all = change->may_reach_beyond,
	};
	return device_plan_new(change->fs, operation, &change->plan, &change->d);
}

int device_change_end(struct device_change *change, int err, struct btrkit_device_plan **ret_plan,
		      struct btrkit_error *error)
{
	if (ret_plan)
		*ret_plan = take_ptr(change->plan);
	btrkit_device_plan_free(change->plan);
	pool_free(change->pool);
	btrkit_fs_close(change->fs);
	return fs_error(error, &change->d, err);
}

int device_change_commit(struct device_change *change)
{
	return change->options.is_dry_run ? 0 : txn_commit(change->fs->txn, &change->d);
}
