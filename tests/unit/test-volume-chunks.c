/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/volume: the profile table, chunk items good and bad, the chunk map, and where logical addresses lie. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/volume/volume.h"

#define CELL (64 * KIB)

/* --- Profiles ------------------------------------------------------------------------------------------------- */

/* As mkfs.btrfs(8) tells it: what a chunk of each profile has on the fewest devices, and on six. */
static const struct expected_profile {
	const char *name;
	u64 bit;
	unsigned copies, parity, devices_min, devices_max, may_be_lost;
	unsigned stripes_of_six, data_of_six; /* stripes of a chunk over six devices, and how many hold different data */
	unsigned mirrors_of_six; /* ways to read */
} expected_profiles[] = {
	{ "single", 0, 1, 0, 1, 1, 0, 1, 1, 1 },
	{ "dup", 1 << 5, 2, 0, 1, 1, 0, 2, 1, 2 },
	{ "raid0", 1 << 3, 1, 0, 1, 0, 0, 6, 6, 1 },
	{ "raid1", 1 << 4, 2, 0, 2, 2, 1, 2, 1, 2 },
	{ "raid1c3", 1 << 9, 3, 0, 3, 3, 2, 3, 1, 3 },
	{ "raid1c4", 1 << 10, 4, 0, 4, 4, 3, 4, 1, 4 },
	{ "raid10", 1 << 6, 2, 0, 2, 0, 1, 6, 3, 2 },
	{ "raid5", 1 << 7, 1, 1, 2, 0, 1, 6, 5, 2 },
	{ "raid6", 1 << 8, 1, 2, 3, 0, 2, 6, 4, 6 },
};

static void the_table_is_as_documented(void **state)
{
	(void)state;
	assert_int_equal(profiles_count, ARRAY_LEN(expected_profiles));
	for (size_t i = 0; i < ARRAY_LEN(expected_profiles); i++) {
		const struct expected_profile *expected = &expected_profiles[i];
		const struct profile *profile = profile_by_name(expected->name);
		u16 stripes = (u16)expected->stripes_of_six;
		u64 data = expected->data_of_six;

		assert_non_null(profile);
		assert_ptr_equal(profile_by_flags(expected->bit), profile);
		assert_ptr_equal(profile_by_flags(expected->bit | BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA), profile);
		assert_int_equal(profile->flag, expected->bit);
		assert_int_equal(profile->copies, expected->copies);
		assert_int_equal(profile->parity, expected->parity);
		assert_int_equal(profile->devs_min, expected->devices_min);
		assert_int_equal(profile->devs_max, expected->devices_max);
		assert_int_equal(profile->tolerated_failures, expected->may_be_lost);
		assert_int_equal(profile_data_stripes(profile, stripes), data);
		assert_int_equal(profile_mirrors(profile, stripes), expected->mirrors_of_six);
		assert_true(profile_stripe_count_is_valid(profile, stripes));
		assert_true(profile_length_is_valid(profile, stripes, data * CELL * 3));
		assert_false(profile_length_is_valid(profile, stripes, 0));
		if (profile->is_striped) {
			assert_false(profile_length_is_valid(profile, stripes, data * CELL + 4096 * data));
			assert_int_equal(profile_length_is_valid(profile, stripes, data * CELL + CELL), data == 1);
		}
	}
	assert_string_equal(profile_by_name("RAID1C3")->name, "raid1c3");
	assert_string_equal(profile_by_name("Single")->name, "single");
	assert_null(profile_by_name("raid7"));
	assert_null(profile_by_name(""));
	assert_null(profile_by_flags(BLOCK_GROUP_RAID1 | BLOCK_GROUP_DUP));
	assert_null(profile_by_flags(BLOCK_GROUP_PROFILE_MASK));
}

