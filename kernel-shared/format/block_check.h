/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a tree block what the format allows? Everything that can be said from the block alone is checked here, when it is
 * read and once more before it is written, so that code behind it need not ask again.
 * Source: what Linux refuses (its tree checker's messages, and trying), the on-disk format documentation, images.
 */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_BLOCK_CHECK_H
#define BTRKIT_KERNEL_SHARED_FORMAT_BLOCK_CHECK_H

#include "common/base/diag.h"
#include "kernel-shared/format/disk.h"

struct block_check_params {
	u32 nodesize;
	u32 sectorsize;
	u32 csum_size_bytes;
	u64 super_generation; /* 0: not known */
};

/*
 * Check the block of params->nodesize bytes that was read from, or will be written to, @logical; its checksum and fsid
 * are the caller's. 0, or -EUCLEAN with "leaf LOGICAL slot N key (A T B): ..." in @d. Allocates nothing, reads only
 * within the block.
 */
int block_check(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d);

/*
 * The two halves of it, for a checker that looks at the other items when one is bad. When the shape is right (header,
 * order of keys, where data lies, pointers), items can be looked at without leaving the block.
 */
int block_check_shape(const struct block_check_params *params, const u8 *block, u64 logical, struct diag *d);
int block_check_item(const struct block_check_params *params, const u8 *block, u32 slot, struct diag *d);

/* --- For the item_check_*.c files ------------------------------------------------------------------- */

/* The item being checked, and where to complain. */
struct item_at {
	const struct block_check_params *params;
	const u8 *block;
	u32 slot;
	struct key key;
	const void *data;
	u32 size;
	struct diag *d;
};

/* Record "leaf ... slot ... key (...): text"; returns -EUCLEAN. */
__attribute__((format(printf, 2, 3))) int item_bad(const struct item_at *at, const char *format, ...);

/* -EUCLEAN unless the item has exactly @size bytes. */
int item_size_is(const struct item_at *at, u32 size);

/* One function a family; each knows the key types that it is called for. */
int item_check_inode(const struct item_at *at); /* INODE_ITEM */
int item_check_names(const struct item_at *at); /* INODE_REF, EXTREF, DIR_ITEM, DIR_INDEX, XATTR, ROOT_REF, ROOT_BACKREF */
int item_check_file_extent(const struct item_at *at); /* EXTENT_DATA */
int item_check_csum(const struct item_at *at); /* EXTENT_CSUM */
int item_check_root(const struct item_at *at); /* ROOT_ITEM */
int item_check_extent(const struct item_at *at); /* EXTENT_ITEM, METADATA_ITEM and keyed references */
int item_check_volume(const struct item_at *at); /* CHUNK, DEV_ITEM, DEV_EXTENT, BLOCK_GROUP, free space */
int item_check_other(const struct item_at *at); /* sizes of the rest */

#endif
