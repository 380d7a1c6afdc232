/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing a planned image: data and with it the checksum tree, then every other tree, the extent tree last of those in
 * metadata space because it may have to repeat keys of the others; and what the superblock says.
 */
#include "kernel-shared/build/content.h"
#include "kernel-shared/build/image.h"
#include "kernel-shared/build/placed_data.h"

typedef unsigned long long ull;

static int write_items(struct image *image, struct image_tree *tree, struct volume *volume, struct tree_builder *builder,
		       struct diag *d)
{
	if (tree->emit) {
		struct item_stream stream = { .builder = builder };

		return tree->emit(image, &stream, d);
	}
	if (tree->owner == CSUM_TREE_OBJECTID && image->placed)
		return placed_write_data(image->placed, &image->content->options, volume, image->pool, image->progress,
					 builder, d);
	if (tree->owner == CSUM_TREE_OBJECTID)
		return content_write_data(image->content, volume, image->pool, image->progress, builder, d);
	return content_write_tree(image->content, tree->subvol, image->pool, image->progress, builder, d);
}

static int make_room_for_keys(const struct image *image, struct image_tree *tree, struct diag *d)
{
	if ((image->incompat & INCOMPAT_SKINNY_METADATA) || tree->owner == EXTENT_TREE_OBJECTID)
		return 0;
	free(tree->leaf_keys);
	tree->leaf_keys = calloc(tree->shape.blocks[0], sizeof(*tree->leaf_keys));
	return tree->leaf_keys ? 0 : diag_no_memory(d, "keys of leaves");
}

static int write_tree(struct image *image, struct image_tree *tree, struct volume *volume, struct diag *d)
{
	_cleanup_(tree_builder_freep) struct tree_builder *builder = NULL;
	struct tree_builder_options options = {
		.id = &image->id,
		.sectorsize = image->sectorsize,
		.volume = volume,
		.owner = tree->owner,
		.shape = tree->shape,
		.place = tree->place,
	};
	u64 root_logical;
	int err = make_room_for_keys(image, tree, d);

	if (err)
		return err;
	if (tree->owner != EXTENT_TREE_OBJECTID)
		options.ret_leaf_keys = tree->leaf_keys;
	err = tree_builder_new(&options, &builder, d);
	if (!err)
		err = write_items(image, tree, volume, builder, d);
	if (!err)
		err = tree_builder_finish(builder, &root_logical, d);
	return err;
}

/* Does writing this tree write the data too? */
static bool is_data_tree(const struct image *image, const struct image_tree *tree)
{
	return tree->owner == CSUM_TREE_OBJECTID && image->content;
}

static int write_trees(struct image *image, bool do_data, struct volume *volume, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < image->nr_trees && !err; i++) {
		struct image_tree *tree = &image->trees[i];

		if (is_data_tree(image, tree) != do_data)
			continue;
		err = write_tree(image, tree, volume, d);
		if (!do_data)
			progress_add(image->progress, tree_shape_total(&tree->shape) * image->id.nodesize, 0);
	}
	return err;
}

int image_write(struct image *image, struct volume *volume, struct diag *d)
{
	u64 bytes = 0;
	int err;

	if (image->placed)
		progress_begin(image->progress, "data", placed_read_bytes(image->placed), 0);
	else if (image->content)
		progress_begin(image->progress, "data", image->data_bytes, 0);
	err = write_trees(image, true, volume, d);
	for (size_t i = 0; i < image->nr_trees; i++)
		if (!is_data_tree(image, &image->trees[i]))
			bytes += tree_shape_total(&image->trees[i].shape) * image->id.nodesize;
	progress_begin(image->progress, "metadata", bytes, 0);
	return err ? err : write_trees(image, false, volume, d);
}

/* --- The superblock -------------------------------------------------------------------------------------- */

