/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions on filesystems of all kinds: thousands of items come and go between commits, space is allocated and freed, trees
 * are snapshotted and deleted; what is on disk is checked after each commit and compared with a model.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/space/csum_range.h"
#include "tests/unit/txn_fixture.h"

#define NR_NAMES 3000

static const struct txn_shape shapes[] = {
	{ "4k", 4096, "single", "single", 1, 256 * MIB, NULL, false },
	{ "16k dup", 16384, "dup", "single", 1, 256 * MIB, NULL, false },
	{ "64k", 65536, "dup", "single", 1, 256 * MIB, NULL, false },
	{ "4k not skinny", 4096, "dup", "single", 1, 256 * MIB, "^skinny-metadata", false },
	{ "4k block group tree", 4096, "dup", "single", 1, 256 * MIB, "block-group-tree", false },
	{ "4k no free space tree", 4096, "dup", "single", 1, 256 * MIB, "^free-space-tree,^block-group-tree", false },
	{ "4k mixed", 4096, "dup", "dup", 1, 256 * MIB, NULL, true },
	{ "raid1", 4096, "raid1", "raid1", 2, 256 * MIB, NULL, false },
	{ "raid0", 4096, "raid0", "raid0", 2, 256 * MIB, NULL, false },
	{ "raid10", 4096, "raid10", "raid10", 4, 256 * MIB, NULL, false },
	{ "raid5", 4096, "raid5", "raid5", 3, 256 * MIB, NULL, false },
	{ "raid6", 4096, "raid6", "raid6", 4, 256 * MIB, NULL, false },
	{ "raid1c3", 16384, "raid1c3", "raid1c4", 4, 256 * MIB, NULL, false },
};

static u32 next_random(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 33);
}

/* --- Items: xattrs, which nothing else refers to ------------------------------------------------------------------------------------ */

struct model {
	u16 size[NR_NAMES]; /* of the value, plus 1; 0: there is none */
};

static struct key name_key(u32 n, char name[32])
{
	int len = snprintf(name, 32, "user.%u", n);

	return (struct key){ 257 + n % TXN_NR_FILES, XATTR_ITEM_KEY, name_hash(name, (size_t)len) };
}

static void pack_xattr(u8 *to, const char *name, u16 value_bytes, u8 fill)
{
	struct disk_dir_item *item = (void *)to;
	size_t name_bytes = strlen(name);

	memset(item, 0, sizeof(*item));
	le64_put(&item->transid, 1);
	le16_put(&item->data_len, value_bytes);
	le16_put(&item->name_len, (u16)name_bytes);
	item->type = FT_XATTR;
	memcpy(item->name, name, name_bytes);
	memset(item->name + name_bytes, fill, value_bytes);
}

static int change_xattr(struct tree_root *root, struct model *model, u32 n, u16 value_bytes, struct diag *d)
{
	struct edit edit = edit_init(root);
	char name[32];
	const struct key key = name_key(n, name);
	void *data;
	int err;

	if (model->size[n]) {
		err = edit_delete_key(&edit, &key, d);
		model->size[n] = 0;
	} else {
		err = edit_insert(&edit, &key, (u32)(sizeof(struct disk_dir_item) + strlen(name) + value_bytes), &data, d);
		if (!err)
			pack_xattr(data, name, value_bytes, (u8)n);
		model->size[n] = value_bytes + 1;
	}
	edit_done(&edit);
	return err;
}

static void compare_xattrs(struct txn_fixture *f, u64 tree_id, const struct model *model)
{
	struct tree tree;
	struct cursor cursor;
	struct diag d = { 0 };

	assert_int_equal(fs_tree(f->fs, tree_id, &tree, &d), 0);
	cursor = cursor_init(&tree);
	for (u32 n = 0; n < NR_NAMES; n++) {
		char name[32];
		const struct key key = name_key(n, name);
		int err = cursor_find(&cursor, &key, &d);

		if (err < 0)
			fail_msg("%s", d.text);
		assert_int_equal(err, model->size[n] ? 0 : 1);
		if (err == 0)
			assert_int_equal(cursor_data_bytes(&cursor), sizeof(struct disk_dir_item) + strlen(name) + model->size[n] - 1);
	}
	cursor_done(&cursor);
}

