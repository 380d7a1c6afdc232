/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing trees, against a sorted array: random insertions, deletions and changes of size, on small nodes so that trees are
 * deep, with the shape of every block looked at.
 */
#include "kernel-shared/format/leaf_edit.h"
#include "kernel-shared/tree/edit.h"
#include "tests/unit/memory_volume.h"

#define NODESIZE 4096
#define TREE_ID 300
#define GENERATION 30
#define KEYS 4000

/* Blocks are taken one after the other; those that are freed are counted and used again. */
struct counting_source {
	struct block_source source;
	struct block_cache *cache;
	struct block_identity id;
	u64 next;
	ARRAY(u64) idle;
	u64 nr_used, nr_cows;
	u64 fail_at; /* the allocation that fails; 0: none */
};

struct model_item {
	u32 size; /* 0: not there */
	u8 fill;
};

struct fixture {
	struct memory_volume memory;
	struct block_cache *cache;
	struct counting_source source;
	struct tree_root root;
	struct model_item model[KEYS];
};

static int source_alloc(struct block_source *source, struct tree_root *root, u8 level, struct tree_block **ret_block,
			struct diag *d)
{
	struct counting_source *s = container_of(source, struct counting_source, source);
	u64 logical;

	if (s->fail_at && --s->fail_at == 0)
		return diag_fail(d, -ENOSPC, "no space, as wanted");
	if (s->idle.len)
		logical = s->idle.items[--s->idle.len];
	else {
		logical = s->next;
		s->next += NODESIZE;
	}
	s->nr_used++;
	return block_new(s->cache, &s->id, logical, root->tree.id, level, ret_block, d);
}

static int source_free(struct block_source *source, struct tree_root *root, struct tree_block *block, struct diag *d)
{
	struct counting_source *s = container_of(source, struct counting_source, source);

	(void)root;
	(void)d;
	assert_true(block->is_dirty);
	assert_int_equal(array_push(&s->idle, block->logical), 0);
	s->nr_used--;
	block_drop_dirty(block);
	return 0;
}

static int source_cow(struct block_source *source, struct tree_root *root, struct tree_block *block, bool is_root,
		      struct tree_block **ret_copy, struct diag *d)
{
	struct counting_source *s = container_of(source, struct counting_source, source);
	int err = source_alloc(source, root, block->level, ret_copy, d);
	u8 *bytes;

	(void)is_root;
	if (err)
		return err;
	assert_false(block->is_dirty);
	bytes = block_bytes(*ret_copy);
	memcpy(bytes + sizeof(struct disk_header), block->data + sizeof(struct disk_header),
	       NODESIZE - sizeof(struct disk_header));
	le32_put(&((struct disk_header *)bytes)->nritems, block->nritems);
	block_changed(*ret_copy);
	s->nr_used--;
	s->nr_cows++;
	return 0;
}

static const struct block_source_ops counting_ops = { source_alloc, source_cow, source_free };

static void fixture_make(struct fixture *f)
{
	const struct block_check_params check = { NODESIZE, 4096, 4, GENERATION };
	const struct csum_kind *csum = csum_kind_by_type(CSUM_TYPE_CRC32C);
	struct tree_block *leaf;

	memset(f, 0, sizeof(*f));
	memory_volume_make(&f->memory, "single", 1, 8 * MIB);
	f->memory.volume->nodesize = NODESIZE;
	assert_int_equal(block_cache_new(f->memory.volume, &check, csum, (const u8 *)"a filesystem id", 8 * NODESIZE, &f->cache), 0);
	f->source = (struct counting_source){
		.source = { &counting_ops, GENERATION },
		.cache = f->cache,
		.id = { .nodesize = NODESIZE, .csum = csum, .generation = GENERATION },
		.next = MEMORY_VOLUME_LOGICAL,
	};
	memcpy(f->source.id.fsid, "a filesystem id", UUID_SIZE);
	f->root = (struct tree_root){ .tree = { .cache = f->cache, .id = TREE_ID }, .source = &f->source.source };
	assert_int_equal(source_alloc(&f->source.source, &f->root, 0, &leaf, NULL), 0);
	f->root.tree.root_logical = leaf->logical;
	f->root.tree.generation = GENERATION;
	block_put(leaf);
}

static void fixture_done(struct fixture *f)
{
	block_cache_drop_dirty(f->cache);
	block_cache_free(f->cache);
	array_done(&f->source.idle);
	memory_volume_done(&f->memory);
}

static struct key key_of(u32 n)
{
	return (struct key){ 256 + n / 7, STRING_ITEM_KEY, n };
}

static u32 count_blocks;

static int visit_block(void *ctx, struct tree_block *block, struct diag *d)
{
	const struct block_check_params check = { NODESIZE, 4096, 4, GENERATION };

	(void)ctx;
	count_blocks++;
	return block_check(&check, block->data, block->logical, d);
}

/* The tree is sound, holds what the model holds, and all of its blocks and no others are in use. */
static void compare(struct fixture *f)
{
	const struct tree_walk walk = { .visit = visit_block };
	struct cursor cursor = cursor_init(&f->root.tree);
	struct diag d = { 0 };
	u32 n = 0;
	int err;

	count_blocks = 0;
	err = tree_walk(&f->root.tree, &walk, &d);
	assert_string_equal(d.text, "");
	assert_int_equal(err, 0);
	assert_int_equal(count_blocks, f->source.nr_used);
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

/* Blocks become clean as after a commit, so that the next changes copy them. */
static void settle(struct fixture *f)
{
	struct tree_block *const *dirty = block_cache_sort_dirty(f->cache);
	struct diag d = { 0 };

	for (size_t i = 0; i < block_cache_nr_dirty(f->cache); i++) {
		block_finish_dirty(f->cache, dirty[i], &d);
		assert_string_equal(d.text, "");
		assert_int_equal(volume_write(f->memory.volume, dirty[i]->logical, dirty[i]->data, NODESIZE, NULL), 0);
	}
	block_cache_settle_dirty(f->cache, GENERATION);
	f->root.shape++;
	f->source.idle.len = 0; /* what is on disk is not used again */
}

static void random_changes(u64 seed, u32 steps)
{
	struct fixture f;
	struct edit edit;

	fixture_make(&f);
	edit = edit_init(&f.root);
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
			settle(&f);
			f.source.nr_cows = 0;
			compare(&f);
		}
		if (f.source.next > MEMORY_VOLUME_LOGICAL + 7 * MIB) {
			edit_done(&edit);
			break;
		}
	}
	for (u32 n = 0; n < KEYS; n++)
		if (f.model[n].size)
			assert_int_equal(take(&f, &edit, n, NULL), 0);
	edit_done(&edit);
	compare(&f);
	assert_int_equal(f.source.nr_used, 1);
	assert_int_equal(f.root.tree.level, 0);
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
		edit = edit_init(&f.root);
		for (u32 i = 0; i < KEYS; i++)
			assert_int_equal(put(&f, &edit, is_down ? KEYS - 1 - i : i, 20, (u8)i, NULL), 0);
		edit_done(&edit);
		compare(&f);
		/* In rising order leaves are filled to the last item. */
		if (!is_down)
			assert_in_range(f.source.nr_used, 0, KEYS / ((NODESIZE - 101) / 45) + 4);
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
	edit = edit_init(&f.root);
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
	one = edit_init(&f.root);
	two = edit_init(&f.root);
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
		edit = edit_init(&f.root);
		f.source.fail_at = fail_at;
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
