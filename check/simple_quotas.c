/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What simple quotas count: each extent belongs to the subvolume that allocated it, whoever shares it, or has it alone by
 * now, and to all groups that this one is in. Nothing that is older than the quotas is counted. A block's owner is in its
 * header; that of data is an EXTENT_OWNER_REF, which data from before has not.
 *
 * Source: experiments with Linux 6.18: snapshots, clones, deletion of the subvolume that was first, balance, groups.
 */
#include "check/block_table.h"
#include "check/quota_groups.h"

void simple_quotas_begin(struct check *check)
{
	struct disk_qgroup_status_item status;
	struct tree tree;

	if (fs_tree(check->fs, QUOTA_TREE_OBJECTID, &tree, NULL) == 0 && quota_status_read(&tree, &status) &&
	    (le64_get(status.flags) & QGROUP_STATUS_SIMPLE_MODE))
		check->simple_quotas_since = MAX(le64_get(status.enable_gen), (u64)1);
}

int owner_sums_add(struct owner_sums *sums, u64 root, u64 bytes)
{
	size_t i = array_lower_bound(&sums->list, it, it->root < root);

	if (i == sums->list.len || sums->list.items[i].root != root) {
		if (array_reserve(&sums->list, 1) < 0)
			return -ENOMEM;
		memmove(sums->list.items + i + 1, sums->list.items + i, (sums->list.len - i) * sizeof(*sums->list.items));
		sums->list.items[i] = (struct owner_sum){ .root = root };
		sums->list.len++;
	}
	sums->list.items[i].bytes += bytes;
	return 0;
}

int simple_quotas_charge_blocks(struct check *check, const struct block_batch *batch)
{
	int err = 0;

	if (!check->simple_quotas_since)
		return 0;
	array_for_each(&batch->blocks, block)
		if (!err && block->state == BLOCK_GOOD && block->generation >= check->simple_quotas_since &&
		    tree_id_is_subvol(block->owner))
			err = owner_sums_add(&check->owners, block->owner, check_nodesize(check));
	return err;
}

static u64 charged_to(const struct check *check, u64 root)
{
	size_t i = array_lower_bound(&check->owners.list, it, it->root < root);

	return i < check->owners.list.len && check->owners.list.items[i].root == root ? check->owners.list.items[i].bytes : 0;
}

void simple_quotas_count(const struct check *check, struct quota_groups *groups)
{
	array_for_each(&groups->list, group) {
		for (size_t i = 0; i < group->members.len; i++)
			group->rfer += charged_to(check, group->members.items[i]);
		group->excl = group->rfer;
	}
}
