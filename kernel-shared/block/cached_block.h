/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of the block cache: its table, and the list of blocks that nobody holds. Private to block/. */
#ifndef BTRKIT_KERNEL_SHARED_BLOCK_CACHED_BLOCK_H
#define BTRKIT_KERNEL_SHARED_BLOCK_CACHED_BLOCK_H

#include "common/base/array.h"
#include "kernel-shared/block/block_cache.h"

struct cached_block {
	struct tree_block block;
	struct block_cache *cache;
	unsigned refs; /* a dirty block has one of its own */
	bool is_hashed; /* false: replaced by a better copy, goes away with its last user */
	size_t dirty_index; /* of a dirty block: its place in block_cache.dirty */
	struct cached_block *hash_next;
	struct cached_block *older, *newer; /* in the list of those that nobody holds */
	u8 bytes[];
};

struct block_cache {
	struct volume *volume;
	struct block_check_params check;
	const struct csum_kind *csum;
	u8 fsid[UUID_SIZE];
	u32 nodesize;
	size_t blocks_max;
	size_t nr_buckets; /* a power of two */
	bool accepts_bad_items;
	ARRAY(struct tree_block *) dirty; /* used by the one who changes blocks */

	pthread_mutex_t lock; /* guards all below, and refs and links of the blocks */
	struct cached_block **buckets;
	struct cached_block *oldest, *newest;
	size_t nr_blocks;
	u8 chunk_tree_uuid[UUID_SIZE];
	bool has_chunk_tree_uuid;
	bool has_told_uuid;
};

/* Each is called with the lock held. */

/* The block of that address in the table, or NULL. */
struct cached_block *cached_find(struct block_cache *cache, u64 logical);
/* Put a held block into the table; another one of its address gives way. */
void cached_insert(struct block_cache *cache, struct cached_block *cached);
/* Take it out of the table; it goes away with its last user. */
void cached_unhash(struct block_cache *cache, struct cached_block *cached);
/* Give up one reference. */
void cached_drop(struct block_cache *cache, struct cached_block *cached);

/* A block in memory of which only what tells about the bytes is to be set. NULL: no memory. */
struct cached_block *cached_new(struct block_cache *cache);
/* Set what tells about the bytes, which have been read or made. One reference. */
void cached_fill_in(struct cached_block *cached, u64 logical);

#endif
