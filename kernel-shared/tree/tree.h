/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tree, found by its root block, and cursors that walk its items in key order.
 *
 * Whatever the blocks say, a walk ends: levels fall by one from parent to child, each child begins with the key that
 * its parent has for it and stays below the next one, so keys only ever rise and no block is met twice.
 *
 * A tree is a plain value and may be used by several threads; a cursor belongs to one.
 */
#ifndef BTRKIT_KERNEL_SHARED_TREE_TREE_H
#define BTRKIT_KERNEL_SHARED_TREE_TREE_H

#include "kernel-shared/block/block_cache.h"
#include "kernel-shared/format/leaf.h"

struct tree {
	struct block_cache *cache;
	u64 id;
	u64 root_logical;
	u64 generation; /* of the root block; 0: not known, any */
	int level; /* of the root block; -1: not known, any */
};

struct cursor_step {
	struct tree_block *block; /* held; NULL: not there */
	u32 slot;
};

struct cursor {
	struct tree tree;
	struct cursor_step path[LEVEL_MAX]; /* [level] */
	u8 root_level;
	bool is_positioned; /* on an item */
	/*
	 * Go on behind a subtree that cannot be read, telling of it with diag_note() and counting it, instead of failing.
	 */
	bool do_skip_damage;
	u64 nr_skipped;
};

static inline struct cursor cursor_init(const struct tree *tree)
{
	return (struct cursor){ .tree = *tree };
}

/* Let go of all blocks. The cursor may be used again. */
void cursor_done(struct cursor *cursor);

/*
 * Each of these returns 0 when the cursor stands on an item, 1 when there is none in that direction (the cursor then
 * stands nowhere), or a negative errno.
 */
int cursor_first(struct cursor *cursor, struct diag *d);
int cursor_last(struct cursor *cursor, struct diag *d);
int cursor_next(struct cursor *cursor, struct diag *d);
int cursor_prev(struct cursor *cursor, struct diag *d);
/* The first item at or after @key. */
int cursor_seek(struct cursor *cursor, const struct key *key, struct diag *d);
/* The last item at or before @key. */
int cursor_seek_back(struct cursor *cursor, const struct key *key, struct diag *d);
/* The item of exactly @key; 1: there is none. */
int cursor_find(struct cursor *cursor, const struct key *key, struct diag *d);

/* Of the item that the cursor stands on. The data stays valid until the cursor moves. */
static inline struct key cursor_key(const struct cursor *cursor)
{
	return leaf_key(cursor->path[0].block->data, cursor->path[0].slot);
}

static inline const void *cursor_data(const struct cursor *cursor)
{
	return leaf_item_data(cursor->path[0].block->data, cursor->path[0].slot);
}

static inline u32 cursor_data_bytes(const struct cursor *cursor)
{
	return leaf_item_bytes(cursor->path[0].block->data, cursor->path[0].slot);
}

/* Shorter for "is this still an item of that object and kind?" */
static inline bool cursor_is_at(const struct cursor *cursor, u64 objectid, u8 type)
{
	const struct key key = cursor_key(cursor);

	return key.objectid == objectid && key.type == type;
}

/*
 * Call @visit for each block of @tree, parents before children. @visit returns 0 to go on, 1 to leave out what is below
 * this block, or a negative errno, which ends the walk. A block that cannot be read ends the walk too, unless @damaged
 * is given: it is then called with what was expected and the diagnosis, and decides in the same way.
 */
struct tree_walk {
	int (*visit)(void *ctx, struct tree_block *block, struct diag *d);
	int (*damaged)(void *ctx, const struct block_expect *expect, const struct diag *why, struct diag *d);
	void *ctx;
};
int tree_walk(const struct tree *tree, const struct tree_walk *walk, struct diag *d);

#endif
