/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which bytes of the devices are in use: what a partition cloner or an image maker has to copy, and no more. What a log holds
 * that has not been replayed is among them.
 */
#ifndef BTRKIT_EXTENTS_H
#define BTRKIT_EXTENTS_H

#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/fs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits: ranges that touch each other are merged, and then have several. */
#define BTRKIT_USED_DATA (1U << 0)
#define BTRKIT_USED_METADATA (1U << 1)
#define BTRKIT_USED_SYSTEM (1U << 2) /* the chunk tree */
#define BTRKIT_USED_SUPER (1U << 3) /* superblocks; on devices only */

struct btrkit_logical_range {
	uint64_t logical, len;
	unsigned kinds; /* one BTRKIT_USED_* bit, two on filesystems with mixed block groups */
	uint64_t chunk; /* logical address of its chunk */
	const char *profile; /* "single", "DUP", "RAID1", ... */
};

/*
 * Call @fn for each used range of the logical address space, ascending, merged within a chunk. A result other than 0 ends
 * the walk and is returned. Needs a sound extent tree: -EUCLEAN, -EIO otherwise.
 */
typedef int (*btrkit_logical_fn)(void *arg, const struct btrkit_logical_range *range);
BTRKIT_API int btrkit_used_logical(struct btrkit_fs *fs, btrkit_logical_fn fn, void *arg, struct btrkit_error *error);

struct btrkit_physical_range {
	uint64_t devid;
	uint64_t physical, len; /* on the device, from where the filesystem begins */
	unsigned kinds;
};

/*
 * Call @fn for each used range of device @devid, ascending and merged: all copies, whole rows of RAID5/6 with their
 * parity, all superblocks. A device that holds these bytes, and whatever else, holds the filesystem.
 * -ENOENT: no such device. Its size bounds nothing: the device may be missing.
 */
typedef int (*btrkit_physical_fn)(void *arg, const struct btrkit_physical_range *range);
BTRKIT_API int btrkit_used_physical(struct btrkit_fs *fs, uint64_t devid, btrkit_physical_fn fn, void *arg,
				    struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
