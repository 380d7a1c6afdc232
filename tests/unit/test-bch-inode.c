/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/bcachefs: inodes of all versions, their integers; snapshots. Values are those of images; and some that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <btrkit/content.h>

#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_varint.h"

static void check_varint(const u8 *bytes, int len, u64 value)
{
	u64 got = 0;

	assert_int_equal(bch_varint_get(bytes, (size_t)len, &got), len);
	assert_true(got == value);
	for (int cut = 0; cut < len; cut++)
		assert_int_equal(bch_varint_get(bytes, (size_t)cut, &got), -EUCLEAN);
}

static void test_varints(void **state)
{
	(void)state;
	check_varint((u8[]){ 0x00 }, 1, 0);
	check_varint((u8[]){ 0x0a }, 1, 5);
	check_varint((u8[]){ 0xfe }, 1, 127);
	check_varint((u8[]){ 0x1d, 0x04 }, 2, 263);
	check_varint((u8[]){ 0x57, 0xbd, 0xbe, 0x17 }, 4, 24898517);
	check_varint((u8[]){ 0x7f, 1, 0, 0, 0, 0, 0, 0x80 }, 8, 0x80000000000001ULL);
	check_varint((u8[]){ 0xff, 0xce, 0x9e, 0xa9, 0xf8, 0xff, 0xff, 0xff, 0xff }, 9, 18446744073586450126ULL);
}

static void check_old_varint(const u8 *bytes, int len, u64 value)
{
	u64 got = 0;

	assert_int_equal(bch_old_varint_get(bytes, (size_t)len, &got), len);
	assert_true(got == value);
	for (int cut = 0; cut < len; cut++)
		assert_int_equal(bch_old_varint_get(bytes, (size_t)cut, &got), -EUCLEAN);
}

static void test_old_varints(void **state)
{
	u64 got;

	(void)state;
	check_old_varint((u8[]){ 0x80 }, 1, 0);
	check_old_varint((u8[]){ 0xff }, 1, 127);
	check_old_varint((u8[]){ 0x41, 0x07 }, 2, 263);
	check_old_varint((u8[]){ 0x20, 1, 2 }, 3, 0x102);
	check_old_varint((u8[]){ 0x10, 0, 0, 9 }, 4, 9);
	check_old_varint((u8[]){ 0x08, 1, 0, 0, 0, 0 }, 6, 0x100000000);
	check_old_varint((u8[]){ 0x04, 0, 0, 0, 0, 0, 0, 5 }, 8, 5);
	check_old_varint((u8[]){ 0x02, 0, 0xff, 0, 0, 0, 0, 0, 0, 1 }, 10, 0xff00000000000001ULL);
	check_old_varint((u8[]){ 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 }, 13, 7);
	assert_int_equal(bch_old_varint_get((u8[]){ 0x00 }, 1, &got), -EUCLEAN);
}

/* --- Inodes ----------------------------------------------------------------------------------------------------- */

static size_t from_hex(const char *hex, u8 *bytes)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		sscanf(hex + 2 * i, "%2x", &byte);
		bytes[i] = (u8)byte;
	}
	return len;
}

static int get(u8 type, const u8 *value, size_t len, struct bch_inode *inode)
{
	struct bch_key key = { .type = type, .pos = { 0, 4096, 9 }, .value = value, .value_bytes = (u32)len };
	struct diag d = { 0 };
	int err = bch_inode_get(&key, inode, &d);

	if (err < 0)
		assert_true(strlen(d.text) > 0);
	return err;
}

/* /dir1, /cdev of v131-unclean; the top of v11-clean-basic. */
#define DIR_V3                                                                                                         \
	"0c000000000000004edb13fa7128a8ec00003019d31e0400000000000000000000000000000000000000000000000000ffce83f2f7ff" \
	"ffffff00ffe94fdaf9ffffffff00ffce9ea9f8ffffffff00976d3960000000020000000000000000000000000140ff6e090743bbd0" \
	"45110000000200000000000000"
#define DEVICE_V3                                                                                                      \
	"0c000000000000006dbe47f2104bf8cd00003015031a0200000000000000000000000000000000000000000000000000ffce9ea9f8ff" \
	"ffffff00ff843cf8f9ffffffff00ffce9ea9f8ffffffff00976d396000000000001d04000000000000000000000140ff076f64ee50" \
	"d6e26b0000"
#define TOP_V1 "f5a5ba77681fa09c00003089ed41071de808008f7dbda804008f7dbda80400071de80800000000000a00000000000000"

