/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/journal, jbd2: journals made by hand that are damaged at every place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/hand_journal_assert.h"

/* --- Checksums ------------------------------------------------------------------------------------------------- */

static void crc_of_version_1_is_the_one_that_is_not_reflected(void **state)
{
	(void)state;
	assert_int_equal(jbd2_crc32_update(JBD2_CRC32_BEGIN, "123456789", 9), 0x0376e6e7);
}

enum { SUPER, DESCRIPTOR, CONTENTS, REVOKE, COMMIT, NR_PLACES };

/*
 * Transactions 1 to 3, each with all kinds of blocks; in transaction @sequence the block at @place has a bit wrong where only
 * its checksum tells.
 */
static void damaged_log(u32 compat, u32 incompat, u32 place, u32 sequence)
{
	hand_begin(&hand, compat, incompat, 90, 60, 1);
	for (u32 i = 1; i <= 3; i++) {
		u32 blocks[NR_PLACES] = { 0 };

		blocks[DESCRIPTOR] = hand_write(&hand, (struct hand_tag[]){ { 20 + i, 0, 0 }, { 30, 0, 0 } }, 2);
		blocks[CONTENTS] = blocks[DESCRIPTOR] + 1;
		blocks[REVOKE] = hand_revoke(&hand, (u64[]){ 40 }, 1);
		blocks[COMMIT] = hand_commit(&hand);
		if (i == sequence)
			hand_block(&hand, blocks[place])[place == COMMIT ? 40 : 900] ^= 1;
	}
}

static void wrong_checksums_are_found(void **state)
{
	static const char *const texts[NR_PLACES] = {
		[SUPER] = "journal: superblock has checksum",
		[DESCRIPTOR] = "descriptor in block",
		[CONTENTS] = "contents of block",
		[REVOKE] = "revoke block in block",
		[COMMIT] = "commit in block",
	};
	static const u32 versions[] = { JBD2_INCOMPAT_CSUM_V2, JBD2_INCOMPAT_CSUM_V3 };

	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(versions); v++)
		for (u32 place = SUPER; place < NR_PLACES; place++)
			for (u32 sequence = 1; sequence <= 3; sequence++) {
				char text[64];

				damaged_log(0, JBD2_INCOMPAT_REVOKE | versions[v], place, sequence);
				assert_refused(-EUCLEAN, texts[place]);
				snprintf(text, sizeof(text), "transaction %u", sequence);
				if (place != SUPER)
					assert_refused(-EUCLEAN, text);
			}
	for (u32 sequence = 1; sequence <= 3; sequence++) {
		damaged_log(JBD2_COMPAT_CHECKSUM, JBD2_INCOMPAT_REVOKE, CONTENTS, sequence);
		assert_refused(-EUCLEAN, "wrong checksum");
		damaged_log(JBD2_COMPAT_CHECKSUM, JBD2_INCOMPAT_REVOKE, DESCRIPTOR, sequence);
		assert_refused(-EUCLEAN, "wrong checksum");
	}
}

/* With asynchronous commits the last one may be incomplete; one in the middle may not. */
static void asynchronous_commits_may_be_incomplete(void **state)
{
	struct jbd2 *journal;

	(void)state;
	for (u32 version = 1; version <= 3; version += 2) {
		u32 compat = version == 1 ? JBD2_COMPAT_CHECKSUM : 0;
		u32 incompat = JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_ASYNC_COMMIT | (version == 3 ? JBD2_INCOMPAT_CSUM_V3 : 0);
		u32 place = version == 1 ? CONTENTS : COMMIT;

		damaged_log(compat, incompat, place, 3);
		journal = open_hand();
		assert_int_equal(jbd2_info(journal)->nr_transactions, 2);
		assert_non_null(strstr(jbd2_info(journal)->end_reason, "is incomplete"));
		assert_block(journal, 22, 2, false);
		assert_block(journal, 23, 0, false);
		assert_block(journal, 30, 2, false);
		jbd2_close(journal);
		damaged_log(compat, incompat, place, 2);
		assert_refused(-EUCLEAN, "is incomplete: checksum, but transaction 3 is committed in block");
	}
	/* A commit that was faster than its descriptor. */
	hand_begin(&hand, 0, CSUM_V3 | JBD2_INCOMPAT_ASYNC_COMMIT, 90, 60, 1);
	hand_write_one(&hand, 5);
	hand_commit(&hand);
	memset(hand_block(&hand, hand_write_one(&hand, 6)), 0, HAND_BLOCK_BYTES);
	hand_commit(&hand);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->nr_transactions, 1);
	jbd2_close(journal);
}