/* Stripe counts from 0 to 9 that a chunk may have; one character each. */
static void stripe_counts(void **state)
{
	static const struct {
		const char *name, *valid;
	} counts[] = {
		{ "single", "0100000000" },  { "dup", "0010000000" },	  { "raid0", "0111111111" },
		{ "raid1", "0010000000" },   { "raid1c3", "0001000000" }, { "raid1c4", "0000100000" },
		{ "raid10", "0010101010" },  { "raid5", "0011111111" },	  { "raid6", "0001111111" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		for (u16 n = 0; n < 10; n++)
			assert_int_equal(profile_stripe_count_is_valid(profile_by_name(counts[i].name), n),
					 counts[i].valid[n] == '1');
}

/* --- Chunk items ------------------------------------------------------------------------------------------------- */

#define STRIPES_MAX 8

struct item {
	struct key key;
	union {
		struct disk_chunk chunk;
		u8 room[sizeof(struct disk_chunk) + STRIPES_MAX * sizeof(struct disk_stripe)];
	};
};

static u32 item_make(struct item *item, u64 logical, u64 length, u64 type, u16 num_stripes)
{
	memset(item, 0, sizeof(*item));
	item->key = (struct key){ FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, logical };
	le64_put(&item->chunk.length, length);
	le64_put(&item->chunk.owner, EXTENT_TREE_OBJECTID);
	le64_put(&item->chunk.stripe_len, CELL);
	le64_put(&item->chunk.type, type);
	le32_put(&item->chunk.io_align, CELL);
	le32_put(&item->chunk.io_width, CELL);
	le32_put(&item->chunk.sector_size, 4096);
	le16_put(&item->chunk.num_stripes, num_stripes);
	le16_put(&item->chunk.sub_stripes, type & BLOCK_GROUP_RAID10 ? 2 : 1);
	for (u16 i = 0; i < MIN(num_stripes, (u16)STRIPES_MAX); i++) {
		le64_put(&item->chunk.stripe[i].devid, i + 1);
		le64_put(&item->chunk.stripe[i].offset, (i + 1) * MIB);
		memset(item->chunk.stripe[i].dev_uuid, i + 1, UUID_SIZE);
	}
	return (u32)(sizeof(item->chunk) + num_stripes * sizeof(item->chunk.stripe[0]));
}

static void good_items_are_taken_and_given_back(void **state)
{
	struct chunk_map *map;

	(void)state;
	assert_int_equal(chunk_map_new(&map), 0);
	for (size_t i = 0; i < ARRAY_LEN(expected_profiles); i++) {
		u16 stripes = (u16)expected_profiles[i].stripes_of_six;
		u64 length = expected_profiles[i].data_of_six * CELL * 10;
		struct item item;
		struct diag d = { 0 };
		u64 logical = (i + 1) * GIB;
		u32 bytes = item_make(&item, logical, length, BLOCK_GROUP_METADATA | expected_profiles[i].bit, stripes);
		u8 packed[sizeof(item)];
		const struct chunk *chunk;

		assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), 0);
		chunk = chunk_map_find(map, logical);
		assert_non_null(chunk);
		assert_int_equal(chunk->logical, logical);
		assert_int_equal(chunk->length, length);
		assert_int_equal(chunk->stripe_bytes, 10 * CELL);
		assert_int_equal(chunk->num_stripes, stripes);
		for (u16 s = 0; s < stripes; s++) {
			assert_int_equal(chunk->stripe[s].devid, s + 1);
			assert_int_equal(chunk->stripe[s].physical, (s + 1) * MIB);
			assert_int_equal(chunk->stripe[s].dev_uuid[7], s + 1);
		}
		assert_int_equal(chunk_item_pack(chunk, 4096, packed, sizeof(packed)), bytes);
		assert_memory_equal(packed, &item.chunk, bytes);
		assert_int_equal(chunk_item_pack(chunk, 4096, packed, bytes), bytes);
		assert_int_equal(chunk_item_pack(chunk, 4096, packed, bytes - 1), 0);
		/* once more: the superblock's array and the chunk tree both have it */
		assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), 0);
		assert_int_equal(chunk_map_count(map), i + 1);
		le64_put(&item.chunk.stripe[0].offset, 9 * MIB);
		assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), -EUCLEAN);
		assert_non_null(strstr(d.text, "overlaps"));
	}
	chunk_map_free(map);
}