static void test_inode_v3(void **state)
{
	struct bch_inode inode;
	struct source_inode described;
	struct bch_super super = { .time_base_ns = 1795219312524842429, .time_precision_ns = 1 };
	struct bch_fs fs = { .super = &super };
	u8 value[256];

	(void)state;
	assert_int_equal(get(BCH_KEY_INODE_V3, value, from_hex(DIR_V3, value), &inode), 0);
	assert_true(inode.ino == 4096 && inode.snapshot == 9);
	assert_int_equal(inode.mode, S_IFDIR | 0755);
	assert_int_equal(inode.hash_type, 3);
	assert_true(inode.hash_seed == 0xeca82871fa13db4eULL);
	assert_int_equal(inode.nlink, 3);
	assert_true(inode.atime == 18446744073574450126ULL);
	assert_true(inode.ctime == 18446744073606418409ULL);
	assert_true(inode.otime == 100898521);
	assert_true(inode.dir == 4096 && inode.dir_offset == 1244630374739806574ULL);
	assert_int_equal(inode.flags, 0);

	assert_int_equal(get(BCH_KEY_INODE_V3, value, from_hex(DEVICE_V3, value), &inode), 0);
	bch_source_inode(&fs, &inode, &described);
	assert_int_equal(described.mode, S_IFCHR | 0640);
	assert_int_equal(described.nlink, 1);
	assert_int_equal(described.rdev_major, 1);
	assert_int_equal(described.rdev_minor, 7);
	assert_int_equal(described.mtime.sec, 1795219312);
	assert_int_equal(described.mtime.nsec, 401740939);
}

static void test_inode_v1(void **state)
{
	struct bch_inode inode;
	u8 value[256];

	(void)state;
	assert_int_equal(get(BCH_KEY_INODE, value, from_hex(TOP_V1, value), &inode), 0);
	assert_int_equal(inode.mode, S_IFDIR | 0755);
	assert_int_equal(inode.nlink, 7);
	assert_true(inode.hash_seed == 0x9ca01f6877baa5f5ULL);
	assert_true(inode.atime == 9339344 && inode.ctime == 625339372);
	assert_int_equal(inode.hash_type, 3);
}

/* With varints as they were before: three times, size 300, and four fields more. */
static void test_inode_old(void **state)
{
	static const u8 value[] = { 1, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0x20, 0x08, 0xa4, 0x81, 0x85, 0x41, 0x07, 0x86, 0x87, 0x41, 0x2c,
				    0x81, 0xff, 0x82, 0x00, 0, 0, 0 };
	struct bch_inode inode;

	(void)state;
	assert_int_equal(get(BCH_KEY_INODE, value, sizeof(value), &inode), 0);
	assert_true(inode.atime == 5 && inode.ctime == 263 && inode.mtime == 6 && inode.otime == 7);
	assert_true(inode.size == 300 && inode.sectors == 1);
	assert_int_equal(inode.uid, 127);
	assert_int_equal(inode.gid, 2);
	assert_int_equal(inode.nlink, 0); /* unlinked */
	assert_int_equal(inode.hash_type, 2);
	assert_true(inode.flags == BCH_INODE_UNLINKED);
}

/* As v1, with a longer head. */
static void test_inode_v2(void **state)
{
	static const u8 value[] = { 9, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x02, 0, 0x30, 6, 0, 0, 0, 0, 0xa4, 0x81,
				    2, 0, 4, 0, 6, 0, 8, 0, 0xb1, 0x04, 2, 0 };
	struct bch_inode inode;

	(void)state;
	assert_int_equal(get(BCH_KEY_INODE_V2, value, sizeof(value), &inode), 0);
	assert_true(inode.hash_seed == 0x0807060504030201ULL);
	assert_true(inode.atime == 1 && inode.ctime == 2 && inode.mtime == 3 && inode.otime == 4);
	assert_true(inode.size == 300 && inode.sectors == 1);
	assert_int_equal(inode.nlink, 1);
	assert_true(inode.flags == BCH_INODE_IMMUTABLE);
}

