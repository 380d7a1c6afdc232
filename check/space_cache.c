/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves the free space caches of filesystems without a free space tree: what Linux would believe must be the exact
 * complement of the extents. What it would not - caches of another generation, with wrong checksums, or with less or more
 * space in all than is free - it builds anew, and that is only told.
 *
 * A cache is a file in the root tree, one for each block group of 100 MiB and more:
 *
 *	page 0    crc32c of each page, generation, entries (offset, bytes, type) from there on
 *	...       as many entries as a page holds whole
 *	then      for each entry of type bitmap a page of bits, one for each sector, in the entries' order
 *
 * The checksum of page 0 begins behind the checksums. A page is 4096 bytes: Linux refuses such caches where its pages are
 * not as large as sectors. The parts of a block group that lie on superblocks are not free.
 * Source: files that Linux 6.18 wrote.
 */
#include "check/space_cache.h"

#include <stdio.h>

#include "common/csum/csum.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

#define PAGE_BYTES 4096U
#define ENTRY_BYTES 17U
/* A block group of 10 GiB, which is as large as they get, has a file of 2.5 MiB. */
#define CACHE_FILE_BYTES_MAX (4 * MIB)
#define KEPT_RANGES_MAX (256 * 1024)
enum { ENTRY_EXTENT = 1, ENTRY_BITMAP = 2 };

struct cache {
	struct check *check;
	size_t group;
	const struct chunk *chunk;
	u64 generation, nr_entries, nr_bitmaps; /* of the header */
	u8 *file;
	u64 nr_pages;
	u64 page;
	u32 at; /* in the page */
	u64 free_bytes; /* as entries say */
	u64 sum; /* of the boundaries of what is free */
	struct range_list free;
	bool is_cut; /* there are more ranges than are kept */
	ARRAY(u64) bitmaps; /* addresses that they begin with */
};

static u64 get_u64(const u8 *at)
{
	le64 value;

	memcpy(&value, at, sizeof(value));
	return le64_get(value);
}

/* --- The file ------------------------------------------------------------------------------------------------------- */

/* What is not there reads as zeroes, and has a wrong checksum then. */
static void read_file(struct cache *cache, const struct tree *roots, u64 ino)
{
	struct check *check = cache->check;
	struct cursor cursor = cursor_init(roots);
	u64 size = cache->nr_pages * PAGE_BYTES;
	struct file_extent extent;

	for (u64 at = 0; at < size; at = extent.file_offset + extent.len) {
		u64 skip, len;

		if (file_extent_find(&cursor, ino, at, size, check_sectorsize(check), &extent, NULL) < 0 || extent.len == 0 ||
		    extent.file_offset > at || extent.file_offset + extent.len <= at)
			break;
		skip = at - extent.file_offset;
		len = MIN(extent.len - skip, size - at);
		if (extent.kind == EXTENT_REGULAR && extent.compression == COMPRESS_NONE)
			(void)volume_read(check->fs->volume, extent.disk_bytenr + extent.extent_offset + skip, cache->file + at,
					  (size_t)len, 0, NULL); /* as above */
	}
	cursor_done(&cursor);
}

/* Linux looks at the checksums of pages that it uses; a file may be longer. */
static bool has_good_checksum(const struct cache *cache, u64 page)
{
	u32 skip = page == 0 ? (u32)(cache->nr_pages * sizeof(le32)) : 0;
	le32 said;

	memcpy(&said, cache->file + page * sizeof(said), sizeof(said));
	return ~crc32c_update(~0U, cache->file + page * PAGE_BYTES + skip, PAGE_BYTES - skip) == le32_get(said);
}

static u64 boundaries(const struct check *check, u64 start, u64 end)
{
	return check_hash(check, &start, sizeof(start)) - check_hash(check, &end, sizeof(end));
}

/* --- Entries -------------------------------------------------------------------------------------------------------- */

static int add_free(struct cache *cache, u64 start, u64 end)
{
	cache->sum += boundaries(cache->check, start, end);
	cache->is_cut = cache->is_cut || cache->free.list.len >= KEPT_RANGES_MAX;
	return cache->is_cut ? 0 : array_push(&cache->free.list, (struct range){ start, end });
}

static const char bad_checksum[] = "a checksum does not match";

