/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common/base: little-endian fields, checked arithmetic, growable arrays, diagnostics. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/base/array.h"
#include "common/base/checked.h"
#include "common/base/diag.h"
#include "common/base/types.h"

static void little_endian_fields_have_fixed_byte_order(void **state)
{
	const u8 expected[8] = { 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 };
	le64 v64;
	le32 v32;
	le16 v16;

	(void)state;
	le64_put(&v64, 0x1122334455667788);
	le32_put(&v32, 0x55667788);
	le16_put(&v16, 0x7788);
	assert_memory_equal(v64.byte, expected, 8);
	assert_memory_equal(v32.byte, expected, 4);
	assert_memory_equal(v16.byte, expected, 2);
	assert_int_equal(le64_get(v64), 0x1122334455667788);
	assert_int_equal(le32_get(v32), 0x55667788);
	assert_int_equal(le16_get(v16), 0x7788);
}

static void checked_arithmetic_refuses_what_does_not_fit(void **state)
{
	u64 n = 42;

	(void)state;
	assert_true(checked_add(1, 2, &n));
	assert_int_equal(n, 3);
	assert_false(checked_add(UINT64_MAX, 1, &n));
	assert_false(checked_mul(1ULL << 32, 1ULL << 32, &n));
	assert_false(checked_sub(1, 2, &n));
	assert_false(checked_round_up(UINT64_MAX, 4096, &n));
	assert_false(checked_round_up(1, 0, &n));
	assert_int_equal(n, 3);
	assert_true(checked_round_up(4097, 4096, &n));
	assert_int_equal(n, 8192);
	assert_true(range_fits(4, 6, 10));
	assert_false(range_fits(5, 6, 10));
	assert_false(range_fits(11, 0, 10));
	assert_false(range_fits(1, UINT64_MAX, 10));
}

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void arrays_are_sorted(void **state)
{
	ARRAY(u64) a = { 0 };

	(void)state;
	array_sort(&a, by_value); /* nothing, which lies nowhere */
	for (u64 i = 0; i < 100; i++)
		assert_int_equal(array_push(&a, i * 37 % 101), 0);
	array_sort(&a, by_value);
	for (size_t i = 1; i < a.len; i++)
		assert_true(a.items[i - 1] < a.items[i]);
	array_done(&a);
}

static void arrays_grow_and_keep_their_items(void **state)
{
	ARRAY(u64) a = { 0 };

	(void)state;
	for (u64 i = 0; i < 1000; i++)
		assert_int_equal(array_push(&a, i * i), 0);
	assert_int_equal(a.len, 1000);
	assert_int_equal(a.items[999], 999 * 999);
	assert_int_equal(array_reserve(&a, SIZE_MAX), -ENOMEM);
	assert_int_equal(a.items[7], 49);
	array_done(&a);
	assert_null(a.items);
}

static void diag_keeps_the_reason_and_the_place(void **state)
{
	struct diag d = { 0 }, other = { 0 };

	(void)state;
	assert_int_equal(diag_fail(&d, -EUCLEAN, "slot %u", 3u), -EUCLEAN);
	assert_string_equal(d.text, "slot 3");
	assert_int_equal(diag_context(&d, d.err, "leaf %d", 5), -EUCLEAN);
	assert_string_equal(d.text, "leaf 5: slot 3");
	assert_int_equal(diag_copy(&other, &d), -EUCLEAN);
	assert_string_equal(other.text, "leaf 5: slot 3");
	diag_clear(&d);
	assert_int_equal(diag_context(&d, -ENOENT, "file"), -ENOENT);
	assert_string_equal(d.text, "file: No such file or directory");
	assert_int_equal(diag_fail(NULL, -EIO, "nobody listens"), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(little_endian_fields_have_fixed_byte_order),
		cmocka_unit_test(checked_arithmetic_refuses_what_does_not_fit),
		cmocka_unit_test(arrays_grow_and_keep_their_items),
		cmocka_unit_test(arrays_are_sorted),
		cmocka_unit_test(diag_keeps_the_reason_and_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
