/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block groups are emptied: content, sharing and what is recorded of it stay; what cannot be moved is refused
 * unchanged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/moving_fixture.h"

#define DEVICE_BYTES (3 * GIB)

static const struct txn_shape shapes[] = {
	{ "4k dup", 4096, "dup", "single", 1, DEVICE_BYTES, NULL, false },
	{ "16k raid1", 16384, "raid1", "raid0", 2, DEVICE_BYTES, "^block-group-tree", false },
	{ "mixed", 4096, "dup", "dup", 1, DEVICE_BYTES, NULL, true },
	{ "parity", 16384, "raid6", "raid5", 4, DEVICE_BYTES, NULL, false },
};

static u64 sum_of(struct btrkit_fs *fs)
{
	return moving_sum(fs, &BTRKIT_INODE_TOP, 14695981039346656037ULL);
}

/* The groups there were have gone, and nothing else has changed. */
static void move_and_compare(struct txn_fixture *f, const char *name, u64 type, bool is_at_once)
{
	struct btrkit_fs *fs = moving_open(f);
	u64 before[64], after[64], sum = sum_of(fs);
	size_t nr_before = moving_groups(fs, type, before, 64), nr_after;
	struct moving_census was, is;
	struct diag d = { 0 };

	moving_count(fs, &was);
	/* All that there can be: shared blocks and data, some recorded by address. */
	assert_true(was.nr_full > 0 && was.block_refs > was.nr_blocks && was.data_refs > was.nr_data);
	if (moving_move(fs, type, is_at_once, NULL, &d) != 0)
		fail_msg("%s: %s", name, d.text);
	assert_true(sum_of(fs) == sum);
	btrkit_fs_close(fs);
	txn_fixture_check(f, name, true);
	fs = moving_open(f);
	nr_after = moving_groups(fs, type, after, 64);
	for (size_t i = 0; i < nr_before; i++)
		for (size_t k = 0; k < nr_after; k++)
			assert_true(before[i] != after[k]);
	moving_count(fs, &is);
	assert_memory_equal(&was, &is, sizeof(was));
	assert_true(sum_of(fs) == sum);
	btrkit_fs_close(fs);
}

static void everything_moves(void **state)
{
	static const u64 types[] = { BLOCK_GROUP_DATA, BLOCK_GROUP_METADATA, BLOCK_GROUP_SYSTEM,
				     BLOCK_GROUP_TYPE_MASK };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct txn_fixture f;

		moving_make(&f, &shapes[s]);
		for (size_t t = 0; t < ARRAY_LEN(types); t++)
			move_and_compare(&f, shapes[s].name, types[t], t == ARRAY_LEN(types) - 1);
		txn_fixture_done(&f);
	}
}

/* What was moved can be changed and deleted, and snapshots do not see it. */
static void life_goes_on(void **state)
{
	struct txn_fixture f;
	struct btrkit_error error;
	struct btrkit_inode snapshot;
	struct btrkit_edit *edit;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	u64 sum, seed = 9;

	(void)state;
	moving_make(&f, &shapes[0]);
	fs = moving_open(&f);
	AGE(btrkit_lookup(fs, &BTRKIT_INODE_TOP, "snapshot-2", &snapshot, &error));
	sum = moving_sum(fs, &snapshot, 1);
	assert_int_equal(moving_move(fs, BLOCK_GROUP_TYPE_MASK, true, NULL, &d), 0);
	AGE(btrkit_edit_new(fs, NULL, &edit, &error));
	moving_touch(edit, fs, FS_TREE_OBJECTID, &seed);
	AGE(btrkit_edit_subvol_delete(edit, FIRST_FREE_OBJECTID, &error));
	AGE(btrkit_edit_commit(edit, &error));
	assert_true(moving_sum(fs, &snapshot, 1) == sum);
	btrkit_edit_free(edit);
	btrkit_fs_close(fs);
	txn_fixture_check(&f, "changed after it was moved", true);
	move_and_compare(&f, "and once more", BLOCK_GROUP_TYPE_MASK, false);
	txn_fixture_done(&f);
}

