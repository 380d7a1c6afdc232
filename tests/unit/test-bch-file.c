/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert/bcachefs: files, names and snapshots of volumes whose keys are made by hand. There are no nodes: all keys are the journal's,
 * which is how bcachefs has a btree that is new.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_file.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_logged_ops.h"
#include "convert/bcachefs/bch_look.h"
#include "kernel-shared/device/memory_device.h"

#define DEVICE_BYTES (4 * MIB)
#define KEYS_AT (2 * MIB) /* keys of the journal, one in each slot; data is before */
#define SLOT_BYTES 4096
#define SECTOR BCH_SECTOR_BYTES
#define INO 5000
#define FILE_SECTORS 64

struct volume {
	struct bch_fs fs;
	struct bch_super super;
	struct bch_member member;
	struct bch_journal journal;
	struct source_options options;
	struct spill spill;
	struct blockdev *dev;
	u32 nr_keys;
	u8 expected[FILE_SECTORS * SECTOR], got[FILE_SECTORS * SECTOR + 2];
	struct diag d;
};

static int compare_keys(const void *a, const void *b)
{
	const struct bch_jkey *x = a, *y = b;

	if (x->btree != y->btree)
		return x->btree < y->btree ? -1 : 1;
	return x->level != y->level ? x->level - y->level : bch_pos_compare(&x->pos, &y->pos);
}

static int compare(const void *a, const void *b)
{
	const struct bch_jkey *x = a, *y = b;
	int order = compare_keys(a, b);

	return order ?: (x->nr > y->nr) - (x->nr < y->nr);
}

static const struct journal_kind kind = { .record_bytes = sizeof(struct bch_jkey), .compare_keys = compare_keys, .compare = compare };

static int setup(void **state)
{
	struct volume *v = calloc(1, sizeof(*v));

	assert_int_equal(memory_device_new("memory", DEVICE_BYTES, &v->dev), 0);
	v->member = (struct bch_member){ .nr_buckets = 32, .bucket_bytes = DEVICE_BYTES / 32, .is_used = true };
	v->super.version = BCH_VERSION_KNOWN;
	v->super.nr_devices = 1;
	v->super.block_bytes = SECTOR;
	v->super.time_precision_ns = 1;
	v->super.members.items = &v->member;
	v->super.members.len = 1;
	v->fs.super = &v->super;
	v->fs.devices[0].dev = v->dev;
	v->fs.options = &v->options;
	v->fs.journal = &v->journal;
	v->fs.uses_journal = true;
	v->spill.dir = "/var/tmp";
	assert_int_equal(journal_overlay_new(&kind, &v->spill, MIB, &v->journal.keys), 0);
	for (size_t i = 0; i < sizeof(v->expected); i++)
		v->expected[i] = (u8)(i * 2654435761U >> 11);
	*state = v;
	return 0;
}

static int teardown(void **state)
{
	struct volume *v = *state;

	journal_overlay_free(v->journal.keys);
	blockdev_close(v->dev);
	free(v);
	return 0;
}

/* --- Making keys ------------------------------------------------------------------------------------------------ */

static void put_key(struct volume *v, u8 btree, struct bch_pos pos, u32 size, u8 type, const void *value, size_t len)
{
	struct disk_bch_key disk = { .u64s = (u8)(5 + (len + 7) / 8), .format = BCH_FORMAT_UNPACKED, .type = type };
	u64 slot = KEYS_AT + (u64)v->nr_keys * SLOT_BYTES;
	u8 bytes[255 * 8] = { 0 };
	struct bch_jkey jkey = {
		.pos = pos, .btree = btree, .type = type, .version = BCH_VERSION_KNOWN, .nr = v->nr_keys++, .jset_physical = slot,
		.physical = slot + sizeof(struct disk_bch_jset), .jset_bytes = SLOT_BYTES,
	};

	le32_put(&disk.size, size);
	le32_put(&disk.pos.snapshot, pos.snapshot);
	le64_put(&disk.pos.offset, pos.offset);
	le64_put(&disk.pos.inode, pos.inode);
	memcpy(bytes, &disk, sizeof(disk));
	if (len)
		memcpy(bytes + sizeof(disk), value, len);
	assert_int_equal(blockdev_write(v->dev, jkey.physical, bytes, disk.u64s * 8, &v->d), 0);
	assert_int_equal(journal_overlay_add(v->journal.keys, &jkey, &v->d), 0);
}

