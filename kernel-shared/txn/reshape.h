/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a filesystem lies on, changed in a transaction: where new chunks go, chunks that get other stripes, become
 * shorter or go, devices that come, go or change their size. All of it becomes visible with the commit, and an abort forgets it.
 *
 * Space of devices that a change gives up is not used again before the commit, so that a crash finds the old state
 * whole.
 */
#ifndef BTRKIT_KERNEL_SHARED_TXN_RESHAPE_H
#define BTRKIT_KERNEL_SHARED_TXN_RESHAPE_H

#include "kernel-shared/txn/txn.h"
#include "kernel-shared/volume/placement.h"

/* --- Where new things go (chunk_rules.c): holds until it is set anew, also after commits and aborts ------------ */

/*
 * New chunks keep below @end_bytes on device @devid: 0, off it; UINT64_MAX, no limit but its size. -ENOENT: no such
 * device.
 */
int txn_limit_device(struct txn *txn, u64 devid, u64 end_bytes, struct diag *d);

/* New chunks of @type (one of BLOCK_GROUP_TYPE_MASK) get @profile (BLOCK_GROUP_PROFILE_MASK bits; 0: single). */
void txn_set_profile(struct txn *txn, u64 type, u64 profile);
/* They get again what most careful profile there is among those of this type: the default. */
void txn_reset_profile(struct txn *txn, u64 type);

/* Of block groups for metadata that are so long together this much is kept free for commits. */
u64 txn_commit_reserve_bytes(u64 metadata_bytes, u32 nodesize);

/*
 * Take no more space in block group @logical, or (@is_closed false) do so again. What is freed there stays closed, too.
 * -ENOENT.
 */
int txn_close_group(struct txn *txn, u64 logical, bool is_closed, struct diag *d);

/* --- Chunks (chunk_change.c) ---------------------------------------- */

/* Used bytes of a block group now. -ENOENT. */
int txn_group_used_bytes(const struct txn *txn, u64 logical, u64 *ret_bytes, struct diag *d);

/* Where the last of them ends, from the beginning of the block group; 0: there are none. */
int txn_group_used_end(struct txn *txn, u64 logical, u64 *ret_end, struct diag *d);

/*
 * Call @fn for each range of block group @logical that is in use now, ascending, neighbours merged. A result other than
 * 0 ends it and is returned. Not affected by what @fn does.
 */
typedef int (*txn_range_fn)(void *ctx, u64 logical, u64 len, struct diag *d);
int txn_for_each_used(struct txn *txn, u64 logical, txn_range_fn fn, void *ctx, struct diag *d);

/*
 * Stripes for what chunk @logical holds, as @profile: the same logical range; free() the result. Nothing is changed
 * yet. Stripes that the rules allow stay where they are if they would hold just the same there (@may_keep). New ones
 * are in space that is not allocated, away from superblocks. It may equal what there is. -ENOSPC: devices have no room;
 * -ERANGE: its length does not divide over any number of stripes that could be had.
 */
int txn_place_chunk(struct txn *txn, u64 logical, u64 profile, bool may_keep, struct chunk **ret_chunk, struct diag *d);

/*
 * The chunk at chunk->logical lies on these stripes, and has this type, from now on. What is in use in it has to be
 * there already, flushed or not. Of this transaction's changes none may be in it, and of one chunk only one change is
 * possible in a transaction: -EBUSY.
 */
int txn_replace_chunk(struct txn *txn, const struct chunk *chunk, struct diag *d);

/* So much of @chunk from its beginning, in whole rows, lies where the rules allow; all of it, or what it could become by: */
u64 txn_length_within(struct txn *txn, const struct chunk *chunk);

/*
 * Chunk @logical ends after its first @length bytes from now on, where it lies: fewer than it has, and a multiple of
 * STRIPE_LEN_BYTES times its data stripes (-EINVAL). -EBUSY: something is in use behind that, or as txn_replace_chunk().
 */
int txn_shorten_chunk(struct txn *txn, u64 logical, u64 length, struct diag *d);

/* Chunk @logical goes, of which nothing is in use, neither now nor on disk: -EBUSY if it is. */
int txn_remove_chunk(struct txn *txn, u64 logical, struct diag *d);

/* --- Devices (device_change.c) ---------------------------------------- */

/*
 * @dev, of which the filesystem gets @total_bytes, becomes a device of it, with a new devid and @uuid. It belongs to
 * the set from now on, also when this fails, and is closed with it; the commit writes its superblocks, and nobody has
 * wiped what was there.
 */
int txn_add_device(struct txn *txn, struct blockdev *dev, u64 total_bytes, const u8 *uuid, u64 *ret_devid,
		   struct diag *d);

/*
 * Device @devid, missing or not, is no longer one of the filesystem's; nothing may be on it: -EBUSY. It stays in the
 * set, where the caller finds it to take its superblocks away after the commit.
 */
int txn_remove_device(struct txn *txn, u64 devid, struct diag *d);

/* Is it a device of the filesystem? One that was removed may still be found by its superblock, and be in the set. */
bool txn_has_device(const struct txn *txn, u64 devid);
/* What the filesystem has of device @devid, as its item says; 0: it has no such device. */
u64 txn_device_bytes(const struct txn *txn, u64 devid);
/* Its item as the last commit has it; NULL: it has no such device. Valid until devices come or go. */
const struct disk_dev_item *txn_device_item(const struct txn *txn, u64 devid);
/* The generation that the item of device @devid has: of a seed, that of its superblock when the filesystem grew from it. */
int txn_set_device_generation(struct txn *txn, u64 devid, u64 generation, struct diag *d);

/* The filesystem gets @total_bytes of device @devid. -EBUSY: a chunk reaches beyond; -ENOSPC: it is not that large. */
int txn_resize_device(struct txn *txn, u64 devid, u64 total_bytes, struct diag *d);

/*
 * Device @devid is @dev from now on, with the same ids, and what it was (*ret_old, NULL: it was missing) is the
 * caller's after the commit; an abort closes @dev and goes back. All that chunks have on it must be there. When this
 * fails, @dev is closed.
 */
int txn_swap_device(struct txn *txn, u64 devid, struct blockdev *dev, u64 total_bytes, struct blockdev **ret_old,
		    struct diag *d);

/* Room on device @devid that no chunk takes, now and on disk, within what the rules allow;
 * array_done(&ret_holes->holes). */
int txn_device_holes(struct txn *txn, u64 devid, struct device_holes *ret_holes, struct diag *d);

#endif
