/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replaying a log: it is read, planned, and only then is anything changed, in one transaction. */
#include "kernel-shared/treelog/log_replay.h"

#include "kernel-shared/treelog/execute.h"

/* What is lost is no reason to leave the rest, if the caller says so. */
static int accept_losses(const struct btrkit_log *log, log_losses_fn losses, void *ctx, struct diag *d)
{
	const struct treelog_losses *all = &log->plan->losses;

	if (all->list.len == 0)
		return 0;
	if (log->plan->is_unsound)
		return diag_fail(d, -EUCLEAN, "the log cannot be replayed at all: %s",
				 all->text.items + all->list.items[all->list.len - 1].text_at);
	if (losses)
		return losses(ctx, log);
	return diag_fail(d, -EUCLEAN, "the log cannot be replayed entirely, %zu losses; the first: %s", all->list.len,
			 all->text.items + all->list.items[0].text_at);
}

static int execute_and_commit(const struct btrkit_log *log, struct diag *d)
{
	struct txn *txn = log->fs->txn;
	int err = plan_execute(log->plan, log->fs, d);

	if (err)
		return err;
	le64_put(&txn_super(txn)->log_root, 0);
	return txn_commit(txn, d);
}

/*
 * Linux replays a log even where nothing but the space for commits is left: old blocks give that back. What does not fit there either
 * is refused before anything is written.
 */
static int change(const struct btrkit_log *log, struct diag *d)
{
	struct btrkit_fs *fs = log->fs;
	int err = fs_begin_changes(fs, true, d);

	if (!err)
		err = treelog_pin(log->log, fs->txn, d);
	if (!err)
		err = execute_and_commit(log, d);
	if (err != -ENOSPC)
		return err;
	diag_clear(d);
	txn_abort(fs->txn);
	txn_use_reserve(fs->txn);
	return execute_and_commit(log, d);
}

int log_replay_open_fs(struct btrkit_fs *fs, log_losses_fn losses, void *ctx, struct diag *d)
{
	struct btrkit_log log = { .fs = fs };
	int err = treelog_read(fs, &log.log, d);

	if (!err)
		err = plan_make(log.log, &log.plan, d);
	if (!err)
		err = accept_losses(&log, losses, ctx, d);
	if (!err)
		err = change(&log, d);
	plan_free(log.plan);
	treelog_free(log.log);
	fs_end_changes(fs);
	return err;
}

/* --- The public door -------------------------------------------------------------------------------------------------- */

struct telling {
	btrkit_log_loss_fn fn;
	void *arg;
};

static int tell_losses(void *ctx, const struct btrkit_log *log)
{
	const struct telling *telling = ctx;

	return telling->fn ? btrkit_log_loss_for_each(log, telling->fn, telling->arg) : 0;
}

int btrkit_log_replay(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options, bool do_skip_bad,
		      btrkit_log_loss_fn fn, void *arg, struct btrkit_error *error)
{
	struct telling telling = { fn, arg };
	struct btrkit_open_options taken;
	struct btrkit_fs *fs = NULL;
	struct fs_note note;
	struct diag d;
	int err;

	btrkit_open_options_init(&taken);
	if (options)
		memcpy(&taken, options, MIN(options->struct_size, sizeof(taken)));
	note = (struct fs_note){ taken.note, taken.note_arg };
	fs_diag_init(&note, &d);
	err = fs_open_for_log(paths, nr_paths, &taken, &fs, &d);
	if (!err)
		err = log_replay_open_fs(fs, do_skip_bad ? tell_losses : NULL, &telling, &d);
	btrkit_fs_close(fs);
	return fs_error(error, &d, err);
}
