/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of a transaction, for txn/ alone. */
#ifndef BTRKIT_KERNEL_SHARED_TXN_TXN_STATE_H
#define BTRKIT_KERNEL_SHARED_TXN_TXN_STATE_H

#include "kernel-shared/space/block_groups.h"
#include "kernel-shared/txn/delayed_refs.h"
#include "kernel-shared/txn/move.h"
#include "kernel-shared/txn/reshape.h"

/* A tree that the transaction knows. */
struct txn_root {
	struct tree_root root;
	struct tree committed; /* as on disk */
	bool has_item; /* a root item: all but the root tree and the chunk tree */
	u64 item_offset; /* of its key */
	struct disk_root_item item, committed_item;
	bool is_item_changed;
	bool is_new; /* made by this transaction */
	bool is_deleted; /* by this transaction */
};

/* A device that the filesystem has. */
struct txn_device {
	struct disk_dev_item item, committed_item;
	struct device *device; /* of the volume's set */
	u64 limit_bytes; /* new chunks keep below it */
	bool is_seed;
	bool is_changed; /* the item in the chunk tree is not this one yet */
	bool is_new, is_removed, is_swapped; /* by this transaction */
	bool is_recorded; /* a new one has its item */
	struct blockdev *swapped_out; /* what it was before */
};

/* A chunk that this transaction has given other stripes or another length, or removed. */
struct changed_chunk {
	struct chunk *old; /* owned: as on disk */
	struct block_group *group; /* of one that was removed; owned */
	bool is_recorded; /* in the trees */
};

/* Profile of new chunks of a type. */
struct profile_rule {
	u64 type, profile;
	bool is_set;
};

/* What simple quotas charge a subvolume with, or give back. */
struct quota_delta {
	u64 root;
	s64 bytes;
};

struct txn {
	struct block_source source;
	struct txn_target target;
	struct disk_super super; /* as it will be written */
	struct block_identity id; /* of new blocks */
	ARRAY(struct txn_root *) roots;
	ARRAY(struct txn_device) devices;
	struct block_groups groups;
	struct delayed_refs delayed;
	ARRAY(struct quota_delta) quota_deltas; /* in no order */
	bool has_simple_quotas;
	u64 simple_quotas_since; /* extents of this generation and newer are counted */
	ARRAY(u64) new_chunks; /* logical; in the chunk map, not yet in the trees */
	ARRAY(struct changed_chunk) changed_chunks;
	struct {
		struct profile_rule profiles[3]; /* of data, system, metadata */
	} rules;
	bool is_skinny;
	bool has_block_group_tree;
	bool has_free_space_tree;
	bool may_use_reserve; /* what is kept for commits may be taken */
	bool is_changed;
	bool is_sys_array_stale; /* system chunks have come, gone or changed */
	bool is_lost; /* to write superblocks has failed: what is on disk is not known */
};

/* --- txn.c ---------------------------------------- */

/* -ESHUTDOWN: to write superblocks has failed, so that nothing may be written any more. */
int txn_is_usable(const struct txn *txn, struct diag *d);

/* --- judge_chunks.c ---------------------------------------- */

/* -ENODEV, -EUCLEAN: some chunk must not be written to. */
int txn_judge_chunks(const struct txn *txn, struct diag *d);

/* --- roots.c ---------------------------------------- */

void txn_roots_done(struct txn *txn);
void txn_roots_revert(struct txn *txn);
void txn_roots_settle(struct txn *txn);
/* Write the root items of trees whose roots have moved. *ret_did: something was written. */
int txn_write_root_items(struct txn *txn, bool *ret_did, struct diag *d);

static inline struct txn_root *txn_root_of(struct tree_root *root)
{
	return container_of(root, struct txn_root, root);
}

/* Has a deletion of the tree been interrupted? Blocks before its drop_progress are free, though nodes point to them. */
static inline bool txn_is_half_deleted(const struct txn_root *root)
{
	const struct disk_key *at = &root->item.drop_progress;

	return le64_get(at->objectid) || at->type || le64_get(at->offset);
}

/* The tree that has the block group items. */
int txn_block_group_root(struct txn *txn, struct tree_root **ret_root, struct diag *d);

/* --- cow.c ---------------------------------------- */

extern const struct block_source_ops txn_source_ops;

/* Room for a tree block in a group of @type, perhaps in a new chunk. -ENOSPC. */
int txn_take_block_space(struct txn *txn, u64 type, u64 *ret_logical, struct diag *d);
/*
 * Add @delta to the references that @block makes: to its children, or of a leaf to data. @is_full: as by its address,
 * else as by its owner.
 */
