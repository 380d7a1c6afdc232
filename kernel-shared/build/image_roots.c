/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trees that say which trees there are: root, uuid, quota; and the tree of an empty directory.
 *
 * Compared with mkfs.btrfs item by item. What differs, and why: bytes_used of a root item is that of all the tree's
 * blocks; the top directories have times and change ids as the kernel sets them when it makes a subvolume; all
 * generations are equal, because everything is written at once.
 */
#include <sys/stat.h>

#include "kernel-shared/build/content.h"
#include "kernel-shared/build/image.h"
#include "kernel-shared/format/name_hash.h"

#define DEFAULT_NAME "default"
#define DIR_INDEX_FIRST 2

static bool is_fs_tree(u64 owner)
{
	return owner == FS_TREE_OBJECTID || (owner >= FIRST_FREE_OBJECTID && owner <= LAST_FREE_OBJECTID);
}

static bool has_directory(u64 owner)
{
	return is_fs_tree(owner) || owner == DATA_RELOC_TREE_OBJECTID;
}

static void put_time(const struct image *image, struct disk_timespec *time)
{
	le64_put(&time->sec, (u64)image->now_sec);
	le32_put(&time->nsec, image->now_nsec);
}

/* --- Root items ----------------------------------------------------------------------------------------- */

static void fill_root_inode(const struct image *image, struct disk_inode_item *inode, u64 owner)
{
	le64_put(&inode->generation, 1);
	le64_put(&inode->size, 3);
	le64_put(&inode->nbytes, image->id.nodesize);
	le32_put(&inode->nlink, 1);
	le32_put(&inode->mode, S_IFDIR | 0755);
	/* Without this the kernel takes flags and limits of a subvolume for uninitialised. */
	if (is_fs_tree(owner))
		le64_put(&inode->flags, INODE_ROOT_ITEM_INIT);
}

static const struct content_subvol *subvol_of(const struct image *image, const struct image_tree *tree)
{
	return image->content && is_fs_tree(tree->owner) ? content_subvol_at(image->content, tree->subvol) : NULL;
}

static int add_root_item(const struct image *image, const struct image_tree *tree, struct item_stream *stream,
			 struct diag *d)
{
	const struct key key = { tree->owner, ROOT_ITEM_KEY, 0 };
	const struct content_subvol *subvol = subvol_of(image, tree);
	struct disk_root_item item = { 0 };

	fill_root_inode(image, &item.inode, tree->owner);
	le64_put(&item.generation, image->id.generation);
	le64_put(&item.generation_v2, image->id.generation);
	le64_put(&item.root_dirid, has_directory(tree->owner) ? FIRST_FREE_OBJECTID : 0);
	le64_put(&item.bytenr, tree->root_logical);
	le64_put(&item.bytes_used, tree_shape_total(&tree->shape) * image->id.nodesize);
	le32_put(&item.refs, 1);
	item.level = tree_shape_root_level(&tree->shape);
	if (is_fs_tree(tree->owner)) {
		memcpy(item.uuid, tree->uuid, UUID_SIZE);
		le64_put(&item.ctransid, image->id.generation);
		le64_put(&item.otransid, image->id.generation);
		put_time(image, &item.ctime);
		put_time(image, &item.otime);
		if (subvol && (subvol->flags & BTRKIT_SUBVOL_RDONLY))
			le64_put(&item.flags, ROOT_SUBVOL_RDONLY);
	}
	return item_stream_add(stream, &key, &item, sizeof(item), d);
}

/* The name of a subvolume in the directory above it, for both directions. */
static int add_root_ref(const struct image *image, const struct content_subvol *subvol, bool is_backref,
			struct item_stream *stream, struct diag *d)
{
	const struct btrkit_content *content = image->content;
	const struct content_dirent *dirent = &content->dirents.items[content->order[subvol->order]];
	const struct content_node *dir = &content->nodes.items[dirent->parent];
	u64 above = content_subvol_at(content, subvol->parent)->root_id;
	const struct key key = {
		.objectid = is_backref ? subvol->root_id : above,
		.type = is_backref ? ROOT_BACKREF_KEY : ROOT_REF_KEY,
		.offset = is_backref ? above : subvol->root_id,
	};
	struct disk_root_ref *ref;
	void *data;
	int err = item_stream_reserve(stream, &key, (u32)sizeof(*ref) + dirent->name_len, &data, d);

