/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A leaf of a subvolume, item by item, into parts of inodes and sums of names. */
#include <stdio.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "check/inode_part.h"
#include "check/references.h"
#include "common/compress/codec.h"
#include "kernel-shared/format/name_hash.h"

typedef unsigned long long ull;

/* Indexes 0 and 1 are those of "." and "..". */
#define DIR_INDEX_FIRST 2

struct reading {
	struct check *check;
	unsigned worker;
	const u8 *leaf;
	u64 logical, tree;
	bool is_full_backref, is_of_deleted;
	struct fs_fact *fact;
	struct inode_part part; /* of the inode whose items are being read */
	struct key key;
	struct reference_sums sums;
};

static void complain_odd(const struct reading *r, const char *what)
{
	complain(r->check, ITEM_FIELD_ODD,
		 AT(.tree = r->tree, .logical = r->logical, .inode = r->key.objectid, .has_key = true, .key = r->key),
		 (long long)r->tree, (long long)r->key.objectid, r->key.type, (ull)r->key.offset, what);
}

/* As what block_check_item() finds, but the leaf can be read with it. */
static void complain_item(const struct reading *r, const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "leaf %llu of tree %lld key (%lld %u %llu): %s", (ull)r->logical, (long long)r->tree,
		 (long long)r->key.objectid, r->key.type, (ull)r->key.offset, what);
	problem_report_item(&r->check->sink, r->key.type,
			    AT(.tree = r->tree, .logical = r->logical, .has_key = true, .key = r->key,
			       .inode = r->key.objectid),
			    text);
}

static u64 hash_name(const struct check *check, const void *name, size_t len)
{
	return XXH3_64bits_withSeed(name, len, ~check->hash_seed);
}

/* --- Names ------------------------------------------------------------------------------------------------------------ */

static void add_ref_name(struct reading *r, u64 dir, u64 index, const u8 *name, u16 len)
{
	struct hashed_name hashed = { dir, index, r->key.objectid, hash_name(r->check, name, len) };

	r->part.nr_names++;
	if (dir == r->key.objectid) {
		r->part.kinds |= PART_IS_OWN_PARENT;
		if (dir != FIRST_FREE_OBJECTID)
			complain(r->check, DIR_LOOP, AT(.tree = r->tree, .inode = dir, .logical = r->logical), (ull)r->tree,
				 (ull)dir, (ull)dir);
		else if (len != 2 || memcmp(name, "..", 2) != 0 || index != 0)
			complain(r->check, TOP_DIR_REF_WRONG, AT(.tree = r->tree, .logical = r->logical), (ull)r->tree);
		return;
	}
	r->part.parent = dir;
	r->fact->sums.ref_names += check_hash(r->check, &hashed, sizeof(hashed));
}

static void read_refs(struct reading *r, const u8 *at, u32 left)
{
	while (left > 0) {
		const struct disk_inode_ref *ref = (const void *)at;
		u32 bytes = (u32)sizeof(*ref) + le16_get(ref->name_len);

		add_ref_name(r, r->key.offset, le64_get(ref->index), ref->name, le16_get(ref->name_len));
		at += bytes;
		left -= bytes;
	}
}

static void read_extrefs(struct reading *r, const u8 *at, u32 left)
{
	while (left > 0) {
		const struct disk_inode_extref *ref = (const void *)at;
		u16 len = le16_get(ref->name_len);

		if (extref_hash(le64_get(ref->parent_objectid), ref->name, len) != r->key.offset)
			complain(r->check, EXTREF_HASH_WRONG,
				 AT(.tree = r->tree, .inode = r->key.objectid, .logical = r->logical), (ull)r->tree,
				 (ull)r->key.objectid);
		add_ref_name(r, le64_get(ref->parent_objectid), le64_get(ref->index), ref->name, len);
		at += sizeof(*ref) + len;
		left -= (u32)sizeof(*ref) + len;
	}
}

