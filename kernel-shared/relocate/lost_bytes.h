/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cannot be read for want of devices: because they are missing, or because they end before it. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_LOST_BYTES_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_LOST_BYTES_H

#include "kernel-shared/volume/volume.h"

/* Does every stripe of the chunk lie within a device that is there? Nothing of it is lost then. */
bool chunk_is_whole(const struct volume *volume, const struct chunk *chunk);

/*
 * Bytes of [@logical, @logical + @len), within @chunk, that lie on no device and that parity does not give, in whole sectors; and
 * the logical address of the first of them, which is left alone if there are none.
 */
u64 chunk_lost_bytes(const struct volume *volume, const struct chunk *chunk, u64 logical, u64 len, u64 *ret_first);

#endif
