/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block groups of a filesystem that is being changed, and which of their sectors are in use: now, and on disk.
 * Space that is in use on disk is not handed out before a commit, though it may be free now, so that a crash finds the
 * old state whole.
 *
 * On profiles with parity, what is new goes to rows in which the last commit left nothing, as long as there are such: a
 * write of a part of a row changes the parity of all of it, and a power cut between the two would leave parity that does
 * not fit what was there before. Such fresh rows may be filled on during the transaction; where there are none, space
 * between what is in use is handed out as on any profile.
 *
 * What is in use is learnt from the extent tree, group by group, when a group is first needed. The free space tree is
 * not believed: it is compared when it is updated.
 */
#ifndef BTRKIT_KERNEL_SHARED_SPACE_BLOCK_GROUPS_H
#define BTRKIT_KERNEL_SHARED_SPACE_BLOCK_GROUPS_H

#include "common/base/array.h"
#include "kernel-shared/tree/tree.h"

struct block_group {
	u64 logical, length;
	u64 flags; /* BLOCK_GROUP_* */
	u64 used; /* bytes, now */
	u64 disk_used; /* on disk */
	u64 pinned; /* bytes that are free now, but not on disk */
	u64 item_used; /* as its item says, on disk or in a changed block */
	bool is_new; /* made by this transaction */
	bool is_recorded; /* its items are in the trees */
	bool is_read_only; /* on a seed device, or on one that is missing */
	bool is_closed; /* whoever changes the filesystem wants nothing new in it */
	bool is_loaded;
	bool is_changed; /* @now differs from @disk, or from @listed */
	u32 nr_sectors;
	u32 hint; /* where the next search begins */
	u32 row_sectors; /* data of a row of a profile with parity, when loaded; 0: there are no rows */
	/* Runs of so many sectors or more were not found, [1] in fresh rows; 0: not known. */
	u32 fails_from[2];
	u32 fails_from_aligned[2]; /* the same where alignment was asked for */
	/* Of sectors, when loaded: */
	u64 *now; /* in use */
	u64 *disk; /* in use on disk */
	u64 *taken; /* not to be handed out: in use now or on disk, excluded, or on a superblock */
	u64 *listed; /* in use as the free space tree says now; NULL: as on disk */
	u64 *not_fresh; /* taken, or in a row that is not fresh; where there are rows */
	u64 *old_rows; /* of rows: the last commit, or what is excluded, has something there; where there are rows */
};

/* Of the groups of one type, mixed ones among them. */
struct space_sums {
	u64 total_bytes;
	u64 free_bytes; /* that could be handed out, in whatever pieces */
	u64 profiles; /* BLOCK_GROUP_PROFILE_MASK bits of those that can be written */
	struct block_group *last; /* from which space was taken last; NULL: none */
};

struct block_groups {
	struct volume *volume;
	u32 sectorsize;
	struct tree extent_tree; /* as on disk */
	ARRAY(struct block_group *) groups; /* by logical */
	struct excluded {
		u64 logical, len;
	} * excluded;
	size_t nr_excluded, cap_excluded;
	struct space_sums sums[3]; /* of data, system and metadata: in the order of the bits of types */
};

void block_groups_done(struct block_groups *groups);

/* Add the group of a chunk. Used bytes are as its item says. -ENOMEM, -EEXIST. */
int block_groups_add(struct block_groups *groups, u64 logical, u64 length, u64 flags, u64 used, bool is_new,
		     struct block_group **ret_group, struct diag *d);
/* Take no more space in it, or do so again. */
void block_groups_close(struct block_groups *groups, struct block_group *group, bool is_closed);
/* Its chunk has got other flags, or lies elsewhere. Nothing of this transaction's changes may be in
 * it. */
void block_groups_reflag(struct block_groups *groups, struct block_group *group, u64 flags);
/* Its chunk has got another length. What is in use in it lies before that, and nothing of this transaction's changes is in it. */
void block_groups_set_length(struct block_groups *groups, struct block_group *group, u64 length);
/* The free space tree says now that all of it is free. -ENOMEM; else as block_groups_load(). */
int block_groups_list_as_free(struct block_groups *groups, struct block_group *group, struct diag *d);
/* Devices have come or gone: which groups can be reached now? */
void block_groups_reach_again(struct block_groups *groups);
/* Learn which of its sectors are in use. -EUCLEAN: the extent tree is wrong about it. */
int block_groups_load(struct block_groups *groups, struct block_group *group, struct diag *d);
/* Take it out of the groups without freeing it, and put it in again, which cannot fail. */
void block_groups_take_out(struct block_groups *groups, struct block_group *group);
void block_groups_put_back(struct block_groups *groups, struct block_group *group);
void block_group_free(struct block_group *group); /* one that was taken out; NULL allowed */
/* Forget a group; nothing of it is used. */
void block_groups_remove(struct block_groups *groups, struct block_group *group);
/* The group that covers @logical, or NULL. */
struct block_group *block_groups_find(const struct block_groups *groups, u64 logical);

/* Never hand out this range. Groups that are not covered do not matter. */
int block_groups_exclude(struct block_groups *groups, u64 logical, u64 len, struct diag *d);

/* What to look for. */
struct space_wish {
	u64 type; /* one of BLOCK_GROUP_TYPE_MASK */
	u64 profile; /* groups of this one are preferred: BLOCK_GROUP_PROFILE_MASK bits, 0 is single */
	u64 want_bytes, min_bytes; /* in one piece */
	u64 align_bytes;
};
/*
 * Take space. The whole of it in one piece where that is possible, but of a profile with parity rather pieces of @min_bytes
 * in fresh rows than more in others. -ENOSPC: no group has it.
 */
int block_groups_alloc(struct block_groups *groups, const struct space_wish *wish, u64 *ret_logical, u64 *ret_len,
		       struct diag *d);
/* Take just this range. -EEXIST: some of it is not free, or on a superblock; -EUCLEAN: no group covers it. */
int block_groups_claim(struct block_groups *groups, u64 logical, u64 len, struct diag *d);
/* Give back. -EUCLEAN: some of it is not in use. */
int block_groups_free(struct block_groups *groups, u64 logical, u64 len, struct diag *d);

/* Is [logical, logical + len), whole rows of a profile with parity, such that the last commit has nothing there? */
bool block_groups_is_fresh(const struct block_groups *groups, u64 logical, u64 len);

/* The sums of one of BLOCK_GROUP_TYPE_MASK; kept up to date, so that to ask costs nothing. */
static inline const struct space_sums *block_groups_sums(const struct block_groups *groups, u64 type)
{
	return &groups->sums[type == BLOCK_GROUP_DATA ? 0 : type == BLOCK_GROUP_SYSTEM ? 1 : 2];
}

/* Bytes in groups of @type that could be handed out, in whatever pieces. */
static inline u64 block_groups_free_bytes(const struct block_groups *groups, u64 type)
{
	return block_groups_sums(groups, type)->free_bytes;
}

/* What is now is on disk. @extent_tree: as on disk. */
void block_groups_settle(struct block_groups *groups, const struct tree *extent_tree);
/* Back to what is on disk. New groups go. */
void block_groups_revert(struct block_groups *groups);

#endif