static void add_entry(struct reading *r, const struct disk_dir_item *item)
{
	const struct key location = key_unpack(&item->location);
	u16 len = le16_get(item->name_len);
	u64 name = hash_name(r->check, item->name, len);
	struct hashed_entry entry = { r->key.objectid, name, location.objectid, location.offset,
				      (u64)location.type << 8 | item->type };
	struct hashed_name hashed = { r->key.objectid, r->key.offset, location.objectid, name };
	struct hashed_type type = { location.objectid, item->type };
	struct fs_sums *sums = &r->fact->sums;

	r->part.kinds |= PART_HAS_DIR_ITEMS;
	r->part.dir_name_bytes += len;
	if (r->key.type == DIR_ITEM_KEY) {
		sums->item_entries += check_hash(r->check, &entry, sizeof(entry));
		return;
	}
	sums->index_entries += check_hash(r->check, &entry, sizeof(entry));
	if (r->key.offset < DIR_INDEX_FIRST)
		complain(r->check, DIR_INDEX_LOW, AT(.tree = r->tree, .inode = r->key.objectid, .logical = r->logical),
			 (ull)r->tree, (ull)r->key.objectid, (int)len, (const char *)item->name, (ull)r->key.offset);
	if (location.type == INODE_ITEM_KEY && location.offset)
		complain_odd(r, "an entry that leads into an inode");
	if (location.type == ROOT_ITEM_KEY && item->type != FT_DIR)
		complain_odd(r, "an entry of a subvolume that says it is no directory");
	if (location.type != INODE_ITEM_KEY) {
		/* A subvolume: its name is in the root tree. */
		sums->subvol_names += location.type == ROOT_ITEM_KEY ? check_hash(r->check, &hashed, sizeof(hashed)) : 0;
		return;
	}
	sums->index_names += check_hash(r->check, &hashed, sizeof(hashed));
	sums->entry_types += check_hash(r->check, &type, sizeof(type));
}

static void read_xattr(struct reading *r, const struct disk_dir_item *item)
{
	const struct key location = key_unpack(&item->location);

	if (location.objectid || location.type || location.offset)
		complain_odd(r, "an attribute that leads somewhere");
}

/* Names of one hash share an item, each with its own name. */
static void read_entries(struct reading *r, const u8 *at, u32 left)
{
	const u8 *first = at;

	while (left > 0) {
		const struct disk_dir_item *item = (const void *)at;
		u32 bytes = (u32)sizeof(*item) + le16_get(item->name_len) + le16_get(item->data_len);

		for (const u8 *other = first; other < at;) {
			const struct disk_dir_item *before = (const void *)other;

			if (before->name_len.byte[0] == item->name_len.byte[0] &&
			    memcmp(before->name, item->name, le16_get(item->name_len)) == 0 &&
			    le16_get(before->name_len) == le16_get(item->name_len))
				complain(r->check, NAME_TWICE,
					 AT(.tree = r->tree, .inode = r->key.objectid, .logical = r->logical), (ull)r->tree,
					 (ull)r->key.objectid, (int)le16_get(item->name_len), (const char *)item->name);
			other += sizeof(*before) + le16_get(before->name_len) + le16_get(before->data_len);
		}
		if (r->key.type == XATTR_ITEM_KEY)
			read_xattr(r, item);
		else
			add_entry(r, item);
		at += bytes;
		left -= bytes;
	}
}

/* --- Inodes and extents ------------------------------------------------------------------------------------------------ */

static void judge_times(const struct reading *r, const struct disk_inode_item *item)
{
	const struct disk_timespec *times[] = { &item->atime, &item->ctime, &item->mtime, &item->otime };

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		if (le32_get(times[i]->nsec) >= 1000000000)
			complain_odd(r, "a time with more than a second of nanoseconds");
}

static void read_inode(struct reading *r, const struct disk_inode_item *item)
{
	r->part.has_item = true;
	r->part.mode = le32_get(item->mode);
	r->part.nlink = le32_get(item->nlink);
	r->part.size = le64_get(item->size);
	r->part.nbytes = le64_get(item->nbytes);
	r->part.flags = le64_get(item->flags);
	check_generation(r->check, r->tree, r->logical, &r->key, le64_get(item->generation));
	check_generation(r->check, r->tree, r->logical, &r->key, le64_get(item->transid));
	if (r->part.flags >> 32 & ~(INODE_RO_VERITY >> 32))
		complain(r->check, INODE_FLAGS_UNKNOWN,
			 AT(.tree = r->tree, .inode = r->key.objectid, .logical = r->logical), (ull)r->tree,
			 (ull)r->key.objectid, (ull)r->part.flags);
	if (r->part.size > INT64_MAX)
		complain_item(r, "a size beyond what a file can have");
	judge_times(r, item);
	if (le64_get(item->rdev) && !S_ISCHR(r->part.mode) && !S_ISBLK(r->part.mode))
		complain_odd(r, "a device number, but no device");
}

