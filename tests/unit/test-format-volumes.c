/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/format/item_check_*: items of the extent tree and of the trees about devices and space. */
#include "kernel-shared/format/name_hash.h"
#include "tests/unit/sound_leaf.h"

#define NEWER (TEST_GENERATION + 2)
#define KEY_OBJECTID PATCH_ITEM, offsetof(struct disk_key, objectid), 8
#define KEY_OFFSET PATCH_ITEM, offsetof(struct disk_key, offset), 8

/* --- Extents and references to them ---------------------------------------------------------------------------- */

static u8 *put_extent_item(u8 *data, u64 refs, u64 flags)
{
	struct disk_extent_item *item = (struct disk_extent_item *)data;

	le64_put(&item->refs, refs);
	le64_put(&item->generation, 70);
	le64_put(&item->flags, flags);
	return data + sizeof(*item);
}

static u8 *put_block_ref(u8 *to, u8 type, u64 offset)
{
	struct disk_extent_inline_ref *ref = (struct disk_extent_inline_ref *)to;

	ref->type = type;
	le64_put(&ref->offset, offset);
	return to + sizeof(*ref);
}

static u8 *put_data_ref(u8 *to, u64 root, u64 ino, u64 offset, u32 count)
{
	struct disk_extent_data_ref *ref = (struct disk_extent_data_ref *)to;

	le64_put(&ref->root, root);
	le64_put(&ref->objectid, ino);
	le64_put(&ref->offset, offset);
	le32_put(&ref->count, count);
	return to + sizeof(*ref);
}

static u8 *put_shared_ref(u8 *to, u64 parent, u32 count)
{
	struct disk_shared_data_ref *ref = (struct disk_shared_data_ref *)put_block_ref(to, SHARED_DATA_REF_KEY, parent);

	le32_put(&ref->count, count);
	return (u8 *)(ref + 1);
}

/*
 * A data extent with every kind of reference, by type, then by descending hash or parent. The hashes: 0xdfb591fbbf5f519
 * of inode 258, 0xdfb591fa80d95ea of 257.
 */
static void put_data(u8 *data)
{
	u8 *to = put_extent_item(data, 8, EXTENT_FLAG_DATA);

	to = put_block_ref(to, EXTENT_OWNER_REF_KEY, 5);
	*to++ = EXTENT_DATA_REF_KEY;
	to = put_data_ref(to, 5, 258, 0, 2);
	*to++ = EXTENT_DATA_REF_KEY;
	to = put_data_ref(to, 5, 257, 0, 3);
	to = put_shared_ref(to, 21 * MIB, 1);
	put_shared_ref(to, 20 * MIB, 2);
}
#define OWNER_REF_AT 24
#define DATA_REF_AT (OWNER_REF_AT + 9)
#define DATA_REF_2_AT (DATA_REF_AT + 29)
#define SHARED_REF_AT (DATA_REF_2_AT + 29)
#define SHARED_REF_2_AT (SHARED_REF_AT + 13)
#define DATA_BYTES (SHARED_REF_2_AT + 13)

static void put_data_without_refs(u8 *data)
{
	put_extent_item(data, 3, EXTENT_FLAG_DATA);
}

static void put_keyed_data_ref(u8 *data)
{
	put_data_ref(put_data_ref(data, 5, 257, 0, 1), 5, 300, 4096, 1);
}

static void put_count(u8 *data)
{
	data[0] = 1;
}

/* As filesystems without skinny-metadata have it. */
static void put_tree_block(u8 *data)
{
	u8 *to = put_extent_item(data, 2, EXTENT_FLAG_TREE_BLOCK | EXTENT_FLAG_FULL_BACKREF);

	((struct disk_tree_block_info *)to)->level = 1;
	put_block_ref(to + sizeof(struct disk_tree_block_info), TREE_BLOCK_REF_KEY, 5);
}
#define TREE_BLOCK_BYTES (24 + 18 + 9)

static void put_metadata(u8 *data)
{
	u8 *to = put_extent_item(data, 4, EXTENT_FLAG_TREE_BLOCK);

	to = put_block_ref(to, TREE_BLOCK_REF_KEY, 257);
	to = put_block_ref(to, TREE_BLOCK_REF_KEY, 5);
	put_block_ref(to, SHARED_BLOCK_REF_KEY, 20 * MIB);
}
#define METADATA_BYTES (24 + 3 * 9)

