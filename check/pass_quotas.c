/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves the numbers of quota groups: what each subvolume, and each group of them, refers to and has for itself. Every
 * extent is listed with every subvolume that reaches it, sorted, and counted. Numbers that say themselves that they are not
 * exact (a rescan is going on, or they are marked inconsistent) are left alone. Simple quotas have rules of their own
 * (simple_quotas.c).
 */
#include "check/block_table.h"
#include "check/quota_groups.h"

typedef unsigned long long ull;

/* A data extent that a leaf refers to. */
struct leaf_extent {
	u64 leaf, logical, len;
};

/* A leaf that a subvolume reaches. */
struct reached_leaf {
	u64 leaf, root;
};

/* An extent that a subvolume reaches. */
struct reached {
	u64 logical, len, root;
};

struct quotas {
	struct check *check;
	struct sorter *extents; /* struct leaf_extent, by leaf */
	struct sorter *leaves; /* struct reached_leaf, by leaf */
	struct sorter *reached; /* struct reached, by extent */
	struct quota_groups groups;
};

/* --- Are the numbers said to be exact? ------------------------------------------------------------------------------ */

#define KNOWN_FLAGS (QGROUP_STATUS_ON | QGROUP_STATUS_RESCAN | QGROUP_STATUS_INCONSISTENT | QGROUP_STATUS_SIMPLE_MODE)

static void complain_status(struct check *check, const char *what)
{
	const struct key key = { 0, QGROUP_STATUS_KEY, 0 };

	complain(check, ITEM_FIELD_ODD, AT(.tree = QUOTA_TREE_OBJECTID, .has_key = true, .key = key),
		 (long long)QUOTA_TREE_OBJECTID, (long long)key.objectid, key.type, (ull)key.offset, what);
}

static bool is_exact(struct check *check, const struct tree *tree)
{
	const struct key key = { 0, QGROUP_STATUS_KEY, 0 };
	struct disk_qgroup_status_item status;
	u64 flags, generation;

	if (!quota_status_read(tree, &status)) {
		complain(check, QUOTA_STATUS_MISSING, AT(.tree = QUOTA_TREE_OBJECTID));
		return false;
	}
	flags = le64_get(status.flags);
	generation = le64_get(status.generation);
	if (le64_get(status.version) != 1 || (flags & ~KNOWN_FLAGS))
		complain_status(check, "its version, or its flags");
	check_generation(check, QUOTA_TREE_OBJECTID, 0, &key, generation);
	if (flags & QGROUP_STATUS_SIMPLE_MODE) {
		check_generation(check, QUOTA_TREE_OBJECTID, 0, &key, le64_get(status.enable_gen));
		if (!(le64_get(check->fs->super.incompat_flags) & INCOMPAT_SIMPLE_QUOTA))
			complain(check, FEATURE_BIT_MISSING, AT(.tree = QUOTA_TREE_OBJECTID), "simple quotas are");
		if (flags & (QGROUP_STATUS_RESCAN | QGROUP_STATUS_INCONSISTENT))
			complain_status(check, "simple quotas are always exact, there is nothing to scan");
		return flags & QGROUP_STATUS_ON;
	}
	if (!(flags & QGROUP_STATUS_ON))
		return false;
	/* When it is mounted next, Linux marks numbers as inconsistent that are older than the filesystem. */
	if ((flags & QGROUP_STATUS_INCONSISTENT) || generation < check->generation)
		complain(check, QUOTA_INCONSISTENT, AT(.tree = QUOTA_TREE_OBJECTID));
	return flags == QGROUP_STATUS_ON && generation == check->generation;
}

/* --- Which subvolume reaches what ------------------------------------------------------------------------------------ */

static bool is_subvol_leaf(const struct check *check, const struct block_record *record)
{
	(void)check;
	return tree_id_is_subvol(record->tree);
}

