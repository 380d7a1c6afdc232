/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left to tell of subvolumes and snapshots when some of their own keys are lost.
 *
 * A snapshot whose key is lost is known to its parent, as a child. The inode at the top of a subvolume says which that is, and it is
 * written anew in the snapshot of each; so whatever snapshot has such an inode was written to by that subvolume, and by no other. The
 * snapshots of a subvolume have the same inode at their top as it has, and inode numbers are never used in two trees of snapshots: so
 * inodes also tell which snapshots are of one tree, and the oldest of a tree, from which all others descend, has the oldest inode of
 * its top. What follows from that is sure; where it is not enough, nothing is shown.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "convert/bcachefs/bch_fs.h"

#define SNAPSHOT_DELETED 1 /* flag */
#define LIST_TEXT_MAX 120
#define TREE_CONTRADICTED UINT64_MAX

/* What inodes at the tops of subvolumes tell of one. */
struct owner {
	u32 subvol, fs_path_parent;
	u64 top_ino;
	u32 oldest, youngest; /* of the snapshots that are its own */
};

struct gathering {
	struct bch_fs *fs;
	struct bch_snapshots *snapshots;
	ARRAY(struct owner) owners; /* ascending by subvolume */
	/* The inode that the keys are of now. */
	u64 ino;
	bool is_top;
	ARRAY(u32) ids;
	bool has_loss; /* not all inodes could be read */
};

static void gathering_done(struct gathering *gathering)
{
	array_done(&gathering->owners);
	array_done(&gathering->ids);
}

static int no_memory(struct diag *d)
{
	return diag_no_memory(d, "snapshots");
}

/* Make room for an item at @index_ of @array_. */
#define array_insert(array_, index_, item_)                                                                                \
	({                                                                                                                 \
		size_t index__ = (index_);                                                                                 \
		int err__ = array_push((array_), (item_));                                                                 \
		if (!err__) {                                                                                              \
			__auto_type last__ = (array_)->items[(array_)->len - 1];                                           \
			memmove(&(array_)->items[index__ + 1], &(array_)->items[index__],                                  \
				((array_)->len - 1 - index__) * sizeof(last__));                                           \
			(array_)->items[index__] = last__;                                                                 \
		}                                                                                                          \
		err__;                                                                                                     \
	})

/* --- Snapshots that others know ---------------------------------------------------------------------------------- */

static struct bch_snapshot *find_snapshot(const struct bch_snapshots *snapshots, u32 id)
{
	size_t i = array_lower_bound(&snapshots->list, it, it->id < id);

	return i < snapshots->list.len && snapshots->list.items[i].id == id ? &snapshots->list.items[i] : NULL;
}

static int add_snapshot(struct bch_snapshots *snapshots, u32 id, u32 parent, struct diag *d)
{
	struct bch_snapshot snapshot = { .id = id, .parent = parent, .is_rebuilt = true };
	size_t i = array_lower_bound(&snapshots->list, it, it->id < id);

	array_for_each(&snapshots->subvols, subvol)
		if (subvol->snapshot == id)
			snapshot.subvol = subvol->id;
	return array_insert(&snapshots->list, i, snapshot) < 0 ? no_memory(d) : 0;
}

static unsigned nr_parents_of(const struct bch_snapshots *snapshots, u32 id)
{
	unsigned nr = 0;

	array_for_each(&snapshots->list, snapshot)
		nr += snapshot->children[0] == id || snapshot->children[1] == id;
	return nr;
}

/* What is not there, but a child of what is. */
static int add_children(struct bch_snapshots *snapshots, struct diag *d)
{
	size_t i = 0;

	while (i < snapshots->list.len) {
		const struct bch_snapshot parent = snapshots->list.items[i++];

		for (unsigned k = 0; k < 2; k++) {
			u32 id = parent.children[k];

			if (!id || id >= parent.id || find_snapshot(snapshots, id) || nr_parents_of(snapshots, id) != 1)
				continue;
			if (add_snapshot(snapshots, id, parent.id, d) < 0)
				return -ENOMEM;
			i++; /* it came before its parent */
		}
	}
	return 0;
}

/* The oldest of trees, as the btree of trees has them, or as nothing can be older. */
static int add_root(struct bch_snapshots *snapshots, u32 id, struct diag *d)
{
	bool is_wanted = false;

	array_for_each(&snapshots->list, snapshot)
		is_wanted |= snapshot->parent == id;
	array_for_each(&snapshots->subvols, subvol)
		is_wanted |= subvol->snapshot == id;
	return is_wanted && !find_snapshot(snapshots, id) ? add_snapshot(snapshots, id, 0, d) : 0;
}

