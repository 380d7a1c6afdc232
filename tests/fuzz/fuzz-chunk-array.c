/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks: the superblock's array and chunk items become a map, which then answers for every address.
 *
 * Input: a byte that chooses the sectorsize, le16 length of the array, the array; then chunk items: le64 logical, le16
 * length, bytes.
 */
#include "kernel-shared/device/super.h"
#include "kernel-shared/space/used_ranges.h"
#include "kernel-shared/volume/volume.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/images.h"

const char fuzz_name[] = "fuzz-chunk-array";
const unsigned fuzz_iterations = 30000;
const size_t fuzz_input_max = 16384;

#define ITEM_MAX 8192

static void read_items(struct fuzz_input *input, struct chunk_map *map, u32 sectorsize)
{
	u8 *item = malloc(ITEM_MAX);

	fuzz_require(item);
	while (input->left) {
		const struct key key = { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, fuzz_take_u64(input) };
		u32 bytes = fuzz_take_u16(input) % ITEM_MAX;
		struct diag d = { 0 };
		int err;

		fuzz_take(input, item, bytes);
		/* In a block of its own size, so that a read behind it is seen. */
		u8 *exact = malloc(bytes ? bytes : 1);

		fuzz_require(exact);
		memcpy(exact, item, bytes);
		err = chunk_map_add_item(map, &key, exact, bytes, sectorsize, &d);
		fuzz_require(err == 0 || (err == d.err && d.text[0]));
		free(exact);
	}
	free(item);
}

/* Every mapped byte lies on a stripe of the chunk; @last is inside the chunk. */
static void check_place(const struct chunk_map *map, const struct chunk *chunk, u64 logical, u64 len)
{
	for (unsigned mirror = 1; mirror <= chunk->profile->copies; mirror++) {
		struct physical_part part;
		bool is_on_stripe = false;

		fuzz_require(volume_map(map, logical, len, mirror, &part) == 0);
		fuzz_require(part.logical == logical && part.len > 0 && part.len <= len);
		fuzz_require(part.len <= chunk->length - (logical - chunk->logical));
		for (u16 i = 0; i < chunk->num_stripes; i++)
			is_on_stripe |= chunk->stripe[i].devid == part.devid && part.physical >= chunk->stripe[i].physical &&
					part.physical + part.len >= part.physical;
		fuzz_require(is_on_stripe);
	}
}

static void check_used(const struct chunk *chunk, u64 logical, u64 len)
{
	const struct used_range range = { logical, len, chunk };
	struct device_ranges ranges = { 0 };

	fuzz_require(used_range_on_device(&range, chunk->stripe[0].devid, &ranges) == 0);
	device_ranges_merge(&ranges);
	for (size_t i = 0; i < ranges.list.len; i++) {
		const struct device_range *at = &ranges.list.items[i];

		fuzz_require(at->len > 0 && at->physical + at->len > at->physical);
		fuzz_require(i == 0 || at[-1].physical + at[-1].len < at->physical);
	}
	array_done(&ranges.list);
}

static void check_reserved(const struct chunk *chunk)
{
	size_t cap = CHUNK_RESERVED_MAX(chunk->num_stripes), count;
	struct logical_range *ranges = calloc(cap, sizeof(*ranges));

	fuzz_require(ranges);
	count = chunk_reserved_ranges(chunk, ranges, cap);
	fuzz_require(count <= cap);
	for (size_t i = 0; i < count; i++) {
		fuzz_require(ranges[i].len > 0 && ranges[i].logical >= chunk->logical);
		fuzz_require(i == 0 || ranges[i - 1].logical + ranges[i - 1].len < ranges[i].logical);
	}
	free(ranges);
}

/* What was accepted can be packed, and is the same when it is read again. */
static void check_repack(struct chunk_map *map, const struct chunk *chunk, u32 sectorsize)
{
	const struct key key = { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, chunk->logical };
	size_t cap = sizeof(struct disk_chunk) + chunk->num_stripes * sizeof(struct disk_stripe);
	u8 *item = malloc(cap);
	size_t count = chunk_map_count(map);

	fuzz_require(item);
	fuzz_require(chunk_item_pack(chunk, sectorsize, item, cap) == cap);
	fuzz_require(chunk_item_pack(chunk, sectorsize, item, cap - 1) == 0);
	fuzz_require(chunk_map_add_item(map, &key, item, (u32)cap, sectorsize, NULL) == 0);
	fuzz_require(chunk_map_count(map) == count);
	free(item);
}

