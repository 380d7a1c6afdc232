/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/space: used ranges of the logical address space, and where they lie on devices of every profile. */
#include "kernel-shared/space/used_ranges.h"
#include "tests/unit/memory_volume.h"

#define SECTOR 4096
#define NODESIZE 16384

/* --- On devices ----------------------------------------------------------------------------------------------- */

static const struct shape {
	const char *profile;
	u16 num_stripes;
	u64 length;
} shapes[] = {
	{ "single", 1, MIB },		  { "dup", 2, 200 * KIB },	  { "raid0", 1, 4 * 64 * KIB },
	{ "raid0", 3, 12 * 64 * KIB },	  { "raid1", 2, 512 * KIB },	  { "raid1c3", 3, 256 * KIB },
	{ "raid1c4", 4, 256 * KIB },	  { "raid10", 4, 8 * 64 * KIB },  { "raid10", 6, 12 * 64 * KIB },
	{ "raid5", 2, 5 * 64 * KIB },	  { "raid5", 4, 12 * 64 * KIB },  { "raid6", 3, 4 * 64 * KIB },
	{ "raid6", 5, 12 * 64 * KIB },
};

/* A sector of a device: [device][physical / SECTOR]. */
static bool expected[MEMORY_STRIPES_MAX + 1][32 * MIB / SECTOR];
static bool told[MEMORY_STRIPES_MAX + 1][32 * MIB / SECTOR];

static void expect_sector(const struct memory_volume *memory, u64 logical)
{
	const struct chunk *chunk = memory->chunk;

	for (unsigned mirror = 1; mirror <= chunk->profile->copies && !chunk->profile->parity; mirror++) {
		struct physical_part part;

		assert_int_equal(volume_map(memory->volume->chunks, logical, SECTOR, mirror, &part), 0);
		expected[part.devid][part.physical / SECTOR] = true;
	}
	for (u16 s = 0; s < chunk->num_stripes && chunk->profile->parity; s++) {
		u64 row_bytes = (chunk->num_stripes - chunk->profile->parity) * STRIPE_LEN_BYTES;
		u64 row = (logical - chunk->logical) / row_bytes;

		for (u64 at = 0; at < STRIPE_LEN_BYTES; at += SECTOR)
			expected[chunk->stripe[s].devid][(chunk->stripe[s].physical + row * STRIPE_LEN_BYTES + at) / SECTOR] = true;
	}
}

static void tell(u64 devid, struct device_ranges *ranges)
{
	device_ranges_merge(ranges);
	for (size_t i = 0; i < ranges->list.len; i++) {
		const struct device_range *range = &ranges->list.items[i];

		assert_int_equal(range->kinds, BLOCK_GROUP_DATA);
		assert_true(range->len > 0);
		if (i)
			assert_true(range[-1].physical + range[-1].len < range->physical);
		for (u64 at = 0; at < range->len; at += SECTOR)
			told[devid][(range->physical + at) / SECTOR] = true;
	}
}

static void places_on_devices_are_those_of_the_mapping(void **state)
{
	u64 seed = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		for (unsigned turn = 0; turn < 20; turn++) {
			struct device_ranges ranges[MEMORY_STRIPES_MAX + 1] = { 0 };
			struct memory_volume memory;
			u64 logical = MEMORY_VOLUME_LOGICAL;

			memset(expected, 0, sizeof(expected));
			memset(told, 0, sizeof(told));
			memory_volume_make(&memory, shapes[i].profile, shapes[i].num_stripes, shapes[i].length);
			while (logical < MEMORY_VOLUME_LOGICAL + shapes[i].length) {
				u64 left = (MEMORY_VOLUME_LOGICAL + shapes[i].length - logical) / SECTOR;
				u64 len = MIN(next_number(&seed) % (turn < 10 ? 3 : 60) + 1, left) * SECTOR;
				const struct used_range range = { logical, len, memory.chunk };

				for (u64 at = 0; at < len; at += SECTOR)
					expect_sector(&memory, logical + at);
				for (u64 devid = 1; devid <= MEMORY_STRIPES_MAX; devid++)
					assert_int_equal(used_range_on_device(&range, devid, &ranges[devid]), 0);
				logical += len + next_number(&seed) % (turn % 2 ? 3 : 40) * SECTOR;
			}
			for (u64 devid = 1; devid <= MEMORY_STRIPES_MAX; devid++) {
				tell(devid, &ranges[devid]);
				array_done(&ranges[devid].list);
			}
			assert_memory_equal(told, expected, sizeof(expected));
			memory_volume_done(&memory);
		}
}

