/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jbd2 journals made by hand, in memory, block by block, with all formats of tags and checksums; and damaged where a test wants
 * it. Contents of a block are made from its number and the transaction's sequence.
 */
#ifndef BTRKIT_TESTS_UNIT_HAND_JOURNAL_H
#define BTRKIT_TESTS_UNIT_HAND_JOURNAL_H

#include "common/csum/csum.h"
#include "convert/journal/jbd2.h"
#include "convert/journal/jbd2_checksum.h"

#define HAND_BLOCK_BYTES 1024
#define HAND_BLOCKS_MAX 1024
#define HAND_FS_BLOCKS 5000
#define HAND_SECONDS 1700000000

struct hand_journal {
	u8 blocks[HAND_BLOCKS_MAX][HAND_BLOCK_BYTES];
	u32 nr_blocks, first, end; /* the log is [first, end) */
	u32 compat, incompat;
	u32 nr_fast_commit_blocks;
	u32 start, start_sequence;
	u32 at, sequence; /* where the next block goes, of which transaction */
	u64 seconds;
	u32 crc; /* version 1 */
	u8 uuid[16];
	u32 super_block;
	u32 nr_reads;
	u32 unreadable; /* block that cannot be read; 0: none */
};

struct hand_tag {
	u64 block;
	u32 flags; /* JBD2_TAG_*, more than what the place in the descriptor makes of it */
	bool is_wrong; /* the checksum */
};

static inline u8 *hand_block(struct hand_journal *hand, u32 block)
{
	return hand->blocks[block];
}

static inline bool hand_has_checksums(const struct hand_journal *hand)
{
	return hand->incompat & (JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3);
}

/* What the filesystem's block @block has after transaction @sequence has written it. */
static inline void hand_contents(u64 block, u32 sequence, bool is_escaped, u8 *ret)
{
	be32 word;

	for (u32 i = 0; i < HAND_BLOCK_BYTES / 4; i++) {
		be32_put(&word, (u32)(block * 2654435761u + sequence * 40503u + i * 97u));
		memcpy(ret + i * 4, &word, 4);
	}
	be32_put(&word, JBD2_MAGIC);
	if (is_escaped)
		memcpy(ret, &word, 4);
}

static inline void hand_write_super(struct hand_journal *hand, u32 type)
{
	struct disk_jbd2_super *super = (void *)hand_block(hand, hand->super_block);

	memset(super, 0, sizeof(*super));
	be32_put(&super->header.magic, JBD2_MAGIC);
	be32_put(&super->header.type, type);
	be32_put(&super->block_bytes, HAND_BLOCK_BYTES);
	be32_put(&super->max_len, hand->nr_blocks);
	be32_put(&super->first, hand->first);
	be32_put(&super->sequence, hand->start_sequence);
	be32_put(&super->start, hand->start);
	if (type == JBD2_SUPER_V1)
		return;
	be32_put(&super->compat, hand->compat);
	be32_put(&super->incompat, hand->incompat);
	be32_put(&super->nr_fast_commit_blocks, hand->nr_fast_commit_blocks);
	memcpy(super->uuid, hand->uuid, 16);
	super->checksum_type = hand_has_checksums(hand) ? JBD2_CHECKSUM_CRC32C : 0;
	be32_put(&super->checksum, jbd2_super_checksum(super));
}

/* An empty log, whose first transaction will begin in block @start. */
static inline void hand_begin(struct hand_journal *hand, u32 compat, u32 incompat, u32 nr_blocks, u32 start, u32 sequence)
{
	memset(hand, 0, sizeof(*hand));
	hand->nr_blocks = nr_blocks;
	hand->first = 1;
	hand->nr_fast_commit_blocks = incompat & JBD2_INCOMPAT_FAST_COMMIT ? 20 : 0;
	hand->end = nr_blocks - hand->nr_fast_commit_blocks;
	hand->compat = compat;
	hand->incompat = incompat;
	hand->start = hand->at = start;
	hand->start_sequence = hand->sequence = sequence;
	hand->seconds = HAND_SECONDS;
	hand->crc = JBD2_CRC32_BEGIN;
	memset(hand->uuid, 0x5a, 16);
	hand_write_super(hand, JBD2_SUPER_V2);
}