static void put_block_group(u8 *data)
{
	struct disk_block_group_item *item = (struct disk_block_group_item *)data;

	le64_put(&item->used, 8 * MIB);
	le64_put(&item->chunk_objectid, FIRST_CHUNK_TREE_OBJECTID);
	le64_put(&item->flags, BLOCK_GROUP_METADATA | BLOCK_GROUP_DATA | BLOCK_GROUP_DUP);
}
#define GROUP_BYTES ((u32)sizeof(struct disk_block_group_item))

enum { DATA, GROUP, KEYED, DATA_REF, SHARED_REF, BLOCK, BLOCK_REF, METADATA, SHARED_BLOCK };

static const struct sound_leaf extents = {
	.owner = EXTENT_TREE_OBJECTID,
	.items = {
		[DATA] = { { 8 * MIB, EXTENT_ITEM_KEY, 8192 }, DATA_BYTES, put_data },
		[GROUP] = { { 8 * MIB, BLOCK_GROUP_ITEM_KEY, 8 * MIB }, GROUP_BYTES, put_block_group },
		[KEYED] = { { 8 * MIB + 8192, EXTENT_ITEM_KEY, 4096 }, 24, put_data_without_refs },
		[DATA_REF] = { { 8 * MIB + 8192, EXTENT_DATA_REF_KEY, 1007496934145758698 }, 28, put_keyed_data_ref },
		[SHARED_REF] = { { 8 * MIB + 8192, SHARED_DATA_REF_KEY, 20 * MIB }, 4, put_count },
		[BLOCK] = { { 9 * MIB, EXTENT_ITEM_KEY, TEST_NODESIZE }, TREE_BLOCK_BYTES, put_tree_block },
		[BLOCK_REF] = { { 9 * MIB, TREE_BLOCK_REF_KEY, 7 }, 0, NULL },
		[METADATA] = { { 9 * MIB + TEST_NODESIZE, METADATA_ITEM_KEY, 2 }, METADATA_BYTES, put_metadata },
		[SHARED_BLOCK] = { { 9 * MIB + TEST_NODESIZE, SHARED_BLOCK_REF_KEY, 21 * MIB }, 0, NULL },
	},
};

static const struct sound_leaf neighbours = {
	.owner = EXTENT_TREE_OBJECTID,
	.items = {
		{ { 8 * MIB, EXTENT_ITEM_KEY, MIB }, 24, put_data_without_refs },
		{ { 9 * MIB, METADATA_ITEM_KEY, 0 }, METADATA_BYTES, put_metadata },
	},
};

static const struct bad_leaf bad_extents[] = {
	{ "extent item too short", &extents, DATA, "item of 23 bytes", { { PATCH_SIZE, 0, 0, 23 } } },
	{ "extent of neither kind", &extents, DATA, "neither data nor a tree block",
	  { { PATCH_DATA, FIELD(disk_extent_item, flags), 0 } } },
	{ "extent of both kinds", &extents, DATA, "flags 0x3",
	  { { PATCH_DATA, FIELD(disk_extent_item, flags), EXTENT_FLAG_DATA | EXTENT_FLAG_TREE_BLOCK } } },
	{ "extent between sectors", &extents, DATA, "address is not a multiple", { { KEY_OBJECTID, 8 * MIB - 512 } } },
	{ "extent of length 0", &extents, DATA, "impossible length", { { KEY_OFFSET, 0 } } },
	{ "extent of half a sector", &extents, DATA, "impossible length", { { KEY_OFFSET, 2048 } } },
	{ "extent that wraps around", &extents, DATA, "length overflows", { { KEY_OFFSET, (u64)-4096 } } },
	{ "extent without references", &extents, KEYED, "no references",
	  { { PATCH_DATA, FIELD(disk_extent_item, refs), 0 } } },
	{ "extent from the future", &extents, BLOCK, "generation 102 is newer",
	  { { PATCH_DATA, FIELD(disk_extent_item, generation), NEWER } } },
	{ "extent overlaps that before a block group", &extents, KEYED, "the extent before it reaches to 8396800",
	  { { KEY_OBJECTID, 8 * MIB + 4096 } } },
	{ "tree block within data", &neighbours, 1, "the extent before it reaches to 9437184",
	  { { KEY_OBJECTID, 9 * MIB - 4096 } } },
	{ "tree block that wraps around", &neighbours, 1, "length overflows", { { KEY_OBJECTID, (u64)-4096 } } },
	{ "tree block of another size", &extents, BLOCK, "tree block of 8192 bytes", { { KEY_OFFSET, 8192 } } },
	{ "tree block without its first key", &extents, BLOCK, "item of 41 bytes", { { PATCH_SIZE, 0, 0, 41 } } },
	{ "level in a tree block's item", &extents, BLOCK, "impossible level",
	  { { PATCH_DATA, 24 + offsetof(struct disk_tree_block_info, level), 1, LEVEL_MAX } } },
	{ "level in a tree block's key", &extents, METADATA, "impossible level", { { KEY_OFFSET, LEVEL_MAX } } },
	{ "tree block that says data", &extents, METADATA, "a metadata item that says data",
	  { { PATCH_DATA, FIELD(disk_extent_item, flags), EXTENT_FLAG_DATA } } },
};

