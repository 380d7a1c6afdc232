/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A log put together item by item, for tests: written into free space of a filesystem in an image, as Linux leaves it behind when
 * it is interrupted after an fsync. Items may be added in any order.
 */
#ifndef BTRKIT_TESTS_UNIT_HAND_LOG_H
#define BTRKIT_TESTS_UNIT_HAND_LOG_H

#include <sys/stat.h>

#include <btrkit/extents.h>

#include "kernel-shared/format/leaf.h"
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/format/super_check.h"
#include "kernel-shared/fs/fs.h"
#include "kernel-shared/volume/map.h"

#define HAND_LOG_BLOCKS_MAX 128

struct hand_log_item {
	struct key key;
	u32 bytes;
	u8 data[512];
};

struct hand_log {
	struct btrkit_fs *fs;
	void (*write)(void *ctx, u64 devid, u64 physical, const void *bytes, size_t len);
	void *ctx;
	ARRAY(struct hand_log_item) items;
	u64 place; /* of the next block */
	u64 data_place; /* of the next data extent */
	u64 generation;
	u64 root; /* of the tree of log trees, once written */
	u64 leaves[HAND_LOG_BLOCKS_MAX]; /* of the last log tree that was written */
	unsigned nr_leaves;
	ARRAY(struct hand_log_item) roots;
};

static inline int hand_log_see_used(void *arg, const struct btrkit_logical_range *range)
{
	struct hand_log *log = arg;

	if (range->kinds & BTRKIT_USED_METADATA)
		log->place = range->logical + range->len;
	if (range->kinds & BTRKIT_USED_DATA)
		log->data_place = range->logical + range->len;
	return 0;
}

static inline bool hand_log_init(struct hand_log *log, struct btrkit_fs *fs,
				 void (*write)(void *ctx, u64 devid, u64 physical, const void *bytes, size_t len), void *ctx)
{
	*log = (struct hand_log){ .fs = fs, .write = write, .ctx = ctx };
	log->generation = le64_get(fs->super.generation) + 1;
	return btrkit_used_logical(fs, hand_log_see_used, log, NULL) == 0;
}

static inline void hand_log_done(struct hand_log *log)
{
	array_done(&log->items);
	array_done(&log->roots);
}

/* --- Items ---------------------------------------------------------------------------------------------------- */

static inline void hand_log_add(struct hand_log *log, struct key key, const void *data, size_t bytes)
{
	struct hand_log_item item = { .key = key, .bytes = (u32)bytes };

	if (bytes)
		memcpy(item.data, data, MIN(bytes, sizeof(item.data)));
	if (array_push(&log->items, item) < 0)
		abort();
}

static inline void hand_log_inode(struct hand_log *log, u64 ino, u32 mode, u64 size, u32 nlink, u64 generation)
{
	struct disk_inode_item item;

	memset(&item, 0, sizeof(item));
	le64_put(&item.generation, generation);
	le64_put(&item.transid, log->generation);
	le64_put(&item.size, size);
	le32_put(&item.nlink, nlink);
	le32_put(&item.mode, mode);
	hand_log_add(log, (struct key){ ino, INODE_ITEM_KEY, 0 }, &item, sizeof(item));
}

static inline void hand_log_ref(struct hand_log *log, u64 ino, u64 dir, u64 index, const char *name)
{
	u8 bytes[sizeof(struct disk_inode_ref) + NAME_LEN_MAX];
	struct disk_inode_ref *ref = (void *)bytes;

	le64_put(&ref->index, index);
	le16_put(&ref->name_len, (u16)strlen(name));
	memcpy(ref->name, name, strlen(name));
	hand_log_add(log, (struct key){ ino, INODE_REF_KEY, dir }, bytes, sizeof(*ref) + strlen(name));
}

static inline void hand_log_extref(struct hand_log *log, u64 ino, u64 dir, u64 index, const char *name)
{
	u8 bytes[sizeof(struct disk_inode_extref) + NAME_LEN_MAX];
	struct disk_inode_extref *ref = (void *)bytes;

	le64_put(&ref->parent_objectid, dir);
	le64_put(&ref->index, index);
	le16_put(&ref->name_len, (u16)strlen(name));
	memcpy(ref->name, name, strlen(name));
	hand_log_add(log, (struct key){ ino, INODE_EXTREF_KEY, extref_hash(dir, name, strlen(name)) }, bytes,
		     sizeof(*ref) + strlen(name));
}

