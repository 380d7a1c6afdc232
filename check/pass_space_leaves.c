/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the leaves of all trees but the subvolumes'. Proves their items; of the extent tree the order and the counts.
 * Leaves the recorded references and the used space in check->groups, the ranges of data and of checksums, and the blocks
 * with full back references, which the leaves of subvolumes need.
 */
#include "check/block_table.h"
#include "check/leaf_extent.h"
#include "check/quota_groups.h"
#include "check/references.h"

typedef unsigned long long ull;

struct space_sweep {
	struct check *check;
	struct space_findings *findings; /* of each worker */
};

static bool is_space_leaf(const struct check *check, const struct block_record *record)
{
	(void)check;
	return !tree_id_is_subvol(record->tree) && record->tree != DATA_RELOC_TREE_OBJECTID &&
	       record->tree != TREE_RELOC_OBJECTID;
}

/* The length of the extent whose references a leaf begins with; its item is in a leaf before. */
static u64 head_length(struct check *check, const u8 *leaf)
{
	const struct key first = leaf_key(leaf, 0);

	if (first.type < TREE_BLOCK_REF_KEY || first.type > SHARED_DATA_REF_KEY)
		return 0;
	return extent_length(check, first.objectid);
}

/* Which kinds of items a tree may have; 0 ends the list. */
static const struct {
	u64 tree;
	u8 types[16];
} residents[] = {
	{ ROOT_TREE_OBJECTID, { INODE_ITEM_KEY, INODE_REF_KEY, DIR_ITEM_KEY, EXTENT_DATA_KEY, ORPHAN_ITEM_KEY, ROOT_ITEM_KEY,
				ROOT_REF_KEY, ROOT_BACKREF_KEY, TEMPORARY_ITEM_KEY, PERSISTENT_ITEM_KEY, XATTR_ITEM_KEY } },
	{ CHUNK_TREE_OBJECTID, { DEV_ITEM_KEY, CHUNK_ITEM_KEY } },
	{ DEV_TREE_OBJECTID, { DEV_EXTENT_KEY, PERSISTENT_ITEM_KEY, DEV_REPLACE_KEY } },
	/* Old versions of mkfs.btrfs gave it a top directory. */
	{ UUID_TREE_OBJECTID, { INODE_ITEM_KEY, INODE_REF_KEY, UUID_KEY_SUBVOL, UUID_KEY_RECEIVED_SUBVOL } },
	{ QUOTA_TREE_OBJECTID, { QGROUP_STATUS_KEY, QGROUP_INFO_KEY, QGROUP_LIMIT_KEY, QGROUP_RELATION_KEY } },
	{ FREE_SPACE_TREE_OBJECTID, { FREE_SPACE_INFO_KEY, FREE_SPACE_EXTENT_KEY, FREE_SPACE_BITMAP_KEY } },
	{ BLOCK_GROUP_TREE_OBJECTID, { BLOCK_GROUP_ITEM_KEY } },
};

static bool may_live_in(u64 tree, const struct key *key)
{
	/* Headers of free space caches have type 0. */
	if (tree == ROOT_TREE_OBJECTID && key->type == 0 && key->objectid == FREE_SPACE_OBJECTID)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(residents); i++)
		if (residents[i].tree == tree)
			return key->type && memchr(residents[i].types, key->type, sizeof(residents[i].types));
	return true;
}

/* Of the small trees only the root tree has data: the free space caches of old kernels. */
static void read_other_leaf(struct check *check, const struct block_record *record, const u8 *leaf)
{
	struct reference_sums sums = { .group = SIZE_MAX };

	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		const struct key key = leaf_key(leaf, slot);
		struct diag why = { 0 };

		if (block_check_item(block_cache_check_params(check->fs->cache), leaf, slot, &why) < 0)
			problem_report_item(&check->sink, key.type,
				 AT(.tree = record->tree, .logical = record->logical, .has_key = true, .key = key), why.text);
		else if (!may_live_in(record->tree, &key))
			complain(check, ITEM_MISPLACED,
				 AT(.tree = record->tree, .logical = record->logical, .has_key = true, .key = key),
				 (ull)record->logical, (long long)record->tree, (ull)key.objectid, key.type, (ull)key.offset);
		else if (key.type == EXTENT_DATA_KEY && record->tree == ROOT_TREE_OBJECTID)
			found_data_reference(check, &sums, leaf, false, &key, leaf_item_data(leaf, slot));
	}
	reference_sums_flush(check, &sums);
}

/* Hand on what was found in a leaf. */
static int flush_findings(struct check *check, struct space_findings *findings, struct diag *d)
{
	int err = ranges_add(&check->csums, findings->csums.items, findings->csums.len, d);

	if (!err)
		err = ranges_add(&check->data_extents, findings->data_extents.items, findings->data_extents.len, d);
	if (!err)
		err = ranges_add(&check->full_backrefs, findings->full_backrefs.items, findings->full_backrefs.len, d);
	findings->csums.len = findings->data_extents.len = findings->full_backrefs.len = 0;
	return err;
}