static const struct bad_item {
	const char *rule;
	u64 logical, length, type;
	u16 num_stripes;
	s32 bytes_more; /* than the stripes need */
	const char *says;
} bad_items[] = {
	{ "no stripes", GIB, MIB, 1, 0, 0, "for 0 stripes" },
	{ "shorter than its head", GIB, MIB, 1, 0, -1, "item of 47 bytes" },
	{ "shorter than its stripes", GIB, MIB, 1 | 1 << 4, 2, -1, "item of 111 bytes for 2 stripes" },
	{ "longer than its stripes", GIB, MIB, 1, 1, 32, "item of 112 bytes for 1 stripes" },
	{ "between sectors", GIB + 512, MIB, 1, 1, 0, "chunk 1073742336: " },
	{ "of length 0", GIB, 0, 1, 1, 0, "impossible length 0" },
	{ "of half a sector", GIB, MIB + 2048, 1, 1, 0, "impossible length 1050624" },
	{ "that wraps around", GIB, (u64)-4096, 1, 1, 0, "impossible length 18446744073709547520" },
	{ "of no type", GIB, MIB, 1 << 5, 2, 0, "impossible type 0x20" },
	{ "of system and data", GIB, MIB, 3, 1, 0, "impossible type 0x3" },
	{ "of system and metadata", GIB, MIB, 6, 1, 0, "impossible type 0x6" },
	{ "of two profiles", GIB, MIB, 1 | 1 << 3 | 1 << 4, 2, 0, "impossible type 0x19" },
	{ "of an unknown profile", GIB, MIB, 1 | 1 << 13, 1, 0, "impossible type 0x2001" },
	{ "remapped", GIB, MIB, 1 | 1 << 11, 1, 0, "impossible type 0x801" },
	{ "with a flag that is only in memory", GIB, MIB, 1 | 1ULL << 48, 1, 0, "impossible type 0x1000000000001" },
	{ "single with 2 stripes", GIB, MIB, 1, 2, 0, "single with 2 stripes" },
	{ "DUP with 1 stripe", GIB, MIB, 1 | 1 << 5, 1, 0, "DUP with 1 stripes" },
	{ "RAID1 with 3 stripes", GIB, MIB, 1 | 1 << 4, 3, 0, "RAID1 with 3 stripes" },
	{ "RAID1C3 with 2 stripes", GIB, MIB, 1 | 1 << 9, 2, 0, "RAID1C3 with 2 stripes" },
	{ "RAID1C4 with 3 stripes", GIB, MIB, 1 | 1 << 10, 3, 0, "RAID1C4 with 3 stripes" },
	{ "RAID10 with 3 stripes", GIB, MIB, 1 | 1 << 6, 3, 0, "RAID10 with 3 stripes" },
	{ "RAID5 with 1 stripe", GIB, MIB, 1 | 1 << 7, 1, 0, "RAID5 with 1 stripes" },
	{ "RAID6 with 2 stripes", GIB, MIB, 1 | 1 << 8, 2, 0, "RAID6 with 2 stripes" },
	{ "RAID0 of part of a row", GIB, 3 * CELL, 1 | 1 << 3, 2, 0, "length 196608 does not divide" },
	{ "RAID0 of rows that are too short", GIB, 2 * CELL + 8192, 1 | 1 << 3, 2, 0, "length 139264 does not divide" },
	{ "RAID5 of part of a row", GIB, 2 * CELL, 1 | 1 << 7, 4, 0, "length 131072 does not divide" },
	{ "RAID6 of part of a row", GIB, CELL, 1 | 1 << 8, 4, 0, "length 65536 does not divide" },
};

