/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emptying block groups: what the files move_extents*.c share.
 *
 * The trees of subvolumes share blocks, and are a graph without cycles. Its blocks that lie in a group that is emptied,
 * those leaves that refer to data there, and all blocks above these get other addresses, each once, with the same
 * content but for the addresses in it, so that what was shared stays shared. They keep their generations, so that
 * everything that is concluded from these stays right (txn/move.h).
 *
 * A sweep over all subvolumes finds out which blocks lead into the groups, and marks them; and it collects which leaves
 * refer to which data extents. Then batches of extents are moved, each with all references to them, in one transaction.
 * A batch follows the marks down from the roots, and knows nothing of the rest.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_MOVE_EXTENTS_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_MOVE_EXTENTS_H

#include "kernel-shared/relocate/block_marks.h"
#include "kernel-shared/relocate/relocate.h"
#include "kernel-shared/txn/move.h"

/* A data extent in one of the groups. */
struct moving_extent {
	u64 logical;
	u64 to; /* where the batch moves it */
	u32 nr_sectors;
	u32 nr_refs; /* file extents that refer to it */
	u32 first_leaf; /* in moving.leaves */
	bool is_written; /* not only reserved */
};

/* A leaf, by a number of its own, has file extents that refer to an extent, by its index. */
struct extent_in_leaf {
	u32 extent, leaf;
};

/* Of tree blocks that a transaction makes anew: they stay in memory until the commit. */
#define MOVING_BATCH_BYTES (16 * MIB)

struct group_range {
	u64 logical, end;
};

struct moving {
	struct relocate *relocate;
	struct btrkit_fs *fs;
	struct txn *txn;
	u32 nodesize, sectorsize;
	u32 batch_blocks; /* that a transaction moves at most */
	ARRAY(struct group_range) groups; /* by logical */
	ARRAY(struct tree_root *) subvols;
	ARRAY(u64) others; /* ids of trees that share nothing */
	ARRAY(struct moving_extent) extents; /* by logical */
	ARRAY(struct extent_in_leaf) leaves; /* by extent */
	u32 nr_leaves; /* that have a number */
	struct block_marks marks; /* blocks of subvolumes that lie in the groups, or lead there */
};

/* Does it lie in one of the groups? */
bool moving_is_inside(const struct moving *moving, u64 logical);
/* -ECANCELED: somebody wants it to end. */
int moving_is_cancelled(const struct moving *moving, struct diag *d);
/* The data extent at @logical, or NULL. */
struct moving_extent *moving_find_extent(const struct moving *moving, u64 logical);

static inline u64 moving_extent_bytes(const struct moving *moving, const struct moving_extent *extent)
{
	return (u64)extent->nr_sectors * moving->sectorsize;
}

/*
 * The place of a file extent item in a leaf, if it refers to data that is not a hole and not in the leaf itself: its
 * extent, and the file offset at which that would begin.
 */
struct leaf_data_ref {
	u64 logical, len;
	u64 objectid, offset;
	u64 extent_offset, num_bytes; /* the part that it refers to, of what is in the extent */
	bool is_written;
	bool is_plain; /* its bytes are as in the file */
};
bool leaf_data_ref_get(const u8 *leaf, u32 slot, struct leaf_data_ref *ret_ref);

/* --- move_extents_caches.c ---------------------------------------- */

/* Free space caches of the first version that lie in the groups, or are about them, go; Linux makes them anew. Commits.
 */
int move_extents_drop_caches(struct moving *moving, struct diag *d);

/* --- move_extents_trees.c ---------------------------------------- */

/* Blocks of the trees that share nothing are copied elsewhere. Commits as it goes. */
int move_extents_of_trees(struct moving *moving, struct diag *d);

/* --- move_extents_descent.c ---------------------------------------- */

/*
 * A walk down the blocks of all subvolumes. What is found out about a block is a set of bits, of which its parents have those of
 * all their children; who walks remembers them, as a block may have several parents.
 */
struct moving_descent {
	/* 0: read the block; 1: do not, *found has what is known of it. */
	int (*enter)(void *ctx, const struct block_expect *expect, unsigned *found, struct diag *d);
	int (*look_at_leaf)(void *ctx, const struct tree_block *leaf, unsigned *found, struct diag *d);
	/* Of a block that was read, after all below it. */
	int (*leave)(void *ctx, const struct block_expect *expect, unsigned *found, struct diag *d);
	void *ctx;
};
int moving_descend(struct moving *moving, const struct moving_descent *descent, struct diag *d);