struct backup_field {
	u64 owner;
	size_t root, generation, level;
};
#define BACKUP_FIELD(tree, name)                                                                                       \
	{                                                                                                              \
		tree##_TREE_OBJECTID, offsetof(struct disk_root_backup, name),                                         \
			offsetof(struct disk_root_backup, name##_gen), offsetof(struct disk_root_backup, name##_level) \
	}

/* What a commit would have left in the first slot of the backup roots. */
static void fill_backup(const struct image *image, struct disk_root_backup *backup)
{
	static const struct backup_field fields[] = {
		BACKUP_FIELD(ROOT, tree_root),	 BACKUP_FIELD(CHUNK, chunk_root), BACKUP_FIELD(EXTENT, extent_root),
		BACKUP_FIELD(FS, fs_root),	 BACKUP_FIELD(DEV, dev_root),	  BACKUP_FIELD(CSUM, csum_root),
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const struct image_tree *tree = image_tree_of(image, fields[i].owner);
		u8 *base = (u8 *)backup;

		le64_put((le64 *)(base + fields[i].root), tree->root_logical);
		le64_put((le64 *)(base + fields[i].generation), image->id.generation);
		base[fields[i].level] = tree_shape_root_level(&tree->shape);
	}
	le64_put(&backup->total_bytes, image_total_bytes(image));
	le64_put(&backup->bytes_used, image_used_bytes(image));
	le64_put(&backup->num_devices, image->nr_devices);
}

/*
 * Compared with mkfs.btrfs field by field: cache_generation is 0 with a free space tree and -1 without, as there; the
 * uuid tree's generation is the filesystem's, so that Linux does not scan for uuids at the first mount; of the backup
 * roots only one can exist.
 */
int image_super(const struct image *image, struct disk_super *ret_super, struct diag *d)
{
	const struct image_tree *root = image_tree_of(image, ROOT_TREE_OBJECTID);
	const struct image_tree *chunk_root = image_tree_of(image, CHUNK_TREE_OBJECTID);
	struct disk_super *super = ret_super;
	bool has_free_space_tree = image->compat_ro & COMPAT_RO_FREE_SPACE_TREE;

	memset(super, 0, sizeof(*super));
	memcpy(super->fsid, image->fsid, UUID_SIZE);
	le64_put(&super->flags, HEADER_FLAG_WRITTEN);
	le64_put(&super->magic, SUPER_MAGIC);
	le64_put(&super->generation, image->id.generation);
	le64_put(&super->root, root->root_logical);
	super->root_level = tree_shape_root_level(&root->shape);
	le64_put(&super->chunk_root, chunk_root->root_logical);
	super->chunk_root_level = tree_shape_root_level(&chunk_root->shape);
	le64_put(&super->chunk_root_generation, image->id.generation);
	le64_put(&super->total_bytes, image_total_bytes(image));
	le64_put(&super->bytes_used, image_used_bytes(image));
	le64_put(&super->root_dir_objectid, ROOT_TREE_DIR_OBJECTID);
	le64_put(&super->num_devices, image->nr_devices);
	le32_put(&super->sectorsize, image->sectorsize);
	le32_put(&super->nodesize, image->id.nodesize);
	le32_put(&super->leafsize, image->id.nodesize);
	le32_put(&super->stripesize, image->sectorsize);
	le64_put(&super->compat_ro_flags, image->compat_ro);
	le64_put(&super->incompat_flags, image->incompat);
	le16_put(&super->csum_type, image->id.csum->type);
	memcpy(super->label, image->label, LABEL_SIZE);
	le64_put(&super->cache_generation, has_free_space_tree ? 0 : UINT64_MAX);
	le64_put(&super->uuid_tree_generation, image->id.generation);
	if (image->incompat & INCOMPAT_METADATA_UUID)
		memcpy(super->metadata_uuid, image->id.fsid, UUID_SIZE);
	fill_backup(image, &super->super_roots[0]);
	return sys_chunk_array_write(image->layout.chunks, super, d);
}
