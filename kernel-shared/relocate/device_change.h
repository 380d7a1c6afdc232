/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all operations on devices begin and end with. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_DEVICE_CHANGE_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_DEVICE_CHANGE_H

#include "kernel-shared/relocate/device_plan.h"

/* An operation that is going on. Zero-initialised but for what says otherwise; it must not move, as threads and notes refer to it. */
struct device_change {
	bool may_reach_beyond; /* set by the caller: chunks may reach beyond the ends of their devices */
	struct btrkit_device_options options;
	struct fs_note note;
	struct diag d; /* of the whole operation */
	struct btrkit_fs *fs; /* owned; open for changes, on overlays in a dry run */
	struct pool *pool; /* owned */
	struct relocate relocate;
	struct btrkit_device_plan *plan; /* owned */
};

/* The caller's options, who may have been compiled with an older or newer header; NULL: the defaults. */
void device_options_take(const struct btrkit_device_options *from, struct btrkit_device_options *ret_options);

/* Take @options, open the filesystem and begin the plan. device_change_end() in any case. */
int device_change_begin(struct device_change *change, const char *operation, const char *const *paths, size_t nr_paths,
			const struct btrkit_device_options *options);

/* Close everything, hand out the plan (@ret_plan may be NULL) and the failure @err; returns @err. */
int device_change_end(struct device_change *change, int err, struct btrkit_device_plan **ret_plan,
		      struct btrkit_error *error);

/* Commit what has changed. In a dry run: nothing. */
int device_change_commit(struct device_change *change);

#endif