static inline u32 hand_seed(const struct hand_journal *hand)
{
	return jbd2_checksum_seed(hand->uuid);
}

/* The next block of the log, zeroed. */
static inline u32 hand_take(struct hand_journal *hand)
{
	u32 block = hand->at;

	hand->at = block + 1 == hand->end ? hand->first : block + 1;
	memset(hand_block(hand, block), 0, HAND_BLOCK_BYTES);
	return block;
}

static inline u32 hand_header(struct hand_journal *hand, u32 type)
{
	u32 block = hand_take(hand);
	struct disk_jbd2_header *header = (void *)hand_block(hand, block);

	be32_put(&header->magic, JBD2_MAGIC);
	be32_put(&header->type, type);
	be32_put(&header->sequence, hand->sequence);
	return block;
}

static inline void hand_tail(struct hand_journal *hand, u32 block)
{
	u8 *bytes = hand_block(hand, block);
	be32 checksum;

	be32_put(&checksum, jbd2_tail_checksum(hand_seed(hand), bytes, HAND_BLOCK_BYTES));
	if (hand_has_checksums(hand))
		memcpy(bytes + HAND_BLOCK_BYTES - 4, &checksum, 4);
}

static inline u32 hand_tag_bytes(const struct hand_journal *hand)
{
	bool is_64bit = hand->incompat & JBD2_INCOMPAT_64BIT;

	if (hand->incompat & JBD2_INCOMPAT_CSUM_V3)
		return 16;
	return 8 + (is_64bit ? 4 : 0) + (hand->incompat & JBD2_INCOMPAT_CSUM_V2 ? 2 : 0);
}

static inline void hand_put_tag(const struct hand_journal *hand, u8 *at, u64 block, u32 flags, u32 checksum)
{
	struct disk_jbd2_tag3 tag3 = { 0 };
	struct disk_jbd2_tag tag = { 0 };
	u32 bytes = hand_tag_bytes(hand);

	if (hand->incompat & JBD2_INCOMPAT_CSUM_V3) {
		be32_put(&tag3.block, (u32)block);
		be32_put(&tag3.block_high, (u32)(block >> 32));
		be32_put(&tag3.flags, flags);
		be32_put(&tag3.checksum, checksum);
		memcpy(at, &tag3, bytes);
		return;
	}
	be32_put(&tag.block, (u32)block);
	be32_put(&tag.block_high, (u32)(block >> 32));
	be16_put(&tag.flags, (u16)flags);
	if (hand->incompat & JBD2_INCOMPAT_CSUM_V2)
		be16_put(&tag.checksum, (u16)checksum);
	memcpy(at, &tag, MIN(bytes, hand->incompat & JBD2_INCOMPAT_64BIT ? 12u : 8u));
}

/*
 * A descriptor with @nr tags, of which the first has the UUID and the last is marked so, and the contents. Returns the descriptor's
 * block.
 */
static inline u32 hand_write(struct hand_journal *hand, const struct hand_tag *tags, u32 nr)
{
	u32 descriptor = hand_header(hand, JBD2_DESCRIPTOR), at = sizeof(struct disk_jbd2_header);

	for (u32 i = 0; i < nr; i++) {
		u32 flags = tags[i].flags | (i > 0 ? JBD2_TAG_SAME_UUID : 0) | (i + 1 == nr ? JBD2_TAG_LAST : 0);
		u8 *data = hand_block(hand, hand_take(hand));
		u32 checksum;

		hand_contents(tags[i].block, hand->sequence, tags[i].flags & JBD2_TAG_ESCAPED, data);
		if (tags[i].flags & JBD2_TAG_ESCAPED)
			memset(data, 0, 4);
		checksum = jbd2_data_checksum(hand_seed(hand), hand->sequence, data, HAND_BLOCK_BYTES);
		hand_put_tag(hand, hand_block(hand, descriptor) + at, tags[i].block, flags, checksum ^ (tags[i].is_wrong ? 0x80 : 0));
		at += hand_tag_bytes(hand);
		if (!(flags & JBD2_TAG_SAME_UUID)) {
			memcpy(hand_block(hand, descriptor) + at, hand->uuid, 16);
			at += 16;
		}
	}
	hand_tail(hand, descriptor);
	hand->crc = jbd2_crc32_update(hand->crc, hand_block(hand, descriptor), HAND_BLOCK_BYTES);
	for (u32 i = 0, block = descriptor; i < nr; i++) {
		block = block + 1 == hand->end ? hand->first : block + 1;
		hand->crc = jbd2_crc32_update(hand->crc, hand_block(hand, block), HAND_BLOCK_BYTES);
	}
	return descriptor;
}