static void ranges_that_touch_are_merged(void **state)
{
	static const struct device_range unsorted[] = {
		{ 100, 50, 1 }, { 300, 10, 2 }, { 150, 50, 4 }, { 120, 10, 2 }, { 305, 50, 1 }, { 10, 5, 1 }, { 201, 1, 1 },
	};
	static const struct device_range merged[] = { { 10, 5, 1 }, { 100, 100, 7 }, { 201, 1, 1 }, { 300, 55, 3 } };
	struct device_ranges ranges = { 0 };

	(void)state;
	device_ranges_merge(&ranges);
	for (size_t i = 0; i < ARRAY_LEN(unsorted); i++)
		assert_int_equal(array_push(&ranges.list, unsorted[i]), 0);
	device_ranges_merge(&ranges);
	assert_int_equal(ranges.list.len, ARRAY_LEN(merged));
	assert_memory_equal(ranges.list.items, merged, sizeof(merged));
	array_done(&ranges.list);
}

/* --- From an extent tree ------------------------------------------------------------------------------------------- */

/* Two chunks, one right behind the other; a tree of one leaf, with extents at these sectors, lies in the first. */
struct extents {
	struct memory_volume memory;
	struct block_cache *cache;
	struct tree tree;
};

static const u8 fsid[UUID_SIZE] = "a filesystem id";

static void extents_make(struct extents *extents, const u64 (*sectors)[2], size_t nr)
{
	const struct block_check_params check = { .nodesize = NODESIZE, .sectorsize = SECTOR, .csum_size_bytes = 4 };
	const struct csum_kind *csum = csum_kind_by_type(CSUM_TYPE_CRC32C);
	struct block_identity id = { .nodesize = NODESIZE, .generation = 5 };
	struct chunk *second = chunk_new(1);
	u8 leaf[NODESIZE];

	memory_volume_make(&extents->memory, "single", 1, MIB);
	second->logical = MEMORY_VOLUME_LOGICAL + MIB;
	second->length = MIB;
	second->type = BLOCK_GROUP_DATA;
	second->stripe[0] = extents->memory.chunk->stripe[0];
	second->stripe[0].physical += MIB;
	chunk_derive(second);
	assert_int_equal(chunk_map_add(extents->memory.volume->chunks, second, NULL), 0);
	free(second);
	memcpy(id.fsid, fsid, UUID_SIZE);
	block_init(leaf, &id, MEMORY_VOLUME_LOGICAL, EXTENT_TREE_OBJECTID, 0);
	for (size_t i = 0; i < nr; i++) {
		bool is_block = sectors[i][1] == 0;
		const struct key key = { MEMORY_VOLUME_LOGICAL + sectors[i][0] * SECTOR,
					 is_block ? METADATA_ITEM_KEY : EXTENT_ITEM_KEY, sectors[i][1] * SECTOR };
		struct disk_extent_item *item = leaf_append(leaf, NODESIZE, &key, sizeof(*item));

		le64_put(&item->refs, 1);
		le64_put(&item->flags, is_block ? EXTENT_FLAG_TREE_BLOCK : EXTENT_FLAG_DATA);
	}
	block_finish(leaf, NODESIZE, csum);
	assert_int_equal(volume_write(extents->memory.volume, MEMORY_VOLUME_LOGICAL, leaf, NODESIZE, NULL), 0);
	assert_int_equal(block_cache_new(extents->memory.volume, &check, csum, fsid, MIB, &extents->cache), 0);
	extents->tree = (struct tree){ .cache = extents->cache, .id = EXTENT_TREE_OBJECTID, .level = 0,
				       .root_logical = MEMORY_VOLUME_LOGICAL };
}

static void extents_done(struct extents *extents)
{
	block_cache_free(extents->cache);
	memory_volume_done(&extents->memory);
}

struct collected {
	char text[512]; /* "first+count " in sectors */
	int stop_after; /* ranges; 0: never */
};

