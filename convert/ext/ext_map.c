/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_map.h"

#include <inttypes.h>

#include "common/base/checked.h"
#include "common/csum/csum.h"

#define LBLK_END ((u64)1 << 32) /* of a file */

int ext_map_init(struct ext_map *map, const struct ext_fs *ext, struct ext_claims *claims, struct diag *d)
{
	map->ext = ext;
	map->claims = claims;
	for (unsigned i = 0; i < ARRAY_LEN(map->blocks); i++) {
		map->blocks[i] = malloc(ext->block_bytes);
		if (!map->blocks[i])
			return diag_no_memory(d, "blocks of file mappings");
	}
	return 0;
}

void ext_map_done(struct ext_map *map)
{
	for (unsigned i = 0; i < ARRAY_LEN(map->blocks); i++)
		free(map->blocks[i]);
	array_done(&map->runs);
	*map = (struct ext_map){ 0 };
}

static int check_in_filesystem(const struct ext_map *map, u64 block, u64 nr, struct diag *d)
{
	if (block == 0 || !range_fits(block, nr, map->ext->nr_blocks))
		return diag_fail(d, -EUCLEAN, "inode %u: refers to %" PRIu64 " blocks from %" PRIu64 " on, of %" PRIu64 "; run e2fsck -f",
				 map->inode->ino, nr, block, map->ext->nr_blocks);
	return 0;
}

/* A block of the tree; it has a cluster of its own. */
static int claim_tree_block(struct ext_map *map, u64 block, struct diag *d)
{
	int err = check_in_filesystem(map, block, 1, d);

	if (err || !map->claims)
		return err;
	return ext_claims_take(map->claims, block / map->ext->cluster_blocks, 1, map->inode->ino, d);
}

/*
 * With bigalloc an extent may begin within a cluster that the extent before it has claimed. A block has the same place in a
 * cluster of the file and in one of the device, so that the last one is enough to know.
 */
static int claim_data(struct ext_map *map, u64 lblk, u64 block, u64 nr, struct diag *d)
{
	u32 per_cluster = map->ext->cluster_blocks;
	u64 first = block / per_cluster, last = (block + nr - 1) / per_cluster;
	u64 lcluster = lblk / per_cluster, last_lcluster = (lblk + nr - 1) / per_cluster;
	bool is_shared = per_cluster > 1 && lcluster == map->last_lcluster;

	if (lblk % per_cluster != block % per_cluster || (is_shared && first != map->last_pcluster))
		return diag_fail(d, -EUCLEAN,
				 "inode %u: its block %" PRIu64 " lies at %" PRIu64 ", which does not fit the clusters; run e2fsck -f",
				 map->inode->ino, lblk, block);
	map->last_lcluster = last_lcluster;
	map->last_pcluster = last;
	if (is_shared)
		first++;
	if (!map->claims || first > last)
		return 0;
	return ext_claims_take(map->claims, first, last - first + 1, map->inode->ino, d);
}

static int add_extent(struct ext_map *map, u64 lblk, u64 block, u64 nr, bool is_init, struct diag *d)
{
	u32 block_bytes = map->ext->block_bytes;
	u64 file_offset = lblk * block_bytes, physical = block * block_bytes, len = nr * block_bytes;
	struct source_run *last = map->runs.len ? &map->runs.items[map->runs.len - 1] : NULL;
	int err = check_in_filesystem(map, block, nr, d);

	if (!err)
		err = claim_data(map, lblk, block, nr, d);
	if (err || !is_init || file_offset >= map->end_byte)
		return err;
	len = MIN(len, map->end_byte - file_offset);
	if (last && last->file_offset + last->len == file_offset && last->physical + last->len == physical) {
		last->len += len;
		return 0;
	}
	if (array_push(&map->runs, (struct source_run){ .file_offset = file_offset, .physical = physical, .len = len }) < 0)
		return diag_no_memory(d, "runs of a file");
	return 0;
}

/* --- Extents ---------------------------------------------------------------------------------------------------- */

static int fail_tree(const struct ext_map *map, const char *what, struct diag *d)
{
	return diag_fail(d, -EUCLEAN, "inode %u: extent tree: %s; run e2fsck -f", map->inode->ino, what);
}

static int walk_node(struct ext_map *map, const u8 *node, size_t node_bytes, u32 depth, u64 end_lblk, struct diag *d);

static int walk_child(struct ext_map *map, const struct disk_ext_index *index, u32 depth, u64 end_lblk, struct diag *d)
{
	const struct ext_fs *ext = map->ext;
	u64 block = le32_get(index->leaf_lo) | (u64)le16_get(index->leaf_hi) << 32;
	u8 *buf = map->blocks[depth];
	const struct disk_ext_extent_header *header = (const void *)buf;
	int err = claim_tree_block(map, block, d);

	if (!err)
		err = ext_read_blocks(ext, block, 1, buf, d);
	if (err)
		return err;
	if (ext->has_metadata_csum) {
		size_t tail = sizeof(*header) + (size_t)le16_get(header->max) * sizeof(struct disk_ext_extent);
		le32 csum;

		if (tail > ext->block_bytes - sizeof(csum))
			return fail_tree(map, "a block has too much room", d);
		memcpy(&csum, buf + tail, sizeof(csum));
		if (crc32c_update(map->csum_seed, buf, tail) != le32_get(csum))
			return diag_fail(d, -EUCLEAN, "inode %u: block %" PRIu64 " of its extent tree has a bad checksum; run e2fsck -f",
					 map->inode->ino, block);
	}
	if (le16_get(header->depth) != depth)
		return fail_tree(map, "a block has the wrong depth", d);
	if (le32_get(index->block) < map->next_lblk)
		return fail_tree(map, "an index is out of order", d);
	map->next_lblk = le32_get(index->block);
	return walk_node(map, buf, ext->block_bytes, depth, end_lblk, d);
}