static void extent_items(void **state)
{
	(void)state;
	assert_all_refused(bad_extents, ARRAY_LEN(bad_extents));
}

static const struct bad_leaf bad_refs[] = {
	{ "reference of unknown type", &extents, DATA, "unknown type 173", { { PATCH_DATA, OWNER_REF_AT, 1, 173 } } },
	{ "reference of type 0", &extents, METADATA, "unknown type 0", { { PATCH_DATA, 24 + 9, 1, 0 } } },
	{ "reference of the oldest format", &extents, DATA, "unknown type 180",
	  { { PATCH_DATA, DATA_REF_AT, 1, EXTENT_REF_V0_KEY } } },
	{ "last reference is cut", &extents, DATA, "ends outside the item", { { PATCH_SIZE, 0, 0, DATA_BYTES - 1 } } },
	{ "only the type of a reference", &extents, DATA, "ends outside the item",
	  { { PATCH_SIZE, 0, 0, SHARED_REF_AT + 1 } } },
	{ "bytes behind the references", &extents, METADATA, "unknown type 0",
	  { { PATCH_SIZE, 0, 0, METADATA_BYTES + 1 } } },
	{ "tree references data", &extents, DATA, "type 176 for data",
	  { { PATCH_DATA, OWNER_REF_AT, 1, TREE_BLOCK_REF_KEY } } },
	{ "tree block shares data", &extents, DATA, "type 182 for data",
	  { { PATCH_DATA, OWNER_REF_AT, 1, SHARED_BLOCK_REF_KEY } } },
	{ "file references a tree block", &extents, METADATA, "type 178 for a tree block",
	  { { PATCH_SIZE, 0, 0, 24 + 29 }, { PATCH_DATA, 24, 1, EXTENT_DATA_REF_KEY } } },
	{ "tree block has an owner as data has", &extents, METADATA, "type 172 for a tree block",
	  { { PATCH_DATA, 24, 1, EXTENT_OWNER_REF_KEY } } },
	{ "file's reference with count 0", &extents, DATA, "count 0",
	  { { PATCH_DATA, DATA_REF_AT + 1 + offsetof(struct disk_extent_data_ref, count), 4, 0 } } },
	{ "shared reference with count 0", &extents, DATA, "count 0", { { PATCH_DATA, SHARED_REF_AT + 9, 4, 0 } } },
	{ "more references than there are", &extents, DATA, "9 inline references, 8 in all",
	  { { PATCH_DATA, SHARED_REF_AT + 9, 4, 2 } } },
	{ "more tree references than there are", &extents, METADATA, "3 inline references, 2 in all",
	  { { PATCH_DATA, FIELD(disk_extent_item, refs), 2 } } },
	{ "reference from between sectors of a file", &extents, DATA, "type 178 to an impossible place",
	  { { PATCH_DATA, DATA_REF_AT + 1 + offsetof(struct disk_extent_data_ref, offset), 8, 100 } } },
	{ "data shared by no block", &extents, DATA, "type 184 to an impossible place",
	  { { PATCH_DATA, SHARED_REF_2_AT + 1, 8, 0 } } },
	{ "tree block shared from between sectors", &extents, METADATA, "type 182 to an impossible place",
	  { { PATCH_DATA, 24 + 18 + 1, 8, 20 * MIB + 512 } } },
	{ "types are not in order", &extents, METADATA, "not in order", { { PATCH_DATA, 24, 1, SHARED_BLOCK_REF_KEY },
	  { PATCH_DATA, 25, 8, 20 * MIB } } },
	{ "roots are not in order", &extents, METADATA, "not in order", { { PATCH_DATA, 25, 8, 4 } } },
	{ "hashes are not in order", &extents, DATA, "not in order",
	  { { PATCH_DATA, DATA_REF_2_AT + 1 + offsetof(struct disk_extent_data_ref, root), 8, 6 } } },
	{ "parents are not in order", &extents, DATA, "not in order", { { PATCH_DATA, SHARED_REF_AT + 1, 8, 19 * MIB } } },
};