static int visit_leaf(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *leaf, struct diag *d)
{
	struct space_sweep *sweep = ctx;
	struct check *check = sweep->check;
	struct space_findings *findings = &sweep->findings[worker];
	struct extent_fact fact = { 0 };
	int err = 0;

	(void)n;
	if (record->tree == EXTENT_TREE_OBJECTID) {
		if (block_nritems(leaf))
			err = read_extent_leaf(check, leaf, head_length(check, leaf), findings, &fact, d);
		fact.root = record->root;
		fact.key = record->first_key;
		if (!err)
			err = sorter_add(check->extent_facts, &fact, 1, d);
	} else if (record->tree == CSUM_TREE_OBJECTID) {
		err = read_csum_leaf(check, leaf, findings, d);
	} else {
		read_other_leaf(check, record, leaf);
	}
	return err ? err : flush_findings(check, findings, d);
}

static int after_leaves(void *ctx, const struct block_batch *batch, struct diag *d)
{
	struct space_sweep *sweep = ctx;

	return extent_facts_add_unread(sweep->check, batch, d);
}

/* --- The extent tree's leaves in their order ---------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
	const struct extent_fact *x = a, *y = b;

	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	return key_compare(&x->key, &y->key);
}

int extent_facts_new(struct check *check)
{
	return sorter_new(&check->spill, sizeof(struct extent_fact), check->memory_bytes / 16, by_place, &check->extent_facts);
}

int extent_facts_add_unread(struct check *check, const struct block_batch *batch, struct diag *d)
{
	int err = 0;

	array_for_each(&batch->blocks, block) {
		const struct extent_fact unread = { .root = block->root, .key = block->first_key };

		if (!err && block->state == BLOCK_BAD && block->tree == EXTENT_TREE_OBJECTID)
			err = sorter_add(check->extent_facts, &unread, 1, d);
	}
	return err;
}

struct extent_fold {
	struct check *check;
	struct extent_fact last; /* of all leaves so far, its end */
	bool is_broken; /* the leaf before could not be read */
	u32 root;
};

static void close_extent(struct extent_fold *fold)
{
	if (!fold->is_broken)
		extent_judge_count(fold->check, &fold->last);
	fold->last.last_logical = 0;
}

static void fold_leaf(struct extent_fold *fold, const struct extent_fact *fact)
{
	if (!fact->is_read) {
		fold->last = (struct extent_fact){ 0 };
		fold->is_broken = true;
		return;
	}
	if (fact->head_logical && fact->head_logical == fold->last.last_logical)
		fold->last.last_counted += fact->head_counted;
	else if (fact->head_logical && !fold->is_broken)
		complain(fold->check, REFERENCE_WITHOUT_EXTENT, AT(.tree = EXTENT_TREE_OBJECTID, .extent = fact->head_logical),
			 (ull)fact->head_logical);
	if (!fact->first_start)
		return;
	if (fold->last.last_logical && fact->first_start < fold->last.last_end)
		complain(fold->check, EXTENT_OVERLAP, AT(.extent = fact->first_start), (ull)fact->first_start,
			 (ull)fold->last.last_logical, (ull)fold->last.last_end);
	close_extent(fold);
	fold->last = *fact;
	fold->is_broken = false;
}

static int fold_extent_tree(struct check *check, struct diag *d)
{
	struct extent_fold fold = { .check = check };
	const void *record;
	int err = sorter_sort(check->extent_facts, d);

	while (!err && (err = sorter_next(check->extent_facts, &record, d)) == 0) {
		const struct extent_fact *fact = record;

		if (fact->root != fold.root) {
			close_extent(&fold);
			fold = (struct extent_fold){ .check = check, .root = fact->root };
		}
		fold_leaf(&fold, fact);
	}
	close_extent(&fold);
	sorter_free(check->extent_facts);
	check->extent_facts = NULL;
	return err < 0 ? err : 0;
}

static void findings_done(struct space_findings *findings)
{
	array_done(&findings->csums);
	array_done(&findings->data_extents);
	array_done(&findings->full_backrefs);
	array_done(&findings->owners.list);
}

int pass_space_leaves(struct check *check, struct diag *d)
{
	struct space_sweep ctx = { .check = check };
	const struct block_sweep sweep = { .wanted = is_space_leaf, .visit = visit_leaf, .after = after_leaves, .ctx = &ctx };
	unsigned workers = pool_threads(check->pool);
	int err;

	ctx.findings = calloc(workers, sizeof(*ctx.findings));
	if (!ctx.findings)
		return diag_no_memory(d, "the table of extents");
	err = block_table_sweep(check, 0, &sweep, d);
	for (unsigned w = 0; w < workers; w++) {
		check->result->nr_extents += ctx.findings[w].nr_extents;
		array_for_each(&ctx.findings[w].owners.list, owner)
			if (!err && owner_sums_add(&check->owners, owner->root, owner->bytes) < 0)
				err = diag_no_memory(d, "quota groups");
		findings_done(&ctx.findings[w]);
	}
	free(ctx.findings);
	if (!err)
		err = ranges_tidy(&check->csums, d);
	if (!err)
		err = ranges_tidy(&check->data_extents, d);
	if (!err)
		err = ranges_tidy(&check->full_backrefs, d);
	return err ? err : fold_extent_tree(check, d);
}
