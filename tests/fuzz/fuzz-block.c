/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tree blocks: block_check() on anything, and what it lets pass goes through the block cache, with its checksum made
 * right, to the decoders of items, and is shown.
 *
 * Input: a byte of options, then either a block as it lies on disk (its address is put right), or, with ITEM_LIST, a level
 * byte and items in key order: le64 objectid, type, le64 offset, le16 length, bytes.
 */
#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/print/show.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/images.h"
#include "tests/fuzz/sink_printer.h"

const char fuzz_name[] = "fuzz-block";
const unsigned fuzz_iterations = 80000;
const size_t fuzz_input_max = 1 + NODESIZE_MAX;

#define ITEM_LIST 0x80 /* else a raw block */
#define BIG_NODE 0x01 /* 16 KiB instead of 4 KiB */
#define BIG_CSUM 0x02 /* checksum items of 32 bytes a sector instead of 4 */

#define PLACE (64 * MIB)

static void build_items(struct fuzz_input *input, u8 *block, const struct block_identity *id)
{
	u8 level = fuzz_take_u8(input) % (LEVEL_MAX + 1);

	block_init(block, id, PLACE, FS_TREE_OBJECTID, level);
	while (input->left && block_nritems(block) < 2000) {
		struct key key = { .objectid = fuzz_take_u64(input) };
		u16 bytes;

		key.type = fuzz_take_u8(input);
		key.offset = fuzz_take_u64(input);
		bytes = fuzz_take_u16(input);
		if (level) {
			if (block_nritems(block) == node_max_ptrs(id->nodesize))
				return;
			node_append(block, &key, fuzz_take_u64(input), bytes);
			continue;
		}
		if (leaf_free_bytes(block, id->nodesize) < (int)bytes)
			return;
		fuzz_take(input, leaf_append(block, id->nodesize, &key, bytes), bytes);
	}
}

static void decode_item(const struct cursor *cursor)
{
	const struct disk_dir_item *entry;
	struct disk_root_item root;
	struct file_extent extent;
	struct diag d = { 0 };

	switch (cursor_key(cursor).type) {
	case DIR_ITEM_KEY:
	case DIR_INDEX_KEY:
	case XATTR_ITEM_KEY:
		for (u32 at = 0; dir_item_next(cursor, &at, &entry);)
			fuzz_require(at <= cursor_data_bytes(cursor));
		break;
	case EXTENT_DATA_KEY:
		if (file_extent_unpack(cursor, 4096, &extent, &d) == 0)
			fuzz_require(extent.len && extent.file_offset + extent.len > extent.file_offset);
		break;
	case ROOT_ITEM_KEY:
		root_item_unpack(cursor, &root);
		fuzz_require(root.level < LEVEL_MAX);
		break;
	default:
		break;
	}
}

static void show(const u8 *block)
{
	const struct disk_super super = { .sectorsize = { { 0, 16 } } };
	struct sink sink = { .depth = 0 };
	const struct btrkit_printer to = sink_printer(&sink);

	show_block(&to, block, &super);
	sink_finish(&sink);
}

/* Walk the block, alone in its tree, in both directions; each key is found where it is. */
static void walk(struct block_cache *cache, const u8 *block)
{
	const struct tree tree = { .cache = cache, .root_logical = PLACE, .level = block_level(block) };
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&tree);
	struct diag d = { 0 };
	u32 nr = 0;
	int err;

	cursor.do_skip_damage = true; /* a node's children are not there */
	for (err = cursor_first(&cursor, &d); err == 0; err = cursor_next(&cursor, &d), nr++) {
		const struct key key = cursor_key(&cursor);

		decode_item(&cursor);
		fuzz_require(cursor_seek(&cursor, &key, &d) == 0);
		fuzz_require(cursor.path[0].slot == nr);
	}
	fuzz_require(err == 1);
	fuzz_require(nr == (block_level(block) ? 0 : block_nritems(block)));
	for (err = cursor_last(&cursor, &d); err == 0; err = cursor_prev(&cursor, &d))
		nr--;
	fuzz_require(err == 1 && nr == 0);
}