static inline void hand_log_dir_item(struct hand_log *log, struct key key, const struct key *location, u8 type, const char *name,
				     const void *value, size_t value_len)
{
	u8 bytes[512] = { 0 };
	struct disk_dir_item *item = (void *)bytes;

	key_pack(&item->location, location);
	le64_put(&item->transid, log->generation);
	le16_put(&item->name_len, (u16)strlen(name));
	le16_put(&item->data_len, (u16)value_len);
	item->type = type;
	memcpy(item->name, name, strlen(name));
	if (value_len)
		memcpy(item->name + strlen(name), value, value_len);
	hand_log_add(log, key, bytes, sizeof(*item) + strlen(name) + value_len);
}

static inline void hand_log_entry(struct hand_log *log, u64 dir, u64 index, const char *name, u64 ino, u8 type)
{
	const struct key location = { ino, INODE_ITEM_KEY, 0 };

	hand_log_dir_item(log, (struct key){ dir, DIR_INDEX_KEY, index }, &location, type, name, NULL, 0);
}

static inline void hand_log_xattr(struct hand_log *log, u64 ino, const char *name, const char *value)
{
	const struct key location = { 0, 0, 0 };

	hand_log_dir_item(log, (struct key){ ino, XATTR_ITEM_KEY, name_hash(name, strlen(name)) }, &location, FT_XATTR, name,
			  value, strlen(value));
}

static inline void hand_log_range(struct hand_log *log, u64 dir, u64 first, u64 last)
{
	struct disk_dir_log_item item;

	le64_put(&item.end, last);
	hand_log_add(log, (struct key){ dir, DIR_LOG_INDEX_KEY, first }, &item, sizeof(item));
}

static inline void hand_log_extent(struct hand_log *log, u64 ino, u64 file_offset, u8 type, u64 disk, u64 disk_bytes, u64 offset,
				   u64 bytes)
{
	struct disk_file_extent_item item;

	memset(&item, 0, sizeof(item));
	le64_put(&item.generation, log->generation);
	le64_put(&item.ram_bytes, disk_bytes ? disk_bytes : bytes);
	item.type = type;
	le64_put(&item.disk_bytenr, disk);
	le64_put(&item.disk_num_bytes, disk_bytes);
	le64_put(&item.offset, offset);
	le64_put(&item.num_bytes, bytes);
	hand_log_add(log, (struct key){ ino, EXTENT_DATA_KEY, file_offset }, &item, sizeof(item));
}

