/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/block/block_cache: what is kept and for how long, bad copies, and many readers at once. */
#include "kernel-shared/device/record_device.h"
#include "tests/unit/hand_tree.h"

static struct block_expect expect_block(unsigned level, unsigned index)
{
	return (struct block_expect){
		.logical = hand_logical(hand_block(level, index)),
		.level = (int)level,
		.generation = hand_generation(hand_block(level, index)),
		.tree_id = HAND_TREE_ID,
	};
}

static struct tree_block *take(struct hand_tree *hand, unsigned level, unsigned index)
{
	const struct block_expect expect = expect_block(level, index);
	struct tree_block *block;

	assert_int_equal(block_get(hand->cache, &expect, &block, NULL), 0);
	assert_int_equal(block->logical, expect.logical);
	assert_int_equal(block->generation, expect.generation);
	assert_int_equal(block->owner, HAND_TREE_ID);
	assert_int_equal(block->level, level);
	assert_int_equal(block->nritems, level ? HAND_FANOUT : HAND_LEAF_ITEMS);
	return block;
}

/* Count what is read from the devices by laying recorders over them. */
static void count_reads(struct hand_tree *hand, struct record_log *log)
{
	record_log_init(log);
	for (unsigned s = 0; s < 2; s++) {
		struct blockdev *dev;

		assert_int_equal(record_device_new(memory_volume_take_away(&hand->memory, s), log, s, &dev), 0);
		memory_volume_give_back(&hand->memory, s, dev);
	}
}

static void a_block_is_read_once_and_shared(void **state)
{
	struct record_log log = { 0 };
	struct tree_block *first, *second;
	struct hand_tree hand;

	(void)state;
	hand_tree_make(&hand);
	count_reads(&hand, &log);
	first = take(&hand, 0, 4);
	second = take(&hand, 0, 4);
	assert_ptr_equal(first, second);
	assert_int_equal(log.nr_operations, 1);
	block_put(first);
	block_put(second);
	block_put(take(&hand, 0, 4));
	block_put(NULL);
	assert_int_equal(log.nr_operations, 1);
	assert_ptr_equal(block_cache_volume(hand.cache), hand.memory.volume);
	assert_int_equal(block_cache_nodesize(hand.cache), HAND_NODESIZE);
	hand_tree_done(&hand);
	record_log_done(&log);
}

/* With room for ten, the ten used last are there; those that are held stay beyond that. */
static void the_longest_unused_goes_first(void **state)
{
	struct record_log log = { 0 };
	struct tree_block *held[HAND_LEAVES];
	struct hand_tree hand;

	(void)state;
	hand_tree_make(&hand);
	count_reads(&hand, &log);
	hand_reopen(&hand, 10 * HAND_NODESIZE);
	for (unsigned i = 0; i < 10; i++)
		block_put(take(&hand, 0, i));
	block_put(take(&hand, 0, 0)); /* used again: 1 is the oldest now */
	assert_int_equal(log.nr_operations, 10);
	block_put(take(&hand, 0, 10));
	assert_int_equal(log.nr_operations, 11);
	for (unsigned i = 2; i < 11; i++)
		block_put(take(&hand, 0, i));
	block_put(take(&hand, 0, 0));
	assert_int_equal(log.nr_operations, 11);
	block_put(take(&hand, 0, 1));
	assert_int_equal(log.nr_operations, 12);

	for (unsigned i = 0; i < HAND_LEAVES; i++)
		held[i] = take(&hand, 0, i);
	log.nr_operations = 0;
	for (unsigned i = 0; i < HAND_LEAVES; i++) {
		assert_ptr_equal(take(&hand, 0, i), held[i]);
		block_put(held[i]);
	}
	assert_int_equal(log.nr_operations, 0);
	for (unsigned i = 0; i < HAND_LEAVES; i++) {
		assert_int_equal(leaf_key(held[i]->data, 0).offset, hand_key(i * HAND_LEAF_ITEMS).offset);
		block_put(held[i]);
	}
	hand_tree_done(&hand);
	record_log_done(&log);
}

struct told {
	unsigned count;
	char last[DIAG_TEXT_MAX];
};

static void take_told(void *arg, enum diag_severity severity, const char *text)
{
	struct told *told = arg;

	assert_int_equal(severity, DIAG_WARNING);
	told->count++;
	snprintf(told->last, sizeof(told->last), "%s", text);
}

/* Write other bytes to one copy of a block. */
static void write_copy(struct hand_tree *hand, unsigned copy, unsigned block, const u8 *bytes)
{
	assert_int_equal(blockdev_write(memory_volume_device(&hand->memory, copy),
					stripe_physical(hand->memory.chunk->profile, copy) + (u64)block * HAND_NODESIZE,
					bytes, HAND_NODESIZE, NULL), 0);
}

