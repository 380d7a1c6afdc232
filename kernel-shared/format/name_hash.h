/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hashes that stand in keys. All are CRC-32C without the usual inversions.
 * Source: observed on images made by Linux (a directory's DIR_ITEM offsets, INODE_EXTREF offsets, keyed EXTENT_DATA_REF).
 */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_NAME_HASH_H
#define BTRKIT_KERNEL_SHARED_FORMAT_NAME_HASH_H

#include "common/csum/csum.h"

/* Key offset of a DIR_ITEM or XATTR_ITEM. */
static inline u64 name_hash(const void *name, size_t len)
{
	return crc32c_update((u32)~1, name, len);
}

/* Key offset of an INODE_EXTREF. */
static inline u64 extref_hash(u64 parent_objectid, const void *name, size_t len)
{
	return crc32c_update((u32)parent_objectid, name, len);
}

/* Key offset of an EXTENT_DATA_REF item of its own; inline ones sort by it, descending. */
static inline u64 extent_data_ref_hash(u64 root, u64 objectid, u64 offset)
{
	le64 field;
	u32 high, low;

	le64_put(&field, root);
	high = crc32c_update(~0U, &field, sizeof(field));
	le64_put(&field, objectid);
	low = crc32c_update(~0U, &field, sizeof(field));
	le64_put(&field, offset);
	low = crc32c_update(low, &field, sizeof(field));
	return ((u64)high << 31) ^ low;
}

#endif
