/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public door of restriping: start, resume, cancel and status, and what is common to them. */
#include <errno.h>
#include <stdio.h>

#include "kernel-shared/build/job.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/relocate/restripe.h"

typedef unsigned long long ull;

void btrkit_restripe_options_init_size(struct btrkit_restripe_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

/* Space of a device that chunks took when the run began. */
struct taken_space {
	u64 devid, from, end;
};

struct taken_spaces {
	ARRAY(struct taken_space) list;
};

struct restripe {
	struct btrkit_restripe_options options;
	struct btrkit_fs *fs;
	struct restripe_filters filters;
	struct restripe_filters record; /* as it is, or will be, in the filesystem */
	bool is_recorded;
	u64 devids[RESTRIPE_DEVID_MAX]; /* recorded */
	struct restripe_plan plan;
	struct taken_spaces before; /* with do_discard */
	u64 first_new_logical; /* chunks from here on are of this run */
	bool is_resumed;
};

/* --- Opening ---------------------------------------- */

static int open_to_change(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *from,
			  const struct btrkit_restripe_options *with, struct btrkit_fs **ret_fs, struct diag *d)
{
	struct btrkit_open_options options;

	btrkit_open_options_init(&options);
	if (from)
		memcpy(&options, from, MIN(from->struct_size, sizeof(options)));
	options.is_writable = true;
	options.is_overlaid = with && with->is_dry_run;
	options.refuse_missing = true;
	if (!options.cache_bytes)
		options.cache_bytes = RELOCATE_CACHE_BYTES;
	return fs_open_paths(paths, nr_paths, &options, false, ret_fs, d);
}

/* --- Rules ---------------------------------------- */

static int set_rules(struct restripe *restripe, struct diag *d)
{
	static const u64 types[RESTRIPE_KINDS] = { BLOCK_GROUP_DATA, BLOCK_GROUP_METADATA, BLOCK_GROUP_SYSTEM };
	struct txn *txn = restripe->fs->txn;

	for (unsigned kind = 0; kind < RESTRIPE_KINDS; kind++)
		if ((restripe->filters.flags & restripe_kind_flag(kind)) &&
		    (restripe->filters.kind[kind].flags & BALANCE_ARGS_CONVERT))
			txn_set_profile(txn, types[kind], restripe_profile_of_bit(restripe->filters.kind[kind].target));
	array_for_each (&restripe->fs->volume->devices->devices, device) {
		int err = 0;

		if (!restripe_may_use(&restripe->options, device->devid))
			err = txn_limit_device(txn, device->devid, 0, d);
		if (err)
			return err;
	}
	return 0;
}

/* --- What is left behind ---------------------------------------- */

static int remember_space(struct restripe *restripe, struct diag *d)
{
	const struct chunk_map *chunks = restripe->fs->volume->chunks;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		restripe->first_new_logical = chunk->logical + chunk->length;
		for (u16 s = 0; s < chunk->num_stripes && restripe->options.do_discard; s++) {
			u64 from = chunk->stripe[s].physical;

			if (array_push(&restripe->before.list, (struct taken_space){ chunk->stripe[s].devid, from,
										     from + chunk->stripe_bytes }) < 0)
				return diag_no_memory(d, "device space");
		}
	}
	return 0;
}

/* Is there another chunk of the kinds of @chunk? */
static bool has_another(const struct chunk_map *chunks, const struct chunk *chunk)
{
	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *other = chunk_map_at(chunks, i);

		if (other != chunk && (other->type & BLOCK_GROUP_TYPE_MASK) == (chunk->type & BLOCK_GROUP_TYPE_MASK))
			return true;
	}
	return false;
}

/* An empty chunk that this run has made, or the one that it goes on with. */
static bool is_left_over(struct restripe *restripe, const struct chunk *chunk)
{
	u64 used = 1;

	if (!(restripe->filters.flags & restripe_kind_flag(restripe_kind_of(chunk->type))) ||
	    (!restripe->is_resumed && chunk->logical < restripe->first_new_logical) ||
	    !has_another(restripe->fs->volume->chunks, chunk))
		return false;
	return txn_group_used_bytes(restripe->fs->txn, chunk->logical, &used, NULL) == 0 && used == 0;
}

static int remove_left_overs(struct restripe *restripe, struct relocate *relocate, struct diag *d)
{
	const struct chunk_map *chunks = restripe->fs->volume->chunks;

	for (size_t i = chunk_map_count(chunks); i-- > 0;) {
		int err;

		/* A cache that went with one may have been all that another had. */
		if (i >= chunk_map_count(chunks) || !is_left_over(restripe, chunk_map_at(chunks, i)))
			continue;
		err = relocate_remove_empty(relocate, chunk_map_at(chunks, i)->logical, d);
		if (err)
			return err;
		restripe->plan.sums.nr_removed++;
	}
	return 0;
}