/* Roots count up while the hashes go down; and no inline references at all. */
static const struct bad_leaf odd_refs[] = {
	{ "order of hashes, not of roots", &extents, DATA, "",
	  { { PATCH_DATA, DATA_REF_2_AT + 1 + offsetof(struct disk_extent_data_ref, root), 8, 256 } } },
	{ "tree block with all references elsewhere", &extents, BLOCK, "", { { PATCH_SIZE, 0, 0, 42 } } },
	{ "extent of a transaction that is being written", &extents, BLOCK, "",
	  { { PATCH_DATA, FIELD(disk_extent_item, generation), NEWER - 1 } } },
};

static void inline_references(void **state)
{
	(void)state;
	assert_all_accepted(odd_refs, ARRAY_LEN(odd_refs));
	assert_true(extent_data_ref_hash(6, 257, 0) > extent_data_ref_hash(5, 258, 0));
	assert_all_refused(bad_refs, ARRAY_LEN(bad_refs));
}

static const struct bad_leaf bad_keyed_refs[] = {
	{ "file's reference without anything", &extents, DATA_REF, "item of 0 bytes", { { PATCH_SIZE, 0, 0, 0 } } },
	{ "file's reference too short", &extents, DATA_REF, "item of 27 bytes", { { PATCH_SIZE, 0, 0, 27 } } },
	{ "file's reference with count 0", &extents, DATA_REF, "reference 0 has count 0",
	  { { PATCH_DATA, FIELD(disk_extent_data_ref, count), 0 } } },
	{ "second file's reference from between sectors", &extents, DATA_REF, "reference 1 has count 1, offset 4097",
	  { { PATCH_SIZE, 0, 0, 56 }, { PATCH_DATA, 28 + offsetof(struct disk_extent_data_ref, offset), 8, 4097 } } },
	{ "reference to between sectors", &extents, DATA_REF, "address is not a multiple",
	  { { KEY_OBJECTID, 8 * MIB + 8193 } } },
	{ "shared reference too short", &extents, SHARED_REF, "item of 3 bytes, expected 4", { { PATCH_SIZE, 0, 0, 3 } } },
	{ "shared reference with count 0", &extents, SHARED_REF, "count 0", { { PATCH_DATA, 0, 4, 0 } } },
	{ "shared reference from between sectors", &extents, SHARED_REF, "shared by a block at 20971521",
	  { { KEY_OFFSET, 20 * MIB + 1 } } },
	{ "tree's reference with data", &extents, BLOCK_REF, "item of 1 bytes, expected 0", { { PATCH_SIZE, 0, 0, 1 } } },
	{ "shared block's reference with data", &extents, SHARED_BLOCK, "item of 9 bytes, expected 0",
	  { { PATCH_SIZE, 0, 0, 9 } } },
	{ "block shared by nothing", &extents, SHARED_BLOCK, "shared by a block at 0", { { KEY_OFFSET, 0 } } },
};

static void references_with_keys_of_their_own(void **state)
{
	(void)state;
	assert_all_refused(bad_keyed_refs, ARRAY_LEN(bad_keyed_refs));
}

