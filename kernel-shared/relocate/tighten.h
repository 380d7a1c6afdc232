/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block groups for data that end where what is in use in them ends: what was free behind that is room for others. Metadata is left
 * as it is, as every commit needs some that is free.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_TIGHTEN_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_TIGHTEN_H

#include "kernel-shared/relocate/device_change.h"
#include "kernel-shared/relocate/space_model.h"

/* Those with a stripe on @devid, in @model and as steps of @plan (NULL: none are wanted). */
int tighten_plan(struct space_model *model, u64 devid, struct btrkit_device_plan *plan, struct diag *d);

/* Do it, in one transaction, and mark the steps of the plan that are done. */
int tighten(struct device_change *change, u64 devid);

#endif