static void what_is_left_over_is_known_by_its_time(void **state)
{
	static const u32 places[] = { DESCRIPTOR, REVOKE, COMMIT };
	struct jbd2 *journal;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		hand_begin(&hand, 0, CSUM_V3, 90, 60, 1);
		hand_write_one(&hand, 5);
		hand_commit(&hand);
		hand.seconds = HAND_SECONDS - 1000;
		hand.uuid[0] ^= 1; /* of another filesystem */
		switch (places[i]) {
		case DESCRIPTOR:
			hand_write_one(&hand, 6);
			break;
		case REVOKE:
			hand_revoke(&hand, (u64[]){ 5 }, 1);
			break;
		}
		if (places[i] != COMMIT)
			hand.uuid[0] ^= 1;
		hand_commit(&hand);
		journal = open_hand();
		assert_int_equal(jbd2_info(journal)->nr_transactions, 1);
		assert_non_null(strstr(jbd2_info(journal)->end_reason, "earlier lap"));
		assert_block(journal, 5, 1, false);
		jbd2_close(journal);
	}
}

/* Contents that are not used need not be right, unless they are only overwritten: there Linux stops. */
static void contents_that_were_revoked_may_be_wrong(void **state)
{
	struct jbd2 *journal;

	(void)state;
	hand_begin(&hand, 0, CSUM_V3, 90, 60, 1);
	hand_write(&hand, &(struct hand_tag){ 5, 0, true }, 1);
	hand_commit(&hand);
	hand_write_one(&hand, 5);
	hand_commit(&hand);
	assert_refused(-EUCLEAN, "transaction 1, contents of block 5 in block 61: wrong checksum");
	hand_revoke(&hand, (u64[]){ 5 }, 1);
	hand_commit(&hand);
	journal = open_hand();
	assert_block(journal, 5, 0, false);
	jbd2_close(journal);
	hand_write_one(&hand, 5);
	hand_commit(&hand);
	journal = open_hand();
	assert_block(journal, 5, 4, false);
	jbd2_close(journal);
	/* And in a transaction that is not complete. */
	hand_write(&hand, &(struct hand_tag){ 5, 0, true }, 1);
	journal = open_hand();
	assert_block(journal, 5, 4, false);
	jbd2_close(journal);
}

static void a_torn_commit_block_is_whole_enough(void **state)
{
	struct jbd2 *journal;
	u32 block;

	(void)state;
	hand_begin(&hand, 0, CSUM_V3, 90, 60, 1);
	hand_write_one(&hand, 5);
	block = hand_commit(&hand);
	memset(hand_block(&hand, block) + 512, 0xaa, HAND_BLOCK_BYTES - 512);
	journal = open_hand();
	assert_block(journal, 5, 1, false);
	jbd2_close(journal);
	hand_block(&hand, block)[offsetof(struct disk_jbd2_commit, nanoseconds)] ^= 1;
	assert_refused(-EUCLEAN, "commit in block 62: wrong checksum");
}

/* In each block of three transactions, one whole block is lost: nothing is opened as if the log had ended there. */
static void lost_blocks_are_noticed(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		static const u32 headers[] = { 0, 9, 10, 14, 20, 21 };

		for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
			struct jbd2_place place = hand_place(&hand);
			struct jbd2 *journal = NULL;

			hand_begin(&hand, formats[f].compat, formats[f].incompat, 90, 30, 100);
			write_three();
			memset(hand_block(&hand, 30 + headers[i]), 0, HAND_BLOCK_BYTES);
			/* Asynchronously, the last transaction may be without descriptor. */
			if (headers[i] == 21 && (formats[f].incompat & JBD2_INCOMPAT_ASYNC_COMMIT)) {
				journal = open_hand();
				assert_int_equal(jbd2_info(journal)->nr_transactions, 2);
				jbd2_close(journal);
				continue;
			}
			place = hand_place(&hand);
			assert_int_equal(jbd2_open(&place, &journal, NULL), -EUCLEAN);
		}
	}
}

