/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions: an existing filesystem changes only by copy-on-write, and the change becomes visible in one superblock
 *write behind a flush. A crash leaves the state before or the state after.
 *
 *	err = txn_new(&target, &txn, d);
 *	...
 *	err = txn_tree(txn, subvol, &root, d);
 *	... edit_insert(), txn_add_data_ref(), ...
 *	err = txn_commit(txn, d);
 *	txn_free(txn);
 *
 * What is changed is kept in memory until the commit, but for file data, which may be written at once to what
 * txn_alloc_data() gave. Whoever asks the block cache for blocks sees the changed ones. Space that is freed is not used
 *again before the commit. When any function fails with something else than what its comment allows, the transaction has
 *to be aborted; nothing has happened on disk then.
 *
 * One thread at a time.
 */
#ifndef BTRKIT_KERNEL_SHARED_TXN_TXN_H
#define BTRKIT_KERNEL_SHARED_TXN_TXN_H

#include "kernel-shared/tree/edit.h"

struct txn;

/* The filesystem that is changed; all of it must outlive the transaction. */
struct txn_target {
	struct volume *volume;
	struct block_cache *cache;
	const struct csum_kind *csum;
	struct disk_super *super; /* as on disk; a commit replaces it */
	struct tree *root_tree, *chunk_tree; /* follow the changes */
	/* Devices may be missing: nothing new is put into chunks that have a part there, and they
	 * get no superblock. */
	bool may_be_degraded;
	/* Chunks may reach beyond the ends of their devices: the same of these. */
	bool may_reach_beyond;
	/* All devices are those of a seed, and @super and the set have another fsid already: the first of the new
	 * filesystem's own is added by this transaction. */
	bool is_sprouting;
};

/*
 * A transaction without changes. Refuses, with the reason, what cannot be changed safely: missing devices, seed devices
 * alone, features of which only reading is supported, an unreplayed log unless @has_log_plan (the caller replays it,
 * and has told txn_exclude() of what it holds). -EROFS, -EOPNOTSUPP, -EBUSY.
 */
int txn_new(const struct txn_target *target, bool has_log_plan, struct txn **ret_txn, struct diag *d);

/* Forget all changes since the last commit and free it. NULL allowed. */
void txn_free(struct txn *txn);
DEFINE_FREEP(struct txn *, txn_free)

/*
 * Write everything, and begin the next transaction. On failure nothing has changed on disk, unless it happened while
 * the superblocks were written: then either state may be found there (the text says so), and nothing can be changed
 * any more before the filesystem is opened again: -ESHUTDOWN. The transaction is aborted then.
 */
int txn_commit(struct txn *txn, struct diag *d);

/* Forget all changes since the last commit. All tree roots are as they were; edits have to be done before. */
void txn_abort(struct txn *txn);

/* This transaction frees more than it takes: it may use the metadata space that is kept for commits. */
void txn_use_reserve(struct txn *txn);

/* Of the blocks and items that this transaction makes: the superblock's generation, plus one. */
u64 txn_generation(const struct txn *txn);
/* Is there anything to commit? */
bool txn_has_changes(const struct txn *txn);
/* The superblock as the commit will write it; other fields than those of space and roots may be changed. */
struct disk_super *txn_super(struct txn *txn);
/* [logical, logical + len) is never to be allocated, though nothing uses it: blocks and data of a log. Before any
 * change. */
int txn_exclude(struct txn *txn, u64 logical, u64 len, struct diag *d);

/* --- Trees (txn/roots.c) ---------------------------------------- */

/* A tree to be changed, the same object until txn_free(). -ENOENT: there is none with that id. */
int txn_tree(struct txn *txn, u64 id, struct tree_root **ret_root, struct diag *d);
/* The tree as it is now, for reading. -ENOENT. */
int txn_read_tree(struct txn *txn, u64 id, struct tree *ret_tree, struct diag *d);

/*
 * A new tree with an empty root, and its root item, of which the commit keeps generation, bytenr and level up to date;
 * the rest is for the caller to set with txn_root_item(). @offset: of the root item's key. -EEXIST.
 */
int txn_tree_create(struct txn *txn, u64 id, u64 offset, struct tree_root **ret_root, struct diag *d);
/*
 * A new subvolume that shares all blocks with @source, which must not have been changed since the last commit: -EBUSY.
 * Its root item is a copy of the source's, for the caller to change with txn_root_item(). @offset: when the snapshot is
 * deleted one day, blocks up to this generation are taken for those of the source, also by Linux. With the generation
 * of the transaction, as Linux has it, the snapshot can be changed only after the commit; with the one before, at once.
 */
int txn_tree_snapshot(struct txn *txn, struct tree_root *source, u64 id, u64 offset, struct tree_root **ret_root,
		      struct diag *d);
/* Delete a whole tree: its blocks, what only they refer to, and its root item. @root is gone after this. */
int txn_tree_delete(struct txn *txn, struct tree_root *root, struct diag *d);

/*
 * The root item of a tree, to be changed in place through *ret_item until the commit writes it (439 bytes, whatever the
 * disk has). Not of the root tree and the chunk tree.
 */
int txn_root_item(struct txn *txn, struct tree_root *root, struct disk_root_item **ret_item, struct diag *d);

/* --- Data extents (txn/data.c) ---------------------------------------- */

/*
 * Space for file data: up to @want_bytes (a multiple of sectors) in one piece, at least @min_bytes, and no more than these
 * or EXTENT_BYTES_MAX. It has to get a reference by txn_add_data_ref() before the commit, or be given back. -ENOSPC is
 * allowed.
 */
int txn_alloc_data(struct txn *txn, u64 want_bytes, u64 min_bytes, u64 *ret_logical, u64 *ret_len, struct diag *d);
/* The same at a given place, which must be free: -EEXIST if not, -EUCLEAN if no data chunk covers it. */
int txn_claim_data(struct txn *txn, u64 logical, u64 len, struct diag *d);
/* Give back space that has no reference. */
int txn_unalloc_data(struct txn *txn, u64 logical, u64 len, struct diag *d);

/* A reference of a file extent item to a data extent, by the tree and inode that hold it. */
struct data_ref {
	u64 logical, len; /* the whole extent: disk_bytenr, disk_num_bytes */
	u64 root, objectid;
	u64 offset; /* file offset of the item minus its offset into the extent */
	u64 parent; /* of a shared leaf (full back reference): its address, and root, objectid, offset do not count. 0:
		       none */
};

/* One more reference. @is_new: the extent was allocated in this transaction, and this is its first. */
int txn_add_data_ref(struct txn *txn, const struct data_ref *ref, bool is_new, struct diag *d);
/* One less. With the last the extent goes, and its checksums. */
int txn_drop_data_ref(struct txn *txn, const struct data_ref *ref, struct diag *d);
/*
 * How many references the extent has now: 0. That may be none, when they were dropped in this transaction and it can
 * get new ones. 1: there is no such extent. -EUCLEAN: another one begins there.
 */
int txn_data_refs(struct txn *txn, u64 logical, u64 len, u64 *ret_refs, struct diag *d);

#endif