	if (err)
		return err;
	ref = data;
	le64_put(&ref->dirid, content_ino(dir));
	le64_put(&ref->sequence, DIR_INDEX_FIRST + subvol->order - dir->data);
	le16_put(&ref->name_len, dirent->name_len);
	memcpy(ref->name, dirent_name(content, dirent), dirent->name_len);
	return 0;
}

/* What follows a filesystem tree's root item: the name above it, then the names of those in it. */
static int add_root_refs(const struct image *image, const struct image_tree *tree, struct item_stream *stream,
			 struct diag *d)
{
	int err = 0;

	if (!image->content || !is_fs_tree(tree->owner))
		return 0;
	if (tree->subvol > 0)
		err = add_root_ref(image, content_subvol_at(image->content, tree->subvol), true, stream, d);
	for (size_t i = 1; i < content_nr_subvols(image->content) && !err; i++) {
		const struct content_subvol *inner = content_subvol_at(image->content, i);

		if (inner->parent == tree->subvol)
			err = add_root_ref(image, inner, false, stream, d);
	}
	return err;
}

/* --- The root tree's directory --------------------------------------------------------------------------- */

int emit_inode_ref(struct item_stream *stream, u64 objectid, u64 parent, u64 index, const char *name, struct diag *d)
{
	const struct key key = { objectid, INODE_REF_KEY, parent };
	u32 len = (u32)strlen(name);
	struct disk_inode_ref *ref;
	void *data;
	int err = item_stream_reserve(stream, &key, (u32)sizeof(*ref) + len, &data, d);

	if (err)
		return err;
	ref = data;
	le64_put(&ref->index, index);
	le16_put(&ref->name_len, (u16)len);
	memcpy(ref->name, name, len);
	return 0;
}

static int add_empty_dir_inode(const struct image *image, u64 ino, struct item_stream *stream, struct diag *d)
{
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	struct disk_inode_item item = { 0 };

	le64_put(&item.generation, image->id.generation);
	le64_put(&item.transid, image->id.generation);
	le32_put(&item.nlink, 1);
	le32_put(&item.mode, S_IFDIR | 0755);
	put_time(image, &item.atime);
	put_time(image, &item.ctime);
	put_time(image, &item.mtime);
	put_time(image, &item.otime);
	return item_stream_add(stream, &key, &item, sizeof(item), d);
}

/* Inode, its name "..", and "default": the tree that is mounted when nobody asks for another. */
static int add_root_dir(const struct image *image, struct item_stream *stream, struct diag *d)
{
	u32 len = (u32)strlen(DEFAULT_NAME);
	const struct key key = { ROOT_TREE_DIR_OBJECTID, DIR_ITEM_KEY, name_hash(DEFAULT_NAME, len) };
	const struct key location = { image->default_root, ROOT_ITEM_KEY, UINT64_MAX };
	struct disk_dir_item *item;
	void *data;
	int err = add_empty_dir_inode(image, ROOT_TREE_DIR_OBJECTID, stream, d);

	if (!err)
		err = emit_inode_ref(stream, ROOT_TREE_DIR_OBJECTID, ROOT_TREE_DIR_OBJECTID, 0, "..", d);
	if (!err)
		err = item_stream_reserve(stream, &key, (u32)sizeof(*item) + len, &data, d);
	if (err)
		return err;
	item = data;
	key_pack(&item->location, &location);
	le64_put(&item->transid, 0);
	le16_put(&item->data_len, 0);
	le16_put(&item->name_len, (u16)len);
	item->type = FT_DIR;
	memcpy(item->name, DEFAULT_NAME, len);
	return 0;
}

static int compare_trees(const void *a, const void *b)
{
	const struct image_tree *const *x = a, *const *y = b;

	return (*x)->owner < (*y)->owner ? -1 : (*x)->owner > (*y)->owner;
}

static int add_root(const struct image *image, const struct image_tree *tree, struct item_stream *stream,
		    struct diag *d)
{
	int err = 0;

	if (tree->owner == FS_TREE_OBJECTID)
		err = emit_inode_ref(stream, FS_TREE_OBJECTID, ROOT_TREE_DIR_OBJECTID, 0, DEFAULT_NAME, d);
	if (!err)
		err = add_root_item(image, tree, stream, d);
	if (!err)
		err = add_root_refs(image, tree, stream, d);
	if (!err && tree->owner == FS_TREE_OBJECTID)
		err = add_root_dir(image, stream, d);
	return err;
}

