/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/block/cached_block.h"

typedef unsigned long long ull;

int block_cache_new(struct volume *volume, const struct block_check_params *check, const struct csum_kind *csum,
		    const u8 *fsid, size_t max_bytes, struct block_cache **ret_cache)
{
	struct block_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->volume = volume;
	cache->check = *check;
	cache->csum = csum;
	memcpy(cache->fsid, fsid, UUID_SIZE);
	cache->nodesize = volume->nodesize;
	cache->blocks_max = MAX(max_bytes / volume->nodesize, (size_t)LEVEL_MAX);
	for (cache->nr_buckets = 64; cache->nr_buckets < cache->blocks_max && cache->nr_buckets < MIB;)
		cache->nr_buckets *= 2;
	cache->buckets = calloc(cache->nr_buckets, sizeof(*cache->buckets));
	if (!cache->buckets) {
		free(cache);
		return -ENOMEM;
	}
	pthread_mutex_init(&cache->lock, NULL);
	*ret_cache = cache;
	return 0;
}

void block_cache_free(struct block_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < cache->nr_buckets; i++)
		while (cache->buckets[i]) {
			struct cached_block *next = cache->buckets[i]->hash_next;

			free(cache->buckets[i]);
			cache->buckets[i] = next;
		}
	free(cache->buckets);
	array_done(&cache->dirty);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void block_cache_set_fsid(struct block_cache *cache, const u8 *fsid)
{
	LOCK_SCOPE(&cache->lock);
	memcpy(cache->fsid, fsid, UUID_SIZE);
}

void block_cache_set_chunk_tree_uuid(struct block_cache *cache, const u8 *uuid)
{
	LOCK_SCOPE(&cache->lock);
	memcpy(cache->chunk_tree_uuid, uuid, UUID_SIZE);
	cache->has_chunk_tree_uuid = true;
}

void block_cache_accept_bad_items(struct block_cache *cache)
{
	cache->accepts_bad_items = true;
}

struct volume *block_cache_volume(const struct block_cache *cache)
{
	return cache->volume;
}

u32 block_cache_nodesize(const struct block_cache *cache)
{
	return cache->nodesize;
}

/* --- The table and the list of idle blocks; called with the lock held ------------------------------------- */

static struct cached_block **bucket_of(struct block_cache *cache, u64 logical)
{
	u64 hash = (logical >> 12) * 0x9E3779B97F4A7C15ULL;

	return &cache->buckets[(hash >> 32) & (cache->nr_buckets - 1)];
}

struct cached_block *cached_find(struct block_cache *cache, u64 logical)
{
	struct cached_block *cached = *bucket_of(cache, logical);

	while (cached && cached->block.logical != logical)
		cached = cached->hash_next;
	return cached;
}

void cached_unhash(struct block_cache *cache, struct cached_block *cached)
{
	struct cached_block **link = bucket_of(cache, cached->block.logical);

	while (*link != cached)
		link = &(*link)->hash_next;
	*link = cached->hash_next;
	cached->is_hashed = false;
	cache->nr_blocks--;
}

static void leave_idle(struct block_cache *cache, struct cached_block *cached)
{
	*(cached->older ? &cached->older->newer : &cache->oldest) = cached->newer;
	*(cached->newer ? &cached->newer->older : &cache->newest) = cached->older;
	cached->older = cached->newer = NULL;
}

static void enter_idle(struct block_cache *cache, struct cached_block *cached)
{
	cached->older = cache->newest;
	cached->newer = NULL;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = cached;
	cache->newest = cached;
}

static void hold(struct block_cache *cache, struct cached_block *cached)
{
	if (cached->refs++ == 0)
		leave_idle(cache, cached);
}

static void shrink(struct block_cache *cache)
{
	while (cache->nr_blocks > cache->blocks_max && cache->oldest) {
		struct cached_block *victim = cache->oldest;

		leave_idle(cache, victim);
		cached_unhash(cache, victim);
		free(victim);
	}
}

void cached_drop(struct block_cache *cache, struct cached_block *cached)
{
	if (--cached->refs > 0)
		return;
	if (!cached->is_hashed) {
		free(cached);
		return;
	}
	enter_idle(cache, cached);
	shrink(cache);
}

void block_put(struct tree_block *block)
{
	struct cached_block *cached;

	if (!block)
		return;
	cached = container_of(block, struct cached_block, block);
	LOCK_SCOPE(&cached->cache->lock);
	cached_drop(cached->cache, cached);
}

/* --- Judging a block --------------------------------------------------------------------------------------- */