static int add_roots(struct bch_fs *fs, struct bch_snapshots *snapshots, struct diag *d)
{
	_cleanup_(bch_cursor_done) struct bch_cursor cursor;
	struct diag why = { 0 };
	struct bch_key key;
	int err;

	bch_cursor_init(&cursor, fs, BCH_SNAPSHOT_TREES);
	err = add_root(snapshots, UINT32_MAX, d);
	if (err)
		return err;
	for (err = bch_cursor_seek(&cursor, &BCH_POS_MIN, &key, &why); !err; err = bch_cursor_next(&cursor, &key, &why)) {
		le32 value[2]; /* a subvolume, the snapshot */

		if (key.type != BCH_KEY_SNAPSHOT_TREE || key.value_bytes < sizeof(value))
			continue;
		memcpy(value, key.value, sizeof(value));
		err = add_root(snapshots, le32_get(value[1]), d);
		if (err)
			return err;
	}
	return err == -ENOMEM ? no_memory(d) : 0; /* it may be as lost as all else */
}

static bool is_way_known(const struct bch_snapshots *snapshots, u32 id)
{
	const struct bch_snapshot *snapshot = NULL;

	while (id && (snapshot = find_snapshot(snapshots, id)))
		id = snapshot->parent;
	return id == 0 && snapshot;
}

static bool is_all_known(const struct bch_snapshots *snapshots)
{
	array_for_each(&snapshots->subvols, subvol)
		if (!is_way_known(snapshots, subvol->snapshot))
			return false;
	return !snapshots->is_subvols_lost && snapshots->subvols.len;
}

/* --- What inodes tell --------------------------------------------------------------------------------------------- */

static struct bch_snapshot_fact *fact_of(struct bch_snapshots *snapshots, u32 id)
{
	size_t i = array_lower_bound(&snapshots->facts, it, it->id < id);

	if (i == snapshots->facts.len || snapshots->facts.items[i].id != id) {
		struct bch_snapshot_fact fact = { .id = id, .set = id };

		if (array_insert(&snapshots->facts, i, fact) < 0)
			return NULL;
	}
	return &snapshots->facts.items[i];
}

static struct bch_snapshot_fact *set_of(struct bch_snapshots *snapshots, u32 id)
{
	struct bch_snapshot_fact *fact = fact_of(snapshots, id);

	while (fact && fact->set != fact->id)
		fact = fact_of(snapshots, fact->set);
	return fact;
}

static const struct owner *find_owner(const struct gathering *gathering, u32 subvol)
{
	size_t i = array_lower_bound(&gathering->owners, it, it->subvol < subvol);

	return i < gathering->owners.len && gathering->owners.items[i].subvol == subvol ? &gathering->owners.items[i] : NULL;
}

/* All keys of one inode have been seen: their snapshots are of one tree. */
static int end_inode(struct gathering *gathering)
{
	struct bch_snapshots *snapshots = gathering->snapshots;
	u32 oldest = 0;

	for (size_t i = 1; i < gathering->ids.len; i++) {
		struct bch_snapshot_fact *a = set_of(snapshots, gathering->ids.items[0]), *b = set_of(snapshots, gathering->ids.items[i]);

		if (a && b)
			b->set = a->set;
	}
	if (gathering->is_top) {
		array_for_each(&gathering->ids, id) {
			fact_of(snapshots, *id)->tree = gathering->ino;
			oldest = MAX(oldest, *id);
		}
		fact_of(snapshots, oldest)->is_root = true;
	}
	gathering->ids.len = 0;
	gathering->is_top = false;
	return 0;
}

/* The inode at the top of a subvolume. */
static int take_top(struct gathering *gathering, const struct bch_inode *inode, u32 subvol, struct diag *d)
{
	struct bch_snapshot_fact *fact = fact_of(gathering->snapshots, inode->snapshot);
	size_t i = array_lower_bound(&gathering->owners, it, it->subvol < subvol);
	struct owner owner = { .subvol = subvol, .fs_path_parent = inode->parent_subvol, .top_ino = inode->ino,
			       .oldest = inode->snapshot, .youngest = inode->snapshot };

	gathering->is_top = true;
	if (i == gathering->owners.len || gathering->owners.items[i].subvol != subvol) {
		if (array_insert(&gathering->owners, i, owner) < 0)
			return no_memory(d);
	} else if (gathering->owners.items[i].top_ino != inode->ino) {
		return 0; /* two tops: the first is believed */
	} else { /* keys of an inode ascend by snapshot */
		gathering->owners.items[i].oldest = MAX(gathering->owners.items[i].oldest, inode->snapshot);
	}
	if (!fact->owner)
		fact->owner = subvol;
	return 0;
}

