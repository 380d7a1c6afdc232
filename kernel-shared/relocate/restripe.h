/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of a restripe share: the item that records it, its plan, and the run. For restripe*.c alone. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_RESTRIPE_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_RESTRIPE_H

#include <btrkit/restripe.h>

#include "kernel-shared/relocate/relocate.h"
#include "kernel-shared/relocate/restripe_filters.h"

/* --- The record (restripe_item.c) ---------------------------------------- */

/* 0; 1: nothing is interrupted. */
int restripe_item_read(struct btrkit_fs *fs, struct restripe_filters *ret_filters, struct diag *d);
/* These are part of the transaction, which the caller commits. */
int restripe_item_write(struct btrkit_fs *fs, const struct restripe_filters *filters, struct diag *d);
int restripe_item_delete(struct btrkit_fs *fs, struct diag *d);

/* --- What is asked (restripe_judge.c) ---------------------------------------- */

/* The filters of @options. -EINVAL; -EPERM: only with force. */
int restripe_take_filters(const struct btrkit_restripe_options *options, struct restripe_filters *ret_filters, struct diag *d);
/* Can this filesystem be asked for that? */
int restripe_judge(const struct btrkit_fs *fs, const struct btrkit_restripe_options *options,
		   const struct restripe_filters *filters, struct diag *d);
/* May the result be on this device? */
bool restripe_may_use(const struct btrkit_restripe_options *options, u64 devid);

/* --- The plan (restripe_plan.c) ---------------------------------------- */

/* One chosen chunk. */
struct restripe_step {
	u64 logical, length, used_bytes;
	u64 type; /* now */
	u64 profile; /* to be */
	enum relocate_way way;
	bool may_keep; /* stripes that are there may stay */
	bool is_kept_empty; /* nothing is in it, but it is the last of its kind and stays, as a sign of the profile */
	u64 written_bytes;
	bool is_done;
	bool is_tried; /* in this round of emptying one by one, by what is in use now: */
	u64 used_now_bytes;
};

struct restripe_device {
	u64 devid, before_bytes, after_bytes;
};

struct restripe_plan {
	ARRAY(struct restripe_step) steps; /* in the order of the run: from the last chunk down */
	ARRAY(struct restripe_device) devices;
	struct btrkit_restripe_result sums;
};
void restripe_plan_done(struct restripe_plan *plan);

/*
 * Choose chunks, and find out, on paper, how each is dealt with and where it will lie. The rules of the transaction are set already.
 * -ENOSPC: some find no room; the text has the numbers.
 */
int restripe_plan_make(struct btrkit_fs *fs, const struct btrkit_restripe_options *options,
		       const struct restripe_filters *filters, struct restripe_plan *ret_plan, struct diag *d);
/* The chunks of @fs with what is in use of each; free(). */
int restripe_list_chunks(struct txn *txn, const struct chunk_map *chunks, struct restripe_chunk **ret_list, struct diag *d);

/* --- The run (restripe_run.c) ---------------------------------------- */

/* Do what is planned, chunk by chunk, each with commits of its own. */
int restripe_run(const struct relocate *relocate, const struct btrkit_restripe_options *options, struct restripe_plan *plan,
		 struct diag *d);

/* Tell the caller of a step. */
void restripe_tell(const struct btrkit_restripe_options *options, const struct restripe_plan *plan,
		   const struct restripe_step *step);

#endif
