/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quota groups. Simple quotas are counted: whoever allocates an extent is charged with it, and so are the groups that it belongs
 * to, until the extent goes. What other quotas count depends on who reaches what; they are marked as inconsistent, as Linux
 * does with what it cannot follow, and a rescan makes them right.
 */
#include "kernel-shared/txn/txn_state.h"

/* A subvolume's groups, and theirs, at most: levels are 16 bits, but nobody has more than a few. */
#define ANCESTORS_MAX 256

/* The quota tree, if there is one: 0; 1: no quotas. */
static int quota_root(struct txn *txn, struct tree_root **ret_root, struct diag *d)
{
	int err = txn_tree(txn, QUOTA_TREE_OBJECTID, ret_root, d);

	if (err != -ENOENT)
		return err;
	diag_clear(d);
	return 1;
}

int txn_load_quotas(struct txn *txn, struct diag *d)
{
	const struct key key = { 0, QGROUP_STATUS_KEY, 0 };
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	struct disk_qgroup_status_item status = { 0 };
	struct tree_root *root;
	int err = quota_root(txn, &root, d);

	if (err)
		return err < 0 ? err : 0;
	cursor = cursor_init(&root->tree);
	err = cursor_find(&cursor, &key, d);
	if (err)
		return err < 0 ? err : 0;
	memcpy(&status, cursor_data(&cursor), MIN(cursor_data_bytes(&cursor), (u32)sizeof(status)));
	txn->has_simple_quotas =
		(le64_get(status.flags) & QGROUP_STATUS_SIMPLE_MODE) && (le64_get(status.flags) & QGROUP_STATUS_ON);
	txn->simple_quotas_since = le64_get(status.enable_gen);
	return 0;
}

int txn_charge(struct txn *txn, u64 root, u64 generation, s64 bytes, struct diag *d)
{
	if (!txn->has_simple_quotas || !tree_id_is_subvol(root) || generation < txn->simple_quotas_since)
		return 0;
	array_for_each(&txn->quota_deltas, delta)
		if (delta->root == root) {
			delta->bytes += bytes;
			return 0;
		}
	if (array_push(&txn->quota_deltas, (struct quota_delta){ root, bytes }) < 0)
		return diag_no_memory(d, "quotas");
	return 0;
}

/* --- Numbers ---------------------------------------- */

static void add(le64 *field, s64 bytes)
{
	le64_put(field, le64_get(*field) + (u64)bytes);
}

static int change_group(struct txn *txn, struct edit *edit, u64 id, s64 bytes, struct diag *d)
{
	const struct key key = { 0, QGROUP_INFO_KEY, id };
	struct disk_qgroup_info_item *item;
	int err = edit_seek(edit, &key, d);

	/* Groups can be removed while their subvolumes stay. */
	if (err)
		return err < 0 ? err : 0;
	item = edit_data(edit);
	add(&item->rfer, bytes);
	add(&item->rfer_cmpr, bytes);
	add(&item->excl, bytes);
	add(&item->excl_cmpr, bytes);
	le64_put(&item->generation, txn->source.generation);
	return 0;
}

static bool is_known(const u64 *ids, size_t nr, u64 id)
{
	for (size_t i = 0; i < nr; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Append the groups that ids[of] belongs to, each once. A relation has an item in both directions: parents have greater ids. */
static int add_parents(const struct tree *tree, u64 *ids, size_t *nr, size_t of, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key first = { ids[of], QGROUP_RELATION_KEY, 0 };
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		u64 other = cursor_key(&cursor).offset;

		if (!cursor_is_at(&cursor, ids[of], QGROUP_RELATION_KEY))
			return 0;
		if (other <= ids[of] || is_known(ids, *nr, other))
			continue;
		if (*nr == ANCESTORS_MAX)
			return diag_fail(d, -EUCLEAN, "quota group %llu belongs to too many groups", (unsigned long long)ids[0]);
		ids[(*nr)++] = other;
	}
	return err < 0 ? err : 0;
}

static int write_delta(struct txn *txn, struct tree_root *root, const struct quota_delta *delta, struct diag *d)
{
	u64 ids[ANCESTORS_MAX] = { delta->root };
	struct edit edit = edit_init(root);
	size_t nr = 1;
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++)
		err = add_parents(&root->tree, ids, &nr, i, d);
	for (size_t i = 0; i < nr && !err; i++)
		err = change_group(txn, &edit, ids[i], delta->bytes, d);
	edit_done(&edit);
	return err;
}

int txn_write_quotas(struct txn *txn, bool *ret_did, struct diag *d)
{
	struct tree_root *root;
	int err;

	if (txn->quota_deltas.len == 0)
		return 0;
	err = quota_root(txn, &root, d);
	for (size_t i = 0; i < txn->quota_deltas.len && !err; i++) {
		if (txn->quota_deltas.items[i].bytes == 0)
			continue;
		err = write_delta(txn, root, &txn->quota_deltas.items[i], d);
		*ret_did = true;
	}
	txn->quota_deltas.len = 0;
	return err < 0 ? err : 0;
}

int txn_mark_quotas(struct txn *txn, struct diag *d)
{
	const struct key key = { 0, QGROUP_STATUS_KEY, 0 };
	struct disk_qgroup_status_item *item;
	struct tree_root *root;
	struct edit edit;
	u64 flags;
	int err = quota_root(txn, &root, d);

	if (err)
		return err < 0 ? err : 0;
	edit = edit_init(root);
	err = edit_seek(&edit, &key, d);
	if (!err) {
		item = edit_data(&edit);
		flags = le64_get(item->flags);
		if ((flags & QGROUP_STATUS_ON) && !txn->has_simple_quotas)
			le64_put(&item->flags, flags | QGROUP_STATUS_INCONSISTENT);
		le64_put(&item->generation, txn->source.generation);
	}
	edit_done(&edit);
	return err < 0 ? err : 0;
}

int txn_add_quota_group(struct txn *txn, u64 id, struct diag *d)
{
	const struct key info_key = { 0, QGROUP_INFO_KEY, id }, limit_key = { 0, QGROUP_LIMIT_KEY, id };
	struct disk_qgroup_info_item info = { 0 };
	struct disk_qgroup_limit_item limit = { 0 };
	struct tree_root *root;
	struct edit edit;
	int err = quota_root(txn, &root, d);

	if (err)
		return err < 0 ? err : 0;
	edit = edit_init(root);
	le64_put(&info.generation, txn->source.generation);
	err = edit_seek(&edit, &info_key, d);
	if (err == 1)
		err = edit_put(&edit, &info_key, &info, sizeof(info), d);
	if (!err)
		err = edit_seek(&edit, &limit_key, d);
	if (err == 1)
		err = edit_put(&edit, &limit_key, &limit, sizeof(limit), d);
	edit_done(&edit);
	return err;
}
