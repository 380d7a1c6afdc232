/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/journal, jbd2: journals made by hand in every format, cut anywhere; states; laying over. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/failing_malloc.h"
#include "tests/unit/hand_journal_assert.h"

static void every_format_is_read_wherever_the_log_wraps(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(formats); f++)
		for (u32 start = 1; start < 70; start++) {
			struct jbd2 *journal;
			const struct jbd2_info *info;
			u64 block = 0;

			hand_begin(&hand, formats[f].compat, formats[f].incompat, 90, start, 100);
			if (start >= hand.end)
				continue;
			write_three();
			journal = open_hand();
			info = jbd2_info(journal);
			assert_int_equal(info->state, JBD2_DIRTY);
			assert_int_equal(info->version, 2);
			assert_int_equal(info->compat, formats[f].compat);
			assert_int_equal(info->incompat, formats[f].incompat);
			assert_int_equal(info->nr_transactions, 3);
			assert_int_equal(info->next_sequence, 103);
			assert_int_equal(info->nr_journalled, 18);
			assert_int_equal(info->nr_blocks, 13);
			for (u32 i = 0; i < 13; i++) {
				assert_block(journal, i, i < 4 ? 100 : i == 8 || i == 12 ? 102 : 101, i == 12);
				assert_int_equal(jbd2_next_block(journal, block, &block, NULL), 0);
				assert_int_equal(block++, i);
			}
			assert_block(journal, 13, 0, false);
			assert_int_equal(jbd2_next_block(journal, block, &block, NULL), 1);
			jbd2_close(journal);
		}
}

static void revocations_count_up_to_their_transaction(void **state)
{
	static const u64 all[] = { 1, 2, 3, 4, 5 };

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		struct jbd2 *journal;

		hand_begin(&hand, formats[f].compat, formats[f].incompat, 200, 7, 1);
		hand_write(&hand, (struct hand_tag[]){ { 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 }, { 4, 0, 0 } }, 4);
		hand_commit(&hand); /* 1 */
		hand_revoke(&hand, all, 1);
		hand_write_one(&hand, 10);
		hand_commit(&hand); /* 2: 1 is revoked */
		hand_write_one(&hand, 2); /* written and revoked in one: the revocation counts, on either side of it */
		hand_revoke(&hand, all + 1, 2);
		hand_write_one(&hand, 3);
		hand_commit(&hand); /* 3 */
		hand_write_one(&hand, 3);
		hand_commit(&hand); /* 4: 3 is written again */
		hand_revoke(&hand, all + 4, 1); /* never written */
		hand_revoke(&hand, all + 3, 1); /* not committed */
		journal = open_hand();
		assert_int_equal(jbd2_info(journal)->nr_transactions, 4);
		assert_int_equal(jbd2_info(journal)->nr_revocations, 3);
		assert_block(journal, 1, 0, false);
		assert_block(journal, 2, 0, false);
		assert_block(journal, 3, 4, false);
		assert_block(journal, 4, 1, false);
		assert_block(journal, 5, 0, false);
		assert_block(journal, 10, 2, false);
		assert_int_equal(jbd2_info(journal)->nr_blocks, 3);
		jbd2_close(journal);
	}
}

/* Whatever block the power cut came before, complete transactions count, and no other. */
static void a_log_ends_anywhere(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
		u32 commits[3] = { 10, 21, 26 }; /* blocks from the start up to each commit */

		for (u32 cut = 0; cut <= 27; cut++) {
			struct jbd2 *journal;
			u32 nr = 0;

			hand_begin(&hand, formats[f].compat, formats[f].incompat, 90, 50, 100);
			write_three();
			for (u32 i = cut; i < 27; i++) {
				u32 block = 50 + i < hand.end ? 50 + i : 50 + i - hand.end + 1;

				memset(hand_block(&hand, block), 0, HAND_BLOCK_BYTES);
			}
			for (size_t i = 0; i < 3; i++)
				nr += cut >= commits[i];
			journal = open_hand();
			assert_int_equal(jbd2_info(journal)->nr_transactions, nr);
			assert_int_equal(jbd2_info(journal)->state, nr ? JBD2_DIRTY : JBD2_EMPTY);
			assert_block(journal, 4, nr == 0 ? 0 : nr == 1 ? 100 : 101, false);
			assert_block(journal, 12, nr == 3 ? 102 : 0, true);
			assert_true(jbd2_info(journal)->end_reason[0]);
			jbd2_close(journal);
		}
	}
}

