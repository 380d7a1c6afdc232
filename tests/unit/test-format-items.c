/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/format/item_check_*: items of subvolume, root and checksum trees, each rule broken once. */
#include <sys/stat.h>

#include "tests/unit/sound_leaf.h"

#define NEWER (TEST_GENERATION + 2)
#define HASH_DEFAULT 2378154706 /* of "default", as in every filesystem's root tree */
#define HASH_XATTR 1638704318 /* of "user.colour" */
#define HASH_EXTREF 4285524579 /* of "long" in directory 256 */

static void put_inode(u8 *data, u32 mode, u32 nlink)
{
	struct disk_inode_item *item = (struct disk_inode_item *)data;

	le64_put(&item->generation, 50);
	le64_put(&item->transid, TEST_GENERATION + 1);
	le32_put(&item->mode, mode);
	le32_put(&item->nlink, nlink);
	le64_put(&item->flags, INODE_NODUMP | INODE_RO_VERITY);
}

static void put_dir(u8 *data)
{
	put_inode(data, S_IFDIR | 01755, 1);
}

static void put_file(u8 *data)
{
	put_inode(data, S_IFREG | 06644, 70000);
}

static u8 *put_ref(u8 *data, const char *name)
{
	struct disk_inode_ref *ref = (struct disk_inode_ref *)data;
	size_t len = strlen(name);

	le64_put(&ref->index, 2);
	le16_put(&ref->name_len, (u16)len);
	memcpy(ref->name, name, len);
	return ref->name + len;
}

static void put_ref_top(u8 *data)
{
	put_ref(data, "..");
}

/* Two names in one directory share an item. */
static void put_two_refs(u8 *data)
{
	put_ref(put_ref(data, "default"), "...");
}
#define TWO_REFS_BYTES (2 * (u32)sizeof(struct disk_inode_ref) + 7 + 3)

static void put_extref(u8 *data)
{
	struct disk_inode_extref *ref = (struct disk_inode_extref *)data;

	le64_put(&ref->parent_objectid, 256);
	le16_put(&ref->name_len, 4);
	memcpy(ref->name, "long", 4);
}
#define EXTREF_BYTES ((u32)sizeof(struct disk_inode_extref) + 4)

static void put_entry(u8 *data, const char *name, u8 type, const char *value)
{
	struct disk_dir_item *item = (struct disk_dir_item *)data;
	const struct key location = { 257, INODE_ITEM_KEY, 0 };

	if (type != FT_XATTR)
		key_pack(&item->location, &location);
	item->type = type;
	le16_put(&item->name_len, (u16)strlen(name));
	le16_put(&item->data_len, (u16)strlen(value));
	memcpy(item->name, name, strlen(name));
	memcpy(item->name + strlen(name), value, strlen(value));
}

/* A second one follows, for a test to make the item long enough to have it. */
#define DIR_ITEM_BYTES ((u32)sizeof(struct disk_dir_item) + 7)
static void put_dir_item(u8 *data)
{
	put_entry(data, "default", FT_REG_FILE, "");
	put_entry(data + DIR_ITEM_BYTES, "default", FT_REG_FILE, "");
}

static void put_xattr(u8 *data)
{
	put_entry(data, "user.colour", FT_XATTR, "blue");
}
#define XATTR_BYTES ((u32)sizeof(struct disk_dir_item) + 11 + 4)

static void put_extent(u8 *data, u8 type)
{
	struct disk_file_extent_item *item = (struct disk_file_extent_item *)data;

	le64_put(&item->generation, 60);
	le64_put(&item->ram_bytes, 16384);
	item->type = type;
	le64_put(&item->disk_bytenr, 12 * MIB);
	le64_put(&item->disk_num_bytes, 16384);
	le64_put(&item->offset, 4096);
	le64_put(&item->num_bytes, 8192);
}

static void put_regular(u8 *data)
{
	put_extent(data, FILE_EXTENT_REG);
}

static void put_prealloc(u8 *data)
{
	put_extent(data, FILE_EXTENT_PREALLOC);
}

