/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of items of subvolume trees that are not names: inodes, file extents; and of data checksums. */
#include <sys/stat.h>

#include "common/base/checked.h"
#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"

typedef unsigned long long ull;

/* The upper half of the flags says only what must not be written by those who do not know it. */
#define INODE_FLAGS_KNOWN ((1U << 12) - 1)
#define MODE_BITS_KNOWN (S_IFMT | 07777)

static bool generation_is_newer(const struct item_at *at, u64 generation)
{
	return at->params->super_generation && generation > at->params->super_generation + 1;
}

static bool mode_is_valid(u32 mode)
{
	if (mode & ~(u32)MODE_BITS_KNOWN)
		return false;
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	default:
		return false;
	}
}

int item_check_inode(const struct item_at *at)
{
	const struct disk_inode_item *item = at->data;
	int err = item_size_is(at, sizeof(*item));
	u64 ino = at->key.objectid;
	u32 mode;

	if (err)
		return err;
	if ((ino < FIRST_FREE_OBJECTID || ino > LAST_FREE_OBJECTID) && ino != ROOT_TREE_DIR_OBJECTID &&
	    ino != FREE_INO_OBJECTID)
		return item_bad(at, "impossible inode number");
	if (at->key.offset != 0)
		return item_bad(at, "key offset must be 0");
	if (generation_is_newer(at, le64_get(item->generation)))
		return item_bad(at, "inode generation %llu is newer than the superblock's %llu",
				(ull)le64_get(item->generation), (ull)at->params->super_generation);
	if (generation_is_newer(at, le64_get(item->transid)))
		return item_bad(at, "inode transid %llu is newer than the superblock's %llu", (ull)le64_get(item->transid),
				(ull)at->params->super_generation);
	mode = le32_get(item->mode);
	/* The root tree's own inodes (free space caches) of old kernels have been seen with mode 0. */
	if (!mode_is_valid(mode) && (mode != 0 || le64_get(block_header(at->block)->owner) != ROOT_TREE_OBJECTID))
		return item_bad(at, "impossible mode 0%o", mode);
	if (S_ISDIR(mode) && le32_get(item->nlink) > 1)
		return item_bad(at, "a directory with %u links", le32_get(item->nlink));
	if ((u32)le64_get(item->flags) & ~(INODE_FLAGS_KNOWN | INODE_ROOT_ITEM_INIT))
		return item_bad(at, "unknown inode flags 0x%llx", (ull)le64_get(item->flags));
	return 0;
}

static int check_inline(const struct item_at *at, const struct disk_file_extent_item *item)
{
	u32 bytes = at->size - (u32)FILE_EXTENT_INLINE_HEADER_BYTES;

	if (at->key.offset != 0)
		return item_bad(at, "inline extent at file offset %llu", (ull)at->key.offset);
	if (item->compression == COMPRESS_NONE && le64_get(item->ram_bytes) != bytes)
		return item_bad(at, "inline extent of %u bytes says %llu", bytes, (ull)le64_get(item->ram_bytes));
	return 0;
}

static int check_regular(const struct item_at *at, const struct disk_file_extent_item *item)
{
	u64 sectorsize = at->params->sectorsize, end;
	u64 disk_bytenr, disk_num_bytes, num_bytes, offset;
	int err = item_size_is(at, sizeof(*item));

	if (err)
		return err;
	disk_bytenr = le64_get(item->disk_bytenr);
	disk_num_bytes = le64_get(item->disk_num_bytes);
	num_bytes = le64_get(item->num_bytes);
	offset = le64_get(item->offset);
	if (disk_bytenr % sectorsize || disk_num_bytes % sectorsize || num_bytes % sectorsize || offset % sectorsize ||
	    le64_get(item->ram_bytes) % sectorsize)
		return item_bad(at, "extent numbers are not multiples of the sectorsize");
	if (num_bytes == 0 || !checked_add(at->key.offset, num_bytes, &end))
		return item_bad(at, "extent of %llu bytes", (ull)num_bytes);
	if (!checked_add(disk_bytenr, disk_num_bytes, &end) || !checked_add(offset, num_bytes, &end))
		return item_bad(at, "extent numbers overflow");
	if (disk_bytenr && item->compression == COMPRESS_NONE && end > disk_num_bytes)
		return item_bad(at, "uses [%llu, +%llu) of an extent of %llu bytes", (ull)offset, (ull)num_bytes,
				(ull)disk_num_bytes);
	return 0;
}

/* Two extents of one file, neighbours in the leaf, must not overlap. */
static int check_overlap(const struct item_at *at)
{
	const struct disk_file_extent_item *before;
	struct key key;

	if (at->slot == 0)
		return 0;
	key = leaf_key(at->block, at->slot - 1);
	if (key.objectid != at->key.objectid || key.type != EXTENT_DATA_KEY)
		return 0;
	before = leaf_item_data(at->block, at->slot - 1);
	if (before->type != FILE_EXTENT_INLINE && key.offset + le64_get(before->num_bytes) > at->key.offset)
		return item_bad(at, "the extent before it reaches to %llu",
				(ull)(key.offset + le64_get(before->num_bytes)));
	return 0;
}

int item_check_file_extent(const struct item_at *at)
{
	const struct disk_file_extent_item *item = at->data;
	int err;

	if (at->size < FILE_EXTENT_INLINE_HEADER_BYTES)
		return item_bad(at, "item of %u bytes", at->size);
	if (at->key.offset % at->params->sectorsize)
		return item_bad(at, "file offset is not a multiple of the sectorsize");
	if (item->compression > COMPRESS_ZSTD)
		return item_bad(at, "unknown compression %u", item->compression);
	if (item->encryption)
		return item_bad(at, "unknown encryption %u", item->encryption);
	switch (item->type) {
	case FILE_EXTENT_INLINE:
		err = check_inline(at, item);
		break;
	case FILE_EXTENT_REG:
	case FILE_EXTENT_PREALLOC:
		err = check_regular(at, item);
		break;
	default:
		return item_bad(at, "unknown extent type %u", item->type);
	}
	return err ? err : check_overlap(at);
}

int item_check_csum(const struct item_at *at)
{
	u64 sectors = at->size / at->params->csum_size_bytes, end;

	if (at->key.objectid != EXTENT_CSUM_OBJECTID)
		return item_bad(at, "checksums under objectid %lld", (long long)at->key.objectid);
	if (at->key.offset % at->params->sectorsize)
		return item_bad(at, "address is not a multiple of the sectorsize");
	if (at->size == 0 || at->size % at->params->csum_size_bytes)
		return item_bad(at, "%u bytes are not whole checksums of %u", at->size, at->params->csum_size_bytes);
	if (!checked_add(at->key.offset, sectors * at->params->sectorsize, &end))
		return item_bad(at, "address overflows");
	if (at->slot) {
		struct key key = leaf_key(at->block, at->slot - 1);
		u64 before_end = key.offset + (u64)leaf_item_bytes(at->block, at->slot - 1) /
						      at->params->csum_size_bytes * at->params->sectorsize;

		if (key.type == EXTENT_CSUM_KEY && key.objectid == at->key.objectid && before_end > at->key.offset)
			return item_bad(at, "the checksums before it reach to %llu", (ull)before_end);
	}
	return 0;
}
