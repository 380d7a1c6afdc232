/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything that lies beyond some place of a device goes elsewhere: planned as values, then done step by step. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_EVACUATE_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_EVACUATE_H

#include "kernel-shared/relocate/device_change.h"
#include "kernel-shared/relocate/space_model.h"

/*
 * What moves if nothing of @devid is to lie at or beyond @end_bytes (0: nothing on it at all), as steps of @plan (NULL: none are
 * wanted); @model has it done afterwards. -ENOSPC: there is no room; @model is in pieces then.
 */
int evacuate_plan(struct space_model *model, u64 devid, u64 end_bytes, struct btrkit_device_plan *plan, struct diag *d);

/*
 * The least end of @devid, in steps of STRIPE_LEN_BYTES or where its last chunk ends now, for which evacuate_plan() finds room for
 * everything; at least DEVICE_LEAST_BYTES. @model stays as it is.
 */
int evacuate_minimum(const struct space_model *model, u64 devid, u64 *ret_bytes, struct diag *d);

/*
 * Do it, a transaction for each block group at least, marking the steps of the plan that are done. Nothing new goes there
 * from then on, whatever fails. -ECANCELED.
 */
int evacuate(struct device_change *change, u64 devid, u64 end_bytes);

/*
 * Can every profile still be had with @nr_devices, but for those of a seed's chunks, which change if need be? -EINVAL, with
 * what it needs and what has to be converted.
 */
int judge_profiles(const struct btrkit_fs *fs, u64 nr_devices, struct diag *d);

#endif
