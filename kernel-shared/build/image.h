/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filesystem that is being made: what was decided, then what was planned from it, then where it is written.
 *
 * image_plan() closes the circle between metadata blocks, the extent tree that lists them, block groups, free space and
 * chunks: it repeats layout and sizing until nothing changes. image_write() then writes every block once.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_IMAGE_H
#define BTRKIT_KERNEL_SHARED_BUILD_IMAGE_H

#include "common/work/pool.h"
#include "common/work/progress.h"
#include "kernel-shared/build/item_stream.h"
#include "kernel-shared/build/layout.h"

struct btrkit_content;
struct image;
struct placed_data;

enum image_quota { IMAGE_QUOTA_NONE, IMAGE_QUOTA_FULL, IMAGE_QUOTA_SIMPLE };

struct image_tree {
	u64 owner;
	size_t subvol; /* for filesystem trees: index into the content's subvolumes */
	/* Makes the items; NULL: they come from the content. */
	int (*emit)(const struct image *image, struct item_stream *stream, struct diag *d);
	bool is_dependent; /* its size depends on the layout */
	struct tree_shape shape;
	struct tree_place place;
	u64 root_logical;
	u8 uuid[UUID_SIZE]; /* of filesystem trees */
	u64 data_bytes; /* of filesystem trees: their data extents, counted where quotas want it */
	struct key *leaf_keys; /* first keys of leaves, where they are wanted; owned */
};

struct image {
	/* Decided. */
	struct block_identity id;
	u32 sectorsize;
	u64 incompat, compat_ro;
	enum image_quota quota;
	u8 fsid[UUID_SIZE];
	char label[LABEL_SIZE];
	struct layout_device *devices; /* owned */
	size_t nr_devices;
	struct layout_needs needs; /* profiles and style */
	u64 free_bytes; /* with an exact fit: more room for data */
	u64 default_root; /* subvolume that a plain mount shows */
	s64 now_sec;
	u32 now_nsec;
	struct btrkit_content *content; /* NULL: nothing but an empty top directory */
	struct placed_data *placed; /* where the content's data lies already; NULL: it is laid out and written */
	/* The uuid of a filesystem tree. */
	void (*subvol_uuid)(const struct image *image, u64 root_id, u8 *ret_uuid);
	const char *seed; /* for it; NULL: random */
	struct pool *pool;
	struct progress *progress;

	/* Planned. */
	struct layout layout;
	struct image_tree *trees; /* owned; chunk tree first, then in the order of their addresses */
	size_t nr_trees;
	u64 data_bytes; /* room that data needs */
	u64 data_linear; /* bytes of the data space that data takes, gaps included */
	u64 *used_bytes; /* of each block group, in the order of the chunk map; owned */
	u64 *device_bytes; /* size of the filesystem on each device; owned */
};

void image_done(struct image *image);

/*
 * Lay everything out. -ENOSPC: it does not fit on the devices. With is_exact each device is as large as it must be,
 * else devices[].limit_bytes is its size, and chunks are roomy where that fits.
 */
int image_plan(struct image *image, bool is_exact, struct diag *d);

/* Bytes that an exact fit takes, over all devices; image_plan() of everything else was tried before. */
int image_needed_bytes(struct image *image, u64 *ret_bytes, struct diag *d);

/* Write data and trees, everything but the superblocks. */
int image_write(struct image *image, struct volume *volume, struct diag *d);

/* The superblock of a planned and written image; without a device's own item. */
int image_super(const struct image *image, struct disk_super *ret_super, struct diag *d);
void image_dev_item(const struct image *image, size_t device, struct disk_dev_item *ret_item);

u64 image_total_bytes(const struct image *image);
u64 image_used_bytes(const struct image *image);

/* --- Used among the image_*.c files --------------------------------------------------------------- */

const struct image_tree *image_tree_of(const struct image *image, u64 owner);

/* The data extents in ascending order, wherever they come from. Few have more than one reference. */
#define IMAGE_DATA_REFS_MAX 2
struct image_data_ref {
	u64 root_id, ino, file_offset;
};
struct image_data_extent {
	u64 logical, len;
	struct image_data_ref refs[IMAGE_DATA_REFS_MAX]; /* in the order that extent items have them */
	unsigned nr_refs;
};
u64 image_nr_data(const struct image *image);
void image_data_at(const struct image *image, u64 index, struct image_data_extent *ret_extent);

/* Everything allocated, in ascending logical order: data extents and tree blocks. */
struct image_extent {
	u64 logical;
	u64 len;
	u64 data_index; /* for image_data_at() */
	const struct image_tree *tree; /* NULL: data */
	u64 block; /* index in its level */
	u8 level;
};
struct image_extents {
	const struct image *image;
	u64 next_data;
	size_t tree;
	u8 level;
	u64 block;
};
#define IMAGE_EXTENTS_INIT(from) ((struct image_extents){ .image = (from) })
bool image_extents_next(struct image_extents *at, struct image_extent *ret_extent);

int emit_root_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_chunk_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_dev_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_extent_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_block_group_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_free_space_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_uuid_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_quota_tree(const struct image *image, struct item_stream *stream, struct diag *d);
int emit_empty_dir_tree(const struct image *image, struct item_stream *stream, struct diag *d);
/* INODE_REF: inode @objectid has this name in directory @parent. */
int emit_inode_ref(struct item_stream *stream, u64 objectid, u64 parent, u64 index, const char *name, struct diag *d);
int emit_nothing(const struct image *image, struct item_stream *stream, struct diag *d);

#endif