static int take_inode(struct gathering *gathering, const struct bch_key *key, struct diag *d)
{
	struct diag unused = { 0 };
	struct bch_inode inode;
	u32 subvol;

	if (key->pos.inode != 0 || key->pos.snapshot == 0)
		return 0;
	if (key->pos.offset != gathering->ino)
		end_inode(gathering);
	gathering->ino = key->pos.offset;
	if (!fact_of(gathering->snapshots, key->pos.snapshot) || array_push(&gathering->ids, key->pos.snapshot) < 0)
		return no_memory(d);
	if (key->type == BCH_KEY_WHITEOUT || bch_inode_get(key, &inode, &unused) != 0 || !S_ISDIR(inode.mode))
		return 0;
	subvol = inode.subvol ?: inode.ino == BCH_TOP_INODE ? BCH_TOP_SUBVOL : 0;
	return subvol ? take_top(gathering, &inode, subvol, d) : 0;
}

static int gather(struct gathering *gathering, struct diag *d)
{
	_cleanup_(bch_cursor_done) struct bch_cursor cursor;
	struct bch_pos at = BCH_POS_MIN;
	bool do_seek = true;

	bch_cursor_init(&cursor, gathering->fs, BCH_INODES);
	for (;;) {
		struct diag why = { 0 };
		struct bch_key key;
		int err = do_seek ? bch_cursor_seek(&cursor, &at, &key, &why) : bch_cursor_next(&cursor, &key, &why);

		if (err > 0)
			return end_inode(gathering);
		do_seek = err == -EUCLEAN || err == -EIO;
		if (do_seek) {
			gathering->has_loss = true;
			if (bch_pos_compare(&cursor.lost_max, &at) < 0 || bch_pos_compare(&cursor.lost_max, &BCH_POS_MAX) >= 0)
				return end_inode(gathering);
			at = bch_pos_successor(cursor.lost_max);
			continue;
		}
		if (err)
			return diag_copy(d, &why);
		err = take_inode(gathering, &key, d);
		if (err)
			return err;
	}
}

/* What is known of any snapshot of a tree, all of them have. What was lost may have had an older top. */
static void spread_trees(struct gathering *gathering)
{
	struct bch_snapshots *snapshots = gathering->snapshots;

	array_for_each(&snapshots->facts, fact) {
		struct bch_snapshot_fact *set = set_of(snapshots, fact->id);

		if (fact->tree && set->tree && set->tree != fact->tree)
			set->tree = TREE_CONTRADICTED;
		else if (fact->tree)
			set->tree = fact->tree;
	}
	array_for_each(&snapshots->facts, fact) {
		u64 tree = set_of(snapshots, fact->id)->tree;

		fact->tree = tree == TREE_CONTRADICTED ? 0 : tree;
		if (gathering->has_loss && fact->id != UINT32_MAX)
			fact->is_root = false;
	}
}

/* --- Subvolumes --------------------------------------------------------------------------------------------------- */

static bool has_subvol(const struct bch_snapshots *snapshots, u32 id)
{
	size_t i = array_lower_bound(&snapshots->subvols, it, it->id < id);

	return i < snapshots->subvols.len && snapshots->subvols.items[i].id == id;
}

static int add_subvol(struct gathering *gathering, const struct owner *owner, u32 snapshot, bool is_leaf_lost, struct diag *d)
{
	struct bch_snapshots *snapshots = gathering->snapshots;
	const struct bch_subvol subvol = {
		.id = owner->subvol,
		.snapshot = snapshot,
		.top_ino = owner->top_ino,
		.fs_path_parent = owner->fs_path_parent,
		.is_rebuilt = true,
		.is_leaf_lost = is_leaf_lost,
	};
	size_t i = array_lower_bound(&snapshots->subvols, it, it->id < owner->subvol);

	return array_insert(&snapshots->subvols, i, subvol) < 0 ? no_memory(d) : 0;
}

