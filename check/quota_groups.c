/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the quota tree. Proves that what is said of groups fits together: relations stand both ways and lead upwards, and
 * groups have limits and limits groups. */
#include "check/quota_groups.h"

typedef unsigned long long ull;

#define LIMIT_FLAGS 0x3fULL /* for max_rfer, max_excl, rsv_rfer, rsv_excl and two that were never used */

static unsigned level_of(u64 id)
{
	return (unsigned)(id >> 48);
}

static void complain_of(struct check *check, const struct key *key, const char *what)
{
	complain(check, ITEM_FIELD_ODD, AT(.tree = QUOTA_TREE_OBJECTID, .has_key = true, .key = *key),
		 (long long)QUOTA_TREE_OBJECTID, (long long)key->objectid, key->type, (ull)key->offset, what);
}

bool quota_status_read(const struct tree *tree, struct disk_qgroup_status_item *ret_status)
{
	const struct key key = { 0, QGROUP_STATUS_KEY, 0 };
	struct cursor cursor = cursor_init(tree);
	bool is_there = cursor_find(&cursor, &key, NULL) == 0 && cursor_data_bytes(&cursor) >= QGROUP_STATUS_V0_BYTES;

	memset(ret_status, 0, sizeof(*ret_status));
	if (is_there)
		memcpy(ret_status, cursor_data(&cursor), MIN((size_t)cursor_data_bytes(&cursor), sizeof(*ret_status)));
	cursor_done(&cursor);
	return is_there;
}

/* In order of their ids, as the tree has them. */
static struct quota_group *find_group(struct quota_groups *groups, u64 id)
{
	size_t i = array_lower_bound(&groups->list, it, it->id < id);

	return i < groups->list.len && groups->list.items[i].id == id ? &groups->list.items[i] : NULL;
}

/* --- Items ---------------------------------------------------------------------------------------------------------- */

static int read_info(struct check *check, struct quota_groups *groups, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	struct quota_group group = { .id = key.offset };

	if (cursor_data_bytes(cursor) < sizeof(group.said) || find_group(groups, group.id))
		return 0;
	memcpy(&group.said, cursor_data(cursor), sizeof(group.said));
	check_generation(check, QUOTA_TREE_OBJECTID, cursor->path[0].block->logical, &key, le64_get(group.said.generation));
	if (array_push(&groups->list, group) < 0)
		return -ENOMEM;
	return level_of(group.id) == 0 ? array_push(&groups->list.items[groups->list.len - 1].members, group.id) : 0;
}

static void read_limit(struct check *check, struct quota_groups *groups, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	const struct disk_qgroup_limit_item *limit = cursor_data(cursor);
	struct quota_group *group = find_group(groups, key.offset);

	if (cursor_data_bytes(cursor) < sizeof(*limit))
		return;
	if (!group)
		complain_of(check, &key, "limits of a group that is not there");
	else
		group->has_limit = true;
	/* mkfs.btrfs (6.2) leaves in those of the top subvolume what was in its memory. */
	if (le64_get(limit->flags) & ~LIMIT_FLAGS && key.offset != FS_TREE_OBJECTID)
		complain_of(check, &key, "limits of kinds that are not known");
}

static void judge_relation(struct check *check, struct quota_groups *groups, const struct tree *tree, const struct key *key)
{
	const struct key twin = { key->offset, QGROUP_RELATION_KEY, key->objectid };
	struct cursor cursor = cursor_init(tree);

	if (!find_group(groups, key->objectid) || !find_group(groups, key->offset))
		complain_of(check, key, "a relation of a group that is not there");
	else if (level_of(key->objectid) == level_of(key->offset))
		complain_of(check, key, "a group in another of its own level");
	else if (cursor_find(&cursor, &twin, NULL) == 1)
		complain_of(check, key, "a relation that stands in one direction only");
	cursor_done(&cursor);
}