static void put_inline(u8 *data)
{
	struct disk_file_extent_item *item = (struct disk_file_extent_item *)data;

	le64_put(&item->ram_bytes, 9);
	memcpy(data + FILE_EXTENT_INLINE_HEADER_BYTES, "some text", 9);
}
#define INLINE_BYTES ((u32)FILE_EXTENT_INLINE_HEADER_BYTES + 9)
#define EXTENT_BYTES ((u32)sizeof(struct disk_file_extent_item))
#define INODE_BYTES ((u32)sizeof(struct disk_inode_item))

/* --- Inodes and names -------------------------------------------------------------------------------------- */

enum { TOP, TOP_REF, XATTR, DIR_ITEM, DIR_INDEX, FILE_INODE, REFS, EXTREF };

static const struct sound_leaf names = {
	.owner = FS_TREE_OBJECTID,
	.items = {
		[TOP] = { { 256, INODE_ITEM_KEY, 0 }, INODE_BYTES, put_dir },
		[TOP_REF] = { { 256, INODE_REF_KEY, 256 }, sizeof(struct disk_inode_ref) + 2, put_ref_top },
		[XATTR] = { { 256, XATTR_ITEM_KEY, HASH_XATTR }, XATTR_BYTES, put_xattr },
		[DIR_ITEM] = { { 256, DIR_ITEM_KEY, HASH_DEFAULT }, DIR_ITEM_BYTES, put_dir_item },
		[DIR_INDEX] = { { 256, DIR_INDEX_KEY, 2 }, DIR_ITEM_BYTES, put_dir_item },
		[FILE_INODE] = { { 257, INODE_ITEM_KEY, 0 }, INODE_BYTES, put_file },
		[REFS] = { { 257, INODE_REF_KEY, 256 }, TWO_REFS_BYTES, put_two_refs },
		[EXTREF] = { { 257, INODE_EXTREF_KEY, HASH_EXTREF }, EXTREF_BYTES, put_extref },
	},
};

static void put_longest_name(u8 *data)
{
	struct disk_dir_item *item = (struct disk_dir_item *)data;

	item->type = FT_REG_FILE;
	le16_put(&item->name_len, NAME_LEN_MAX);
	memset(item->name, 'n', NAME_LEN_MAX);
}

static const struct sound_leaf limits = {
	.owner = FS_TREE_OBJECTID,
	.items = {
		{ { 256, DIR_INDEX_KEY, 2 }, sizeof(struct disk_dir_item) + NAME_LEN_MAX, put_longest_name },
		{ { LAST_FREE_OBJECTID, INODE_ITEM_KEY, 0 }, INODE_BYTES, put_file },
	},
};

static const struct bad_leaf bad_inodes[] = {
	{ "inode too short", &names, TOP, "item of 159 bytes, expected 160", { { PATCH_SIZE, 0, 0, 159 } } },
	{ "inode too long", &names, FILE_INODE, "item of 161 bytes, expected 160", { { PATCH_SIZE, 0, 0, 161 } } },
	{ "inode number too high", &limits, 1, "impossible inode number",
	  { { PATCH_ITEM, offsetof(struct disk_key, objectid), 8, LAST_FREE_OBJECTID + 1 } } },
	{ "inode number too low", &names, TOP, "impossible inode number",
	  { { PATCH_ITEM, offsetof(struct disk_key, objectid), 8, 255 } } },
	{ "offset in an inode's key", &names, TOP, "key offset must be 0",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 1 } } },
	{ "inode from the future", &names, TOP, "inode generation 102 is newer",
	  { { PATCH_DATA, FIELD(disk_inode_item, generation), NEWER } } },
	{ "changed in the future", &names, FILE_INODE, "inode transid 102 is newer",
	  { { PATCH_DATA, FIELD(disk_inode_item, transid), NEWER } } },
	{ "no mode", &names, FILE_INODE, "impossible mode 00", { { PATCH_DATA, FIELD(disk_inode_item, mode), 0 } } },
	{ "mode of no file type", &names, FILE_INODE, "impossible mode 0644",
	  { { PATCH_DATA, FIELD(disk_inode_item, mode), 0644 } } },
	{ "mode of two file types", &names, FILE_INODE, "impossible mode 0150644",
	  { { PATCH_DATA, FIELD(disk_inode_item, mode), 0150644 } } },
	{ "mode with unknown bits", &names, FILE_INODE, "impossible mode 0300644",
	  { { PATCH_DATA, FIELD(disk_inode_item, mode), 0300644 } } },
	{ "directory with two links", &names, TOP, "a directory with 2 links",
	  { { PATCH_DATA, FIELD(disk_inode_item, nlink), 2 } } },
	{ "unknown flags", &names, FILE_INODE, "unknown inode flags 0x1000",
	  { { PATCH_DATA, FIELD(disk_inode_item, flags), 1U << 12 } } },
};

