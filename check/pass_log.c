/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves of a log that was not replayed: its trees can be walked, each item is sane, each belongs to a subvolume that is
 * there, and logged data has checksums, in the log or in the checksum tree.
 */
#include "check/check.h"

typedef unsigned long long ull;

struct log {
	struct check *check;
	u64 subvol;
	struct ranges csums; /* of this log tree */
	struct ranges_reader own_csums, all_csums;
	u64 ino; /* whose items are read */
	u64 inode_flags;
	bool has_inode;
};

static int report_damaged(void *ctx, const struct block_expect *expect, const struct diag *why, struct diag *d)
{
	struct log *log = ctx;

	(void)d;
	complain(log->check, LOG_BLOCK_BAD, AT(.tree = TREE_LOG_OBJECTID, .logical = expect->logical), (ull)expect->logical,
		 why->text);
	return 0;
}

static int skip_damaged(void *ctx, const struct block_expect *expect, const struct diag *why, struct diag *d)
{
	(void)ctx;
	(void)expect;
	(void)why;
	(void)d;
	return 0;
}

static int visit_csums(void *ctx, struct tree_block *block, struct diag *d)
{
	struct log *log = ctx;

	int err = 0;

	for (u32 slot = 0; block->level == 0 && slot < block->nritems && !err; slot++) {
		const struct key key = leaf_key(block->data, slot);
		u64 sums = leaf_item_bytes(block->data, slot) / log->check->fs->csum->size_bytes;
		struct range range = { key.offset, key.offset + sums * check_sectorsize(log->check) };

		if (key.type == EXTENT_CSUM_KEY)
			err = ranges_add(&log->csums, &range, 1, d);
	}
	return err;
}

/* What is covered at *at is passed. True: up to @end. */
static bool is_covered(struct ranges_reader *reader, u64 *at, u64 end)
{
	struct range range;

	if (ranges_find(reader, *at, &range) && range.start <= *at)
		*at = range.end;
	return *at >= end;
}

/* Each sector must be covered, by either of the two. */
static bool has_csums(struct log *log, u64 start, u64 end)
{
	u64 at = start, before;

	do {
		before = at;
		if (is_covered(&log->own_csums, &at, end) || is_covered(&log->all_csums, &at, end))
			return true;
	} while (at != before);
	return false;
}

static void judge_data(struct log *log, const struct key *key, const struct disk_file_extent_item *item)
{
	bool is_compressed = item->compression != COMPRESS_NONE;
	u64 disk = le64_get(item->disk_bytenr);
	u64 start = is_compressed ? disk : disk + le64_get(item->offset);
	u64 len = is_compressed ? le64_get(item->disk_num_bytes) : le64_get(item->num_bytes);

	if (check_group_of(log->check, disk) == SIZE_MAX)
		complain(log->check, LOG_EXTENT_OUTSIDE, AT(.tree = log->subvol, .inode = key->objectid, .logical = disk),
			 (ull)log->subvol, (ull)key->objectid, (ull)key->offset, (ull)disk);
	else if (!has_csums(log, start, start + len))
		complain(log->check, LOG_CSUM_MISSING, AT(.tree = log->subvol, .inode = key->objectid, .logical = start),
			 (ull)log->subvol, (ull)key->objectid, (ull)key->offset);
}

static int judge_extent(struct log *log, const struct key *key, const struct disk_file_extent_item *item, struct diag *d)
{
	struct range whole;

	if (item->type == FILE_EXTENT_INLINE || le64_get(item->disk_bytenr) == 0)
		return 0;
	if (item->type == FILE_EXTENT_REG && !(log->has_inode && (log->inode_flags & INODE_NODATASUM)))
		judge_data(log, key, item);
	whole.start = le64_get(item->disk_bytenr);
	whole.end = whole.start + le64_get(item->disk_num_bytes);
	return ranges_add(&log->check->log_extents, &whole, 1, d);
}

static int visit_items(void *ctx, struct tree_block *block, struct diag *d)
{
	struct log *log = ctx;
	int err = 0;

	for (u32 slot = 0; block->level == 0 && slot < block->nritems && !err; slot++) {
		const struct key key = leaf_key(block->data, slot);

		if (key.objectid != log->ino) {
			log->ino = key.objectid;
			log->has_inode = false;
		}
		if (key.type == INODE_ITEM_KEY) {
			log->has_inode = true;
			log->inode_flags = le64_get(((const struct disk_inode_item *)leaf_item_data(block->data, slot))->flags);
		} else if (key.type == EXTENT_DATA_KEY) {
			err = judge_extent(log, &key, leaf_item_data(block->data, slot), d);
		}
	}
	return err;
}

static int judge_log_tree(struct check *check, u64 subvol, const struct tree *tree, struct diag *d)
{
	struct log log = { .check = check, .subvol = subvol, .own_csums.ranges = &log.csums, .all_csums.ranges = &check->csums };
	const struct tree_walk csums = { visit_csums, report_damaged, &log };
	/* What is damaged was said on the first walk. */
	const struct tree_walk items = { visit_items, skip_damaged, &log };
	struct fs_root root;
	int err;

	if (fs_subvol_root(check->fs, subvol, &root, NULL) < 0)
		complain(check, LOG_SUBVOL_MISSING, AT(.tree = subvol), (ull)subvol);
	err = ranges_init(&log.csums, &check->spill, check->memory_bytes / 32) < 0 ? diag_no_memory(d, "the log's checksums") : 0;
	if (!err)
		err = tree_walk(tree, &csums, d);
	if (!err)
		err = ranges_tidy(&log.csums, d);
	if (!err)
		err = tree_walk(tree, &items, d);
	ranges_reader_done(&log.own_csums);
	ranges_reader_done(&log.all_csums);
	if (!err)
		err = ranges_error(&check->csums, d);
	ranges_done(&log.csums);
	return err;
}

int pass_log(struct check *check, struct diag *d)
{
	const struct disk_super *super = &check->fs->super;
	const struct tree top = {
		.cache = check->fs->cache,
		.root_logical = le64_get(super->log_root),
		.level = super->log_root_level,
	};
	struct cursor cursor = cursor_init(&top);
	int err, result = 0;
	struct diag why = { 0 };

	if (top.root_logical == 0)
		return ranges_tidy(&check->log_extents, d);
	for (err = cursor_first(&cursor, &why); err == 0 && !result; err = cursor_next(&cursor, &why)) {
		const struct key key = cursor_key(&cursor);
		struct disk_root_item item;
		struct tree tree;

		if (key.type != ROOT_ITEM_KEY || cursor_data_bytes(&cursor) < ROOT_ITEM_V0_BYTES)
			continue;
		root_item_unpack(&cursor, &item);
		tree = (struct tree){ check->fs->cache, 0, le64_get(item.bytenr), 0, item.level };
		result = judge_log_tree(check, key.offset, &tree, d);
	}
	cursor_done(&cursor);
	if (err < 0)
		complain(check, LOG_BLOCK_BAD, AT(.tree = TREE_LOG_OBJECTID, .logical = top.root_logical), (ull)top.root_logical,
			 why.text);
	return result ? result : ranges_tidy(&check->log_extents, d);
}