static void finish(struct volume *v)
{
	assert_int_equal(journal_overlay_finish(v->journal.keys, NULL, NULL, &v->d), 0);
}

static size_t put_word(u8 *value, size_t at, u64 word)
{
	le64 stored;

	le64_put(&stored, word);
	memcpy(value + at, &stored, sizeof(stored));
	return at + sizeof(stored);
}

/* Sectors [@start, @start + @nr) of the file lie at sector @at of the device. */
static size_t extent_value(struct volume *v, u8 *value, size_t head, u32 start, u32 nr, u64 at, bool has_csum)
{
	struct disk_bch_csum csum = bch_csum_of(BCH_CSUM_CRC32C, v->expected + (size_t)start * SECTOR, (size_t)nr * SECTOR);

	assert_int_equal(blockdev_write(v->dev, at * SECTOR, v->expected + (size_t)start * SECTOR, (size_t)nr * SECTOR, &v->d), 0);
	if (has_csum)
		head = put_word(value, head, 2 | (u64)(nr - 1) << 2 | (u64)(nr - 1) << 9 | (u64)BCH_CSUM_CRC32C << 24 |
						     le64_get(csum.lo) << 32);
	return put_word(value, head, 1 | at << 4);
}

static void put_extent(struct volume *v, u32 start, u32 nr, u64 at, bool has_csum)
{
	u8 value[64];
	size_t len = extent_value(v, value, 0, start, nr, at, has_csum);

	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO, start + nr, 0 }, nr, BCH_KEY_EXTENT, value, len);
}

static void expect_zeroes(struct volume *v, u32 start, u32 nr)
{
	memset(v->expected + (size_t)start * SECTOR, 0, (size_t)nr * SECTOR);
}

/* --- Reading ---------------------------------------------------------------------------------------------------- */

static int read_part(struct volume *v, u64 offset, size_t len, u64 *ret_bad)
{
	int err;

	memset(v->got, 0xa5, sizeof(v->got));
	*ret_bad = UINT64_MAX;
	v->d.text[0] = '\0';
	err = bch_file_read(&v->fs, 0, INO, offset, v->got + 1, len, ret_bad, &v->d);
	assert_int_equal(v->got[0], 0xa5);
	assert_int_equal(v->got[1 + len], 0xa5);
	if (err)
		assert_true(strlen(v->d.text) > 0);
	return err;
}

/* All, and parts that begin and end anywhere. */
static void expect_all(struct volume *v)
{
	u64 bad;
	u32 x = 1;

	assert_int_equal(read_part(v, 0, sizeof(v->expected), &bad), 0);
	assert_memory_equal(v->got + 1, v->expected, sizeof(v->expected));
	for (unsigned i = 0; i < 300; i++) {
		size_t from = (x = x * 1664525 + 1013904223) % sizeof(v->expected);
		size_t len = (x >> 8) % (sizeof(v->expected) - from + 1);

		if (i % 2)
			from = from / SECTOR * SECTOR;
		assert_int_equal(read_part(v, from, len, &bad), 0);
		assert_memory_equal(v->got + 1, v->expected + from, len);
	}
}

/* What is before @byte is right, and it is where reading ends. */
static void expect_bad(struct volume *v, u64 byte, int expected)
{
	for (u64 from = 0; from <= byte; from += 3333) {
		u64 bad;

		assert_int_equal(read_part(v, from, sizeof(v->expected) - from, &bad), expected);
		assert_int_equal(bad, byte);
		assert_memory_equal(v->got + 1, v->expected + from, byte - from);
	}
}

static void test_kinds(void **state)
{
	struct volume *v = *state;
	static const u8 reservation[8] = { 0 };

	expect_zeroes(v, 0, 4); /* a hole */
	put_extent(v, 4, 4, 100, true);
	put_extent(v, 8, 4, 104, true); /* goes on behind it */
	put_extent(v, 12, 2, 108, false);
	put_extent(v, 14, 6, 300, true);
	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO, 28, 0 }, 8, BCH_KEY_RESERVATION, reservation, sizeof(reservation));
	expect_zeroes(v, 20, 8);
	/* Shorter than its sectors: zeroes follow. */
	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO, 36, 0 }, 8, BCH_KEY_INLINE_DATA, v->expected + 28 * SECTOR, 1000);
	memset(v->expected + 28 * SECTOR + 1000, 0, 8 * SECTOR - 1000);
	put_extent(v, 36, 10, 310, false);
	expect_zeroes(v, 46, FILE_SECTORS - 46);
	/* Others' data, before and behind. */
	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO - 1, 64, 0 }, 64, BCH_KEY_ERROR, NULL, 0);
	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO + 1, 64, 0 }, 64, BCH_KEY_ERROR, NULL, 0);
	finish(v);
	expect_all(v);
}

