/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Can an item of a log, by itself, be believed? Beyond what block_check() has found right. */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_JUDGE_H
#define BTRKIT_KERNEL_SHARED_TREELOG_JUDGE_H

#include "kernel-shared/treelog/treelog.h"

/* Refuse the item if it cannot, and record why. -ENOMEM. */
int treelog_judge_item(struct treelog *log, struct treelog_subvol *subvol, struct treelog_item *item);

#endif
