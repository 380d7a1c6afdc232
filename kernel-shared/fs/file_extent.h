/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which extent, or hole, a place in a file lies in. */
#ifndef BTRKIT_KERNEL_SHARED_FS_FILE_EXTENT_H
#define BTRKIT_KERNEL_SHARED_FS_FILE_EXTENT_H

#include "kernel-shared/tree/tree.h"

enum file_extent_kind { EXTENT_HOLE, EXTENT_INLINE, EXTENT_REGULAR, EXTENT_PREALLOC };

struct file_extent {
	u64 file_offset;
	u64 len; /* in the file; not cut at its end, but holes without an item are */
	enum file_extent_kind kind;
	u8 compression;
	u64 generation;
	u64 disk_bytenr, disk_num_bytes; /* logical */
	u64 extent_offset; /* into the uncompressed extent */
	u64 ram_bytes; /* uncompressed bytes of the whole extent */
	const u8 *inline_data; /* valid until the cursor moves */
	u32 inline_bytes;
};

/* Decode an EXTENT_DATA item; inline data is pointed to. */
int file_extent_decode(const void *data, u32 bytes, u64 file_offset, u32 sectorsize, struct file_extent *ret_extent,
		       struct diag *d);
/* The one that @cursor stands on. */
int file_extent_unpack(const struct cursor *cursor, u32 sectorsize, struct file_extent *ret_extent, struct diag *d);

/*
 * What covers @at of inode @ino, a file of @size bytes, @at < @size. Where there is no item, a hole up to the next one or
 * to the end of the file.
 */
int file_extent_find(struct cursor *cursor, u64 ino, u64 at, u64 size, u32 sectorsize, struct file_extent *ret_extent,
		     struct diag *d);

#endif
