/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/array.h"
#include "common/base/checked.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/volume/chunk_map.h"

typedef unsigned long long ull;

struct chunk_map {
	ARRAY(struct chunk *) chunks;
};

struct chunk *chunk_new(u16 num_stripes)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk) + num_stripes * sizeof(chunk->stripe[0]));

	if (chunk)
		chunk->num_stripes = num_stripes;
	return chunk;
}

void chunk_derive(struct chunk *chunk)
{
	chunk->profile = profile_by_flags(chunk->type);
	chunk->sub_stripes = chunk->profile->sub_stripes;
	chunk->stripe_bytes = chunk->length / profile_data_stripes(chunk->profile, chunk->num_stripes);
}

struct chunk *chunk_dup(const struct chunk *chunk)
{
	struct chunk *copy = chunk_new(chunk->num_stripes);

	if (copy)
		memcpy(copy, chunk, sizeof(*copy) + chunk->num_stripes * sizeof(copy->stripe[0]));
	return copy;
}

struct chunk *chunk_dup_shorter(const struct chunk *chunk, u64 length)
{
	struct chunk *copy = chunk_dup(chunk);

	if (copy) {
		copy->length = length;
		chunk_derive(copy);
	}
	return copy;
}

u64 chunk_row_bytes(const struct chunk *chunk)
{
	return STRIPE_LEN_BYTES * profile_data_stripes(chunk->profile, chunk->num_stripes);
}

int chunk_map_new(struct chunk_map **ret_map)
{
	*ret_map = calloc(1, sizeof(**ret_map));
	return *ret_map ? 0 : -ENOMEM;
}

void chunk_map_free(struct chunk_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->chunks.len; i++)
		free(map->chunks.items[i]);
	array_done(&map->chunks);
	free(map);
}

size_t chunk_map_count(const struct chunk_map *map)
{
	return map->chunks.len;
}

const struct chunk *chunk_map_at(const struct chunk_map *map, size_t index)
{
	return map->chunks.items[index];
}

int chunk_map_copy(const struct chunk_map *from, struct chunk_map **ret_map, struct diag *d)
{
	_cleanup_(chunk_map_freep) struct chunk_map *map = NULL;

	if (chunk_map_new(&map) < 0)
		return diag_no_memory(d, "the chunk map");
	for (size_t i = 0; i < chunk_map_count(from); i++) {
		int err = chunk_map_add(map, chunk_map_at(from, i), d);

		if (err)
			return err;
	}
	*ret_map = take_ptr(map);
	return 0;
}