static void note_place(struct reading *r, u64 offset, u64 end)
{
	struct inode_part *part = &r->part;

	if (!part->has_extents) {
		part->has_extents = true;
		part->first_extent = offset;
	} else if (offset < part->last_extent_end) {
		complain(r->check, FILE_EXTENT_OVERLAP, AT(.tree = r->tree, .inode = part->ino, .logical = r->logical),
			 (ull)r->tree, (ull)part->ino, (ull)offset, (ull)part->last_extent_end);
	} else if (offset > part->last_extent_end) {
		if (!part->gap_bytes)
			part->first_gap = part->last_extent_end;
		part->gap_bytes += offset - part->last_extent_end;
	}
	part->last_extent_end = end;
}

/* Bytes of [start, end) that have checksums; *ret_missing: the first that has none. */
static u64 csummed_bytes(struct ranges_reader *csums, u64 start, u64 end, u64 *ret_missing)
{
	u64 bytes = 0, at = start;
	struct range run;

	*ret_missing = 0;
	for (bool is_there = ranges_find(csums, start, &run); is_there && run.start < end; is_there = ranges_next(csums, &run)) {
		if (run.start > at && !*ret_missing)
			*ret_missing = at;
		bytes += MIN(run.end, end) - MAX(run.start, start);
		at = MIN(run.end, end);
	}
	if (at < end && !*ret_missing)
		*ret_missing = at;
	return bytes;
}

static void note_csums(struct reading *r, const struct disk_file_extent_item *item)
{
	bool is_compressed = item->compression != COMPRESS_NONE;
	u64 disk = le64_get(item->disk_bytenr);
	u64 start = is_compressed ? disk : disk + le64_get(item->offset);
	u64 len = is_compressed ? le64_get(item->disk_num_bytes) : le64_get(item->num_bytes);
	u64 missing, found = csummed_bytes(&r->check->workers[r->worker].csums, start, start + len, &missing);

	if (item->type == FILE_EXTENT_PREALLOC) {
		/* The tree of an unfinished relocation is as old as its beginning: the space may have been written since. */
		if (r->part.tree != TREE_RELOC_OBJECTID)
			r->part.prealloc_csum_bytes += found;
		return;
	}
	r->part.csum_needed_bytes += len;
	r->part.csum_found_bytes += found;
	if (is_compressed)
		r->part.compressed_bare_bytes += len - MIN(found, len);
	if (missing && !r->part.csum_missing_logical)
		r->part.csum_missing_logical = missing;
}

/* A compression that the superblock does not tell of would be met by a kernel that does not know it. */
static void judge_feature(const struct reading *r, u8 compression)
{
	u64 incompat = le64_get(r->check->fs->super.incompat_flags);

	if ((compression == COMPRESS_LZO && !(incompat & INCOMPAT_COMPRESS_LZO)) ||
	    (compression == COMPRESS_ZSTD && !(incompat & INCOMPAT_COMPRESS_ZSTD)))
		complain(r->check, FEATURE_BIT_MISSING, AT(.tree = r->tree, .inode = r->key.objectid, .logical = r->logical),
			 compression == COMPRESS_LZO ? "lzo compression" : "zstd compression");
}

/* Linux compresses only what becomes smaller, and what is not compressed has as many bytes in memory as on disk. */
static void judge_encoding(struct reading *r, const struct disk_file_extent_item *item)
{
	u64 ram_bytes = le64_get(item->ram_bytes), disk_num_bytes = le64_get(item->disk_num_bytes);

	if (item->compression != COMPRESS_NONE && disk_num_bytes >= ram_bytes)
		complain_odd(r, "compression that made the data no smaller");
	if (item->compression != COMPRESS_NONE && ram_bytes > COMPRESSED_EXTENT_BYTES_MAX)
		complain_odd(r, "more compressed data than one extent can have");
	if (item->compression == COMPRESS_NONE && ram_bytes != disk_num_bytes)
		complain(r->check, FILE_EXTENT_RAM_BYTES_WRONG,
			 AT(.tree = r->tree, .inode = r->part.ino, .logical = r->logical), (ull)r->tree, (ull)r->part.ino,
			 (ull)r->key.offset, (ull)ram_bytes, (ull)disk_num_bytes);
}

