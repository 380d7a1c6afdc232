/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * References reach the extent tree: by ascending address, each extent once. What changes the extent tree makes new
 * references of its own blocks, which go round again; as each block is copied only once in a transaction, that ends
 * soon.
 */
#include "kernel-shared/space/csum_range.h"
#include "kernel-shared/txn/txn_state.h"

static int free_extent(struct txn *txn, const struct delayed_head *head, const struct extent_info *info, struct diag *d)
{
	const struct csum_geometry geometry = { txn->groups.sectorsize, txn->target.csum->size_bytes };
	struct tree_root *csums;
	/* New data was not charged for yet. */
	bool was_charged = !head->is_data || !head->is_new;
	int err = was_charged ? txn_charge(txn, head->is_data ? info->owner_root : head->owner_root, info->generation,
					   -(s64)head->len, d)
			      : 0;

	if (!err && head->is_data) {
		err = txn_tree(txn, CSUM_TREE_OBJECTID, &csums, d);
		if (!err)
			err = csum_range_delete(csums, &geometry, head->logical, head->len, d);
	}
	return err ? err : block_groups_free(&txn->groups, head->logical, head->len, d);
}

/* Where items are not skinny, a tree block's has its first key. A block that was freed since has none, and soon no
 * item. */
static struct key first_key_of(struct txn *txn, u64 logical)
{
	const struct tree_block *block = block_find_dirty(txn->target.cache, logical);

	return block && block->nritems ? block_key(block->data, 0) : KEY_MIN;
}

static int run_head(struct txn *txn, const struct extent_records *records, const struct delayed_refs *delayed,
		    const struct delayed_head *head, struct ref_changes *changes, struct diag *d)
{
	struct extent_change change = {
		.logical = head->logical,
		.len = head->len,
		.is_data = head->is_data,
		.is_new = head->is_new,
		.do_set_full_backref = head->do_set_full_backref,
		.level = head->level,
		.generation = head->generation ? head->generation : txn->source.generation,
	};
	bool is_gone, has_any = head->do_set_full_backref;
	struct extent_info info;
	int err;

	if (head->is_dead)
		return 0;
	if (delayed_refs_of(delayed, head, changes) < 0)
		return diag_no_memory(d, "back references");
	array_for_each (&changes->list, it)
		has_any = has_any || it->delta;
	if (!has_any && !head->is_new)
		return 0;
	change.refs = changes->list.items;
	change.nr_refs = changes->list.len;
	if (head->is_new && !head->is_data && !records->is_skinny)
		change.first_key = first_key_of(txn, head->logical);
	if (head->is_new && head->is_data && txn->has_simple_quotas)
		change.owner_root = head->owner_root;
	err = extent_apply(records, &change, &is_gone, &info, d);
	if (!err && is_gone)
		return free_extent(txn, head, &info, d);
	if (!err && head->is_new && head->is_data)
		err = txn_charge(txn, head->owner_root, change.generation, (s64)head->len, d);
	return err;
}

int txn_run_refs(struct txn *txn, bool *ret_did, struct diag *d)
{
	struct extent_records records = { .nodesize = txn->id.nodesize, .is_skinny = txn->is_skinny };
	struct ref_changes changes = { 0 };
	int err = txn_tree(txn, EXTENT_TREE_OBJECTID, &records.extent_root, d);

	while (!err && txn->delayed.heads.len) {
		struct delayed_refs batch = txn->delayed;

		*ret_did = true;
		txn->delayed = (struct delayed_refs){ 0 };
		delayed_refs_sort(&batch);
		for (size_t i = 0; i < batch.heads.len && !err; i++)
			err = run_head(txn, &records, &batch, &batch.heads.items[i], &changes, d);
		delayed_refs_done(&batch);
	}
	array_done(&changes.list);
	return err;
}
