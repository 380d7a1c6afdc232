/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/tree: cursors and walks over a sound tree, around damage, and over blocks that lie about each other. */
#include "tests/unit/hand_tree.h"

static unsigned item_at(const struct cursor *cursor)
{
	le32 item;

	assert_int_equal(cursor_data_bytes(cursor), sizeof(item));
	memcpy(&item, cursor_data(cursor), sizeof(item));
	return le32_get(item);
}

static void walking_meets_every_item_in_order(void **state)
{
	struct hand_tree hand;
	struct cursor cursor;
	int err;
	unsigned n = 0;

	(void)state;
	hand_tree_make(&hand);
	cursor = cursor_init(&hand.tree);
	assert_int_equal(cursor_next(&cursor, NULL), 1);
	assert_int_equal(cursor_prev(&cursor, NULL), 1);
	for (err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL), n++) {
		const struct key expected = hand_key(n), got = cursor_key(&cursor);

		assert_int_equal(key_compare(&expected, &got), 0);
		assert_int_equal(item_at(&cursor), n);
		assert_true(cursor_is_at(&cursor, got.objectid, STRING_ITEM_KEY));
		assert_false(cursor_is_at(&cursor, got.objectid, STRING_ITEM_KEY - 1));
	}
	assert_int_equal(err, 1);
	assert_int_equal(n, HAND_ITEMS);
	assert_int_equal(cursor_prev(&cursor, NULL), 1); /* it stands nowhere */
	for (err = cursor_last(&cursor, NULL); err == 0; err = cursor_prev(&cursor, NULL))
		assert_int_equal(item_at(&cursor), --n);
	assert_int_equal(err, 1);
	assert_int_equal(n, 0);
	/* to and fro over the edges of leaves */
	assert_int_equal(cursor_first(&cursor, NULL), 0);
	for (n = 0; n + 3 < HAND_ITEMS; n++) {
		assert_int_equal(cursor_next(&cursor, NULL), 0);
		assert_int_equal(cursor_next(&cursor, NULL), 0);
		assert_int_equal(cursor_prev(&cursor, NULL), 0);
		assert_int_equal(item_at(&cursor), n + 1);
	}
	cursor_done(&cursor);
	hand_tree_done(&hand);
}

/* Keys at and between all items: a cursor that is new, and one that stands somewhere already. */
static void seeking_finds_items_and_gaps(void **state)
{
	struct hand_tree hand;
	struct cursor used;

	(void)state;
	hand_tree_make(&hand);
	used = cursor_init(&hand.tree);
	for (unsigned turn = 0; turn < 2 * HAND_ITEMS; turn++)
		for (int shift = -1; shift <= 1; shift++) {
			unsigned n = turn * 7 % HAND_ITEMS;
			unsigned after = shift > 0 ? n + 1 : n;
			int before = shift < 0 ? (int)n - 1 : (int)n;
			struct cursor fresh = cursor_init(&hand.tree);
			struct cursor *cursor = turn % 2 ? &used : &fresh;
			struct key key = hand_key(n);

			key.offset = (u64)((s64)key.offset + shift);
			assert_int_equal(cursor_seek(cursor, &key, NULL), after < HAND_ITEMS ? 0 : 1);
			if (after < HAND_ITEMS)
				assert_int_equal(item_at(cursor), after);
			assert_int_equal(cursor_find(cursor, &key, NULL), shift ? 1 : 0);
			assert_int_equal(cursor_seek_back(cursor, &key, NULL), before >= 0 ? 0 : 1);
			if (before >= 0)
				assert_int_equal(item_at(cursor), (unsigned)before);
			cursor_done(&fresh);
		}
	assert_int_equal(cursor_seek(&used, &KEY_MIN, NULL), 0);
	assert_int_equal(item_at(&used), 0);
	assert_int_equal(cursor_seek_back(&used, &KEY_MAX, NULL), 0);
	assert_int_equal(item_at(&used), HAND_ITEMS - 1);
	assert_int_equal(cursor_seek(&used, &KEY_MAX, NULL), 1);
	assert_int_equal(cursor_seek_back(&used, &KEY_MIN, NULL), 1);
	cursor_done(&used);
	hand_tree_done(&hand);
}