static const struct bad_leaf bad_groups[] = {
	{ "block group too short", &extents, GROUP, "item of 23 bytes, expected 24", { { PATCH_SIZE, 0, 0, 23 } } },
	{ "block group between sectors", &extents, GROUP, "impossible range", { { KEY_OBJECTID, 8 * MIB + 512 } } },
	{ "block group of length 0", &extents, GROUP, "impossible range", { { KEY_OFFSET, 0 } } },
	{ "block group of half a sector", &extents, GROUP, "impossible range", { { KEY_OFFSET, 8 * MIB + 2048 } } },
	{ "block group that wraps around", &extents, GROUP, "impossible range", { { KEY_OFFSET, (u64)-4096 } } },
	{ "block group overfull", &extents, GROUP, "8388609 bytes used of 8388608",
	  { { PATCH_DATA, FIELD(disk_block_group_item, used), 8 * MIB + 1 } } },
	{ "block group of another chunk tree", &extents, GROUP, "a chunk under objectid 255",
	  { { PATCH_DATA, FIELD(disk_block_group_item, chunk_objectid), 255 } } },
	{ "block group of no type", &extents, GROUP, "no possible type, flags 0x20",
	  { { PATCH_DATA, FIELD(disk_block_group_item, flags), BLOCK_GROUP_DUP } } },
	{ "block group of data and system", &extents, GROUP, "no possible type, flags 0x3",
	  { { PATCH_DATA, FIELD(disk_block_group_item, flags), BLOCK_GROUP_DATA | BLOCK_GROUP_SYSTEM } } },
	{ "block group of all types", &extents, GROUP, "no possible type, flags 0x7",
	  { { PATCH_DATA, FIELD(disk_block_group_item, flags), BLOCK_GROUP_TYPE_MASK } } },
	{ "block group of two profiles", &extents, GROUP, "two profiles, flags 0x31",
	  { { PATCH_DATA, FIELD(disk_block_group_item, flags), BLOCK_GROUP_DATA | BLOCK_GROUP_RAID1 | BLOCK_GROUP_DUP } } },
};

static void block_groups(void **state)
{
	(void)state;
	assert_all_refused(bad_groups, ARRAY_LEN(bad_groups));
}

/* --- Chunks and devices ------------------------------------------------------------------------------------------ */

static void put_device(u8 *data)
{
	struct disk_dev_item *item = (struct disk_dev_item *)data;

	le64_put(&item->devid, 1);
	le64_put(&item->total_bytes, GIB);
	le64_put(&item->bytes_used, GIB);
}

static void put_chunk(u8 *data)
{
	struct disk_chunk *item = (struct disk_chunk *)data;

	le64_put(&item->length, 8 * MIB);
	le64_put(&item->type, BLOCK_GROUP_METADATA | BLOCK_GROUP_RAID1);
	le16_put(&item->num_stripes, 2);
}
#define CHUNK_BYTES ((u32)(sizeof(struct disk_chunk) + 2 * sizeof(struct disk_stripe)))

static const struct sound_leaf chunks = {
	.owner = CHUNK_TREE_OBJECTID,
	.items = {
		{ { DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, 1 }, sizeof(struct disk_dev_item), put_device },
		{ { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, MIB }, CHUNK_BYTES, put_chunk },
	},
};

static void put_dev_extent(u8 *data)
{
	struct disk_dev_extent *item = (struct disk_dev_extent *)data;

	le64_put(&item->chunk_tree, CHUNK_TREE_OBJECTID);
	le64_put(&item->chunk_objectid, FIRST_CHUNK_TREE_OBJECTID);
	le64_put(&item->chunk_offset, MIB);
	le64_put(&item->length, 8 * MIB);
}
#define DEV_EXTENT_BYTES ((u32)sizeof(struct disk_dev_extent))

static const struct sound_leaf device_extents = {
	.owner = DEV_TREE_OBJECTID,
	.items = {
		{ { 1, DEV_EXTENT_KEY, MIB }, DEV_EXTENT_BYTES, put_dev_extent },
		{ { 1, DEV_EXTENT_KEY, 9 * MIB }, DEV_EXTENT_BYTES, put_dev_extent },
		{ { 2, DEV_EXTENT_KEY, MIB }, DEV_EXTENT_BYTES, put_dev_extent },
	},
};