static void test_bad_in_the_middle(void **state)
{
	struct volume *v = *state;
	u8 byte = 0;

	for (u32 i = 0; i < FILE_SECTORS; i += 8)
		put_extent(v, i, 8, 100 + i, true);
	finish(v);
	expect_all(v);
	assert_int_equal(blockdev_read(v->dev, (100 + 40) * SECTOR + 77, &byte, 1, &v->d), 0);
	byte ^= 4;
	assert_int_equal(blockdev_write(v->dev, (100 + 40) * SECTOR + 77, &byte, 1, &v->d), 0);
	expect_bad(v, 40 * SECTOR, -EUCLEAN);
}

/* Keys that say that data is lost, or that say nothing. */
static void check_bad_key(struct volume *v, u8 type, const void *value, size_t len, int expected)
{
	put_extent(v, 0, 10, 100, true);
	expect_zeroes(v, 10, 5);
	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO, 25, 0 }, 10, type, value, len);
	finish(v);
	expect_bad(v, 15 * SECTOR, expected);
}

static void test_error_key(void **state)
{
	check_bad_key(*state, BCH_KEY_ERROR, NULL, 0, -EIO);
}

static void test_wrong_key(void **state)
{
	check_bad_key(*state, BCH_KEY_DIRENT, "12345678", 8, -EUCLEAN);
}

static void test_poisoned(void **state)
{
	struct volume *v = *state;
	u8 value[64];
	size_t len = put_word(value, extent_value(v, value, 0, 15, 10, 300, true), 1 << 6 | 1 << 7);

	check_bad_key(v, BCH_KEY_EXTENT, value, len, -EIO);
}

static void test_no_pointer(void **state)
{
	check_bad_key(*state, BCH_KEY_EXTENT, NULL, 0, -EUCLEAN);
}

static void test_overlap(void **state)
{
	struct volume *v = *state;

	put_extent(v, 0, 10, 100, true);
	put_extent(v, 9, 10, 200, true);
	finish(v);
	/* Of what both claim, nobody knows whose is right, and only who reads on sees it. */
	expect_bad(v, 10 * SECTOR, -EUCLEAN);
}

static void test_too_long(void **state)
{
	struct volume *v = *state;
	u64 bad;

	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO, 10, 0 }, 11, BCH_KEY_EXTENT, v->expected, 8);
	finish(v);
	assert_int_equal(read_part(v, 0, 512, &bad), -EUCLEAN);
	assert_int_equal(bad, 0);
}

/* --- Reflinks --------------------------------------------------------------------------------------------------- */

static void put_reflink(struct volume *v, u32 start, u32 nr, u64 index)
{
	u8 value[16] = { 0 };

	put_word(value, 0, index);
	put_key(v, BCH_EXTENTS, (struct bch_pos){ INO, start + nr, 0 }, nr, BCH_KEY_REFLINK_P, value, sizeof(value));
}

/* The file's sectors from @start on are at @index. */
static void put_reflink_v(struct volume *v, u32 start, u32 nr, u64 index, u64 at)
{
	u8 value[64] = { 2 };
	size_t len = extent_value(v, value, 8, start, nr, at, true);

	put_key(v, BCH_REFLINK, (struct bch_pos){ 0, index + nr, 0 }, nr, BCH_KEY_REFLINK_V, value, len);
}

static void test_reflinks(void **state)
{
	struct volume *v = *state;
	u8 value[8 + 2 * SECTOR] = { 2 };

	/* Begins in the middle of the first, spans three, ends in the middle of the last. */
	put_extent(v, 0, 5, 100, true);
	put_reflink(v, 5, 30, 1003);
	put_reflink_v(v, 2, 8, 1000, 200); /* file sectors 5 to 9 of it */
	memcpy(value + 8, v->expected + 10 * SECTOR, 700);
	put_key(v, BCH_REFLINK, (struct bch_pos){ 0, 1010, 0 }, 2, BCH_KEY_INDIRECT_INLINE_DATA, value, 8 + 700);
	memset(v->expected + 10 * SECTOR + 700, 0, 2 * SECTOR - 700);
	put_reflink_v(v, 12, 40, 1010, 300);
	/* And another time, elsewhere. */
	put_reflink(v, 35, 8, 1018);
	memcpy(v->expected + 35 * SECTOR, v->expected + 20 * SECTOR, 8 * SECTOR);
	expect_zeroes(v, 43, FILE_SECTORS - 43);
	finish(v);
	expect_all(v);
}

