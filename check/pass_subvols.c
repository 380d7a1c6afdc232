/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves that root items, their references both ways, the directory entries that lead to subvolumes, the uuid tree both
 * ways and the default subvolume agree, and that deleted subvolumes are known to be so.
 */
#include <uuid/uuid.h>

#include "check/check.h"
#include "kernel-shared/format/name_hash.h"

typedef unsigned long long ull;

static const struct check_root *find_root(const struct check *check, u64 id)
{
	array_for_each(&check->roots, root)
		if (root->id == id && !root->is_reloc)
			return root;
	return NULL;
}

/* --- Root items ------------------------------------------------------------------------------------------------------------ */

static bool is_listed_orphan(const struct check *check, u64 id)
{
	array_for_each(&check->orphan_roots, orphan)
		if (*orphan == id)
			return true;
	return false;
}

static void complain_odd(struct check *check, const struct check_root *root, const char *what)
{
	const struct key *key = &root->item_key;

	complain(check, ITEM_FIELD_ODD, AT(.tree = root->id, .has_key = true, .key = *key), (long long)ROOT_TREE_OBJECTID,
		 (long long)key->objectid, key->type, (ull)key->offset, what);
}

/* Of trees that are not subvolumes, most of the item means nothing. */
static void judge_system_root(struct check *check, const struct check_root *root, const struct disk_root_item *item)
{
	/* mkfs.btrfs up to 6.2 at least makes those of the quota tree 0. */
	if (root->refs != 1 && (root->refs || root->id != QUOTA_TREE_OBJECTID))
		complain_odd(check, root, "references, where there is one");
	/* btrfs-convert makes the relocation tree's a generation. */
	if (root->item_key.offset != 0 && (root->id != DATA_RELOC_TREE_OBJECTID || root->item_key.offset > check->generation))
		complain(check, ROOT_KEY_WRONG, AT(.tree = root->id, .has_key = true, .key = root->item_key), (long long)root->id,
			 (ull)root->item_key.offset);
	if (le64_get(item->flags))
		complain_odd(check, root, "flags of a subvolume");
	if (item->drop_level || root->drop_progress.objectid)
		complain_odd(check, root, "a deletion that is going on");
}

static bool is_newer(const struct check *check, le64 generation)
{
	return le64_get(generation) > check->generation;
}

static void judge_subvol_root(struct check *check, const struct check_root *root, const struct disk_root_item *item)
{
	bool has_v2 = le64_get(item->generation_v2) == le64_get(item->generation);

	if (root->refs == 0 && !is_listed_orphan(check, root->id))
		complain(check, ROOT_ORPHAN_MISSING, AT(.tree = root->id), (ull)root->id);
	if (root->refs > 1)
		complain(check, ROOT_REFS_WRONG, AT(.tree = root->id), (ull)root->id, root->refs);
	/* Some tools leave it out of the top subvolume's item, where Linux does not look. */
	if (root->refs && le64_get(item->root_dirid) != FIRST_FREE_OBJECTID &&
	    (le64_get(item->root_dirid) != 0 || root->id != FS_TREE_OBJECTID))
		complain(check, ROOT_DIRID_WRONG, AT(.tree = root->id), (ull)root->id, (ull)le64_get(item->root_dirid));
	if (root->refs && (root->drop_progress.objectid || item->drop_level))
		complain(check, ROOT_DROP_PROGRESS_WRONG, AT(.tree = root->id), (ull)root->id);
	/* The deletion goes down from the root, and stops at a node. */
	if (root->is_dropping && (item->drop_level == 0 || item->drop_level > root->level))
		complain(check, ROOT_DROP_PROGRESS_WRONG, AT(.tree = root->id), (ull)root->id);
	/* A snapshot's key has the generation in which it was made. */
	if (is_newer(check, item->last_snapshot) || root->item_key.offset > check->generation ||
	    (has_v2 && (is_newer(check, item->otransid) || is_newer(check, item->ctransid) || is_newer(check, item->rtransid))))
		complain(check, ROOT_GENERATION_WRONG, AT(.tree = root->id), (long long)root->id, (ull)root->generation);
}

