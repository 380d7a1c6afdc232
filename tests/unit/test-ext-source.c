/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/ext: what single values of ext2, ext3 and ext4 mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convert/ext/ext_bits.h"
#include "convert/ext/ext_inode.h"
#include "convert/source/short_acl.h"

static void check_time(u32 seconds, u32 extra, s64 sec, u32 nsec)
{
	struct btrkit_time time = ext_time(seconds, extra);

	assert_int_equal(time.sec, sec);
	assert_int_equal(time.nsec, nsec);
}

/* The ext4 documentation has this table: the two bits, and the years that they reach. */
static void test_times(void **state)
{
	(void)state;
	check_time(0, 0, 0, 0);
	check_time(1, 999999999U << 2, 1, 999999999);
	check_time(0x80000000, 0, -0x80000000LL, 0); /* 1901 */
	check_time(0xffffffff, 0, -1, 0);
	check_time(0x7fffffff, 0, 0x7fffffff, 0); /* 2038 */
	check_time(0x80000000, 1, 0x80000000LL, 0);
	check_time(0xffffffff, 1, 0xffffffffLL, 0);
	check_time(0, 1 | 5 << 2, 0x100000000LL, 5);
	check_time(0x7fffffff, 1, 0x17fffffffLL, 0);
	check_time(0x80000000, 2, 0x180000000LL, 0);
	check_time(0x7fffffff, 3, 0x37fffffffLL, 0); /* 2446 */
	check_time(0, UINT32_MAX, 0x300000000LL, 999999999); /* no number of nanoseconds */
}

static void check_device(u32 old, u32 new, u32 major, u32 minor)
{
	u8 block[60] = { 0 };
	le32 word;
	u32 got_major, got_minor;

	le32_put(&word, old);
	memcpy(block, &word, 4);
	le32_put(&word, new);
	memcpy(block + 4, &word, 4);
	ext_device_numbers(block, &got_major, &got_minor);
	assert_int_equal(got_major, major);
	assert_int_equal(got_minor, minor);
}

static void test_device_numbers(void **state)
{
	(void)state;
	check_device(0x0803, 0, 8, 3);
	check_device(0xffff, 0, 255, 255);
	check_device(0, 0x00000803, 8, 3);
	check_device(0, 0xfffffffe, 4095, 0xffffe);
	check_device(0, 0x00101200, 0x12, 0x100);
	check_device(0, 0, 0, 0);
}

/* user::rw- user:1000:rwx group::r-- group:33:--x mask::rwx other::--- as ext4 stores it, and as getxattr(2) shows it. */
static const u8 stored_acl[] = { 1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 7, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0,
				 8, 0, 1, 0, 33, 0, 0, 0, 16, 0, 7, 0, 32, 0, 0, 0 };
static const u8 shown_acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
				8, 0, 1, 0, 33, 0, 0, 0, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };

static void test_acl(void **state)
{
	u8 value[256];
	size_t len;

	(void)state;
	assert_true(sizeof(shown_acl) <= short_acl_room(sizeof(stored_acl)));
	assert_true(short_acl_translate(stored_acl, sizeof(stored_acl), value, &len));
	assert_int_equal(len, sizeof(shown_acl));
	assert_memory_equal(value, shown_acl, len);
	assert_true(short_acl_translate(stored_acl, 4, value, &len)); /* no entries */
	assert_int_equal(len, 4);
}

static void test_bad_acl(void **state)
{
	u8 acl[sizeof(stored_acl)], value[256];
	size_t len;

	(void)state;
	/* Cut anywhere but behind an entry. */
	for (size_t n = 0; n < sizeof(stored_acl); n++) {
		bool is_whole = n == 4 || n == 8 || n == 16 || n == 20 || n == 28 || n == 32;

		assert_int_equal(short_acl_translate(stored_acl, n, value, &len), is_whole);
	}
	memcpy(acl, stored_acl, sizeof(acl));
	acl[0] = 2; /* a version that ext4 does not have */
	assert_false(short_acl_translate(acl, sizeof(acl), value, &len));
	acl[0] = 1;
	acl[4] = 3; /* no tag */
	assert_false(short_acl_translate(acl, sizeof(acl), value, &len));
}

static void test_words(void **state)
{
	u64 words[4] = { 0 };

	(void)state;
	ext_words_fill(words, 3, 3, true);
	assert_int_equal(ext_words_find(words, 0, 256, true), 256);
	ext_words_fill(words, 60, 200, true);
	assert_int_equal(ext_words_find(words, 0, 256, true), 60);
	assert_int_equal(ext_words_find(words, 60, 256, false), 200);
	assert_int_equal(ext_words_find(words, 0, 50, true), 50);
	assert_int_equal(ext_words_find(words, 100, 150, false), 150);
	ext_words_fill(words, 64, 128, false);
	assert_int_equal(ext_words_find(words, 60, 256, false), 64);
	assert_int_equal(ext_words_find(words, 64, 256, true), 128);
}

static void test_bits(void **state)
{
	struct ext_bits a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(ext_bits_init(&a, 1000, 100), 0);
	assert_int_equal(ext_bits_init(&b, 1000, 100), 0);
	assert_int_equal(ext_bits_first_missing(&a, &b), UINT64_MAX);
	assert_int_equal(ext_bits_set(&a, 1000), 0);
	assert_int_equal(ext_bits_set(&a, 1000), 1);
	assert_int_equal(ext_bits_set(&a, 129), 0);
	assert_true(ext_bits_test(&a, 129));
	assert_false(ext_bits_test(&a, 128));
	assert_int_equal(ext_bits_first_missing(&a, &b), 129);
	assert_int_equal(ext_bits_set(&b, 129), 0);
	assert_int_equal(ext_bits_first_missing(&a, &b), 1000);
	assert_int_equal(ext_bits_first_missing(&b, &a), UINT64_MAX);
	ext_bits_done(&a);
	ext_bits_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times), cmocka_unit_test(test_device_numbers), cmocka_unit_test(test_acl),
		cmocka_unit_test(test_bad_acl), cmocka_unit_test(test_words), cmocka_unit_test(test_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
