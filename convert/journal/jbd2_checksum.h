/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checksums of jbd2: crc32c in versions 2 and 3, the other CRC-32, most significant bit first, in version 1. */
#ifndef BTRKIT_CONVERT_JOURNAL_JBD2_CHECKSUM_H
#define BTRKIT_CONVERT_JOURNAL_JBD2_CHECKSUM_H

#include "convert/journal/jbd2_disk.h"

/* What all checksums of versions 2 and 3 begin with. */
u32 jbd2_checksum_seed(const u8 uuid[16]);

u32 jbd2_super_checksum(const struct disk_jbd2_super *super);

/* Of a descriptor or revoke block, which has it in its last four bytes. */
u32 jbd2_tail_checksum(u32 seed, const u8 *block, u32 block_bytes);

/* @nr_bytes of the commit block, which is taken to have zeroes behind these. */
u32 jbd2_commit_checksum(u32 seed, const u8 *block, u32 nr_bytes, u32 block_bytes);

/* Of a block's contents, as they lie in the journal. */
u32 jbd2_data_checksum(u32 seed, u32 sequence, const u8 *block, u32 block_bytes);

/* Version 1: begun with JBD2_CRC32_BEGIN, of all descriptors and contents of a transaction. */
#define JBD2_CRC32_BEGIN 0xffffffff
u32 jbd2_crc32_update(u32 crc, const void *data, size_t len);

#endif