static void inodes(void **state)
{
	(void)state;
	assert_all_refused(bad_inodes, ARRAY_LEN(bad_inodes));
}

#define NAME_AT(type, i) offsetof(struct type, name) + (i), 1
#define LOCATION_TYPE (offsetof(struct disk_dir_item, location) + offsetof(struct disk_key, type)), 1

static const struct bad_leaf bad_names[] = {
	{ "reference without anything", &names, TOP_REF, "no name", { { PATCH_SIZE, 0, 0, 0 } } },
	{ "reference cut within its head", &names, TOP_REF, "9 bytes left over", { { PATCH_SIZE, 0, 0, 9 } } },
	{ "reference cut behind its head", &names, TOP_REF, "name of 2 bytes, 0 left", { { PATCH_SIZE, 0, 0, 10 } } },
	{ "entry cut behind its head", &names, DIR_ITEM, "name of 7 bytes, 0 left", { { PATCH_SIZE, 0, 0, 30 } } },
	{ "reference without a name", &names, TOP_REF, "name of 0 bytes",
	  { { PATCH_DATA, FIELD(disk_inode_ref, name_len), 0 } } },
	{ "reference's name ends outside", &names, TOP_REF, "name of 3 bytes, 2 left",
	  { { PATCH_DATA, FIELD(disk_inode_ref, name_len), 3 } } },
	{ "reference's name is too long", &names, TOP_REF, "name of 256 bytes",
	  { { PATCH_SIZE, 0, 0, 10 + 256 }, { PATCH_DATA, FIELD(disk_inode_ref, name_len), 256 } } },
	{ "reference with bytes behind it", &names, TOP_REF, "1 bytes left over", { { PATCH_SIZE, 0, 0, 13 } } },
	{ "second name of a reference cut", &names, REFS, "name of 3 bytes, 2 left",
	  { { PATCH_SIZE, 0, 0, TWO_REFS_BYTES - 1 } } },
	{ "first name of a reference shorter", &names, REFS, "slot 6",
	  { { PATCH_DATA, FIELD(disk_inode_ref, name_len), 6 } } },
	{ "reference with a slash", &names, REFS, "slash",
	  { { PATCH_DATA, NAME_AT(disk_inode_ref, 3), '/' } } },
	{ "parent's name for a file", &names, REFS, "name \"..\"",
	  { { PATCH_DATA, FIELD(disk_inode_ref, name_len), 2 }, { PATCH_DATA, offsetof(struct disk_inode_ref, name), 2, 0x2e2e } } },
	{ "long reference cut within its head", &names, EXTREF, "17 bytes left over", { { PATCH_SIZE, 0, 0, 17 } } },
	{ "long reference's name ends outside", &names, EXTREF, "name of 5 bytes, 4 left",
	  { { PATCH_DATA, FIELD(disk_inode_extref, name_len), 5 } } },
	{ "long reference without a name", &names, EXTREF, "name of 0 bytes",
	  { { PATCH_DATA, FIELD(disk_inode_extref, name_len), 0 } } },

	{ "entry without anything", &names, DIR_ITEM, "0 entries", { { PATCH_SIZE, 0, 0, 0 } } },
	{ "entry cut within its head", &names, DIR_ITEM, "29 bytes left over", { { PATCH_SIZE, 0, 0, 29 } } },
	{ "entry without a name", &names, DIR_INDEX, "name of 0 bytes",
	  { { PATCH_DATA, FIELD(disk_dir_item, name_len), 0 } } },
	{ "entry's name ends outside", &names, DIR_ITEM, "name of 8 bytes, 7 left",
	  { { PATCH_DATA, FIELD(disk_dir_item, name_len), 8 } } },
	{ "entry's name is too long", &names, DIR_INDEX, "name of 256 bytes",
	  { { PATCH_SIZE, 0, 0, 30 + 256 }, { PATCH_DATA, FIELD(disk_dir_item, name_len), 256 } } },
	{ "entry with data", &names, DIR_ITEM, "entry with 1 bytes of data",
	  { { PATCH_DATA, FIELD(disk_dir_item, data_len), 1 } } },
	{ "entry's name does not match its hash", &names, DIR_ITEM, "the name's hash is",
	  { { PATCH_DATA, NAME_AT(disk_dir_item, 0), 'D' } } },
	{ "entry under another hash", &names, DIR_ITEM, "the name's hash is 2378154706",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, HASH_DEFAULT + 1 } } },
	{ "entry that is an xattr", &names, DIR_ITEM, "entry of type 8",
	  { { PATCH_DATA, FIELD(disk_dir_item, type), FT_XATTR } } },
	{ "entry of an unknown type", &names, DIR_INDEX, "entry of type 9",
	  { { PATCH_DATA, FIELD(disk_dir_item, type), FT_MAX } } },
	{ "entry that leads to no inode", &names, DIR_ITEM, "leads to a key of type 12",
	  { { PATCH_DATA, LOCATION_TYPE, INODE_REF_KEY } } },
	{ "two entries at one position", &names, DIR_INDEX, "2 entries", { { PATCH_SIZE, 0, 0, 2 * DIR_ITEM_BYTES } } },
	{ "entry with a slash", &names, DIR_INDEX, "slash", { { PATCH_DATA, NAME_AT(disk_dir_item, 6), '/' } } },
	{ "entry with a zero byte", &names, DIR_INDEX, "zero byte", { { PATCH_DATA, NAME_AT(disk_dir_item, 6), 0 } } },
	{ "entry \".\"", &names, DIR_INDEX, "name \".\"",
	  { { PATCH_SIZE, 0, 0, 31 }, { PATCH_DATA, FIELD(disk_dir_item, name_len), 1 },
	    { PATCH_DATA, NAME_AT(disk_dir_item, 0), '.' } } },

	{ "xattr that is a file", &names, XATTR, "xattr of type 1",
	  { { PATCH_DATA, FIELD(disk_dir_item, type), FT_REG_FILE } } },
	{ "xattr's value ends outside", &names, XATTR, "entry of 46 bytes, 45 left",
	  { { PATCH_DATA, FIELD(disk_dir_item, data_len), 5 } } },
	{ "xattr with bytes behind it", &names, XATTR, "1 bytes left over",
	  { { PATCH_DATA, FIELD(disk_dir_item, data_len), 3 } } },
	{ "xattr's name does not match its hash", &names, XATTR, "the name's hash is",
	  { { PATCH_DATA, NAME_AT(disk_dir_item, 0), 'U' } } },
	{ "xattr without a name", &names, XATTR, "name of 0 bytes",
	  { { PATCH_DATA, FIELD(disk_dir_item, name_len), 0 } } },
};