static int walk_leaf(struct ext_map *map, const struct disk_ext_extent *extents, u32 nr, u64 end_lblk, struct diag *d)
{
	for (u32 i = 0; i < nr; i++) {
		u64 lblk = le32_get(extents[i].block), len = le16_get(extents[i].len);
		bool is_init = len <= EXT_EXTENT_INIT_MAX;
		int err;

		if (!is_init)
			len -= EXT_EXTENT_INIT_MAX;
		if (len == 0 || lblk < map->next_lblk || lblk + len > end_lblk)
			return fail_tree(map, "an extent is empty, out of order, or reaches too far", d);
		map->next_lblk = lblk + len;
		err = add_extent(map, lblk, le32_get(extents[i].start_lo) | (u64)le16_get(extents[i].start_hi) << 32, len, is_init, d);
		if (err)
			return err;
	}
	return 0;
}

/* @end_lblk: where the next index of the parent begins. The depth falls by one, so this ends. */
static int walk_node(struct ext_map *map, const u8 *node, size_t node_bytes, u32 depth, u64 end_lblk, struct diag *d)
{
	const struct disk_ext_extent_header *header = (const void *)node;
	const struct disk_ext_index *indexes = (const void *)(node + sizeof(*header));
	u32 nr = le16_get(header->entries), max = le16_get(header->max);

	if (le16_get(header->magic) != EXT_EXTENT_MAGIC || nr > max ||
	    max > (node_bytes - sizeof(*header)) / sizeof(struct disk_ext_extent))
		return fail_tree(map, "a block has a bad header", d);
	if (depth == 0)
		return walk_leaf(map, (const void *)(node + sizeof(*header)), nr, end_lblk, d);
	if (nr == 0)
		return fail_tree(map, "an index block is empty", d);
	for (u32 i = 0; i < nr; i++) {
		u64 end = i + 1 < nr ? le32_get(indexes[i + 1].block) : end_lblk;
		int err;

		if (end > end_lblk || end <= le32_get(indexes[i].block))
			return fail_tree(map, "an index is out of order", d);
		err = walk_child(map, &indexes[i], depth - 1, end, d);
		if (err)
			return err;
	}
	return 0;
}

static int map_extents(struct ext_map *map, struct diag *d)
{
	const u8 *root = map->inode->disk->block;
	u32 depth = le16_get(((const struct disk_ext_extent_header *)(const void *)root)->depth);

	if (depth > EXT_EXTENT_DEPTH_MAX)
		return fail_tree(map, "is too deep", d);
	return walk_node(map, root, sizeof(map->inode->disk->block), depth, LBLK_END, d);
}

/* --- Indirect blocks -------------------------------------------------------------------------------------------- */

/* @level 0: @block is one of data. map->next_lblk is the block of the file that comes next. */
static int walk_indirect(struct ext_map *map, u64 block, unsigned level, struct diag *d)
{
	u64 per_block = map->ext->block_bytes / sizeof(le32), covers = 1;
	u8 *buf;
	int err;

	for (unsigned i = 0; i < level; i++)
		covers *= per_block;
	if (block == 0 || map->next_lblk >= LBLK_END) {
		map->next_lblk += covers;
		if (block != 0)
			return diag_fail(d, -EUCLEAN, "inode %u: indirect blocks reach too far; run e2fsck -f", map->inode->ino);
		return 0;
	}
	if (level == 0)
		return add_extent(map, map->next_lblk++, block, 1, true, d);
	buf = map->blocks[level - 1];
	err = claim_tree_block(map, block, d);
	if (!err)
		err = ext_read_blocks(map->ext, block, 1, buf, d);
	for (u64 i = 0; !err && i < per_block; i++)
		err = walk_indirect(map, le32_get(((const le32 *)(const void *)buf)[i]), level - 1, d);
	return err;
}

static int map_indirect(struct ext_map *map, struct diag *d)
{
	const le32 *pointers = (const void *)map->inode->disk->block;
	int err = 0;

	for (unsigned i = 0; !err && i < EXT2_N_BLOCKS; i++)
		err = walk_indirect(map, le32_get(pointers[i]), i < EXT2_NDIR_BLOCKS ? 0 : i - EXT2_NDIR_BLOCKS + 1, d);
	return err;
}

int ext_map_inode(struct ext_map *map, const struct ext_inode *inode, struct diag *d)
{
	u32 block_bytes = map->ext->block_bytes;

	map->inode = inode;
	map->runs.len = 0;
	map->next_lblk = 0;
	map->last_lcluster = map->last_pcluster = UINT64_MAX;
	map->end_byte = inode->size > LBLK_END * block_bytes ? LBLK_END * block_bytes : round_up_u64(inode->size, block_bytes);
	if (!(inode->flags & EXT4_EXTENTS_FL))
		return map_indirect(map, d);
	map->csum_seed = map->ext->has_metadata_csum ? ext_inode_csum_seed(map->ext, inode) : 0;
	return map_extents(map, d);
}
