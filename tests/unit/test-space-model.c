/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What moves when a device is emptied or shrinks, planned on layouts that are made up here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/relocate/evacuate.h"
#include "kernel-shared/volume/volume.h"

#define NR_DEVICES 3

static void add_group(struct space_model *model, const struct chunk *chunk, u64 used_bytes)
{
	struct diag d = { 0 };

	if (chunk_map_add(model->chunks, chunk, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(array_push(&model->groups, (struct model_group){ .logical = chunk->logical, .used_bytes = used_bytes }), 0);
}

/* A chunk with stripes on devices 1, 2, ... at @physical, as many as there are before a 0. */
static void add_chunk(struct space_model *model, u64 type, u64 logical, u64 length, u64 used_bytes, const u64 *physical)
{
	struct chunk *chunk;
	u16 nr = 0;

	for (unsigned i = 0; i < NR_DEVICES; i++)
		nr = (u16)(nr + (physical[i] != 0));
	chunk = chunk_new(nr);
	assert_non_null(chunk);
	chunk->logical = logical;
	chunk->length = length;
	chunk->type = type;
	for (u16 i = 0, s = 0; i < NR_DEVICES; i++)
		if (physical[i])
			chunk->stripe[s++] = (struct chunk_stripe){ .devid = i + 1u, .physical = physical[i], .dev_uuid = { (u8)(i + 1) } };
	chunk_derive(chunk);
	add_group(model, chunk, used_bytes);
	free(chunk);
}

static void make_model(struct space_model *model, const u64 *sizes)
{
	*model = (struct space_model){ 0 };
	assert_int_equal(chunk_map_new(&model->chunks), 0);
	for (unsigned i = 0; i < NR_DEVICES && sizes[i]; i++) {
		struct model_device device = { .devid = i + 1, .uuid = { (u8)(i + 1) }, .total_bytes = sizes[i], .end_bytes = sizes[i] };

		assert_int_equal(array_push(&model->devices, device), 0);
	}
}

static const struct chunk *chunk_of(const struct space_model *model, u64 logical)
{
	return chunk_map_find(model->chunks, logical);
}

/* --- One by one ---------------------------------------- */

static void what_reaches_beyond_moves_and_no_more(void **state)
{
	struct space_model model;
	struct diag d = { 0 };

	(void)state;
	make_model(&model, (const u64[]){ 64 * MIB, 0, 0 });
	add_chunk(&model, BLOCK_GROUP_SYSTEM, 1 * MIB, 2 * MIB, 16384, (const u64[]){ 1 * MIB, 0, 0 });
	add_chunk(&model, BLOCK_GROUP_DATA, 16 * MIB, 8 * MIB, 8 * MIB, (const u64[]){ 40 * MIB, 0, 0 });
	assert_int_equal(evacuate_plan(&model, 1, 48 * MIB, NULL, &d), 0);
	assert_int_equal(chunk_of(&model, 16 * MIB)->stripe[0].physical, 40 * MIB);
	assert_int_equal(evacuate_plan(&model, 1, 48 * MIB - 4096, NULL, &d), 0);
	assert_int_equal(chunk_of(&model, 16 * MIB)->stripe[0].physical, 3 * MIB);
	assert_int_equal(chunk_of(&model, 1 * MIB)->stripe[0].physical, 1 * MIB);
	assert_int_equal(space_model_allocated(&model, 1), 10 * MIB);
	assert_int_equal(space_model_end(&model, 1), 11 * MIB);
	space_model_done(&model);
}

static void copies_that_may_stay_do(void **state)
{
	const struct chunk *chunk;
	struct space_model model;
	struct diag d = { 0 };

	(void)state;
	make_model(&model, (const u64[]){ 64 * MIB, 64 * MIB, 64 * MIB });
	add_chunk(&model, BLOCK_GROUP_DATA | BLOCK_GROUP_RAID1, 16 * MIB, 8 * MIB, 8 * MIB, (const u64[]){ 1 * MIB, 9 * MIB, 0 });
	assert_int_equal(evacuate_plan(&model, 1, 0, NULL, &d), 0);
	chunk = chunk_of(&model, 16 * MIB);
	assert_int_equal(chunk->num_stripes, 2);
	assert_int_equal(space_model_allocated(&model, 1), 0);
	assert_int_equal(space_model_allocated(&model, 2), 8 * MIB);
	assert_int_equal(space_model_allocated(&model, 3), 8 * MIB);
	for (u16 s = 0; s < 2; s++)
		assert_int_equal(chunk->stripe[s].physical, chunk->stripe[s].devid == 2 ? 9 * MIB : 1 * MIB);
	space_model_done(&model);
}

static void empty_groups_go_but_the_last_for_data(void **state)
{
	struct space_model model;
	struct diag d = { 0 };

	(void)state;
	make_model(&model, (const u64[]){ 64 * MIB, 0, 0 });
	add_chunk(&model, BLOCK_GROUP_METADATA, 8 * MIB, 4 * MIB, 0, (const u64[]){ 50 * MIB, 0, 0 });
	add_chunk(&model, BLOCK_GROUP_DATA, 16 * MIB, 4 * MIB, 0, (const u64[]){ 40 * MIB, 0, 0 });
	add_chunk(&model, BLOCK_GROUP_DATA, 24 * MIB, 4 * MIB, 0, (const u64[]){ 44 * MIB, 0, 0 });
	assert_int_equal(evacuate_plan(&model, 1, 30 * MIB, NULL, &d), 0);
	assert_null(chunk_of(&model, 8 * MIB));
	assert_null(chunk_of(&model, 16 * MIB));
	assert_non_null(chunk_of(&model, 24 * MIB));
	assert_int_equal(chunk_of(&model, 24 * MIB)->stripe[0].physical, 1 * MIB);
	space_model_done(&model);
}

static void what_has_no_room_is_refused(void **state)
{
	struct space_model model;
	struct diag d = { 0 };

	(void)state;
	make_model(&model, (const u64[]){ 64 * MIB, 8 * MIB, 0 });
	add_chunk(&model, BLOCK_GROUP_DATA, 16 * MIB, 32 * MIB, 30 * MIB, (const u64[]){ 1 * MIB, 0, 0 });
	assert_int_equal(evacuate_plan(&model, 1, 0, NULL, &d), -ENOSPC);
	space_model_done(&model);
	assert_int_equal(evacuate_plan(&model, 9, 0, NULL, &d), -ENOENT);
}

static void profiles_need_devices(void **state)
{
	struct device_set devices = { 0 };
	struct volume volume = { .devices = &devices };
	struct btrkit_fs fs = { .volume = &volume };
	struct space_model model;
	struct diag d = { 0 };

	(void)state;
	make_model(&model, (const u64[]){ 64 * MIB, 64 * MIB, 0 });
	add_chunk(&model, BLOCK_GROUP_DATA | BLOCK_GROUP_RAID1, 16 * MIB, 8 * MIB, 0, (const u64[]){ 1 * MIB, 1 * MIB, 0 });
	volume.chunks = model.chunks;
	assert_int_equal(judge_profiles(&fs, 2, &d), 0);
	assert_int_equal(judge_profiles(&fs, 1, &d), -EINVAL);
	assert_non_null(strstr(d.text, "data is RAID1, which needs 2 devices; 1 would be left"));
	assert_non_null(strstr(d.text, "-dconvert="));
	space_model_done(&model);
}

/* --- The least ---------------------------------------- */

static u64 next_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

/* Chunks with gaps between them, some empty, most full. */
static void make_random(struct space_model *model, u64 *seed)
{
	u64 at = 1 * MIB, logical = 1 * MIB;

	make_model(model, (const u64[]){ 64 * MIB, 0, 0 });
	while (at < 40 * MIB) {
		u64 length = (1 + next_random(seed) % 64) * STRIPE_LEN_BYTES;
		u64 used = next_random(seed) % 4 ? length : 0;

		add_chunk(model, BLOCK_GROUP_METADATA, logical, length, used, (const u64[]){ at, 0, 0 });
		logical += length;
		at += length + next_random(seed) % 32 * STRIPE_LEN_BYTES;
	}
}

static bool fits(const struct space_model *model, u64 end_bytes)
{
	struct space_model trial;
	struct diag d = { 0 };
	bool is_enough;

	assert_int_equal(space_model_copy(model, &trial, &d), 0);
	is_enough = evacuate_plan(&trial, 1, end_bytes, NULL, &d) == 0;
	if (is_enough)
		assert_true(space_model_end(&trial, 1) <= end_bytes);
	space_model_done(&trial);
	return is_enough;
}

static void the_least_can_be_reached_and_one_less_cannot(void **state)
{
	u64 seed = 6;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct space_model model;
		struct diag d = { 0 };
		u64 least = 0;

		make_random(&model, &seed);
		assert_int_equal(evacuate_minimum(&model, 1, &least, &d), 0);
		assert_true(fits(&model, least));
		if (fits(&model, least - STRIPE_LEN_BYTES))
			fail_msg("layout %u: %llu is not the least", i, (unsigned long long)least);
		space_model_done(&model);
	}
}

/* Chunks of two kinds, filled in part, and some empty. */
static void make_half_full(struct space_model *model, u64 *seed)
{
	u64 at = 1 * MIB, logical = 1 * MIB;

	make_model(model, (const u64[]){ 128 * MIB, 0, 0 });
	while (at < 100 * MIB) {
		u64 type = next_random(seed) % 3 ? BLOCK_GROUP_DATA : BLOCK_GROUP_METADATA;
		u64 length = (16 + next_random(seed) % 112) * STRIPE_LEN_BYTES;
		u64 used = next_random(seed) % 4 ? next_random(seed) % (length / 4096) * 4096 : 0;

		add_chunk(model, type, logical, length, used, (const u64[]){ at, 0, 0 });
		logical += length;
		at += length + next_random(seed) % 32 * STRIPE_LEN_BYTES;
	}
}

/* Of chunks that there are. */
static u64 used_bytes(struct space_model *model, u64 type)
{
	u64 bytes = 0;

	array_for_each (&model->groups, group) {
		const struct chunk *chunk = chunk_of(model, group->logical);

		assert_non_null(chunk);
		assert_true(group->used_bytes <= chunk->length);
		bytes += chunk->type == type ? group->used_bytes : 0;
	}
	return bytes;
}

static void what_is_scattered_is_somewhere_else(void **state)
{
	u64 seed = 7;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct space_model model;
		struct diag d = { 0 };
		u64 least = 0, data, metadata;

		make_half_full(&model, &seed);
		data = used_bytes(&model, BLOCK_GROUP_DATA);
		metadata = used_bytes(&model, BLOCK_GROUP_METADATA);
		assert_int_equal(evacuate_minimum(&model, 1, &least, &d), 0);
		assert_int_equal(evacuate_plan(&model, 1, least, NULL, &d), 0);
		assert_int_equal(used_bytes(&model, BLOCK_GROUP_DATA), data);
		assert_int_equal(used_bytes(&model, BLOCK_GROUP_METADATA), metadata);
		space_model_done(&model);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_reaches_beyond_moves_and_no_more), cmocka_unit_test(copies_that_may_stay_do),
		cmocka_unit_test(empty_groups_go_but_the_last_for_data), cmocka_unit_test(what_has_no_room_is_refused),
		cmocka_unit_test(profiles_need_devices), cmocka_unit_test(the_least_can_be_reached_and_one_less_cannot),
		cmocka_unit_test(what_is_scattered_is_somewhere_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