static void test_lost_reflink(void **state)
{
	struct volume *v = *state;

	put_reflink(v, 5, 30, 1003);
	expect_zeroes(v, 0, 5);
	put_reflink_v(v, 5, 10, 1003, 200);
	put_reflink_v(v, 20, 10, 1018, 300); /* nothing from 1013 to 1018 */
	finish(v);
	expect_bad(v, 15 * SECTOR, -EUCLEAN);
}

static void test_marked_reflink(void **state)
{
	struct volume *v = *state;

	put_reflink(v, 0, 30, 1003 | (u64)1 << 56);
	put_reflink_v(v, 0, 30, 1003, 200);
	finish(v);
	expect_bad(v, 0, -EIO);
}

/* --- Snapshots -------------------------------------------------------------------------------------------------- */

static struct bch_snapshot snapshots[] = { { .id = 10, .parent = 30 }, { .id = 20, .parent = 30 }, { .id = 30 } };

static void put_at(struct volume *v, u64 offset, u32 snapshot, u8 type)
{
	put_key(v, BCH_DIRENTS, (struct bch_pos){ INO, offset, snapshot }, 0, type, "12345678name", 12);
}

static void test_view(void **state)
{
	static const struct {
		u64 offset;
		u32 snapshot;
	} expected[] = { { 1, 30 }, { 2, 10 }, { 4, 10 }, { 6, 30 } };
	struct volume *v = *state;
	struct bch_view view;
	struct bch_key key;
	int err;

	v->fs.snapshots.list.items = snapshots;
	v->fs.snapshots.list.len = ARRAY_LEN(snapshots);
	put_at(v, 1, 30, BCH_KEY_DIRENT);
	put_at(v, 1, 20, BCH_KEY_DIRENT); /* a sibling's */
	put_at(v, 2, 10, BCH_KEY_DIRENT);
	put_at(v, 2, 30, BCH_KEY_DIRENT); /* older */
	put_at(v, 3, 10, BCH_KEY_WHITEOUT);
	put_at(v, 3, 30, BCH_KEY_DIRENT);
	put_at(v, 4, 10, BCH_KEY_HASH_WHITEOUT);
	put_at(v, 4, 30, BCH_KEY_DIRENT);
	put_at(v, 5, 20, BCH_KEY_DIRENT);
	put_at(v, 5, 40, BCH_KEY_DIRENT); /* of a snapshot that there is not */
	put_at(v, 6, 20, BCH_KEY_WHITEOUT);
	put_at(v, 6, 30, BCH_KEY_DIRENT);
	finish(v);
	bch_view_init(&view, &v->fs, BCH_DIRENTS, 10);
	err = bch_view_seek(&view, INO, 0, &key, &v->d);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_int_equal(err, 0);
		assert_int_equal(key.pos.offset, expected[i].offset);
		assert_int_equal(key.pos.snapshot, expected[i].snapshot);
		err = bch_view_next(&view, &key, &v->d);
	}
	assert_int_equal(err, 1);
	assert_int_equal(bch_view_seek(&view, INO, 3, &key, &v->d), 0);
	assert_int_equal(key.pos.offset, 4);
	bch_view_done(&view);
}

static void put_subvol(struct volume *v, u64 id, u32 snapshot, u64 ino)
{
	u8 value[40] = { 0 };

	put_word(value, 0, (u64)snapshot << 32);
	put_word(value, 8, ino);
	put_key(v, BCH_SUBVOLUMES, (struct bch_pos){ 0, id, 0 }, 0, BCH_KEY_SUBVOLUME, value, sizeof(value));
}

static void put_snapshot(struct volume *v, u64 id, u32 parent, u32 subvol)
{
	u8 value[56] = { 0 };

	put_word(value, 0, (u64)parent << 32);
	put_word(value, 16, subvol);
	put_key(v, BCH_SNAPSHOTS, (struct bch_pos){ 0, id, 0 }, 0, BCH_KEY_SNAPSHOT, value, sizeof(value));
}