static inline void hand_log_inline(struct hand_log *log, u64 ino, const char *text)
{
	u8 bytes[512] = { 0 };
	struct disk_file_extent_item *item = (void *)bytes;

	le64_put(&item->generation, log->generation);
	le64_put(&item->ram_bytes, strlen(text));
	item->type = FILE_EXTENT_INLINE;
	memcpy(bytes + FILE_EXTENT_INLINE_HEADER_BYTES, text, strlen(text));
	hand_log_add(log, (struct key){ ino, EXTENT_DATA_KEY, 0 }, bytes, FILE_EXTENT_INLINE_HEADER_BYTES + strlen(text));
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static inline void hand_log_write_logical(struct hand_log *log, u64 logical, const void *bytes, size_t len)
{
	const struct chunk_map *chunks = log->fs->volume->chunks;
	unsigned copies = chunk_map_find(chunks, logical)->profile->copies;

	for (unsigned mirror = 1; mirror <= copies; mirror++) {
		struct physical_part part;

		if (volume_map(chunks, logical, len, mirror, &part) != 0 || part.len != len)
			abort();
		log->write(log->ctx, part.devid, part.physical, bytes, len);
	}
}

/* One sector of new data, with its checksum in the log; returns where it is. */
static inline u64 hand_log_data(struct hand_log *log, u8 fill)
{
	u32 sectorsize = log->fs->volume->sectorsize;
	u8 *sector = malloc(sectorsize);
	u64 logical = log->data_place;
	u8 csum[CSUM_BYTES_MAX];

	if (!sector)
		abort();
	memset(sector, fill, sectorsize);
	log->data_place += sectorsize;
	hand_log_write_logical(log, logical, sector, sectorsize);
	csum_compute(log->fs->csum, sector, sectorsize, csum);
	hand_log_add(log, (struct key){ EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, logical }, csum, log->fs->csum->size_bytes);
	free(sector);
	return logical;
}

static inline void hand_log_begin_block(struct hand_log *log, u8 *block, u8 level)
{
	struct block_identity id = { .nodesize = log->fs->volume->nodesize, .csum = log->fs->csum,
				     .generation = log->generation };

	memcpy(id.fsid, super_metadata_fsid(&log->fs->super), UUID_SIZE);
	block_init(block, &id, log->place, TREE_LOG_OBJECTID, level);
}

static inline u64 hand_log_end_block(struct hand_log *log, u8 *block)
{
	u64 logical = log->place;

	block_finish(block, log->fs->volume->nodesize, log->fs->csum);
	hand_log_write_logical(log, logical, block, log->fs->volume->nodesize);
	log->place += log->fs->volume->nodesize;
	return logical;
}

static inline int hand_log_by_key(const void *a, const void *b)
{
	return key_compare(&((const struct hand_log_item *)a)->key, &((const struct hand_log_item *)b)->key);
}

/* Leaves of at most @items_max items (0: as many as fit), and a node above them if there are several. Returns the root. */
static inline u64 hand_log_write_tree(struct hand_log *log, unsigned items_max, u8 *ret_level)
{
	u32 nodesize = log->fs->volume->nodesize;
	struct key first[HAND_LOG_BLOCKS_MAX];
	u8 *block = malloc(nodesize);
	size_t at = 0;
	u64 root;

	if (!block)
		abort();
	array_sort(&log->items, hand_log_by_key);
	log->nr_leaves = 0;
	do {
		unsigned nr = 0;

		if (log->nr_leaves == HAND_LOG_BLOCKS_MAX)
			abort();
		hand_log_begin_block(log, block, 0);
		first[log->nr_leaves] = at < log->items.len ? log->items.items[at].key : KEY_MIN;
		for (; at < log->items.len && (items_max == 0 || nr < items_max); at++, nr++) {
			const struct hand_log_item *item = &log->items.items[at];

			if (leaf_free_bytes(block, nodesize) < (int)item->bytes)
				break;
			memcpy(leaf_append(block, nodesize, &item->key, item->bytes), item->data, item->bytes);
		}
		log->leaves[log->nr_leaves++] = hand_log_end_block(log, block);
	} while (at < log->items.len);
	root = log->leaves[0];
	*ret_level = 0;
	if (log->nr_leaves > 1) {
		hand_log_begin_block(log, block, 1);
		for (unsigned i = 0; i < log->nr_leaves; i++)
			node_append(block, &first[i], log->leaves[i], log->generation);
		root = hand_log_end_block(log, block);
		*ret_level = 1;
	}
	free(block);
	log->items.len = 0;
	return root;
}

/* The items so far become the log of @subvol; the next ones are of another. */
static inline void hand_log_subvol(struct hand_log *log, u64 subvol, unsigned items_max)
{
	struct hand_log_item item = { .key = { TREE_LOG_OBJECTID, ROOT_ITEM_KEY, subvol },
				      .bytes = sizeof(struct disk_root_item) };
	struct disk_root_item *root = (void *)item.data;
	u8 level;

	le64_put(&root->bytenr, hand_log_write_tree(log, items_max, &level));
	root->level = level;
	le64_put(&root->generation, log->generation);
	le32_put(&root->refs, 1);
	if (array_push(&log->roots, item) < 0)
		abort();
}

/* Write the tree of log trees, and the primary superblocks. */
static inline void hand_log_finish(struct hand_log *log)
{
	struct device_set *devices = log->fs->volume->devices;
	u8 level;

	log->items.len = 0;
	array_for_each(&log->roots, root)
		hand_log_add(log, root->key, root->data, root->bytes);
	log->root = hand_log_write_tree(log, 0, &level);
	for (size_t i = 0; i < devices->devices.len; i++) {
		struct super_choice choice;

		if (super_read(devices->devices.items[i].dev, 0, &choice, NULL) != 0)
			abort();
		le64_put(&choice.super.log_root, log->root);
		choice.super.log_root_level = level;
		super_finish(&choice.super, log->fs->csum, super_mirror_physical(0));
		log->write(log->ctx, devices->devices.items[i].devid, super_mirror_physical(0), &choice.super,
			   sizeof(choice.super));
	}
}

#endif
