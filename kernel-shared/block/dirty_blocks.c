/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks that a transaction has made and that are not on disk yet. */
#include "kernel-shared/block/cached_block.h"

static struct cached_block *cached_of(struct tree_block *block)
{
	return container_of(block, struct cached_block, block);
}

int block_new(struct block_cache *cache, const struct block_identity *id, u64 logical, u64 owner, u8 level,
	      struct tree_block **ret_block, struct diag *d)
{
	struct cached_block *cached;

	if (array_reserve(&cache->dirty, 1) < 0)
		return diag_no_memory(d, "changed tree blocks");
	cached = cached_new(cache);
	if (!cached)
		return diag_no_memory(d, "a tree block");
	block_init(cached->bytes, id, logical, owner, level);
	cached_fill_in(cached, logical);
	cached->refs = 2; /* the caller's, and that of being dirty */
	cached->block.is_dirty = true;
	cached->dirty_index = cache->dirty.len;
	cache->dirty.items[cache->dirty.len++] = &cached->block;
	pthread_mutex_lock(&cache->lock);
	cached_insert(cache, cached);
	pthread_mutex_unlock(&cache->lock);
	*ret_block = &cached->block;
	return 0;
}

struct tree_block *block_find_dirty(struct block_cache *cache, u64 logical)
{
	struct cached_block *cached;
	LOCK_SCOPE(&cache->lock);

	cached = cached_find(cache, logical);
	return cached && cached->block.is_dirty ? &cached->block : NULL;
}

/* No longer dirty, and out of the table: what it held is on no disk. */
static void forget(struct block_cache *cache, struct tree_block *block)
{
	struct cached_block *cached = cached_of(block);
	LOCK_SCOPE(&cache->lock);

	block->is_dirty = false;
	if (cached->is_hashed)
		cached_unhash(cache, cached);
	cached_drop(cache, cached);
}

void block_drop_dirty(struct tree_block *block)
{
	struct cached_block *cached = cached_of(block);
	struct block_cache *cache = cached->cache;
	struct tree_block *last = cache->dirty.items[--cache->dirty.len];

	cache->dirty.items[cached->dirty_index] = last;
	cached_of(last)->dirty_index = cached->dirty_index;
	forget(cache, block);
}

void block_cache_drop_dirty(struct block_cache *cache)
{
	array_for_each (&cache->dirty, block)
		forget(cache, *block);
	cache->dirty.len = 0;
}

size_t block_cache_nr_dirty(const struct block_cache *cache)
{
	return cache->dirty.len;
}

static int by_logical(const void *a, const void *b)
{
	const struct tree_block *const *x = a, *const *y = b;

	return (*x)->logical < (*y)->logical ? -1 : (*x)->logical > (*y)->logical;
}

struct tree_block *const *block_cache_sort_dirty(struct block_cache *cache)
{
	array_sort(&cache->dirty, by_logical);
	for (size_t i = 0; i < cache->dirty.len; i++)
		cached_of(cache->dirty.items[i])->dirty_index = i;
	return cache->dirty.items;
}

int block_finish_dirty(struct block_cache *cache, struct tree_block *block, struct diag *d)
{
	int err = block_check(&cache->check, block->data, block->logical, d);

	if (err)
		return diag_context(d, err, "refusing to write");
	block_finish(block_bytes(block), cache->nodesize, cache->csum);
	return 0;
}

void block_cache_settle_dirty(struct block_cache *cache, u64 generation)
{
	LOCK_SCOPE(&cache->lock);

	array_for_each (&cache->dirty, block) {
		(*block)->is_dirty = false;
		cached_drop(cache, cached_of(*block));
	}
	cache->dirty.len = 0;
	cache->check.super_generation = generation;
}
