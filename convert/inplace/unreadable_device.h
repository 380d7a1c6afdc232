/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer over a device of which it is known what cannot be read. Reads that touch any of that fail at once: a failing disk takes many
 * seconds for each, and what it gives once in ten times must not be there for one step and lacking for the next.
 */
#ifndef BTRKIT_CONVERT_INPLACE_UNREADABLE_DEVICE_H
#define BTRKIT_CONVERT_INPLACE_UNREADABLE_DEVICE_H

#include "convert/inplace/space_plan.h"
#include "kernel-shared/device/blockdev.h"

/*
 * @below and @known stay the caller's, and must outlive the layer; @known changes only while nobody reads. Writes, and what else there is,
 * pass. -ENOMEM.
 */
int unreadable_device_new(struct blockdev *below, const struct space_ranges *known, struct blockdev **ret_dev);

#endif
