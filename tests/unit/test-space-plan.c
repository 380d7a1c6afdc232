/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan of a conversion: whatever is in use, nothing of it is in the way, and everything has one place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convert/inplace/conversion.h"
#include "kernel-shared/device/super.h"

static u64 random_state = 0x853c49e6748fea9bULL;

static u64 random_below(u64 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

static u64 end_of(const struct space_range *range)
{
	return range->physical + range->len;
}

/* Used ranges at random, in blocks of 4 KiB; the denser, the more. */
static void fill(struct space_ranges *used, u64 total_bytes, unsigned percent)
{
	u64 at = 0;

	used->list.len = 0;
	while (at < total_bytes) {
		u64 run = SECTORSIZE_MIN << random_below(12);
		u64 len = MIN(random_below(run / SECTORSIZE_MIN + 1) * SECTORSIZE_MIN + SECTORSIZE_MIN, total_bytes - at);

		if (random_below(100) < percent) {
			struct space_range *last = used->list.len ? &used->list.items[used->list.len - 1] : NULL;

			if (last && end_of(last) == at)
				last->len += len;
			else
				assert_int_equal(array_push(&used->list, (struct space_range){ at, len }), 0);
		}
		at += len;
	}
}

static bool touches(const struct space_ranges *ranges, u64 physical, u64 len)
{
	array_for_each(&ranges->list, range)
		if (physical < end_of(range) && range->physical < physical + len)
			return true;
	return false;
}

static bool covers(const struct space_ranges *ranges, u64 physical, u64 len)
{
	array_for_each(&ranges->list, range)
		if (physical >= range->physical && physical + len <= end_of(range))
			return true;
	return false;
}

static bool is_reserved(u64 total_bytes, u64 physical)
{
	u64 end;

	return space_before_reserved(total_bytes, physical, 1, &end) == 0;
}

static void judge_ranges(const struct space_ranges *ranges, u64 total_bytes)
{
	u64 end = DEVICE_RANGE_RESERVED_BYTES;

	array_for_each(&ranges->list, range) {
		assert_true(range->physical >= end && range->len > 0);
		assert_int_equal(range->physical % STRIPE_LEN_BYTES, 0);
		assert_int_equal(range->len % STRIPE_LEN_BYTES, 0);
		end = end_of(range);
	}
	assert_true(end <= MAX(round_down_u64(total_bytes, STRIPE_LEN_BYTES), (u64)DEVICE_RANGE_RESERVED_BYTES));
}

/* Each used byte is in a data chunk, or is moved; never both. */
static void judge_used(const struct space_plan *plan)
{
	array_for_each(&plan->used->list, used)
		for (u64 at = used->physical; at < end_of(used); at += SECTORSIZE_MIN) {
			unsigned moves = 0;

			array_for_each(&plan->moves, move)
				moves += move->is_in_image && at >= move->physical && at < move->physical + move->len;
			assert_int_equal(moves, is_reserved(plan->total_bytes, at));
			if (!moves)
				assert_true(covers(&plan->data, at, SECTORSIZE_MIN));
			assert_false(touches(&plan->gaps, at, SECTORSIZE_MIN) && !moves);
		}
}

static void judge_moves(const struct space_plan *plan)
{
	for (size_t m = 0; m < plan->moves.len; m++) {
		const struct placed_move *move = &plan->moves.items[m];

		assert_true(move->len > 0 && move->len % SECTORSIZE_MIN == 0 && move->logical % SECTORSIZE_MIN == 0);
		assert_true(covers(&plan->data, move->logical, move->len));
		assert_false(touches(plan->used, move->logical, move->len));
		for (u64 at = move->logical; at < move->logical + move->len; at += SECTORSIZE_MIN)
			assert_false(is_reserved(plan->total_bytes, at));
		for (size_t n = 0; n < m; n++)
			assert_false(move->logical < plan->moves.items[n].logical + plan->moves.items[n].len &&
				     plan->moves.items[n].logical < move->logical + move->len);
	}
}

static void judge_layout(const struct space_plan *plan, const struct layout *layout, const struct layout_needs *needs)
{
	u64 end = 0;

	for (size_t i = 0; i < chunk_map_count(layout->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(layout->chunks, i);

		assert_true(chunk->logical >= end);
		end = chunk->logical + chunk->length;
		for (u16 s = 0; s < chunk->num_stripes; s++) {
			if (chunk->type & BLOCK_GROUP_DATA) {
				assert_int_equal(chunk->stripe[s].physical, chunk->logical);
				continue;
			}
			assert_true(chunk->logical >= plan->total_bytes);
			assert_true(covers(&plan->gaps, chunk->stripe[s].physical, chunk->stripe_bytes));
			for (size_t j = 0; j < i; j++) {
				const struct chunk *other = chunk_map_at(layout->chunks, j);

				for (u16 t = 0; t < other->num_stripes; t++)
					assert_false(chunk->stripe[s].physical < other->stripe[t].physical + other->stripe_bytes &&
						     other->stripe[t].physical < chunk->stripe[s].physical + chunk->stripe_bytes);
			}
		}
	}
	assert_true(layout->metadata.total_bytes >= needs->metadata_bytes);
	assert_true(layout->system.total_bytes >= needs->system_bytes);
}

static void judge(struct space_plan *plan, u64 metadata_bytes, const char *profile, unsigned *nr_fit, unsigned *nr_refused)
{
	const struct layout_needs needs = {
		.data_profile = profile_by_name("single"),
		.metadata_profile = profile_by_name(profile),
		.system_profile = profile_by_name(profile),
		.style = LAYOUT_EXACT,
		.metadata_bytes = metadata_bytes,
		.system_bytes = 128 * KIB,
	};
	struct layout layout;
	struct diag d = { 0 };
	int err = space_plan_make(plan, &d);

	if (!err) {
		judge_ranges(&plan->data, plan->total_bytes);
		judge_ranges(&plan->gaps, plan->total_bytes);
		array_for_each(&plan->gaps.list, gap)
			assert_false(touches(&plan->data, gap->physical, gap->len));
		judge_used(plan);
		judge_moves(plan);
		err = space_plan_layout(plan, &needs, &layout, &d);
		if (!err) {
			judge_layout(plan, &layout, &needs);
			layout_done(&layout);
		}
	}
	assert_true(err == 0 || err == -ENOSPC);
	++*(err ? nr_refused : nr_fit);
	/* With space without end it fits, unless even the data cannot be placed. */
	plan->is_endless = true;
	if (space_plan_make(plan, &d) == 0) {
		assert_int_equal(space_plan_layout(plan, &needs, &layout, &d), 0);
		layout_done(&layout);
	}
	plan->is_endless = false;
}

static void test_random(void **state)
{
	static const u64 sizes[] = { MIB, 1100 * KIB, 2 * MIB + 20 * KIB, 17 * MIB, 65 * MIB + 4 * KIB, 70 * MIB };
	unsigned nr_fit = 0, nr_refused = 0;

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		u64 total_bytes = sizes[random_below(ARRAY_LEN(sizes))];
		struct space_ranges used = { 0 }, overlaid = { 0 };
		struct space_plan plan = {
			.total_bytes = total_bytes,
			.block_bytes = SECTORSIZE_MIN,
			.used = &used,
			.overlaid = &overlaid,
			.gap_min_bytes = (u64)STRIPE_LEN_BYTES << random_below(10),
		};

		fill(&used, total_bytes, (unsigned)random_below(101));
		if (used.list.len && round % 3 == 0)
			assert_int_equal(array_push(&overlaid.list, (struct space_range){ used.list.items[0].physical,
											  used.list.items[0].len }), 0);
		judge(&plan, random_below(4 * MIB), round % 2 ? "dup" : "single", &nr_fit, &nr_refused);
		space_plan_done(&plan);
		array_done(&used.list);
		array_done(&overlaid.list);
	}
	print_message("%u fit, %u refused\n", nr_fit, nr_refused);
	assert_true(nr_fit > 50 && nr_refused > 50);
}

/* The third mirror lies at 256 GiB. */
static void test_large(void **state)
{
	struct space_ranges used = { 0 }, overlaid = { 0 };
	struct space_plan plan = {
		.total_bytes = 300 * GIB,
		.block_bytes = SECTORSIZE_MIN,
		.used = &used,
		.overlaid = &overlaid,
		.gap_min_bytes = space_plan_first_gap(),
	};
	struct diag d = { 0 };

	(void)state;
	array_push(&used.list, (struct space_range){ 256 * GIB - 8 * KIB, 80 * KIB });
	assert_int_equal(space_plan_make(&plan, &d), 0);
	/* The chunk has 56 KiB before it, the rest goes behind. */
	assert_int_equal(plan.moves.len, 2);
	assert_int_equal(plan.moves.items[0].physical, 256 * GIB);
	assert_int_equal(plan.moves.items[0].len + plan.moves.items[1].len, 64 * KIB);
	assert_int_equal(plan.data.list.len, 1);
	assert_int_equal(plan.data.list.items[0].physical, 256 * GIB - 64 * KIB);
	space_plan_done(&plan);
	array_done(&used.list);
}

/* All that is in use is one long run: chunks of 1 GiB. */
static void test_chunks(void **state)
{
	struct space_ranges used = { 0 }, overlaid = { 0 };
	struct space_plan plan = {
		.total_bytes = 10 * GIB,
		.block_bytes = SECTORSIZE_MIN,
		.used = &used,
		.overlaid = &overlaid,
		.gap_min_bytes = space_plan_first_gap(),
	};
	struct diag d = { 0 };

	(void)state;
	array_push(&used.list, (struct space_range){ 0, 5 * GIB });
	assert_int_equal(space_plan_make(&plan, &d), 0);
	assert_int_equal(plan.data.list.len, 5 + 1);
	assert_int_equal(plan.gaps.list.len, 1);
	space_plan_done(&plan);
	array_done(&used.list);
}

/* The last question before anything is written finds a chunk, and a move, over whatever is in use. */
static void test_judged(void **state)
{
	static const struct { struct space_range used; u64 chunk; int err; } cases[] = {
		{ { 0, 2 * MIB }, MIB, -EINVAL }, /* begins where Btrfs has its superblock */
		{ { 0, 2 * MIB }, 2 * MIB, 0 },
		{ { 3 * MIB, 4096 }, 2 * MIB, 0 },
		{ { 3 * MIB - 4096, 4096 }, 2 * MIB, -EINVAL },
		{ { 64 * MIB - 4096, 4096 }, 63 * MIB + 512 * KIB, -EINVAL },
		{ { 64 * MIB, 64 * KIB }, 63 * MIB + 512 * KIB, 0 }, /* that will be moved */
		{ { 64 * MIB, 64 * KIB + 4096 }, 63 * MIB + 512 * KIB, -EINVAL },
		{ { 64 * MIB + 64 * KIB, 4096 }, 63 * MIB + 512 * KIB, -EINVAL },
		{ { 80 * MIB, MIB }, 0, -EINVAL },
		{ { 80 * MIB, MIB }, 99 * MIB + 64 * KIB, -EINVAL }, /* reaches beyond the end */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_free_ struct chunk *chunk = chunk_new(1);
		struct source source = { .info = { .total_bytes = 100 * MIB } };
		struct conversion c = { .source = &source };
		struct placed_move move = { .logical = cases[i].chunk, .len = MIB };
		struct diag d = { 0 };

		assert_non_null(chunk);
		chunk->logical = GIB;
		chunk->length = MIB;
		chunk->type = BLOCK_GROUP_METADATA;
		chunk_derive(chunk);
		chunk->stripe[0].physical = cases[i].chunk;
		assert_int_equal(chunk_map_new(&c.making.image.layout.chunks), 0);
		assert_int_equal(chunk_map_add(c.making.image.layout.chunks, chunk, &d), 0);
		assert_int_equal(array_push(&c.used.list, cases[i].used), 0);
		assert_int_equal(conversion_judge_writes(&c, &d), cases[i].err);
		chunk_map_free(c.making.image.layout.chunks);
		assert_int_equal(chunk_map_new(&c.making.image.layout.chunks), 0);
		/* Moves may lie over reserved places even less. */
		assert_int_equal(array_push(&c.placed.moves, move), 0);
		assert_int_equal(conversion_judge_writes(&c, &d),
				 cases[i].chunk < 64 * MIB && cases[i].chunk + MIB > 64 * MIB ? -EINVAL : cases[i].err);
		chunk_map_free(c.making.image.layout.chunks);
		array_done(&c.used.list);
		array_done(&c.placed.moves);
	}
}

/* 200,000 gaps, and half of them needed: must not take longer than to look at them. */
static void test_many_gaps(void **state)
{
	struct space_ranges used = { 0 }, overlaid = { 0 };
	struct space_plan plan = {
		.total_bytes = 200 * GIB, .block_bytes = SECTORSIZE_MIN, .used = &used, .overlaid = &overlaid,
		.gap_min_bytes = STRIPE_LEN_BYTES,
	};
	const struct layout_needs needs = {
		.data_profile = profile_by_name("single"),
		.metadata_profile = profile_by_name("single"),
		.system_profile = profile_by_name("single"),
		.style = LAYOUT_EXACT,
		.metadata_bytes = 100000ULL * STRIPE_LEN_BYTES,
		.system_bytes = STRIPE_LEN_BYTES,
	};
	struct layout layout;
	struct diag d = { 0 };

	(void)state;
	for (u64 i = 16; i < 200000; i++)
		assert_int_equal(array_push(&used.list, (struct space_range){ i * 2 * STRIPE_LEN_BYTES, STRIPE_LEN_BYTES }), 0);
	plan.total_bytes = 2 * 200000ULL * STRIPE_LEN_BYTES;
	assert_int_equal(space_plan_make(&plan, &d), 0);
	assert_int_equal(space_plan_layout(&plan, &needs, &layout, &d), 0);
	assert_true(chunk_map_count(layout.chunks) > 200000 + 99900);
	layout_done(&layout);
	space_plan_done(&plan);
	array_done(&used.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_judged),
		cmocka_unit_test(test_many_gaps),
	};

	return cmocka_run_group_tests_name("space plan", tests, NULL, NULL);
}
