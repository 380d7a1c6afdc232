/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions at their limits: filesystems that are full to the last block, where what does not fit is refused with the disk
 * as it was, and there is always room to delete; new chunks of all kinds; hundreds of commits in one session.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <malloc.h>

#include <btrkit/edit.h>

#include "common/csum/csum.h"
#include "kernel-shared/txn/txn_state.h"
#include "tests/unit/txn_work.h"

static const struct txn_shape shapes[] = {
	{ "4k", 4096, "single", "single", 1, 40 * MIB, NULL, false },
	{ "16k dup", 16384, "dup", "single", 1, 96 * MIB, NULL, false },
	{ "64k", 65536, "single", "single", 1, 64 * MIB, NULL, false },
	{ "4k mixed", 4096, "single", "single", 1, 32 * MIB, NULL, true },
	{ "4k mixed dup", 4096, "dup", "dup", 1, 48 * MIB, NULL, true },
	{ "4k block group tree", 4096, "dup", "single", 1, 64 * MIB, "block-group-tree", false },
	{ "raid1", 4096, "raid1", "raid1", 2, 64 * MIB, NULL, false },
};

static u32 sum_of(const struct txn_fixture *f)
{
	static u8 bytes[1 << 20];
	u32 sum = 0;

	for (unsigned i = 0; i < f->nr_devices; i++) {
		FILE *file = fopen(f->paths[i], "rb");
		size_t got;

		assert_non_null(file);
		while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0)
			sum = crc32c_update(sum, bytes, got);
		fclose(file);
	}
	return sum;
}

/* --- Items of trees ---------------------------------------- */

#define VALUE_BYTES 1000

static int put_item(struct tree_root *root, u32 n, struct diag *d)
{
	struct edit edit = edit_init(root);
	char name[32];
	void *data;
	int err;

	snprintf(name, sizeof(name), "user.%u", n);
	err = edit_insert(&edit, &(struct key){ 257 + n % TXN_NR_FILES, XATTR_ITEM_KEY, name_hash(name, strlen(name)) },
			  (u32)(sizeof(struct disk_dir_item) + strlen(name) + VALUE_BYTES), &data, d);
	if (!err)
		pack_xattr(data, name, VALUE_BYTES, (u8)n);
	edit_done(&edit);
	return err;
}

static int take_item(struct tree_root *root, u32 n, struct diag *d)
{
	struct edit edit = edit_init(root);
	char name[32];
	int err;

	snprintf(name, sizeof(name), "user.%u", n);
	err = edit_delete_key(&edit, &(struct key){ 257 + n % TXN_NR_FILES, XATTR_ITEM_KEY, name_hash(name, strlen(name)) },
			      d);
	edit_done(&edit);
	return err;
}

/* Put in items until nothing fits, with a commit after each @batch. Returns how many are committed. */
static u32 fill_with_items(struct txn_fixture *f, const char *what, u32 batch)
{
	struct tree_root *root;
	struct diag d = { 0 };
	u32 nr = 0, committed = 0;
	int err;

	assert_int_equal(txn_tree(f->txn, FS_TREE_OBJECTID, &root, &d), 0);
	for (;;) {
		err = put_item(root, nr, &d);
		if (!err && ++nr % batch == 0) {
			err = txn_commit(f->txn, &d);
			if (!err)
				committed = nr;
		}
		if (err)
			break;
	}
	if (err != -ENOSPC)
		fail_msg("%s: %d after %u items: %s", what, err, nr, d.text);
	txn_abort(f->txn);
	return committed;
}

