/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing trees, against a sorted array: random insertions, deletions and changes of size, on small nodes so that trees are
 * deep, with the shape of every block looked at.
 */
#include "tests/unit/counting_source.h"
#include "kernel-shared/format/leaf_edit.h"

#define NODESIZE COUNTED_NODESIZE
#define TREE_ID 300
#define KEYS 4000

struct model_item {
	u32 size; /* 0: not there */
	u8 fill;
};

struct fixture {
	struct counted_tree tree;
	struct model_item model[KEYS];
};

static void fixture_make(struct fixture *f)
{
	memset(f->model, 0, sizeof(f->model));
	counted_tree_make(&f->tree, TREE_ID, 4);
}

static void fixture_done(struct fixture *f)
{
	counted_tree_done(&f->tree);
}

static struct key key_of(u32 n)
{
	return (struct key){ 256 + n / 7, STRING_ITEM_KEY, n };
}

/* The tree is sound, holds what the model holds, and all of its blocks and no others are in use. */
static void compare(struct fixture *f)
{
	struct cursor cursor = cursor_init(&f->tree.root.tree);
	u32 n = 0;
	int err;

	counted_tree_check(&f->tree, 4);
	for (err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key at = cursor_key(&cursor);

		while (n < KEYS && f->model[n].size == 0)
			n++;
		assert_int_equal(at.offset, n);
		assert_int_equal(cursor_data_bytes(&cursor), f->model[n].size);
		for (u32 i = 0; i < f->model[n].size; i++)
			assert_int_equal(((const u8 *)cursor_data(&cursor))[i], f->model[n].fill);
		n++;
	}
	assert_int_equal(err, 1);
	while (n < KEYS && f->model[n].size == 0)
		n++;
	assert_int_equal(n, KEYS);
	cursor_done(&cursor);
}

static int put(struct fixture *f, struct edit *edit, u32 n, u32 size, u8 fill, struct diag *d)
{
	const struct key key = key_of(n);
	void *data;
	int err = edit_insert(edit, &key, size, &data, d);

	if (err)
		return err;
	memset(data, fill, size);
	f->model[n] = (struct model_item){ size, fill };
	return 0;
}

static int take(struct fixture *f, struct edit *edit, u32 n, struct diag *d)
{
	const struct key key = key_of(n);
	int err = edit_delete_key(edit, &key, d);

	if (!err)
		f->model[n].size = 0;
	return err;
}

static void resize(struct fixture *f, struct edit *edit, u32 n, u32 size)
{
	const struct key key = key_of(n);
	u32 old = f->model[n].size;

	assert_int_equal(edit_seek(edit, &key, NULL), 0);
	assert_int_equal(edit_resize(edit, size, NULL), 0);
	for (u32 i = old; i < size; i++)
		assert_int_equal(((u8 *)edit_data(edit))[i], 0);
	assert_true(edit->is_positioned);
	memset(edit_data(edit), f->model[n].fill, size);
	f->model[n].size = size;
}

static u32 random_size(u64 *seed)
{
	u32 kind = next_number(seed) % 20, n = next_number(seed);

	return kind == 0 ? 1 + n % leaf_item_max_bytes(NODESIZE) : kind < 4 ? 1 + n % 900 : 1 + n % 40;
}

static void random_changes(u64 seed, u32 steps)
{
	struct fixture f;
	struct edit edit;

	fixture_make(&f);
	edit = edit_init(&f.tree.root);
	for (u32 step = 0; step < steps; step++) {
		u32 n = next_number(&seed) % KEYS;
		/* Phases of growth and of shrinking. */
		u32 bias = step / (steps / 4) % 2 ? 75 : 25;

		if (f.model[n].size == 0)
			assert_int_equal(put(&f, &edit, n, random_size(&seed), (u8)next_number(&seed), NULL), 0);
		else if (next_number(&seed) % 100 < bias)
			assert_int_equal(take(&f, &edit, n, NULL), 0);
		else
			resize(&f, &edit, n, random_size(&seed));
		if (step % 1000 == 999)
			compare(&f);
		if (step % 5000 == 4999) {
			edit_done(&edit);
			counted_tree_settle(&f.tree);
			f.tree.source.nr_cows = 0;
			compare(&f);
		}
		if (f.tree.source.next > MEMORY_VOLUME_LOGICAL + 7 * MIB) {
			edit_done(&edit);
			break;
		}
	}
	for (u32 n = 0; n < KEYS; n++)
		if (f.model[n].size)
			assert_int_equal(take(&f, &edit, n, NULL), 0);
	edit_done(&edit);
	compare(&f);
	assert_int_equal(f.tree.source.nr_used, 1);
	assert_int_equal(f.tree.root.tree.level, 0);
	fixture_done(&f);
}