/* --- Discarding ---------------------------------------- */

struct cut_range {
	u64 from, end;
};

/* The first of [*from, end) that is not to be discarded, as chunks or superblocks have it. */
static struct cut_range first_kept(const struct chunk_map *chunks, u64 devid, u64 from, u64 end)
{
	struct cut_range found = { end, end };

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++) {
			u64 start = chunk->stripe[s].physical, stop = start + chunk->stripe_bytes;

			if (chunk->stripe[s].devid == devid && start < found.from && stop > from)
				found = (struct cut_range){ MAX(start, from), stop };
		}
	}
	for (unsigned mirror = 0; mirror < SUPER_MIRROR_MAX; mirror++) {
		u64 start = super_mirror_physical(mirror), stop = start + STRIPE_LEN_BYTES;

		if (start < found.from && stop > from)
			found = (struct cut_range){ MAX(start, from), stop };
	}
	return found;
}

/* What chunks took and no longer do. Advisory: a device that cannot do it loses nothing. */
static void discard_space(struct restripe *restripe, struct diag *d)
{
	array_for_each (&restripe->before.list, space) {
		const struct device *device = device_set_find(restripe->fs->volume->devices, space->devid, NULL);
		u64 at = space->from;

		while (device && device->dev && at < space->end) {
			struct cut_range kept = first_kept(restripe->fs->volume->chunks, space->devid, at, space->end);

			if (kept.from > at && blockdev_discard(device->dev, at, kept.from - at, d) < 0) {
				diag_note(d, DIAG_WARNING, "%s: space that is free now is not discarded: %s", device->dev->name,
					  d ? d->text : "");
				diag_clear(d);
				return;
			}
			at = MAX(kept.end, at + 1);
		}
	}
}

/* --- A run ---------------------------------------- */

/* As planned, or, if it has run, as it is. */
static void tell_devices(const struct restripe *restripe, bool has_run)
{
	array_for_each (&restripe->plan.devices, entry) {
		const struct device *device = device_set_find(restripe->fs->volume->devices, entry->devid, NULL);
		const struct btrkit_restripe_device told = {
			.devid = entry->devid,
			.path = device && device->dev ? device->dev->name : NULL,
			.total_bytes = device ? device->total_bytes : 0,
			.before_bytes = entry->before_bytes,
			.after_bytes = has_run ? chunk_map_allocated_on(restripe->fs->volume->chunks, entry->devid) : entry->after_bytes,
		};

		if (restripe->options.device)
			restripe->options.device(restripe->options.arg, &told);
	}
}

static int make_plan(struct restripe *restripe, struct diag *d)
{
	int err = restripe_judge(restripe->fs, &restripe->options, &restripe->filters, d);

	if (!err)
		err = set_rules(restripe, d);
	if (!err)
		err = remember_space(restripe, d);
	if (!err)
		err = restripe_plan_make(restripe->fs, &restripe->options, &restripe->filters, &restripe->plan, d);
	restripe->plan.sums.counts.considered = chunk_map_count(restripe->fs->volume->chunks);
	if (err || restripe->options.is_dry_run)
		tell_devices(restripe, false);
	return err;
}

static void tell_plan(struct restripe *restripe)
{
	array_for_each (&restripe->plan.steps, step) {
		struct btrkit_restripe_result *sums = &restripe->plan.sums;

		sums->nr_dropped += step->way == RELOCATE_DROP;
		sums->nr_moved += step->way == RELOCATE_CHUNK;
		sums->nr_emptied += step->way == RELOCATE_EXTENTS;
		sums->nr_removed += step->way == RELOCATE_REMOVE;
		restripe_tell(&restripe->options, &restripe->plan, step);
	}
}

static int say_interrupted(struct restripe *restripe, int err, struct diag *d)
{
	const struct btrkit_restripe_counts *counts = &restripe->plan.sums.counts;

	if (err == -ECANCELED) {
		diag_clear(d);
		diag_fail(d, err, "interrupted");
	}
	return diag_context(d, err, "paused with %llu of %llu chunks done, and can be resumed or cancelled",
			    (ull)counts->completed, (ull)counts->expected);
}

