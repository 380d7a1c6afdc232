/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common/work/pool: order, failures and cancellation, with one thread and with several. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "common/work/pool.h"

static const unsigned thread_counts[] = { 1, 2, 7 };

struct run {
	atomic_ullong sum;
	u64 fail_at, end_at, fail_consume_at;
	u64 expected_next;
	atomic_llong live_items;
};

static int add_up(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct run *run = ctx;

	(void)worker;
	if (i >= run->fail_at && i % 2 == run->fail_at % 2)
		return diag_fail(d, -EIO, "item %llu", (unsigned long long)i);
	atomic_fetch_add(&run->sum, i);
	return 0;
}

static void for_each_runs_every_index_once(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(thread_counts); t++) {
		_cleanup_(pool_freep) struct pool *pool = NULL;

		assert_int_equal(pool_new(thread_counts[t], NULL, &pool), 0);
		for (u64 n = 0; n < 300; n += 37) {
			struct run run = { .fail_at = UINT64_MAX };

			assert_int_equal(pool_for_each(pool, n, add_up, &run, NULL), 0);
			assert_int_equal(run.sum, n ? n * (n - 1) / 2 : 0);
		}
	}
}

static void for_each_returns_the_lowest_failure(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(thread_counts); t++) {
		_cleanup_(pool_freep) struct pool *pool = NULL;

		assert_int_equal(pool_new(thread_counts[t], NULL, &pool), 0);
		for (u64 at = 0; at < 100; at += 9) {
			struct run run = { .fail_at = at };
			struct diag d = { 0 };
			char expected[32];

			snprintf(expected, sizeof(expected), "item %llu", (unsigned long long)at);
			assert_int_equal(pool_for_each(pool, 1000, add_up, &run, &d), -EIO);
			assert_string_equal(d.text, expected);
		}
	}
}

static int make_item(void *ctx, unsigned worker, u64 i, void **ret_item, struct diag *d)
{
	struct run *run = ctx;
	u64 *item;

	(void)worker;
	if (i >= run->end_at)
		return 1;
	if (i == run->fail_at)
		return diag_fail(d, -EUCLEAN, "made %llu", (unsigned long long)i);
	item = malloc(sizeof(*item));
	*item = i * 3;
	atomic_fetch_add(&run->live_items, 1);
	*ret_item = item;
	return 0;
}

static void drop_item(void *ctx, void *item)
{
	atomic_fetch_sub(&((struct run *)ctx)->live_items, 1);
	free(item);
}

static int take_item(void *ctx, u64 i, void *item, struct diag *d)
{
	struct run *run = ctx;
	u64 value = *(u64 *)item;

	drop_item(ctx, item);
	assert_int_equal(i, run->expected_next++);
	assert_int_equal(value, i * 3);
	if (i == run->fail_consume_at)
		return diag_fail(d, -ENOSPC, "taken %llu", (unsigned long long)i);
	return 0;
}

static int run_pipeline(struct pool *pool, struct run *run, u64 n, struct diag *d)
{
	const struct pool_stream stream = { make_item, take_item, drop_item, run };

	return pool_pipeline(pool, n, 5, &stream, d);
}

static void pipeline_keeps_order_ends_and_fails(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(thread_counts); t++) {
		_cleanup_(pool_freep) struct pool *pool = NULL;

		assert_int_equal(pool_new(thread_counts[t], NULL, &pool), 0);
		for (u64 at = 0; at < 60; at += 7) {
			struct run whole = { .fail_at = UINT64_MAX, .end_at = UINT64_MAX, .fail_consume_at = UINT64_MAX };
			struct run ends = { .fail_at = UINT64_MAX, .end_at = at, .fail_consume_at = UINT64_MAX };
			struct run fails = { .fail_at = at, .end_at = UINT64_MAX, .fail_consume_at = UINT64_MAX };
			struct run refuses = { .fail_at = UINT64_MAX, .end_at = UINT64_MAX, .fail_consume_at = at };
			struct diag d = { 0 };

			assert_int_equal(run_pipeline(pool, &whole, at, &d), 0);
			assert_int_equal(whole.expected_next, at);
			assert_int_equal(run_pipeline(pool, &ends, UINT64_MAX, &d), 0);
			assert_int_equal(ends.expected_next, at);
			assert_int_equal(run_pipeline(pool, &fails, 100, &d), -EUCLEAN);
			assert_int_equal(fails.expected_next, at);
			assert_int_equal(run_pipeline(pool, &refuses, 100, &d), -ENOSPC);
			assert_int_equal(whole.live_items + ends.live_items + fails.live_items + refuses.live_items, 0);
		}
	}
}

static void cancellation_stops_both(void **state)
{
	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(thread_counts); t++) {
		struct cancel cancel = { true };
		struct run run = { .fail_at = UINT64_MAX, .end_at = UINT64_MAX, .fail_consume_at = UINT64_MAX };
		_cleanup_(pool_freep) struct pool *pool = NULL;

		assert_int_equal(pool_new(thread_counts[t], &cancel, &pool), 0);
		assert_int_equal(pool_for_each(pool, 10, add_up, &run, NULL), -ECANCELED);
		assert_int_equal(run_pipeline(pool, &run, 10, NULL), -ECANCELED);
		assert_int_equal(run.sum, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(for_each_runs_every_index_once),
		cmocka_unit_test(for_each_returns_the_lowest_failure),
		cmocka_unit_test(pipeline_keeps_order_ends_and_fails),
		cmocka_unit_test(cancellation_stops_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