static void commit(struct txn_fixture *f, const char *what)
{
	struct diag d = { 0 };

	if (txn_commit(f->txn, &d) != 0)
		fail_msg("%s: %s", what, d.text);
	txn_fixture_check(f, what, false);
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
				u16 bytes = (u16)(next_random(&seed) % 10 ? next_random(&seed) % 50 : next_random(&seed) % 1500);

				if (change_xattr(root, &model, next_random(&seed) % NR_NAMES, bytes, &d) != 0)
					fail_msg("%s: %s", shapes[s].name, d.text);
			}
			if (round == 2) {
				txn_abort(f.txn);
				model = committed;
				compare_xattrs(&f, FS_TREE_OBJECTID, &model);
				txn_fixture_check(&f, shapes[s].name, false);
				continue;
			}
			commit(&f, shapes[s].name);
			committed = model;
			compare_xattrs(&f, FS_TREE_OBJECTID, &model);
			if (round == 3) {
				txn_fixture_close(&f);
				txn_fixture_open(&f);
			}
		}
		compare_xattrs(&f, FS_TREE_OBJECTID, &model);
		txn_fixture_check(&f, shapes[s].name, true);
		txn_fixture_done(&f);
	}
}

/* --- Subvolumes ----------------------------------------------------------------------------------------------------------------------- */

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

/* Everything that a subvolume has beside its tree: a name in the top directory, references both ways, an entry by uuid. */
static void link_snapshot(struct txn_fixture *f, u64 id, bool is_removed)
{
	char name[32];
	int len = snprintf(name, sizeof(name), "snapshot-%llu", (unsigned long long)id);
	const struct key item_key = { 256, DIR_ITEM_KEY, name_hash(name, (size_t)len) }, index_key = { 256, DIR_INDEX_KEY, 1000 + id };
	const struct key ref_key = { FS_TREE_OBJECTID, ROOT_REF_KEY, id }, backref_key = { id, ROOT_BACKREF_KEY, FS_TREE_OBJECTID };
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

/* Another sector of a file, in place of what is there: a new extent, with the old one shared perhaps. */
static void overwrite(struct txn_fixture *f, u64 tree_id, u64 *seed, struct diag *d)
{
	u64 ino = 257 + next_random(seed) % TXN_NR_FILES, logical, len;
	const struct key key = { ino, EXTENT_DATA_KEY, 0 };
	const struct csum_geometry geometry = { 4096, 4 };
	struct disk_file_extent_item *item;
	struct tree_root *root, *csums;
	u8 *bytes = malloc(TXN_FILE_BYTES), sums[TXN_FILE_BYTES / 4096 * 4];
	struct data_ref ref;
	struct edit edit;

	assert_int_equal(txn_tree(f->txn, tree_id, &root, d), 0);
	assert_int_equal(txn_tree(f->txn, CSUM_TREE_OBJECTID, &csums, d), 0);
	edit = edit_init(root);
	assert_int_equal(edit_seek(&edit, &key, d), 0);
	item = edit_data(&edit);
	ref = (struct data_ref){ le64_get(item->disk_bytenr), le64_get(item->disk_num_bytes), tree_id, ino, 0, 0 };
	assert_int_equal(txn_drop_data_ref(f->txn, &ref, d), 0);
	if (txn_alloc_data(f->txn, ref.len, ref.len, &logical, &len, d) != 0)
		fail_msg("%s", d->text);
	assert_int_equal(len, ref.len);
	memset(bytes, (int)next_random(seed), len);
	assert_int_equal(volume_write(f->fs->volume, logical, bytes, len, d), 0);
	for (u64 at = 0; at < len; at += 4096)
		csum_compute(f->fs->csum, bytes + at, 4096, sums + at / 4096 * 4);
	assert_int_equal(csum_range_insert(csums, &geometry, logical, sums, len / 4096, d), 0);
	ref.logical = logical;
	assert_int_equal(txn_add_data_ref(f->txn, &ref, true, d), 0);
	le64_put(&item->disk_bytenr, logical);
	le64_put(&item->generation, txn_generation(f->txn));
	edit_done(&edit);
	free(bytes);
}

static void change_some(struct txn_fixture *f, u64 tree_id, struct model *model, u64 *seed)
{
	unsigned nr = next_random(seed) % 200;
	struct diag d = { 0 };
	struct tree_root *root;

	assert_int_equal(txn_tree(f->txn, tree_id, &root, &d), 0);
	for (unsigned i = 0; i < nr; i++)
		if (change_xattr(root, model, next_random(seed) % NR_NAMES, (u16)(next_random(seed) % 100), &d) != 0)
			fail_msg("%s", d.text);
	for (unsigned i = 0; i < nr % 8; i++)
		overwrite(f, tree_id, seed, &d);
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
	change_some(&f, FS_TREE_OBJECTID, &models[0], &seed);
	commit(&f, shape->name);
	for (unsigned round = 0; round < rounds; round++) {
		unsigned to = next_random(&seed) % SUBVOLS_MAX, from = next_random(&seed) % SUBVOLS_MAX, made = SUBVOLS_MAX;

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
				change_some(&f, ids[i], &models[i], &seed);
		commit(&f, shape->name);
		for (unsigned i = 0; i < SUBVOLS_MAX; i++)
			if (ids[i])
				compare_xattrs(&f, ids[i], &models[i]);
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