static void names_of_all_kinds(void **state)
{
	(void)state;
	assert_all_refused(bad_names, ARRAY_LEN(bad_names));
}

static const struct bad_leaf odd_leaves[] = {
	{ "longest name and highest inode number", &limits, 0, "", { { PATCH_NONE, 0, 0, 0 } } },
	{ "inode generation of a transaction that is being written", &names, TOP, "",
	  { { PATCH_DATA, FIELD(disk_inode_item, generation), NEWER - 1 } } },
	{ "entry of type 0, as some kernels of old left", &names, DIR_ITEM, "",
	  { { PATCH_DATA, FIELD(disk_dir_item, type), FT_UNKNOWN } } },
	{ "entry of an encrypted name", &names, DIR_INDEX, "",
	  { { PATCH_DATA, FIELD(disk_dir_item, type), FT_REG_FILE | FT_ENCRYPTED } } },
	{ "entry that leads to a subvolume", &names, DIR_ITEM, "", { { PATCH_DATA, LOCATION_TYPE, ROOT_ITEM_KEY } } },
	{ "two entries of one hash", &names, DIR_ITEM, "", { { PATCH_SIZE, 0, 0, 2 * DIR_ITEM_BYTES } } },
	{ "slash in the name of an xattr", &names, XATTR, "",
	  { { PATCH_DATA, NAME_AT(disk_dir_item, 4), '/' },
	    { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 162498678 } } },
	{ "inode without links", &names, TOP, "", { { PATCH_DATA, FIELD(disk_inode_item, nlink), 0 } } },
	{ "unknown flags that a reader need not know", &names, TOP, "",
	  { { PATCH_DATA, FIELD(disk_inode_item, flags), 1ULL << 63 } } },
};

