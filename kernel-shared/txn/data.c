/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents of file data: their space, and who refers to them. */
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

/* Do data and tree blocks share block groups? Then data leaves what commits need. */
static bool is_mixed(const struct txn *txn)
{
	return le64_get(txn->super.incompat_flags) & INCOMPAT_MIXED_GROUPS;
}

int txn_alloc_data(struct txn *txn, u64 want_bytes, u64 min_bytes, u64 *ret_logical, u64 *ret_len, struct diag *d)
{
	const struct space_wish wish = {
		.type = BLOCK_GROUP_DATA,
		.profile = txn_profile_of(txn, BLOCK_GROUP_DATA),
		.want_bytes = MIN(want_bytes, MAX(min_bytes, (u64)EXTENT_BYTES_MAX)),
		.min_bytes = min_bytes,
		.align_bytes = txn->groups.sectorsize,
	};
	int err;

	if (want_bytes == 0 || min_bytes == 0 || min_bytes > want_bytes || want_bytes % txn->groups.sectorsize ||
	    min_bytes % txn->groups.sectorsize)
		return diag_fail(d, -EINVAL, "impossible size of an extent: %llu to %llu bytes", (ull)min_bytes,
				 (ull)want_bytes);
	err = txn_is_usable(txn, d);
	if (err)
		return err;
	txn->is_changed = true;
	if (is_mixed(txn) && txn_is_short_of_metadata(txn, wish.want_bytes)) {
		err = txn_alloc_chunk(txn, BLOCK_GROUP_DATA, d);
		if (err)
			return err;
		diag_clear(d);
	}
	err = block_groups_alloc(&txn->groups, &wish, ret_logical, ret_len, d);
	if (err != -ENOSPC)
		return err;
	err = txn_alloc_chunk(txn, BLOCK_GROUP_DATA, d);
	if (err)
		return err;
	diag_clear(d);
	return block_groups_alloc(&txn->groups, &wish, ret_logical, ret_len, d);
}

int txn_claim_data(struct txn *txn, u64 logical, u64 len, struct diag *d)
{
	const struct block_group *group = block_groups_find(&txn->groups, logical);
	int err = txn_is_usable(txn, d);

	if (err)
		return err;
	if (group && !(group->flags & BLOCK_GROUP_DATA))
		return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: lies in a block group that is not for data",
				 (ull)logical, (ull)len);
	txn->is_changed = true;
	return block_groups_claim(&txn->groups, logical, len, d);
}

int txn_unalloc_data(struct txn *txn, u64 logical, u64 len, struct diag *d)
{
	return block_groups_free(&txn->groups, logical, len, d);
}

static int change(struct txn *txn, const struct data_ref *ref, bool is_new, s64 delta, struct diag *d)
{
	const struct extent_ref change = {
		.type = ref->parent ? SHARED_DATA_REF_KEY : EXTENT_DATA_REF_KEY,
		.root = ref->parent ? ref->parent : ref->root,
		.objectid = ref->parent ? 0 : ref->objectid,
		.offset = ref->parent ? 0 : ref->offset,
	};
	struct delayed_head *head = delayed_refs_get(&txn->delayed, ref->logical, ref->len, 0, true);

	if (!head)
		return diag_no_memory(d, "back references");
	if (head->len != ref->len || !head->is_data)
		return diag_fail(d, -EUCLEAN, "extent %llu: is referred to with two lengths, %llu and %llu",
				 (ull)ref->logical, (ull)head->len, (ull)ref->len);
	if (is_new) {
		head->is_new = true;
		head->owner_root = ref->root;
	}
	txn->is_changed = true;
	if (delayed_refs_add(&txn->delayed, head, &change, delta) < 0)
		return diag_no_memory(d, "back references");
	return 0;
}

int txn_add_data_ref(struct txn *txn, const struct data_ref *ref, bool is_new, struct diag *d)
{
	return change(txn, ref, is_new, 1, d);
}

int txn_drop_data_ref(struct txn *txn, const struct data_ref *ref, struct diag *d)
{
	return change(txn, ref, false, -1, d);
}

int txn_data_refs(struct txn *txn, u64 logical, u64 len, u64 *ret_refs, struct diag *d)
{
	const struct delayed_head *head = delayed_refs_find(&txn->delayed, logical);
	struct extent_info info = { 0 };
	struct tree_root *extents;
	int err = txn_tree(txn, EXTENT_TREE_OBJECTID, &extents, d);

	if (err)
		return err;
	if (head && (!head->is_data || head->len != len))
		return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: there is another one of %llu bytes",
				 (ull)logical, (ull)len, (ull)head->len);
	if (!head || !head->is_new) {
		err = extent_lookup(&extents->tree, logical, len, true, &info, d);
		if (err && err != -ENOENT)
			return err;
		if (err) {
			diag_clear(d);
			return 1;
		}
	}
	*ret_refs = info.refs + (head ? (u64)head->delta : 0);
	return 0;
}