static void test_random(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 6; seed++)
		random_changes(seed, 20000);
}

static void test_order(void **state)
{
	(void)state;
	for (int is_down = 0; is_down < 2; is_down++) {
		struct fixture f;
		struct edit edit;

		fixture_make(&f);
		edit = edit_init(&f.tree.root);
		for (u32 i = 0; i < KEYS; i++)
			assert_int_equal(put(&f, &edit, is_down ? KEYS - 1 - i : i, 20, (u8)i, NULL), 0);
		edit_done(&edit);
		compare(&f);
		/* In rising order leaves are filled to the last item. */
		if (!is_down)
			assert_in_range(f.tree.source.nr_used, 0, KEYS / ((NODESIZE - 101) / 45) + 4);
		fixture_done(&f);
	}
}

static void test_walk_and_delete(void **state)
{
	struct fixture f;
	struct edit edit;
	struct key first = key_of(500);
	bool is_on_next = true;
	int err;

	(void)state;
	fixture_make(&f);
	edit = edit_init(&f.tree.root);
	for (u32 i = 0; i < KEYS; i += 2)
		assert_int_equal(put(&f, &edit, i, 20, (u8)i, NULL), 0);
	/* Every item is met once by edit_next(). */
	assert_int_equal(edit_seek_from(&edit, &KEY_MIN, NULL), 0);
	for (u32 i = 2; i < KEYS; i += 2) {
		assert_int_equal(edit_next(&edit, NULL), 0);
		assert_int_equal(edit_key(&edit).offset, i);
	}
	assert_int_equal(edit_next(&edit, NULL), 1);
	/* A range goes, item by item. */
	first = key_of(501);
	err = edit_seek_from(&edit, &first, NULL);
	for (u32 i = 502; i <= 3000; i += 2) {
		assert_int_equal(err, 0);
		first = edit_key(&edit);
		assert_int_equal(first.offset, i);
		f.model[i].size = 0;
		assert_int_equal(edit_delete(&edit, &is_on_next, NULL), 0);
		err = is_on_next ? 0 : edit_seek_from(&edit, &first, NULL);
	}
	edit_done(&edit);
	compare(&f);
	/* Errors. */
	assert_int_equal(put(&f, &edit, 0, 5, 1, NULL), -EEXIST);
	first = key_of(501);
	assert_int_equal(edit_delete_key(&edit, &first, NULL), -ENOENT);
	assert_int_equal(put(&f, &edit, 1, leaf_item_max_bytes(NODESIZE) + 1, 1, NULL), -EOVERFLOW);
	assert_int_equal(edit_seek(&edit, &(struct key){ 256, STRING_ITEM_KEY, 2 }, NULL), 0);
	first = key_of(1);
	assert_int_equal(edit_set_key(&edit, &first, NULL), 0);
	f.model[1] = f.model[2];
	f.model[2].size = 0;
	first = key_of(0);
	assert_int_equal(edit_set_key(&edit, &first, NULL), -EINVAL);
	first = key_of(4);
	assert_int_equal(edit_set_key(&edit, &first, NULL), -EINVAL);
	edit_done(&edit);
	compare(&f);
	fixture_done(&f);
}

/* An edit that is positioned notices that another has changed the tree. */
static void test_two_edits(void **state)
{
	struct fixture f;
	struct edit one, two;

	(void)state;
	fixture_make(&f);
	one = edit_init(&f.tree.root);
	two = edit_init(&f.tree.root);
	for (u32 i = 0; i < 2000; i++) {
		assert_int_equal(put(&f, &one, i, 20, 1, NULL), 0);
		assert_int_equal(put(&f, &two, KEYS - 1 - i, 20, 2, NULL), 0);
		if (i % 3 == 0)
			assert_int_equal(take(&f, &two, i, NULL), 0);
	}
	edit_done(&one);
	edit_done(&two);
	compare(&f);
	fixture_done(&f);
}

/* Wherever allocation fails, the error comes out, and nothing is leaked or crashes. */
static void test_no_space(void **state)
{
	(void)state;
	for (u64 fail_at = 1; fail_at < 60; fail_at++) {
		struct fixture f;
		struct edit edit;
		struct diag d = { 0 };
		int err = 0;

		fixture_make(&f);
		edit = edit_init(&f.tree.root);
		f.tree.source.fail_at = fail_at;
		for (u32 i = 0; i < KEYS && !err; i++)
			err = put(&f, &edit, (i * 7919) % KEYS, 60, 1, &d);
		assert_int_equal(err, -ENOSPC);
		edit_done(&edit);
		fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),	  cmocka_unit_test(test_order),	   cmocka_unit_test(test_walk_and_delete),
		cmocka_unit_test(test_two_edits), cmocka_unit_test(test_no_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