static void bad_items_are_refused(void **state)
{
	struct chunk_map *map;

	(void)state;
	assert_int_equal(chunk_map_new(&map), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad_items); i++) {
		const struct bad_item *bad = &bad_items[i];
		struct diag d = { 0 };
		struct item item;
		u32 bytes = item_make(&item, bad->logical, bad->length, bad->type, bad->num_stripes);

		if (chunk_map_add_item(map, &item.key, &item.chunk, (u32)((s32)bytes + bad->bytes_more), 4096, &d) !=
		    -EUCLEAN)
			fail_msg("chunk %s is not refused", bad->rule);
		if (!strstr(d.text, "chunk ") || !strstr(d.text, bad->says))
			fail_msg("chunk %s: \"%s\" does not say \"%s\"", bad->rule, d.text, bad->says);
	}
	assert_int_equal(chunk_map_count(map), 0);
	chunk_map_free(map);
}

static void bad_stripes_are_refused(void **state)
{
	struct chunk_map *map;
	struct diag d = { 0 };
	struct item item;
	u32 bytes = item_make(&item, GIB, 4 * CELL, BLOCK_GROUP_DATA | BLOCK_GROUP_RAID10, 4);

	(void)state;
	assert_int_equal(chunk_map_new(&map), 0);
	le64_put(&item.chunk.stripe[3].offset, MIB + 512);
	assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), -EUCLEAN);
	assert_string_equal(d.text, "chunk 1073741824: stripe 3 at 1049088");
	le64_put(&item.chunk.stripe[3].offset, (u64)-CELL);
	assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), -EUCLEAN);
	le64_put(&item.chunk.stripe[3].offset, MIB);
	le64_put(&item.chunk.stripe_len, 128 * KIB);
	assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "stripe length 131072, expected 65536"));
	le64_put(&item.chunk.stripe_len, CELL);
	le16_put(&item.chunk.sub_stripes, 1);
	assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "RAID10 with 1 sub-stripes"));
	le16_put(&item.chunk.sub_stripes, 2);
	assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), 0);
	chunk_map_free(map);
}

/* --- The map ----------------------------------------------------------------------------------------------------- */

static int add(struct chunk_map *map, u64 logical, u64 length, struct diag *d)
{
	struct item item;
	u32 bytes = item_make(&item, logical, length, BLOCK_GROUP_DATA, 1);

	return chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, d);
}

static void chunks_are_found_and_never_overlap(void **state)
{
	/* in no order; [10, 12), [20, 30), [30, 31), [40, 41) MiB */
	static const u64 at[][2] = { { 30, 1 }, { 10, 2 }, { 40, 1 }, { 20, 10 } };
	static const u64 over[][2] = { { 9, 2 }, { 11, 1 }, { 11, 2 }, { 19, 20 }, { 25, 1 }, { 29, 2 }, { 40, 2 }, { 0, 100 },
				       { 10, 1 }, { 20, 11 } };
	struct chunk_map *map;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(chunk_map_new(&map), 0);
	assert_null(chunk_map_find(map, 0));
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		assert_int_equal(add(map, at[i][0] * MIB, at[i][1] * MIB, &d), 0);
	for (size_t i = 0; i < ARRAY_LEN(over); i++) {
		assert_int_equal(add(map, over[i][0] * MIB, over[i][1] * MIB, &d), -EUCLEAN);
		assert_non_null(strstr(d.text, "overlaps chunk"));
	}
	assert_int_equal(chunk_map_count(map), 4);
	for (size_t i = 0; i + 1 < 4; i++)
		assert_true(chunk_map_at(map, i)->logical < chunk_map_at(map, i + 1)->logical);
	for (u64 logical = 0; logical < 50 * MIB; logical += MIB / 2) {
		const struct chunk *found = chunk_map_find(map, logical);
		u64 start = UINT64_MAX;

		for (size_t i = 0; i < ARRAY_LEN(at); i++)
			if (logical >= at[i][0] * MIB && logical < (at[i][0] + at[i][1]) * MIB)
				start = at[i][0] * MIB;
		if (start == UINT64_MAX)
			assert_null(found);
		else
			assert_int_equal(found->logical, start);
	}
	assert_int_equal(chunk_map_find(map, 12 * MIB - 1)->logical, 10 * MIB);
	assert_null(chunk_map_find(map, 12 * MIB));
	assert_null(chunk_map_find(map, UINT64_MAX));
	chunk_map_free(map);
	chunk_map_free(NULL);
}