static void oddities_are_accepted(void **state)
{
	(void)state;
	assert_all_accepted(odd_leaves, ARRAY_LEN(odd_leaves));
}

/* Linux once wrote the inodes of free space caches, which lie in the root tree, without a mode. */
static void only_the_root_tree_has_inodes_without_mode(void **state)
{
	const struct block_check_params params = test_params();
	const struct patch no_mode[] = { { PATCH_DATA, FIELD(disk_inode_item, mode), 0 } };
	const struct patch bad_mode[] = { { PATCH_DATA, FIELD(disk_inode_item, mode), 0644 } };
	struct sound_leaf leaf = names;
	u8 *block;

	(void)state;
	leaf.owner = ROOT_TREE_OBJECTID;
	block = sound_leaf_build(&leaf, FILE_INODE, no_mode, 1);
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, NULL), 0);
	free(block);
	block = sound_leaf_build(&leaf, FILE_INODE, bad_mode, 1);
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, NULL), -EUCLEAN);
	free(block);
}

/* --- File extents ------------------------------------------------------------------------------------------ */

enum { REGULAR, PREALLOC, AFTER_HOLE, INLINE };

static const struct sound_leaf extents = {
	.owner = 260,
	.items = {
		[REGULAR] = { { 257, EXTENT_DATA_KEY, 0 }, EXTENT_BYTES, put_regular },
		[PREALLOC] = { { 257, EXTENT_DATA_KEY, 8192 }, EXTENT_BYTES, put_prealloc },
		[AFTER_HOLE] = { { 257, EXTENT_DATA_KEY, 65536 }, EXTENT_BYTES, put_regular },
		[INLINE] = { { 258, EXTENT_DATA_KEY, 0 }, INLINE_BYTES, put_inline },
	},
};

