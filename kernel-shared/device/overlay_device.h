/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer that keeps writes in memory and leaves the device below as it is: what a dry run, a check with the log
 * replayed, and tests work on.
 */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_OVERLAY_DEVICE_H
#define BTRKIT_KERNEL_SHARED_DEVICE_OVERLAY_DEVICE_H

#include "kernel-shared/device/blockdev.h"

/* A writable layer over @below, which it takes over and only reads. -ENOMEM: @below stays the caller's. */
int overlay_device_new(struct blockdev *below, struct blockdev **ret_dev);

/* Bytes of memory that its changes take. */
u64 overlay_device_changed_bytes(const struct blockdev *dev);

#endif
