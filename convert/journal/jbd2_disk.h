/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jbd2 as it lies on disk, for the files of jbd2 only. All integers are big-endian, but those of fast commits.
 *
 * Source: kernel.org, "ext4 Data Structures and Algorithms", Journal (jbd2) and Fast Commits; sizes of tags with version 2 of
 * the checksums: seen in journals that debugfs wrote.
 */
#ifndef BTRKIT_CONVERT_JOURNAL_JBD2_DISK_H
#define BTRKIT_CONVERT_JOURNAL_JBD2_DISK_H

#include "common/base/types.h"

typedef struct {
	u8 byte[2];
} be16;
typedef struct {
	u8 byte[4];
} be32;
typedef struct {
	u8 byte[8];
} be64;

static inline u16 be16_get(be16 v)
{
	return (u16)(v.byte[0] << 8 | v.byte[1]);
}

static inline u32 be32_get(be32 v)
{
	return (u32)v.byte[0] << 24 | (u32)v.byte[1] << 16 | (u32)v.byte[2] << 8 | v.byte[3];
}

static inline u64 be64_get(be64 v)
{
	be32 high, low;

	memcpy(&high, v.byte, 4);
	memcpy(&low, v.byte + 4, 4);
	return (u64)be32_get(high) << 32 | be32_get(low);
}

static inline void be16_put(be16 *field, u16 n)
{
	*field = (be16){ { (u8)(n >> 8), (u8)n } };
}

static inline void be32_put(be32 *field, u32 n)
{
	*field = (be32){ { (u8)(n >> 24), (u8)(n >> 16), (u8)(n >> 8), (u8)n } };
}

static inline void be64_put(be64 *field, u64 n)
{
	be32 high, low;

	be32_put(&high, (u32)(n >> 32));
	be32_put(&low, (u32)n);
	memcpy(field->byte, &high, 4);
	memcpy(field->byte + 4, &low, 4);
}

#define JBD2_MAGIC 0xc03b3998

enum {
	JBD2_DESCRIPTOR = 1,
	JBD2_COMMIT = 2,
	JBD2_SUPER_V1 = 3,
	JBD2_SUPER_V2 = 4,
	JBD2_REVOKE = 5,
};

struct disk_jbd2_header {
	be32 magic;
	be32 type;
	be32 sequence;
};
_Static_assert(sizeof(struct disk_jbd2_header) == 12, "header of a journal block");

struct disk_jbd2_super {
	struct disk_jbd2_header header;
	be32 block_bytes;
	be32 max_len; /* blocks, fast commits and this one included */
	be32 first; /* block of the log */
	be32 sequence; /* of the transaction at start */
	be32 start; /* 0: the log is empty */
	be32 abort_errno; /* negative, or positive */
	/* Version 2 only. */
	be32 compat, incompat, ro_compat;
	u8 uuid[16];
	be32 nr_users;
	be32 dynamic_super;
	be32 max_transaction, max_transaction_data;
	u8 checksum_type;
	u8 unused_51[3];
	be32 nr_fast_commit_blocks; /* 0: JBD2_FAST_COMMIT_BLOCKS */
	be32 head;
	u8 unused_5c[0xfc - 0x5c];
	be32 checksum; /* of all 1024 bytes, with this one zero */
	u8 users[16 * 48];
};
_Static_assert(sizeof(struct disk_jbd2_super) == 1024, "superblock of a journal");

#define JBD2_CHECKSUM_CRC32 1
#define JBD2_CHECKSUM_CRC32C 4
#define JBD2_FAST_COMMIT_BLOCKS 256

/* In a descriptor, one behind the other, with journal_tag_bytes() each; the journal's UUID follows one without JBD2_SAME_UUID. */
struct disk_jbd2_tag {
	be32 block;
	be16 checksum; /* version 2: the low half */
	be16 flags;
	be32 block_high; /* only with 64BIT */
};
_Static_assert(sizeof(struct disk_jbd2_tag) == 12, "tag of a descriptor");

/* With version 3 of the checksums. */
struct disk_jbd2_tag3 {
	be32 block;
	be32 flags;
	be32 block_high;
	be32 checksum; /* of uuid, sequence, and the block as it lies in the journal */
};
_Static_assert(sizeof(struct disk_jbd2_tag3) == 16, "tag of a descriptor, version 3");

enum {
	JBD2_TAG_ESCAPED = 1 << 0, /* the block begins with the magic; the journal has zeroes there */
	JBD2_TAG_SAME_UUID = 1 << 1,
	JBD2_TAG_DELETED = 1 << 2, /* never written, and ignored by who reads it */
	JBD2_TAG_LAST = 1 << 3,
	JBD2_TAG_KNOWN = (1 << 4) - 1,
};

struct disk_jbd2_revoke {
	struct disk_jbd2_header header;
	be32 used_bytes; /* of the block, this header included; then block numbers, of 8 bytes with 64BIT, else 4 */
};
_Static_assert(sizeof(struct disk_jbd2_revoke) == 16, "header of a revoke block");

struct disk_jbd2_commit {
	struct disk_jbd2_header header;
	u8 checksum_type, checksum_bytes; /* version 1 */
	u8 unused_e[2];
	be32 checksum; /* version 1: of the transaction's blocks; 2 and 3: of this block, with this field zero */
	u8 unused_14[28];
	be64 seconds;
	be32 nanoseconds;
};
_Static_assert(sizeof(struct disk_jbd2_commit) == 60, "commit block");

/* --- Fast commits: little-endian ------------------------------------------------------------------------------ */

struct disk_fast_commit_tag {
	le16 tag;
	le16 len; /* of what follows */
};

enum {
	FAST_COMMIT_ADD_RANGE = 1,
	FAST_COMMIT_PAD = 7,
	FAST_COMMIT_TAIL = 8,
	FAST_COMMIT_HEAD = 9,
};

struct disk_fast_commit_head {
	le32 features;
	le32 sequence;
};

struct disk_fast_commit_tail {
	le32 sequence;
	le32 checksum; /* crc32c from 0 of all tags since the last tail, up to here */
};

#endif