static void test_items(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		const struct txn_shape *shape = &shapes[s];
		struct txn_fixture f;
		struct tree_root *root;
		struct diag d = { 0 };
		u32 before, nr;

		txn_fixture_make(&f, shape);
		before = sum_of(&f);
		/* Never a commit: all is refused in the end. */
		assert_int_equal(fill_with_items(&f, shape->name, UINT32_MAX), 0);
		assert_int_equal(sum_of(&f), before);
		nr = fill_with_items(&f, shape->name, 500);
		assert_true(nr >= 500);
		txn_fixture_check(&f, shape->name, false);
		/* There is room to delete, also for one who opens it only now. */
		txn_fixture_close(&f);
		txn_fixture_open(&f);
		assert_int_equal(txn_tree(f.txn, FS_TREE_OBJECTID, &root, &d), 0);
		for (u32 i = 0; i < nr; i++) {
			u32 in_file = nr / TXN_NR_FILES, n = i % in_file * TXN_NR_FILES + i / in_file;

			txn_use_reserve(f.txn);
			if (take_item(root, n, &d) != 0)
				fail_msg("%s: item %u: %s", shape->name, n, d.text);
			/* A few at a time, while there is little room. */
			if ((i < 200 ? i % 20 == 19 : i % 500 == 499) && txn_commit(f.txn, &d) != 0)
				fail_msg("%s: commit after %u of %u: %s", shape->name, i + 1, nr, d.text);
		}
		if (txn_commit(f.txn, &d) != 0)
			fail_msg("%s: %s", shape->name, d.text);
		txn_fixture_check(&f, shape->name, true);
		/* And then as much fits as before. */
		assert_true(fill_with_items(&f, shape->name, 500) + 500 >= nr);
		txn_fixture_check(&f, shape->name, false);
		txn_fixture_done(&f);
	}
}

/* --- Files ---------------------------------------- */

#define FILE_BYTES (512 * KIB)

static struct btrkit_edit *edit_open(struct txn_fixture *f, struct btrkit_fs **ret_fs)
{
	struct btrkit_open_options options;
	struct btrkit_error error;
	struct btrkit_edit *edit = NULL;

	btrkit_open_options_init(&options);
	options.is_writable = true;
	options.no_device_scan = true;
	if (btrkit_fs_open(f->path_list, f->nr_devices, &options, ret_fs, &error) != 0 ||
	    btrkit_edit_new(*ret_fs, NULL, &edit, &error) != 0)
		fail_msg("%s", error.text);
	return edit;
}

static int add_file(struct btrkit_edit *edit, u32 n, struct btrkit_error *error)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0600 };
	static u8 bytes[FILE_BYTES];
	struct btrkit_inode inode;
	char name[32];
	int err;

	snprintf(name, sizeof(name), "filler-%u", n);
	err = btrkit_edit_create(edit, &BTRKIT_INODE_TOP, name, strlen(name), &attr, &inode, error);
	if (err)
		return err;
	memset(bytes, (int)n + 1, sizeof(bytes));
	return btrkit_edit_write(edit, &inode, 0, bytes, sizeof(bytes), error);
}

/* Files are written until none fits; all of them are deleted. Data leaves metadata the room for that. */
static void test_files(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		const struct txn_shape *shape = &shapes[s];
		struct txn_fixture f;
		struct btrkit_fs *fs;
		struct btrkit_error error;
		struct btrkit_edit *edit;
		u32 nr = 0;
		int err;

		txn_fixture_make(&f, shape);
		txn_fixture_close(&f);
		edit = edit_open(&f, &fs);
		for (;;) {
			err = add_file(edit, nr, &error);
			if (!err)
				nr++;
			if (!err && nr % 7 == 0)
				err = btrkit_edit_commit(edit, &error);
			if (err)
				break;
		}
		if (err != -ENOSPC)
			fail_msg("%s: %d after %u files: %s", shape->name, err, nr, error.text);
		/* What was written before, and of the last file a part, is kept, unless tree blocks were refused. */
		err = btrkit_edit_commit(edit, &error);
		if (err == -ESHUTDOWN) {
			btrkit_edit_abort(edit);
			nr -= nr % 7;
		} else if (err) {
			fail_msg("%s: commit after %u files: %s", shape->name, nr, error.text);
		}
		txn_fixture_check(&f, shape->name, true);
		for (u32 n = 0; n < nr; n++) {
			char name[32];

			snprintf(name, sizeof(name), "filler-%u", n);
			err = btrkit_edit_unlink(edit, &BTRKIT_INODE_TOP, name, strlen(name), &error);
			if (!err && n % 5 == 0)
				err = btrkit_edit_commit(edit, &error);
			if (err)
				fail_msg("%s: deleting %s of %u: %d, %s", shape->name, name, nr, err, error.text);
		}
		if (btrkit_edit_commit(edit, &error) != 0)
			fail_msg("%s: %s", shape->name, error.text);
		btrkit_edit_free(edit);
		btrkit_fs_close(fs);
		txn_fixture_check(&f, shape->name, true);
		txn_fixture_open(&f);
		txn_fixture_done(&f);
	}
}

