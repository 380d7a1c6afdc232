/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records of extents against lists of references: as many as fit into the item stand in it, in Linux's order, the
 * others have items of their own, and each stands in one place only, whatever its hash. Counts that are wrong are refused.
 */
#include "tests/unit/counting_source.h"
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/space/extent_item.h"

#define LOGICAL (64 * MIB)
#define DATA_BYTES (128 * KIB)
#define REFS_MAX 5000

struct model_ref {
	struct extent_ref ref;
	u64 count;
	bool is_seen;
};

struct fixture {
	struct counted_tree tree;
	struct extent_records records;
	bool is_data;
	u64 owner_root;
	struct model_ref refs[REFS_MAX];
	u32 nr; /* of possible references */
	u32 nr_keyed; /* found by compare() */
};

static void fixture_make(struct fixture *f, bool is_data, bool is_skinny)
{
	const struct key key = { LOGICAL, BLOCK_GROUP_ITEM_KEY, GIB };
	struct disk_block_group_item item = { 0 };
	struct edit edit;

	memset(f, 0, sizeof(*f));
	counted_tree_make(&f->tree, EXTENT_TREE_OBJECTID, 4);
	/* An extent tree is never empty. */
	edit = edit_init(&f->tree.root);
	le64_put(&item.chunk_objectid, FIRST_CHUNK_TREE_OBJECTID);
	le64_put(&item.flags, BLOCK_GROUP_DATA);
	assert_int_equal(edit_put(&edit, &key, &item, sizeof(item), NULL), 0);
	edit_done(&edit);
	f->records = (struct extent_records){ &f->tree.root, COUNTED_NODESIZE, is_skinny };
	f->is_data = is_data;
}

static void fixture_done(struct fixture *f)
{
	counted_tree_done(&f->tree);
}

/* --- Possible references ---------------------------------------- */

/*
 * A checksum of 32 bits does not see multiples of its polynomial: with bits as the CRC takes them, these are the
 * polynomial itself and what it becomes when it is moved. Offsets that differ by sums of such have one hash.
 */
static u64 colliding_offset(u32 n)
{
	const u64 polynomial = (u64)0x82F63B78 << 1 | 1;
	u64 offset = 0;

	for (u32 bit = 0; n >> bit; bit++)
		if (n >> bit & 1)
			offset ^= polynomial << (12 + bit);
	return offset;
}

static struct extent_ref data_ref(u64 root, u64 objectid, u64 offset)
{
	return (struct extent_ref){ EXTENT_DATA_REF_KEY, root, objectid, offset };
}

static void make_refs(struct fixture *f, u32 nr)
{
	f->nr = nr;
	for (u32 i = 0; i < nr; i++) {
		struct extent_ref *ref = &f->refs[i].ref;

		if (i % 3 == 0)
			*ref = (struct extent_ref){ f->is_data ? SHARED_DATA_REF_KEY : SHARED_BLOCK_REF_KEY,
						    GIB + (u64)i * 4096, 0, 0 };
		else if (!f->is_data)
			*ref = (struct extent_ref){ TREE_BLOCK_REF_KEY, 256 + i, 0, 0 };
		else if (i % 3 == 1)
			*ref = data_ref(5, 257, colliding_offset(i / 3 % 50 + 1));
		else
			*ref = data_ref(256 + i % 7, 257 + i, (u64)i * 4096);
		if (f->is_data && i % 3 == 1)
			ref->root += i / 150; /* 50 have one hash */
	}
}

/* --- Looking ---------------------------------------- */

static void see(struct fixture *f, const struct extent_ref *ref, u64 count)
{
	for (u32 i = 0; i < f->nr; i++)
		if (extent_ref_compare(&f->refs[i].ref, ref) == 0) {
			assert_false(f->refs[i].is_seen);
			f->refs[i].is_seen = true;
			assert_int_equal(f->refs[i].count, count);
			return;
		}
	fail_msg("a reference of type %u by %llu that was never made", ref->type, (unsigned long long)ref->root);
}

static u32 see_inline(struct fixture *f, const u8 *from)
{
	const struct disk_extent_inline_ref *inlined = (const void *)from;
	const struct disk_extent_data_ref *data = (const void *)(from + 1);
	struct extent_ref ref = { .type = from[0], .root = le64_get(inlined->offset) };

	switch (from[0]) {
	case EXTENT_OWNER_REF_KEY:
		assert_int_equal(ref.root, f->owner_root);
		return sizeof(*inlined);
	case EXTENT_DATA_REF_KEY:
		ref = data_ref(le64_get(data->root), le64_get(data->objectid), le64_get(data->offset));
		see(f, &ref, le32_get(data->count));
		return 1 + sizeof(*data);
	case SHARED_DATA_REF_KEY:
		see(f, &ref, le32_get(((const struct disk_shared_data_ref *)(inlined + 1))->count));
		return sizeof(*inlined) + sizeof(struct disk_shared_data_ref);
	default:
		see(f, &ref, 1);
		return sizeof(*inlined);
	}
}

