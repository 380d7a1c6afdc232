/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a device holds already, as libblkid sees it: filesystems, RAID members, swap, partition tables. A device may
 * have several, at both ends. bcachefs is seen whatever libblkid knows.
 */
#ifndef BTRKIT_KERNEL_SHARED_DEVICE_SIGNATURE_H
#define BTRKIT_KERNEL_SHARED_DEVICE_SIGNATURE_H

#include "common/base/array.h"
#include "kernel-shared/device/blockdev.h"

struct signature {
	char type[24]; /* "ext4", "btrfs", "gpt", ... */
	u64 physical; /* of the magic bytes */
	u32 len;
};

struct signature_list {
	ARRAY(struct signature) found;
};

void signature_list_done(struct signature_list *list);

/* Find all signatures in the @size_bytes bytes from @base_offset of the open file @fd. @name is for messages. */
int signature_find(int fd, const char *name, u64 base_offset, u64 size_bytes, struct signature_list *list,
		   struct diag *d);

#endif