/* In mixed block groups data may take all but what commits need. */
static void test_mixed(void **state)
{
	static const struct txn_shape shape = { "mixed", 4096, "single", "single", 1, 32 * MIB, NULL, true };
	struct txn_fixture f;
	struct tree_root *root;
	struct diag d = { 0 };
	u64 logical, len, total = 0;
	int err;

	(void)state;
	txn_fixture_make(&f, &shape);
	while ((err = txn_alloc_data(f.txn, 4096, 4096, &logical, &len, &d)) == 0)
		total += len;
	assert_int_equal(err, -ENOSPC);
	assert_true(total > 16 * MIB);
	diag_clear(&d);
	assert_int_equal(txn_tree(f.txn, FS_TREE_OBJECTID, &root, &d), 0);
	assert_int_equal(put_item(root, 0, &d), -ENOSPC);
	txn_abort(f.txn);
	while ((err = txn_alloc_data(f.txn, 4096, 4096, &logical, &len, &d)) == 0)
		;
	txn_use_reserve(f.txn);
	for (u32 n = 0; n < 40; n++)
		if (put_item(root, n, &d) != 0)
			fail_msg("item %u: %s", n, d.text);
	txn_abort(f.txn);
	txn_fixture_check(&f, "mixed", true);
	txn_fixture_done(&f);
}

/* --- New chunks ---------------------------------------- */

/* Each is recorded such that the check finds nothing, also what it is used for by the next transactions. */
static void test_chunks(void **state)
{
	static const struct txn_shape chunky[] = {
		{ "single", 4096, "single", "single", 1, 512 * MIB, NULL, false },
		{ "dup", 16384, "dup", "dup", 1, 512 * MIB, NULL, false },
		{ "mixed", 4096, "dup", "dup", 1, 512 * MIB, NULL, true },
		{ "raid0", 4096, "raid0", "raid0", 2, 512 * MIB, NULL, false },
		{ "raid1", 16384, "raid1", "raid1", 3, 512 * MIB, "block-group-tree", false },
		{ "raid1c4", 16384, "raid1c3", "raid1c4", 4, GIB, NULL, false },
		{ "raid10", 4096, "raid10", "raid10", 4, 512 * MIB, NULL, false },
		{ "raid5", 4096, "raid5", "raid5", 3, 512 * MIB, NULL, false },
		{ "raid6", 65536, "raid6", "raid6", 4, 512 * MIB, NULL, false },
	};
	/* Data last, which takes what there is. */
	static const u64 types[] = { BLOCK_GROUP_SYSTEM, BLOCK_GROUP_METADATA, BLOCK_GROUP_DATA };

	(void)state;
	for (size_t s = 0; s < sizeof(chunky) / sizeof(chunky[0]); s++) {
		struct txn_fixture f;
		struct diag d = { 0 };
		struct model model = { { 0 } };
		u64 seed = s;
		size_t before;

		txn_fixture_make(&f, &chunky[s]);
		before = chunk_map_count(f.fs->volume->chunks);
		for (unsigned t = 0; t < 3; t++)
			if (txn_alloc_chunk(f.txn, types[t], &d) != 0)
				fail_msg("%s: %s", chunky[s].name, d.text);
		assert_int_equal(chunk_map_count(f.fs->volume->chunks), before + 3);
		txn_abort(f.txn);
		assert_int_equal(chunk_map_count(f.fs->volume->chunks), before);
		for (unsigned t = 0; t < 3; t++) {
			if (txn_alloc_chunk(f.txn, types[t], &d) != 0 || txn_commit(f.txn, &d) != 0)
				fail_msg("%s: %s", chunky[s].name, d.text);
			txn_fixture_check(&f, chunky[s].name, false);
		}
		txn_fixture_close(&f);
		txn_fixture_open(&f);
		assert_int_equal(chunk_map_count(f.fs->volume->chunks), before + 3);
		if (do_work(&f, FS_TREE_OBJECTID, &model, 1500, 10, &seed, &d) != 0 || txn_commit(f.txn, &d) != 0)
			fail_msg("%s: %s", chunky[s].name, d.text);
		txn_fixture_check(&f, chunky[s].name, true);
		txn_fixture_done(&f);
	}
}