/* Why Linux would refuse the cache; NULL: it reads on. */
static const char *read_entry(struct cache *cache, int *err)
{
	const u8 *entry = cache->file + cache->page * PAGE_BYTES + cache->at;
	u64 start, bytes;

	if (cache->page >= cache->nr_pages)
		return "there are fewer entries than its header says";
	if (cache->at == 0 && !has_good_checksum(cache, cache->page))
		return bad_checksum;
	start = get_u64(entry);
	bytes = get_u64(entry + 8);
	if (bytes == 0)
		return "an entry is empty";
	if (bytes > cache->chunk->length || start < cache->chunk->logical ||
	    start - cache->chunk->logical > cache->chunk->length - (entry[16] == ENTRY_EXTENT ? bytes : 0))
		return "an entry lies outside of the block group";
	cache->free_bytes += bytes;
	*err = entry[16] == ENTRY_EXTENT ? add_free(cache, start, start + bytes) : array_push(&cache->bitmaps, start);
	cache->at += ENTRY_BYTES;
	if (cache->at + ENTRY_BYTES > PAGE_BYTES) {
		cache->page++;
		cache->at = 0;
	}
	return NULL;
}

static const char *read_bitmap(struct cache *cache, u64 start, int *err)
{
	const u8 *bits = cache->file + cache->page * PAGE_BYTES;
	u32 sectorsize = check_sectorsize(cache->check);
	bool was_free = false;
	u64 begin = 0;

	if (cache->page >= cache->nr_pages)
		return "there are fewer bitmaps than entries say";
	if (!has_good_checksum(cache, cache->page))
		return bad_checksum;
	for (u64 i = 0; i <= PAGE_BYTES * 8 && !*err; i++) {
		bool is_free = i < PAGE_BYTES * 8 && (bits[i / 8] >> i % 8 & 1);

		if (is_free && !was_free)
			begin = i;
		if (!is_free && was_free)
			*err = add_free(cache, start + begin * sectorsize, start + i * sectorsize);
		was_free = is_free;
	}
	cache->page++;
	return NULL;
}

static const char *read_entries(struct cache *cache, int *err)
{
	const char *why = NULL;

	cache->at = (u32)(cache->nr_pages * sizeof(le32) + sizeof(le64));
	if (cache->at + ENTRY_BYTES > PAGE_BYTES)
		return "it is too long";
	if (!has_good_checksum(cache, 0))
		return bad_checksum;
	if (get_u64(cache->file + cache->nr_pages * sizeof(le32)) != cache->generation)
		return "its generation is not that of its header";
	for (u64 i = 0; i < cache->nr_entries && !why && !*err; i++)
		why = read_entry(cache, err);
	if (cache->at)
		cache->page++;
	array_for_each(&cache->bitmaps, start)
		if (!why && !*err)
			why = read_bitmap(cache, *start, err);
	return why;
}

/* --- Comparing ------------------------------------------------------------------------------------------------------ */

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* The part of stripe @i that lies on a superblock. False: none does. */
static bool reserved_range(const struct chunk *chunk, u16 i, unsigned mirror, struct range *ret_range)
{
	bool is_parity = chunk->type & (BLOCK_GROUP_RAID5 | BLOCK_GROUP_RAID6);
	bool is_striped = chunk->type & (BLOCK_GROUP_RAID0 | BLOCK_GROUP_RAID10);
	u64 width = is_parity ? profile_data_stripes(chunk->profile, chunk->num_stripes) : 1;
	u64 physical = super_mirror_physical(mirror), stripe;

	if (physical < chunk->stripe[i].physical || physical - chunk->stripe[i].physical >= chunk->stripe_bytes)
		return false;
	stripe = (physical - chunk->stripe[i].physical) / STRIPE_LEN_BYTES;
	if (is_striped)
		stripe = (stripe * chunk->num_stripes + i) / MAX(chunk->sub_stripes, (u16)1);
	ret_range->start = chunk->logical + stripe * width * STRIPE_LEN_BYTES;
	ret_range->end = MIN(ret_range->start + width * STRIPE_LEN_BYTES, chunk->logical + chunk->length);
	return true;
}

/* What of the group lies on superblocks, as Linux has it, each part once: copies may lie on superblocks in the same place. */
static int reserved_ranges(const struct chunk *chunk, struct range_list *reserved)
{
	size_t kept = 0;

	for (u16 i = 0; i < chunk->num_stripes; i++)
		for (unsigned mirror = 0; mirror < SUPER_MIRROR_MAX; mirror++) {
			struct range range;

			if (reserved_range(chunk, i, mirror, &range) && array_push(&reserved->list, range) < 0)
				return -ENOMEM;
		}
	array_sort(&reserved->list, by_start);
	for (size_t i = 0; i < reserved->list.len; i++)
		if (kept == 0 || reserved->list.items[i].start >= reserved->list.items[kept - 1].end)
			reserved->list.items[kept++] = reserved->list.items[i];
	reserved->list.len = kept;
	return 0;
}

