/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A log for an image: a leaf of the top subvolume that has file extents, as if its files were logged unchanged, and beside that
 * something of each kind of item that a log may hold. The trees of the filesystem know nothing of its blocks.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/images.h"
#include "tests/unit/hand_log.h"

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

static void write_bytes(void *ctx, u64 devid, u64 physical, const void *bytes, size_t len)
{
	struct fuzz_image *image = ctx;

	memcpy(image->device[devid - 1].bytes + physical, bytes, len);
}

/* Of each inode, all items or none: what is missing of a logged directory or attribute would be taken for removed. */
static void add_committed(struct hand_log *log, const u8 *leaf)
{
	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		const struct key key = leaf_key(leaf, slot);

		if (key.type == EXTENT_DATA_KEY && leaf_item_bytes(leaf, slot) <= sizeof(((struct hand_log_item *)0)->data))
			hand_log_add(log, key, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot));
	}
}

/* A new directory with a file in it, which has another name, attributes, and contents of each kind; the first entry of the top is gone. */
static void add_new(struct hand_log *log)
{
	u64 dir = 1 << 20, file = dir + 1, small = dir + 2, disk;

	hand_log_inode(log, FIRST_FREE_OBJECTID, S_IFDIR | 0700, 0, 1, 1);
	hand_log_range(log, FIRST_FREE_OBJECTID, 2, 2);
	hand_log_range(log, FIRST_FREE_OBJECTID, 1 << 20, UINT64_MAX);
	hand_log_entry(log, FIRST_FREE_OBJECTID, 1 << 20, "new directory", dir, FT_DIR);
	hand_log_inode(log, dir, S_IFDIR | 0755, 0, 1, log->generation);
	hand_log_ref(log, dir, FIRST_FREE_OBJECTID, 1 << 20, "new directory");
	hand_log_range(log, dir, 2, UINT64_MAX);
	hand_log_entry(log, dir, 2, "new file", file, FT_REG_FILE);
	hand_log_entry(log, dir, 4, "small", small, FT_REG_FILE);
	hand_log_inode(log, file, S_IFREG | 0600, 16384 + 100, 2, log->generation);
	hand_log_ref(log, file, dir, 2, "new file");
	hand_log_extref(log, file, dir, 3, "its other name");
	hand_log_xattr(log, file, "user.attribute", "value");
	disk = hand_log_data(log, 'a');
	hand_log_extent(log, file, 0, FILE_EXTENT_REG, disk, 4096, 0, 4096);
	hand_log_extent(log, file, 4096, FILE_EXTENT_REG, 0, 0, 0, 4096);
	hand_log_extent(log, file, 8192, FILE_EXTENT_PREALLOC, hand_log_data(log, 'b'), 4096, 0, 4096);
	hand_log_extent(log, file, 16384, FILE_EXTENT_REG, disk, 4096, 0, 4096);
	hand_log_inode(log, small, S_IFREG | 0600, 11, 1, 0);
	hand_log_ref(log, small, dir, 4, "small");
	hand_log_inline(log, small, "inline data");
}

void fuzz_image_add_log(struct fuzz_image *image)
{
	u8 *leaf = malloc(image->nodesize);
	struct hand_log log;

	fuzz_require(leaf && hand_log_init(&log, image->fs, write_bytes, image));
	find_leaf(image, leaf);
	add_new(&log);
	add_committed(&log, leaf);
	hand_log_subvol(&log, FS_TREE_OBJECTID, 0);
	hand_log_finish(&log);
	hand_log_done(&log);
	free(leaf);
}