/* --- Where bytes lie ------------------------------------------------------------------------------------------------ */

struct expected_place {
	unsigned stripe;
	u64 within; /* the stripe */
	u64 left; /* bytes that follow there */
};

/* By the words of the documentation, for each profile on its own. */
static struct expected_place expect_place(const char *name, u64 offset, u64 length, unsigned n, unsigned mirror)
{
	u64 cell = offset / CELL, rest = offset % CELL;
	struct expected_place place = { .left = CELL - rest };

	if (strcmp(name, "raid0") == 0) {
		place.stripe = (unsigned)(cell % n);
		place.within = cell / n * CELL + rest;
	} else if (strcmp(name, "raid10") == 0) {
		/* pairs of neighbours hold the same */
		place.stripe = (unsigned)(cell % (n / 2) * 2 + mirror - 1);
		place.within = cell / (n / 2) * CELL + rest;
	} else if (strcmp(name, "raid5") == 0 || strcmp(name, "raid6") == 0) {
		u64 data = name[4] == '5' ? n - 1 : n - 2, row = cell / data;

		/* each row begins one stripe further than the one before it */
		place.stripe = (unsigned)((cell % data + row) % n);
		place.within = row * CELL + rest;
	} else {
		place.stripe = mirror - 1;
		place.within = offset;
		place.left = length - offset;
	}
	return place;
}

static void check_mapping(const struct chunk_map *map, const struct expected_profile *profile, u16 n, u64 logical,
			  u64 length)
{
	for (u64 offset = 0; offset < length; offset += offset % CELL ? CELL - 4096 - 1 : 4097)
		for (unsigned mirror = 1; mirror <= profile->copies; mirror++) {
			struct expected_place place = expect_place(profile->name, offset, length, n, mirror);
			struct physical_part part;

			assert_int_equal(volume_map(map, logical + offset, UINT64_MAX, mirror, &part), 0);
			assert_int_equal(part.logical, logical + offset);
			assert_int_equal(part.devid, place.stripe + 1);
			assert_int_equal(part.physical, (place.stripe + 1) * MIB + place.within);
			assert_int_equal(part.len, place.left);
			assert_int_equal(volume_map(map, logical + offset, 1, mirror, &part), 0);
			assert_int_equal(part.len, 1);
		}
}

static void addresses_of_every_profile(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected_profiles); i++)
		for (u16 n = 1; n <= STRIPES_MAX; n++) {
			const struct expected_profile *profile = &expected_profiles[i];
			const struct profile *row = profile_by_name(profile->name);
			struct chunk_map *map;
			struct physical_part part;
			struct item item;
			u64 length;

			if (!profile_stripe_count_is_valid(row, n))
				continue;
			length = profile_data_stripes(row, n) * CELL * 11;
			assert_int_equal(chunk_map_new(&map), 0);
			assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk,
							    item_make(&item, 5 * GIB, length, BLOCK_GROUP_DATA | profile->bit, n),
							    4096, NULL), 0);
			check_mapping(map, profile, n, 5 * GIB, length);
			assert_int_equal(volume_map(map, 5 * GIB - 1, 1, 1, &part), -ENOENT);
			assert_int_equal(volume_map(map, 5 * GIB + length, 1, 1, &part), -ENOENT);
			assert_int_equal(volume_map(map, 5 * GIB, 1, 0, &part), -EINVAL);
			assert_int_equal(volume_map(map, 5 * GIB, 1, profile->copies + 1, &part), -EINVAL);
			chunk_map_free(map);
		}
}