/* --- What is refused ---------------------------------------- */

static void expect_refusal(struct txn_fixture *f, int expected, const char *text, struct cancel *cancel)
{
	struct btrkit_fs *fs = moving_open(f);
	u64 generation = le64_get(fs->super.generation);
	struct diag d = { 0 };

	assert_int_equal(moving_move(fs, BLOCK_GROUP_TYPE_MASK, true, cancel, &d), expected);
	if (!strstr(d.text, text))
		fail_msg("%s", d.text);
	assert_int_equal(le64_get(fs->super.generation), generation);
	btrkit_fs_close(fs);
}

static void change_root_item(struct txn_fixture *f, u64 drop_objectid)
{
	struct disk_root_item *item;
	struct tree_root *root;
	struct diag d = { 0 };

	txn_fixture_open(f);
	assert_int_equal(txn_tree(f->txn, FIRST_FREE_OBJECTID, &root, &d), 0);
	assert_int_equal(txn_root_item(f->txn, root, &item, &d), 0);
	le64_put(&item->drop_progress.objectid, drop_objectid);
	assert_int_equal(txn_commit(f->txn, &d), 0);
	txn_fixture_close(f);
}

static void put_root_item(struct txn_fixture *f, bool is_there)
{
	const struct key key = { TREE_RELOC_OBJECTID, ROOT_ITEM_KEY, FS_TREE_OBJECTID };
	struct disk_root_item item, *fs_item;
	struct tree_root *roots, *root;
	struct diag d = { 0 };
	struct edit edit;
	int err;

	txn_fixture_open(f);
	assert_int_equal(txn_tree(f->txn, ROOT_TREE_OBJECTID, &roots, &d), 0);
	assert_int_equal(txn_tree(f->txn, FS_TREE_OBJECTID, &root, &d), 0);
	assert_int_equal(txn_root_item(f->txn, root, &fs_item, &d), 0);
	item = *fs_item;
	edit = edit_init(roots);
	err = is_there ? edit_put(&edit, &key, &item, sizeof(item), &d) : edit_delete_key(&edit, &key, &d);
	assert_int_equal(err, 0);
	edit_done(&edit);
	assert_int_equal(txn_commit(f->txn, &d), 0);
	txn_fixture_close(f);
}

static void refusals(void **state)
{
	struct cancel cancel = { true };
	struct txn_fixture f;
	struct btrkit_fs *fs;
	struct relocate relocate = { 0 };
	struct diag d = { 0 };
	u64 nowhere = 4096;

	(void)state;
	moving_make(&f, &shapes[0]);
	change_root_item(&f, 257);
	expect_refusal(&f, -EBUSY, "subvolume 256 is deleted in part", NULL);
	change_root_item(&f, 0);
	put_root_item(&f, true);
	expect_refusal(&f, -EBUSY, "a balance of subvolume 5 was interrupted", NULL);
	put_root_item(&f, false);
	expect_refusal(&f, -ECANCELED, "cancelled", &cancel);
	fs = moving_open(&f);
	relocate.fs = fs;
	assert_int_equal(move_extents(&relocate, &nowhere, 1, &d), -ENOENT);
	btrkit_fs_close(fs);
	txn_fixture_check(&f, "refused", true);
	move_and_compare(&f, "refused no more", BLOCK_GROUP_TYPE_MASK, true);
	txn_fixture_done(&f);
}