static void an_empty_tree_has_nothing(void **state)
{
	struct hand_tree hand;
	struct cursor cursor;
	u8 bytes[HAND_NODESIZE];

	(void)state;
	hand_tree_make(&hand);
	hand_read(&hand, 0, bytes);
	le32_put(&((struct disk_header *)bytes)->nritems, 0);
	hand_write(&hand, 0, bytes);
	hand.tree.root_logical = hand_logical(0);
	hand.tree.level = 0;
	hand.tree.generation = 0; /* any */
	cursor = cursor_init(&hand.tree);
	assert_int_equal(cursor_first(&cursor, NULL), 1);
	assert_int_equal(cursor_last(&cursor, NULL), 1);
	assert_int_equal(cursor_seek(&cursor, &KEY_MIN, NULL), 1);
	assert_int_equal(cursor_seek_back(&cursor, &KEY_MAX, NULL), 1);
	assert_int_equal(cursor_find(&cursor, &KEY_MIN, NULL), 1);
	cursor_done(&cursor);
	hand_tree_done(&hand);
}

/* --- Damage ---------------------------------------------------------------------------------------------------- */

/* Leaves below a block: [*ret_first, *ret_end). */
static void leaves_below(unsigned level, unsigned index, unsigned *ret_first, unsigned *ret_end)
{
	unsigned width = 1;

	for (; level > 0; level--)
		width *= HAND_FANOUT;
	*ret_first = index * width;
	*ret_end = *ret_first + width;
}

static void spoil_block(struct hand_tree *hand, unsigned block)
{
	u8 junk[HAND_NODESIZE];

	memset(junk, 0x6b, sizeof(junk));
	assert_int_equal(volume_write(hand->memory.volume, hand_logical(block), junk, sizeof(junk), NULL), 0);
	hand_reopen(hand, MIB);
}

static unsigned expect_next(unsigned item, unsigned first_lost, unsigned end_lost)
{
	return item >= first_lost && item < end_lost ? end_lost : item;
}

/* Both ways, and by seeking every item, with everything below one block lost. */
static void check_around(struct hand_tree *hand, unsigned first_lost, unsigned end_lost)
{
	struct cursor cursor = cursor_init(&hand->tree);
	unsigned n = expect_next(0, first_lost, end_lost);
	struct diag d = { 0 };
	int err;

	cursor.do_skip_damage = true;
	for (err = cursor_first(&cursor, &d); err == 0; err = cursor_next(&cursor, &d)) {
		assert_int_equal(item_at(&cursor), n);
		n = expect_next(n + 1, first_lost, end_lost);
	}
	assert_int_equal(err, 1);
	assert_int_equal(n, HAND_ITEMS);
	assert_int_equal(cursor.nr_skipped, 1);
	assert_int_equal(d.err, 0);
	for (err = cursor_last(&cursor, &d); err == 0; err = cursor_prev(&cursor, &d)) {
		do
			n--;
		while (n >= first_lost && n < end_lost);
		assert_int_equal(item_at(&cursor), n);
	}
	assert_int_equal(err, 1);
	assert_int_equal(n, first_lost == 0 ? end_lost : 0);
	for (n = 0; n < HAND_ITEMS; n++) {
		const struct key key = hand_key(n);
		unsigned after = expect_next(n, first_lost, end_lost);
		int before = n >= first_lost && n < end_lost ? (int)first_lost - 1 : (int)n;

		assert_int_equal(cursor_seek(&cursor, &key, &d), after < HAND_ITEMS ? 0 : 1);
		if (after < HAND_ITEMS)
			assert_int_equal(item_at(&cursor), after);
		assert_int_equal(cursor_seek_back(&cursor, &key, &d), before >= 0 ? 0 : 1);
		if (before >= 0)
			assert_int_equal(item_at(&cursor), (unsigned)before);
	}
	cursor_done(&cursor);
}

struct damage_seen {
	unsigned nr_visited, nr_damaged;
	u64 logical;
	int level;
	u64 first_objectid;
};

static int count_visit(void *ctx, struct tree_block *block, struct diag *d)
{
	(void)block;
	(void)d;
	((struct damage_seen *)ctx)->nr_visited++;
	return 0;
}

static int note_damage(void *ctx, const struct block_expect *expect, const struct diag *why, struct diag *d)
{
	struct damage_seen *seen = ctx;

	(void)d;
	assert_int_equal(why->err, -EUCLEAN);
	seen->nr_damaged++;
	seen->logical = expect->logical;
	seen->level = expect->level;
	return 0;
}