/* Inline data has no checksum of its own: that it can be unpacked is all the proof there is. */
static void judge_inline_data(struct reading *r, const struct disk_file_extent_item *item, u32 size)
{
	const struct codec *codec = codec_by_type(item->compression);
	_cleanup_(codec_workspace_freep) struct codec_workspace *workspace = NULL;
	u64 ram_bytes = le64_get(item->ram_bytes);
	_free_ u8 *plain = NULL;
	size_t len = 0;

	if (!codec || ram_bytes > CODEC_INPUT_MAX ||
	    codec_workspace_new(codec, 0, check_sectorsize(r->check), NULL, &workspace) < 0)
		return; /* not built in: cannot be judged */
	plain = malloc(MAX(ram_bytes, (u64)1));
	if (plain && (codec_decompress(workspace, &item->disk_bytenr, size - FILE_EXTENT_INLINE_HEADER_BYTES, plain, ram_bytes,
				       &len) < 0 || len != ram_bytes))
		complain(r->check, FILE_EXTENT_UNREADABLE,
			 AT(.tree = r->tree, .inode = r->part.ino, .logical = r->logical), (ull)r->tree, (ull)r->part.ino);
}

/* A target ends at its first zero byte, which is behind its end. The INODE_ITEM comes first, nearly always in the same leaf. */
static void judge_target(const struct reading *r, const struct disk_file_extent_item *item, u32 size)
{
	u64 bytes = MIN((u64)size - FILE_EXTENT_INLINE_HEADER_BYTES, r->part.size);

	if (check_has_data(r->check) && r->part.has_item && S_ISLNK(r->part.mode) && item->compression == COMPRESS_NONE &&
	    memchr(&item->disk_bytenr, 0, bytes))
		complain(r->check, SYMLINK_TARGET_BAD, AT(.tree = r->tree, .inode = r->part.ino, .logical = r->logical),
			 (ull)r->tree, (ull)r->part.ino, "a zero byte in it");
}

static void read_file_extent(struct reading *r, const struct disk_file_extent_item *item, u32 size)
{
	struct check *check = r->check;
	u64 num_bytes, disk = le64_get(item->disk_bytenr);

	check_generation(check, r->tree, r->logical, &r->key, le64_get(item->generation));
	judge_feature(r, item->compression);
	if (le16_get(item->other_encoding))
		complain_odd(r, "an encoding that does not exist");
	if (item->type == FILE_EXTENT_INLINE) {
		u64 ram_bytes = le64_get(item->ram_bytes);

		judge_target(r, item, size);
		if (check->options->do_data && check_has_data(check) && item->compression != COMPRESS_NONE)
			judge_inline_data(r, item, size);
		r->part.kinds |= PART_HAS_INLINE | (item->compression != COMPRESS_NONE ? PART_HAS_COMPRESSED_INLINE : 0);
		r->part.found_nbytes += ram_bytes;
		r->part.inline_bytes += ram_bytes;
		note_place(r, r->key.offset, round_up_u64(MAX(ram_bytes, (u64)1), check_sectorsize(check)));
		return;
	}
	num_bytes = le64_get(item->num_bytes);
	if (r->key.offset + num_bytes > INT64_MAX)
		complain_item(r, "it reaches beyond what a file can have");
	if (item->type == FILE_EXTENT_PREALLOC && item->compression != COMPRESS_NONE)
		complain_item(r, "reserved space that is compressed");
	r->part.kinds |= PART_HAS_REGULAR;
	note_place(r, r->key.offset, r->key.offset + num_bytes);
	if (disk == 0) {
		/* Linux keeps counting an offset, and leaves ram_bytes, when it cuts a hole's item. */
		if (le64_get(item->disk_num_bytes) || item->compression || item->type != FILE_EXTENT_REG)
			complain_odd(r, "a hole with what only data has");
		return;
	}
	r->part.found_nbytes += num_bytes;
	if (item->type == FILE_EXTENT_REG && r->key.offset + num_bytes > r->part.data_end)
		r->part.data_end = r->key.offset + num_bytes;
	judge_encoding(r, item);
	if (item->compression != COMPRESS_NONE && le64_get(item->offset) + num_bytes > le64_get(item->ram_bytes))
		complain(check, FILE_EXTENT_BEYOND_RAM, AT(.tree = r->tree, .inode = r->part.ino, .logical = r->logical),
			 (ull)r->tree, (ull)r->part.ino, (ull)r->key.offset, (ull)le64_get(item->ram_bytes));
	note_csums(r, item);
	found_data_reference(check, &r->sums, r->leaf, r->is_full_backref, &r->key, item);
}