/* Index of the first chunk that ends after @logical. */
static size_t first_after(const struct chunk_map *map, u64 logical)
{
	size_t low = 0, high = map->chunks.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct chunk *chunk = map->chunks.items[middle];

		if (chunk->logical + chunk->length > logical)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct chunk *chunk_map_find(const struct chunk_map *map, u64 logical)
{
	size_t i = first_after(map, logical);

	if (i == map->chunks.len || map->chunks.items[i]->logical > logical)
		return NULL;
	return map->chunks.items[i];
}

static bool chunks_are_equal(const struct chunk *a, const struct chunk *b)
{
	return a->logical == b->logical && a->length == b->length && a->type == b->type &&
	       a->num_stripes == b->num_stripes &&
	       memcmp(a->stripe, b->stripe, a->num_stripes * sizeof(a->stripe[0])) == 0;
}

struct chunk *chunk_map_swap(struct chunk_map *map, struct chunk *chunk)
{
	size_t at = first_after(map, chunk->logical);
	struct chunk *old = at < map->chunks.len ? map->chunks.items[at] : NULL;

	if (!old || old->logical != chunk->logical || old->length != chunk->length)
		return NULL;
	map->chunks.items[at] = chunk;
	return old;
}

struct chunk *chunk_map_take_out(struct chunk_map *map, u64 logical)
{
	size_t at = first_after(map, logical);
	struct chunk *chunk = at < map->chunks.len ? map->chunks.items[at] : NULL;

	if (!chunk || chunk->logical != logical)
		return NULL;
	memmove(map->chunks.items + at, map->chunks.items + at + 1,
		(map->chunks.len - at - 1) * sizeof(*map->chunks.items));
	map->chunks.len--;
	return chunk;
}

u64 chunk_end_on(const struct chunk *chunk, u64 devid)
{
	u64 end = 0;

	for (u16 s = 0; s < chunk->num_stripes; s++)
		if (chunk->stripe[s].devid == devid)
			end = MAX(end, chunk->stripe[s].physical + chunk->stripe_bytes);
	return end;
}

u64 chunk_map_end_on(const struct chunk_map *map, u64 devid)
{
	u64 end = 0;

	for (size_t i = 0; i < map->chunks.len; i++)
		end = MAX(end, chunk_end_on(map->chunks.items[i], devid));
	return end;
}

u64 chunk_map_allocated_on(const struct chunk_map *map, u64 devid)
{
	u64 sum = 0;

	for (size_t i = 0; i < map->chunks.len; i++) {
		const struct chunk *chunk = map->chunks.items[i];

		for (u16 s = 0; s < chunk->num_stripes; s++)
			sum += chunk->stripe[s].devid == devid ? chunk->stripe_bytes : 0;
	}
	return sum;
}

static void insert_at(struct chunk_map *map, size_t at, struct chunk *chunk)
{
	memmove(map->chunks.items + at + 1, map->chunks.items + at,
		(map->chunks.len - at) * sizeof(*map->chunks.items));
	map->chunks.items[at] = chunk;
	map->chunks.len++;
}

void chunk_map_put_back(struct chunk_map *map, struct chunk *chunk)
{
	insert_at(map, first_after(map, chunk->logical), chunk);
}

void chunk_map_remove(struct chunk_map *map, u64 logical)
{
	free(chunk_map_take_out(map, logical));
}

int chunk_map_add(struct chunk_map *map, const struct chunk *chunk, struct diag *d)
{
	size_t i = first_after(map, chunk->logical);
	struct chunk *copy;

	if (i < map->chunks.len && map->chunks.items[i]->logical < chunk->logical + chunk->length) {
		if (chunks_are_equal(map->chunks.items[i], chunk))
			return 0;
		if (map->chunks.items[i]->logical == chunk->logical)
			return diag_fail(d, -EUCLEAN, "chunk %llu (length %llu) overlaps chunk %llu, the same but for what is in it; one may be "
					 "the superblock's", (ull)chunk->logical, (ull)chunk->length, (ull)chunk->logical);
		return diag_fail(d, -EUCLEAN, "chunk %llu (length %llu) overlaps chunk %llu", (ull)chunk->logical,
				 (ull)chunk->length, (ull)map->chunks.items[i]->logical);
	}
	copy = chunk_new(chunk->num_stripes);
	if (!copy || array_reserve(&map->chunks, 1) < 0) {
		free(copy);
		return diag_no_memory(d, "the chunk map");
	}
	memcpy(copy, chunk, sizeof(*chunk) + chunk->num_stripes * sizeof(chunk->stripe[0]));
	insert_at(map, i, copy);
	return 0;
}

static bool type_is_valid(u64 type)
{
	u64 kinds = type & BLOCK_GROUP_TYPE_MASK;

	if (type & ~(BLOCK_GROUP_TYPE_MASK | BLOCK_GROUP_PROFILE_MASK))
		return false;
	return kinds == BLOCK_GROUP_DATA || kinds == BLOCK_GROUP_METADATA || kinds == BLOCK_GROUP_SYSTEM ||
	       kinds == (BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA);
}

static int check_item(const struct key *key, const struct disk_chunk *item, u32 item_bytes, u32 sectorsize,
		      struct diag *d)
{
	const ull logical = key->offset;
	u64 type, length, end;
	const struct profile *profile;
	u16 num_stripes;

	if (item_bytes < sizeof(*item))
		return diag_fail(d, -EUCLEAN, "chunk %llu: item of %u bytes", logical, item_bytes);
	type = le64_get(item->type);
	length = le64_get(item->length);
	num_stripes = le16_get(item->num_stripes);
	if (num_stripes == 0 || item_bytes != sizeof(*item) + num_stripes * sizeof(struct disk_stripe))
		return diag_fail(d, -EUCLEAN, "chunk %llu: item of %u bytes for %u stripes", logical, item_bytes,
				 num_stripes);
	if (key->offset % sectorsize || length == 0 || length % sectorsize || !checked_add(key->offset, length, &end))
		return diag_fail(d, -EUCLEAN, "chunk %llu: impossible length %llu", logical, (ull)length);
	profile = profile_by_flags(type);
	if (!profile || !type_is_valid(type))
		return diag_fail(d, -EUCLEAN, "chunk %llu: impossible type 0x%llx", logical, (ull)type);
	if (le64_get(item->stripe_len) != STRIPE_LEN_BYTES)
		return diag_fail(d, -EUCLEAN, "chunk %llu: stripe length %llu, expected %llu", logical,
				 (ull)le64_get(item->stripe_len), (ull)STRIPE_LEN_BYTES);
	/* Before Linux 5.x RAID0 and RAID10 chunks could not shrink to one stripe pair; counts below devs_min are valid. */
	if (!profile_stripe_count_is_valid(profile, num_stripes))
		return diag_fail(d, -EUCLEAN, "chunk %llu: %s with %u stripes", logical, profile->shown, num_stripes);
	if (profile->sub_stripes == 2 && le16_get(item->sub_stripes) != 2)
		return diag_fail(d, -EUCLEAN, "chunk %llu: RAID10 with %u sub-stripes", logical,
				 le16_get(item->sub_stripes));
	/* Linux rounds to whole rows when it makes chunks; the last cells of anything else would lie outside of the stripes. */
	if (!profile_length_is_valid(profile, num_stripes, length))
		return diag_fail(d, -EUCLEAN, "chunk %llu: length %llu does not divide over its stripes", logical,
				 (ull)length);
	return 0;
}

int chunk_map_add_item(struct chunk_map *map, const struct key *key, const void *item, u32 item_bytes,
		       u32 sectorsize, struct diag *d)
{
	const struct disk_chunk *from = item;
	_free_ struct chunk *chunk = NULL;
	int err = check_item(key, from, item_bytes, sectorsize, d);

	if (err)
		return err;
	chunk = chunk_new(le16_get(from->num_stripes));
	if (!chunk)
		return diag_no_memory(d, "a chunk");
	chunk->logical = key->offset;
	chunk->length = le64_get(from->length);
	chunk->type = le64_get(from->type);
	chunk_derive(chunk);
	for (u16 i = 0; i < chunk->num_stripes; i++) {
		struct chunk_stripe *stripe = &chunk->stripe[i];
		u64 taken, end;

		stripe->devid = le64_get(from->stripe[i].devid);
		stripe->physical = le64_get(from->stripe[i].offset);
		memcpy(stripe->dev_uuid, from->stripe[i].dev_uuid, UUID_SIZE);
		/* Where the length is not one of whole rows, the last row's cells reach behind stripe_bytes. */
		if (stripe->physical % sectorsize || !checked_round_up(chunk->stripe_bytes, STRIPE_LEN_BYTES, &taken) ||
		    !checked_add(stripe->physical, taken, &end))
			return diag_fail(d, -EUCLEAN, "chunk %llu: stripe %u at %llu", (ull)chunk->logical, i,
					 (ull)stripe->physical);
	}
	return chunk_map_add(map, chunk, d);
}

u32 chunk_item_pack(const struct chunk *chunk, u32 sectorsize, void *out, size_t cap)
{
	struct disk_chunk *item = out;
	size_t bytes = sizeof(*item) + chunk->num_stripes * sizeof(struct disk_stripe);

	if (bytes > cap)
		return 0;
	memset(item, 0, bytes);
	le64_put(&item->length, chunk->length);
	le64_put(&item->owner, EXTENT_TREE_OBJECTID);
	le64_put(&item->stripe_len, STRIPE_LEN_BYTES);
	le64_put(&item->type, chunk->type);
	le32_put(&item->io_align, STRIPE_LEN_BYTES);
	le32_put(&item->io_width, STRIPE_LEN_BYTES);
	le32_put(&item->sector_size, sectorsize);
	le16_put(&item->num_stripes, chunk->num_stripes);
	le16_put(&item->sub_stripes, chunk->sub_stripes);
	for (u16 i = 0; i < chunk->num_stripes; i++) {
		le64_put(&item->stripe[i].devid, chunk->stripe[i].devid);
		le64_put(&item->stripe[i].offset, chunk->stripe[i].physical);
		memcpy(item->stripe[i].dev_uuid, chunk->stripe[i].dev_uuid, UUID_SIZE);
	}
	return (u32)bytes;
}

int sys_chunk_array_read(struct chunk_map *map, const struct disk_super *super, struct diag *d)
{
	const u8 *at = super->sys_chunk_array;
	u32 left = le32_get(super->sys_chunk_array_size);
	u32 sectorsize = le32_get(super->sectorsize);

	if (left > SYSTEM_CHUNK_ARRAY_SIZE)
		return diag_fail(d, -EUCLEAN, "sys_chunk_array of %u bytes", left);
	while (left > 0) {
		const struct disk_chunk *item = (const void *)(at + sizeof(struct disk_key));
		struct key key;
		u32 bytes;
		int err;

		if (left < sizeof(struct disk_key) + sizeof(*item))
			return diag_fail(d, -EUCLEAN, "sys_chunk_array ends within an entry");
		key = key_unpack((const struct disk_key *)at);
		bytes = (u32)(sizeof(*item) + le16_get(item->num_stripes) * sizeof(struct disk_stripe));
		if (left - sizeof(struct disk_key) < bytes)
			return diag_fail(d, -EUCLEAN, "sys_chunk_array ends within an entry");
		if (key.objectid != FIRST_CHUNK_TREE_OBJECTID || key.type != CHUNK_ITEM_KEY)
			return diag_fail(d, -EUCLEAN, "sys_chunk_array has a key of type %u", key.type);
		err = chunk_map_add_item(map, &key, item, bytes, sectorsize, d);
		if (err)
			return diag_context(d, err, "sys_chunk_array");
		if (!(le64_get(item->type) & BLOCK_GROUP_SYSTEM))
			return diag_fail(d, -EUCLEAN, "sys_chunk_array has chunk %llu of type 0x%llx", (ull)key.offset,
					 (ull)le64_get(item->type));
		at += sizeof(struct disk_key) + bytes;
		left -= (u32)sizeof(struct disk_key) + bytes;
	}
	return 0;
}

int sys_chunk_array_write(const struct chunk_map *map, struct disk_super *super, struct diag *d)
{
	return sys_chunk_array_write_some(map, NULL, NULL, super, d);
}

int sys_chunk_array_write_some(const struct chunk_map *map, bool (*is_wanted)(void *ctx, const struct chunk *chunk),
			       void *ctx, struct disk_super *super, struct diag *d)
{
	u32 sectorsize = le32_get(super->sectorsize);
	u32 used = 0;

	memset(super->sys_chunk_array, 0, sizeof(super->sys_chunk_array));
	for (size_t i = 0; i < map->chunks.len; i++) {
		const struct chunk *chunk = map->chunks.items[i];
		const struct key key = { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, chunk->logical };
		u8 *at = super->sys_chunk_array + used;
		u32 bytes = 0;

		if (!(chunk->type & BLOCK_GROUP_SYSTEM) || (is_wanted && !is_wanted(ctx, chunk)))
			continue;
		if (used + sizeof(struct disk_key) < SYSTEM_CHUNK_ARRAY_SIZE)
			bytes = chunk_item_pack(chunk, sectorsize, at + sizeof(struct disk_key),
						SYSTEM_CHUNK_ARRAY_SIZE - used - sizeof(struct disk_key));
		if (bytes == 0)
			return diag_fail(d, -ENOSPC, "the system chunks do not fit into the superblock");
		key_pack((struct disk_key *)at, &key);
		used += (u32)sizeof(struct disk_key) + bytes;
	}
	le32_put(&super->sys_chunk_array_size, used);
	return 0;
}

/* The logical range of @chunk whose pieces lie in [from, to) of stripe @index's device, in whole rows. */
static struct logical_range rows_to_logical(const struct chunk *chunk, u64 from, u64 to)
{
	u64 data_stripes = profile_data_stripes(chunk->profile, chunk->num_stripes);

	if (!chunk->profile->is_striped)
		return (struct logical_range){ chunk->logical + from, to - from };
	from = round_down_u64(from, STRIPE_LEN_BYTES);
	to = MIN(round_up_u64(to, STRIPE_LEN_BYTES), chunk->stripe_bytes);
	return (struct logical_range){ chunk->logical + from * data_stripes, (to - from) * data_stripes };
}

static size_t insert_range(struct logical_range *ranges, size_t count, size_t cap, struct logical_range range)
{
	size_t at = 0;

	while (at < count && ranges[at].logical + ranges[at].len < range.logical)
		at++;
	/* Merge with all that touch it. */
	while (at < count && ranges[at].logical <= range.logical + range.len) {
		u64 end = MAX(ranges[at].logical + ranges[at].len, range.logical + range.len);

		range.logical = MIN(range.logical, ranges[at].logical);
		range.len = end - range.logical;
		memmove(ranges + at, ranges + at + 1, (count - at - 1) * sizeof(*ranges));
		count--;
	}
	if (count == cap)
		return count;
	memmove(ranges + at + 1, ranges + at, (count - at) * sizeof(*ranges));
	ranges[at] = range;
	return count + 1;
}

size_t chunk_reserved_ranges(const struct chunk *chunk, struct logical_range *ret_ranges, size_t cap)
{
	size_t count = 0;

	for (u16 i = 0; i < chunk->num_stripes; i++) {
		u64 start = chunk->stripe[i].physical, end = start + chunk->stripe_bytes;

		for (unsigned mirror = 0; mirror < SUPER_MIRROR_MAX; mirror++) {
			u64 from = super_mirror_physical(mirror), to = from + STRIPE_LEN_BYTES;

			if (to <= start || from >= end)
				continue;
			from = MAX(from, start) - start;
			to = MIN(to, end) - start;
			count = insert_range(ret_ranges, count, cap, rows_to_logical(chunk, from, to));
		}
	}
	return count;
}
