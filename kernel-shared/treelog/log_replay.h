/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The replay as a whole, of a filesystem that is open. */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_LOG_REPLAY_H
#define BTRKIT_KERNEL_SHARED_TREELOG_LOG_REPLAY_H

#include "kernel-shared/treelog/opened.h"

/*
 * Replay the log of @fs, opened by fs_open_for_log() or on overlays, and commit. Afterwards @fs is as one that was opened for
 * reading. @losses, unless NULL: the log has some, and they are accepted; called with the log before anything is changed.
 * -ENOENT: there is no log; -EUCLEAN: it has losses.
 */
typedef int (*log_losses_fn)(void *ctx, const struct btrkit_log *log);
int log_replay_open_fs(struct btrkit_fs *fs, log_losses_fn losses, void *ctx, struct diag *d);

#endif
