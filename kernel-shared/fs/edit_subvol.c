/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Subvolumes and snapshots come and go; the default one; what the filesystem is called. */
#include <sys/stat.h>
#include <uuid/uuid.h>

#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/edit_inherit.h"
#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

#define DEFAULT_NAME "default"

static int next_subvol_id(struct btrkit_fs *fs, u64 *ret_id, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	const struct key last = { LAST_FREE_OBJECTID, UINT8_MAX, UINT64_MAX };
	int err = cursor_seek_back(&cursor, &last, d);
	u64 highest;

	if (err)
		return err < 0 ? err : diag_fail(d, -EUCLEAN, "the root tree is empty");
	highest = MAX(cursor_key(&cursor).objectid, FIRST_FREE_OBJECTID - 1);
	if (highest == LAST_FREE_OBJECTID)
		return diag_fail(d, -ENOSPC, "no number is left for a subvolume");
	*ret_id = highest + 1;
	return 0;
}

/* --- New ones ------------------------------------------------------------------------------------------------------------ */

static int add_top_dir(struct subvol_edit *subvol, const struct disk_inode_item *item, const struct inherited *inherited,
		       struct diag *d)
{
	const struct name parent = { "..", 2 };
	int err = inode_insert(subvol, FIRST_FREE_OBJECTID, item, d);

	if (!err)
		err = inode_ref_add(subvol, FIRST_FREE_OBJECTID, FIRST_FREE_OBJECTID, &parent, 0, d);
	return err ? err : inherit_attributes(subvol, FIRST_FREE_OBJECTID, inherited, d);
}

/* The item of a new subvolume's top directory, which gets the name that @named says. */
static int fill_top_dir(const struct named *named, const struct btrkit_node_attr *attr, struct disk_inode_item *item,
			struct inherited *inherited, struct diag *d)
{
	struct btrkit_node_attr dir = *attr;

	dir.mode = S_IFDIR | (attr->mode & 07777);
	edit_fill_inode(&named->dir_subvol, &dir, item);
	return inherit_for_subvol(&named->dir_subvol, named->dir, item, inherited, d);
}

/* What a root item of Linux has beside the tree's place: an inode that nobody looks at but for its flag. */
static void fill_root_item(const struct subvol_edit *subvol, u32 nodesize, struct disk_root_item *item)
{
	le64_put(&item->inode.generation, 1);
	le64_put(&item->inode.size, 3);
	le64_put(&item->inode.nbytes, nodesize);
	le32_put(&item->inode.nlink, 1);
	le32_put(&item->inode.mode, S_IFDIR | 0755);
	le64_put(&item->inode.flags, INODE_ROOT_ITEM_INIT);
	le64_put(&item->root_dirid, FIRST_FREE_OBJECTID);
	le64_put(&item->ctransid, subvol->generation);
	le64_put(&item->otransid, subvol->generation);
	time_pack(&item->ctime, &subvol->now);
	time_pack(&item->otime, &subvol->now);
	uuid_generate(item->uuid);
}

/* The new subvolume's name. */
static int name_subvol(struct btrkit_edit *edit, struct named *named, u64 id, struct diag *d)
{
	int err;

	named->location = (struct key){ id, ROOT_ITEM_KEY, UINT64_MAX };
	named->type = FT_DIR;
	named->is_subvol = true;
	err = edit_put_reference(edit, named, d);
	return err ? err : edit_put_entry(named, d);
}

