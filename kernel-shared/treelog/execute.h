/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Doing what a plan says: the steps of a replay, one after the other, in one transaction. */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_EXECUTE_H
#define BTRKIT_KERNEL_SHARED_TREELOG_EXECUTE_H

#include "kernel-shared/treelog/plan.h"
#include "kernel-shared/txn/txn.h"

/*
 * Keep the space of the log, and of the data that it names, from being handed out. Before the transaction changes anything.
 */
int treelog_pin(const struct treelog *log, struct txn *txn, struct diag *d);

/*
 * Do the plan's steps in the running transaction of @fs, whose log it is of; nothing of it is committed yet. On failure the
 * transaction has to be aborted.
 */
int plan_execute(const struct plan *plan, struct btrkit_fs *fs, struct diag *d);

#endif
