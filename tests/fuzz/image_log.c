/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A log, as Linux leaves it behind when it is interrupted after an fsync: a tree of log trees, which the superblock leads
 * to, with one log tree, here a copy of a leaf that has file extents. Nothing else knows of these blocks.
 */
#include <btrkit/extents.h>

#include "kernel-shared/format/leaf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/images.h"

static void write_logical(struct fuzz_image *image, u64 logical, const u8 *bytes, u32 len)
{
	const struct chunk_map *chunks = image->fs->volume->chunks;
	unsigned copies = chunk_map_find(chunks, logical)->profile->copies;

	for (unsigned mirror = 1; mirror <= copies; mirror++) {
		struct physical_part part;

		fuzz_require(volume_map(chunks, logical, len, mirror, &part) == 0 && part.len == len);
		memcpy(image->device[part.devid - 1].bytes + part.physical, bytes, len);
	}
}

struct free_place {
	u64 logical; /* behind the last metadata block */
};

static int see_used(void *arg, const struct btrkit_logical_range *range)
{
	if (range->kinds & BTRKIT_USED_METADATA)
		((struct free_place *)arg)->logical = range->logical + range->len;
	return 0;
}

/* The leaf of the top subvolume with the most file extents. */
static void find_leaf(const struct fuzz_image *image, u8 *ret_block)
{
	u8 *block = malloc(image->nodesize);
	u32 most = 0;

	fuzz_require(block);
	array_for_each(&image->pieces, piece) {
		u32 nr = 0;

		if (piece->kind != FUZZ_BLOCK)
			continue;
		fuzz_piece_read(image, piece, block);
		if (block_level(block) || le64_get(block_header(block)->owner) != FS_TREE_OBJECTID)
			continue;
		for (u32 slot = 0; slot < block_nritems(block); slot++)
			nr += leaf_key(block, slot).type == EXTENT_DATA_KEY;
		if (nr > most)
			memcpy(ret_block, block, image->nodesize);
		most = MAX(most, nr);
	}
	fuzz_require(most);
	free(block);
}

static void put_block(struct fuzz_image *image, u64 logical, u8 *block)
{
	struct disk_header *header = (struct disk_header *)block;

	le64_put(&header->bytenr, logical);
	le64_put(&header->owner, TREE_LOG_OBJECTID);
	le64_put(&header->generation, le64_get(image->fs->super.generation) + 1);
	block_finish(block, image->nodesize, image->fs->csum);
	write_logical(image, logical, block, image->nodesize);
}

static void make_root(struct fuzz_image *image, u64 log_tree, u8 *block)
{
	const struct key key = { TREE_LOG_OBJECTID, ROOT_ITEM_KEY, FS_TREE_OBJECTID };
	struct block_identity id = { .nodesize = image->nodesize, .csum = image->fs->csum };
	struct disk_root_item *item;

	memcpy(id.fsid, block_header(block)->fsid, UUID_SIZE);
	memcpy(id.chunk_tree_uuid, block_header(block)->chunk_tree_uuid, UUID_SIZE);
	block_init(block, &id, 0, TREE_LOG_OBJECTID, 0);
	item = leaf_append(block, image->nodesize, &key, sizeof(*item));
	memset(item, 0, sizeof(*item));
	le64_put(&item->bytenr, log_tree);
	le64_put(&item->generation, le64_get(image->fs->super.generation) + 1);
	le32_put(&item->refs, 1);
}

static void put_supers(struct fuzz_image *image, u64 log_root)
{
	for (unsigned i = 0; i < image->nr_devices; i++)
		for (unsigned mirror = 0; mirror < super_mirror_count(image->device[i].size_bytes); mirror++) {
			u64 physical = super_mirror_physical(mirror);
			struct disk_super super;

			memcpy(&super, image->device[i].bytes + physical, sizeof(super));
			le64_put(&super.log_root, log_root);
			super_finish(&super, image->fs->csum, physical);
			memcpy(image->device[i].bytes + physical, &super, sizeof(super));
		}
}

void fuzz_image_add_log(struct fuzz_image *image)
{
	struct free_place place = { 0 };
	u8 *block = malloc(image->nodesize);

	fuzz_require(block && btrkit_used_logical(image->fs, see_used, &place, NULL) == 0);
	fuzz_require(chunk_map_find(image->fs->volume->chunks, place.logical + 2 * image->nodesize - 1));
	find_leaf(image, block);
	put_block(image, place.logical, block);
	make_root(image, place.logical, block);
	put_block(image, place.logical + image->nodesize, block);
	put_supers(image, place.logical + image->nodesize);
	free(block);
}
