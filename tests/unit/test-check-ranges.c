/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check/ranges: what is found in them is what a list would say, in memory and out of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check/ranges.h"

/* More than the index of the smallest memory has entries for, so that it thins out. */
#define NR_RANGES 300000

static const size_t memories[] = { 1, 1 << 20, 256 << 20 };

/* Range i is [100 * i + 10, 100 * i + 10 + length(i)), added in no order, some of it twice, some in two parts. */
static u64 length(u64 i)
{
	return 1 + i % 80;
}

static void add_all(struct ranges *ranges)
{
	for (u64 n = 0; n < NR_RANGES; n++) {
		u64 i = n * 7919 % NR_RANGES, start = 100 * i + 10, end = start + length(i), middle = start + length(i) / 2;
		const struct range whole = { start, end }, parts[2] = { { middle, end }, { start, middle + (i % 3 == 0) } };

		assert_int_equal(i % 2 && length(i) > 1 ? ranges_add(ranges, parts, 2, NULL) : ranges_add(ranges, &whole, 1, NULL), 0);
		if (i % 5 == 0)
			assert_int_equal(ranges_add(ranges, &whole, 1, NULL), 0);
	}
}

static void assert_found(struct ranges_reader *reader, u64 at)
{
	u64 i = at / 100, expected = at >= 100 * i + 10 + length(i) ? i + 1 : i;
	struct range range;

	if (expected >= NR_RANGES) {
		assert_false(ranges_find(reader, at, &range));
		assert_false(ranges_cover(reader, at));
		return;
	}
	assert_true(ranges_find(reader, at, &range));
	assert_int_equal(range.start, 100 * expected + 10);
	assert_int_equal(range.end, 100 * expected + 10 + length(expected));
	assert_int_equal(ranges_next(reader, &range), expected + 1 < NR_RANGES);
	if (expected + 1 < NR_RANGES)
		assert_int_equal(range.start, 100 * (expected + 1) + 10);
	assert_int_equal(ranges_cover(reader, at), expected == i && at >= 100 * i + 10);
}

static void ranges_are_found(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(memories); m++) {
		struct spill spill = { .dir = "/var/tmp" };
		struct ranges_reader reader;
		struct ranges ranges;

		assert_int_equal(ranges_init(&ranges, &spill, memories[m]), 0);
		reader = ranges_read(&ranges);
		assert_false(ranges_cover(&reader, 10));
		add_all(&ranges);
		assert_int_equal(ranges_tidy(&ranges, NULL), 0);
		assert_int_equal(ranges_count(&ranges), NR_RANGES);
		assert_int_equal(spill.written_bytes > 0, memories[m] < 100 << 20);
		for (u64 n = 0; n < 5000; n++)
			assert_found(&reader, n * 1000003 % (100 * NR_RANGES + 300));
		/* At the edges of a range, of the whole, and of what the index has. */
		for (u64 i = 0; i < NR_RANGES; i += i % 256 == 255 || i % 256 == 0 ? 1 : 255 - i % 256)
			for (u64 at = 100 * i + 9; at < 100 * i + 12; at++)
				assert_found(&reader, at);
		assert_int_equal(ranges_error(&ranges, NULL), 0);
		ranges_reader_done(&reader);
		ranges_done(&ranges);
	}
}

static void nothing_is_found_in_nothing(void **state)
{
	struct spill spill = { .dir = "/var/tmp" };
	struct ranges ranges = { 0 };
	struct ranges_reader reader = ranges_read(&ranges);
	struct range range;

	(void)state;
	assert_false(ranges_find(&reader, 0, &range));
	assert_int_equal(ranges_init(&ranges, &spill, 1000), 0);
	assert_int_equal(ranges_tidy(&ranges, NULL), 0);
	assert_int_equal(ranges_count(&ranges), 0);
	assert_false(ranges_find(&reader, 0, &range));
	assert_false(ranges_next(&reader, &range));
	ranges_reader_done(&reader);
	ranges_done(&ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_found),
		cmocka_unit_test(nothing_is_found_in_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