static void judge_root(struct check *check, const struct check_root *root, const struct disk_root_item *item)
{
	if (root->generation > check->generation)
		complain(check, ROOT_GENERATION_WRONG, AT(.tree = root->id), (long long)root->id, (ull)root->generation);
	if (tree_id_is_subvol(root->id))
		judge_subvol_root(check, root, item);
	else
		judge_system_root(check, root, item);
}

/* --- References ------------------------------------------------------------------------------------------------------------- */

static int find_item(struct check *check, const struct key *key, struct cursor *cursor)
{
	*cursor = cursor_init(&check->fs->root_tree);
	return cursor_find(cursor, key, NULL);
}

/* The other direction of a reference says the same. */
static void judge_twin(struct check *check, const struct key *key, const void *data, u32 size)
{
	bool is_ref = key->type == ROOT_REF_KEY;
	const struct key twin = { key->offset, is_ref ? ROOT_BACKREF_KEY : ROOT_REF_KEY, key->objectid };
	u64 child = is_ref ? key->offset : key->objectid, parent = is_ref ? key->objectid : key->offset;
	struct cursor cursor;
	int err = find_item(check, &twin, &cursor);

	if (err == 1)
		complain(check, ROOT_REF_ONE_WAY, AT(.tree = child, .has_key = true, .key = *key), (ull)child, (ull)parent,
			 is_ref ? "ROOT_BACKREF" : "ROOT_REF");
	else if (err == 0 && is_ref &&
		 (cursor_data_bytes(&cursor) != size || memcmp(cursor_data(&cursor), data, size) != 0))
		complain(check, ROOT_REFS_DISAGREE, AT(.tree = child, .has_key = true, .key = *key), (ull)child, (ull)parent);
	cursor_done(&cursor);
}

/* The directory entry that the reference speaks of. */
static void judge_entry(struct check *check, u64 child, u64 parent, const struct disk_root_ref *ref)
{
	const struct key key = { le64_get(ref->dirid), DIR_INDEX_KEY, le64_get(ref->sequence) };
	const struct disk_dir_item *item;
	struct cursor cursor;
	struct fs_root root;
	int err;

	if (fs_subvol_root(check->fs, parent, &root, NULL) < 0) {
		complain(check, ROOT_REF_PARENT_MISSING, AT(.tree = child), (ull)child, (ull)parent);
		return;
	}
	cursor = cursor_init(&root.tree);
	err = cursor_find(&cursor, &key, NULL);
	if (err == 0) {
		item = cursor_data(&cursor);
		if (le64_get(item->location.objectid) != child || item->location.type != ROOT_ITEM_KEY ||
		    le16_get(item->name_len) != le16_get(ref->name_len) ||
		    memcmp(item->name, ref->name, le16_get(ref->name_len)) != 0)
			err = 1;
	}
	if (err == 1)
		complain(check, SUBVOL_ENTRY_MISSING, AT(.tree = child), (ull)child, (int)le16_get(ref->name_len),
			 (const char *)ref->name, (ull)le64_get(ref->dirid), (ull)parent);
	cursor_done(&cursor);
}

static void judge_ref(struct check *check, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	const struct disk_root_ref *ref = cursor_data(cursor);
	u64 child = key.type == ROOT_REF_KEY ? key.offset : key.objectid;

	if (cursor_data_bytes(cursor) < sizeof(*ref))
		return;
	judge_twin(check, &key, ref, cursor_data_bytes(cursor));
	if (key.type != ROOT_REF_KEY)
		return;
	if (!find_root(check, child))
		complain(check, ROOT_REF_DANGLES, AT(.tree = child, .has_key = true, .key = key), (ull)key.objectid, (ull)child);
	else
		judge_entry(check, child, key.objectid, ref);
}

static void judge_has_name(struct check *check, const struct check_root *root)
{
	const struct key first = { root->id, ROOT_BACKREF_KEY, 0 };
	struct cursor cursor = cursor_init(&check->fs->root_tree);
	int err;

	if (root->id == FS_TREE_OBJECTID || !tree_id_is_subvol(root->id) || root->refs == 0)
		return;
	err = cursor_seek(&cursor, &first, NULL);
	if (err == 1 || (err == 0 && !cursor_is_at(&cursor, root->id, ROOT_BACKREF_KEY)))
		complain(check, SUBVOL_WITHOUT_NAME, AT(.tree = root->id), (ull)root->id);
	cursor_done(&cursor);
}