static void see_keyed(struct fixture *f, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	const struct disk_extent_data_ref *data = cursor_data(cursor);
	struct extent_ref ref = { .type = key.type, .root = key.offset };
	u64 count = 1;

	f->nr_keyed++;
	if (key.type == EXTENT_DATA_REF_KEY) {
		ref = data_ref(le64_get(data->root), le64_get(data->objectid), le64_get(data->offset));
		count = le32_get(data->count);
		/* Linux looks from the hash on. */
		assert_true(key.offset >= extent_data_ref_hash(ref.root, ref.objectid, ref.offset));
	} else if (key.type == SHARED_DATA_REF_KEY) {
		count = le32_get(((const struct disk_shared_data_ref *)cursor_data(cursor))->count);
	}
	see(f, &ref, count);
}

static u64 model_count(const struct fixture *f)
{
	u64 count = 0;

	for (u32 i = 0; i < f->nr; i++)
		count += f->refs[i].count;
	return count;
}

/* The tree says what the model says. Order and shape of inline references are judged by the check of blocks. */
static void compare(struct fixture *f)
{
	struct cursor cursor = cursor_init(&f->tree.root.tree);
	u64 refs = 0;
	int err;

	counted_tree_check(&f->tree, 4);
	f->nr_keyed = 0;
	for (u32 i = 0; i < f->nr; i++)
		f->refs[i].is_seen = false;
	for (err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);
		const u8 *data = cursor_data(&cursor);
		u32 at = sizeof(struct disk_extent_item);

		assert_int_equal(key.objectid, LOGICAL);
		if (key.type == BLOCK_GROUP_ITEM_KEY)
			continue;
		if (key.type != EXTENT_ITEM_KEY && key.type != METADATA_ITEM_KEY) {
			see_keyed(f, &cursor);
			continue;
		}
		assert_int_equal(key.type == METADATA_ITEM_KEY, !f->is_data && f->records.is_skinny);
		refs = le64_get(((const struct disk_extent_item *)cursor_data(&cursor))->refs);
		if (key.type == EXTENT_ITEM_KEY && !f->is_data)
			at += sizeof(struct disk_tree_block_info);
		while (at < cursor_data_bytes(&cursor))
			at += see_inline(f, data + at);
		/* Linux gives up on longer ones. */
		assert_true(at <= (COUNTED_NODESIZE - sizeof(struct disk_header)) / 16 - sizeof(struct disk_item));
	}
	assert_int_equal(err, 1);
	cursor_done(&cursor);
	for (u32 i = 0; i < f->nr; i++)
		assert_int_equal(f->refs[i].is_seen, f->refs[i].count != 0);
	assert_int_equal(refs, model_count(f));
}

/* --- Changing ---------------------------------------- */

static int change(struct fixture *f, const struct ref_change *refs, size_t nr, bool is_new, bool *ret_is_gone,
		  struct diag *d)
{
	struct extent_info info;
	const struct extent_change change = {
		.logical = LOGICAL,
		.len = f->is_data ? DATA_BYTES : COUNTED_NODESIZE,
		.is_data = f->is_data,
		.is_new = is_new,
		.level = f->is_data ? 0 : 3,
		.first_key = { 256, INODE_ITEM_KEY, 0 },
		.generation = COUNTED_GENERATION,
		.owner_root = f->owner_root,
		.refs = refs,
		.nr_refs = nr,
	};
	int err = extent_apply(&f->records, &change, ret_is_gone, &info, d);

	if (!err && *ret_is_gone)
		assert_int_equal(info.owner_root, f->owner_root);
	return err;
}