static const struct bad_leaf bad_chunks[] = {
	{ "device item too short", &chunks, 0, "item of 97 bytes, expected 98", { { PATCH_SIZE, 0, 0, 97 } } },
	{ "device item of another device", &chunks, 0, "says device 2",
	  { { PATCH_DATA, FIELD(disk_dev_item, devid), 2 } } },
	{ "device item under another objectid", &chunks, 0, "device item says", { { KEY_OBJECTID, 2 } } },
	{ "device overfull", &chunks, 0, "bytes used",
	  { { PATCH_DATA, FIELD(disk_dev_item, bytes_used), GIB + 1 } } },
	{ "chunk cut within its head", &chunks, 1, "chunk item of 47 bytes", { { PATCH_SIZE, 0, 0, 47 } } },
	{ "chunk without stripes", &chunks, 1, "chunk item of 48 bytes",
	  { { PATCH_SIZE, 0, 0, 48 }, { PATCH_DATA, FIELD(disk_chunk, num_stripes), 0 } } },
	{ "chunk with fewer stripes than it says", &chunks, 1, "chunk item of 112 bytes",
	  { { PATCH_DATA, FIELD(disk_chunk, num_stripes), 3 } } },
	{ "chunk with more stripes than it says", &chunks, 1, "chunk item of 112 bytes",
	  { { PATCH_DATA, FIELD(disk_chunk, num_stripes), 1 } } },
	{ "chunk under another objectid", &chunks, 1, "chunk under objectid 257", { { KEY_OBJECTID, 257 } } },
	{ "chunk between sectors", &chunks, 1, "impossible range", { { KEY_OFFSET, MIB + 1 } } },
	{ "chunk of length 0", &chunks, 1, "impossible range", { { PATCH_DATA, FIELD(disk_chunk, length), 0 } } },
	{ "chunk that wraps around", &chunks, 1, "impossible range",
	  { { PATCH_DATA, FIELD(disk_chunk, length), (u64)-MIB } } },

	{ "device extent too long", &device_extents, 0, "item of 49 bytes, expected 48", { { PATCH_SIZE, 0, 0, 49 } } },
	{ "device extent between sectors", &device_extents, 0, "impossible range", { { KEY_OFFSET, MIB + 1 } } },
	{ "device extent of length 0", &device_extents, 2, "impossible range",
	  { { PATCH_DATA, FIELD(disk_dev_extent, length), 0 } } },
	{ "device extents overlap", &device_extents, 1, "before it reaches to 9437184", { { KEY_OFFSET, 8 * MIB } } },
	{ "device extent of another tree", &device_extents, 0, "of tree 4",
	  { { PATCH_DATA, FIELD(disk_dev_extent, chunk_tree), DEV_TREE_OBJECTID } } },
	{ "device extent of no chunk", &device_extents, 2, "belongs to chunk (0 228)",
	  { { PATCH_DATA, FIELD(disk_dev_extent, chunk_objectid), 0 } } },
	{ "device extent of a chunk between sectors", &device_extents, 2, "a chunk at 1048577",
	  { { PATCH_DATA, FIELD(disk_dev_extent, chunk_offset), MIB + 1 } } },
};

static void chunks_and_devices(void **state)
{
	(void)state;
	assert_all_refused(bad_chunks, ARRAY_LEN(bad_chunks));
}

/* --- Free space ------------------------------------------------------------------------------------------------ */

static void put_free_space(u8 *data)
{
	data[0] = 1;
}

enum { INFO, FREE_EXTENT, BITMAP_INFO, BITMAP };

static const struct sound_leaf free_space = {
	.owner = FREE_SPACE_TREE_OBJECTID,
	.items = {
		[INFO] = { { 8 * MIB, FREE_SPACE_INFO_KEY, 8 * MIB }, 8, put_free_space },
		[FREE_EXTENT] = { { 9 * MIB, FREE_SPACE_EXTENT_KEY, MIB }, 0, NULL },
		[BITMAP_INFO] = { { 16 * MIB, FREE_SPACE_INFO_KEY, 8 * MIB + 4096 }, 8, put_free_space },
		[BITMAP] = { { 16 * MIB, FREE_SPACE_BITMAP_KEY, 8 * MIB + 4096 }, 257, NULL },
	},
};

static const struct bad_leaf bad_free_space[] = {
	{ "free space info too short", &free_space, INFO, "item of 7 bytes, expected 8", { { PATCH_SIZE, 0, 0, 7 } } },
	{ "free space of half a sector", &free_space, INFO, "impossible range", { { KEY_OFFSET, 8 * MIB - 2048 } } },
	{ "bitmap info of half a sector", &free_space, BITMAP_INFO, "impossible range", { { KEY_OFFSET, 8 * MIB + 2048 } } },
	{ "unknown flags of free space", &free_space, BITMAP_INFO, "unknown flags 0x2",
	  { { PATCH_DATA, FIELD(disk_free_space_info, flags), 2 } } },
	{ "more free extents than sectors", &free_space, INFO, "2049 free extents",
	  { { PATCH_DATA, FIELD(disk_free_space_info, extent_count), 2049 } } },
	{ "free extent with data", &free_space, FREE_EXTENT, "item of 4 bytes, expected 0", { { PATCH_SIZE, 0, 0, 4 } } },
	{ "free extent of length 0", &free_space, FREE_EXTENT, "impossible range", { { KEY_OFFSET, 0 } } },
	{ "free extent between sectors", &free_space, FREE_EXTENT, "impossible range",
	  { { KEY_OBJECTID, 9 * MIB + 1 } } },
	{ "free extent that wraps around", &free_space, FREE_EXTENT, "impossible range", { { KEY_OFFSET, (u64)-4096 } } },
	{ "bitmap too short", &free_space, BITMAP, "item of 256 bytes, expected 257", { { PATCH_SIZE, 0, 0, 256 } } },
	{ "bitmap too long", &free_space, BITMAP, "item of 258 bytes, expected 257", { { PATCH_SIZE, 0, 0, 258 } } },
	{ "bitmap of nothing", &free_space, BITMAP, "impossible range", { { KEY_OFFSET, 0 }, { PATCH_SIZE, 0, 0, 0 } } },
};

