/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests: a layer over a device of which some places cannot be read, as of a failing disk. */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_FAULT_DEVICE_H
#define BTRKIT_KERNEL_SHARED_DEVICE_FAULT_DEVICE_H

#include "common/base/array.h"
#include "kernel-shared/device/blockdev.h"

struct fault {
	unsigned device; /* number that the layer was made with */
	u64 physical, len_bytes;
};

/* Shared by the layers over several devices; the caller's, changed only while nobody reads. Zero-initialise. */
struct fault_list {
	ARRAY(struct fault) faults;
};

/*
 * A layer over @below, which it takes over; @list must outlive it. A read that touches a fault fails as a whole, with -EIO;
 * all else is passed on. -ENOMEM: @below stays the caller's.
 */
int fault_device_new(struct blockdev *below, const struct fault_list *list, unsigned device, struct blockdev **ret_dev);

#endif