static const struct bad_leaf bad_extents[] = {
	{ "extent cut within the common head", &extents, INLINE, "item of 20 bytes", { { PATCH_SIZE, 0, 0, 20 } } },
	{ "extent of an unknown type", &extents, REGULAR, "unknown extent type 3",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, type), 3 } } },
	{ "extent with unknown compression", &extents, REGULAR, "unknown compression 4",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, compression), 4 } } },
	{ "encrypted extent", &extents, PREALLOC, "unknown encryption 1",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, encryption), 1 } } },
	{ "extent between sectors of the file", &extents, AFTER_HOLE, "file offset is not a multiple",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 65536 + 512 } } },
	{ "regular extent too short", &extents, REGULAR, "item of 52 bytes, expected 53", { { PATCH_SIZE, 0, 0, 52 } } },
	{ "regular extent too long", &extents, REGULAR, "item of 54 bytes, expected 53", { { PATCH_SIZE, 0, 0, 54 } } },
	{ "regular extent as long as an inline one", &extents, REGULAR, "item of 21 bytes",
	  { { PATCH_SIZE, 0, 0, 21 } } },
	{ "extent between sectors", &extents, REGULAR, "not multiples of the sectorsize",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, disk_bytenr), 12 * MIB + 1 } } },
	{ "extent of half a sector", &extents, REGULAR, "not multiples of the sectorsize",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, disk_num_bytes), 16384 + 2048 } } },
	{ "file range of half a sector", &extents, AFTER_HOLE, "not multiples of the sectorsize",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, num_bytes), 2048 } } },
	{ "offset of half a sector", &extents, AFTER_HOLE, "not multiples of the sectorsize",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, offset), 2048 } } },
	{ "uncompressed size of half a sector", &extents, AFTER_HOLE, "not multiples of the sectorsize",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, ram_bytes), 16385 } } },
	{ "empty file range", &extents, AFTER_HOLE, "extent of 0 bytes",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, num_bytes), 0 } } },
	{ "file range that wraps around", &extents, AFTER_HOLE, "extent of 18446744073709547520 bytes",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, num_bytes), (u64)-4096 } } },
	{ "extent that wraps around", &extents, PREALLOC, "overflow",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, disk_bytenr), (u64)-8192 } } },
	{ "offset that wraps around", &extents, PREALLOC, "overflow",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, offset), (u64)-4096 } } },
	{ "uses more than the extent has", &extents, AFTER_HOLE, "uses [12288, +8192) of an extent of 16384",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, offset), 12288 } } },
	{ "overlaps the extent before it", &extents, PREALLOC, "the extent before it reaches to 8192",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 4096 } } },
	{ "inline extent in the middle of a file", &extents, INLINE, "inline extent at file offset 4096",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 4096 } } },
	{ "inline extent shorter than it says", &extents, INLINE, "inline extent of 8 bytes says 9",
	  { { PATCH_SIZE, 0, 0, INLINE_BYTES - 1 } } },
	{ "inline extent longer than it says", &extents, INLINE, "inline extent of 9 bytes says 8",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, ram_bytes), 8 } } },
};

/* An item of an unknown type before a file's first extent, with bytes that would be a very long extent. */
static void put_ones(u8 *data)
{
	memset(data, 0xff, EXTENT_BYTES);
}

static const struct sound_leaf after_unknown = {
	.owner = 260,
	.items = {
		{ { 257, EXTENT_DATA_KEY - 1, 0 }, EXTENT_BYTES, put_ones },
		{ { 257, EXTENT_DATA_KEY, 0 }, EXTENT_BYTES, put_regular },
	},
};

static const struct bad_leaf odd_extents[] = {
	{ "first extent behind something unknown", &after_unknown, 1, "", { { PATCH_NONE, 0, 0, 0 } } },
	{ "extent used to its end", &extents, AFTER_HOLE, "",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, num_bytes), 12288 } } },
	{ "inline extent without bytes", &extents, INLINE, "",
	  { { PATCH_SIZE, 0, 0, 21 }, { PATCH_DATA, FIELD(disk_file_extent_item, ram_bytes), 0 } } },
	{ "compressed inline extent of another length", &extents, INLINE, "",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, ram_bytes), 3000 },
	    { PATCH_DATA, FIELD(disk_file_extent_item, compression), COMPRESS_ZSTD } } },
	{ "compressed extent of more than it takes", &extents, AFTER_HOLE, "",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, disk_num_bytes), 4096 },
	    { PATCH_DATA, FIELD(disk_file_extent_item, compression), COMPRESS_LZO } } },
	{ "hole", &extents, AFTER_HOLE, "",
	  { { PATCH_DATA, FIELD(disk_file_extent_item, disk_bytenr), 0 },
	    { PATCH_DATA, FIELD(disk_file_extent_item, disk_num_bytes), 0 } } },
};

static void file_extents(void **state)
{
	(void)state;
	assert_all_accepted(odd_extents, ARRAY_LEN(odd_extents));
	assert_all_refused(bad_extents, ARRAY_LEN(bad_extents));
}

/* --- Checksums of data --------------------------------------------------------------------------------------- */