/* --- Structure ---------------------------------------------------------------------------------------------------- */

static void superblocks_are_judged(void **state)
{
	static const struct {
		size_t field;
		u32 value;
		int err;
		const char *text;
	} rows[] = {
		{ offsetof(struct disk_jbd2_super, header.magic), 1, -EUCLEAN, "block 0 is no superblock: magic 0x1" },
		{ offsetof(struct disk_jbd2_super, header.type), 1, -EUCLEAN, "superblock of type 1" },
		{ offsetof(struct disk_jbd2_super, block_bytes), 2048, -EUCLEAN, "blocks of 2048 bytes, in a filesystem with 1024" },
		{ offsetof(struct disk_jbd2_super, max_len), 91, -EUCLEAN, "91 blocks, but there are 90" },
		{ offsetof(struct disk_jbd2_super, max_len), 0, -EUCLEAN, "0 blocks for fast commits, of 0 in all" },
		{ offsetof(struct disk_jbd2_super, first), 0, -EUCLEAN, "log from block 0, expected 1 to 90" },
		{ offsetof(struct disk_jbd2_super, first), 90, -EUCLEAN, "log from block 90" },
		{ offsetof(struct disk_jbd2_super, start), 90, -EUCLEAN, "log starts in block 90, expected 1 to 90" },
		{ offsetof(struct disk_jbd2_super, incompat), CSUM_V3 | 0x40, -EOPNOTSUPP, "bits 0x40" },
		{ offsetof(struct disk_jbd2_super, incompat), CSUM_V3 | JBD2_INCOMPAT_FAST_COMMIT, -EUCLEAN, "256 blocks for fast" },
		{ offsetof(struct disk_jbd2_super, incompat), CSUM_V3 | JBD2_INCOMPAT_CSUM_V2, -EUCLEAN, "versions 2 and 3" },
		{ offsetof(struct disk_jbd2_super, ro_compat), 2, -EOPNOTSUPP, "read-only compatible features: bits 0x2" },
		{ offsetof(struct disk_jbd2_super, compat), 1, -EUCLEAN, "version 1 and 3" },
		{ offsetof(struct disk_jbd2_super, checksum_type), 1 << 24, -EOPNOTSUPP, "checksum type 1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin_one(CSUM_V3);
		set_super(rows[i].field, rows[i].value);
		assert_refused(rows[i].err, rows[i].text);
	}
}

static void places_are_judged(void **state)
{
	struct jbd2_place place;
	struct jbd2 *journal;

	(void)state;
	begin_one(0);
	for (u32 bytes = 0; bytes < 5000; bytes += 500) {
		place = hand_place(&hand);
		place.block_bytes = bytes;
		assert_int_equal(jbd2_open(&place, &journal, NULL), -EINVAL);
	}
	place = hand_place(&hand);
	place.nr_fs_blocks = UINT64_MAX / 1000;
	assert_int_equal(jbd2_open(&place, &journal, NULL), -EINVAL);
	place = hand_place(&hand);
	place.nr_blocks = 0;
	assert_int_equal(jbd2_open(&place, &journal, NULL), -EUCLEAN);
}

static void what_a_log_says_is_judged(void **state)
{
	struct jbd2 *journal;
	u32 block;

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		u32 compat = formats[f].compat, incompat = formats[f].incompat;

		hand_begin(&hand, compat, incompat, 90, 60, 1);
		hand_write_one(&hand, HAND_FS_BLOCKS);
		journal = open_hand(); /* not committed */
		jbd2_close(journal);
		hand_commit(&hand);
		assert_refused(-EUCLEAN, "transaction 1, contents in block 61 are of block 5000, of 5000");
		hand_begin(&hand, compat, incompat, 90, 60, 1);
		hand_write(&hand, &(struct hand_tag){ .block = 3, .flags = 0x100 }, 1);
		hand_commit(&hand);
		assert_refused(-EUCLEAN, "unknown flags 0x10");
		hand_begin(&hand, compat, incompat, 90, 60, 1);
		hand_revoke(&hand, (u64[]){ 1, HAND_FS_BLOCKS }, 2);
		hand_commit(&hand);
		assert_refused(-EUCLEAN, "revoke block 60 names block 5000, of 5000");
		for (u32 used = 0; used < 3; used++) {
			static const u32 counts[] = { 15, 1025, 17 };

			hand_begin(&hand, compat, incompat, 90, 60, 1);
			block = hand_revoke(&hand, (u64[]){ 1 }, 1);
			be32_put(&((struct disk_jbd2_revoke *)hand_block(&hand, block))->used_bytes, counts[used]);
			hand_tail(&hand, block);
			hand_commit(&hand);
			assert_refused(-EUCLEAN, "bytes used");
		}
	}
	/* High halves count only with 64BIT. */
	begin_one(JBD2_INCOMPAT_CSUM_V3);
	hand_write_one(&hand, (1ULL << 32) + 7);
	hand_commit(&hand);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->nr_blocks, 2);
	assert_true(is_changed(journal, 7 * HAND_BLOCK_BYTES, 1));
	jbd2_close(journal);
}