static int visit_leaf(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *leaf, struct diag *d)
{
	struct quotas *q = ctx;
	int err = 0;

	(void)worker;
	(void)n;
	for (u32 slot = 0; slot < block_nritems(leaf) && !err; slot++) {
		const struct disk_file_extent_item *item = leaf_item_data(leaf, slot);
		struct leaf_extent extent = { .leaf = record->logical };

		if (leaf_key(leaf, slot).type != EXTENT_DATA_KEY ||
		    block_check_item(block_cache_check_params(q->check->fs->cache), leaf, slot, NULL) < 0 ||
		    item->type == FILE_EXTENT_INLINE || le64_get(item->disk_bytenr) == 0)
			continue;
		extent.logical = le64_get(item->disk_bytenr);
		extent.len = le64_get(item->disk_num_bytes);
		err = sorter_add(q->extents, &extent, 1, d);
	}
	return err;
}

static int by_leaf(const void *a, const void *b)
{
	const struct leaf_extent *x = a, *y = b;

	return x->leaf < y->leaf ? -1 : x->leaf > y->leaf;
}

static int by_reached_leaf(const void *a, const void *b)
{
	const struct reached_leaf *x = a, *y = b;

	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

static int list_extents(struct quotas *q, struct diag *d)
{
	const struct block_sweep sweep = { .wanted = is_subvol_leaf, .visit = visit_leaf, .ctx = q };
	int err;

	q->check->sink.is_muted = true;
	err = block_table_sweep(q->check, 0, &sweep, d);
	q->check->sink.is_muted = false;
	return err;
}

static int reach(struct quotas *q, u64 logical, u64 len, u64 root, struct diag *d)
{
	const struct reached reached = { logical, len, root };

	return sorter_add(q->reached, &reached, 1, d);
}

/* A tree block of a subvolume, and all below it. Leaves are known from the pointers to them. 1: a node cannot be read now. */
static int reach_below(struct quotas *q, u8 level, u64 logical, u64 root, struct diag *d)
{
	const struct block_expect expect = { .logical = logical, .level = level };
	const struct reached_leaf leaf = { logical, root };
	_cleanup_(block_putp) struct tree_block *node = NULL;
	int err = reach(q, logical, check_nodesize(q->check), root, d);

	if (!err && level == 0)
		return sorter_add(q->leaves, &leaf, 1, d);
	if (!err)
		err = block_get(q->check->fs->cache, &expect, &node, d);
	if (err == -EUCLEAN || err == -EIO)
		return 1;
	for (u32 slot = 0; !err && slot < node->nritems; slot++)
		err = reach_below(q, (u8)(level - 1), node_blockptr(node->data, slot), root, d);
	if (!err && atomic_load(&q->check->cancel->is_requested))
		err = diag_fail(d, -ECANCELED, "cancelled");
	return err;
}

/* The extents of each leaf, for each subvolume that reaches the leaf: both lists are in the order of leaves. */
static int reach_extents(struct quotas *q, struct diag *d)
{
	ARRAY(u64) roots = { 0 }; /* that reach the leaf */
	const void *record = NULL, *next = NULL;
	int err = sorter_sort(q->extents, d), at;
	u64 leaf = 0;

	if (!err)
		err = sorter_sort(q->leaves, d);
	at = err ? err : sorter_next(q->leaves, &next, d);
	while (!err && (err = sorter_next(q->extents, &record, d)) == 0) {
		const struct leaf_extent *extent = record;

		if (extent->leaf != leaf)
			roots.len = 0;
		leaf = extent->leaf;
		while (at == 0 && ((const struct reached_leaf *)next)->leaf <= leaf && !err) {
			if (((const struct reached_leaf *)next)->leaf == leaf &&
			    array_push(&roots, ((const struct reached_leaf *)next)->root) < 0)
				err = diag_no_memory(d, "quota groups");
			at = sorter_next(q->leaves, &next, d);
		}
		array_for_each(&roots, root)
			if (!err)
				err = reach(q, extent->logical, extent->len, *root, d);
		err = at < 0 ? at : err;
	}
	array_done(&roots);
	return err < 0 ? err : 0;
}

static int reach_all(struct quotas *q, struct diag *d)
{
	int err = list_extents(q, d);

	array_for_each(&q->check->roots, root)
		if (!err && tree_id_is_subvol(root->id) && !root->is_reloc)
			err = reach_below(q, root->level, root->logical, root->id, d);
	return err ? err : reach_extents(q, d);
}

/* --- Counting ---------------------------------------------------------------------------------------------------------- */

static int by_extent(const void *a, const void *b)
{
	const struct reached *x = a, *y = b;

	if (x->logical != y->logical)
		return x->logical < y->logical ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

static bool is_member(const struct quota_group *group, u64 root)
{
	for (size_t i = 0; i < group->members.len; i++)
		if (group->members.items[i] == root)
			return true;
	return false;
}

/* An extent that was reached by @roots. */
static void count_extent(struct quotas *q, u64 len, const u64 *roots, size_t nr_roots)
{
	array_for_each(&q->groups.list, group) {
		bool has_member = false, has_stranger = false;

		for (size_t i = 0; i < nr_roots; i++) {
			bool is_one = is_member(group, roots[i]);

			has_member = has_member || is_one;
			has_stranger = has_stranger || !is_one;
		}
		group->rfer += has_member ? len : 0;
		group->excl += has_member && !has_stranger ? len : 0;
	}
}

static int count_all(struct quotas *q, struct diag *d)
{
	ARRAY(u64) roots = { 0 };
	struct reached last = { 0 };
	const void *record;
	int err = sorter_sort(q->reached, d);

	while (!err && (err = sorter_next(q->reached, &record, d)) == 0) {
		const struct reached *reached = record;

		if (roots.len && reached->logical != last.logical) {
			count_extent(q, last.len, roots.items, roots.len);
			roots.len = 0;
		}
		last = *reached;
		if ((roots.len == 0 || roots.items[roots.len - 1] != last.root) && array_push(&roots, last.root) < 0)
			err = diag_no_memory(d, "quota groups");
	}
	if (roots.len)
		count_extent(q, last.len, roots.items, roots.len);
	array_done(&roots);
	return err < 0 ? err : 0;
}

static bool is_any_dropping(const struct check *check)
{
	array_for_each(&check->roots, root)
		if (root_is_deleted(root))
			return true;
	return false;
}

static int sorters_new(struct quotas *q)
{
	struct spill *spill = &q->check->spill;
	u64 memory = q->check->memory_bytes;
	int err = sorter_new(spill, sizeof(struct leaf_extent), memory / 16, by_leaf, &q->extents);

	if (!err)
		err = sorter_new(spill, sizeof(struct reached_leaf), memory / 16, by_reached_leaf, &q->leaves);
	return err ? err : sorter_new(spill, sizeof(struct reached), memory / 8, by_extent, &q->reached);
}

/* 1: it cannot be counted. */
static int count_regular(struct quotas *q, struct diag *d)
{
	int err = sorters_new(q) < 0 ? diag_no_memory(d, "quota groups") : reach_all(q, d);

	if (!err)
		err = count_all(q, d);
	sorter_free(q->extents);
	sorter_free(q->leaves);
	sorter_free(q->reached);
	return err;
}

int pass_quotas(struct check *check, struct diag *d)
{
	struct quotas q = { .check = check };
	bool can_count;
	struct tree tree;
	int err;

	if (fs_tree(check->fs, QUOTA_TREE_OBJECTID, &tree, NULL) < 0)
		return 0;
	can_count = is_exact(check, &tree) && !check->is_incomplete;
	err = quota_groups_read(check, &tree, &q.groups) < 0 ? diag_no_memory(d, "quota groups") : 0;
	if (!err && can_count && check->simple_quotas_since) {
		simple_quotas_count(check, &q.groups);
	} else if (!err && can_count) {
		/* What is half deleted is half counted, too. */
		can_count = !is_any_dropping(check);
		err = can_count ? count_regular(&q, d) : 0;
	}
	if (!err && can_count)
		quota_groups_compare(check, &q.groups);
	quota_groups_done(&q.groups);
	return err < 0 ? err : 0;
}