static void read_through_cache(u8 *block, const struct block_check_params *params, const struct block_identity *id)
{
	struct device device = { .devid = 1 };
	struct chunk *chunk = chunk_new(1);
	struct device_set *set;
	struct chunk_map *map;
	struct volume *volume;
	struct block_cache *cache;

	block_finish(block, id->nodesize, id->csum);
	fuzz_require(chunk && memory_device_new("memory", 64 * KIB, &device.dev) == 0);
	fuzz_require(blockdev_write(device.dev, 0, block, id->nodesize, NULL) == 0);
	fuzz_require(device_set_new(&set) == 0 && device_set_add(set, &device, NULL) == 0);
	*chunk = (struct chunk){ .logical = PLACE, .length = 64 * KIB, .num_stripes = 1, .type = BLOCK_GROUP_METADATA };
	chunk_derive(chunk);
	chunk->stripe[0].devid = 1;
	fuzz_require(chunk_map_new(&map) == 0 && chunk_map_add(map, chunk, NULL) == 0);
	free(chunk);
	fuzz_require(volume_new(set, map, params->sectorsize, params->nodesize, &volume, NULL) == 0);
	fuzz_require(block_cache_new(volume, params, id->csum, block_header(block)->fsid, 0, &cache) == 0);
	walk(cache, block);
	block_cache_free(cache);
	volume_free(volume);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	unsigned options = fuzz_take_u8(&input);
	const struct block_identity id = { .nodesize = options & BIG_NODE ? 16384 : 4096,
					   .csum = csum_kind_by_name("crc32c") };
	const struct block_check_params params = { id.nodesize, 4096, options & BIG_CSUM ? 32 : 4, 1000 };
	u8 *block = malloc(id.nodesize);
	struct diag d = { 0 };
	int err;

	fuzz_require(block);
	if (options & ITEM_LIST) {
		build_items(&input, block, &id);
	} else {
		fuzz_take(&input, block, id.nodesize);
		le64_put(&((struct disk_header *)block)->bytenr, PLACE);
	}
	err = block_check(&params, block, PLACE, &d);
	fuzz_require(err == 0 || (err == -EUCLEAN && d.err == err && d.text[0]));
	if (err == 0) {
		show(block);
		read_through_cache(block, &params, &id);
	}
	free(block);
	return 0;
}

/* --- Seeds: every block of the images, and its items as a list -------------------------------------------------- */

static void put(u8 *seed, size_t *len, const void *from, size_t bytes)
{
	memcpy(seed + *len, from, bytes);
	*len += bytes;
}

static void add_item_list(fuzz_add_fn add, void *ctx, const u8 *block, u8 options, u32 from, u32 to)
{
	static u8 seed[1 + 2 * NODESIZE_MAX];
	size_t len = 0;

	seed[len++] = options | ITEM_LIST;
	seed[len++] = block_level(block);
	for (u32 slot = from; slot < MIN(to, block_nritems(block)); slot++) {
		le16 bytes;

		if (block_level(block)) {
			put(seed, &len, &node_ptr(block, slot)->key, sizeof(struct disk_key));
			le16_put(&bytes, (u16)node_generation(block, slot));
			put(seed, &len, &bytes, sizeof(bytes));
			put(seed, &len, &node_ptr(block, slot)->blockptr, sizeof(le64));
			continue;
		}
		put(seed, &len, &leaf_item(block, slot)->key, sizeof(struct disk_key));
		le16_put(&bytes, (u16)leaf_item_bytes(block, slot));
		put(seed, &len, &bytes, sizeof(bytes));
		put(seed, &len, leaf_item_data(block, slot), leaf_item_bytes(block, slot));
	}
	add(ctx, seed, len);
}

static void seeds_of_block(fuzz_add_fn add, void *ctx, const u8 *block, const struct fuzz_image *image)
{
	u8 options = (u8)((image->nodesize > 4096 ? BIG_NODE : 0) | (image->fs->csum->size_bytes == 32 ? BIG_CSUM : 0));
	u8 *seed = malloc(1 + image->nodesize);

	fuzz_require(seed);
	seed[0] = options;
	memcpy(seed + 1, block, image->nodesize);
	add(ctx, seed, 1 + image->nodesize);
	free(seed);
	add_item_list(add, ctx, block, options, 0, UINT32_MAX);
	/* Short lists: most changes then hit an item. */
	for (u32 slot = 0; slot < block_nritems(block); slot += 3)
		add_item_list(add, ctx, block, options, slot, slot + 3);
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static u8 block[NODESIZE_MAX];

	for (unsigned i = 0; i < FUZZ_IMAGES; i++)
		array_for_each(&fuzz_image(i)->pieces, piece) {
			if (piece->kind != FUZZ_BLOCK)
				continue;
			fuzz_piece_read(fuzz_image(i), piece, block);
			seeds_of_block(add, ctx, block, fuzz_image(i));
		}
}
