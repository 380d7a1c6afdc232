/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of raw blocks against plain lists: each function, at random, on blocks of 4k to 64k. After each change the block
 * has a good shape and holds just what the list holds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf_edit.h"

#define LOGICAL (16 * MIB)
#define ITEMS_MAX 4000
#define GUARD_BYTES 64

static u32 next_number(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 33);
}

struct model_item {
	u64 key; /* offset of the key */
	u32 size;
	u8 fill; /* byte i is fill + i */
};

/* A block, and what it should hold. */
struct pair {
	u32 nodesize;
	u8 *block; /* with guards around it */
	u8 level;
	struct model_item *items;
	u32 nr;
};

static struct key key_of(u64 n)
{
	return (struct key){ 300, STRING_ITEM_KEY, n };
}

static void pair_make(struct pair *pair, u32 nodesize, u8 level)
{
	const struct block_identity id = { .nodesize = nodesize,
					   .csum = csum_kind_by_type(CSUM_TYPE_CRC32C),
					   .generation = 7 };
	u8 *room = malloc(nodesize + 2 * GUARD_BYTES);

	memset(room, 0xa5, nodesize + 2 * GUARD_BYTES);
	*pair = (struct pair){ .nodesize = nodesize, .block = room + GUARD_BYTES, .level = level };
	pair->items = calloc(ITEMS_MAX, sizeof(*pair->items));
	block_init(pair->block, &id, LOGICAL, 300, level);
}

static void pair_done(struct pair *pair)
{
	free(pair->block - GUARD_BYTES);
	free(pair->items);
}

static u32 pair_bytes(const struct pair *pair, u32 slot, u32 count)
{
	u32 bytes = 0;

	for (u32 i = slot; i < slot + count; i++)
		bytes += pair->items[i].size + (u32)sizeof(struct disk_item);
	return bytes;
}

static u32 pair_free_bytes(const struct pair *pair)
{
	return leaf_data_bytes(pair->nodesize) - pair_bytes(pair, 0, pair->nr);
}

static void fill(void *data, const struct model_item *item, u32 from)
{
	for (u32 i = from; i < item->size; i++)
		((u8 *)data)[i] = (u8)(item->fill + i);
}

static void pair_compare(const struct pair *pair)
{
	const struct block_check_params params = { pair->nodesize, 4096, 4, 100 };
	struct diag d = { 0 };

	assert_int_equal(block_nritems(pair->block), pair->nr);
	for (u32 i = 0; i < GUARD_BYTES; i++) {
		assert_int_equal(pair->block[-1 - (int)i], 0xa5);
		assert_int_equal(pair->block[pair->nodesize + i], 0xa5);
	}
	if (pair->nr && block_check_shape(&params, pair->block, LOGICAL, &d) != 0)
		fail_msg("%s", d.text);
	for (u32 i = 0; i < pair->nr; i++) {
		const struct model_item *item = &pair->items[i];
		const u8 *data;

		assert_int_equal(block_key(pair->block, i).offset, item->key);
		if (pair->level) {
			assert_int_equal(node_blockptr(pair->block, i), item->key * 4096);
			assert_int_equal(node_generation(pair->block, i), item->fill + 1ULL);
			continue;
		}
		assert_int_equal(leaf_item_bytes(pair->block, i), item->size);
		data = leaf_item_data(pair->block, i);
		for (u32 b = 0; b < item->size; b++)
			if (data[b] != (u8)(item->fill + b))
				fail_msg("item %u of %u: byte %u of %u is wrong", i, pair->nr, b, item->size);
	}
	if (pair->level == 0) {
		u32 slot = pair->nr / 3, count = pair->nr / 2;

		assert_int_equal(leaf_used_bytes(pair->block), pair_bytes(pair, 0, pair->nr));
		assert_int_equal(leaf_range_bytes(pair->block, slot, count), pair_bytes(pair, slot, count));
		assert_int_equal(leaf_range_bytes(pair->block, slot, 0), 0);
	}
}

static void model_insert(struct pair *pair, u32 slot, const struct model_item *item)
{
	memmove(pair->items + slot + 1, pair->items + slot, (pair->nr - slot) * sizeof(*item));
	pair->items[slot] = *item;
	pair->nr++;
}

static void model_remove(struct pair *pair, u32 slot, u32 count)
{
	memmove(pair->items + slot, pair->items + slot + count, (pair->nr - slot - count) * sizeof(*pair->items));
	pair->nr -= count;
}

