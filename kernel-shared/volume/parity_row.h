/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and writing rows of RAID5/6 chunks; internal to volume/. */
#ifndef BTRKIT_KERNEL_SHARED_VOLUME_PARITY_ROW_H
#define BTRKIT_KERNEL_SHARED_VOLUME_PARITY_ROW_H

#include "kernel-shared/volume/volume.h"

/* Two writers of one row must not read its old parts at the same time. Rows share a fixed number of locks. */
int row_locks_new(struct row_locks **ret_locks);
void row_locks_free(struct row_locks *locks);

/* Data bytes from @logical to the end of its row. */
u64 parity_row_left(const struct chunk *chunk, u64 logical);

/* Write a range within one row, and the row's parity. */
int parity_row_write(struct volume *volume, const struct chunk *chunk, u64 logical, const void *buf, size_t len,
		     struct diag *d);

/*
 * Rebuild a piece within one cell without reading it: @mirror 2 prefers P, 3 Q, 4 and up leave another data stripe of the
 * row unread as well, each in turn. Members that cannot be read count as lost too, as long as the parity suffices.
 */
int parity_row_rebuild(struct volume *volume, const struct chunk *chunk, u64 logical, void *buf, size_t len,
		       unsigned mirror, struct diag *d);

#endif