static inline u32 hand_write_one(struct hand_journal *hand, u64 block)
{
	return hand_write(hand, &(struct hand_tag){ .block = block }, 1);
}

static inline u32 hand_revoke(struct hand_journal *hand, const u64 *blocks, u32 nr)
{
	u32 block = hand_header(hand, JBD2_REVOKE), at = sizeof(struct disk_jbd2_revoke);
	struct disk_jbd2_revoke *revoke = (void *)hand_block(hand, block);

	for (u32 i = 0; i < nr; i++) {
		be64 wide;
		be32 narrow;

		be64_put(&wide, blocks[i]);
		be32_put(&narrow, (u32)blocks[i]);
		if (hand->incompat & JBD2_INCOMPAT_64BIT)
			memcpy((u8 *)revoke + at, &wide, 8);
		else
			memcpy((u8 *)revoke + at, &narrow, 4);
		at += hand->incompat & JBD2_INCOMPAT_64BIT ? 8 : 4;
	}
	be32_put(&revoke->used_bytes, at);
	hand_tail(hand, block);
	return block;
}

static inline void hand_commit_checksum(struct hand_journal *hand, u32 block)
{
	struct disk_jbd2_commit *commit = (void *)hand_block(hand, block);

	if (!hand_has_checksums(hand))
		return;
	be32_put(&commit->checksum,
		 jbd2_commit_checksum(hand_seed(hand), hand_block(hand, block), HAND_BLOCK_BYTES, HAND_BLOCK_BYTES));
}

static inline u32 hand_commit(struct hand_journal *hand)
{
	u32 block = hand_header(hand, JBD2_COMMIT);
	struct disk_jbd2_commit *commit = (void *)hand_block(hand, block);

	be64_put(&commit->seconds, hand->seconds++);
	if (hand->compat & JBD2_COMPAT_CHECKSUM) {
		commit->checksum_type = JBD2_CHECKSUM_CRC32;
		commit->checksum_bytes = 4;
		be32_put(&commit->checksum, hand->crc);
	}
	hand_commit_checksum(hand, block);
	hand->sequence++;
	hand->crc = JBD2_CRC32_BEGIN;
	return block;
}

static inline int hand_read(void *ctx, u32 block, void *buf, struct diag *d)
{
	struct hand_journal *hand = ctx;

	__atomic_fetch_add(&hand->nr_reads, 1, __ATOMIC_RELAXED);
	if (block >= hand->nr_blocks)
		return diag_fail(d, -EINVAL, "there is no such block");
	if (hand->unreadable && block == hand->unreadable)
		return diag_fail(d, -EIO, "cannot be read");
	memcpy(buf, hand_block(hand, block), HAND_BLOCK_BYTES);
	return 0;
}

static inline struct jbd2_place hand_place(struct hand_journal *hand)
{
	return (struct jbd2_place){
		.read = hand_read,
		.ctx = hand,
		.block_bytes = HAND_BLOCK_BYTES,
		.nr_fs_blocks = HAND_FS_BLOCKS,
		.nr_blocks = hand->nr_blocks,
		.super_block = hand->super_block,
		.needs_recovery = true,
	};
}

#endif