static void any_block_may_be_damaged(void **state)
{
	(void)state;
	for (unsigned level = 0, count = HAND_LEAVES; level + 1 < HAND_LEVELS; level++, count /= HAND_FANOUT)
		for (unsigned i = 0; i < count; i++) {
			struct damage_seen seen = { 0 };
			const struct tree_walk walk = { .visit = count_visit, .damaged = note_damage, .ctx = &seen };
			const struct tree_walk strict = { .visit = count_visit, .ctx = &seen };
			struct hand_tree hand;
			struct cursor cursor;
			struct diag d = { 0 };
			unsigned first, end;
			int err;

			hand_tree_make(&hand);
			spoil_block(&hand, hand_block(level, i));
			leaves_below(level, i, &first, &end);
			check_around(&hand, first * HAND_LEAF_ITEMS, end * HAND_LEAF_ITEMS);
			cursor = cursor_init(&hand.tree);
			for (err = cursor_first(&cursor, &d); err == 0; err = cursor_next(&cursor, &d))
				;
			assert_int_equal(err, -EUCLEAN);
			assert_non_null(strstr(d.text, "checksum does not match"));
			for (unsigned n = 0; n < HAND_ITEMS; n += 3) {
				const struct key key = hand_key(n);
				bool is_lost = n >= first * HAND_LEAF_ITEMS && n < end * HAND_LEAF_ITEMS;

				assert_int_equal(cursor_find(&cursor, &key, NULL), is_lost ? -EUCLEAN : 0);
				assert_int_equal(cursor_seek_back(&cursor, &key, NULL), is_lost ? -EUCLEAN : 0);
			}
			cursor_done(&cursor);
			assert_int_equal(tree_walk(&hand.tree, &strict, &d), -EUCLEAN);
			seen = (struct damage_seen){ 0 };
			assert_int_equal(tree_walk(&hand.tree, &walk, &d), 0);
			assert_int_equal(seen.nr_damaged, 1);
			assert_int_equal(seen.logical, hand_logical(hand_block(level, i)));
			assert_int_equal(seen.level, level);
			assert_int_equal(seen.nr_visited, HAND_BLOCKS - (level == 0 ? 1 : level == 1 ? 4 : 13));
			hand_tree_done(&hand);
		}
}

static void a_damaged_root_is_named(void **state)
{
	struct hand_tree hand;
	struct cursor cursor;
	struct diag d = { 0 };

	(void)state;
	hand_tree_make(&hand);
	spoil_block(&hand, hand_block(HAND_LEVELS - 1, 0));
	cursor = cursor_init(&hand.tree);
	cursor.do_skip_damage = true; /* there is nothing else to go to */
	assert_int_equal(cursor_first(&cursor, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "root of tree 300: block "));
	assert_int_equal(cursor_seek(&cursor, &KEY_MIN, &d), -EUCLEAN);
	cursor_done(&cursor);
	hand_tree_done(&hand);
}

/* --- Blocks that are sound, but not what their parent says --------------------------------------------------------- */

#define HEADER(member) offsetof(struct disk_header, member), sizeof(((struct disk_header *)NULL)->member)
#define PTR(slot, member)                                                                                         \
	sizeof(struct disk_header) + (slot) * sizeof(struct disk_key_ptr) + offsetof(struct disk_key_ptr, member),    \
		sizeof(((struct disk_key_ptr *)NULL)->member)
#define PTR_OFFSET(slot)                                                                                          \
	sizeof(struct disk_header) + (slot) * sizeof(struct disk_key_ptr) + offsetof(struct disk_key, offset), 8
#define ITEM_OFFSET(slot)                                                                                         \
	sizeof(struct disk_header) + (slot) * sizeof(struct disk_item) + offsetof(struct disk_key, offset), 8

static const struct lie {
	unsigned block;
	size_t at, width;
	u64 value;
	const char *says;
} lies[] = {
	{ 5, HEADER(generation), 19, "generation 19, expected 20" },
	{ 5, HEADER(owner), 301, NULL }, /* another subvolume's: snapshots share blocks */
	{ 5, HEADER(owner), EXTENT_TREE_OBJECTID, "belongs to tree 2, expected 300" },
	{ 28, HEADER(level), 2, "level 2, expected 1" },
	{ 5, ITEM_OFFSET(0), 204, "first key (258 253 204), its parent says (258 253 205)" },
	{ 5, HEADER(nritems), 0, "is empty, but not a root" },
	{ 36, PTR(1, generation), 25, "expected 25" },
	{ 36, PTR_OFFSET(1), 124, "its parent says" },
	{ 36, PTR(1, blockptr), MEMORY_VOLUME_LOGICAL + 2 * MIB, "no chunk covers this address" },
	{ 36, PTR(1, blockptr), MEMORY_VOLUME_LOGICAL + 39 * HAND_NODESIZE, "level 3, expected 1" }, /* the root again */
	{ 36, PTR(1, blockptr), MEMORY_VOLUME_LOGICAL + 36 * HAND_NODESIZE, "level 2, expected 1" }, /* itself */
	{ 36, PTR(1, blockptr), MEMORY_VOLUME_LOGICAL + 27 * HAND_NODESIZE, "generation 22, expected 23" }, /* its brother */
	{ 36, PTR(1, blockptr), MEMORY_VOLUME_LOGICAL + 33 * HAND_NODESIZE, "first key" }, /* as old, but of elsewhere */
	{ 3, ITEM_OFFSET(3), 165, "is not below its right neighbour's first" },
	{ 8, ITEM_OFFSET(3), 365, "is not below its right neighbour's first" }, /* the neighbour hangs on another node */
	{ 36, PTR_OFFSET(2), 235, "last key" }, /* a parent that begins the next child too early */
};