static const struct bad_leaf odd_free_space[] = {
	{ "every sector free on its own", &free_space, INFO, "",
	  { { PATCH_DATA, FIELD(disk_free_space_info, extent_count), 2048 } } },
	{ "bitmaps", &free_space, BITMAP_INFO, "",
	  { { PATCH_DATA, FIELD(disk_free_space_info, flags), FREE_SPACE_USING_BITMAPS } } },
};

static void free_space_items(void **state)
{
	(void)state;
	assert_all_accepted(odd_free_space, ARRAY_LEN(odd_free_space));
	assert_all_refused(bad_free_space, ARRAY_LEN(bad_free_space));
}

/* --- Items that only have a size ---------------------------------------------------------------------------------- */

static const struct sized {
	const char *name;
	u64 owner;
	struct key key;
	u32 good, also_good; /* sizes */
} sizes[] = {
	{ "orphan", 5, { ORPHAN_OBJECTID, ORPHAN_ITEM_KEY, 257 }, 0, 0 },
	{ "log of a directory's names", TREE_LOG_OBJECTID, { 256, DIR_LOG_ITEM_KEY, 0 }, 8, 8 },
	{ "log of a directory's positions", TREE_LOG_OBJECTID, { 256, DIR_LOG_INDEX_KEY, 2 }, 8, 8 },
	{ "quota status", QUOTA_TREE_OBJECTID, { 0, QGROUP_STATUS_KEY, 0 }, 32, 40 },
	{ "quota info", QUOTA_TREE_OBJECTID, { 0, QGROUP_INFO_KEY, 5 }, 40, 40 },
	{ "quota limit", QUOTA_TREE_OBJECTID, { 0, QGROUP_LIMIT_KEY, 5 }, 40, 40 },
	{ "subvolume's uuid", UUID_TREE_OBJECTID, { 1, UUID_KEY_SUBVOL, 2 }, 8, 16 },
	{ "received uuid", UUID_TREE_OBJECTID, { 1, UUID_KEY_RECEIVED_SUBVOL, 2 }, 24, 8 },
	{ "balance", ROOT_TREE_OBJECTID, { BALANCE_OBJECTID, TEMPORARY_ITEM_KEY, 0 }, 448, 448 },
	{ "free space cache", ROOT_TREE_OBJECTID, { FREE_SPACE_OBJECTID, 0, 8 * MIB }, 41, 41 },
};

static void items_of_fixed_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const u32 bad[] = { sizes[i].good + 1, sizes[i].good ? sizes[i].good - 1 : 2, sizes[i].good ? 0 : 100 };
		struct sound_leaf leaf = { .owner = sizes[i].owner,
					   .items = { { sizes[i].key, sizes[i].good, NULL } } };

		assert_leaf_is_sound(&leaf, sizes[i].name);
		leaf.items[0].size = sizes[i].also_good;
		assert_leaf_is_sound(&leaf, sizes[i].name);
		for (size_t b = 0; b < ARRAY_LEN(bad); b++) {
			const struct bad_leaf wrong = { sizes[i].name, &leaf, 0, "item of",
							{ { PATCH_SIZE, 0, 0, bad[b] } } };

			assert_leaf_is_refused(&wrong);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extent_items),
		cmocka_unit_test(inline_references),
		cmocka_unit_test(references_with_keys_of_their_own),
		cmocka_unit_test(block_groups),
		cmocka_unit_test(chunks_and_devices),
		cmocka_unit_test(free_space_items),
		cmocka_unit_test(items_of_fixed_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