static void read_item(struct reading *r, const void *data, u32 size)
{
	switch (r->key.type) {
	case INODE_ITEM_KEY:
		return read_inode(r, data);
	case INODE_REF_KEY:
		return read_refs(r, data, size);
	case INODE_EXTREF_KEY:
		return read_extrefs(r, data, size);
	case DIR_ITEM_KEY:
	case DIR_INDEX_KEY:
	case XATTR_ITEM_KEY:
		return read_entries(r, data, size);
	case EXTENT_DATA_KEY:
		return read_file_extent(r, data, size);
	case VERITY_DESC_ITEM_KEY:
	case VERITY_MERKLE_ITEM_KEY:
		r->part.kinds |= PART_HAS_VERITY;
		return;
	default:
		complain(r->check, ITEM_MISPLACED,
			 AT(.tree = r->tree, .logical = r->logical, .has_key = true, .key = r->key), (ull)r->logical,
			 (long long)r->tree, (ull)r->key.objectid, r->key.type, (ull)r->key.offset);
	}
}

/* The inode that was being read is complete on its right side. */
static void close_part(struct reading *r)
{
	if (r->part.ino == 0)
		return;
	if (r->fact->head.ino == 0) {
		r->fact->head = r->part;
	} else {
		if (r->fact->has_cut)
			inode_judge(r->check, &r->fact->tail, &r->fact->sums);
		r->fact->tail = r->part;
		r->fact->has_cut = true;
	}
}

static void open_part(struct reading *r)
{
	close_part(r);
	r->part = (struct inode_part){ .ino = r->key.objectid,
				       .leaf = r->logical,
				       .tree = r->tree,
				       .kinds = r->is_of_deleted ? PART_IS_SPOILED : 0 };
}

/* The inode of an ORPHAN item; one that is gone was cleaned up halfway. */
static void judge_orphan_item(const struct reading *r)
{
	const struct key inode = { r->key.offset, INODE_ITEM_KEY, 0 };
	struct cursor cursor;
	struct fs_root root;

	if (r->is_of_deleted || fs_subvol_root(r->check->fs, r->tree, &root, NULL) < 0)
		return;
	cursor = cursor_init(&root.tree);
	if (cursor_find(&cursor, &inode, NULL) == 1)
		complain(r->check, ORPHAN_ITEM_DANGLES, AT(.tree = r->tree, .logical = r->logical), (ull)r->tree,
			 (ull)r->key.offset);
	cursor_done(&cursor);
}

/* Items that belong to no inode: orphans, and what the inode cache of old kernels left. */
static bool read_special(struct reading *r)
{
	if (r->key.objectid == ORPHAN_OBJECTID && r->key.type == ORPHAN_ITEM_KEY) {
		judge_orphan_item(r);
		return true;
	}
	if (r->key.objectid == FREE_INO_OBJECTID || r->key.objectid == FREE_SPACE_OBJECTID) {
		if (r->key.objectid == FREE_INO_OBJECTID && r->key.type == INODE_ITEM_KEY)
			complain(r->check, INODE_CACHE_LEFT, AT(.tree = r->tree, .logical = r->logical), (ull)r->tree);
		return true;
	}
	return false;
}

void fs_fact_of_leaf(struct check *check, unsigned worker, const u8 *leaf, const struct block_record *record,
		     struct fs_fact *fact)
{
	const u64 tree = record->tree;
	const struct block_check_params *params = block_cache_check_params(check->fs->cache);
	struct reading r = {
		.check = check,
		.worker = worker,
		.leaf = leaf,
		.logical = le64_get(block_header(leaf)->bytenr),
		.tree = tree,
		.is_of_deleted = root_is_deleted(&check->roots.items[record->root]),
		.fact = fact,
		.sums = { .group = SIZE_MAX },
	};

	*fact = (struct fs_fact){ 0 };
	r.is_full_backref = check_is_full_backref(check, worker, r.logical);
	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		struct diag d = { 0 };

		r.key = leaf_key(leaf, slot);
		if (block_check_item(params, leaf, slot, &d) < 0) {
			problem_report_item(&check->sink, r.key.type,
				 AT(.tree = tree, .logical = r.logical, .has_key = true, .key = r.key,
				    .inode = r.key.objectid <= LAST_FREE_OBJECTID ? r.key.objectid : 0),
				 d.text);
			if (r.key.objectid > LAST_FREE_OBJECTID)
				continue;
			if (r.part.ino != r.key.objectid)
				open_part(&r);
			r.part.kinds |= PART_IS_SPOILED;
			continue;
		}
		if (read_special(&r)) {
			if (r.key.type == EXTENT_DATA_KEY)
				found_data_reference(check, &r.sums, leaf, r.is_full_backref, &r.key, leaf_item_data(leaf, slot));
			continue;
		}
		if (r.part.ino != r.key.objectid)
			open_part(&r);
		read_item(&r, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot));
	}
	close_part(&r);
	reference_sums_flush(check, &r.sums);
}
