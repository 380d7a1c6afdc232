/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Journals of ext (jbd2): any bytes are opened or refused, without reading outside of the journal or round it for ever; what comes
 * out lies within the filesystem, and is the same through each way of reading it.
 *
 * Input: a byte of options, then the journal's blocks, of which the last may be incomplete.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/hand_journal.h"

const char fuzz_name[] = "fuzz-journal";
const unsigned fuzz_iterations = 20000;
#define BLOCKS_MAX 64
const size_t fuzz_input_max = 1 + BLOCKS_MAX * HAND_BLOCK_BYTES;

enum {
	NOT_WANTED = 1 << 0,
	OWN_DEVICE = 1 << 1,
	DO_CHECKSUMS = 1 << 2, /* made right again after changes, but for those of contents */
	FEW_BYTES = 1 << 3, /* of memory */
};

static struct hand_journal hand;

/* All checksums of blocks that have a header; the superblock says which there are. */
static void make_checksums(void)
{
	struct disk_jbd2_super *super = (void *)hand_block(&hand, hand.super_block);

	hand.incompat = be32_get(super->incompat);
	memcpy(hand.uuid, super->uuid, sizeof(hand.uuid));
	be32_put(&super->checksum, jbd2_super_checksum(super));
	for (u32 i = 0; i < hand.nr_blocks; i++) {
		const struct disk_jbd2_header *header = (const void *)hand_block(&hand, i);
		u32 type = be32_get(header->type);

		if (be32_get(header->magic) != JBD2_MAGIC)
			continue;
		if (type == JBD2_DESCRIPTOR || type == JBD2_REVOKE)
			hand_tail(&hand, i);
		else if (type == JBD2_COMMIT)
			hand_commit_checksum(&hand, i);
	}
}

static int read_within(void *ctx, u32 block, void *buf, struct diag *d)
{
	fuzz_require(block < hand.nr_blocks);
	return hand_read(ctx, block, buf, d);
}

static void judge(const struct jbd2 *journal)
{
	const struct jbd2_info *info = jbd2_info(journal);
	static u8 all[HAND_FS_BLOCKS * HAND_BLOCK_BYTES];
	u64 nr = 0, block = 0;

	fuzz_require(info->end_reason[0]);
	fuzz_require(info->nr_blocks <= info->nr_journalled);
	fuzz_require(info->state != JBD2_EMPTY || info->nr_blocks == 0);
	fuzz_require(info->next_sequence == info->start_sequence + info->nr_transactions);
	fuzz_require(jbd2_lay_over(journal, 0, all, sizeof(all), NULL) == 0);
	for (; jbd2_next_block(journal, block, &block, NULL) == 0; block++) {
		bool is_changed;
		u8 one[HAND_BLOCK_BYTES];

		fuzz_require(block < HAND_FS_BLOCKS);
		fuzz_require(jbd2_is_changed(journal, block * HAND_BLOCK_BYTES + 5, 1, &is_changed, NULL) == 0 && is_changed);
		fuzz_require(jbd2_read_block(journal, block, one, NULL) == 0);
		fuzz_require(memcmp(all + block * HAND_BLOCK_BYTES, one, sizeof(one)) == 0);
		nr++;
	}
	fuzz_require(nr == info->nr_blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	u8 options = fuzz_take_u8(&input);
	struct jbd2 *journal = NULL;
	struct jbd2_place place;
	struct diag d = { 0 };
	int err;

	hand.nr_blocks = (u32)MIN((input.left + HAND_BLOCK_BYTES - 1) / HAND_BLOCK_BYTES, (size_t)BLOCKS_MAX);
	fuzz_take(&input, hand.blocks, (size_t)hand.nr_blocks * HAND_BLOCK_BYTES);
	hand.super_block = options & OWN_DEVICE ? 2 : 0;
	if ((options & DO_CHECKSUMS) && hand.super_block < hand.nr_blocks)
		make_checksums();
	hand.nr_reads = 0;
	place = hand_place(&hand);
	place.read = read_within;
	place.needs_recovery = !(options & NOT_WANTED);
	place.memory_bytes = options & FEW_BYTES ? 100 : 0;
	err = jbd2_open(&place, &journal, &d);
	fuzz_require(err == 0 || (err == d.err && d.text[0] && !journal));
	/* The log, what is behind its end, and fast commits, for which there are two places to begin. */
	fuzz_require(hand.nr_reads <= 3 * BLOCKS_MAX + 1);
	if (err == 0)
		judge(journal);
	jbd2_close(journal);
	return 0;
}

static void add_journal(fuzz_add_fn add, void *ctx, u8 options)
{
	static u8 seed[1 + BLOCKS_MAX * HAND_BLOCK_BYTES];

	seed[0] = options;
	memcpy(seed + 1, hand.blocks, (size_t)hand.nr_blocks * HAND_BLOCK_BYTES);
	add(ctx, seed, 1 + (size_t)hand.nr_blocks * HAND_BLOCK_BYTES);
}

static void make_journal(u32 compat, u32 incompat, u32 start)
{
	hand_begin(&hand, compat, incompat, 50, start, 7);
	hand_write(&hand, (struct hand_tag[]){ { 0, 0, 0 }, { 3, JBD2_TAG_ESCAPED, 0 }, { 4999, 0, 0 } }, 3);
	hand_commit(&hand);
	hand_revoke(&hand, (u64[]){ 3, 77 }, 2);
	hand_write(&hand, (struct hand_tag[]){ { 77, 0, 0 }, { 78, 0, 0 } }, 2);
	hand_commit(&hand);
	hand_write_one(&hand, 3);
	hand_write_one(&hand, 0);
	hand_commit(&hand);
	hand_write_one(&hand, 0);
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const u32 incompats[] = {
		0, JBD2_INCOMPAT_64BIT, JBD2_INCOMPAT_CSUM_V2, JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_64BIT,
		JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_FAST_COMMIT, JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_ASYNC_COMMIT,
	};
	static const u8 options[] = { 0, DO_CHECKSUMS, DO_CHECKSUMS | FEW_BYTES };

	for (size_t i = 0; i < ARRAY_LEN(incompats); i++)
		for (size_t o = 0; o < ARRAY_LEN(options); o++) {
			make_journal(0, JBD2_INCOMPAT_REVOKE | incompats[i], o ? 1 : 25);
			add_journal(add, ctx, options[o]);
		}
	make_journal(JBD2_COMPAT_CHECKSUM, JBD2_INCOMPAT_REVOKE, 3);
	add_journal(add, ctx, 0);
	add_journal(add, ctx, NOT_WANTED);
	hand.super_block = 2;
	hand.first = 3;
	hand_write_super(&hand, JBD2_SUPER_V2);
	add_journal(add, ctx, OWN_DEVICE | DO_CHECKSUMS);
}
