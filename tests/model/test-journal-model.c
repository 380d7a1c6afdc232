/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Journals against what they mean: random histories, cut at any place, are read through convert/journal, and compared with the
 * same histories applied one by one to an array. Both users of the engine: blocks (jbd2), and keys of b-trees laid over sorted
 * sources. BTRKIT_TEST_SEED chooses other histories.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/journal/journal_merge.h"
#include "tests/model/chance.h"
#include "tests/unit/hand_journal.h"

/* --- Blocks ---------------------------------------------------------------------------------------------------- */

#define MODEL_BLOCKS 40

/* What each block has: the sequence that wrote it last, and how; 0: what the device has. */
struct model_block {
	u32 sequence;
	bool is_escaped;
};

static struct hand_journal hand;
static struct model_block now[MODEL_BLOCKS];

static void random_descriptor(struct model_block *model)
{
	struct hand_tag tags[8] = { 0 };
	u32 nr = 1 + any(8);

	for (u32 i = 0; i < nr; i++) {
		tags[i].block = any(MODEL_BLOCKS);
		/* One block, one content in a transaction. */
		tags[i].flags = (tags[i].block + hand.sequence) % 5 == 0 ? JBD2_TAG_ESCAPED : 0;
		model[tags[i].block] = (struct model_block){ hand.sequence, tags[i].flags };
	}
	hand_write(&hand, tags, nr);
}

/* A transaction of some descriptors and revoke blocks in any order. */
static void random_transaction(bool has_commit)
{
	struct model_block model[MODEL_BLOCKS];
	bool is_revoked[MODEL_BLOCKS] = { 0 };

	memcpy(model, now, sizeof(model));
	for (u32 i = any(4); i > 0; i--) {
		u64 revoked[6];
		u32 nr = any(6);

		if (any(3)) {
			random_descriptor(model);
			continue;
		}
		for (u32 k = 0; k < nr; k++) {
			revoked[k] = any(MODEL_BLOCKS);
			is_revoked[revoked[k]] = true;
		}
		hand_revoke(&hand, revoked, nr);
	}
	if (!has_commit)
		return;
	hand_commit(&hand);
	for (u32 i = 0; i < MODEL_BLOCKS; i++)
		now[i] = is_revoked[i] ? (struct model_block){ 0, false } : model[i];
}

static void compare_with_model(const struct jbd2 *journal)
{
	u8 found[HAND_BLOCK_BYTES], expected[HAND_BLOCK_BYTES];

	for (u32 i = 0; i < MODEL_BLOCKS; i++) {
		int err = jbd2_read_block(journal, i, found, NULL);

		assert_int_equal(err, now[i].sequence ? 0 : 1);
		if (err)
			continue;
		hand_contents(i, now[i].sequence, now[i].is_escaped, expected);
		assert_memory_equal(found, expected, sizeof(found));
	}
}

static void blocks_are_as_if_written(void **state)
{
	static const u32 formats[] = { 0, JBD2_INCOMPAT_64BIT, JBD2_INCOMPAT_CSUM_V2, JBD2_INCOMPAT_CSUM_V3 };
	u64 nr_transactions = 0;

	(void)state;
	for (u32 round = 0; round < 2000; round++) {
		u32 nr_blocks = 250 + any(100), nr = any(7), format = formats[any(4)];
		u32 compat = format < JBD2_INCOMPAT_CSUM_V2 && any(2) ? JBD2_COMPAT_CHECKSUM : 0;
		struct jbd2_place place;
		struct jbd2 *journal;
		struct diag d = { 0 };

		hand_begin(&hand, compat, JBD2_INCOMPAT_REVOKE | format, nr_blocks, 1 + any(nr_blocks - 1),
			   any(4) ? 1 + any(1000) : 0xfffffffc);
		memset(now, 0, sizeof(now));
		for (u32 i = 0; i < nr; i++) {
			/* 0 stands for none. */
			if (hand.sequence == 0)
				hand_commit(&hand);
			else
				random_transaction(true);
		}
		nr = hand.sequence - hand.start_sequence;
		if (any(2) && hand.sequence != 0)
			random_transaction(false);
		place = hand_place(&hand);
		place.memory_bytes = any(2) ? 300 : 0;
		if (jbd2_open(&place, &journal, &d) != 0)
			fail_msg("round %u: %s", round, d.text);
		assert_int_equal(jbd2_info(journal)->nr_transactions, nr);
		compare_with_model(journal);
		nr_transactions += nr;
		jbd2_close(journal);
	}
	assert_in_range(nr_transactions, 1000, 100000);
}