static void a_bad_copy_is_replaced_and_told_of_once(void **state)
{
	struct told told = { 0 };
	struct diag d = { .note = take_told, .note_arg = &told };
	const struct block_expect expect = expect_block(0, 7);
	struct tree_block *block;
	struct hand_tree hand;
	u8 junk[HAND_NODESIZE], bytes[HAND_NODESIZE];

	(void)state;
	memset(junk, 0x11, sizeof(junk));
	hand_tree_make(&hand);
	hand_read(&hand, 7, bytes);
	write_copy(&hand, 0, 7, junk);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(block_get(hand.cache, &expect, &block, &d), 0);
		assert_memory_equal(block->data, bytes, HAND_NODESIZE);
		block_put(block);
	}
	assert_int_equal(told.count, 1);
	assert_string_equal(told.last, "block 3221340160, copy 1: checksum does not match; copy 2 is good");
	assert_int_equal(block_read_copy(hand.cache, &expect, 1, junk, &d), -EUCLEAN);
	assert_int_equal(block_read_copy(hand.cache, &expect, 2, junk, &d), 0);
	assert_memory_equal(junk, bytes, HAND_NODESIZE);
	assert_int_equal(block_read_copy(hand.cache, &expect, 3, junk, &d), -EINVAL);
	hand_tree_done(&hand);
}

/* An old copy, right in itself, as a device has that was away for a while: whoever points to it knows better. */
static void a_stale_copy_is_seen_by_its_generation(void **state)
{
	struct told told = { 0 };
	struct diag d = { .note = take_told, .note_arg = &told };
	struct block_expect expect = expect_block(0, 7), any = expect_block(0, 7);
	struct tree_block *block, *old;
	struct hand_tree hand;
	u8 bytes[HAND_NODESIZE];

	(void)state;
	hand_tree_make(&hand);
	hand_read(&hand, 7, bytes);
	le64_put(&((struct disk_header *)bytes)->generation, 3);
	block_finish(bytes, HAND_NODESIZE, csum_kind_by_type(CSUM_TYPE_CRC32C));
	write_copy(&hand, 0, 7, bytes);
	any.generation = 0;
	assert_int_equal(block_get(hand.cache, &any, &old, &d), 0);
	assert_int_equal(old->generation, 3);
	/* the block that is kept is not the one that is wanted: the other copy is, and the old one stays with its holder */
	assert_int_equal(block_get(hand.cache, &expect, &block, &d), 0);
	assert_int_equal(block->generation, expect.generation);
	assert_int_equal(old->generation, 3);
	assert_int_equal(told.count, 1);
	assert_non_null(strstr(told.last, "generation 3, expected 22; copy 2 is good"));
	block_put(old);
	block_put(block);
	assert_int_equal(block_get(hand.cache, &any, &block, &d), 0);
	assert_int_equal(block->generation, expect.generation);
	block_put(block);
	expect.generation = 4;
	assert_int_equal(block_get(hand.cache, &expect, &block, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "copy 1: generation 3, expected 4"));
	hand_tree_done(&hand);
}

/* One copy's device is not there and the other copy is wrong: that it is wrong says more. */
static void a_wrong_copy_says_more_than_a_missing_one(void **state)
{
	const struct block_expect expect = expect_block(0, 7);
	struct tree_block *block;
	struct hand_tree hand;
	struct diag d = { 0 };
	u8 junk[HAND_NODESIZE];

	(void)state;
	memset(junk, 0x11, sizeof(junk));
	hand_tree_make(&hand);
	write_copy(&hand, 1, 7, junk);
	blockdev_close(memory_volume_take_away(&hand.memory, 0));
	assert_int_equal(block_get(hand.cache, &expect, &block, &d), -EUCLEAN);
	assert_string_equal(d.text, "block 3221340160, copy 2: checksum does not match");
	blockdev_close(memory_volume_take_away(&hand.memory, 1));
	assert_int_equal(block_get(hand.cache, &expect, &block, &d), -EIO);
	assert_non_null(strstr(d.text, "device 1, which holds logical address 3221340160, is missing"));
	hand_tree_done(&hand);
}

/* Subvolumes share blocks with each other, other trees do not. */
static void blocks_belong_to_trees(void **state)
{
	static const struct {
		u64 tree, owner;
		bool is_possible;
	} cases[] = {
		{ 0, 5, true },
		{ 0, 2, true },
		{ 5, 5, true },
		{ 5, 257, true },
		{ 257, 5, true },
		{ 300, LAST_FREE_OBJECTID, true },
		{ TREE_RELOC_OBJECTID, 5, true },
		{ TREE_RELOC_OBJECTID, 2, true },
		{ 2, 2, true },
		{ 2, 7, false },
		{ 2, 5, false },
		{ 5, 2, false },
		{ 5, TREE_RELOC_OBJECTID, false },
		{ 300, CSUM_TREE_OBJECTID, false },
		{ DATA_RELOC_TREE_OBJECTID, DATA_RELOC_TREE_OBJECTID, true },
		{ DATA_RELOC_TREE_OBJECTID, 5, false },
		{ CSUM_TREE_OBJECTID, 300, false },
	};
	struct hand_tree hand;
	u8 bytes[HAND_NODESIZE];

	(void)state;
	hand_tree_make(&hand);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct block_expect expect = expect_block(0, 7);
		struct tree_block *block;
		int err;

		hand_read(&hand, 7, bytes);
		le64_put(&((struct disk_header *)bytes)->owner, cases[i].owner);
		hand_write(&hand, 7, bytes);
		hand_reopen(&hand, MIB);
		expect.tree_id = cases[i].tree;
		err = block_get(hand.cache, &expect, &block, NULL);
		if (err != (cases[i].is_possible ? 0 : -EUCLEAN))
			fail_msg("a block of tree %llu in tree %llu: %d", (unsigned long long)cases[i].owner,
				 (unsigned long long)cases[i].tree, err);
		if (!err)
			block_put(block);
	}
	hand_tree_done(&hand);
}

