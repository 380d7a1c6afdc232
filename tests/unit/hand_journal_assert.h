/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of jbd2 do with a journal made by hand: one for each test program, opened, judged, compared. */
#ifndef BTRKIT_TESTS_UNIT_HAND_JOURNAL_ASSERT_H
#define BTRKIT_TESTS_UNIT_HAND_JOURNAL_ASSERT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/hand_journal.h"

static struct hand_journal hand;

static const struct {
	u32 compat, incompat;
} formats[] = {
	{ 0, 0 },
	{ 0, JBD2_INCOMPAT_REVOKE },
	{ 0, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_64BIT },
	{ JBD2_COMPAT_CHECKSUM, JBD2_INCOMPAT_REVOKE },
	{ JBD2_COMPAT_CHECKSUM, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_64BIT | JBD2_INCOMPAT_ASYNC_COMMIT },
	{ 0, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_CSUM_V2 },
	{ 0, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_64BIT },
	{ 0, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_CSUM_V3 },
	{ 0, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_64BIT },
	{ 0, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_64BIT | JBD2_INCOMPAT_ASYNC_COMMIT },
	{ 0, JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_64BIT | JBD2_INCOMPAT_FAST_COMMIT },
};
#define CSUM_V3 (JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_64BIT | JBD2_INCOMPAT_CSUM_V3)

static inline struct jbd2 *open_hand(void)
{
	struct jbd2_place place = hand_place(&hand);
	struct jbd2 *journal = NULL;
	struct diag d = { 0 };
	int err = jbd2_open(&place, &journal, &d);

	if (err)
		fail_msg("error %d: %s", err, d.text);
	return journal;
}

/* It is refused with @err, and a text that contains @text. */
static inline void assert_refused(int err, const char *text)
{
	struct jbd2_place place = hand_place(&hand);
	struct jbd2 *journal = NULL;
	struct diag d = { 0 };
	int found = jbd2_open(&place, &journal, &d);

	if (found == 0)
		fail_msg("opened; expected: %s", text);
	if (found != err || !strstr(d.text, text))
		fail_msg("error %d, %s; expected %d, %s", found, d.text, err, text);
	assert_null(journal);
}

static inline bool is_changed(const struct jbd2 *journal, u64 physical, u64 len_bytes)
{
	bool is_changed;

	assert_int_equal(jbd2_is_changed(journal, physical, len_bytes, &is_changed, NULL), 0);
	return is_changed;
}

/* The newest contents of @block are those that transaction @sequence has written; 0: the journal has none. */
static inline void assert_block(const struct jbd2 *journal, u64 block, u32 sequence, bool is_escaped)
{
	u8 found[HAND_BLOCK_BYTES], expected[HAND_BLOCK_BYTES];
	int err = jbd2_read_block(journal, block, found, NULL);

	assert_int_equal(err, sequence ? 0 : 1);
	assert_int_equal(is_changed(journal, block * HAND_BLOCK_BYTES, HAND_BLOCK_BYTES), sequence != 0);
	if (!sequence)
		return;
	hand_contents(block, sequence, is_escaped, expected);
	assert_memory_equal(found, expected, sizeof(found));
}

/* Three transactions from sequence 100 on, which write 0 to 7, 4 to 11, 8; and 12, which is escaped. */
static inline void write_three(void)
{
	struct hand_tag tags[8] = { 0 };

	for (u32 i = 0; i < 8; i++)
		tags[i].block = i;
	hand_write(&hand, tags, 8);
	hand_commit(&hand);
	for (u32 i = 0; i < 8; i++)
		tags[i].block = 4 + i;
	hand_write(&hand, tags, 3);
	hand_write(&hand, tags + 3, 5);
	hand_commit(&hand);
	hand_write_one(&hand, 8);
	hand_write(&hand, &(struct hand_tag){ .block = 12, .flags = JBD2_TAG_ESCAPED }, 1);
	hand_commit(&hand);
}

static inline void begin_one(u32 incompat)
{
	hand_begin(&hand, 0, incompat, 90, 60, 1);
	hand_write_one(&hand, 5);
	hand_commit(&hand);
}

/* @field, as part of the superblock, is set to @value, and the checksum to what it then is. */
static inline void set_super(size_t field, u32 value)
{
	struct disk_jbd2_super *super = (void *)hand_block(&hand, 0);
	be32 disk;

	be32_put(&disk, value);
	memcpy((u8 *)super + field, &disk, sizeof(disk));
	be32_put(&super->checksum, jbd2_super_checksum(super));
}

#endif