int emit_root_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	_free_ const struct image_tree **sorted = calloc(image->nr_trees, sizeof(*sorted));
	size_t nr = 0;
	int err = 0;

	if (!sorted)
		return diag_no_memory(d, "the root tree");
	for (size_t i = 0; i < image->nr_trees; i++)
		if (image->trees[i].owner != ROOT_TREE_OBJECTID && image->trees[i].owner != CHUNK_TREE_OBJECTID)
			sorted[nr++] = &image->trees[i];
	qsort(sorted, nr, sizeof(*sorted), compare_trees);
	for (size_t i = 0; i < nr && !err; i++)
		err = add_root(image, sorted[i], stream, d);
	return err;
}

/* --- Other small trees --------------------------------------------------------------------------------- */

int emit_empty_dir_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	int err = add_empty_dir_inode(image, FIRST_FREE_OBJECTID, stream, d);

	return err ? err : emit_inode_ref(stream, FIRST_FREE_OBJECTID, FIRST_FREE_OBJECTID, 0, "..", d);
}

int emit_nothing(const struct image *image, struct item_stream *stream, struct diag *d)
{
	(void)image;
	(void)stream;
	(void)d;
	return 0;
}

struct uuid_entry {
	struct key key;
	u64 root_id;
};

static int compare_uuids(const void *a, const void *b)
{
	return key_compare(&((const struct uuid_entry *)a)->key, &((const struct uuid_entry *)b)->key);
}

int emit_uuid_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	_free_ struct uuid_entry *entries = calloc(image->nr_trees, sizeof(*entries));
	size_t nr = 0;
	int err = 0;

	if (!entries)
		return diag_no_memory(d, "the uuid tree");
	for (size_t i = 0; i < image->nr_trees; i++) {
		const struct image_tree *tree = &image->trees[i];
		le64 half[2];

		if (!is_fs_tree(tree->owner))
			continue;
		memcpy(half, tree->uuid, UUID_SIZE);
		entries[nr++] = (struct uuid_entry){
			.key = { le64_get(half[0]), UUID_KEY_SUBVOL, le64_get(half[1]) },
			.root_id = tree->owner,
		};
	}
	qsort(entries, nr, sizeof(*entries), compare_uuids);
	for (size_t i = 0; i < nr && !err; i++) {
		le64 root_id;

		le64_put(&root_id, entries[i].root_id);
		err = item_stream_add(stream, &entries[i].key, &root_id, sizeof(root_id), d);
	}
	return err;
}

/* --- Quotas --------------------------------------------------------------------------------------------- */

/* What a subvolume has for itself: its blocks and data extents. Nothing is shared in a new filesystem. */
static u64 qgroup_bytes(const struct image *image, const struct image_tree *tree)
{
	return tree_shape_total(&tree->shape) * image->id.nodesize + tree->data_bytes;
}

static int add_quota_status(const struct image *image, struct item_stream *stream, struct diag *d)
{
	const struct key key = { 0, QGROUP_STATUS_KEY, 0 };
	bool is_simple = image->quota == IMAGE_QUOTA_SIMPLE;
	struct disk_qgroup_status_item item = { 0 };

	le64_put(&item.version, 1);
	le64_put(&item.generation, image->id.generation);
	le64_put(&item.flags, QGROUP_STATUS_ON | (is_simple ? QGROUP_STATUS_SIMPLE_MODE : 0));
	le64_put(&item.enable_gen, image->id.generation);
	return item_stream_add(stream, &key, &item,
			       is_simple ? sizeof(item) : offsetof(struct disk_qgroup_status_item, enable_gen), d);
}

int emit_quota_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	int err = add_quota_status(image, stream, d);

	for (size_t i = 0; i < image->nr_trees && !err; i++) {
		const struct key key = { 0, QGROUP_INFO_KEY, image->trees[i].owner };
		struct disk_qgroup_info_item item;
		u64 bytes = qgroup_bytes(image, &image->trees[i]);

		if (!is_fs_tree(image->trees[i].owner))
			continue;
		le64_put(&item.generation, image->id.generation);
		le64_put(&item.rfer, bytes);
		le64_put(&item.rfer_cmpr, bytes);
		le64_put(&item.excl, bytes);
		le64_put(&item.excl_cmpr, bytes);
		err = item_stream_add(stream, &key, &item, sizeof(item), d);
	}
	for (size_t i = 0; i < image->nr_trees && !err; i++) {
		const struct key key = { 0, QGROUP_LIMIT_KEY, image->trees[i].owner };
		const struct disk_qgroup_limit_item none = { 0 };

		if (is_fs_tree(image->trees[i].owner))
			err = item_stream_add(stream, &key, &none, sizeof(none), d);
	}
	return err;
}