static void sequences_go_round(void **state)
{
	struct jbd2 *journal;

	(void)state;
	hand_begin(&hand, 0, CSUM_V3, 90, 80, 0xfffffffe);
	for (u32 i = 0; i < 5; i++) {
		hand_write_one(&hand, 3);
		hand_commit(&hand);
	}
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->nr_transactions, 5);
	assert_int_equal(jbd2_info(journal)->next_sequence, 3);
	assert_block(journal, 3, 2, false);
	jbd2_close(journal);
}

/* What is left of the lap before is older by its sequence; here it fills the log. */
static void an_earlier_lap_does_not_count(void **state)
{
	struct jbd2 *journal;

	(void)state;
	hand_begin(&hand, 0, CSUM_V3, 41, 1, 10);
	for (u32 i = 0; i < 20; i++) {
		hand_write_one(&hand, 100 + i);
		hand_commit(&hand);
	}
	hand.start = 1;
	hand.at = 1;
	hand.start_sequence = hand.sequence = 50;
	hand_write_super(&hand, JBD2_SUPER_V2);
	hand_write_one(&hand, 7);
	hand_commit(&hand);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->nr_transactions, 1);
	assert_int_equal(jbd2_info(journal)->nr_blocks, 1);
	assert_block(journal, 7, 50, false);
	jbd2_close(journal);
}

/* --- States ------------------------------------------------------------------------------------------------------ */

static void states_are_told_apart(void **state)
{
	struct jbd2_place place;
	struct jbd2 *journal;

	(void)state;
	begin_one(CSUM_V3);
	place = hand_place(&hand);
	place.needs_recovery = false;
	assert_int_equal(jbd2_open(&place, &journal, NULL), 0);
	assert_int_equal(jbd2_info(journal)->state, JBD2_NOT_WANTED);
	assert_block(journal, 5, 0, false);
	jbd2_close(journal);
	set_super(offsetof(struct disk_jbd2_super, start), 0);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->state, JBD2_EMPTY);
	assert_block(journal, 5, 0, false);
	jbd2_close(journal);
	begin_one(CSUM_V3);
	set_super(offsetof(struct disk_jbd2_super, abort_errno), (u32)-EIO);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->abort_errno, EIO);
	assert_int_equal(jbd2_info(journal)->state, JBD2_DIRTY);
	assert_memory_equal(jbd2_info(journal)->uuid, hand.uuid, 16);
	jbd2_close(journal);
}

static void version_1_has_no_features(void **state)
{
	struct jbd2 *journal;

	(void)state;
	begin_one(0);
	hand_write_super(&hand, JBD2_SUPER_V1);
	memset(hand_block(&hand, 0) + offsetof(struct disk_jbd2_super, compat), 0xff, 100);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->version, 1);
	assert_int_equal(jbd2_info(journal)->incompat, 0);
	assert_block(journal, 5, 1, false);
	jbd2_close(journal);
}

/* On a device of its own the superblock is in block 1 or 2, and numbers count from the device's beginning. */
static void a_journal_may_be_on_its_own_device(void **state)
{
	struct jbd2 *journal;

	(void)state;
	hand_begin(&hand, 0, CSUM_V3, 90, 88, 1);
	hand.super_block = 2;
	hand.first = 3;
	hand_write_super(&hand, JBD2_SUPER_V2);
	memset(hand_block(&hand, 0), 0xee, HAND_BLOCK_BYTES);
	hand_write(&hand, (struct hand_tag[]){ { 5, 0, 0 }, { 6, 0, 0 }, { 7, 0, 0 } }, 3);
	hand_commit(&hand);
	journal = open_hand();
	assert_block(journal, 7, 1, false);
	jbd2_close(journal);
	hand.first = 2;
	hand_write_super(&hand, JBD2_SUPER_V2);
	assert_refused(-EUCLEAN, "log from block 2, expected 3 to 90");
}

/* --- Fast commits -------------------------------------------------------------------------------------------------- */