int txn_change_block_refs(struct txn *txn, const struct tree_block *block, s64 delta, bool is_full, struct diag *d);
/* Give up the reference of tree @root, or of @parent, to @block. */
int txn_drop_block_ref(struct txn *txn, const struct tree_block *block, u64 root, u64 parent, struct diag *d);
/* With @bytes less, would there be less metadata space than is kept for commits? */
bool txn_is_short_of_metadata(const struct txn *txn, u64 bytes);
/* References of @block are by its address from now on. */
int txn_set_full_backref(struct txn *txn, const struct tree_block *block, struct diag *d);

/* --- chunk_alloc.c ---------------------------------------- */

/* A new chunk for groups of @type: usable at once, recorded by the commit. -ENOSPC: devices have no room for it. */
int txn_alloc_chunk(struct txn *txn, u64 type, struct diag *d);
/* Put the items of new chunks into the trees, and those of devices that have changed. */
int txn_record_chunks(struct txn *txn, bool *ret_did, struct diag *d);
/* New chunks go from the chunk map. */
void txn_revert_chunks(struct txn *txn);
/* Of the block groups of a type, the profile that a new one gets. */
u64 txn_profile_of(const struct txn *txn, u64 type);

/* System chunks in the superblock, when all else is done: those of seeds that are empty are not among them. */
int txn_write_sys_array(struct txn *txn, struct diag *d);

/* Put items into the trees: of a chunk, and of its parts of devices. */
int txn_put_chunk_item(struct txn *txn, const struct chunk *chunk, struct diag *d);
int txn_put_device_extents(struct txn *txn, const struct chunk *chunk, struct diag *d);
/* And of its block group: for the free space tree all of it is free. */
int txn_record_group(struct txn *txn, const struct chunk *chunk, struct diag *d);

/* --- chunk_change.c ---------------------------------------- */

/* Take the item of @key out of a tree in which no edit stands. -ENOENT. */
int txn_delete_item(struct tree_root *root, const struct key *key, struct diag *d);
int txn_record_chunk_changes(struct txn *txn, bool *ret_did, struct diag *d);
/* After a commit, and instead of one. */
void txn_settle_chunk_changes(struct txn *txn);
void txn_revert_chunk_changes(struct txn *txn);

/* --- device_change.c ---------------------------------------- */

int txn_record_devices(struct txn *txn, bool *ret_did, struct diag *d);
void txn_settle_devices(struct txn *txn);
void txn_revert_devices(struct txn *txn);
/* Find the devices of the volume's set anew, after it has changed. */
void txn_relink_devices(struct txn *txn);
/* Add @sign times the stripes of @chunk to what its devices have in use. */
void txn_count_stripes(struct txn *txn, const struct chunk *chunk, int sign);

/* --- device_space.c ---------------------------------------- */

/* NULL: none, or it was removed. */
struct txn_device *txn_device_of(struct txn *txn, u64 devid);

struct all_holes {
	struct device_holes *devices;
	size_t nr;
	u64 total_bytes; /* of these devices */
};
/* Of all devices that may have new chunks. @is_off_supers: not where superblocks are.
 * all_holes_done() in any case. */
int txn_all_holes(struct txn *txn, bool is_off_supers, struct all_holes *ret_holes, struct diag *d);
void all_holes_done(struct all_holes *holes);
/* Do the rules allow a stripe where it is? */
bool txn_stripe_may_stay(struct txn *txn, const struct chunk_stripe *stripe, u64 stripe_bytes);

/* --- quotas.c ---------------------------------------- */

/* What kind of quotas there are. */
int txn_load_quotas(struct txn *txn, struct diag *d);
/*
 * Note an extent that subvolume @root has allocated (@bytes positive) or that it had allocated in @generation and that
 * has gone. Nothing where quotas are not simple.
 */
int txn_charge(struct txn *txn, u64 root, u64 generation, s64 bytes, struct diag *d);
/* The numbers of simple quotas; others are marked as not exact any more. At the beginning of a commit, and once more.
 */
int txn_write_quotas(struct txn *txn, bool *ret_did, struct diag *d);
int txn_mark_quotas(struct txn *txn, struct diag *d);
/* The quota group that each subvolume has. */
int txn_add_quota_group(struct txn *txn, u64 id, struct diag *d);

/* --- run_refs.c ---------------------------------------- */

/* Bring the extent tree up to date with all references. */
int txn_run_refs(struct txn *txn, bool *ret_did, struct diag *d);

/* --- mend.c ---------------------------------------- */

/* As struct volume has it; @ctx is the transaction. */
int txn_mend(void *ctx, u64 logical, u8 *buf, size_t len, struct diag *d);
bool txn_has_kept(void *ctx, u64 logical, u64 len);

/* --- write.c ---------------------------------------- */

/* Write all dirty blocks. */
int txn_write_blocks(struct txn *txn, struct diag *d);
/* Flush, and make this transaction the filesystem's state. */
int txn_write_supers(struct txn *txn, struct diag *d);

#endif