/* A descriptor that is full has no last tag; and each tag may bring a UUID. */
static void tags_fill_a_descriptor(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		static struct hand_tag tags[150];
		struct jbd2 *journal;
		u32 room = HAND_BLOCK_BYTES - 12 - 16, nr, descriptor;

		hand_begin(&hand, formats[f].compat, formats[f].incompat, 400, 60, 1);
		nr = (room - (hand_has_checksums(&hand) ? 4 : 0)) / hand_tag_bytes(&hand);
		for (u32 i = 0; i < nr; i++)
			tags[i] = (struct hand_tag){ .block = 1000 + i };
		descriptor = hand_write(&hand, tags, nr);
		if (!(formats[f].compat & JBD2_COMPAT_CHECKSUM)) {
			u8 *last = hand_block(&hand, descriptor) + 12 + 16 + (nr - 1) * hand_tag_bytes(&hand);

			last[7] &= (u8)~JBD2_TAG_LAST;
			hand_tail(&hand, descriptor);
		}
		hand_commit(&hand);
		journal = open_hand();
		assert_int_equal(jbd2_info(journal)->nr_blocks, nr);
		assert_block(journal, 1000 + nr - 1, 1, false);
		jbd2_close(journal);
	}
}

/* Tags name more contents than the log has blocks. */
static void a_log_does_not_go_round_for_ever(void **state)
{
	static struct hand_tag tags[60];
	struct jbd2 *journal;

	(void)state;
	hand_begin(&hand, 0, 0, 41, 5, 1);
	hand_write(&hand, tags, 60);
	be32_put(&((struct disk_jbd2_header *)hand_block(&hand, 5))->magic, JBD2_MAGIC);
	be32_put(&((struct disk_jbd2_header *)hand_block(&hand, 5))->type, JBD2_DESCRIPTOR);
	be32_put(&((struct disk_jbd2_header *)hand_block(&hand, 5))->sequence, 1);
	hand.nr_reads = 0;
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->nr_transactions, 0);
	assert_in_range(hand.nr_reads, 1, 100);
	jbd2_close(journal);
	/* A log whose commits fill it to the last block is read, and ends. */
	hand_begin(&hand, 0, 0, 41, 5, 1);
	for (u32 i = 0; i < 40; i++)
		hand_commit(&hand);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->nr_transactions, 40);
	assert_string_equal(jbd2_info(journal)->end_reason, "the log is full");
	jbd2_close(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_of_version_1_is_the_one_that_is_not_reflected),
		cmocka_unit_test(wrong_checksums_are_found),
		cmocka_unit_test(asynchronous_commits_may_be_incomplete),
		cmocka_unit_test(what_is_left_over_is_known_by_its_time),
		cmocka_unit_test(contents_that_were_revoked_may_be_wrong),
		cmocka_unit_test(a_torn_commit_block_is_whole_enough),
		cmocka_unit_test(lost_blocks_are_noticed),
		cmocka_unit_test(superblocks_are_judged),
		cmocka_unit_test(places_are_judged),
		cmocka_unit_test(what_a_log_says_is_judged),
		cmocka_unit_test(tags_fill_a_descriptor),
		cmocka_unit_test(a_log_does_not_go_round_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
