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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
