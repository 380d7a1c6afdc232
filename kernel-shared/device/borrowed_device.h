/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device that somebody else owns, for those who take over and close what they are given. */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_BORROWED_DEVICE_H
#define BTRKIT_KERNEL_SHARED_DEVICE_BORROWED_DEVICE_H

#include "kernel-shared/device/blockdev.h"

/* @owned must outlive it. -ENOMEM. */
int borrowed_device_new(struct blockdev *owned, struct blockdev **ret_dev);

#endif