static void test_inode_lies(void **state)
{
	static const struct {
		u8 type;
		const char *hex;
		size_t used;
	} inodes[] = {
		{ BCH_KEY_INODE_V3, DIR_V3, 112 }, { BCH_KEY_INODE_V3, DEVICE_V3, 108 }, { BCH_KEY_INODE, TOP_V1, 40 },
	};
	struct bch_inode inode;
	u8 value[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(inodes); i++) {
		size_t len = from_hex(inodes[i].hex, value);

		for (size_t cut = 0; cut < len; cut++) {
			u8 *exact = malloc(cut ? cut : 1);
			int err;

			memcpy(exact, value, cut);
			err = get(inodes[i].type, exact, cut, &inode);
			assert_true(err == 0 || err == -EUCLEAN);
			if (cut < 14)
				assert_int_equal(err, -EUCLEAN);
			free(exact);
		}
	}
	/* Fields that begin in the head, or behind the end. */
	for (unsigned at = 0; at < 32; at++) {
		size_t len = from_hex(DIR_V3, value);
		le64 flags;

		memcpy(&flags, value + 16, sizeof(flags));
		le64_put(&flags, (le64_get(flags) & ~((u64)31 << 31)) | (u64)at << 31);
		memcpy(value + 16, &flags, sizeof(flags));
		if (at < 6 || at > len / 8)
			assert_int_equal(get(BCH_KEY_INODE_V3, value, len, &inode), -EUCLEAN);
	}
	assert_int_equal(get(BCH_KEY_INODE_GENERATION, value, 8, &inode), 1);
	assert_int_equal(get(BCH_KEY_DIRENT, value, 100, &inode), -EUCLEAN);
}

/* Nothing but its own value is read, whatever that is. */
static void test_random_inodes(void **state)
{
	static const u8 types[] = { BCH_KEY_INODE, BCH_KEY_INODE_V2, BCH_KEY_INODE_V3 };
	u32 x = 1;

	(void)state;
	for (unsigned i = 0; i < 60000; i++) {
		size_t len = 8 * (1 + i % 20);
		u8 *value = malloc(len);
		struct bch_inode inode;
		struct bch_key key = { .type = types[i % 3], .value = value, .value_bytes = (u32)len };

		for (size_t at = 0; at < len; at++)
			value[at] = (u8)((x = x * 1664525 + 1013904223) >> 24);
		(void)bch_inode_get(&key, &inode, NULL);
		free(value);
	}
}

static void check_time(s64 base_ns, u32 precision_ns, u64 time, s64 sec, u32 nsec)
{
	struct bch_super super = { .time_base_ns = base_ns, .time_precision_ns = precision_ns };
	struct bch_fs fs = { .super = &super };
	struct btrkit_time got = bch_time(&fs, time);

	assert_int_equal(got.sec, sec);
	assert_int_equal(got.nsec, nsec);
}

static void test_times(void **state)
{
	(void)state;
	check_time(0, 1, 0, 0, 0);
	check_time(1000000000, 1, (u64)-1, 0, 999999999);
	check_time(0, 1, (u64)-1, -1, 999999999);
	check_time(5, 1000, 2, 0, 2005);
	check_time(INT64_MAX, 1, INT64_MAX, 18446744073, 709551614);
	check_time(0, 1000000, INT64_MAX, 9223372036854775, 807000000);
}

/* --- Snapshots -------------------------------------------------------------------------------------------------- */

static void test_sees(void **state)
{
	struct bch_snapshot list[] = { { .id = 10, .parent = 30 }, { .id = 20, .parent = 30 }, { .id = 30, .parent = 40 }, { .id = 40 } };
	struct bch_fs fs = { .snapshots.list = { list, ARRAY_LEN(list), ARRAY_LEN(list) } };
	struct bch_fs old = { 0 };

	(void)state;
	assert_true(bch_snapshot_sees(&fs, 10, 10));
	assert_true(bch_snapshot_sees(&fs, 10, 30));
	assert_true(bch_snapshot_sees(&fs, 10, 40));
	assert_false(bch_snapshot_sees(&fs, 10, 20));
	assert_false(bch_snapshot_sees(&fs, 30, 10));
	assert_false(bch_snapshot_sees(&fs, 10, 35));
	assert_false(bch_snapshot_sees(&fs, 10, 50));
	assert_false(bch_snapshot_sees(&fs, 15, 30));
	assert_false(bch_snapshot_sees(&fs, 10, 0));
	assert_false(bch_snapshot_sees(&fs, 0, 0));
	assert_true(bch_snapshot_sees(&old, 0, 0));
	assert_true(bch_snapshot_sees(&old, 0, UINT32_MAX));
	assert_false(bch_snapshot_sees(&old, 0, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_varints),	   cmocka_unit_test(test_old_varints),	  cmocka_unit_test(test_inode_v3),
		cmocka_unit_test(test_inode_v1),   cmocka_unit_test(test_inode_old),	  cmocka_unit_test(test_inode_v2),
		cmocka_unit_test(test_inode_lies), cmocka_unit_test(test_random_inodes), cmocka_unit_test(test_times),
		cmocka_unit_test(test_sees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