static void tell(struct check *check, bool is_error, u64 logical, const char *text)
{
	if (is_error)
		complain(check, SPACE_CACHE_WRONG, AT(.tree = ROOT_TREE_OBJECTID, .logical = logical), (ull)logical, text);
	else
		complain(check, SPACE_CACHE_UNUSABLE, AT(.tree = ROOT_TREE_OBJECTID, .logical = logical), (ull)logical, text);
}

/* What Linux would use. As with the free space tree, sums say whether all is well. */
static int compare(struct cache *cache, const struct range_list *reserved)
{
	struct check *check = cache->check;
	const struct chunk *chunk = cache->chunk;
	u64 sum = check->groups[cache->group].space + cache->sum, reserved_bytes = 0;

	array_for_each(&reserved->list, range) {
		reserved_bytes += range->end - range->start;
		sum += boundaries(check, range->start, range->end);
	}
	if (cache->free_bytes != chunk->length - check->groups[cache->group].used_bytes - reserved_bytes) {
		tell(check, false, chunk->logical, "it has not as much space as is free");
	} else if (cache->nr_bitmaps != cache->bitmaps.len) {
		tell(check, true, chunk->logical, "its header has a wrong number of bitmaps");
	} else if (sum != boundaries(check, chunk->logical, chunk->logical + chunk->length)) {
		array_sort(&cache->free.list, by_start);
		if (!cache->is_cut)
			return detail_space_cache(check, cache->group, &cache->free, reserved);
		tell(check, true, chunk->logical, "it is not what extents leave free");
	}
	return check->sink.err;
}

static int judge_file(struct cache *cache, const struct tree *roots, u64 ino, u64 size, struct diag *d)
{
	struct range_list reserved = { 0 };
	const char *why = "its size cannot be";
	int err = reserved_ranges(cache->chunk, &reserved);

	cache->nr_pages = size / PAGE_BYTES;
	if (!err && size % PAGE_BYTES == 0 && size <= CACHE_FILE_BYTES_MAX) {
		cache->file = calloc(1, (size_t)size);
		err = cache->file ? 0 : -ENOMEM;
		if (!err)
			read_file(cache, roots, ino);
		why = err ? NULL : read_entries(cache, &err);
	}
	if (err)
		err = diag_no_memory(d, "free space caches");
	else if (why)
		tell(cache->check, false, cache->chunk->logical, why);
	else
		err = compare(cache, &reserved);
	free(cache->file);
	array_done(&cache->free.list);
	array_done(&cache->bitmaps);
	array_done(&reserved.list);
	return err;
}

static int judge_cache(struct check *check, const struct tree *roots, size_t group, struct diag *d)
{
	struct cache cache = { .check = check, .group = group, .chunk = chunk_map_at(check->fs->volume->chunks, group) };
	const struct key key = { FREE_SPACE_OBJECTID, 0, cache.chunk->logical };
	struct disk_free_space_header header;
	struct disk_inode_item inode;
	struct cursor cursor = cursor_init(roots);
	bool is_there = cursor_find(&cursor, &key, NULL) == 0 && cursor_data_bytes(&cursor) == sizeof(header);
	u64 ino;

	if (is_there)
		memcpy(&header, cursor_data(&cursor), sizeof(header));
	cursor_done(&cursor);
	if (!is_there)
		return 0;
	ino = le64_get(header.location.objectid);
	cache.generation = le64_get(header.generation);
	cache.nr_entries = le64_get(header.num_entries);
	cache.nr_bitmaps = le64_get(header.num_bitmaps);
	check_generation(check, ROOT_TREE_OBJECTID, 0, &key, cache.generation);
	if (inode_read(roots, ino, &inode, NULL) < 0) {
		tell(check, false, cache.chunk->logical, "its file is missing");
		return 0;
	}
	/* Linux sets the inode's generation to 0 before it writes, and to the header's when all is there. */
	if (le64_get(inode.generation) != cache.generation || le64_get(inode.size) == 0 || cache.nr_entries == 0)
		return 0;
	return judge_file(&cache, roots, ino, le64_get(inode.size), d);
}

int judge_space_caches(struct check *check, struct diag *d)
{
	const struct disk_super *super = &check->fs->super;
	int err = 0;

	/* Of another generation, Linux looks at none. Dumps of metadata do not have the files' data. */
	if ((le64_get(super->compat_ro_flags) & COMPAT_RO_FREE_SPACE_TREE) || check->is_extent_tree_short ||
	    le64_get(super->cache_generation) != le64_get(super->generation) ||
	    (le64_get(super->flags) & (SUPER_FLAG_METADUMP | SUPER_FLAG_METADUMP_V2)) || check_sectorsize(check) != PAGE_BYTES)
		return 0;
	for (size_t i = 0; i < check->nr_groups && !err; i++)
		err = judge_cache(check, &check->fs->root_tree, i, d);
	return err;
}
