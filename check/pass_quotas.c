/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves the numbers of quota groups: what each subvolume, and each group of them, refers to and has for itself. Every
 * extent is listed with every subvolume that reaches it, sorted, and counted. Numbers that say themselves that they are not
 * exact (a rescan is going on, or they are marked inconsistent) are left alone, as are simple quotas, whose numbers have no
 * second witness.
 */
#include "check/block_table.h"

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

struct group {
	u64 id;
	u64 rfer, excl; /* counted */
	struct disk_qgroup_info_item said;
	ARRAY(u64) members; /* subvolumes; of level 0 the one with its id */
};

struct quotas {
	struct check *check;
	struct worker_extents {
		ARRAY(struct leaf_extent) list;
	} *workers;
	ARRAY(struct leaf_extent) extents; /* by leaf */
	ARRAY(struct reached) reached;
	ARRAY(struct group) groups;
	struct tree tree;
	bool is_short; /* of memory */
};

/* --- The quota tree ------------------------------------------------------------------------------------------------ */

/* Are the numbers said to be exact? */
static bool is_exact(struct quotas *q)
{
	const struct key key = { 0, QGROUP_STATUS_KEY, 0 };
	struct cursor cursor = cursor_init(&q->tree);
	bool is_exact = false;

	if (cursor_find(&cursor, &key, NULL) == 0) {
		const struct disk_qgroup_status_item *status = cursor_data(&cursor);
		u64 flags = le64_get(status->flags);

		if (le64_get(status->version) != 1 || (flags & ~(QGROUP_STATUS_ON | QGROUP_STATUS_RESCAN |
								 QGROUP_STATUS_INCONSISTENT | QGROUP_STATUS_SIMPLE_MODE)))
			complain(q->check, ITEM_FIELD_ODD, AT(.tree = QUOTA_TREE_OBJECTID, .has_key = true, .key = key),
				 (long long)QUOTA_TREE_OBJECTID, (long long)key.objectid, key.type, (ull)key.offset,
				 "its version, or its flags");
		is_exact = flags == QGROUP_STATUS_ON && le64_get(status->generation) == q->check->generation;
		if ((flags & (QGROUP_STATUS_ON | QGROUP_STATUS_INCONSISTENT)) == (QGROUP_STATUS_ON | QGROUP_STATUS_INCONSISTENT))
			complain(q->check, QUOTA_INCONSISTENT, AT(.tree = QUOTA_TREE_OBJECTID));
	} else {
		complain(q->check, QUOTA_STATUS_MISSING, AT(.tree = QUOTA_TREE_OBJECTID));
	}
	cursor_done(&cursor);
	return is_exact;
}

static struct group *find_group(struct quotas *q, u64 id)
{
	array_for_each(&q->groups, group)
		if (group->id == id)
			return group;
	return NULL;
}

static int read_groups(struct quotas *q)
{
	struct cursor cursor = cursor_init(&q->tree);
	int err, result = 0;

	for (err = cursor_first(&cursor, NULL); err == 0 && !result; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);
		struct group group = { .id = key.offset };

		if (key.type == QGROUP_LIMIT_KEY && !find_group(q, key.offset))
			complain(q->check, ITEM_FIELD_ODD, AT(.tree = QUOTA_TREE_OBJECTID, .has_key = true, .key = key),
				 (long long)QUOTA_TREE_OBJECTID, (long long)key.objectid, key.type, (ull)key.offset,
				 "limits of a group that is not there");
		if (key.type != QGROUP_INFO_KEY || cursor_data_bytes(&cursor) < sizeof(group.said))
			continue;
		memcpy(&group.said, cursor_data(&cursor), sizeof(group.said));
		if (group.id >> 48 == 0)
			result = array_push(&group.members, group.id);
		if (!result)
			result = array_push(&q->groups, group);
	}
	/* Relations stand in both directions; a member of a member is one, too: children have lower levels. */
	for (u64 level = 1; level < 16 && !result; level++)
		for (err = cursor_first(&cursor, NULL); err == 0 && !result; err = cursor_next(&cursor, NULL)) {
			const struct key key = cursor_key(&cursor);
			struct group *child, *parent;

			if (key.type != QGROUP_RELATION_KEY || key.offset >> 48 != level || key.objectid >> 48 >= level)
				continue;
			child = find_group(q, key.objectid);
			parent = find_group(q, key.offset);
			for (size_t i = 0; child && parent && i < child->members.len && !result; i++)
				result = array_push(&parent->members, child->members.items[i]);
		}
	cursor_done(&cursor);
	return result;
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

static bool is_member(const struct group *group, u64 root)
{
	for (size_t i = 0; i < group->members.len; i++)
		if (group->members.items[i] == root)
			return true;
	return false;
}

/* One extent, and all that reach it. */
static void count_extent(struct quotas *q, const struct reached *first, const struct reached *end)
{
	array_for_each(&q->groups, group) {
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

static void compare(struct quotas *q)
{
	array_for_each(&q->groups, group)
		if (le64_get(group->said.rfer) != group->rfer || le64_get(group->said.excl) != group->excl)
			complain(q->check, QUOTA_WRONG, AT(.tree = QUOTA_TREE_OBJECTID), (ull)(group->id >> 48),
				 (ull)(group->id & ((1ULL << 48) - 1)), (ull)le64_get(group->said.rfer),
				 (ull)le64_get(group->said.excl), (ull)group->rfer, (ull)group->excl);
}

static bool is_any_dropping(const struct check *check)
{
	array_for_each(&check->roots, root)
		if (tree_id_is_subvol(root->id) && root->refs == 0)
			return true;
	return false;
}

int pass_quotas(struct check *check, struct diag *d)
{
	struct quotas q = { .check = check };
	int err;

	/* What is half deleted is half counted, too. */
	if (fs_tree(check->fs, QUOTA_TREE_OBJECTID, &q.tree, NULL) < 0 || check->is_incomplete || !is_exact(&q) ||
	    is_any_dropping(check))
		return 0;
	err = read_groups(&q) < 0 ? diag_no_memory(d, "quota groups") : list_extents(&q, d);
	array_for_each(&check->roots, root)
		if (!err && tree_id_is_subvol(root->id) && !root->is_reloc)
			reach_below(&q, root->level, root->root_block, root->id);
	if (!err && q.is_short)
		err = diag_no_memory(d, "quota groups");
	if (!err) {
		if (q.reached.len)
			qsort(q.reached.items, q.reached.len, sizeof(*q.reached.items), by_extent);
		count_all(&q);
		compare(&q);
	}
	array_for_each(&q.groups, group)
		array_done(&group->members);
	array_done(&q.groups);
	array_done(&q.extents);
	array_done(&q.reached);
	return err;
}
