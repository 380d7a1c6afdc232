/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verified reading of data extents. A reader belongs to one thread at a time. */
#ifndef BTRKIT_KERNEL_SHARED_FS_DATA_H
#define BTRKIT_KERNEL_SHARED_FS_DATA_H

#include "kernel-shared/fs/fs.h"

/* Sectors that are read and verified in one go. */
#define DATA_BATCH_SECTORS 256

/* Checksums beside the checksum tree's, which they replace: put those of @nr sectors at @logical, where there are any. */
typedef void (*data_csums_fn)(void *ctx, u64 logical, u32 nr, u8 *csums, bool *is_known);

struct data_reader {
	struct btrkit_fs *fs;
	data_csums_fn more_csums; /* NULL: none */
	void *more_csums_ctx;
	struct cursor csums; /* in the checksum tree */
	u8 expected[DATA_BATCH_SECTORS * CSUM_BYTES_MAX];
	bool is_known[DATA_BATCH_SECTORS]; /* there is a checksum */
};

void data_reader_init(struct data_reader *reader, struct btrkit_fs *fs);
void data_reader_done(struct data_reader *reader);

/*
 * Read whole sectors at @logical. @is_verified: they must have checksums, and match. Every copy is tried for each sector
 * that does not; bad copies that others replaced are told of with diag_note().
 * -EIO: some sector has no good copy; what is before it, *ret_good bytes, is in @buf.
 */
int data_read(struct data_reader *reader, u64 logical, void *buf, size_t len, bool is_verified, size_t *ret_good,
	      struct diag *d);

/*
 * The checksums of @nr sectors at @logical, at most DATA_BATCH_SECTORS, into reader->expected and is_known.
 */
int data_csums_load(struct data_reader *reader, u64 logical, u32 nr, struct diag *d);

#endif
