/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions on filesystems of all kinds: thousands of items come and go between commits, space is allocated and
 * freed, trees are snapshotted and deleted; what is on disk is checked after each commit and compared with a model.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/txn_work.h"

static const struct txn_shape shapes[] = {
	{ "4k", 4096, "single", "single", 1, 256 * MIB, NULL, false },
	{ "16k dup", 16384, "dup", "single", 1, 256 * MIB, NULL, false },
	{ "64k", 65536, "dup", "single", 1, 256 * MIB, NULL, false },
	{ "4k not skinny", 4096, "dup", "single", 1, 256 * MIB, "^skinny-metadata", false },
	{ "4k block group tree", 4096, "dup", "single", 1, 256 * MIB, "block-group-tree", false },
	{ "4k no free space tree", 4096, "dup", "single", 1, 256 * MIB, "^free-space-tree,^block-group-tree", false },
	{ "4k mixed", 4096, "dup", "dup", 1, 256 * MIB, NULL, true },
	{ "4k simple quotas", 4096, "dup", "single", 1, 256 * MIB, "squota", false },
	{ "4k quotas", 4096, "dup", "single", 1, 256 * MIB, "quota", false },
	{ "raid1", 4096, "raid1", "raid1", 2, 256 * MIB, NULL, false },
	{ "raid0", 4096, "raid0", "raid0", 2, 256 * MIB, NULL, false },
	{ "raid10", 4096, "raid10", "raid10", 4, 256 * MIB, NULL, false },
	{ "raid5", 4096, "raid5", "raid5", 3, 256 * MIB, NULL, false },
	{ "raid6", 4096, "raid6", "raid6", 4, 256 * MIB, NULL, false },
	{ "raid1c3", 16384, "raid1c3", "raid1c4", 4, 256 * MIB, NULL, false },
};

static void commit(struct txn_fixture *f, const char *what)
{
	struct diag d = { 0 };

	if (txn_commit(f->txn, &d) != 0)
		fail_msg("%s: %s", what, d.text);
	txn_fixture_check(f, what, false);
}

static void work_at_random(struct txn_fixture *f, u64 tree_id, struct model *model, u64 *seed)
{
	unsigned nr = next_random(seed) % 200;
	struct diag d = { 0 };

	if (do_work(f, tree_id, model, nr, nr % 8, seed, &d) != 0)
		fail_msg("%s", d.text);
}

static void test_items(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
		struct model model = { { 0 } }, committed = { { 0 } };
		struct txn_fixture f;
		struct tree_root *root;
		struct diag d = { 0 };
		u64 seed = s + 1;

		txn_fixture_make(&f, &shapes[s]);
		for (unsigned round = 0; round < 6; round++) {
			assert_int_equal(txn_tree(f.txn, FS_TREE_OBJECTID, &root, &d), 0);
			for (unsigned i = 0; i < 1500; i++) {
				u16 bytes = (u16)(next_random(&seed) % 10 ? next_random(&seed) % 50
									  : next_random(&seed) % 1500);

				if (change_xattr(root, &model, next_random(&seed) % NR_NAMES, bytes, &d) != 0)
					fail_msg("%s: %s", shapes[s].name, d.text);
			}
			if (round == 2) {
				txn_abort(f.txn);
				model = committed;
				assert_true(has_xattrs(f.fs, FS_TREE_OBJECTID, &model));
				txn_fixture_check(&f, shapes[s].name, false);
				continue;
			}
			commit(&f, shapes[s].name);
			committed = model;
			assert_true(has_xattrs(f.fs, FS_TREE_OBJECTID, &model));
			if (round == 3) {
				txn_fixture_close(&f);
				txn_fixture_open(&f);
			}
		}
		assert_true(has_xattrs(f.fs, FS_TREE_OBJECTID, &model));
		txn_fixture_check(&f, shapes[s].name, true);
		txn_fixture_done(&f);
	}
}

/* --- Subvolumes ---------------------------------------- */

#define SUBVOLS_MAX 12

static struct key snapshot_uuid(struct disk_root_item *item, u64 id)
{
	struct key key = { .type = UUID_KEY_SUBVOL };
	le64 half;

	memset(item->uuid, (int)id, UUID_SIZE);
	memcpy(&half, item->uuid, sizeof(half));
	key.objectid = key.offset = le64_get(half);
	return key;
}

/* Everything that a subvolume has beside its tree: a name in the top directory, references both ways, an entry by uuid.
 */