int edit_subvol_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		       const struct btrkit_node_attr *attr, u64 *ret_id, struct diag *d)
{
	_cleanup_(inherited_done) struct inherited inherited = { 0 };
	struct disk_inode_item top_dir;
	struct subvol_edit subvol;
	struct disk_root_item *item;
	struct tree_root *root;
	struct named named;
	u64 id;
	int err = edit_find_free(edit, dir, name, name_len, &named, d);

	if (!err)
		err = next_subvol_id(edit->fs, &id, d);
	if (!err)
		err = fill_top_dir(&named, attr, &top_dir, &inherited, d);
	if (err)
		return err;
	edit_changing(edit);
	err = txn_tree_create(edit->fs->txn, id, 0, &root, d);
	if (!err)
		err = txn_root_item(edit->fs->txn, root, &item, d);
	if (err)
		return err;
	fill_root_item(&named.dir_subvol, edit->fs->volume->nodesize, item);
	err = uuid_entry_add(edit->fs->txn, item->uuid, UUID_KEY_SUBVOL, id, d);
	if (!err)
		err = subvol_edit_init(edit->fs, id, &edit->now, &subvol, d);
	if (!err)
		err = add_top_dir(&subvol, &top_dir, &inherited, d);
	if (!err)
		err = name_subvol(edit, &named, id, d);
	if (!err)
		*ret_id = id;
	return err;
}

/* --- Snapshots ----------------------------------------------------------------------------------------------------------- */

static void turn_into_snapshot(const struct subvol_edit *dir_subvol, const u8 *source_uuid, bool is_read_only,
			       struct disk_root_item *item)
{
	u64 flags = le64_get(item->flags) & ~(u64)ROOT_SUBVOL_RDONLY;

	le64_put(&item->flags, is_read_only ? flags | ROOT_SUBVOL_RDONLY : flags);
	uuid_generate(item->uuid);
	memcpy(item->parent_uuid, source_uuid, UUID_SIZE);
	/* One that can be changed is no longer what was received. */
	if (!is_read_only) {
		memset(item->received_uuid, 0, UUID_SIZE);
		memset(&item->stime, 0, sizeof(item->stime));
		memset(&item->rtime, 0, sizeof(item->rtime));
		le64_put(&item->stransid, 0);
		le64_put(&item->rtransid, 0);
	}
	le32_put(&item->refs, 1);
	le64_put(&item->otransid, dir_subvol->generation);
	time_pack(&item->otime, &dir_subvol->now);
}

static int make_snapshot(struct btrkit_edit *edit, struct tree_root *source, struct named *named, u64 id, bool is_read_only,
			 struct diag *d)
{
	struct txn *txn = edit->fs->txn;
	struct disk_root_item *from, *item;
	struct tree_root *root;
	u8 source_uuid[UUID_SIZE];
	int err = txn_root_item(txn, source, &from, d);

	if (err)
		return err;
	memcpy(source_uuid, from->uuid, UUID_SIZE);
	/*
	 * Linux takes blocks up to the generation in the key for those of the source. What this transaction makes is the
	 * snapshot's own: it may be changed at once.
	 */
	err = txn_tree_snapshot(txn, source, id, named->dir_subvol.generation - 1, &root, d);
	if (!err)
		err = txn_root_item(txn, root, &item, d);
	if (err)
		return err;
	turn_into_snapshot(&named->dir_subvol, source_uuid, is_read_only, item);
	err = uuid_entry_add(txn, item->uuid, UUID_KEY_SUBVOL, id, d);
	if (!err && !uuid_is_null(item->received_uuid))
		err = uuid_entry_add(txn, item->received_uuid, UUID_KEY_RECEIVED_SUBVOL, id, d);
	return err ? err : name_subvol(edit, named, id, d);
}

int edit_snapshot(struct btrkit_edit *edit, u64 source, const struct btrkit_inode *dir, const char *name, size_t name_len,
		  bool is_read_only, u64 *ret_id, struct diag *d)
{
	struct disk_root_item item;
	struct subvol_edit subvol;
	struct named named;
	u64 id;
	int err = edit_any_subvol(edit, source, &subvol, &item, d);

	if (!err)
		err = edit_find_free(edit, dir, name, name_len, &named, d);
	if (!err)
		err = next_subvol_id(edit->fs, &id, d);
	if (err)
		return err;
	edit_changing(edit);
	if (subvol.root->is_changed) {
		err = txn_commit(edit->fs->txn, d);
		if (!err)
			err = edit_find_free(edit, dir, name, name_len, &named, d);
	}
	if (!err)
		err = make_snapshot(edit, subvol.root, &named, id, is_read_only, d);
	if (!err)
		*ret_id = id;
	return err;
}