/* Infos come before limits, and these before relations: groups are known when they are spoken of. */
static int read_items(struct check *check, struct quota_groups *groups, const struct tree *tree)
{
	struct cursor cursor = cursor_init(tree);
	int result = 0;

	for (int err = cursor_first(&cursor, NULL); err == 0 && !result; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);

		if (key.type != QGROUP_RELATION_KEY && key.objectid != 0)
			complain_of(check, &key, "an item of no group");
		else if (key.type == QGROUP_INFO_KEY)
			result = read_info(check, groups, &cursor);
		else if (key.type == QGROUP_LIMIT_KEY)
			read_limit(check, groups, &cursor);
		else if (key.type == QGROUP_RELATION_KEY)
			judge_relation(check, groups, tree, &key);
		else if (key.type == QGROUP_STATUS_KEY && key.offset != 0)
			complain_of(check, &key, "a status that nobody looks for");
	}
	cursor_done(&cursor);
	array_for_each(&groups->list, group)
		if (!result && !group->has_limit)
			complain_of(check, &(const struct key){ 0, QGROUP_INFO_KEY, group->id }, "a group without limits");
	return result;
}

/* --- Members -------------------------------------------------------------------------------------------------------- */

static int add_members(struct quota_group *parent, const struct quota_group *child)
{
	int err = 0;

	for (size_t i = 0; i < child->members.len && !err; i++) {
		u64 id = child->members.items[i];
		size_t at = array_lower_bound(&parent->members, it, *it < id);

		if (at < parent->members.len && parent->members.items[at] == id) {
			parent->is_ambiguous = true;
			continue;
		}
		err = array_reserve(&parent->members, 1);
		if (err)
			break;
		memmove(parent->members.items + at + 1, parent->members.items + at,
			(parent->members.len - at) * sizeof(*parent->members.items));
		parent->members.items[at] = id;
		parent->members.len++;
	}
	parent->is_ambiguous = parent->is_ambiguous || child->is_ambiguous;
	return err;
}

/* The lowest level above @level that a group has; 0: none. */
static unsigned next_level(const struct quota_groups *groups, unsigned level)
{
	size_t i = array_lower_bound(&groups->list, it, level_of(it->id) <= level);

	return i < groups->list.len ? level_of(groups->list.items[i].id) : 0;
}

/* A member of a member is one, too. Children have lower levels, so that level by level all are there. */
static int find_members(struct quota_groups *groups, const struct tree *tree)
{
	struct cursor cursor = cursor_init(tree);
	int result = 0;

	for (unsigned level = next_level(groups, 0); level && !result; level = next_level(groups, level)) {
		for (int err = cursor_first(&cursor, NULL); err == 0 && !result; err = cursor_next(&cursor, NULL)) {
			const struct key key = cursor_key(&cursor);
			struct quota_group *child, *parent;

			if (key.type != QGROUP_RELATION_KEY || level_of(key.offset) != level || level_of(key.objectid) >= level)
				continue;
			child = find_group(groups, key.objectid);
			parent = find_group(groups, key.offset);
			result = child && parent ? add_members(parent, child) : 0;
		}
	}
	cursor_done(&cursor);
	return result;
}

int quota_groups_read(struct check *check, const struct tree *tree, struct quota_groups *groups)
{
	int err = read_items(check, groups, tree);

	return err ? err : find_members(groups, tree);
}

void quota_groups_done(struct quota_groups *groups)
{
	array_for_each(&groups->list, group)
		array_done(&group->members);
	array_done(&groups->list);
}

/*
 * Who puts a group into another adds its numbers there; of one that is in it by two ways already, Linux makes twice as much
 * at first, but counts what is new only once. Nobody can say what is right then.
 */
void quota_groups_compare(struct check *check, const struct quota_groups *groups)
{
	array_for_each(&groups->list, group)
		if ((le64_get(group->said.rfer) != group->rfer || le64_get(group->said.excl) != group->excl) &&
		    !(check->simple_quotas_since && group->is_ambiguous))
			complain(check, QUOTA_WRONG, AT(.tree = QUOTA_TREE_OBJECTID), (ull)(group->id >> 48),
				 (ull)(group->id & ((1ULL << 48) - 1)), (ull)le64_get(group->said.rfer),
				 (ull)le64_get(group->said.excl), (ull)group->rfer, (ull)group->excl);
}
