/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds every tree: the superblock's own, and those of the root tree. Leaves check->roots and the pointers to their root
 * blocks. Proves nothing yet but that root items can be read.
 */
#include "check/block_table.h"

typedef unsigned long long ull;

/* Deleted subvolumes, which come behind all others: what they share with these is looked at as part of these. */
struct roots_scan {
	struct check *check;
	struct check_root last; /* the item before */
	ARRAY(struct check_root) deleted;
};

bool root_is_deleted(const struct check_root *root)
{
	return root->refs == 0 && !root->is_reloc && tree_id_is_subvol(root->id);
}

static int add_root(struct check *check, const struct check_root *root, struct diag *d)
{
	const u32 index = (u32)check->roots.len;
	const struct block_pointer pointer = {
		.logical = root->logical,
		.generation = root->generation,
		.limit = KEY_MAX,
		.root = index,
		.parent = BLOCK_NONE,
		.slot = index,
		.owner_root = root->is_reloc ? ROOT_NONE : index,
	};

	if (check->roots.len == INT32_MAX || array_push(&check->roots, *root) < 0)
		return diag_no_memory(d, "the trees");
	return block_table_point(check->blocks, root->level, &pointer, 1, d);
}

/* Items of one tree are neighbours; relocation trees share an id, and have the subvolume in the offset. */
static void judge_twice(struct check *check, const struct check_root *last, const struct check_root *root)
{
	if (!root->is_reloc && !last->is_reloc && last->id == root->id)
		complain(check, ROOT_ITEM_TWICE, AT(.tree = root->id, .has_key = true, .key = root->item_key),
			 (long long)root->id, (ull)last->item_key.offset, (ull)root->item_key.offset);
}

static int add_deleted(struct roots_scan *scan, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < scan->deleted.len && !err; i++)
		err = add_root(scan->check, &scan->deleted.items[i], d);
	scan->deleted.len = 0;
	return err;
}

/* Relocation trees, of which one may share a deleted subvolume's blocks, come last of all. */
static int add_in_turn(struct roots_scan *scan, const struct check_root *root, struct diag *d)
{
	int err = root->is_reloc ? add_deleted(scan, d) : 0;

	if (err || !root_is_deleted(root))
		return err ? err : add_root(scan->check, root, d);
	return array_push(&scan->deleted, *root) < 0 ? diag_no_memory(d, "the trees") : 0;
}

static int add_root_item(struct roots_scan *scan, const struct cursor *cursor, struct diag *d)
{
	struct check *check = scan->check;
	const struct key key = cursor_key(cursor);
	struct check_root root = { .id = key.objectid, .item_key = key };
	struct disk_root_item item;

	if (cursor_data_bytes(cursor) < ROOT_ITEM_V0_BYTES)
		return 0; /* its item is complained of where leaves are checked */
	root_item_unpack(cursor, &item);
	if (key.objectid == TREE_RELOC_OBJECTID) {
		root.is_reloc = true;
		root.id = key.offset;
	}
	judge_twice(check, &scan->last, &root);
	scan->last = root;
	root.logical = le64_get(item.bytenr);
	root.generation = le64_get(item.generation);
	root.level = item.level;
	root.refs = le32_get(item.refs);
	root.drop_progress = key_unpack(&item.drop_progress);
	root.drop_level = item.drop_level;
	root.is_dropping = root.refs == 0 && root.drop_progress.objectid != 0;
	if (root.generation == 0)
		complain(check, POINTER_GENERATION_ZERO, AT(.tree = root.id, .has_key = true, .key = key),
			 (ull)cursor->path[0].block->logical, (long long)ROOT_TREE_OBJECTID, cursor->path[0].slot);
	if (root.level >= LEVEL_MAX || root.logical == 0 || root.logical % check_sectorsize(check)) {
		complain(check, ROOT_ITEM_IMPOSSIBLE, AT(.tree = root.id, .has_key = true, .key = key), (long long)root.id,
			 (ull)root.logical, item.level);
		return 0;
	}
	if ((root.id == FREE_SPACE_TREE_OBJECTID &&
	     !(le64_get(check->fs->super.compat_ro_flags) & COMPAT_RO_FREE_SPACE_TREE)) ||
	    (root.id == BLOCK_GROUP_TREE_OBJECTID &&
	     !(le64_get(check->fs->super.compat_ro_flags) & COMPAT_RO_BLOCK_GROUP_TREE)))
		complain(check, FEATURE_BIT_MISSING, AT(.tree = root.id),
			 root.id == FREE_SPACE_TREE_OBJECTID ? "free space tree" : "block group tree");
	if (tree_id_is_subvol(root.id) && !root.is_reloc && root.refs && array_push(&check->finder.subvols, root.id) < 0)
		return diag_no_memory(d, "the subvolumes");
	return add_in_turn(scan, &root, d);
}

/* Trees that each filesystem has. Those of features are missed where they are needed. */
static void judge_missing(struct check *check)
{
	static const struct {
		u64 id;
		const char *name;
	} wanted[] = {
		{ EXTENT_TREE_OBJECTID, "extent" },
		{ CSUM_TREE_OBJECTID, "checksum" },
		{ DATA_RELOC_TREE_OBJECTID, "data relocation" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		bool is_there = false;

		array_for_each(&check->roots, root)
			is_there = is_there || (root->id == wanted[i].id && !root->is_reloc);
		if (!is_there)
			complain(check, TREE_MISSING, AT(.tree = wanted[i].id), wanted[i].name);
		if (!is_there && wanted[i].id == EXTENT_TREE_OBJECTID)
			check->is_extent_tree_short = check->is_incomplete = true;
	}
}

int pass_roots(struct check *check, struct diag *d)
{
	const struct btrkit_fs *fs = check->fs;
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	const struct check_root chunk = { .id = CHUNK_TREE_OBJECTID,
					  .logical = fs->chunk_tree.root_logical,
					  .generation = fs->chunk_tree.generation,
					  .level = (u8)MAX(fs->chunk_tree.level, 0),
					  .refs = 1 };
	const struct check_root top = { .id = ROOT_TREE_OBJECTID,
					.logical = fs->root_tree.root_logical,
					.generation = fs->root_tree.generation,
					.level = (u8)MAX(fs->root_tree.level, 0),
					.refs = 1 };
	struct roots_scan scan = { .check = check };
	struct diag quiet = { 0 };
	int err = add_root(check, &chunk, d);

	if (!err)
		err = add_root(check, &top, d);
	cursor.do_skip_damage = true;
	for (int at = cursor_first(&cursor, &quiet); at == 0 && !err; at = cursor_next(&cursor, &quiet)) {
		const struct key key = cursor_key(&cursor);

		if (key.type == ROOT_ITEM_KEY)
			err = add_root_item(&scan, &cursor, d);
		else if (key.objectid == ORPHAN_OBJECTID && key.type == ORPHAN_ITEM_KEY &&
			 array_push(&check->orphan_roots, key.offset) < 0)
			err = diag_no_memory(d, "the orphans");
	}
	if (!err)
		err = add_deleted(&scan, d);
	array_done(&scan.deleted);
	if (!err && cursor.nr_skipped == 0 && !check->fs->partial_why)
		judge_missing(check);
	return err;
}