/* A reference that is recorded, but that nobody makes: what it belongs to stays. */
static void unknown_references(void **state)
{
	struct txn_fixture f;
	struct diag d = { 0 };

	(void)state;
	for (unsigned is_data = 0; is_data < 2; is_data++) {
		struct btrkit_fs *fs;
		struct tree_root *root;
		struct data_ref ref = { .root = FS_TREE_OBJECTID, .objectid = 99999 };
		struct cursor cursor;
		u64 sum;

		moving_make(&f, &shapes[0]);
		txn_fixture_open(&f);
		assert_int_equal(txn_tree(f.txn, FS_TREE_OBJECTID, &root, &d), 0);
		cursor = cursor_init(&root->tree);
		assert_int_equal(cursor_first(&cursor, &d), 0);
		while (cursor_key(&cursor).type != EXTENT_DATA_KEY ||
		       ((const struct disk_file_extent_item *)cursor_data(&cursor))->type == FILE_EXTENT_INLINE ||
		       le64_get(((const struct disk_file_extent_item *)cursor_data(&cursor))->disk_bytenr) == 0)
			assert_int_equal(cursor_next(&cursor, &d), 0);
		ref.logical = le64_get(((const struct disk_file_extent_item *)cursor_data(&cursor))->disk_bytenr);
		ref.len = le64_get(((const struct disk_file_extent_item *)cursor_data(&cursor))->disk_num_bytes);
		cursor_done(&cursor);
		if (is_data)
			assert_int_equal(txn_add_data_ref(f.txn, &ref, false, &d), 0);
		else
			assert_int_equal(txn_change_ref_to_block(f.txn, root->tree.root_logical, (u8)root->tree.level,
								 99999, 0, 1, &d),
					 0);
		(void)txn_super(f.txn);
		assert_int_equal(txn_commit(f.txn, &d), 0);
		txn_fixture_close(&f);
		fs = moving_open(&f);
		sum = sum_of(fs);
		assert_int_equal(moving_move(fs, is_data ? BLOCK_GROUP_DATA : BLOCK_GROUP_METADATA, true, NULL, &d),
				 -EUCLEAN);
		assert_true(strstr(d.text, "references") != NULL);
		assert_true(sum_of(fs) == sum);
		btrkit_fs_close(fs);
		txn_fixture_done(&f);
	}
}

/* No room: nothing has moved that would not fit, and all is whole. */
static void no_space(void **state)
{
	struct txn_fixture f;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	u64 logical, len, sum;

	(void)state;
	moving_make(&f, &shapes[0]);
	fs = moving_open(&f);
	sum = sum_of(fs);
	assert_int_equal(txn_limit_device(fs->txn, 1, 0, &d), 0);
	assert_int_equal(moving_move(fs, BLOCK_GROUP_DATA, true, NULL, &d), -ENOSPC);
	assert_int_equal(moving_move(fs, BLOCK_GROUP_METADATA, true, NULL, &d), -ENOSPC);
	assert_true(sum_of(fs) == sum);
	/* The groups can be opened again, and are as they were. */
	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++)
		assert_int_equal(txn_close_group(fs->txn, chunk_map_at(fs->volume->chunks, i)->logical, false, &d), 0);
	assert_int_equal(txn_alloc_data(fs->txn, 4096, 4096, &logical, &len, &d), 0);
	btrkit_fs_close(fs);
	txn_fixture_check(&f, "no space", true);
	txn_fixture_done(&f);
}

/* --- Space in small pieces ---------------------------------------- */

#define HOLE_BYTES (16 * KIB)
#define NR_HOLES 1100

/* A subvolume of one leaf, of which a snapshot shares all. */
static void make_small_subvol(struct btrkit_edit *edit, struct btrkit_fs *fs)
{
	static const struct btrkit_node_attr attr = { .mode = S_IFDIR | 0700 }, file_attr = { .mode = S_IFREG | 0600 };
	static u8 bytes[300 * KIB];
	struct btrkit_error error;
	struct btrkit_inode file;
	u64 id, seed = 11;

	(void)fs;
	AGE(btrkit_edit_subvol_create(edit, &BTRKIT_INODE_TOP, "small", 5, &attr, &id, &error));
	for (unsigned i = 0; i < 4; i++) {
		const struct btrkit_inode dir = { id, BTRKIT_INODE_TOP.ino };
		char name[8];

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (u8)next_random(&seed);
		AGE(btrkit_edit_create(edit, &dir, name, (size_t)snprintf(name, sizeof(name), "f%u", i), &file_attr,
				       &file, &error));
		AGE(btrkit_edit_write(edit, &file, 0, bytes, sizeof(bytes), &error));
		AGE(btrkit_edit_preallocate(edit, &file, sizeof(bytes), 100000, true, &error));
	}
	AGE(btrkit_edit_commit(edit, &error));
	AGE(btrkit_edit_snapshot(edit, id, &BTRKIT_INODE_TOP, "small-2", 7, false, &id, &error));
	AGE(btrkit_edit_commit(edit, &error));
}