/* A commit of one tag, from byte *at of @block on; with its head if @has_head. */
static void fast_commit(u32 block, u32 *at, u32 sequence, bool has_head, bool is_wrong)
{
	u8 *bytes = hand_block(&hand, block);
	static u32 crc;
	u8 tags[] = { 9, 0, 8, 0, 0, 0, 0, 0, (u8)sequence, 0, 0, 0, 5, 0, 6, 0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, (u8)sequence, 0, 0, 0 };
	u8 *from = has_head ? tags : tags + 12;
	u32 len = has_head ? 30 : 18;
	le32 checksum;
	le16 tail_len;

	le16_put(&tail_len, (u16)(HAND_BLOCK_BYTES - *at - (len - 8) - 4));
	memcpy(tags + 24, &tail_len, 2);
	crc = crc32c_update(0, from, len);
	le32_put(&checksum, crc ^ is_wrong);
	memcpy(bytes + *at, from, len);
	memcpy(bytes + *at + len, &checksum, 4);
}

static void fast_commits_are_recognised(void **state)
{
	struct jbd2 *journal;

	(void)state;
	for (u32 offset = 0; offset < 2; offset++)
		for (u32 sequence = 1; sequence <= 3; sequence++)
			for (u32 wrong = 0; wrong < 3; wrong++) {
				static const u32 complete[] = { 2, 0, 1 };
				u32 first, at = 0;

				begin_one(CSUM_V3 | JBD2_INCOMPAT_FAST_COMMIT);
				assert_int_equal(hand.end, 70);
				first = hand.end + offset;
				memset(hand_block(&hand, first), 0, 2 * HAND_BLOCK_BYTES);
				fast_commit(first, &at, sequence, true, wrong == 1);
				fast_commit(first + 1, &at, sequence, false, wrong == 2);
				journal = open_hand();
				assert_int_equal(jbd2_info(journal)->nr_fast_commits, sequence != 2 ? 0 : complete[wrong]);
				assert_int_equal(jbd2_info(journal)->state,
						 sequence == 2 && wrong != 1 ? JBD2_FAST_COMMITS : JBD2_DIRTY);
				assert_block(journal, 5, 1, false);
				jbd2_close(journal);
			}
	/* After no transaction at all. */
	hand_begin(&hand, 0, CSUM_V3 | JBD2_INCOMPAT_FAST_COMMIT, 90, 60, 9);
	fast_commit(71, &(u32){ 0 }, 9, true, false);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->state, JBD2_FAST_COMMITS);
	jbd2_close(journal);
	/* Of other features they are none. */
	hand_begin(&hand, 0, CSUM_V3, 90, 60, 9);
	fast_commit(71, &(u32){ 0 }, 9, true, false);
	journal = open_hand();
	assert_int_equal(jbd2_info(journal)->state, JBD2_EMPTY);
	jbd2_close(journal);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static void any_bytes_are_laid_over(void **state)
{
	enum { BLOCKS = 16, BYTES = BLOCKS * HAND_BLOCK_BYTES };
	static u8 plain[BYTES], expected[BYTES], found[BYTES];
	struct jbd2 *journal;
	u64 random = 1;

	(void)state;
	hand_begin(&hand, 0, CSUM_V3, 90, 60, 100);
	hand_write(&hand, (struct hand_tag[]){ { 0, 0, 0 }, { 3, 0, 0 }, { 4, JBD2_TAG_ESCAPED, 0 }, { 9, 0, 0 }, { 15, 0, 0 } }, 5);
	hand_commit(&hand);
	journal = open_hand();
	memset(plain, 0x77, sizeof(plain));
	memcpy(expected, plain, sizeof(plain));
	for (u32 block = 0; block < BLOCKS; block++)
		if (block == 0 || block == 3 || block == 4 || block == 9 || block == 15)
			hand_contents(block, 100, block == 4, expected + block * HAND_BLOCK_BYTES);
	for (unsigned i = 0; i < 3000; i++) {
		u64 from, len;

		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		from = (random >> 33) % BYTES;
		len = (random >> 20) % (i % 2 ? 3000 : BYTES) % (BYTES - from + 1);
		memcpy(found, plain, sizeof(found));
		assert_int_equal(jbd2_lay_over(journal, from, found + from, len, NULL), 0);
		assert_memory_equal(found + from, expected + from, len);
		assert_memory_equal(found, plain, from);
		assert_memory_equal(found + from + len, plain + from + len, BYTES - from - len);
		/* It is changed where the table says so, and nowhere else. */
		if (memcmp(plain + from, expected + from, len) != 0)
			assert_true(is_changed(journal, from, len));
	}
	assert_false(is_changed(journal, HAND_BLOCK_BYTES, 2 * HAND_BLOCK_BYTES));
	assert_true(is_changed(journal, HAND_BLOCK_BYTES, 2 * HAND_BLOCK_BYTES + 1));
	assert_false(is_changed(journal, 0, 0));
	assert_true(is_changed(journal, 100, UINT64_MAX));
	assert_false(is_changed(journal, 16 * HAND_BLOCK_BYTES, UINT64_MAX));
	jbd2_close(journal);
}