static void model_move(struct pair *from, struct pair *to, u32 count, bool is_right)
{
	u32 from_slot = is_right ? from->nr - count : 0, to_slot = is_right ? 0 : to->nr;

	memmove(to->items + to_slot + count, to->items + to_slot, (to->nr - to_slot) * sizeof(*to->items));
	memcpy(to->items + to_slot, from->items + from_slot, count * sizeof(*to->items));
	to->nr += count;
	model_remove(from, from_slot, count);
}

/* A key between its neighbours; false: there is none left. */
static bool key_between(const struct pair *pair, u32 slot, u64 low, u64 high, u64 *ret_key)
{
	u64 from = slot ? pair->items[slot - 1].key : low, end = slot < pair->nr ? pair->items[slot].key : high;

	if (end - from < 2)
		return false;
	*ret_key = from + (end - from) / 2;
	return true;
}

/* --- Leaves ---------------------------------------- */

static u32 random_size(const struct pair *pair, u64 *seed)
{
	u32 kind = next_number(seed) % 8, n = next_number(seed);

	return kind == 0 ? n % (leaf_item_max_bytes(pair->nodesize) + 1) : kind == 1 ? 0 : n % 300;
}

static void insert_random(struct pair *pair, u64 low, u64 high, u64 *seed)
{
	u32 slot = next_number(seed) % (pair->nr + 1);
	struct model_item item = { .size = random_size(pair, seed), .fill = (u8)next_number(seed) };
	struct key key;

	if (!key_between(pair, slot, low, high, &item.key))
		return;
	if (item.size + sizeof(struct disk_item) > pair_free_bytes(pair)) {
		/* Just full is a case of its own. */
		if (pair_free_bytes(pair) < sizeof(struct disk_item) || next_number(seed) % 4)
			return;
		item.size = pair_free_bytes(pair) - (u32)sizeof(struct disk_item);
	}
	key = key_of(item.key);
	fill(leaf_insert(pair->block, pair->nodesize, slot, &key, item.size), &item, 0);
	model_insert(pair, slot, &item);
}

static void remove_random(struct pair *pair, u64 *seed)
{
	u32 slot = next_number(seed) % (pair->nr + 1), count = next_number(seed) % (pair->nr - slot + 1);

	if (next_number(seed) % 4)
		count = MIN(count, 3U);
	leaf_remove(pair->block, pair->nodesize, slot, count);
	model_remove(pair, slot, count);
}

static void resize_random(struct pair *pair, u64 *seed)
{
	u32 slot, size = random_size(pair, seed), old;
	struct model_item *item;

	if (pair->nr == 0)
		return;
	slot = next_number(seed) % pair->nr;
	item = &pair->items[slot];
	old = item->size;
	if (size > old && size - old > pair_free_bytes(pair))
		size = old + pair_free_bytes(pair);
	leaf_resize(pair->block, pair->nodesize, slot, size);
	item->size = size;
	for (u32 i = old; i < size; i++)
		assert_int_equal(((const u8 *)leaf_item_data(pair->block, slot))[i], 0);
	fill((void *)leaf_item_data(pair->block, slot), item, old);
}

static void rekey_random(struct pair *pair, u64 low, u64 high, u64 *seed)
{
	u64 from, end;
	u32 slot;
	struct key key;

	if (pair->nr == 0)
		return;
	slot = next_number(seed) % pair->nr;
	from = slot ? pair->items[slot - 1].key : low;
	end = slot + 1 < pair->nr ? pair->items[slot + 1].key : high;
	if (end - from < 2)
		return;
	pair->items[slot].key = from + 1 + next_number(seed) % (end - from - 1);
	key = key_of(pair->items[slot].key);
	if (pair->level)
		node_set_key(pair->block, slot, &key);
	else
		leaf_set_key(pair->block, slot, &key);
}

static void move_random(struct pair *left, struct pair *right, u64 *seed)
{
	bool is_right = next_number(seed) % 2;
	struct pair *from = is_right ? left : right, *to = is_right ? right : left;
	u32 count = next_number(seed) % (from->nr + 1);

	while (count && pair_bytes(from, is_right ? from->nr - count : 0, count) > pair_free_bytes(to))
		count--;
	if (is_right)
		leaf_move_right(left->block, right->block, left->nodesize, count);
	else
		leaf_move_left(right->block, left->block, left->nodesize, count);
	model_move(from, to, count, is_right);
}