static const struct sound_leaf csums = {
	.owner = CSUM_TREE_OBJECTID,
	.items = {
		{ { EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, 12 * MIB }, 16, NULL },
		{ { EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, 12 * MIB + 16384 }, 4, NULL },
	},
};

static const struct bad_leaf bad_csums[] = {
	{ "checksums without any", &csums, 0, "0 bytes are not whole checksums", { { PATCH_SIZE, 0, 0, 0 } } },
	{ "part of a checksum", &csums, 1, "5 bytes are not whole checksums of 4", { { PATCH_SIZE, 0, 0, 5 } } },
	{ "checksums under another objectid", &csums, 0, "under objectid -11",
	  { { PATCH_ITEM, offsetof(struct disk_key, objectid), 8, (u64)-11 } } },
	{ "checksums between sectors", &csums, 1, "not a multiple",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 12 * MIB + 16384 + 512 } } },
	{ "checksums overlap", &csums, 1, "reach to 12599296",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, 12 * MIB + 12288 } } },
	{ "checksums beyond the end of addresses", &csums, 1, "address overflows",
	  { { PATCH_ITEM, offsetof(struct disk_key, offset), 8, (u64)-4096 }, { PATCH_SIZE, 0, 0, 8 } } },
};

static void checksums(void **state)
{
	(void)state;
	assert_all_refused(bad_csums, ARRAY_LEN(bad_csums));
}

/* --- Roots and what else the small trees hold ------------------------------------------------------------------- */

static void put_root(u8 *data)
{
	struct disk_root_item *item = (struct disk_root_item *)data;

	put_dir(data);
	le64_put(&item->generation, TEST_GENERATION);
	le64_put(&item->generation_v2, TEST_GENERATION);
	le64_put(&item->last_snapshot, TEST_GENERATION);
	le64_put(&item->bytenr, 30 * MIB);
	le64_put(&item->flags, ROOT_SUBVOL_RDONLY);
	le32_put(&item->refs, 1);
	item->level = LEVEL_MAX - 1;
}

static void put_root_ref(u8 *data)
{
	struct disk_root_ref *ref = (struct disk_root_ref *)data;

	le64_put(&ref->dirid, 256);
	le16_put(&ref->name_len, 4);
	memcpy(ref->name, "home", 4);
}
#define ROOT_REF_BYTES ((u32)sizeof(struct disk_root_ref) + 4)

enum { EXTENT_ROOT, OLD_ROOT, ROOT_REF, SUBVOL_ROOT, BACKREF, RELOC_ROOT };

static const struct sound_leaf roots = {
	.owner = ROOT_TREE_OBJECTID,
	.items = {
		[EXTENT_ROOT] = { { EXTENT_TREE_OBJECTID, ROOT_ITEM_KEY, 0 }, sizeof(struct disk_root_item), put_root },
		[OLD_ROOT] = { { FS_TREE_OBJECTID, ROOT_ITEM_KEY, 0 }, ROOT_ITEM_V0_BYTES, put_root },
		[ROOT_REF] = { { FS_TREE_OBJECTID, ROOT_REF_KEY, 257 }, ROOT_REF_BYTES, put_root_ref },
		[SUBVOL_ROOT] = { { 257, ROOT_ITEM_KEY, 44 }, sizeof(struct disk_root_item), put_root },
		[BACKREF] = { { 257, ROOT_BACKREF_KEY, 5 }, ROOT_REF_BYTES, put_root_ref },
		[RELOC_ROOT] = { { TREE_RELOC_OBJECTID, ROOT_ITEM_KEY, 5 }, sizeof(struct disk_root_item), put_root },
	},
};

