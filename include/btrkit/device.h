/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of a filesystem that is not mounted: what each holds, and how devices come, go and change their size.
 */
#ifndef BTRKIT_DEVICE_H
#define BTRKIT_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/fs.h>
#include <btrkit/job.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- What devices hold ------------------------------------------------------------------------------------------- */

/* Space that chunks of one kind and profile take on a device. */
struct btrkit_device_share {
	const char *kind; /* "data", "metadata", "system", "data+metadata" */
	const char *profile; /* "single", "DUP", "RAID1", ... */
	uint64_t bytes; /* on this device, every stripe counted */
};

struct btrkit_device_usage {
	uint64_t devid;
	char uuid[37];
	const char *path; /* NULL: missing; valid during the call, as all pointers here */
	bool is_seed; /* it belongs to a seed, and is never written */
	uint64_t total_bytes; /* that the filesystem has of it */
	uint64_t host_bytes; /* of the device or file; 0: missing */
	uint64_t slack_bytes; /* behind what the filesystem has */
	uint64_t lacking_bytes; /* that the filesystem has, and the device does not: it was made smaller; 0: missing */
	uint64_t recorded_bytes; /* in chunks, as its item says */
	uint64_t allocated_bytes; /* in chunks, as these say */
	uint64_t unallocated_bytes; /* 0: chunks take more than there is */
	size_t nr_shares;
	const struct btrkit_device_share *shares; /* by kind and profile, in the order of the chunks */
};

/* Call @fn for each device by devid, missing ones too. A result other than 0 ends it and is returned. */
typedef int (*btrkit_device_usage_fn)(void *arg, const struct btrkit_device_usage *usage);
BTRKIT_API int btrkit_device_usage_for_each(struct btrkit_fs *fs, btrkit_device_usage_fn fn, void *arg,
					    struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
