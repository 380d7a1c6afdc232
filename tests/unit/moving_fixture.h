/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of moving extents: a filesystem of txn_fixture.h that has been aged with snapshots, clones, reserved space
 * and changes on top, what can be read of it, and what is shared in it. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_UNIT_MOVING_FIXTURE_H
#define BTRKIT_TESTS_UNIT_MOVING_FIXTURE_H

#include <string.h>

#include "kernel-shared/relocate/relocate.h"
#include "kernel-shared/txn/move.h"
#include "kernel-shared/volume/volume.h"
#include "tests/unit/txn_work.h"

#define MOVING_SNAPSHOTS 5

/* --- Making ---------------------------------------- */

static inline void moving_touch(struct btrkit_edit *edit, struct btrkit_fs *fs, u64 subvol, u64 *seed)
{
	static const struct btrkit_node_attr attr = { .mode = S_IFREG | 0600 };
	static u8 bytes[40000];
	struct btrkit_inode dir = { subvol, BTRKIT_INODE_TOP.ino }, file, other;
	struct btrkit_error error;
	char name[32];

	for (unsigned i = 0; i < 40; i++) {
		int len = snprintf(name, sizeof(name), "new-%u", next_random(seed));

		memset(bytes, (int)next_random(seed), sizeof(bytes));
		AGE(btrkit_edit_create(edit, &dir, name, (size_t)len, &attr, &file, &error));
		AGE(btrkit_edit_write(edit, &file, 0, bytes, next_random(seed) % sizeof(bytes), &error));
	}
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "file-%u", next_random(seed) % TXN_NR_FILES);
		AGE(btrkit_lookup(fs, &dir, name, &other, &error));
		AGE(btrkit_edit_write(edit, &other, 4096 * (next_random(seed) % 20), bytes, 9000, &error));
		AGE(btrkit_edit_clone(edit, &other, 8192, 40960, &file, 65536 * (1 + i), &error));
		AGE(btrkit_edit_preallocate(edit, &file, 400000 + 65536 * i, 50000, false, &error));
		AGE(btrkit_edit_punch_hole(edit, &other, 20480, 8192, &error));
	}
	/* Half of what was reserved is written. */
	AGE(btrkit_edit_write(edit, &file, 409600, bytes, 8192, &error));
}

/* Snapshots of snapshots, each changed a little. */
static inline void moving_age(struct btrkit_fs *fs)
{
	struct btrkit_edit *edit;
	struct btrkit_error error;
	u64 source = FS_TREE_OBJECTID, seed = 3;

	AGE(btrkit_edit_new(fs, NULL, &edit, &error));
	moving_touch(edit, fs, source, &seed);
	for (unsigned i = 0; i < MOVING_SNAPSHOTS; i++) {
		char name[16];
		int len = snprintf(name, sizeof(name), "snapshot-%u", i);
		u64 id;

		AGE(btrkit_edit_snapshot(edit, i % 2 ? source : FS_TREE_OBJECTID, &BTRKIT_INODE_TOP, name, (size_t)len,
					 false, &id, &error));
		AGE(btrkit_edit_commit(edit, &error));
		moving_touch(edit, fs, FS_TREE_OBJECTID, &seed);
		if (i % 2)
			moving_touch(edit, fs, source, &seed);
		source = id;
	}
	AGE(btrkit_edit_subvol_delete(edit, FIRST_FREE_OBJECTID + 1, &error));
	AGE(btrkit_edit_commit(edit, &error));
	btrkit_edit_free(edit);
}

static inline struct btrkit_fs *moving_open(const struct txn_fixture *f)
{
	struct btrkit_open_options options;
	struct btrkit_error error;
	struct btrkit_fs *fs;

	btrkit_open_options_init(&options);
	options.no_device_scan = true;
	options.is_writable = true;
	AGE(btrkit_fs_open(f->path_list, f->nr_devices, &options, &fs, &error));
	return fs;
}

/* The devices of @f, with nothing open. */
static inline void moving_make(struct txn_fixture *f, const struct txn_shape *shape)
{
	struct btrkit_fs *fs;

	txn_fixture_make(f, shape);
	txn_fixture_close(f);
	fs = moving_open(f);
	moving_age(fs);
	btrkit_fs_close(fs);
}

/* --- What there is ---------------------------------------- */

static inline u64 moving_mix(u64 sum, const void *bytes, size_t len)
{
	const u8 *at = bytes;

	for (u64 word; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = (sum ^ word) * 1099511628211ULL;
		sum ^= sum >> 29;
	}
	for (; len; at++, len--)
		sum = (sum ^ *at) * 1099511628211ULL;
	return sum;
}