/* --- The superblock's array ------------------------------------------------------------------------------------------ */

static void system_chunks_in_the_superblock(void **state)
{
	struct disk_super super = { 0 };
	struct chunk_map *map, *back;
	struct diag d = { 0 };
	struct item item;

	(void)state;
	le32_put(&super.sectorsize, 4096);
	assert_int_equal(chunk_map_new(&map), 0);
	for (u64 i = 0; i < 18; i++) {
		u64 type = i % 3 == 1 ? BLOCK_GROUP_DATA : BLOCK_GROUP_SYSTEM | BLOCK_GROUP_RAID1;
		u32 bytes = item_make(&item, (i + 1) * MIB, MIB, type, i % 3 == 1 ? 1 : 2);

		assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), 0);
	}
	assert_int_equal(sys_chunk_array_write(map, &super, &d), 0);
	assert_int_equal(le32_get(super.sys_chunk_array_size), 12 * (17 + 48 + 64));
	assert_int_equal(chunk_map_new(&back), 0);
	assert_int_equal(sys_chunk_array_read(back, &super, &d), 0);
	assert_int_equal(chunk_map_count(back), 12);
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(chunk_map_at(back, i)->type, BLOCK_GROUP_SYSTEM | BLOCK_GROUP_RAID1);
	chunk_map_free(back);

	/* 15 of them fit, 16 do not */
	for (u64 i = 18; i < 22; i++) {
		u32 bytes = item_make(&item, (i + 1) * MIB, MIB, BLOCK_GROUP_SYSTEM | BLOCK_GROUP_RAID1, 2);

		assert_int_equal(chunk_map_add_item(map, &item.key, &item.chunk, bytes, 4096, &d), 0);
		assert_int_equal(sys_chunk_array_write(map, &super, &d), i < 21 ? 0 : -ENOSPC);
	}
	chunk_map_free(map);
}

