/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is a superblock what the format allows? Feature bits are judged by features.h. */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_SUPER_CHECK_H
#define BTRKIT_KERNEL_SHARED_FORMAT_SUPER_CHECK_H

#include "common/base/diag.h"
#include "kernel-shared/format/disk.h"

/*
 * Check checksum and fields of the superblock that was read at @physical. 0, -EUCLEAN with what is wrong, or
 * -EOPNOTSUPP for a checksum kind that is not built in. Reads only @super.
 */
int super_check(const struct disk_super *super, u64 physical, struct diag *d);

/* The fsid in tree block headers: metadata_uuid where the feature says so, else fsid. */
static inline const u8 *super_metadata_fsid(const struct disk_super *super)
{
	return le64_get(super->incompat_flags) & INCOMPAT_METADATA_UUID ? super->metadata_uuid : super->fsid;
}

#endif