/* --- The uuid tree ----------------------------------------------------------------------------------------------------------- */

static struct key uuid_key(u8 type, const u8 *uuid)
{
	le64 half[2];

	memcpy(half, uuid, sizeof(half));
	return (struct key){ le64_get(half[0]), type, le64_get(half[1]) };
}

static bool uuid_item_has(struct check *check, const struct tree *tree, u8 type, const u8 *uuid, u64 id)
{
	const struct key key = uuid_key(type, uuid);
	struct cursor cursor = cursor_init(tree);
	bool is_found = cursor_find(&cursor, &key, NULL) == 0;

	if (is_found) {
		const le64 *ids = cursor_data(&cursor);
		u32 nr = cursor_data_bytes(&cursor) / (u32)sizeof(*ids);

		is_found = false;
		for (u32 i = 0; i < nr; i++)
			is_found = is_found || le64_get(ids[i]) == id;
	}
	cursor_done(&cursor);
	(void)check;
	return is_found;
}

static void judge_uuids(struct check *check, const struct tree *tree, const struct check_root *root,
			const struct disk_root_item *item)
{
	if (!tree_id_is_subvol(root->id) || root->refs == 0 ||
	    le64_get(item->generation_v2) != le64_get(item->generation))
		return;
	if (!uuid_is_null(item->uuid) && !uuid_item_has(check, tree, UUID_KEY_SUBVOL, item->uuid, root->id))
		complain(check, UUID_ITEM_MISSING, AT(.tree = root->id), (ull)root->id, "");
	if (!uuid_is_null(item->received_uuid) &&
	    !uuid_item_has(check, tree, UUID_KEY_RECEIVED_SUBVOL, item->received_uuid, root->id))
		complain(check, UUID_ITEM_MISSING, AT(.tree = root->id), (ull)root->id, "received ");
}

static void judge_uuid_item(struct check *check, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	const le64 *ids = cursor_data(cursor);
	u32 nr = cursor_data_bytes(cursor) / (u32)sizeof(*ids);
	u8 uuid[UUID_SIZE];
	le64 half;

	le64_put(&half, key.objectid);
	memcpy(uuid, &half, 8);
	le64_put(&half, key.offset);
	memcpy(uuid + 8, &half, 8);

	/* Copies that are received from one source are many; what Linux makes itself has a uuid of its own. */
	if (key.type == UUID_KEY_SUBVOL && nr > 1)
		complain(check, UUID_TWICE, AT(.tree = le64_get(ids[0]), .has_key = true, .key = key), nr, (ull)le64_get(ids[0]),
			 (ull)le64_get(ids[1]));
	for (u32 i = 0; i < nr; i++) {
		struct disk_root_item item;
		u64 id = le64_get(ids[i]);
		const u8 *has;

		if (fs_root_item(check->fs, id, &item, NULL) < 0) {
			complain(check, UUID_ITEM_DANGLES, AT(.tree = UUID_TREE_OBJECTID, .has_key = true, .key = key), (ull)id);
			continue;
		}
		has = key.type == UUID_KEY_SUBVOL ? item.uuid : item.received_uuid;
		if (memcmp(has, uuid, UUID_SIZE) != 0)
			complain(check, UUID_ITEM_WRONG, AT(.tree = UUID_TREE_OBJECTID, .has_key = true, .key = key), (ull)id);
	}
}