/* So many system chunks that the tree of chunks gets deeper, until the superblock has no room for another. */
static void test_system_chunks(void **state)
{
	static const struct txn_shape shape = { "4k", 4096, "single", "single", 1, 3 * GIB, NULL, false };
	struct txn_fixture f;
	struct diag d = { 0 };
	unsigned nr = 0;
	int err;

	(void)state;
	txn_fixture_make(&f, &shape);
	while ((err = txn_alloc_chunk(f.txn, BLOCK_GROUP_SYSTEM, &d)) == 0 && (err = txn_commit(f.txn, &d)) == 0)
		nr++;
	if (err != -ENOSPC)
		fail_msg("%d after %u: %s", err, nr, d.text);
	assert_true(nr > 10);
	txn_abort(f.txn);
	txn_fixture_check(&f, "system chunks", false);
	/* Data does not mind. */
	for (unsigned i = 0; i < 30; i++) {
		diag_clear(&d);
		err = txn_alloc_chunk(f.txn, BLOCK_GROUP_DATA, &d);
		if (!err)
			err = txn_commit(f.txn, &d);
		if (err)
			break;
	}
	assert_true(err == 0 || err == -ENOSPC);
	txn_fixture_check(&f, "system chunks", false);
	txn_fixture_close(&f);
	txn_fixture_open(&f);
	txn_fixture_done(&f);
}

/* --- Long sessions ---------------------------------------- */

static void test_many_commits(void **state)
{
	static const struct txn_shape shape = { "4k", 4096, "dup", "single", 1, 256 * MIB, NULL, false };
	struct model model = { { 0 } };
	struct txn_fixture f;
	struct diag d = { 0 };
	u64 seed = 1;
	size_t early = 0, late;

	(void)state;
	txn_fixture_make(&f, &shape);
	txn_fixture_close(&f);
	f.cache_bytes = MIB; /* it is full soon */
	txn_fixture_open(&f);
	for (unsigned i = 0; i < 400; i++) {
		if (do_work(&f, FS_TREE_OBJECTID, &model, 20, 1, &seed, &d) != 0 || txn_commit(f.txn, &d) != 0)
			fail_msg("commit %u: %s", i, d.text);
		if (i == 200)
			early = mallinfo2().uordblks;
	}
	late = mallinfo2().uordblks;
	if (late > early + 256 * KIB)
		fail_msg("%zu bytes, %zu after 200 commits", late, early);
	txn_fixture_check(&f, "many commits", true);
	txn_fixture_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),	       cmocka_unit_test(test_files),  cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_chunks),	       cmocka_unit_test(test_system_chunks),
		cmocka_unit_test(test_many_commits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
