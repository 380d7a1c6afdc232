/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A device in memory, for tests and fuzzing: sparse pages, zero until written. */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_MEMORY_DEVICE_H
#define BTRKIT_KERNEL_SHARED_DEVICE_MEMORY_DEVICE_H

#include "kernel-shared/device/blockdev.h"

/* An empty, writable device of @size_bytes (a multiple of 4 KiB is kept as it is, others too). */
int memory_device_new(const char *name, u64 size_bytes, struct blockdev **ret_dev);

#endif
