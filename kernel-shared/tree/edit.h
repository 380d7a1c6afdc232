/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing a tree: items are inserted, resized and deleted; blocks are copied before they change, split when they are
 *full, merged when they are nearly empty.
 *
 *	struct edit edit = edit_init(root);
 *
 *	err = edit_insert(&edit, &key, sizeof(item), &data, d);
 *	if (!err)
 *		memcpy(data, &item, sizeof(item));
 *	...
 *	edit_done(&edit);
 *
 * An edit stands on a leaf of which the whole way down from the root is dirty. Several edits of one tree may be alive:
 *one that finds that another has changed the shape of the tree since looks up its place anew. Cursors do not: they end
 *before the tree they walk is changed. One thread at a time changes a filesystem.
 *
 * When a function fails, the tree may be left half changed: the transaction has to be aborted.
 */
#ifndef BTRKIT_KERNEL_SHARED_TREE_EDIT_H
#define BTRKIT_KERNEL_SHARED_TREE_EDIT_H

#include "kernel-shared/tree/block_source.h"
#include "kernel-shared/tree/tree.h"

/* A tree that may be changed. */
struct tree_root {
	struct tree tree; /* with its root as it is now */
	struct block_source *source;
	struct tree *published; /* follows @tree; NULL: nobody looks */
	u64 shape; /* counts changes that invalidate positions */
	bool is_changed; /* its root is another than that on disk */
	bool is_frozen; /* a snapshot of this transaction: it must not be changed before the commit */
	/* Of subvolumes: */
	bool is_shareable; /* snapshots may share blocks */
	u64 last_snapshot; /* blocks up to this generation may be shared */
};

struct edit {
	struct tree_root *root;
	struct cursor_step path[LEVEL_MAX]; /* [level] */
	u8 root_level;
	bool is_positioned;
	u64 shape; /* of the root when the path was made */
};

static inline struct edit edit_init(struct tree_root *root)
{
	return (struct edit){ .root = root };
}

/* Let go of all blocks. The edit may be used again. */
void edit_done(struct edit *edit);

/*
 * Stand on the item of @key: 0; or, where there is none, between items, at the slot where it would be: 1, and nothing
 * but edit_insert_here() and edit_step() may follow. Everything on the way is made dirty.
 */
int edit_seek(struct edit *edit, const struct key *key, struct diag *d);

/* From where edit_seek() has come to, to the first item at or after it: 0; 1: there is none. */
int edit_settle(struct edit *edit, struct diag *d);
/* edit_seek() and edit_settle(): stand on the first item at or after @key, or 1. */
int edit_seek_from(struct edit *edit, const struct key *key, struct diag *d);
/* Stand on the item after this one: 0; 1: there is none. */
int edit_next(struct edit *edit, struct diag *d);

static inline struct key edit_key(const struct edit *edit)
{
	return leaf_key(edit->path[0].block->data, edit->path[0].slot);
}

/* The data of the item stood on, to be changed in place; valid until the next change of the tree. */
static inline void *edit_data(const struct edit *edit)
{
	return (void *)leaf_item_data(edit->path[0].block->data, edit->path[0].slot);
}

static inline u32 edit_data_bytes(const struct edit *edit)
{
	return leaf_item_bytes(edit->path[0].block->data, edit->path[0].slot);
}

/*
 * Put in an item and stand on it. *ret_data is room for its @size bytes, to be filled before anything else is done with
 * the tree. -EEXIST: there is one with that key; -EOVERFLOW: no leaf can hold it.
 */
int edit_insert(struct edit *edit, const struct key *key, u32 size, void **ret_data, struct diag *d);
/* The same with the data ready made. */
int edit_put(struct edit *edit, const struct key *key, const void *data, u32 size, struct diag *d);
/* The same where edit_seek() returned 1 for @key. */
int edit_insert_here(struct edit *edit, const struct key *key, u32 size, void **ret_data, struct diag *d);

/* Give the item stood on another size: the front is kept, new bytes are zeroes. */
int edit_resize(struct edit *edit, u32 size, struct diag *d);
/* Another key, which sorts between the same neighbours, for the item stood on. */
int edit_set_key(struct edit *edit, const struct key *key, struct diag *d);

/*
 * Take out the item stood on. Afterwards the edit stands nowhere, or, *ret_is_on_next, on the item that followed; NULL:
 * the caller does not go on.
 */
int edit_delete(struct edit *edit, bool *ret_is_on_next, struct diag *d);

/* Take out the item of @key. -ENOENT. */
int edit_delete_key(struct edit *edit, const struct key *key, struct diag *d);

/* --- Between edit*.c ---------------------------------------- */

/* The first key of the block at @level has changed: tell those above. */
void edit_fix_first_key(struct edit *edit, u8 level);
/* Make @block the root. */
void edit_set_root(struct edit *edit, struct tree_block *block);
/* Hold the child at @slot of the path's node at @level, made dirty. */
int edit_take_child(struct edit *edit, u8 level, u32 slot, struct tree_block **ret_child, struct diag *d);
/* Make room in the leaf for an item of @size data bytes before the slot stood on; that may be in another leaf then. */
int edit_make_room(struct edit *edit, const struct key *key, u32 size, struct diag *d);
/* Blocks of the path that are nearly empty are merged with neighbours, or go. */
int edit_rebalance(struct edit *edit, struct diag *d);

#endif