#define MIDDLE ((u64)1 << 62)

static void work_on_leaves(u32 nodesize, u64 seed, unsigned steps)
{
	struct pair left, right;

	pair_make(&left, nodesize, 0);
	pair_make(&right, nodesize, 0);
	for (unsigned step = 0; step < steps; step++) {
		struct pair *pair = next_number(&seed) % 2 ? &right : &left;
		u32 what = next_number(&seed) % 20;
		/* Keys move with their items: the border is where the two meet. */
		u64 border = right.nr ? right.items[0].key : left.nr ? 0 : MIDDLE;
		u64 low = pair == &right && left.nr ? left.items[left.nr - 1].key : 0;
		u64 high = pair == &left && border ? border : 2 * MIDDLE;

		if (what < 11)
			insert_random(pair, low, high, &seed);
		else if (what < 14)
			remove_random(pair, &seed);
		else if (what < 17)
			resize_random(pair, &seed);
		else if (what < 18)
			rekey_random(pair, low, high, &seed);
		else
			move_random(&left, &right, &seed);
		pair_compare(&left);
		pair_compare(&right);
	}
	pair_done(&left);
	pair_done(&right);
}

static void test_leaves(void **state)
{
	(void)state;
	work_on_leaves(4096, 1, 3000);
	work_on_leaves(8192, 2, 1500);
	work_on_leaves(16384, 3, 1000);
	work_on_leaves(32768, 4, 400);
	work_on_leaves(65536, 5, 300);
}

/* --- Nodes ---------------------------------------- */

static void node_insert_random(struct pair *pair, u64 low, u64 high, u64 *seed)
{
	u32 slot = next_number(seed) % (pair->nr + 1);
	struct model_item item = { .fill = (u8)next_number(seed) };
	struct key key;

	if (pair->nr >= node_max_ptrs(pair->nodesize) || !key_between(pair, slot, low, high, &item.key))
		return;
	key = key_of(item.key);
	node_insert(pair->block, slot, &key, item.key * 4096, item.fill + 1ULL);
	model_insert(pair, slot, &item);
}

static void node_change_random(struct pair *pair, u64 *seed)
{
	u32 slot;

	if (pair->nr == 0)
		return;
	slot = next_number(seed) % pair->nr;
	pair->items[slot].fill = (u8)next_number(seed);
	node_set(pair->block, slot, pair->items[slot].key * 4096, pair->items[slot].fill + 1ULL);
}

static void node_move_random(struct pair *left, struct pair *right, u64 *seed)
{
	bool is_right = next_number(seed) % 2;
	struct pair *from = is_right ? left : right, *to = is_right ? right : left;
	u32 count = next_number(seed) % (from->nr + 1);

	count = MIN(count, node_max_ptrs(left->nodesize) - to->nr);
	if (is_right)
		node_move_right(left->block, right->block, count);
	else
		node_move_left(right->block, left->block, count);
	model_move(from, to, count, is_right);
}

/* Keys of nodes stay small, so that they are addresses as well. */
static void work_on_nodes(u32 nodesize, u64 seed, unsigned steps)
{
	struct pair left, right;

	pair_make(&left, nodesize, 1);
	pair_make(&right, nodesize, 1);
	for (unsigned step = 0; step < steps; step++) {
		struct pair *pair = next_number(&seed) % 2 ? &right : &left;
		u32 what = next_number(&seed) % 20;
		u64 border = right.nr ? right.items[0].key : left.nr ? 0 : (u64)1 << 40;
		u64 low = pair == &right && left.nr ? left.items[left.nr - 1].key : 0;
		u64 high = pair == &left && border ? border : (u64)1 << 41;

		if (what < 14) {
			node_insert_random(pair, low, high, &seed);
		} else if (what < 16) {
			u32 slot = next_number(&seed) % (pair->nr + 1);
			u32 count = next_number(&seed) % MIN(pair->nr - slot + 1, 30U);

			node_remove(pair->block, slot, count);
			model_remove(pair, slot, count);
		} else if (what < 18) {
			node_change_random(pair, &seed);
		} else {
			node_move_random(&left, &right, &seed);
		}
		pair_compare(&left);
		pair_compare(&right);
	}
	pair_done(&left);
	pair_done(&right);
}

static void test_nodes(void **state)
{
	(void)state;
	work_on_nodes(4096, 1, 4000);
	work_on_nodes(16384, 2, 4000);
	work_on_nodes(65536, 3, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