static void check_map(struct chunk_map *map, u32 sectorsize)
{
	u64 end = 0;

	for (size_t i = 0; i < chunk_map_count(map); i++) {
		const struct chunk *chunk = chunk_map_at(map, i);
		u64 last = chunk->logical + chunk->length - 1;

		fuzz_require(i == 0 || chunk->logical >= end);
		end = chunk->logical + chunk->length;
		fuzz_require(chunk_map_find(map, chunk->logical) == chunk);
		fuzz_require(chunk_map_find(map, last) == chunk);
		fuzz_require(chunk_map_find(map, end) != chunk);
		check_place(map, chunk, chunk->logical, chunk->length);
		check_place(map, chunk, chunk->logical + chunk->length / 2, chunk->length);
		check_place(map, chunk, last, 1);
		check_place(map, chunk, last, 65536);
		check_used(chunk, chunk->logical, chunk->length);
		check_used(chunk, chunk->logical + chunk->length / 2, chunk->length - chunk->length / 2);
		check_used(chunk, last, 1);
		check_reserved(chunk);
		check_repack(map, chunk, sectorsize);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct disk_super super = { 0 };
	struct disk_super again = { 0 };
	u32 sectorsize = 4096U << fuzz_take_u8(&input) % 5;
	u32 array_bytes = fuzz_take_u16(&input);
	struct chunk_map *map;
	struct diag d = { 0 };
	int err;

	fuzz_require(chunk_map_new(&map) == 0);
	le32_put(&super.sectorsize, sectorsize);
	le32_put(&super.sys_chunk_array_size, array_bytes);
	fuzz_take(&input, super.sys_chunk_array, MIN(array_bytes, (u32)SYSTEM_CHUNK_ARRAY_SIZE));
	err = sys_chunk_array_read(map, &super, &d);
	fuzz_require(err == 0 || (err == d.err && d.text[0]));
	read_items(&input, map, sectorsize);
	check_map(map, sectorsize);
	le32_put(&again.sectorsize, sectorsize);
	if (sys_chunk_array_write(map, &again, &d) == 0)
		fuzz_require(sys_chunk_array_read(map, &again, &d) == 0);
	chunk_map_free(map);
	return 0;
}

static size_t put_chunk(u8 *to, u64 logical, u64 length, u64 type, u16 num_stripes)
{
	struct chunk *chunk = chunk_new(num_stripes);
	le64 where;
	le16 bytes;

	fuzz_require(chunk);
	chunk->logical = logical;
	chunk->length = length;
	chunk->type = type;
	chunk_derive(chunk);
	for (u16 i = 0; i < num_stripes; i++) {
		chunk->stripe[i].devid = i + 1U;
		chunk->stripe[i].physical = MIB * (i + 1U);
	}
	le64_put(&where, logical);
	memcpy(to, &where, sizeof(where));
	le16_put(&bytes, (u16)chunk_item_pack(chunk, 4096, to + 10, 4096));
	memcpy(to + 8, &bytes, sizeof(bytes));
	free(chunk);
	return 10U + le16_get(bytes);
}

static void seed_of_profile(fuzz_add_fn add, void *ctx, u64 profile, u16 num_stripes)
{
	u8 seed[8192] = { 0 };
	size_t len = 3;
	u64 data = profile_data_stripes(profile_by_flags(profile), num_stripes);

	len += put_chunk(seed + len, 16 * MIB, MIB * data, BLOCK_GROUP_METADATA | profile, num_stripes);
	len += put_chunk(seed + len, 256 * MIB, 80 * MIB * data, BLOCK_GROUP_DATA | profile, num_stripes);
	add(ctx, seed, len);
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const u64 several[] = { BLOCK_GROUP_RAID0, BLOCK_GROUP_RAID10, BLOCK_GROUP_RAID5, BLOCK_GROUP_RAID6 };
	u8 seed[3 + SYSTEM_CHUNK_ARRAY_SIZE] = { 0 };

	for (unsigned i = 0; i < FUZZ_IMAGES; i++) {
		struct disk_super super;
		u32 bytes;

		fuzz_piece_read(fuzz_image(i), &fuzz_image(i)->pieces.items[0], (u8 *)&super);
		bytes = le32_get(super.sys_chunk_array_size);
		le16_put((le16 *)(seed + 1), (u16)bytes);
		memcpy(seed + 3, super.sys_chunk_array, bytes);
		add(ctx, seed, 3 + bytes);
	}
	for (size_t i = 0; i < profiles_count; i++)
		if (!profiles[i].is_striped)
			seed_of_profile(add, ctx, profiles[i].flag, profiles[i].copies);
	for (size_t i = 0; i < ARRAY_LEN(several); i++)
		for (u16 n = 4; n <= 20; n = (u16)(n + 8))
			seed_of_profile(add, ctx, several[i], n);
}