/* The record is there. */
static int run_recorded(struct restripe *restripe, struct diag *d)
{
	struct btrkit_job *job = restripe->options.job;
	_cleanup_(pool_freep) struct pool *pool = NULL;
	struct relocate relocate = {
		.fs = restripe->fs,
		.cancel = job ? &job->cancel : NULL,
		.progress = job ? &job->progress : NULL,
	};
	int err = 0;

	restripe->plan.sums.has_begun = true;
	if (pool_new(restripe->options.threads, relocate.cancel, &pool) < 0)
		err = diag_no_memory(d, "threads");
	relocate.pool = pool;
	if (!err)
		err = restripe_run(&relocate, &restripe->options, &restripe->plan, d);
	if (!err)
		err = remove_left_overs(restripe, &relocate, d);
	if (!err)
		err = restripe_item_delete(restripe->fs, d);
	if (!err)
		err = txn_commit(restripe->fs->txn, d);
	tell_devices(restripe, true);
	if (restripe->options.do_discard && err != -ESHUTDOWN)
		discard_space(restripe, err ? NULL : d);
	return err ? say_interrupted(restripe, err, d) : 0;
}

static int run_planned(struct restripe *restripe, struct diag *d)
{
	int err = make_plan(restripe, d);

	if (err)
		return err;
	if (restripe->options.is_dry_run) {
		tell_plan(restripe);
		return 0;
	}
	if (!restripe->is_recorded) {
		err = restripe_item_write(restripe->fs, &restripe->record, d);
		if (!err)
			err = txn_commit(restripe->fs->txn, d);
		if (err)
			return err;
	}
	return run_recorded(restripe, d);
}

/* Devices that are named count from now on; else those that are recorded do. */
static void take_devices(struct restripe *restripe, struct diag *d)
{
	struct btrkit_restripe_options *options = &restripe->options;

	if (options->nr_devids) {
		struct restripe_filters before = restripe->record;

		if (restripe_filters_set_devices(&restripe->record, options->devids, options->nr_devids))
			diag_note(d, DIAG_WARNING, "devices are not recorded, as one has a higher id than %d: to resume, name them again",
				  RESTRIPE_DEVID_MAX);
		restripe->is_recorded &= memcmp(&before, &restripe->record, sizeof(before)) == 0;
	} else {
		options->nr_devids = restripe_filters_devices(&restripe->record, restripe->devids);
		options->devids = restripe->devids;
	}
}

static int begin(struct restripe *restripe, const char *const *paths, size_t nr_paths,
		 const struct btrkit_open_options *open_options, struct diag *d)
{
	int err;

	if (!restripe->is_resumed) {
		err = restripe_take_filters(&restripe->options, &restripe->filters, d);
		if (err)
			return err;
	}
	err = open_to_change(paths, nr_paths, open_options, &restripe->options, &restripe->fs, d);
	if (err)
		return err;
	err = restripe_item_read(restripe->fs, &restripe->record, d);
	if (err < 0)
		return err;
	restripe->is_recorded = err == 0;
	if (restripe->is_resumed && !restripe->is_recorded)
		return diag_fail(d, -ENOENT, "nothing is interrupted: there is nothing to resume");
	if (!restripe->is_resumed && restripe->is_recorded)
		return diag_fail(d, -EBUSY, "a restripe or a balance was interrupted: it has to be resumed or cancelled first");
	if (!restripe->is_resumed)
		restripe->record = restripe->filters;
	take_devices(restripe, d);
	restripe->filters = restripe->record;
	if (restripe->is_resumed && !restripe->options.nr_devids)
		restripe_filters_resume(&restripe->filters);
	return 0;
}

static int start_or_resume(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *open_options,
			   const struct btrkit_restripe_options *options, bool is_resumed,
			   struct btrkit_restripe_result *ret_result, struct btrkit_error *error)
{
	struct restripe restripe = { .is_resumed = is_resumed };
	struct fs_note note;
	struct diag d;
	int err;

	memcpy(&restripe.options, options, MIN(options->struct_size, sizeof(restripe.options)));
	note = (struct fs_note){ restripe.options.note, restripe.options.note_arg };
	fs_diag_init(&note, &d);
	err = begin(&restripe, paths, nr_paths, open_options, &d);
	if (!err)
		err = run_planned(&restripe, &d);
	if (ret_result)
		*ret_result = restripe.plan.sums;
	restripe_plan_done(&restripe.plan);
	array_done(&restripe.before.list);
	btrkit_fs_close(restripe.fs);
	return fs_error(error, &d, err);
}

int btrkit_restripe_start(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *open_options,
			  const struct btrkit_restripe_options *options, struct btrkit_restripe_result *ret_result,
			  struct btrkit_error *error)
{
	return start_or_resume(paths, nr_paths, open_options, options, false, ret_result, error);
}

int btrkit_restripe_resume(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *open_options,
			   const struct btrkit_restripe_options *options, struct btrkit_restripe_result *ret_result,
			   struct btrkit_error *error)
{
	return start_or_resume(paths, nr_paths, open_options, options, true, ret_result, error);
}

/* --- The record alone ---------------------------------------- */

