/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The run of a restripe: step after step, each of which commits by itself, so that it can end between any two. */
#include "kernel-shared/build/job.h"
#include "kernel-shared/relocate/restripe.h"

typedef unsigned long long ull;

struct run {
	struct relocate relocate;
	struct btrkit_fs *fs;
	const struct btrkit_restripe_options *options;
	struct restripe_plan *plan;
};

static const char *way_name(enum relocate_way way)
{
	static const char *const names[] = {
		[RELOCATE_NOTHING] = "nothing", [RELOCATE_REMOVE] = "remove", [RELOCATE_SHORTEN] = "shorten",
		[RELOCATE_DROP] = "drop",	[RELOCATE_CHUNK] = "chunk",   [RELOCATE_EXTENTS] = "extents",
	};

	return names[way];
}

void restripe_tell(const struct btrkit_restripe_options *options, const struct restripe_plan *plan,
		   const struct restripe_step *step)
{
	const struct btrkit_restripe_chunk chunk = {
		.logical = step->logical,
		.length = step->length,
		.used_bytes = step->used_bytes,
		.kind = chunk_kind_name(step->type),
		.from = profile_by_flags(step->type)->name,
		.to = profile_by_flags(step->profile)->name,
		.way = way_name(step->way),
		.written_bytes = step->written_bytes,
		.is_done = step->is_done,
		.counts = plan->sums.counts,
	};

	if (options->chunk)
		options->chunk(options->arg, &chunk);
}

static void count_way(struct btrkit_restripe_result *sums, enum relocate_way way)
{
	if (way == RELOCATE_DROP)
		sums->nr_dropped++;
	else if (way == RELOCATE_CHUNK)
		sums->nr_moved++;
	else if (way == RELOCATE_EXTENTS)
		sums->nr_emptied++;
	else if (way == RELOCATE_REMOVE)
		sums->nr_removed++;
}

static void finish_step(struct run *run, struct restripe_step *step)
{
	step->is_done = true;
	run->plan->sums.counts.completed++;
	count_way(&run->plan->sums, step->way);
	progress_add(run->relocate.progress, 0, 1);
	restripe_tell(run->options, run->plan, step);
}

static int look_for_cancel(const struct run *run)
{
	return cancel_is_requested(run->relocate.cancel) ? -ECANCELED : 0;
}

/* --- One chunk ---------------------------------------- */

static int move_one(struct run *run, struct restripe_step *step, struct diag *d)
{
	struct relocate_step done = { 0 };
	int err;

	err = relocate_group(&run->relocate, step->logical, step->profile, step->may_keep, &done, d);
	if (!err)
		step->way = done.way;
	relocate_step_done(&done);
	return err;
}

/* --- Emptying ---------------------------------------- */

static bool is_to_empty(const struct restripe_step *step)
{
	return !step->is_done && step->way == RELOCATE_EXTENTS && !step->is_kept_empty;
}

/* Nothing new comes into groups that are to be emptied. */
static int close_groups(struct run *run, bool is_closed, struct diag *d)
{
	array_for_each (&run->plan->steps, step) {
		int err = 0;

		if (is_to_empty(step))
			err = txn_close_group(run->fs->txn, step->logical, is_closed, d);
		if (err)
			return err;
	}
	return 0;
}

static int empty_groups(struct run *run, const u64 *logicals, size_t nr, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++)
		err = txn_close_group(run->fs->txn, logicals[i], true, d);
	return err ? err : move_extents(&run->relocate, logicals, nr, d);
}

/* Those that have gone are done. */
static void finish_emptied(struct run *run)
{
	array_for_each (&run->plan->steps, step) {
		const struct chunk *chunk = chunk_map_find(run->fs->volume->chunks, step->logical);

		if (is_to_empty(step) && (!chunk || chunk->logical != step->logical))
			finish_step(run, step);
	}
}

/* Of those that have not been tried, the one with least in use; NULL: there is none. */
static struct restripe_step *emptiest(struct run *run)
{
	struct restripe_step *best = NULL;

	array_for_each (&run->plan->steps, step) {
		if (!is_to_empty(step) || step->is_tried)
			continue;
		(void)txn_group_used_bytes(run->fs->txn, step->logical, &step->used_now_bytes, NULL); /* as it was before */
		if (!best || step->used_now_bytes < best->used_now_bytes)
			best = step;
	}
	if (best)
		best->is_tried = true;
	return best;
}

/* One by one, where together they need more room than there is; each gives back its own. */
static int empty_singly(struct run *run, struct diag *d)
{
	struct restripe_step *step;
	bool has_failed = false;
	int err = close_groups(run, false, d);

	array_for_each (&run->plan->steps, each)
		each->is_tried = false;
	while (!err && (step = emptiest(run))) {
		err = look_for_cancel(run);
		if (!err)
			err = empty_groups(run, &step->logical, 1, d);
		if (err == -ENOSPC) {
			has_failed = true;
			diag_clear(d);
			err = txn_close_group(run->fs->txn, step->logical, false, d);
		}
		finish_emptied(run);
	}
	return !err && has_failed ? -ENOSPC : err;
}

struct logicals {
	ARRAY(u64) list;
};

/* All together: what refers to them is looked up once. */
static int empty_all(struct run *run, struct diag *d)
{
	struct logicals logicals = { 0 };
	int err = 0;

	array_for_each (&run->plan->steps, step)
		if (is_to_empty(step) && array_push(&logicals.list, step->logical) < 0)
			err = diag_no_memory(d, "a list of chunks");
	if (!err && logicals.list.len)
		err = empty_groups(run, logicals.list.items, logicals.list.len, d);
	array_done(&logicals.list);
	finish_emptied(run);
	if (err != -ENOSPC)
		return err;
	diag_clear(d);
	return empty_singly(run, d);
}

/* --- All ---------------------------------------- */

/* One round; what finds no room waits for the next. */
static int move_round(struct run *run, bool *ret_did, struct diag *d)
{
	*ret_did = false;
	for (size_t i = 0; i < run->plan->steps.len; i++) {
		struct restripe_step *step = &run->plan->steps.items[i];
		int err = look_for_cancel(run);

		if (!err && !step->is_done && !is_to_empty(step))
			err = move_one(run, step, d);
		else if (!err)
			continue;
		if (err == -ENOSPC) {
			diag_clear(d);
			continue;
		}
		if (err)
			return err;
		*ret_did = true;
		finish_step(run, step);
	}
	return 0;
}

static u64 nr_left(const struct run *run)
{
	u64 nr = 0;

	array_for_each (&run->plan->steps, step)
		nr += !step->is_done;
	return nr;
}

static int run_steps(struct run *run, struct diag *d)
{
	bool did = true;
	int err = 0;

	while (did && !err && nr_left(run)) {
		u64 before = nr_left(run);

		err = move_round(run, &did, d);
		if (!err)
			err = empty_all(run, d);
		if (err == -ENOSPC)
			err = 0;
		did = nr_left(run) < before;
	}
	if (!err && nr_left(run))
		err = diag_fail(d, -ENOSPC, "there is no room for %llu of %llu chunks", (ull)nr_left(run),
				(ull)run->plan->steps.len);
	return err;
}

int restripe_run(const struct relocate *relocate, const struct btrkit_restripe_options *options, struct restripe_plan *plan,
		 struct diag *d)
{
	struct run run = { .relocate = *relocate, .fs = relocate->fs, .options = options, .plan = plan };

	progress_begin(run.relocate.progress, "restripe", plan->sums.used_bytes, plan->steps.len);
	return run_steps(&run, d);
}
