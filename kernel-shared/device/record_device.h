/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: a layer that passes everything on and keeps a log of what was written, in which order, between which flushes;
 * and can fail at a chosen operation. From the log, the state of a disk after a power cut at any moment can be made:
 * everything before the last flush, and any part of what came after it.
 */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_RECORD_DEVICE_H
#define BTRKIT_KERNEL_SHARED_DEVICE_RECORD_DEVICE_H

#include "common/base/array.h"
#include "kernel-shared/device/blockdev.h"

enum record_kind { RECORD_WRITE, RECORD_FLUSH };

struct record {
	enum record_kind kind;
	unsigned device; /* number that the layer was made with */
	u64 offset;
	size_t len;
	u8 *bytes; /* owned */
};

/* Shared by the layers over several devices. Zero-initialise, then record_log_init(). */
struct record_log {
	pthread_mutex_t lock; /* guards the rest */
	ARRAY(struct record) records;
	u64 nr_operations; /* reads, writes and flushes so far */
	u64 fail_at; /* the operation with this number, counted from 1, and all after it fail with -EIO; 0: none */
};

void record_log_init(struct record_log *log);
void record_log_done(struct record_log *log);

/* A layer over @below, which it takes over; @log must outlive it. -ENOMEM: @below stays the caller's. */
int record_device_new(struct blockdev *below, struct record_log *log, unsigned device, struct blockdev **ret_dev);

/*
 * Make on @devices (by their numbers) what a power cut after the first @nr_records records leaves: all of a device's
 * writes up to its last flush among them; of the later ones those that @choose, called with the index of each, wants
 * (NULL: all).
 */
int record_log_replay(const struct record_log *log, size_t nr_records, struct blockdev *const *devices,
		      bool (*choose)(void *ctx, size_t record), void *ctx, struct diag *d);

#endif