/* What a filesystem has from a seed keeps the seed's fsid. */
static bool is_of_seed(const struct block_cache *cache, const u8 *fsid)
{
	const struct device_set *set = cache->volume->devices;

	if (!set)
		return false;
	array_for_each(&set->devices, device)
		if (memcmp(device->fsid, fsid, UUID_SIZE) == 0)
			return true;
	return false;
}

/* Of what tells where a block belongs; must be right before anything else in it is looked at. */
static int check_identity(const struct block_cache *cache, const u8 *block, u64 logical, struct diag *d)
{
	const struct disk_header *header = block_header(block);

	if (!block_csum_is_good(block, cache->nodesize, cache->csum))
		return diag_fail(d, -EUCLEAN, "checksum does not match");
	if (le64_get(header->bytenr) != logical)
		return diag_fail(d, -EUCLEAN, "says that it is block %llu", (ull)le64_get(header->bytenr));
	if (memcmp(header->fsid, cache->fsid, UUID_SIZE) != 0 && !is_of_seed(cache, header->fsid))
		return diag_fail(d, -EUCLEAN, "belongs to another filesystem");
	if (header->level >= LEVEL_MAX)
		return diag_fail(d, -EUCLEAN, "level %u, at most %u is possible", header->level, LEVEL_MAX - 1);
	return 0;
}

static bool owner_is_possible(u64 owner, u64 tree_id)
{
	if (tree_id == 0 || tree_id == TREE_RELOC_OBJECTID)
		return true;
	/* Snapshots share blocks: any subvolume may have written one. */
	if (tree_id_is_subvol(tree_id))
		return tree_id_is_subvol(owner);
	return owner == tree_id;
}

static int check_keys(const struct block_expect *expect, const u8 *block, struct diag *d)
{
	u32 nritems = block_nritems(block);
	struct key key;

	if (nritems == 0) {
		if (expect->first_key)
			return diag_fail(d, -EUCLEAN, "is empty, but not a root");
		return 0;
	}
	key = block_key(block, 0);
	if (expect->first_key && key_compare(&key, expect->first_key) != 0)
		return diag_fail(d, -EUCLEAN, "first key (%llu %u %llu), its parent says (%llu %u %llu)",
				 (ull)key.objectid, key.type, (ull)key.offset, (ull)expect->first_key->objectid,
				 expect->first_key->type, (ull)expect->first_key->offset);
	key = block_key(block, nritems - 1);
	if (expect->limit && key_compare(&key, expect->limit) >= 0)
		return diag_fail(d, -EUCLEAN, "last key (%llu %u %llu) is not below its right neighbour's first",
				 (ull)key.objectid, key.type, (ull)key.offset);
	return 0;
}

static int check_expected(const struct block_expect *expect, const u8 *block, struct diag *d)
{
	const struct disk_header *header = block_header(block);
	u64 generation = le64_get(header->generation);
	u64 owner = le64_get(header->owner);

	if (expect->level >= 0 && header->level != expect->level)
		return diag_fail(d, -EUCLEAN, "level %u, expected %d", header->level, expect->level);
	if (expect->generation && generation != expect->generation)
		return diag_fail(d, -EUCLEAN, "generation %llu, expected %llu", (ull)generation, (ull)expect->generation);
	if (!owner_is_possible(owner, expect->tree_id))
		return diag_fail(d, -EUCLEAN, "belongs to tree %llu, expected %llu", (ull)owner, (ull)expect->tree_id);
	return check_keys(expect, block, d);
}

/* Linux does not look at the chunk tree's uuid in a block, so a wrong one is told of but accepted. */
static void tell_foreign_chunk_tree(struct block_cache *cache, const u8 *block, u64 logical, struct diag *d)
{
	bool is_first;

	pthread_mutex_lock(&cache->lock);
	is_first = cache->has_chunk_tree_uuid && !cache->has_told_uuid &&
		   memcmp(block_header(block)->chunk_tree_uuid, cache->chunk_tree_uuid, UUID_SIZE) != 0;
	if (is_first)
		cache->has_told_uuid = true;
	pthread_mutex_unlock(&cache->lock);
	if (is_first)
		diag_note(d, DIAG_WARNING, "block %llu: names another chunk tree", (ull)logical);
}

static int judge(struct block_cache *cache, const struct block_expect *expect, const u8 *block, struct diag *d)
{
	int err = check_identity(cache, block, expect->logical, d);

	/* The items first: only then is there a first key to compare. */
	if (!err && cache->accepts_bad_items)
		err = block_check_shape(&cache->check, block, expect->logical, d);
	else if (!err)
		err = block_check(&cache->check, block, expect->logical, d);
	if (!err)
		err = check_expected(expect, block, d);
	if (!err)
		tell_foreign_chunk_tree(cache, block, expect->logical, d);
	return err;
}

