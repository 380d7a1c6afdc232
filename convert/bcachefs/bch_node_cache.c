/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_node_cache.h"

#include "convert/bcachefs/bch_fs.h"

#define NR_BUCKETS 1024

struct cached_node {
	struct bch_node *node; /* owned */
	u8 device; /* what it was asked for by */
	u64 physical, seq;
	u32 bytes_written;
	unsigned refs;
	size_t bytes;
	struct cached_node *hash_next;
	struct cached_node *older, *newer; /* among those that nobody holds */
};

struct bch_node_cache {
	pthread_mutex_t lock; /* of all that follows */
	size_t max_bytes, idle_bytes;
	struct cached_node *oldest, *newest; /* idle ones */
	struct cached_node *buckets[NR_BUCKETS];
};

struct bch_node_cache *bch_node_cache_new(size_t max_bytes)
{
	struct bch_node_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->max_bytes = max_bytes;
	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

static void cached_free(struct cached_node *cached)
{
	bch_node_free(cached->node);
	free(cached);
}

void bch_node_cache_free(struct bch_node_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < NR_BUCKETS; i++)
		while (cache->buckets[i]) {
			struct cached_node *next = cache->buckets[i]->hash_next;

			cached_free(cache->buckets[i]);
			cache->buckets[i] = next;
		}
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

size_t bch_node_bytes(const struct bch_node *node)
{
	return sizeof(*node) + node->raw_bytes + node->keys.cap * sizeof(*node->keys.items);
}

/* --- With the lock held ---------------------------------------------------------------------------------------- */

static struct cached_node **bucket_of(struct bch_node_cache *cache, u8 device, u64 physical)
{
	u64 hash = ((physical >> 9) + device) * 0x9E3779B97F4A7C15ULL;

	return &cache->buckets[(hash >> 32) % NR_BUCKETS];
}

static bool is_what_is_wanted(const struct cached_node *cached, u8 btree, u8 level, const struct bch_node_ptr *ptr)
{
	return cached->physical == ptr->replica[0].physical && cached->device == ptr->replica[0].device &&
	       cached->seq == ptr->seq && cached->bytes_written == ptr->bytes_written && cached->node->btree == btree &&
	       cached->node->level == level && bch_pos_compare(&cached->node->max, &ptr->max) == 0 &&
	       (!ptr->has_min || bch_pos_compare(&cached->node->min, &ptr->min) == 0);
}

static struct cached_node *find(struct bch_node_cache *cache, u8 btree, u8 level, const struct bch_node_ptr *ptr)
{
	struct cached_node *cached = *bucket_of(cache, ptr->replica[0].device, ptr->replica[0].physical);

	while (cached && !is_what_is_wanted(cached, btree, level, ptr))
		cached = cached->hash_next;
	return cached;
}

static void leave_idle(struct bch_node_cache *cache, struct cached_node *cached)
{
	*(cached->older ? &cached->older->newer : &cache->oldest) = cached->newer;
	*(cached->newer ? &cached->newer->older : &cache->newest) = cached->older;
	cached->older = cached->newer = NULL;
	cache->idle_bytes -= cached->bytes;
}

static void enter_idle(struct bch_node_cache *cache, struct cached_node *cached)
{
	cached->older = cache->newest;
	cached->newer = NULL;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = cached;
	cache->newest = cached;
	cache->idle_bytes += cached->bytes;
}

static void shrink(struct bch_node_cache *cache)
{
	while (cache->idle_bytes > cache->max_bytes && cache->oldest) {
		struct cached_node *victim = cache->oldest, **link = bucket_of(cache, victim->device, victim->physical);

		leave_idle(cache, victim);
		while (*link != victim)
			link = &(*link)->hash_next;
		*link = victim->hash_next;
		cached_free(victim);
	}
}

static const struct bch_node *hold(struct bch_node_cache *cache, struct cached_node *cached)
{
	if (cached->refs++ == 0)
		leave_idle(cache, cached);
	return cached->node;
}

/* ---------------------------------------------------------------------------------------------------------------- */

static const struct bch_node *get_cached(struct bch_node_cache *cache, u8 btree, u8 level, const struct bch_node_ptr *ptr)
{
	struct cached_node *cached;

	LOCK_SCOPE(&cache->lock);
	cached = find(cache, btree, level, ptr);
	return cached ? hold(cache, cached) : NULL;
}

/* Another thread may have been faster: then its node is the one, and @cached goes. */
static const struct bch_node *insert(struct bch_node_cache *cache, struct cached_node *cached, const struct bch_node_ptr *ptr)
{
	struct cached_node *other, **bucket;

	LOCK_SCOPE(&cache->lock);
	other = find(cache, cached->node->btree, cached->node->level, ptr);
	if (other) {
		cached_free(cached);
		return hold(cache, other);
	}
	bucket = bucket_of(cache, cached->device, cached->physical);
	cached->hash_next = *bucket;
	*bucket = cached;
	cached->refs = 1;
	return cached->node;
}

int bch_node_get(struct bch_fs *fs, u8 btree, u8 level, const struct bch_node_ptr *ptr, const struct bch_node **ret_node, struct diag *d)
{
	const struct bch_node *node = get_cached(fs->cache, btree, level, ptr);
	struct cached_node *cached;
	int err;

	if (node) {
		*ret_node = node;
		return 0;
	}
	cached = calloc(1, sizeof(*cached));
	if (!cached)
		return diag_no_memory(d, "a node of a btree");
	err = bch_node_read(fs, btree, level, ptr, -1, &cached->node, d);
	if (err) {
		free(cached);
		return err;
	}
	cached->node->cached = cached;
	cached->device = ptr->replica[0].device;
	cached->physical = ptr->replica[0].physical;
	cached->seq = ptr->seq;
	cached->bytes_written = ptr->bytes_written;
	cached->bytes = bch_node_bytes(cached->node) + sizeof(*cached);
	*ret_node = insert(fs->cache, cached, ptr);
	return 0;
}

void bch_node_put(struct bch_fs *fs, const struct bch_node *node)
{
	struct bch_node_cache *cache = fs->cache;
	struct cached_node *cached;

	if (!node)
		return;
	LOCK_SCOPE(&cache->lock);
	cached = node->cached;
	if (--cached->refs > 0)
		return;
	enter_idle(cache, cached);
	shrink(cache);
}