/* A few references more or less, up to all of them. */
static void change_random(struct fixture *f, u64 *seed, bool do_grow)
{
	struct ref_change refs[64];
	bool is_new = model_count(f) == 0, is_gone;
	u32 nr = 1 + next_number(seed) % 12, used = 0;
	struct diag d = { 0 };

	for (u32 i = 0; i < nr; i++) {
		u32 n = next_number(seed) % f->nr;
		s64 delta;
		bool is_double = false;

		for (u32 j = 0; j < used; j++)
			is_double = is_double || extent_ref_compare(&refs[j].ref, &f->refs[n].ref) == 0;
		if (is_double)
			continue;
		if (next_number(seed) % 100 < (do_grow ? 80U : 10U) && (f->is_data || f->refs[n].count == 0))
			delta = f->is_data ? 1 + next_number(seed) % 3 : 1;
		else if (f->refs[n].count)
			delta = -1 - (s64)(next_number(seed) % f->refs[n].count);
		else
			continue;
		refs[used++] = (struct ref_change){ f->refs[n].ref, delta };
		f->refs[n].count += (u64)delta;
	}
	if (change(f, refs, used, is_new, &is_gone, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(is_gone, model_count(f) == 0);
}

static void drop_all(struct fixture *f, u64 *seed)
{
	u32 at = next_number(seed) % f->nr;
	struct diag d = { 0 };
	bool is_gone = false;

	if (model_count(f) == 0)
		return;
	for (u32 i = 0; i < f->nr; i++, at = (at + 1) % f->nr) {
		const struct ref_change one = { f->refs[at].ref, -(s64)f->refs[at].count };

		if (one.delta && change(f, &one, 1, false, &is_gone, &d) != 0)
			fail_msg("%s", d.text);
		f->refs[at].count = 0;
	}
	assert_true(is_gone);
}

static void work(bool is_data, bool is_skinny, u32 nr, u64 seed, u64 owner_root)
{
	static struct fixture f;
	u32 most_keyed = 0;

	fixture_make(&f, is_data, is_skinny);
	f.owner_root = owner_root;
	make_refs(&f, nr);
	for (u32 step = 0; step < 1200; step++) {
		change_random(&f, &seed, step / 300 % 2 == 0);
		if (step % 20 == 0)
			compare(&f);
		most_keyed = MAX(most_keyed, f.nr_keyed);
		if (step % 500 == 499)
			counted_tree_settle(&f.tree);
	}
	compare(&f);
	assert_true(nr < 20 || most_keyed > 20);
	drop_all(&f, &seed);
	compare(&f);
	fixture_done(&f);
}

static void test_random(void **state)
{
	(void)state;
	work(true, true, 10, 1, 0);
	work(true, true, 300, 2, 0);
	work(true, false, 300, 3, 0);
	work(true, true, 300, 4, 256);
	work(false, true, 300, 5, 0);
	work(false, false, 300, 6, 0);
}

static void test_thousands(void **state)
{
	static struct fixture f;
	u64 seed = 1;
	struct diag d = { 0 };
	bool is_gone;

	(void)state;
	fixture_make(&f, true, true);
	make_refs(&f, REFS_MAX);
	for (u32 i = 0; i < REFS_MAX; i++) {
		const struct ref_change one = { f.refs[i].ref, 1 + i % 4 };

		if (change(&f, &one, 1, i == 0, &is_gone, &d) != 0)
			fail_msg("%s", d.text);
		f.refs[i].count += 1 + i % 4;
	}
	assert_true(f.tree.root.tree.level > 0);
	compare(&f);
	assert_true(f.nr_keyed > REFS_MAX - 20);
	drop_all(&f, &seed);
	compare(&f);
	fixture_done(&f);
}

/* Several references with one hash: when the first goes, the others are found behind the hole, and are not made again. */
static void test_holes_between_collisions(void **state)
{
	static struct fixture f;
	struct diag d = { 0 };
	bool is_gone;

	(void)state;
	fixture_make(&f, true, true);
	f.nr = 40;
	for (u32 i = 0; i < f.nr; i++)
		f.refs[i].ref = data_ref(5, 257, colliding_offset(i));
	assert_int_equal(extent_data_ref_hash(5, 257, colliding_offset(1)), extent_data_ref_hash(5, 257, 0));
	assert_int_equal(extent_data_ref_hash(5, 257, colliding_offset(39)), extent_data_ref_hash(5, 257, 0));
	for (u32 i = 0; i < f.nr; i++) {
		const struct ref_change one = { f.refs[i].ref, 1 };

		assert_int_equal(change(&f, &one, 1, i == 0, &is_gone, &d), 0);
		f.refs[i].count = 1;
	}
	compare(&f);
	assert_true(f.nr_keyed > 30);
	for (u32 i = 15; i < 30; i += 2) {
		const struct ref_change one = { f.refs[i].ref, -1 };

		assert_int_equal(change(&f, &one, 1, false, &is_gone, &d), 0);
		f.refs[i].count = 0;
	}
	for (u32 i = 30; i < 40; i++) {
		const struct ref_change one = { f.refs[i].ref, i % 2 ? 1 : -1 };

		if (change(&f, &one, 1, false, &is_gone, &d) != 0)
			fail_msg("%s", d.text);
		f.refs[i].count += i % 2 ? 1 : (u64)-1;
	}
	compare(&f);
	fixture_done(&f);
}

/* --- What is wrong ---------------------------------------- */

/* An item with one inline reference that counts @count of @refs, and a keyed one with @keyed, unless that is 0. */
static void make_wrong(struct fixture *f, u64 refs, u32 count, u32 keyed)
{
	struct edit edit = edit_init(&f->tree.root);
	const struct key key = { LOGICAL, EXTENT_ITEM_KEY, DATA_BYTES };
	struct key ref_key = { LOGICAL, EXTENT_DATA_REF_KEY, extent_data_ref_hash(6, 300, 0) };
	struct disk_extent_item *item;
	struct disk_extent_data_ref *ref;
	u32 inline_bytes = count ? 1 + (u32)sizeof(*ref) : 0;
	void *data;

	assert_int_equal(edit_insert(&edit, &key, (u32)sizeof(*item) + inline_bytes, &data, NULL), 0);
	memset(data, 0, sizeof(*item) + inline_bytes);
	item = data;
	le64_put(&item->refs, refs);
	le64_put(&item->generation, 1);
	le64_put(&item->flags, EXTENT_FLAG_DATA);
	if (count) {
		((u8 *)(item + 1))[0] = EXTENT_DATA_REF_KEY;
		ref = (void *)((u8 *)(item + 1) + 1);
		le64_put(&ref->root, 5);
		le64_put(&ref->objectid, 257);
		le32_put(&ref->count, count);
	}
	if (keyed) {
		assert_int_equal(edit_insert(&edit, &ref_key, sizeof(*ref), &data, NULL), 0);
		ref = data;
		memset(ref, 0, sizeof(*ref));
		le64_put(&ref->root, 6);
		le64_put(&ref->objectid, 300);
		le32_put(&ref->count, keyed);
	}
	edit_done(&edit);
}

static void test_wrong_counts(void **state)
{
	static const struct {
		u64 refs;
		u32 inlined, keyed;
		u64 root, objectid;
		s64 delta;
	} cases[] = {
		{ 1, 1, 0, 5, 257, -2 }, /* more goes than there is */
		{ 1, 1, 0, 7, 257, -1 }, /* another one goes */
		{ 3, 1, 2, 6, 300, -3 },
		{ 3, 1, 2, 7, 300, -1 },
		{ 2, 3, 0, 5, 257, -1 }, /* the item counts less than its references do */
		{ 1, 2, 0, 5, 257, -1 },
		{ 1, 0, 2, 6, 300, -1 },
		{ 2, 1, 2, 6, 300, -2 },
		{ 3, 1, 4, 6, 300, -2 },
		{ 1, 0, 3, 6, 300, -2 },
		{ 3, 1, 0, 5, 257, -1 }, /* the item counts more, and the last one goes */
		{ UINT32_MAX, UINT32_MAX, 0, 5, 257, 1 }, /* a count that no field can hold */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ref_change one = { data_ref(cases[i].root, cases[i].objectid, 0), cases[i].delta };
		static struct fixture f;
		struct diag d = { 0 };
		bool is_gone;
		int err;

		fixture_make(&f, true, true);
		make_wrong(&f, cases[i].refs, cases[i].inlined, cases[i].keyed);
		err = change(&f, &one, 1, false, &is_gone, &d);
		if (err != -EUCLEAN)
			fail_msg("case %zu: %d, gone %d: %s", i, err, is_gone, d.text);
		assert_false(is_gone);
		fixture_done(&f);
	}
}

static void test_other_kind(void **state)
{
	const struct ref_change one = { { TREE_BLOCK_REF_KEY, 5, 0, 0 }, 1 };
	const struct ref_change of_data = { data_ref(5, 257, 0), 1 };
	static struct fixture f;
	struct extent_info info;
	struct diag d = { 0 };
	bool is_gone;

	(void)state;
	fixture_make(&f, true, true);
	assert_int_equal(change(&f, &of_data, 1, false, &is_gone, &d), -EUCLEAN);
	make_wrong(&f, 1, 1, 0);
	f.is_data = false;
	assert_int_equal(change(&f, &one, 1, false, &is_gone, &d), -EUCLEAN);
	f.is_data = true;
	assert_int_equal(change(&f, &of_data, 1, true, &is_gone, &d), -EEXIST);
	assert_int_equal(extent_lookup(&f.tree.root.tree, LOGICAL, DATA_BYTES, true, &info, NULL), 0);
	assert_int_equal(info.refs, 1);
	assert_int_equal(extent_lookup(&f.tree.root.tree, LOGICAL, DATA_BYTES - 4096, true, &info, NULL), -ENOENT);
	assert_int_equal(extent_lookup(&f.tree.root.tree, LOGICAL, DATA_BYTES, false, &info, NULL), -ENOENT);
	assert_int_equal(extent_lookup(&f.tree.root.tree, LOGICAL + 4096, DATA_BYTES, true, &info, NULL), -ENOENT);
	fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_thousands),
		cmocka_unit_test(test_holes_between_collisions),
		cmocka_unit_test(test_wrong_counts),
		cmocka_unit_test(test_other_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