/* --- move_extents_sweep.c ---------------------------------------- */

/* Find all data extents in the groups, what refers to them, and mark the blocks of subvolumes. Changes nothing. */
int move_extents_sweep(struct moving *moving, struct diag *d);

/* --- move_extents_blocks.c ---------------------------------------- */

/* A block of subvolumes on the way to what is moved. */
struct moving_block {
	u64 logical, to;
	u64 generation;
	u32 nr_refs; /* that were seen */
	u32 more; /* in moving_batch.parts, plus 1, if it has become several; 0: no */
	u8 level;
	bool is_moving;
	bool is_left; /* it leads into the groups after the batch, too */
	bool is_full; /* its references are recorded by its address */
};

/* A further block that one has become, as its items have become more. */
struct moving_part {
	u64 to;
	u32 more; /* the next, plus 1 */
};

/* A part of a data extent that gets a place of its own. */
struct extent_piece {
	u64 from, to;
	u32 nr_sectors;
};

/* What is moved in one transaction: some extents, or some blocks. */
struct moving_batch {
	struct moving *moving;
	size_t first, end; /* of moving.extents */
	size_t max_blocks; /* that lie in the groups and need not be moved for another reason */
	ARRAY(struct moving_block) blocks; /* that were looked at */
	u32 *slots; /* a hash table of them, plus 1 */
	size_t nr_slots;
	ARRAY(u32) order; /* of those that move, children first */
	ARRAY(struct moving_part) parts;
	/* Of one extent for which there is no place as a whole: */
	bool is_split;
	u64 *covered; /* sectors of it that files refer to */
	ARRAY(struct extent_piece) pieces; /* ascending */
	size_t nr_inside; /* of these, those in the groups */
};

void moving_batch_done(struct moving_batch *batch);
/* Which blocks move? Compares references that are found with those that are recorded: -EUCLEAN. Changes nothing. */
int moving_batch_plan(struct moving_batch *batch, struct diag *d);
/* Move them, and the references to extents, which have their new places. -ENOSPC. */
int moving_batch_rewrite(struct moving_batch *batch, struct diag *d);
/* After the commit: marks of the new addresses in place of the old. -ENOMEM. */
int moving_batch_mark(const struct moving_batch *batch, struct diag *d);

/* A block that is being rewritten. */
struct rewriting {
	struct moving_batch *batch;
	struct moving_block *block;
	const struct tree_block *from;
	struct tree_block *to;
	u64 from_parent, to_parent; /* of what it refers to; 0: that is recorded by its owner */
};
struct moving_block *moving_batch_find(const struct moving_batch *batch, u64 logical);
/* Of a block that has been rewritten. */
struct key rewritten_first_key(const struct moving_batch *batch, u64 to);
/* A reference of a node from one place to another, by the old and by the new node. */
int rewriting_drop_child(const struct rewriting *it, u64 logical, struct diag *d);
int rewriting_add_child(const struct rewriting *it, u64 logical, struct diag *d);
/* The same of a leaf; ref->offset: as in the item. */
int rewriting_drop_data(const struct rewriting *it, const struct leaf_data_ref *ref, struct diag *d);
int rewriting_add_data(const struct rewriting *it, const struct leaf_data_ref *ref, struct diag *d);

/* --- move_extents_split.c ---------------------------------------- */

/* Note what an item of a leaf needs of the extent. -EOPNOTSUPP: it cannot be cut. */
int moving_batch_cover(struct moving_batch *batch, const struct leaf_data_ref *ref, struct diag *d);
/* Places for the pieces. -ENOSPC. */
int moving_batch_place_pieces(struct moving_batch *batch, const struct extent_info *info, struct diag *d);
/* Rewrite a block with more items than it had. */
int rewriting_split_leaf(struct rewriting *it, struct diag *d);
int rewriting_split_node(struct rewriting *it, struct diag *d);

/* --- move_extents_data.c ---------------------------------------- */

/* Places for the extents of a batch. -ENOSPC. */
int moving_batch_place_data(struct moving_batch *batch, struct diag *d);
/* Copies of their content, and of their checksums. */
int moving_batch_copy_data(const struct moving_batch *batch, struct diag *d);

#endif
