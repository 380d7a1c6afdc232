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
	u32 leaf;
	u64 logical, len;
};

/* An extent that a subvolume reaches. */
struct reached {
	u64 logical, len, root;
};

struct quotas {
	struct check *check;
	struct worker_extents {
		ARRAY(struct leaf_extent) list;
	} *workers;
	ARRAY(struct leaf_extent) extents; /* by leaf */
	ARRAY(struct reached) reached;
	struct quota_groups groups;
	bool is_short; /* of memory */
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
	return record->state == BLOCK_GOOD && tree_id_is_subvol(record->tree);
}

static int visit_leaf(void *ctx, unsigned worker, u32 index, const u8 *leaf, struct diag *d)
{
	struct quotas *q = ctx;

	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		const struct disk_file_extent_item *item = leaf_item_data(leaf, slot);
		struct leaf_extent extent = { .leaf = index };

		if (leaf_key(leaf, slot).type != EXTENT_DATA_KEY ||
		    block_check_item(block_cache_check_params(q->check->fs->cache), leaf, slot, NULL) < 0 ||
		    item->type == FILE_EXTENT_INLINE || le64_get(item->disk_bytenr) == 0)
			continue;
		extent.logical = le64_get(item->disk_bytenr);
		extent.len = le64_get(item->disk_num_bytes);
		if (array_push(&q->workers[worker].list, extent) < 0)
			return diag_no_memory(d, "quota groups");
	}
	return 0;
}

static int by_leaf(const void *a, const void *b)
{
	const struct leaf_extent *x = a, *y = b;

	return x->leaf < y->leaf ? -1 : x->leaf > y->leaf;
}

static int list_extents(struct quotas *q, struct diag *d)
{
	const struct block_sweep sweep = { .wanted = is_subvol_leaf, .visit = visit_leaf, .ctx = q };
	unsigned nr = pool_threads(q->check->pool);
	int err;

	q->workers = calloc(nr, sizeof(*q->workers));
	if (!q->workers)
		return diag_no_memory(d, "quota groups");
	q->check->sink.is_muted = true;
	err = block_table_sweep(q->check, 0, &sweep, d);
	q->check->sink.is_muted = false;
	for (unsigned w = 0; w < nr; w++) {
		array_for_each(&q->workers[w].list, extent)
			if (!err && array_push(&q->extents, *extent) < 0)
				err = diag_no_memory(d, "quota groups");
		array_done(&q->workers[w].list);
	}
	free(q->workers);
	if (!err && q->extents.len)
		qsort(q->extents.items, q->extents.len, sizeof(*q->extents.items), by_leaf);
	return err;
}

static void reach(struct quotas *q, u64 logical, u64 len, u64 root)
{
	if (array_push(&q->reached, (struct reached){ logical, len, root }) < 0)
		q->is_short = true;
}

static void reach_leaf_extents(struct quotas *q, u32 leaf, u64 root)
{
	size_t i = array_lower_bound(&q->extents, it, it->leaf < leaf);

	for (; i < q->extents.len && q->extents.items[i].leaf == leaf; i++)
		reach(q, q->extents.items[i].logical, q->extents.items[i].len, root);
}

static void reach_below(struct quotas *q, u8 level, u32 index, u64 root)
{
	const struct block_level *at = &q->check->blocks->level[level];
	const struct block_record *record;

	if (index == BLOCK_NONE)
		return;
	record = &at->blocks.items[index];
	reach(q, record->logical, check_nodesize(q->check), root);
	if (level == 0)
		reach_leaf_extents(q, index, root);
	for (u32 i = 0; level > 0 && i < record->nr_children; i++)
		reach_below(q, (u8)(level - 1), at->children.items[record->first_child + i], root);
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

/* One extent, and all that reach it. */
static void count_extent(struct quotas *q, const struct reached *first, const struct reached *end)
{
	array_for_each(&q->groups.list, group) {
		bool has_member = false, has_stranger = false;

		for (const struct reached *at = first; at < end; at++) {
			bool is_one = is_member(group, at->root);

			has_member = has_member || is_one;
			has_stranger = has_stranger || !is_one;
		}
		group->rfer += has_member ? first->len : 0;
		group->excl += has_member && !has_stranger ? first->len : 0;
	}
}

static void count_all(struct quotas *q)
{
	const struct reached *at = q->reached.items, *end = at + q->reached.len;

	while (at < end) {
		const struct reached *next = at;

		while (next < end && next->logical == at->logical)
			next++;
		count_extent(q, at, next);
		at = next;
	}
}

static bool is_any_dropping(const struct check *check)
{
	array_for_each(&check->roots, root)
		if (tree_id_is_subvol(root->id) && root->refs == 0)
			return true;
	return false;
}

static int count_regular(struct quotas *q, struct diag *d)
{
	int err = list_extents(q, d);

	array_for_each(&q->check->roots, root)
		if (!err && tree_id_is_subvol(root->id) && !root->is_reloc)
			reach_below(q, root->level, root->root_block, root->id);
	if (!err && q->is_short)
		err = diag_no_memory(d, "quota groups");
	if (!err) {
		if (q->reached.len)
			qsort(q->reached.items, q->reached.len, sizeof(*q->reached.items), by_extent);
		count_all(q);
	}
	array_done(&q->extents);
	array_done(&q->reached);
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
		err = simple_quotas_count(check, &q.groups) < 0 ? diag_no_memory(d, "quota groups") : 0;
	} else if (!err && can_count) {
		/* What is half deleted is half counted, too. */
		can_count = !is_any_dropping(check);
		err = can_count ? count_regular(&q, d) : 0;
	}
	if (!err && can_count)
		quota_groups_compare(check, &q.groups);
	quota_groups_done(&q.groups);
	return err;
}
