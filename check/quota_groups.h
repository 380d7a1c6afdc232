/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The quota tree: its status, the groups, and which subvolumes are in them. */
#ifndef BTRKIT_CHECK_QUOTA_GROUPS_H
#define BTRKIT_CHECK_QUOTA_GROUPS_H

#include "check/check.h"

struct quota_group {
	u64 id; /* the level in the upper 16 bits */
	u64 rfer, excl; /* counted */
	struct disk_qgroup_info_item said;
	bool has_limit;
	bool is_ambiguous; /* a subvolume is in it by more than one way */
	ARRAY(u64) members; /* subvolumes, each once; of level 0 the one with its id */
};

struct quota_groups {
	ARRAY(struct quota_group) list;
};

/* @ret_status is zeroed where the item is too short, or not there, which makes the result false. */
bool quota_status_read(const struct tree *tree, struct disk_qgroup_status_item *ret_status);

/* Read all groups, and complain of items that do not fit together. 0 or -ENOMEM. */
int quota_groups_read(struct check *check, const struct tree *tree, struct quota_groups *groups);
void quota_groups_done(struct quota_groups *groups);

/* Complain of groups whose numbers are not what was counted. */
void quota_groups_compare(struct check *check, const struct quota_groups *groups);

/* --- Simple quotas (simple_quotas.c) --------------------------------------------------------------------------------- */

/* Before blocks are read: sets check->simple_quotas_since. */
void simple_quotas_begin(struct check *check);

/* Charge @bytes to subvolume @root. 0 or -ENOMEM. */
int owner_sums_add(struct owner_sums *sums, u64 root, u64 bytes);

/* Charge blocks that have been read for the first time. 0 or -ENOMEM. */
struct block_batch;
int simple_quotas_charge_blocks(struct check *check, const struct block_batch *batch);

/* Count from check->owners, when all has been read. */
void simple_quotas_count(const struct check *check, struct quota_groups *groups);

#endif