/* --- What is said of subvolumes, and of the filesystem ---------------------------------------------------------------------- */

int edit_set_default(struct btrkit_edit *edit, u64 id, struct diag *d)
{
	const struct key location = { id, ROOT_ITEM_KEY, UINT64_MAX };
	const struct key key = { le64_get(edit->fs->super.root_dir_objectid), DIR_ITEM_KEY,
				 name_hash(DEFAULT_NAME, sizeof(DEFAULT_NAME) - 1) };
	u8 entry[sizeof(struct disk_dir_item) + sizeof(DEFAULT_NAME) - 1] = { 0 };
	struct disk_dir_item *item = (struct disk_dir_item *)entry;
	_cleanup_(edit_done) struct edit at = { 0 };
	struct disk_root_item root_item;
	struct subvol_edit subvol;
	struct disk_super *super;
	struct tree_root *roots;
	int err = edit_any_subvol(edit, id, &subvol, &root_item, d);

	if (!err)
		err = txn_tree(edit->fs->txn, ROOT_TREE_OBJECTID, &roots, d);
	if (err)
		return err;
	key_pack(&item->location, &location);
	le16_put(&item->name_len, sizeof(DEFAULT_NAME) - 1);
	item->type = FT_DIR;
	memcpy(item->name, DEFAULT_NAME, sizeof(DEFAULT_NAME) - 1);
	edit_changing(edit);
	at = edit_init(roots);
	err = edit_seek(&at, &key, d);
	if (err == 0)
		err = edit_delete(&at, NULL, d);
	if (err >= 0)
		err = edit_put(&at, &key, entry, sizeof(entry), d);
	if (err)
		return err;
	super = txn_super(edit->fs->txn);
	le64_put(&super->incompat_flags, le64_get(super->incompat_flags) | INCOMPAT_DEFAULT_SUBVOL);
	edit->fs->default_subvol = id;
	return 0;
}

int edit_set_read_only(struct btrkit_edit *edit, u64 id, bool is_read_only, struct diag *d)
{
	struct disk_root_item *item, found;
	struct subvol_edit subvol;
	u64 flags;
	int err = edit_any_subvol(edit, id, &subvol, &found, d);

	if (!err && id == FS_TREE_OBJECTID && is_read_only)
		err = diag_fail(d, -EPERM, "the top-level subvolume cannot be read-only");
	if (err)
		return err;
	edit_changing(edit);
	err = txn_root_item(subvol.txn, subvol.root, &item, d);
	if (err)
		return err;
	flags = le64_get(item->flags) & ~(u64)ROOT_SUBVOL_RDONLY;
	le64_put(&item->flags, is_read_only ? flags | ROOT_SUBVOL_RDONLY : flags);
	if (is_read_only || uuid_is_null(item->received_uuid))
		return 0;
	err = uuid_entry_remove(subvol.txn, item->received_uuid, UUID_KEY_RECEIVED_SUBVOL, id, d);
	memset(item->received_uuid, 0, UUID_SIZE);
	return err;
}

int edit_set_label(struct btrkit_edit *edit, const char *label, struct diag *d)
{
	struct disk_super *super;
	size_t len = strlen(label);

	if (len >= LABEL_SIZE || strchr(label, '\n'))
		return diag_fail(d, -EINVAL, "a label has up to %d bytes, without a newline", LABEL_SIZE - 1);
	edit_changing(edit);
	super = txn_super(edit->fs->txn);
	memset(super->label, 0, LABEL_SIZE);
	memcpy(super->label, label, len);
	return 0;
}