static void count_note(void *arg, enum diag_severity severity, const char *text)
{
	(void)severity, (void)text;
	++*(unsigned *)arg;
}

static void test_snapshots(void **state)
{
	struct volume *v = *state;

	put_snapshot(v, 10, 30, 1);
	put_snapshot(v, 20, 30, 2);
	put_snapshot(v, 30, 0, 0);
	put_subvol(v, 1, 10, 4096);
	put_subvol(v, 2, 20, 5000);
	finish(v);
	assert_int_equal(bch_snapshots_read(&v->fs, &v->fs.snapshots, &v->d), 0);
	assert_int_equal(v->fs.snapshots.list.len, 3);
	assert_int_equal(v->fs.snapshots.subvols.len, 2);
	assert_int_equal(bch_subvol_find(&v->fs, 1)->snapshot, 10);
	assert_int_equal(bch_subvol_find(&v->fs, 2)->top_ino, 5000);
	assert_null(bch_subvol_find(&v->fs, 3));
	assert_true(bch_snapshot_sees(&v->fs, 10, 30));
	bch_snapshots_done(&v->fs.snapshots);
}

/* Which keys are seen cannot be known: that matters only if there is an inode of any snapshot but the first. */
static void check_bad_snapshot(struct volume *v, u32 inode_snapshot, int expected)
{
	unsigned nr_notes = 0;

	v->d = (struct diag){ .note = count_note, .note_arg = &nr_notes };
	put_snapshot(v, 20, 15, 2); /* its parent is younger */
	put_key(v, BCH_INODES, (struct bch_pos){ 0, 4096, inode_snapshot }, 0, BCH_KEY_INODE, "", 0);
	finish(v);
	assert_int_equal(bch_snapshots_read(&v->fs, &v->fs.snapshots, &v->d), expected);
	if (expected)
		return;
	assert_int_equal(nr_notes, 1);
	assert_true(bch_snapshot_sees(&v->fs, bch_subvol_find(&v->fs, 1)->snapshot, inode_snapshot));
	bch_snapshots_done(&v->fs.snapshots);
}

static void test_bad_snapshots(void **state)
{
	check_bad_snapshot(*state, 20, -EUCLEAN);
}

static void test_bad_without_snapshots(void **state)
{
	check_bad_snapshot(*state, UINT32_MAX, 0);
}

/* Volumes of 2020 have none. */
static void test_no_snapshots(void **state)
{
	struct volume *v = *state;

	finish(v);
	assert_int_equal(bch_snapshots_read(&v->fs, &v->fs.snapshots, &v->d), 0);
	assert_int_equal(bch_subvol_find(&v->fs, 1)->snapshot, 0);
	assert_int_equal(bch_subvol_find(&v->fs, 1)->top_ino, BCH_TOP_INODE);
	assert_true(bch_snapshot_sees(&v->fs, 0, 0));
	bch_snapshots_done(&v->fs.snapshots);
}

static void put_op(struct volume *v, u64 offset, u8 type, u32 subvol, u64 ino, u64 new_size)
{
	u8 value[48] = { 0 };

	put_word(value, 0, subvol);
	put_word(value, 8, ino);
	put_word(value, 16, new_size);
	put_key(v, BCH_LOGGED_OPS, (struct bch_pos){ 0, offset, 0 }, 0, type, value, type == BCH_KEY_LOGGED_OP_TRUNCATE ? 24 : 48);
}