static void blocks_that_cannot_be_read_are_named(void **state)
{
	struct jbd2 *journal;
	struct diag d = { 0 };
	u8 buf[HAND_BLOCK_BYTES];

	(void)state;
	begin_one(CSUM_V3);
	hand.unreadable = 62;
	assert_refused(-EIO, "journal, block 62: cannot be read");
	hand.unreadable = 0;
	journal = open_hand();
	hand.unreadable = 61;
	assert_int_equal(jbd2_read_block(journal, 5, buf, &d), -EIO);
	assert_string_equal(d.text, "journal, block 61: cannot be read");
	assert_int_equal(jbd2_lay_over(journal, 5 * HAND_BLOCK_BYTES + 7, buf, 10, NULL), -EIO);
	assert_int_equal(jbd2_lay_over(journal, 4 * HAND_BLOCK_BYTES, buf, sizeof(buf), NULL), 0);
	jbd2_close(journal);
}

/* Few bytes of memory give what many do. */
static void memory_does_not_matter(void **state)
{
	struct jbd2 *journals[2];
	u64 next[2] = { 0, 0 };
	u64 random = 7;

	(void)state;
	hand_begin(&hand, 0, CSUM_V3, HAND_BLOCKS_MAX, 800, 1);
	for (u32 i = 0; i < 300; i++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		hand_write_one(&hand, (random >> 33) % 200);
		if (i % 10 == 9)
			hand_commit(&hand);
	}
	for (u32 i = 0; i < 2; i++) {
		struct jbd2_place place = hand_place(&hand);

		place.memory_bytes = i ? 500 : 0;
		assert_int_equal(jbd2_open(&place, &journals[i], NULL), 0);
	}
	assert_int_equal(jbd2_info(journals[0])->nr_transactions, 30);
	while (jbd2_next_block(journals[0], next[0], &next[0], NULL) == 0) {
		u8 a[HAND_BLOCK_BYTES], b[HAND_BLOCK_BYTES];

		assert_int_equal(jbd2_next_block(journals[1], next[1], &next[1], NULL), 0);
		assert_int_equal(next[0], next[1]);
		assert_int_equal(jbd2_read_block(journals[0], next[0], a, NULL), 0);
		assert_int_equal(jbd2_read_block(journals[1], next[1], b, NULL), 0);
		assert_memory_equal(a, b, sizeof(a));
		next[0]++;
		next[1]++;
	}
	assert_int_equal(jbd2_next_block(journals[1], next[1], &next[1], NULL), 1);
	for (u32 i = 0; i < 2; i++)
		jbd2_close(journals[i]);
}

static void no_memory_is_told(void **state)
{
	struct jbd2 *journal = NULL;
	unsigned long nr;

	(void)state;
	if (!can_fail_malloc)
		skip();
	begin_one(CSUM_V3 | JBD2_INCOMPAT_FAST_COMMIT);
	nr_mallocs = 0;
	jbd2_close(open_hand());
	nr = nr_mallocs;
	assert_in_range(nr, 5, 100);
	for (unsigned long at = 1; at <= nr; at++) {
		struct jbd2_place place = hand_place(&hand);
		struct diag d = { 0 };
		int err;

		fail_malloc_at = at;
		err = jbd2_open(&place, &journal, &d);
		fail_malloc_at = 0;
		assert_int_equal(err, -ENOMEM);
		assert_true(d.text[0]);
		assert_null(journal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_is_read_wherever_the_log_wraps),
		cmocka_unit_test(revocations_count_up_to_their_transaction),
		cmocka_unit_test(a_log_ends_anywhere),
		cmocka_unit_test(sequences_go_round),
		cmocka_unit_test(an_earlier_lap_does_not_count),
		cmocka_unit_test(states_are_told_apart),
		cmocka_unit_test(version_1_has_no_features),
		cmocka_unit_test(a_journal_may_be_on_its_own_device),
		cmocka_unit_test(fast_commits_are_recognised),
		cmocka_unit_test(any_bytes_are_laid_over),
		cmocka_unit_test(blocks_that_cannot_be_read_are_named),
		cmocka_unit_test(memory_does_not_matter),
		cmocka_unit_test(no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
