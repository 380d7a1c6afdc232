/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Superblocks: where they are, which one to believe, and the one order in which they are written.
 * Source: Btrfs documentation, "On-disk format: superblock"; mirror places confirmed on images.
 */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_SUPER_H
#define BTRKIT_KERNEL_SHARED_DEVICE_SUPER_H

#include "common/csum/csum.h"
#include "kernel-shared/device/blockdev.h"
#include "kernel-shared/format/disk.h"

/* Physical address of mirror 0, 1 or 2: 64 KiB, 64 MiB, 256 GiB. */
u64 super_mirror_physical(unsigned mirror);

/* How many mirrors a device of this size has room for. */
unsigned super_mirror_count(u64 device_bytes);

struct super_choice {
	struct disk_super super;
	unsigned mirror; /* the one chosen */
	unsigned valid_mask; /* bit n: mirror n is valid */
};

/*
 * Read the superblock of @dev: @mirror, or with -1 the valid one of the highest generation, the earliest on a tie; only
 * those count that are of the same filesystem as the first valid one.
 * -EUCLEAN: none is valid (the text says why the primary is not); -EMEDIUMTYPE: there is no Btrfs here at all.
 */
int super_read(struct blockdev *dev, int mirror, struct super_choice *ret_choice, struct diag *d);

/* Set the place and then the checksum of @super. */
void super_finish(struct disk_super *super, const struct csum_kind *csum, u64 physical);

/* One device that gets superblocks. */
struct super_target {
	struct blockdev *dev;
	struct disk_dev_item dev_item;
	u64 device_bytes; /* decides which mirrors it has */
	bool is_new; /* no superblock that is on a disk knows of it */
};

/*
 * Make @common, with each device's own dev_item, the superblock of all devices: flush everything written before, write
 * the primaries, flush, write the mirrors, flush. This is the moment at which a filesystem changes, and the only
 * place that does it. After an error before the first primary is written the disk shows the old state.
 * Primaries of new devices come first, with a flush of their own: else a power cut could leave a superblock that names a
 * device which nothing on it shows to be that one.
 */
int super_write_all(const struct disk_super *common, const struct super_target *targets, size_t nr_targets,
		    struct diag *d);

#endif