/* A new group for data in which there are only small holes. Returns the group that there was. */
static u64 scatter_space(struct btrkit_edit *edit, struct btrkit_fs *fs)
{
	static const struct btrkit_node_attr attr = { .mode = S_IFREG | 0600 };
	struct btrkit_inode file;
	struct btrkit_error error;
	struct diag d = { 0 };
	u64 groups[64], used, at = 4096;
	size_t nr = moving_groups(fs, BLOCK_GROUP_DATA, groups, 64);

	assert_int_equal(nr, 1);
	assert_int_equal(txn_close_group(fs->txn, groups[0], true, &d), 0);
	AGE(btrkit_edit_create(edit, &BTRKIT_INODE_TOP, "filler", 6, &attr, &file, &error));
	AGE(btrkit_edit_preallocate(edit, &file, 0, 4096, false, &error));
	AGE(btrkit_edit_commit(edit, &error));
	assert_int_equal(moving_groups(fs, BLOCK_GROUP_DATA, groups, 64), 2);
	assert_int_equal(txn_limit_device(fs->txn, 1, 0, &d), 0);
	for (unsigned i = 0; i < 2 * NR_HOLES; i++, at += HOLE_BYTES)
		AGE(btrkit_edit_preallocate(edit, &file, at, HOLE_BYTES, false, &error));
	assert_int_equal(txn_group_used_bytes(fs->txn, groups[1], &used, &d), 0);
	AGE(btrkit_edit_preallocate(edit, &file, at, chunk_map_find(fs->volume->chunks, groups[1])->length - used,
				    false, &error));
	for (unsigned i = 0; i < NR_HOLES; i++)
		AGE(btrkit_edit_punch_hole(edit, &file, 4096 + 2ULL * i * HOLE_BYTES, HOLE_BYTES, &error));
	AGE(btrkit_edit_commit(edit, &error));
	return groups[0];
}

/* Extents are cut to what there is room for; leaves and nodes become several where needed, and stay shared. */
static void scattered_space(void **state)
{
	struct relocate relocate = { 0 };
	struct moving_census was, is;
	struct btrkit_edit *edit;
	struct btrkit_error error;
	struct txn_fixture f;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	u64 group, sum;

	(void)state;
	moving_make(&f, &shapes[0]);
	relocate.fs = fs = moving_open(&f);
	assert_int_equal(pool_new(1, NULL, &relocate.pool), 0);
	AGE(btrkit_edit_new(fs, NULL, &edit, &error));
	make_small_subvol(edit, fs);
	group = scatter_space(edit, fs);
	btrkit_edit_free(edit);
	sum = sum_of(fs);
	moving_count(fs, &was);
	if (move_extents(&relocate, &group, 1, &d) != 0)
		fail_msg("%s", d.text);
	pool_free(relocate.pool);
	assert_true(sum_of(fs) == sum);
	moving_count(fs, &is);
	assert_true(is.nr_data > was.nr_data && is.nr_blocks > was.nr_blocks);
	/* What nobody referred to has gone. */
	assert_true(is.data_bytes <= was.data_bytes);
	/* As much is shared as before, or there would be a leaf for each snapshot. */
	assert_in_range(is.nr_blocks, was.nr_blocks, 2 * was.nr_blocks);
	assert_true(is.block_refs * was.nr_blocks > was.block_refs * is.nr_blocks * 3 / 4);
	btrkit_fs_close(fs);
	txn_fixture_check(&f, "scattered", true);
	move_and_compare(&f, "moved again", BLOCK_GROUP_METADATA, true);
	txn_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_moves),   cmocka_unit_test(life_goes_on), cmocka_unit_test(refusals),
		cmocka_unit_test(unknown_references), cmocka_unit_test(no_space),     cmocka_unit_test(scattered_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