static const struct bad_leaf bad_roots[] = {
	{ "root of an odd size", &roots, SUBVOL_ROOT, "root item of 438 bytes", { { PATCH_SIZE, 0, 0, 438 } } },
	{ "old root of an odd size", &roots, OLD_ROOT, "root item of 240 bytes", { { PATCH_SIZE, 0, 0, 240 } } },
	{ "root without anything", &roots, EXTENT_ROOT, "root item of 0 bytes", { { PATCH_SIZE, 0, 0, 0 } } },
	{ "root of no tree", &roots, EXTENT_ROOT, "root of no tree",
	  { { PATCH_ITEM, offsetof(struct disk_key, objectid), 8, 0 } } },
	{ "root from the future", &roots, SUBVOL_ROOT, "root generation 102 is newer",
	  { { PATCH_DATA, FIELD(disk_root_item, generation), NEWER } } },
	{ "root's second generation from the future", &roots, SUBVOL_ROOT, "generation_v2 102 is newer",
	  { { PATCH_DATA, FIELD(disk_root_item, generation_v2), NEWER } } },
	{ "snapshot in the future", &roots, SUBVOL_ROOT, "last snapshot in generation 102",
	  { { PATCH_DATA, FIELD(disk_root_item, last_snapshot), NEWER } } },
	{ "root between sectors", &roots, EXTENT_ROOT, "root at 31457281",
	  { { PATCH_DATA, FIELD(disk_root_item, bytenr), 30 * MIB + 1 } } },
	{ "root's level too high", &roots, OLD_ROOT, "level 8, drop level 0",
	  { { PATCH_DATA, FIELD(disk_root_item, level), LEVEL_MAX } } },
	{ "root's drop level too high", &roots, SUBVOL_ROOT, "drop level 8",
	  { { PATCH_DATA, FIELD(disk_root_item, drop_level), LEVEL_MAX } } },
	{ "unknown root flags", &roots, SUBVOL_ROOT, "unknown root flags 0x2",
	  { { PATCH_DATA, FIELD(disk_root_item, flags), 2 } } },
	{ "root reference cut within its head", &roots, ROOT_REF, "item of 17 bytes", { { PATCH_SIZE, 0, 0, 17 } } },
	{ "root reference cut behind its head", &roots, ROOT_REF, "name of 4 bytes, 0 left", { { PATCH_SIZE, 0, 0, 18 } } },
	{ "root reference with bytes behind it", &roots, BACKREF, "item of 23 bytes for a name of 4",
	  { { PATCH_SIZE, 0, 0, ROOT_REF_BYTES + 1 } } },
	{ "root reference's name ends outside", &roots, ROOT_REF, "name of 5 bytes, 4 left",
	  { { PATCH_DATA, FIELD(disk_root_ref, name_len), 5 } } },
	{ "root reference without a name", &roots, BACKREF, "name of 0 bytes",
	  { { PATCH_DATA, FIELD(disk_root_ref, name_len), 0 } } },
	{ "root reference with a slash", &roots, BACKREF, "slash", { { PATCH_DATA, NAME_AT(disk_root_ref, 0), '/' } } },
};

static const struct bad_leaf odd_roots[] = {
	{ "root of a transaction that is being written", &roots, SUBVOL_ROOT, "",
	  { { PATCH_DATA, FIELD(disk_root_item, generation), NEWER - 1 },
	    { PATCH_DATA, FIELD(disk_root_item, generation_v2), NEWER - 1 },
	    { PATCH_DATA, FIELD(disk_root_item, last_snapshot), NEWER - 1 } } },
	{ "subvolume half deleted", &roots, SUBVOL_ROOT, "",
	  { { PATCH_DATA, FIELD(disk_root_item, flags), ROOT_SUBVOL_DEAD },
	    { PATCH_DATA, FIELD(disk_root_item, refs), 0 },
	    { PATCH_DATA, FIELD(disk_root_item, drop_level), LEVEL_MAX - 1 } } },
};

static void roots_and_their_references(void **state)
{
	(void)state;
	assert_all_accepted(odd_roots, ARRAY_LEN(odd_roots));
	assert_all_refused(bad_roots, ARRAY_LEN(bad_roots));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inodes),
		cmocka_unit_test(names_of_all_kinds),
		cmocka_unit_test(oddities_are_accepted),
		cmocka_unit_test(only_the_root_tree_has_inodes_without_mode),
		cmocka_unit_test(file_extents),
		cmocka_unit_test(checksums),
		cmocka_unit_test(roots_and_their_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