/* First those whose snapshot is known; if not all of these are, any that has an inode at its top. */
static int add_subvols(struct gathering *gathering, struct diag *d)
{
	struct bch_snapshots *snapshots = gathering->snapshots;

	array_for_each(&snapshots->list, snapshot) {
		const struct owner *owner;

		if (!snapshot->subvol || snapshot->children[0] || (snapshot->flags & SNAPSHOT_DELETED) ||
		    has_subvol(snapshots, snapshot->subvol))
			continue;
		owner = find_owner(gathering, snapshot->subvol);
		if (!owner)
			diag_note(d, DIAG_WARNING, "subvolume %u: the directory at its top is not known", snapshot->subvol);
		else if (add_subvol(gathering, owner, snapshot->id, false, d) < 0)
			return -ENOMEM;
	}
	if (!snapshots->is_list_lost)
		return 0;
	array_for_each(&gathering->owners, owner)
		if (!has_subvol(snapshots, owner->subvol) && add_subvol(gathering, owner, owner->youngest, true, d) < 0)
			return -ENOMEM;
	return 0;
}

/* What subvolumes tell of snapshots in turn. */
static int finish_facts(struct gathering *gathering, struct diag *d)
{
	array_for_each(&gathering->snapshots->subvols, subvol) {
		const struct owner *owner = find_owner(gathering, subvol->id);
		struct bch_snapshot_fact *fact = fact_of(gathering->snapshots, subvol->snapshot);

		if (!fact)
			return no_memory(d);
		fact->owner = subvol->id;
		fact->is_leaf = !subvol->is_leaf_lost;
		if (!fact->tree)
			fact->tree = subvol->top_ino;
		subvol->first_snapshot = owner && owner->top_ino == subvol->top_ino ? MAX(owner->oldest, subvol->snapshot) :
											  subvol->snapshot;
	}
	return 0;
}

/* --- Telling -------------------------------------------------------------------------------------------------------- */

static void add_number(char *text, u32 number)
{
	size_t len = strlen(text);

	if (len < LIST_TEXT_MAX - 20)
		snprintf(text + len, LIST_TEXT_MAX - len, "%s%u", len ? ", " : "", number);
	else if (text[len - 1] != '.')
		snprintf(text + len, LIST_TEXT_MAX - len, ", ...");
}

static bool is_unsure(const struct bch_fs *fs, const struct bch_subvol *subvol)
{
	array_for_each(&fs->snapshots.facts, fact)
		if (bch_snapshot_judge(fs, subvol->snapshot, fact->id) < 0)
			return true;
	return false;
}

static void tell(struct bch_fs *fs, struct bch_snapshots *snapshots, const struct diag *why, struct diag *d)
{
	char rebuilt[LIST_TEXT_MAX] = "", unsure[LIST_TEXT_MAX] = "";

	fs->snapshots = *snapshots; /* to be asked; it is the caller's again below */
	array_for_each(&snapshots->subvols, subvol) {
		if (subvol->is_rebuilt)
			add_number(rebuilt, subvol->id);
		if (is_unsure(fs, subvol))
			add_number(unsure, subvol->id);
	}
	fs->snapshots = (struct bch_snapshots){ 0 };
	diag_note(d, DIAG_WARNING, "%s: subvolumes and snapshots are as other keys tell", why->text);
	if (rebuilt[0])
		diag_note(d, DIAG_WARNING, "subvolumes found by the directories at their tops: %s; which are read-only, which snapshots, and "
					   "which were being deleted is not known", rebuilt);
	if (unsure[0])
		diag_note(d, DIAG_WARNING, "it is not known from which snapshots these subvolumes descend: %s; what is not sure to be "
					   "theirs is left out", unsure);
}

int bch_snapshots_rebuild(struct bch_fs *fs, struct bch_snapshots *snapshots, const struct diag *why, struct diag *d)
{
	_cleanup_(gathering_done) struct gathering gathering = { .fs = fs, .snapshots = snapshots };
	int err = add_children(snapshots, d);

	if (!err)
		err = add_roots(fs, snapshots, d);
	if (err)
		return err;
	if (is_all_known(snapshots)) {
		snapshots->is_list_lost = false;
		diag_note(d, DIAG_WARNING, "%s: others tell all that there is to know of it", why->text);
		return 0;
	}
	err = gather(&gathering, d);
	if (err)
		return err;
	spread_trees(&gathering);
	if (snapshots->is_subvols_lost)
		err = add_subvols(&gathering, d);
	if (!err)
		err = finish_facts(&gathering, d);
	if (!err && snapshots->subvols.len == 0)
		return diag_copy(d, why);
	if (!err)
		tell(fs, snapshots, why, d);
	return err;
}
