/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Extents that get another address and stay what they are: who shares them, how references to them are recorded, their
 * generation. What Linux concludes from the generation of a block or an extent (is it older than the last snapshot, so
 * that it may be shared?) stays right that way, for blocks as well as for data, whatever it is that refers to them.
 *
 * A caller moves a set of blocks and data extents with everything that refers to them, so that after a round of these
 * calls nothing refers to the old addresses any more:
 *
 *	txn_move_block(), txn_move_data()	a new address, without references so far
 *	txn_change_ref_to_block(), txn_add_data_ref(), txn_drop_data_ref()
 *						each reference goes from the old address to the new one
 *	txn_move_root()				the reference that is a subvolume's root
 *
 * Blocks that were moved must not be changed otherwise before the commit: they may be shared.
 */
#ifndef BTRKIT_KERNEL_SHARED_TXN_MOVE_H
#define BTRKIT_KERNEL_SHARED_TXN_MOVE_H

#include "kernel-shared/space/extent_item.h"
#include "kernel-shared/txn/txn.h"

/* References, generation and flags of a tree block, with the changes that wait. -EUCLEAN: it has no extent item. */
int txn_block_refs(struct txn *txn, u64 logical, struct extent_info *ret_info, struct diag *d);

/*
 * A copy of @block of a subvolume at a new address, with all that its header says, its generation too: dirty and held.
 * What it points to, and who points to it, is the caller's to change. @is_full: its references are recorded by its
 * address. -ENOSPC.
 */
int txn_move_block(struct txn *txn, const struct tree_block *block, bool is_full, struct tree_block **ret_copy,
		   struct diag *d);

/* Add @delta to the reference of a tree to one of its blocks, or (@parent) of a parent with full back references. */
int txn_change_ref_to_block(struct txn *txn, u64 logical, u8 level, u64 root, u64 parent, s64 delta, struct diag *d);

/* A block that another one points to. */
struct moved_child {
	struct key first_key;
	u64 logical, generation;
};
/*
 * The root block of @root was moved, and is now these @nr blocks of the same level; above several there will be a new
 * root. The tree cannot be changed before the commit. -EOVERFLOW: it would be too high.
 */
int txn_move_root(struct txn *txn, struct tree_root *root, const struct moved_child *children, u32 nr, struct diag *d);

/*
 * Space for a data extent of up to @want_bytes, at least @min_bytes, and the extent tree's record of it with what @info
 * says of the old one: its generation and who pays for it. Its first reference is not a new one for txn_add_data_ref().
 * -ENOSPC.
 */
int txn_move_data(struct txn *txn, u64 want_bytes, u64 min_bytes, const struct extent_info *info, u64 *ret_logical,
		  u64 *ret_len, struct diag *d);

#endif
