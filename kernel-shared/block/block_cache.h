/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verified tree blocks, shared and bounded.
 *
 * A block is handed out only when its checksum, address, fsid and level are right, when it is what its parent
 * said (generation, owner, first key, the key where the next subtree begins), and when block_check() finds nothing
 * wrong in its items. Every copy is tried; bad ones that another replaced are told through diag_note().
 *
 * All functions may be called from several threads at once, but for those that change blocks: then nobody else uses the
 * cache.
 */
#ifndef BTRKIT_KERNEL_SHARED_BLOCK_BLOCK_CACHE_H
#define BTRKIT_KERNEL_SHARED_BLOCK_BLOCK_CACHE_H

#include "common/base/cleanup.h"
#include "common/base/diag.h"
#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"
#include "kernel-shared/volume/volume.h"

/* A block that somebody holds. Never changes while it is held, unless it is dirty. */
struct tree_block {
	u64 logical;
	u64 generation;
	u64 owner;
	u32 nritems;
	u8 level;
	bool is_dirty; /* made or changed by the running transaction, not on disk */
	const u8 *data; /* nodesize bytes; read it with format/leaf.h */
};

/* What the one who points to a block says about it. */
struct block_expect {
	u64 logical;
	int level; /* -1: any */
	u64 generation; /* 0: any */
	u64 tree_id; /* 0: any. A subvolume's blocks may belong to another subvolume (snapshots) */
	const struct key *first_key; /* NULL: any */
	const struct key *limit; /* every key sorts before it; NULL: no limit */
};

struct block_cache;

/*
 * @volume must outlive the cache. @check: what block_check() is told of the filesystem; copied. @fsid: as in block
 * headers. @max_bytes: kept beyond those that are held.
 */
int block_cache_new(struct volume *volume, const struct block_check_params *check, const struct csum_kind *csum,
		    const u8 *fsid, size_t max_bytes, struct block_cache **ret_cache);
/* No block may be held any more. */
void block_cache_free(struct block_cache *cache);
DEFINE_FREEP(struct block_cache *, block_cache_free)

/* The filesystem gets another fsid: blocks of before, which name the old one, have to be those of a seed from now on. */
void block_cache_set_fsid(struct block_cache *cache, const u8 *fsid);

/* The chunk tree's uuid, once it is known: from then on a block with another one is told of, once. */
void block_cache_set_chunk_tree_uuid(struct block_cache *cache, const u8 *uuid);

/*
 * From now on blocks are handed out also when some of their items are bad: whoever reads an item checks its size, or calls
 * block_check_item(). Before the cache is shared with other threads.
 */
void block_cache_accept_bad_items(struct block_cache *cache);

struct volume *block_cache_volume(const struct block_cache *cache);
u32 block_cache_nodesize(const struct block_cache *cache);

/* Take a block; give it back with block_put(). -EUCLEAN, -EIO: no copy is good, the text says what is wrong with the first. */
int block_get(struct block_cache *cache, const struct block_expect *expect, struct tree_block **ret_block,
	      struct diag *d);
void block_put(struct tree_block *block); /* NULL allowed */
DEFINE_FREEP(struct tree_block *, block_put)

/*
 * Read and judge one copy (1..volume_nr_mirrors()) into @buf, nodesize bytes, past the cache: what a checker needs that
 * looks at every copy.
 */
int block_read_copy(struct block_cache *cache, const struct block_expect *expect, unsigned mirror, u8 *buf,
		    struct diag *d);

/*
 * The same for bytes that the caller has read: checksum, identity, shape and what @expect says, but not the items, which
 * are for block_check_item(). -EUCLEAN with what is wrong.
 */
int block_judge_shape(struct block_cache *cache, const struct block_expect *expect, const u8 *block, struct diag *d);
/* What block_check_item() is told of this filesystem. */
const struct block_check_params *block_cache_check_params(const struct block_cache *cache);

/* --- Dirty blocks (dirty_blocks.c): what a transaction has made ------------------------------------------------ */

/*
 * Dirty blocks stay in the cache, and are found by everybody who asks for their address, until they are written or
 * dropped. They have no right checksum before block_cache_finish_dirty().
 */

/*
 * A dirty block of zeroes with a header, held. Takes the place of whatever was known of its address. Nothing of it is on
 * disk, and its address must not be in use there.
 */
int block_new(struct block_cache *cache, const struct block_identity *id, u64 logical, u64 owner, u8 level,
	      struct tree_block **ret_block, struct diag *d);

/* The bytes of a dirty block, to be changed with format/leaf_edit.h; then block_changed(). */
static inline u8 *block_bytes(struct tree_block *block)
{
	return (u8 *)block->data;
}

/* Tell that the number of items of a dirty block has changed. */
static inline void block_changed(struct tree_block *block)
{
	block->nritems = block_nritems(block->data);
}

/* The dirty block of that address, not held, or NULL. */
struct tree_block *block_find_dirty(struct block_cache *cache, u64 logical);

/* Forget a dirty block, which is no longer needed; whoever holds it may let go of it later. */
void block_drop_dirty(struct tree_block *block);

/* Forget all dirty blocks. */
void block_cache_drop_dirty(struct block_cache *cache);

size_t block_cache_nr_dirty(const struct block_cache *cache);

/*
 * All dirty blocks, ascending by address, valid until one is made or dropped. Their order in the array is kept for
 * block_finish_dirty().
 */
struct tree_block *const *block_cache_sort_dirty(struct block_cache *cache);

/* Judge a dirty block as a reader would, and put its checksum in. May run for different blocks in several threads. */
int block_finish_dirty(struct block_cache *cache, struct tree_block *block, struct diag *d);

/* All dirty blocks are on disk now, and generation is the superblock's. They stay in the cache as any others. */
void block_cache_settle_dirty(struct block_cache *cache, u64 generation);

/* Is @id the tree of a subvolume: the top one, or one that a user made? */
static inline bool tree_id_is_subvol(u64 id)
{
	return id == FS_TREE_OBJECTID || (id >= FIRST_FREE_OBJECTID && id <= LAST_FREE_OBJECTID);
}

#endif