static void bad_arrays_are_refused(void **state)
{
	static const struct {
		u32 at, width;
		u64 value;
		u32 size;
		const char *says;
	} bad[] = {
		{ 0, 0, 0, 2049, "sys_chunk_array of 2049 bytes" },
		{ 0, 0, 0, 96, "ends within an entry" },
		{ 0, 0, 0, 16, "ends within an entry" },
		{ 0, 0, 0, 97 + 20, "ends within an entry" },
		{ 0, 8, 257, 97, "a key of type 228" },
		{ 8, 1, DEV_ITEM_KEY, 97, "a key of type 216" },
		{ 17 + offsetof(struct disk_chunk, num_stripes), 2, 2, 97, "ends within an entry" },
		{ 17 + offsetof(struct disk_chunk, num_stripes), 2, 65535, 97, "ends within an entry" },
		{ 17 + offsetof(struct disk_chunk, num_stripes), 2, 0, 97, "sys_chunk_array: chunk 1048576: item of 48 bytes" },
		{ 17 + offsetof(struct disk_chunk, length), 8, 0, 97, "sys_chunk_array: chunk 1048576: impossible length" },
		{ 17 + offsetof(struct disk_chunk, type), 8, BLOCK_GROUP_DATA, 97, "sys_chunk_array has chunk 1048576 of type 0x1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct disk_super super = { 0 };
		struct chunk_map *map;
		struct diag d = { 0 };
		struct item item;

		(void)item_make(&item, MIB, MIB, BLOCK_GROUP_SYSTEM, 1);
		le32_put(&super.sectorsize, 4096);
		key_pack((struct disk_key *)super.sys_chunk_array, &item.key);
		memcpy(super.sys_chunk_array + 17, &item.chunk, 80);
		le32_put(&super.sys_chunk_array_size, 97);
		assert_int_equal(chunk_map_new(&map), 0);
		assert_int_equal(sys_chunk_array_read(map, &super, &d), 0);
		chunk_map_free(map);
		for (u32 b = 0; b < bad[i].width; b++)
			super.sys_chunk_array[bad[i].at + b] = (u8)(bad[i].value >> 8 * b);
		le32_put(&super.sys_chunk_array_size, bad[i].size);
		assert_int_equal(chunk_map_new(&map), 0);
		assert_int_equal(sys_chunk_array_read(map, &super, &d), -EUCLEAN);
		if (!strstr(d.text, bad[i].says))
			fail_msg("\"%s\" does not say \"%s\"", d.text, bad[i].says);
		chunk_map_free(map);
	}
}

/* --- What lies on superblock mirrors ----------------------------------------------------------------------------------- */

/* Mark by hand which 4 KiB of a chunk have any copy, or parity's row, within 64 KiB from a mirror; compare. */
static void check_reserved(const struct chunk *chunk)
{
	static const u64 mirrors[] = { 64 * KIB, 64 * MIB, 256 * GIB };
	struct logical_range ranges[CHUNK_RESERVED_MAX(STRIPES_MAX)];
	size_t nr = chunk_reserved_ranges(chunk, ranges, ARRAY_LEN(ranges));
	u64 row_bytes = chunk->profile->is_striped ? chunk->length / (chunk->stripe_bytes / CELL) : 0;

	for (size_t i = 0; i < nr; i++) {
		assert_true(ranges[i].len > 0 && ranges[i].logical >= chunk->logical);
		assert_true(ranges[i].logical + ranges[i].len <= chunk->logical + chunk->length);
		assert_true(i == 0 || ranges[i - 1].logical + ranges[i - 1].len < ranges[i].logical);
	}
	for (u64 offset = 0; offset < chunk->length; offset += 4096) {
		u64 from = row_bytes ? offset / row_bytes * CELL : offset, to = row_bytes ? from + CELL : from + 4096;
		bool is_reserved = false, is_told = false;

		for (u16 s = 0; s < chunk->num_stripes; s++)
			for (size_t m = 0; m < ARRAY_LEN(mirrors); m++)
				is_reserved |= chunk->stripe[s].physical + from < mirrors[m] + 64 * KIB &&
					       chunk->stripe[s].physical + to > mirrors[m];
		for (size_t i = 0; i < nr; i++)
			is_told |= chunk->logical + offset >= ranges[i].logical &&
				   chunk->logical + offset < ranges[i].logical + ranges[i].len;
		assert_int_equal(is_told, is_reserved);
	}
}

static void places_of_superblock_mirrors_are_reserved(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected_profiles); i++)
		for (u64 shift = 0; shift < 3 * CELL; shift += 12 * KIB) {
			u16 n = (u16)expected_profiles[i].stripes_of_six;
			struct chunk *chunk = chunk_new(n);

			chunk->logical = 10 * GIB;
			chunk->length = expected_profiles[i].data_of_six * CELL * 20;
			chunk->type = BLOCK_GROUP_DATA | expected_profiles[i].bit;
			for (u16 s = 0; s < n; s++)
				chunk->stripe[s].physical = (s % 3 == 2 ? 256 * GIB : 64 * MIB) - CELL * s - shift;
			chunk->stripe[0].physical = shift; /* the first mirror lies where no chunk may, but ask */
			chunk_derive(chunk);
			check_reserved(chunk);
			free(chunk);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_as_documented),
		cmocka_unit_test(stripe_counts),
		cmocka_unit_test(good_items_are_taken_and_given_back),
		cmocka_unit_test(bad_items_are_refused),
		cmocka_unit_test(bad_stripes_are_refused),
		cmocka_unit_test(chunks_are_found_and_never_overlap),
		cmocka_unit_test(addresses_of_every_profile),
		cmocka_unit_test(system_chunks_in_the_superblock),
		cmocka_unit_test(bad_arrays_are_refused),
		cmocka_unit_test(places_of_superblock_mirrors_are_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