/* --- Keys ------------------------------------------------------------------------------------------------------ */

/* As a journal of b-trees has them: trees and levels beside each other, and an order within each entry. */
struct key {
	u8 tree, level;
	bool is_deleted;
	u32 pos;
	u64 sequence;
	u32 place; /* in the entry */
	u32 value;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->tree != y->tree)
		return x->tree < y->tree ? -1 : 1;
	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

static int compare_ages(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = compare_keys(a, b);

	if (order)
		return order;
	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static bool is_deleted(const void *record)
{
	return ((const struct key *)record)->is_deleted;
}

/* Tree 2 counts: what is newer is added. */
static void add_up(void *newer, const void *older)
{
	struct key *to = newer;
	const struct key *from = older;

	if (to->tree == 2)
		to->value += from->value;
}

static const struct journal_kind keys_kind = {
	.record_bytes = sizeof(struct key),
	.compare_keys = compare_keys,
	.compare = compare_ages,
	.is_deletion = is_deleted,
	.keeps_deletions = true,
	.replace = add_up,
};

#define TREES 3
#define LEVELS 2
#define POSITIONS 50
#define ABSENT UINT32_MAX

static bool is_before(const void *ctx, const void *record)
{
	return ((const struct key *)record)->sequence < *(const u64 *)ctx;
}

struct source {
	const u32 *values; /* by position; ABSENT: no such key */
	struct key key;
	u32 at;
	bool is_failing;
};

static int next_key(void *ctx, const void **ret_item, struct diag *d)
{
	struct source *source = ctx;

	while (source->at < POSITIONS && source->values[source->at] == ABSENT)
		source->at++;
	if (source->is_failing && source->at > POSITIONS / 2)
		return diag_fail(d, -EIO, "unreadable");
	if (source->at == POSITIONS)
		return 1;
	source->key.pos = source->at;
	source->key.value = source->values[source->at++];
	*ret_item = &source->key;
	return 0;
}

static struct journal_window window;

static int find(const struct journal_overlay *overlay, const struct key *key)
{
	const void *record;

	return journal_overlay_find(overlay, &window, key, &record, NULL);
}

/* One tree's level, merged with the source, is what @expected is. */
static void compare_tree(const struct journal_overlay *overlay, u8 tree, u8 level, const u32 *device, const u32 *expected)
{
	struct key from = { .tree = tree, .level = level }, to = { .tree = tree, .level = level, .pos = POSITIONS };
	struct source source = { .values = device, .key = from };
	struct journal_merge merge = {
		.overlay = overlay,
		.window = &window,
		.next = next_key,
		.ctx = &source,
		.compare = compare_keys,
	};
	struct journal_merged merged;
	u32 pos = 0;

	assert_int_equal(journal_overlay_seek(overlay, &window, &from, &merge.at, NULL), 0);
	assert_int_equal(journal_overlay_seek(overlay, &window, &to, &merge.end, NULL), 0);
	for (; journal_merge_next(&merge, &merged, NULL) == 0; pos++) {
		const struct key *key = merged.record ? merged.record : merged.item;

		while (pos < POSITIONS && expected[pos] == ABSENT)
			pos++;
		assert_int_equal(key->pos, pos);
		assert_int_equal(key->value, expected[pos]);
		assert_int_equal(merged.item != NULL, device[pos] != ABSENT);
	}
	while (pos < POSITIONS && expected[pos] == ABSENT)
		pos++;
	assert_int_equal(pos, POSITIONS);
	assert_int_equal(journal_merge_next(&merge, &merged, NULL), 1);
}

/* The history as a list, from which the model is made again up to any sequence. */
static struct key history[400];

static void apply_history(u32 nr, u64 end, u32 values[TREES][LEVELS][POSITIONS])
{
	u32 sums[LEVELS][POSITIONS] = { 0 };

	for (u32 i = 0; i < nr && history[i].sequence < end; i++) {
		const struct key *key = &history[i];
		u32 *value = &values[key->tree][key->level][key->pos];

		if (key->tree == 2)
			*value = sums[key->level][key->pos] += key->value;
		else
			*value = key->is_deleted ? ABSENT : key->value;
	}
}

static void gather(struct journal_overlay *overlay, u32 nr)
{
	u32 order[ARRAY_LEN(history)];

	for (u32 i = 0; i < nr; i++)
		order[i] = i;
	for (u32 i = nr; i > 1; i--) {
		u32 k = any(i), last = order[i - 1];

		order[i - 1] = order[k];
		order[k] = last;
	}
	for (u32 i = 0; i < nr; i++)
		assert_int_equal(journal_overlay_add(overlay, &history[order[i]], NULL), 0);
}

static void keys_are_as_if_inserted(void **state)
{
	(void)state;
	for (u32 round = 0; round < 1000; round++) {
		static u32 device[TREES][LEVELS][POSITIONS], expected[TREES][LEVELS][POSITIONS];
		struct spill spill = { .dir = "/var/tmp" };
		struct journal_overlay *overlay;
		u64 sequence = 1 + any(5), end;
		u32 nr = any(ARRAY_LEN(history)), place = 0;

		for (u32 i = 0; i < sizeof(device) / sizeof(u32); i++)
			((u32 *)device)[i] = any(3) ? any(1000) : ABSENT;
		memcpy(expected, device, sizeof(device));
		for (u32 i = 0; i < nr; i++) {
			if (any(20) == 0) {
				sequence += 1 + any(3);
				place = 0;
			}
			history[i] = (struct key){
				(u8)any(TREES), (u8)any(LEVELS), false, any(POSITIONS), sequence, place++, any(1000),
			};
			history[i].is_deleted = history[i].tree < 2 && any(3) == 0;
		}
		end = 1 + any((u32)sequence + 2);
		apply_history(nr, end, expected);
		assert_int_equal(journal_overlay_new(&keys_kind, &spill, any(2) ? 1 << 20 : 0, &overlay), 0);
		gather(overlay, nr);
		assert_int_equal(journal_overlay_finish(overlay, is_before, &end, NULL), 0);
		for (u8 tree = 0; tree < TREES; tree++)
			for (u8 level = 0; level < LEVELS; level++)
				compare_tree(overlay, tree, level, device[tree][level], expected[tree][level]);
		for (u32 i = 0; i < nr && history[i].sequence < end; i++)
			assert_int_equal(find(overlay, &history[i]), 0);
		assert_int_equal(find(overlay, &(struct key){ .tree = 9 }), 1);
		assert_int_equal(journal_overlay_at(overlay, &window, journal_overlay_count(overlay), &(const void *){ NULL }, NULL), 1);
		journal_window_done(&window);
		journal_overlay_free(overlay);
	}
}

static void sources_that_fail_end_the_merge(void **state)
{
	u32 values[POSITIONS] = { 0 };
	struct spill spill = { .dir = "/var/tmp" };
	struct source source = { .values = values, .is_failing = true };
	struct journal_merge merge = { .window = &window, .next = next_key, .ctx = &source, .compare = compare_keys, .end = 10 };
	struct journal_overlay *overlay;
	struct journal_merged merged;
	struct diag d = { 0 };
	int err, nr = 0;

	(void)state;
	assert_int_equal(journal_overlay_new(&keys_kind, &spill, 0, &overlay), 0);
	assert_int_equal(journal_overlay_finish(overlay, NULL, NULL, NULL), 0);
	merge.overlay = overlay;
	while ((err = journal_merge_next(&merge, &merged, &d)) == 0)
		nr++;
	assert_int_equal(err, -EIO);
	assert_string_equal(d.text, "unreadable");
	assert_int_equal(nr, POSITIONS / 2 + 1);
	journal_overlay_free(overlay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(blocks_are_as_if_written, begin_random),
		cmocka_unit_test_setup(keys_are_as_if_inserted, begin_random),
		cmocka_unit_test_setup(sources_that_fail_end_the_merge, begin_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