static void impossible_addresses_are_refused(void **state)
{
	static const u64 addresses[] = { 0, 4096, MEMORY_VOLUME_LOGICAL - HAND_NODESIZE, MEMORY_VOLUME_LOGICAL + 2 * MIB,
					 MEMORY_VOLUME_LOGICAL + 512, UINT64_MAX - HAND_NODESIZE + 1 };
	struct hand_tree hand;

	(void)state;
	hand_tree_make(&hand);
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct block_expect expect = { .logical = addresses[i], .level = -1 };
		struct tree_block *block = NULL;
		struct diag d = { 0 };

		assert_int_equal(block_get(hand.cache, &expect, &block, &d), -EUCLEAN);
		assert_null(block);
		assert_true(strncmp(d.text, "block ", 6) == 0);
		assert_non_null(strstr(d.text, addresses[i] % 4096 ? "not a possible address" : "no chunk covers"));
	}
	hand_tree_done(&hand);
}

/* A block that begins in the chunk and ends outside of it. */
static void a_block_across_the_end_of_its_chunk_is_an_error(void **state)
{
	struct block_expect expect = { .logical = MEMORY_VOLUME_LOGICAL + 2 * MIB - 4096, .level = -1 };
	struct tree_block *block;
	struct hand_tree hand;
	struct diag d = { 0 };

	(void)state;
	hand_tree_make(&hand);
	assert_true(block_get(hand.cache, &expect, &block, &d) < 0);
	assert_non_null(strstr(d.text, "no chunk covers"));
	hand_tree_done(&hand);
}

static void a_foreign_chunk_tree_is_told_of_once(void **state)
{
	struct told told = { 0 };
	struct diag d = { .note = take_told, .note_arg = &told };
	struct hand_tree hand;
	u8 uuid[UUID_SIZE] = { 0 };

	(void)state;
	hand_tree_make(&hand);
	for (unsigned turn = 0; turn < 3; turn++) {
		if (turn)
			block_cache_set_chunk_tree_uuid(hand.cache, uuid);
		for (unsigned i = 5 * turn; i < 5 * turn + 5; i++) {
			const struct block_expect expect = expect_block(0, i);
			struct tree_block *block;

			assert_int_equal(block_get(hand.cache, &expect, &block, &d), 0);
			block_put(block);
		}
		assert_int_equal(told.count, turn == 2 ? 1 : 0);
		uuid[3] = (u8)turn; /* of the blocks: zeroes */
	}
	assert_non_null(strstr(told.last, "names another chunk tree"));
	hand_tree_done(&hand);
}

/* --- Many readers ------------------------------------------------------------------------------------------------------ */

struct reader {
	struct hand_tree *hand;
	u64 seed;
	unsigned nr_bad;
};

static void *read_many(void *arg)
{
	struct reader *reader = arg;

	for (unsigned i = 0; i < 3000; i++) {
		unsigned leaf = next_number(&reader->seed) % HAND_LEAVES;
		const struct block_expect expect = expect_block(0, leaf);
		struct tree_block *block, *other;

		if (block_get(reader->hand->cache, &expect, &block, NULL) != 0) {
			reader->nr_bad++;
			continue;
		}
		if (i % 3 == 0 && block_get(reader->hand->cache, &expect, &other, NULL) == 0)
			block_put(other);
		reader->nr_bad += leaf_key(block->data, 0).offset != hand_key(leaf * HAND_LEAF_ITEMS).offset;
		block_put(block);
	}
	return NULL;
}

static void readers_share_a_small_cache(void **state)
{
	struct reader readers[4];
	pthread_t threads[4];
	struct hand_tree hand;

	(void)state;
	hand_tree_make(&hand);
	hand_reopen(&hand, 1);
	for (unsigned i = 0; i < 4; i++) {
		readers[i] = (struct reader){ .hand = &hand, .seed = i };
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, &readers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].nr_bad, 0);
	}
	hand_tree_done(&hand);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_read_once_and_shared),
		cmocka_unit_test(the_longest_unused_goes_first),
		cmocka_unit_test(a_bad_copy_is_replaced_and_told_of_once),
		cmocka_unit_test(a_stale_copy_is_seen_by_its_generation),
		cmocka_unit_test(a_wrong_copy_says_more_than_a_missing_one),
		cmocka_unit_test(blocks_belong_to_trees),
		cmocka_unit_test(impossible_addresses_are_refused),
		cmocka_unit_test(a_block_across_the_end_of_its_chunk_is_an_error),
		cmocka_unit_test(a_foreign_chunk_tree_is_told_of_once),
		cmocka_unit_test(readers_share_a_small_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