static int collect(void *ctx, const struct used_range *range, struct diag *d)
{
	struct collected *collected = ctx;
	size_t at = strlen(collected->text);

	(void)d;
	assert_non_null(range->chunk);
	assert_true(range->logical >= range->chunk->logical &&
		    range->logical + range->len <= range->chunk->logical + range->chunk->length);
	snprintf(collected->text + at, sizeof(collected->text) - at, "%u+%u ",
		 (unsigned)((range->logical - MEMORY_VOLUME_LOGICAL) / SECTOR), (unsigned)(range->len / SECTOR));
	return collected->stop_after && --collected->stop_after == 0 ? 77 : 0;
}

/* Data of so many sectors; 0: a tree block, which has four. The chunks meet at sector 256. */
static const u64 some_extents[][2] = { { 0, 0 }, { 4, 2 }, { 6, 1 }, { 10, 5 }, { 250, 6 }, { 256, 1 }, { 300, 0 }, { 304, 2 } };
#define SOME_RANGES "0+7 10+5 250+6 256+1 300+6 "

static void extents_become_ranges(void **state)
{
	struct collected collected = { 0 };
	struct extents extents;

	(void)state;
	extents_make(&extents, some_extents, ARRAY_LEN(some_extents));
	assert_int_equal(used_ranges_walk(&extents.tree, extents.memory.volume->chunks, NULL, collect, &collected, NULL), 0);
	assert_string_equal(collected.text, SOME_RANGES);
	collected = (struct collected){ .stop_after = 2 };
	assert_int_equal(used_ranges_walk(&extents.tree, extents.memory.volume->chunks, NULL, collect, &collected, NULL), 77);
	assert_string_equal(collected.text, "0+7 10+5 ");
	extents_done(&extents);
}

/* What a log has besides: between, within, over and beyond the extents, in any order and more than once. */
static void further_ranges_are_united_with_extents(void **state)
{
	static const struct {
		u64 sectors[4][2];
		const char *ranges;
	} cases[] = {
		{ { { 8, 1 } }, "0+7 8+1 10+5 250+6 256+1 300+6 " },
		{ { { 7, 3 } }, "0+15 250+6 256+1 300+6 " },
		{ { { 12, 1 }, { 0, 4 }, { 0, 4 } }, SOME_RANGES },
		{ { { 12, 8 }, { 18, 4 } }, "0+7 10+12 250+6 256+1 300+6 " },
		{ { { 500, 2 }, { 400, 2 }, { 402, 2 } }, "0+7 10+5 250+6 256+1 300+6 400+4 500+2 " },
		{ { { 249, 7 }, { 256, 50 } }, "0+7 10+5 249+7 256+50 " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct collected collected = { 0 };
		struct more_ranges more = { 0 };
		struct extents extents;

		extents_make(&extents, some_extents, ARRAY_LEN(some_extents));
		for (size_t n = 0; n < 4 && cases[i].sectors[n][1]; n++) {
			const struct used_range range = { .logical = MEMORY_VOLUME_LOGICAL + cases[i].sectors[n][0] * SECTOR,
							  .len = cases[i].sectors[n][1] * SECTOR };

			assert_int_equal(array_push(&more.list, range), 0);
		}
		assert_int_equal(used_ranges_walk(&extents.tree, extents.memory.volume->chunks, &more, collect, &collected, NULL),
				 0);
		assert_string_equal(collected.text, cases[i].ranges);
		array_done(&more.list);
		extents_done(&extents);
	}
}

static void extents_outside_of_chunks_are_refused(void **state)
{
	static const u64 outside[][2][2] = {
		{ { 0, 0 }, { 512, 1 } }, /* behind the last chunk */
		{ { 0, 0 }, { 510, 3 } }, /* out of it */
		{ { 0, 0 }, { 254, 3 } }, /* from one into the other */
		{ { 0, 0 }, { 254, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		struct collected collected = { 0 };
		struct extents extents;
		struct diag d = { 0 };

		extents_make(&extents, outside[i], 2);
		assert_int_equal(used_ranges_walk(&extents.tree, extents.memory.volume->chunks, NULL, collect, &collected, &d),
				 -EUCLEAN);
		assert_non_null(strstr(d.text, "does not lie within a chunk"));
		extents_done(&extents);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_on_devices_are_those_of_the_mapping),
		cmocka_unit_test(ranges_that_touch_are_merged),
		cmocka_unit_test(extents_become_ranges),
		cmocka_unit_test(further_ranges_are_united_with_extents),
		cmocka_unit_test(extents_outside_of_chunks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