/* A file that is being truncated in the middle of a block of its second extent is as it will be. */
static void test_truncated(void **state)
{
	struct bch_subvol only = { .id = 1, .snapshot = 0, .top_ino = BCH_TOP_INODE };
	struct volume *v = *state;
	unsigned nr_notes = 0;
	u64 bad;

	v->super.block_bytes = 4096;
	v->d = (struct diag){ .note = count_note, .note_arg = &nr_notes };
	v->fs.snapshots.subvols.items = &only;
	v->fs.snapshots.subvols.len = 1;
	put_extent(v, 0, 16, 100, true);
	put_extent(v, 16, 16, 200, true);
	put_extent(v, 32, 32, 300, true);
	put_op(v, 5, BCH_KEY_LOGGED_OP_TRUNCATE, 1, INO, 20 * SECTOR + 7);
	put_op(v, 6, BCH_KEY_LOGGED_OP_TRUNCATE, 7, INO, 0); /* of a subvolume that is not there */
	finish(v);
	assert_int_equal(bch_logged_ops_read(&v->fs, &v->d), 0);
	assert_int_equal(nr_notes, 1);
	assert_int_equal(bch_truncate_sector(&v->fs, 0, INO), 24);
	assert_true(bch_truncate_sector(&v->fs, 0, INO + 1) == UINT64_MAX);
	assert_true(bch_truncate_sector(&v->fs, 1, INO) == UINT64_MAX);
	expect_zeroes(v, 24, 40);
	assert_int_equal(read_part(v, 0, sizeof(v->expected), &bad), 0);
	assert_memory_equal(v->got + 1, v->expected, sizeof(v->expected));
	bch_logged_ops_done(&v->fs);
}

/* What cannot be followed is told of by itself; of two truncations the last has the size, and what the first dropped is gone. */
static void test_unfinished(void **state)
{
	struct bch_subvol only = { .id = 1, .snapshot = 0, .top_ino = BCH_TOP_INODE };
	struct bch_inode inode = { .ino = INO, .mode = S_IFREG, .size = 12345 };
	struct volume *v = *state;
	unsigned nr_notes = 0;

	v->d = (struct diag){ .note = count_note, .note_arg = &nr_notes };
	v->fs.snapshots.subvols.items = &only;
	v->fs.snapshots.subvols.len = 1;
	put_key(v, BCH_LOGGED_OPS, (struct bch_pos){ 0, 4, 0 }, 0, BCH_KEY_LOGGED_OP_TRUNCATE, "", 0);
	put_op(v, 5, BCH_KEY_LOGGED_OP_TRUNCATE, 1, INO, SECTOR);
	put_op(v, 6, BCH_KEY_LOGGED_OP_TRUNCATE, 1, INO, 3 * SECTOR);
	put_op(v, 7, BCH_KEY_LOGGED_OP_FINSERT, 1, INO, 0);
	put_op(v, 8, 35, 1, INO, 0);
	finish(v);
	assert_int_equal(bch_logged_ops_read(&v->fs, &v->d), 0);
	assert_int_equal(nr_notes, 3);
	assert_int_equal(v->fs.truncates.len, 1);
	bch_inode_truncate(&v->fs, 0, &inode);
	assert_int_equal(inode.size, 3 * SECTOR);
	assert_int_equal(bch_truncate_sector(&v->fs, 0, INO), 1);
	inode.mode = S_IFDIR;
	inode.size = 0;
	bch_inode_truncate(&v->fs, 0, &inode);
	assert_int_equal(inode.size, 0);
	bch_logged_ops_done(&v->fs);
}

/* --- Names ------------------------------------------------------------------------------------------------------ */

static const struct bch_subvol top = { .id = 1, .snapshot = 0, .top_ino = INO };

static void put_inode(struct volume *v, u64 ino, u32 mode, u8 size)
{
	/* A seed, siphash, four times and a size. */
	u8 value[] = { 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x30, 0x85, (u8)mode, (u8)(mode >> 8), 0, 0, 0, 0, 0, 0, 0, 0, (u8)(size * 2), 0 };

	put_key(v, BCH_INODES, (struct bch_pos){ 0, ino, 0 }, 0, BCH_KEY_INODE, value, sizeof(value));
}

static u64 hash_of(const char *name)
{
	struct bch_inode dir = { .hash_type = 3, .hash_seed = 0x0807060504030201ULL };
	u64 hash = 0;

	assert_int_equal(bch_name_hash(NULL, &dir, name, strlen(name), &hash), 0);
	return hash;
}

static void put_name(struct volume *v, u64 offset, const char *name, u8 type, u64 leads_to)
{
	u8 value[64] = { 0 };

	put_word(value, 0, leads_to);
	value[8] = type;
	memcpy(value + 9, name, strlen(name));
	put_key(v, BCH_DIRENTS, (struct bch_pos){ INO, offset, 0 }, 0, BCH_KEY_DIRENT, value, 9 + strlen(name));
}

static void check_name(struct volume *v, const char *name, u64 ino)
{
	struct bch_dirent dirent;
	int err = bch_look_up(&v->fs, &top, INO, name, strlen(name), &dirent, &v->d);

	assert_int_equal(err, ino ? 0 : -ENOENT);
	if (ino)
		assert_int_equal(dirent.ino ?: dirent.subvol, ino);
}