/* Linux makes the tree when it mounts; a generation of 0, or an older one, tells it to look whether it is complete. */
static void judge_uuid_tree(struct check *check)
{
	bool is_trusted = le64_get(check->fs->super.uuid_tree_generation) == le64_get(check->fs->super.generation);
	struct diag quiet = { 0 };
	struct cursor cursor;
	struct tree tree;

	if (fs_tree(check->fs, UUID_TREE_OBJECTID, &tree, &quiet) < 0)
		return;
	array_for_each(&check->roots, root) {
		struct disk_root_item item;

		if (is_trusted && !root->is_reloc && fs_root_item(check->fs, root->id, &item, NULL) == 0)
			judge_uuids(check, &tree, root, &item);
	}
	cursor = cursor_init(&tree);
	cursor.do_skip_damage = true;
	for (int err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL))
		if (is_trusted && (cursor_key(&cursor).type == UUID_KEY_SUBVOL ||
				   cursor_key(&cursor).type == UUID_KEY_RECEIVED_SUBVOL))
			judge_uuid_item(check, &cursor);
	cursor_done(&cursor);
}

/* --- The rest of the root tree --------------------------------------------------------------------------------------------- */

static void judge_default(struct check *check)
{
	const struct key key = { ROOT_TREE_DIR_OBJECTID, DIR_ITEM_KEY, name_hash("default", 7) };
	const struct disk_dir_item *item;
	struct cursor cursor;

	if (find_item(check, &key, &cursor) == 0) {
		item = cursor_data(&cursor);
		if (item->location.type != ROOT_ITEM_KEY || item->type != FT_DIR)
			complain(check, ITEM_FIELD_ODD, AT(.tree = ROOT_TREE_OBJECTID, .has_key = true, .key = key),
				 (long long)ROOT_TREE_OBJECTID, (long long)key.objectid, key.type, (ull)key.offset,
				 "the default is no subvolume");
		else if (!find_root(check, le64_get(item->location.objectid)))
			complain(check, DEFAULT_SUBVOL_MISSING, AT(.tree = le64_get(item->location.objectid)),
				 (ull)le64_get(item->location.objectid));
	} else {
		complain(check, DEFAULT_ENTRY_MISSING, AT(.tree = ROOT_TREE_OBJECTID, .has_key = true, .key = key));
	}
	cursor_done(&cursor);
}

/* The inode of a v1 free space cache. Linux ignores a cache whose inode is odd, so that is all there is to it. */
static void judge_cache_inode(struct check *check, const struct key *key, const struct disk_inode_item *item)
{
	if ((le32_get(item->mode) & 0170000) != 0100000)
		complain(check, SPACE_CACHE_INODE_BAD, AT(.tree = ROOT_TREE_OBJECTID, .has_key = true, .key = *key),
			 (ull)key->objectid, le32_get(item->mode));
}

static void judge_root_tree_item(struct check *check, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);

	if (block_check_item(block_cache_check_params(check->fs->cache), cursor->path[0].block->data, cursor->path[0].slot,
			     NULL) < 0)
		return;
	if (key.type == ROOT_REF_KEY || key.type == ROOT_BACKREF_KEY)
		judge_ref(check, cursor);
	else if (key.type == INODE_ITEM_KEY && key.objectid >= FIRST_FREE_OBJECTID && key.objectid <= LAST_FREE_OBJECTID)
		judge_cache_inode(check, &key, cursor_data(cursor));
	else if (key.objectid == BALANCE_OBJECTID && key.type == TEMPORARY_ITEM_KEY)
		complain(check, UNFINISHED, AT(0), "a balance");
}

int pass_subvols(struct check *check, struct diag *d)
{
	struct cursor cursor = cursor_init(&check->fs->root_tree);

	(void)d;
	array_for_each(&check->roots, root) {
		struct disk_root_item item;

		if (root->is_reloc || root->id == ROOT_TREE_OBJECTID || root->id == CHUNK_TREE_OBJECTID ||
		    fs_root_item(check->fs, root->id, &item, NULL) < 0)
			continue;
		judge_root(check, root, &item);
		judge_has_name(check, root);
	}
	array_for_each(&check->orphan_roots, orphan)
		if (!find_root(check, *orphan) && !check->is_incomplete)
			complain(check, ROOT_ORPHAN_DANGLES, AT(.tree = *orphan), (ull)*orphan);
	cursor.do_skip_damage = true;
	for (int err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL))
		judge_root_tree_item(check, &cursor);
	cursor_done(&cursor);
	judge_uuid_tree(check);
	judge_default(check);
	return 0;
}
