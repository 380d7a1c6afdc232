/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Items that would make a sound filesystem an unsound one are refused here, as far as they show it by themselves; what only
 * together with the subvolume is wrong is found by the replay.
 */
#include "kernel-shared/treelog/judge.h"

#include <sys/stat.h>

#include "kernel-shared/format/name_hash.h"

typedef unsigned long long ull;

/* ls begins there: less are "." and "..". */
#define DIR_INDEX_FIRST 2

/* Is this one that replay knows, or may leave alone as it does Linux's? */
static bool is_known(const struct key *key)
{
	static const u8 types[] = {
		INODE_ITEM_KEY,	   INODE_REF_KEY, INODE_EXTREF_KEY, XATTR_ITEM_KEY,  ORPHAN_ITEM_KEY, DIR_LOG_ITEM_KEY,
		DIR_LOG_INDEX_KEY, DIR_ITEM_KEY,  DIR_INDEX_KEY,    EXTENT_DATA_KEY, EXTENT_CSUM_KEY,
	};

	return memchr(types, key->type, sizeof(types)) != NULL;
}

static bool is_file_number(u64 ino)
{
	return ino >= FIRST_FREE_OBJECTID && ino <= LAST_FREE_OBJECTID;
}

/* NULL: nothing is wrong with it. */
static const char *judge_inode(const struct disk_inode_item *inode)
{
	u32 mode = le32_get(inode->mode);
	u64 size = le64_get(inode->size);

	if (S_ISREG(mode) && size > INT64_MAX)
		return "gives a file an impossible size";
	if (S_ISLNK(mode) && (le64_get(inode->flags) & (INODE_IMMUTABLE | INODE_APPEND)))
		return "gives a symbolic link flags that it cannot have";
	if (!S_ISREG(mode) && !S_ISLNK(mode) && !S_ISDIR(mode) && size)
		return "gives a special file a size";
	return NULL;
}

static const char *judge_entry(const struct key *key, const struct disk_dir_item *entry, u32 bytes)
{
	const struct key location = key_unpack(&entry->location);

	if (key->offset < DIR_INDEX_FIRST || le16_get(entry->data_len) || bytes != sizeof(*entry) + le16_get(entry->name_len))
		return "is no entry of a directory";
	if (location.type == INODE_ITEM_KEY && (!is_file_number(location.objectid) || location.offset))
		return "leads to what cannot be a file";
	return NULL;
}

/* The ".." of a top directory is logged as well, with index 0. */
static const char *judge_refs(const struct treelog *log, const struct treelog_item *item)
{
	struct treelog_ref ref;

	for (u32 at = 0; treelog_ref_next(&item->key, treelog_data(log, item), item->data_bytes, &at, &ref);) {
		if (!is_file_number(ref.dir))
			return "names what cannot be a directory";
		if (ref.index < DIR_INDEX_FIRST && ref.dir != item->key.objectid)
			return "has an index that no entry can have";
		if (item->key.type == INODE_EXTREF_KEY && extref_hash(ref.dir, ref.name, ref.name_len) != item->key.offset)
			return "does not have the hash of its name";
	}
	return NULL;
}

static const char *judge_extent(const struct treelog *log, const struct treelog_item *item)
{
	const struct disk_file_extent_item *extent = treelog_data(log, item);
	bool is_compressed = extent->compression != COMPRESS_NONE;
	u64 from, to;

	if (!treelog_extent_range(log, item, &from, &to) || to > INT64_MAX)
		return "reaches beyond what a file can have";
	if (extent->type == FILE_EXTENT_INLINE)
		return le64_get(extent->ram_bytes) > log->fs->volume->sectorsize ? "has more inline data than fits" : NULL;
	if (extent->type == FILE_EXTENT_PREALLOC && (is_compressed || le64_get(extent->disk_bytenr) == 0))
		return "reserves space that is none";
	if (le64_get(extent->disk_bytenr) == 0)
		return NULL;
	if (is_compressed && (le64_get(extent->offset) > le64_get(extent->ram_bytes) ||
			      le64_get(extent->num_bytes) > le64_get(extent->ram_bytes) - le64_get(extent->offset)))
		return "uses more than its uncompressed size";
	return NULL;
}

static const char *judge(const struct treelog *log, const struct treelog_item *item)
{
	const void *data = treelog_data(log, item);

	if (!is_known(&item->key))
		return "is none that a log may hold";
	if (item->key.type == EXTENT_CSUM_KEY || item->key.type == ORPHAN_ITEM_KEY)
		return NULL;
	if (!is_file_number(item->key.objectid))
		return "is of what cannot be a file";
	switch (item->key.type) {
	case INODE_ITEM_KEY:
		return judge_inode(data);
	case DIR_LOG_ITEM_KEY:
	case DIR_LOG_INDEX_KEY:
		return item->data_bytes == sizeof(struct disk_dir_log_item) ? NULL : "has an impossible size";
	case DIR_INDEX_KEY:
		return judge_entry(&item->key, data, item->data_bytes);
	case INODE_REF_KEY:
	case INODE_EXTREF_KEY:
		return judge_refs(log, item);
	case EXTENT_DATA_KEY:
		return judge_extent(log, item);
	default:
		return NULL;
	}
}

int treelog_judge_item(struct treelog *log, struct treelog_subvol *subvol, struct treelog_item *item)
{
	const struct disk_inode_item *inode = treelog_data(log, item);
	const char *why;

	if (item->key.type == INODE_ITEM_KEY && le32_get(inode->nlink) == 0)
		return array_push(&subvol->unlinked, item->key.objectid);
	why = judge(log, item);
	if (!why)
		return 0;
	item->is_refused = true;
	return treelog_lose(&log->losses, BTRKIT_LOG_LOSS_ITEM, subvol->id, item->key.objectid, 0,
			    "item (%llu %u %llu) of %u bytes %s", (ull)item->key.objectid, item->key.type, (ull)item->key.offset,
			    item->data_bytes, why);
}