int block_judge_shape(struct block_cache *cache, const struct block_expect *expect, const u8 *block, struct diag *d)
{
	int err = check_identity(cache, block, expect->logical, d);

	if (!err)
		err = block_check_shape(&cache->check, block, expect->logical, d);
	return err ? err : check_expected(expect, block, d);
}

const struct block_check_params *block_cache_check_params(const struct block_cache *cache)
{
	return &cache->check;
}

int block_read_copy(struct block_cache *cache, const struct block_expect *expect, unsigned mirror, u8 *buf,
		    struct diag *d)
{
	int err = volume_read(cache->volume, expect->logical, buf, cache->nodesize, mirror, d);

	if (err)
		return err;
	err = judge(cache, expect, buf, d);
	return err ? diag_context(d, err, "block %llu, copy %u", (ull)expect->logical, mirror) : 0;
}

/* --- Reading ----------------------------------------------------------------------------------------------- */

static int read_any_copy(struct block_cache *cache, const struct block_expect *expect, u8 *buf, struct diag *d)
{
	unsigned mirrors = volume_nr_mirrors(cache->volume, expect->logical);
	struct diag first;

	if (mirrors == 0)
		return diag_fail(d, -EUCLEAN, "block %llu: no chunk covers this address", (ull)expect->logical);
	if (expect->logical % cache->volume->sectorsize)
		return diag_fail(d, -EUCLEAN, "block %llu: not a possible address", (ull)expect->logical);
	first.err = 0;
	for (unsigned mirror = 1; mirror <= mirrors; mirror++) {
		struct diag why;
		int err;

		why.err = 0;
		why.note = d ? d->note : NULL;
		why.note_arg = d ? d->note_arg : NULL;
		err = block_read_copy(cache, expect, mirror, buf, &why);
		if (err == 0) {
			/* A device that is missing was told of when the filesystem was opened. */
			if (first.err && !(first.err == -EIO && device_set_nr_missing(cache->volume->devices)))
				diag_note(d, DIAG_WARNING, "%s; copy %u is good", first.text, mirror);
			return 0;
		}
		if (!first.err || (first.err == -EIO && err == -EUCLEAN) || err == -ENOMEM)
			first = why;
	}
	return diag_copy(d, &first);
}

struct cached_block *cached_new(struct block_cache *cache)
{
	struct cached_block *cached = malloc(sizeof(*cached) + cache->nodesize);

	if (cached)
		cached->cache = cache;
	return cached;
}

void cached_fill_in(struct cached_block *cached, u64 logical)
{
	const struct disk_header *header = block_header(cached->bytes);

	cached->refs = 1;
	cached->is_hashed = true;
	cached->older = cached->newer = NULL;
	cached->block = (struct tree_block){
		.logical = logical,
		.generation = le64_get(header->generation),
		.owner = le64_get(header->owner),
		.nritems = le32_get(header->nritems),
		.level = header->level,
		.data = cached->bytes,
	};
}

/* Put the block that was just read into the table; a worse copy that is there gives way. */
void cached_insert(struct block_cache *cache, struct cached_block *cached)
{
	struct cached_block *old = cached_find(cache, cached->block.logical);
	struct cached_block **bucket = bucket_of(cache, cached->block.logical);

	if (old) {
		cached_unhash(cache, old);
		if (old->refs == 0) {
			leave_idle(cache, old);
			free(old);
		}
	}
	cached->hash_next = *bucket;
	*bucket = cached;
	cache->nr_blocks++;
	shrink(cache);
}

int block_get(struct block_cache *cache, const struct block_expect *expect, struct tree_block **ret_block,
	      struct diag *d)
{
	struct cached_block *cached;
	int err;

	pthread_mutex_lock(&cache->lock);
	cached = cached_find(cache, expect->logical);
	if (cached)
		hold(cache, cached);
	pthread_mutex_unlock(&cache->lock);
	if (cached) {
		if (check_expected(expect, cached->bytes, NULL) == 0) {
			*ret_block = &cached->block;
			return 0;
		}
		/* Another copy may be the one that is wanted here. */
		block_put(&cached->block);
	}
	cached = cached_new(cache);
	if (!cached)
		return diag_no_memory(d, "a tree block");
	err = read_any_copy(cache, expect, cached->bytes, d);
	if (err) {
		free(cached);
		return err;
	}
	cached_fill_in(cached, expect->logical);
	pthread_mutex_lock(&cache->lock);
	cached_insert(cache, cached);
	pthread_mutex_unlock(&cache->lock);
	*ret_block = &cached->block;
	return 0;
}
