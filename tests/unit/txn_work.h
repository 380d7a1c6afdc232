/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work for transactions, on a filesystem of txn_fixture.h: xattrs come and go, which nothing else refers to, and are
 * kept in a model; files get new extents in place of their old ones. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_UNIT_TXN_WORK_H
#define BTRKIT_TESTS_UNIT_TXN_WORK_H

#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/space/csum_range.h"
#include "tests/unit/txn_fixture.h"

#define NR_NAMES 3000

static inline u32 next_random(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 33);
}

struct model {
	u16 size[NR_NAMES]; /* of the value, plus 1; 0: there is none */
};

static inline struct key name_key(u32 n, char name[32])
{
	int len = snprintf(name, 32, "user.%u", n);

	return (struct key){ 257 + n % TXN_NR_FILES, XATTR_ITEM_KEY, name_hash(name, (size_t)len) };
}

static inline void pack_xattr(u8 *to, const char *name, u16 value_bytes, u8 fill)
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

static inline int change_xattr(struct tree_root *root, struct model *model, u32 n, u16 value_bytes, struct diag *d)
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
		err = edit_insert(&edit, &key, (u32)(sizeof(struct disk_dir_item) + strlen(name) + value_bytes), &data,
				  d);
		if (!err)
			pack_xattr(data, name, value_bytes, (u8)n);
		model->size[n] = value_bytes + 1;
	}
	edit_done(&edit);
	return err;
}

/* Does the subvolume have just what the model has? */
static inline bool has_xattrs(struct btrkit_fs *fs, u64 tree_id, const struct model *model)
{
	struct tree tree;
	struct cursor cursor;
	struct diag d = { 0 };
	bool is_same = true;

	assert_int_equal(fs_tree(fs, tree_id, &tree, &d), 0);
	cursor = cursor_init(&tree);
	for (u32 n = 0; n < NR_NAMES && is_same; n++) {
		char name[32];
		const struct key key = name_key(n, name);
		int err = cursor_find(&cursor, &key, &d);

		if (err < 0)
			fail_msg("%s", d.text);
		is_same = (err == 0) == (model->size[n] != 0) &&
			  (err || cursor_data_bytes(&cursor) ==
					  sizeof(struct disk_dir_item) + strlen(name) + model->size[n] - 1);
	}
	cursor_done(&cursor);
	return is_same;
}

/* All of a file in place of what is there: a new extent, with the old one shared perhaps. */
static inline int overwrite(struct txn_fixture *f, u64 tree_id, u64 *seed, struct diag *d)
{
	static u8 bytes[TXN_FILE_BYTES], sums[TXN_FILE_BYTES / 4096 * 4];
	u64 ino = 257 + next_random(seed) % TXN_NR_FILES, logical = 0, len = 0;
	const struct key key = { ino, EXTENT_DATA_KEY, 0 };
	const struct csum_geometry geometry = { 4096, 4 };
	struct disk_file_extent_item item;
	struct tree_root *root, *csums;
	struct data_ref ref;
	struct edit edit;
	int err = txn_tree(f->txn, tree_id, &root, d);

	if (!err)
		err = txn_tree(f->txn, CSUM_TREE_OBJECTID, &csums, d);
	if (err)
		return err;
	edit = edit_init(root);
	err = edit_seek(&edit, &key, d);
	assert_true(err <= 0);
	if (!err)
		memcpy(&item, edit_data(&edit), sizeof(item));
	if (!err) {
		ref = (struct data_ref){
			le64_get(item.disk_bytenr), le64_get(item.disk_num_bytes), tree_id, ino, 0, 0
		};
		err = txn_drop_data_ref(f->txn, &ref, d);
	}
	if (!err)
		err = txn_alloc_data(f->txn, ref.len, ref.len, &logical, &len, d);
	if (!err) {
		memset(bytes, (int)next_random(seed), len);
		for (u64 at = 0; at < len; at += 4096)
			csum_compute(f->fs->csum, bytes + at, 4096, sums + at / 4096 * 4);
		err = volume_write(f->fs->volume, logical, bytes, len, d);
	}
	if (!err)
		err = csum_range_insert(csums, &geometry, logical, sums, len / 4096, d);
	if (!err) {
		ref.logical = logical;
		err = txn_add_data_ref(f->txn, &ref, true, d);
	}
	if (!err) {
		le64_put(&item.disk_bytenr, logical);
		le64_put(&item.generation, txn_generation(f->txn));
		memcpy(edit_data(&edit), &item, sizeof(item));
	}
	edit_done(&edit);
	return err;
}

/* Some of both. */
static inline int do_work(struct txn_fixture *f, u64 tree_id, struct model *model, unsigned nr_xattrs,
			  unsigned nr_overwrites, u64 *seed, struct diag *d)
{
	struct tree_root *root;
	int err = txn_tree(f->txn, tree_id, &root, d);

	for (unsigned i = 0; i < nr_xattrs && !err; i++)
		err = change_xattr(root, model, next_random(seed) % NR_NAMES, (u16)(next_random(seed) % 100), d);
	for (unsigned i = 0; i < nr_overwrites && !err; i++)
		err = overwrite(f, tree_id, seed, d);
	return err;
}

#endif