static int forget(struct btrkit_fs *fs, struct diag *d)
{
	struct restripe_filters filters;
	int err = restripe_item_read(fs, &filters, d);

	if (err == 1)
		return diag_fail(d, -ENOENT, "nothing is interrupted: there is nothing to cancel");
	/* What it says does not matter now. */
	diag_clear(d);
	err = restripe_item_delete(fs, d);
	return err ? err : txn_commit(fs->txn, d);
}

int btrkit_restripe_cancel(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *open_options,
			   struct btrkit_error *error)
{
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *fs = NULL;
	struct fs_note note = { 0 };
	struct diag d;
	int err;

	if (open_options)
		note = (struct fs_note){ open_options->note, open_options->note_arg };
	fs_diag_init(&note, &d);
	err = open_to_change(paths, nr_paths, open_options, NULL, &fs, &d);
	if (!err)
		err = forget(fs, &d);
	return fs_error(error, &d, err);
}

static int read_used(struct btrkit_fs *fs, u64 logical, u64 length, u64 *ret_used, struct diag *d)
{
	const struct key key = { logical, BLOCK_GROUP_ITEM_KEY, length };
	bool has_tree = le64_get(fs->super.compat_ro_flags) & COMPAT_RO_BLOCK_GROUP_TREE;
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	struct tree tree;
	int err = fs_tree(fs, has_tree ? BLOCK_GROUP_TREE_OBJECTID : EXTENT_TREE_OBJECTID, &tree, d);

	if (err)
		return err;
	cursor = cursor_init(&tree);
	err = cursor_find(&cursor, &key, d);
	if (err == 1)
		err = diag_fail(d, -EUCLEAN, "there is no block group %llu", (ull)logical);
	if (!err)
		*ret_used = le64_get(((const struct disk_block_group_item *)cursor_data(&cursor))->used);
	return err;
}

static int count_left(struct btrkit_fs *fs, const struct restripe_filters *filters, struct btrkit_restripe_status *status,
		      struct diag *d)
{
	size_t nr = chunk_map_count(fs->volume->chunks);
	_free_ struct restripe_chunk *list = calloc(MAX(nr, (size_t)1), sizeof(*list));
	int err = 0;

	if (!list)
		return diag_no_memory(d, "a list of chunks");
	for (size_t i = 0; i < nr && !err; i++) {
		list[i].chunk = chunk_map_at(fs->volume->chunks, i);
		err = read_used(fs, list[i].chunk->logical, list[i].chunk->length, &list[i].used_bytes, d);
	}
	if (err)
		return err;
	restripe_choose(filters, list, nr);
	for (size_t i = 0; i < nr; i++) {
		bool is_left = list[i].is_chosen && !restripe_is_where_it_shall_be(filters, list[i].chunk);

		status->nr_left += is_left;
		status->left_bytes += is_left ? list[i].used_bytes : 0;
	}
	return 0;
}

/* "1,3", as an option has it. */
static void format_devices(const struct restripe_filters *filters, char *text, size_t cap)
{
	u64 devids[RESTRIPE_DEVID_MAX];
	size_t nr = restripe_filters_devices(filters, devids), len = 0;

	for (size_t i = 0; i < nr && len < cap; i++)
		len += (size_t)snprintf(text + len, cap - len, "%s%llu", i ? "," : "", (ull)devids[i]);
}

static int read_status(struct btrkit_fs *fs, struct btrkit_restripe_status *status, struct diag *d)
{
	struct restripe_filters filters;
	int err = restripe_item_read(fs, &filters, d);

	if (err < 0)
		return err;
	if (err == 1)
		return diag_fail(d, -ENOENT, "nothing is interrupted");
	status->has_data = filters.flags & BALANCE_DATA;
	status->has_metadata = filters.flags & BALANCE_METADATA;
	status->has_system = filters.flags & BALANCE_SYSTEM;
	status->is_forced = filters.flags & BALANCE_FORCE;
	restripe_filter_format(&filters.kind[RESTRIPE_DATA], status->data, sizeof(status->data));
	restripe_filter_format(&filters.kind[RESTRIPE_METADATA], status->metadata, sizeof(status->metadata));
	restripe_filter_format(&filters.kind[RESTRIPE_SYSTEM], status->system, sizeof(status->system));
	format_devices(&filters, status->devices, sizeof(status->devices));
	restripe_filters_resume(&filters);
	return count_left(fs, &filters, status, d);
}

int btrkit_restripe_get_status(struct btrkit_fs *fs, struct btrkit_restripe_status *ret_status, size_t struct_size,
			       struct btrkit_error *error)
{
	struct btrkit_restripe_status status = { 0 };
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = fs_check_is_btrfs(fs, &d);
	if (!err)
		err = read_status(fs, &status, &d);
	if (!err)
		memcpy(ret_status, &status, MIN(struct_size, sizeof(status)));
	return fs_error(error, &d, err);
}