static inline u64 moving_file_sum(struct btrkit_fs *fs, const struct btrkit_inode *inode, u64 sum)
{
	static u8 bytes[65536];
	struct btrkit_file *file;
	struct btrkit_error error;
	size_t len = 1;

	AGE(btrkit_file_open(fs, inode, &file, &error));
	for (u64 at = 0; len; at += len) {
		AGE(btrkit_file_read(file, at, bytes, sizeof(bytes), &len, &error));
		sum = moving_mix(sum, bytes, len);
	}
	btrkit_file_close(file);
	return sum;
}

/* Of all names, and the content of all files, also of subvolumes below. */
static inline u64 moving_sum(struct btrkit_fs *fs, const struct btrkit_inode *inode, u64 sum)
{
	struct btrkit_dir_entry entry;
	struct btrkit_dir *dir;
	struct btrkit_error error;

	AGE(btrkit_dir_open(fs, inode, &dir, &error));
	while (btrkit_dir_next(dir, &entry, &error) == 0) {
		sum = moving_mix(sum, entry.name, entry.name_len);
		if (entry.inode.ino == BTRKIT_EMPTY_DIR)
			continue;
		sum = S_ISDIR(entry.type) ? moving_sum(fs, &entry.inode, sum) : moving_file_sum(fs, &entry.inode, sum);
	}
	btrkit_dir_close(dir);
	return sum;
}

/* Extents of data, and tree blocks of subvolumes; what is recorded of both, but for addresses. */
struct moving_census {
	u64 nr_data, data_bytes, data_refs, data_generations;
	u64 nr_blocks, block_refs, nr_full, block_generations;
};

static inline bool moving_is_of_subvol(struct btrkit_fs *fs, u64 logical)
{
	const struct block_expect expect = { .logical = logical, .level = -1 };
	struct tree_block *block;
	struct diag d = { 0 };
	bool is_so;

	if (block_get(fs->cache, &expect, &block, &d) != 0)
		fail_msg("%s", d.text);
	is_so = tree_id_is_subvol(block->owner);
	block_put(block);
	return is_so;
}

static inline void moving_count(struct btrkit_fs *fs, struct moving_census *census)
{
	struct tree tree;
	struct cursor cursor;
	struct diag d = { 0 };

	memset(census, 0, sizeof(*census));
	assert_int_equal(fs_tree(fs, EXTENT_TREE_OBJECTID, &tree, &d), 0);
	cursor = cursor_init(&tree);
	for (int err = cursor_first(&cursor, &d); err == 0; err = cursor_next(&cursor, &d)) {
		const struct disk_extent_item *item = cursor_data(&cursor);
		const struct key key = cursor_key(&cursor);

		if (key.type != EXTENT_ITEM_KEY && key.type != METADATA_ITEM_KEY)
			continue;
		if (le64_get(item->flags) & EXTENT_FLAG_DATA) {
			census->nr_data++;
			census->data_bytes += key.offset;
			census->data_refs += le64_get(item->refs);
			census->data_generations += le64_get(item->generation);
		} else if (moving_is_of_subvol(fs, key.objectid)) {
			census->nr_blocks++;
			census->block_refs += le64_get(item->refs);
			census->nr_full += !!(le64_get(item->flags) & EXTENT_FLAG_FULL_BACKREF);
			census->block_generations += le64_get(item->generation);
		}
	}
	cursor_done(&cursor);
}

/* --- Moving ---------------------------------------- */

static inline size_t moving_groups(const struct btrkit_fs *fs, u64 type, u64 *groups, size_t cap)
{
	size_t nr = 0;

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		assert_true(nr < cap);
		if (chunk->type & type)
			groups[nr++] = chunk->logical;
	}
	return nr;
}

/* All groups of @type, one by one or at once. */
static inline int moving_move(struct btrkit_fs *fs, u64 type, bool is_at_once, struct cancel *cancel, struct diag *d)
{
	struct relocate relocate = { .fs = fs, .cancel = cancel };
	u64 groups[64];
	size_t nr = moving_groups(fs, type, groups, ARRAY_LEN(groups));
	int err = pool_new(1, NULL, &relocate.pool);

	for (size_t i = 0; i < nr && !err; i += is_at_once ? nr : 1)
		err = move_extents(&relocate, groups + i, is_at_once ? nr : 1, d);
	pool_free(relocate.pool);
	return err;
}

#endif