static void test_look_up(void **state)
{
	struct volume *v = *state;
	struct bch_dirent dirent;

	put_inode(v, INO, S_IFDIR | 0755, 0);
	put_inode(v, 7000, S_IFREG | 0644, 0);
	put_name(v, hash_of("plain"), "plain", 8, 7000);
	/* Its place was taken, and one behind that, too, once. */
	put_name(v, hash_of("pushed"), "other", 8, 7001);
	put_key(v, BCH_DIRENTS, (struct bch_pos){ INO, hash_of("pushed") + 1, 0 }, 0, BCH_KEY_HASH_WHITEOUT, NULL, 0);
	put_name(v, hash_of("pushed") + 2, "pushed", 8, 7002);
	put_name(v, 3, "misplaced", 8, 7003);
	put_name(v, hash_of("below"), "below", BCH_DT_SUBVOL, 9 | (u64)1 << 32);
	put_name(v, hash_of("foreign"), "foreign", BCH_DT_SUBVOL, 9 | (u64)2 << 32);
	finish(v);
	check_name(v, "plain", 7000);
	check_name(v, "pushed", 7002);
	check_name(v, "other", 7001);
	check_name(v, "misplaced", 7003);
	check_name(v, "below", 9);
	check_name(v, "foreign", 0);
	check_name(v, "absent", 0);
	check_name(v, "plai", 0);
	assert_int_equal(bch_look_up(&v->fs, &top, 7000, "a", 1, &dirent, &v->d), -ENOTDIR);
	assert_int_equal(bch_look_up(&v->fs, &top, 8000, "a", 1, &dirent, &v->d), -ENOENT);
}

/* Of a directory whose names are hashed in a way that is not known, all are looked at. */
static void test_look_up_unknown_hash(void **state)
{
	struct volume *v = *state;
	u8 value[] = { 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0xf0, 0x85, 0xed, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

	put_key(v, BCH_INODES, (struct bch_pos){ 0, INO, 0 }, 0, BCH_KEY_INODE, value, sizeof(value));
	put_name(v, 99, "plain", 8, 7000);
	finish(v);
	check_name(v, "plain", 7000);
	check_name(v, "absent", 0);
}

static void check_link(struct volume *v, u64 ino, const char *expected)
{
	struct bch_inode inode;
	char *target = NULL;
	size_t len = 0;
	int err;

	assert_int_equal(bch_inode_find(&v->fs, 0, ino, &inode, &v->d), 0);
	err = bch_link_target(&v->fs, 0, &inode, &target, &len, &v->d);
	assert_int_equal(err, expected ? 0 : -EUCLEAN);
	if (!expected)
		return;
	assert_int_equal(len, strlen(expected));
	assert_string_equal(target, expected);
	free(target);
}

static void test_links(void **state)
{
	static const struct {
		const char *data;
		u8 size;
		const char *expected;
	} links[] = {
		{ "target\0\0", 6, "target" }, { "target\0\0", 7, "target" }, { "target\0\0", 8, "target" },
		{ "\0\0\0\0\0\0\0\0", 3, NULL }, { "ta\0get\0\0", 6, NULL },   { "target\0\0", 0, NULL },
	};
	struct volume *v = *state;

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		put_inode(v, 6000 + i, S_IFLNK | 0777, links[i].size);
		put_key(v, BCH_EXTENTS, (struct bch_pos){ 6000 + i, 8, 0 }, 8, BCH_KEY_INLINE_DATA, links[i].data, 8);
	}
	finish(v);
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		check_link(v, 6000 + i, links[i].expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kinds),	   TEST(test_bad_in_the_middle), TEST(test_error_key),	 TEST(test_wrong_key),
		TEST(test_poisoned),	   TEST(test_no_pointer),	 TEST(test_overlap),	 TEST(test_too_long),
		TEST(test_reflinks),	   TEST(test_lost_reflink),	 TEST(test_marked_reflink), TEST(test_view),
		TEST(test_snapshots),	   TEST(test_bad_snapshots),
		TEST(test_bad_without_snapshots), TEST(test_no_snapshots),	 TEST(test_truncated),	 TEST(test_unfinished),
		TEST(test_look_up),	   TEST(test_look_up_unknown_hash),	 TEST(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