static void link_snapshot(struct txn_fixture *f, u64 id, bool is_removed)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "snapshot-%llu", (unsigned long long)id);
	const struct key item_key = { 256, DIR_ITEM_KEY, name_hash(name, (size_t)len) },
			 index_key = { 256, DIR_INDEX_KEY, 1000 + id };
	const struct key ref_key = { FS_TREE_OBJECTID, ROOT_REF_KEY, id },
			 backref_key = { id, ROOT_BACKREF_KEY, FS_TREE_OBJECTID };
	const struct key top_key = { 256, INODE_ITEM_KEY, 0 };
	u8 dir_item[64] = { 0 }, ref_item[64] = { 0 };
	struct disk_dir_item *dir = (void *)dir_item;
	struct disk_root_ref *ref = (void *)ref_item;
	u32 dir_bytes = (u32)(sizeof(*dir) + (size_t)len), ref_bytes = (u32)(sizeof(*ref) + (size_t)len);
	struct tree_root *fs, *roots, *uuids, *own;
	struct disk_root_item *item;
	struct disk_inode_item *top;
	struct edit in_fs, in_roots, in_uuids;
	struct key uuid_key;
	le64 id_on_disk;

	assert_int_equal(txn_tree(f->txn, FS_TREE_OBJECTID, &fs, NULL), 0);
	assert_int_equal(txn_tree(f->txn, ROOT_TREE_OBJECTID, &roots, NULL), 0);
	assert_int_equal(txn_tree(f->txn, UUID_TREE_OBJECTID, &uuids, NULL), 0);
	assert_int_equal(txn_tree(f->txn, id, &own, NULL), 0);
	assert_int_equal(txn_root_item(f->txn, own, &item, NULL), 0);
	uuid_key = snapshot_uuid(item, id);
	in_fs = edit_init(fs);
	in_roots = edit_init(roots);
	in_uuids = edit_init(uuids);
	key_pack(&dir->location, &(struct key){ id, ROOT_ITEM_KEY, UINT64_MAX });
	le16_put(&dir->name_len, (u16)len);
	dir->type = FT_DIR;
	memcpy(dir->name, name, (size_t)len);
	le64_put(&ref->dirid, 256);
	le64_put(&ref->sequence, 1000 + id);
	le16_put(&ref->name_len, (u16)len);
	memcpy(ref->name, name, (size_t)len);
	le64_put(&id_on_disk, id);
	if (is_removed) {
		assert_int_equal(edit_delete_key(&in_fs, &item_key, NULL), 0);
		assert_int_equal(edit_delete_key(&in_fs, &index_key, NULL), 0);
		assert_int_equal(edit_delete_key(&in_roots, &ref_key, NULL), 0);
		assert_int_equal(edit_delete_key(&in_roots, &backref_key, NULL), 0);
		assert_int_equal(edit_delete_key(&in_uuids, &uuid_key, NULL), 0);
	} else {
		assert_int_equal(edit_put(&in_fs, &item_key, dir, dir_bytes, NULL), 0);
		assert_int_equal(edit_put(&in_fs, &index_key, dir, dir_bytes, NULL), 0);
		assert_int_equal(edit_put(&in_roots, &ref_key, ref, ref_bytes, NULL), 0);
		assert_int_equal(edit_put(&in_roots, &backref_key, ref, ref_bytes, NULL), 0);
		assert_int_equal(edit_put(&in_uuids, &uuid_key, &id_on_disk, sizeof(id_on_disk), NULL), 0);
	}
	assert_int_equal(edit_seek(&in_fs, &top_key, NULL), 0);
	top = edit_data(&in_fs);
	le64_put(&top->size, le64_get(top->size) + (u64)(is_removed ? -2 * len : 2 * len));
	edit_done(&in_fs);
	edit_done(&in_roots);
	edit_done(&in_uuids);
}

static void take_snapshot(struct txn_fixture *f, u64 from, u64 id)
{
	struct tree_root *source, *made;
	struct diag d = { 0 };

	assert_int_equal(txn_tree(f->txn, from, &source, &d), 0);
	if (txn_tree_snapshot(f->txn, source, id, txn_generation(f->txn), &made, &d) != 0)
		fail_msg("%s", d.text);
	link_snapshot(f, id, false);
}

/* Subvolumes are taken from subvolumes, changed and deleted at random. Linux would do the same, in any order. */
static void snapshots_at_random(const struct txn_shape *shape, u64 seed, unsigned rounds)
{
	struct model *models = calloc(SUBVOLS_MAX, sizeof(*models));
	u64 ids[SUBVOLS_MAX] = { 0 }, next_id = 256;
	struct txn_fixture f;
	struct tree_root *root;
	struct diag d = { 0 };

	/* The first is made from the top, before that has names of subvolumes; all others descend from it. */
	txn_fixture_make(&f, shape);
	work_at_random(&f, FS_TREE_OBJECTID, &models[0], &seed);
	commit(&f, shape->name);
	for (unsigned round = 0; round < rounds; round++) {
		unsigned to = next_random(&seed) % SUBVOLS_MAX, from = next_random(&seed) % SUBVOLS_MAX,
			 made = SUBVOLS_MAX;

		if (round == 0) {
			take_snapshot(&f, FS_TREE_OBJECTID, next_id);
			ids[0] = next_id++;
			commit(&f, shape->name);
			continue;
		}
		if (!ids[to] && ids[from]) {
			take_snapshot(&f, ids[from], next_id);
			models[to] = models[from];
			ids[to] = next_id++;
			made = to;
			assert_int_equal(txn_tree(f.txn, ids[to], &root, &d), 0);
			assert_int_equal(change_xattr(root, &models[to], 1, 1, &d), -EBUSY);
			models[to] = models[from];
		} else if (ids[to] && to != 0 && next_random(&seed) % 3 == 0) {
			assert_int_equal(txn_tree(f.txn, ids[to], &root, &d), 0);
			link_snapshot(&f, ids[to], true);
			if (txn_tree_delete(f.txn, root, &d) != 0)
				fail_msg("%s: %s", shape->name, d.text);
			ids[to] = 0;
		}
		for (unsigned i = 0; i < SUBVOLS_MAX; i++)
			if (ids[i] && i != made && next_random(&seed) % 2)
				work_at_random(&f, ids[i], &models[i], &seed);
		commit(&f, shape->name);
		for (unsigned i = 0; i < SUBVOLS_MAX; i++)
			if (ids[i])
				assert_true(has_xattrs(f.fs, ids[i], &models[i]));
	}
	txn_fixture_check(&f, shape->name, true);
	txn_fixture_done(&f);
	free(models);
}

static void test_snapshots(void **state)
{
	unsigned rounds = getenv("BTRKIT_LONG") ? 400 : 25;

	(void)state;
	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
		snapshots_at_random(&shapes[s], s + 1, rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_snapshots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