static void lies_between_blocks_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		const struct lie *lie = &lies[i];
		u8 bytes[HAND_NODESIZE];
		struct damage_seen seen = { 0 };
		const struct tree_walk walk = { .visit = count_visit, .ctx = &seen };
		struct hand_tree hand;
		struct cursor cursor;
		struct diag d = { 0 };
		unsigned n = 0;
		int err;

		hand_tree_make(&hand);
		hand_read(&hand, lie->block, bytes);
		for (size_t b = 0; b < lie->width; b++)
			bytes[lie->at + b] = (u8)(lie->value >> 8 * b);
		hand_write(&hand, lie->block, bytes);
		cursor = cursor_init(&hand.tree);
		for (err = cursor_first(&cursor, &d); err == 0 && n < HAND_ITEMS; err = cursor_next(&cursor, &d), n++)
			;
		if (err != (lie->says ? -EUCLEAN : 1))
			fail_msg("lie %zu: %d \"%s\"", i, err, d.text);
		if (lie->says && !strstr(d.text, lie->says))
			fail_msg("lie %zu: \"%s\" does not say \"%s\"", i, d.text, lie->says);
		cursor_done(&cursor);
		hand_reopen(&hand, MIB);
		assert_int_equal(tree_walk(&hand.tree, &walk, &d), lie->says ? -EUCLEAN : 0);
		if (lie->says && !strstr(d.text, lie->says))
			fail_msg("lie %zu: \"%s\" does not say \"%s\"", i, d.text, lie->says);
		hand_tree_done(&hand);
	}
}

/* --- Walks over blocks ----------------------------------------------------------------------------------------------- */

struct order_seen {
	unsigned nr;
	u64 logical[HAND_BLOCKS];
	int stop_level; /* answer with @answer at blocks of this level */
	int answer;
};

static int keep_order(void *ctx, struct tree_block *block, struct diag *d)
{
	struct order_seen *seen = ctx;

	(void)d;
	assert_true(seen->nr < HAND_BLOCKS);
	seen->logical[seen->nr++] = block->logical;
	assert_int_equal(block->owner, HAND_TREE_ID);
	return block->level == seen->stop_level ? seen->answer : 0;
}

static void walks_visit_parents_first(void **state)
{
	struct order_seen seen = { .stop_level = -1 };
	const struct tree_walk walk = { .visit = keep_order, .ctx = &seen };
	struct hand_tree hand;
	unsigned n = 0;

	(void)state;
	hand_tree_make(&hand);
	assert_int_equal(tree_walk(&hand.tree, &walk, NULL), 0);
	assert_int_equal(seen.nr, HAND_BLOCKS);
	assert_int_equal(seen.logical[n++], hand_logical(hand_block(3, 0)));
	for (unsigned a = 0; a < 3; a++) {
		assert_int_equal(seen.logical[n++], hand_logical(hand_block(2, a)));
		for (unsigned b = 3 * a; b < 3 * a + 3; b++) {
			assert_int_equal(seen.logical[n++], hand_logical(hand_block(1, b)));
			for (unsigned c = 3 * b; c < 3 * b + 3; c++)
				assert_int_equal(seen.logical[n++], hand_logical(hand_block(0, c)));
		}
	}
	/* what is below level 1 is left out; then the first block of level 1 ends it */
	seen = (struct order_seen){ .stop_level = 1, .answer = 1 };
	assert_int_equal(tree_walk(&hand.tree, &walk, NULL), 0);
	assert_int_equal(seen.nr, 1 + 3 + 9);
	seen = (struct order_seen){ .stop_level = 1, .answer = -ECANCELED };
	assert_int_equal(tree_walk(&hand.tree, &walk, NULL), -ECANCELED);
	assert_int_equal(seen.nr, 3);
	hand_tree_done(&hand);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walking_meets_every_item_in_order),
		cmocka_unit_test(seeking_finds_items_and_gaps),
		cmocka_unit_test(an_empty_tree_has_nothing),
		cmocka_unit_test(any_block_may_be_damaged),
		cmocka_unit_test(a_damaged_root_is_named),
		cmocka_unit_test(lies_between_blocks_are_found),
		cmocka_unit_test(walks_visit_parents_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
