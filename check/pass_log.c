/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves of a log that was not replayed: its trees can be read and lie in free space, each item is one that a log may hold, each
 * belongs to a subvolume that is there, and logged data is where data may be and has checksums, in the log or in the checksum
 * tree. Reading and judging is the log's own (treelog_read()); here it is told.
 */
#include "check/check.h"
#include "kernel-shared/treelog/treelog.h"

typedef unsigned long long ull;

static void tell_loss(struct check *check, const struct treelog_loss *loss, const char *text)
{
	switch (loss->kind) {
	case BTRKIT_LOG_LOSS_BLOCK:
		complain(check, LOG_BLOCK_BAD, AT(.tree = TREE_LOG_OBJECTID, .logical = loss->logical), text);
		break;
	case BTRKIT_LOG_LOSS_SUBVOL:
		complain(check, LOG_SUBVOL_MISSING, AT(.tree = loss->subvol), (ull)loss->subvol);
		break;
	case BTRKIT_LOG_LOSS_EXTENT:
		complain(check, LOG_EXTENT_OUTSIDE, AT(.tree = loss->subvol, .inode = loss->ino, .logical = loss->logical),
			 (ull)loss->subvol, text);
		break;
	case BTRKIT_LOG_LOSS_TAKEN:
		complain(check, LOG_EXTENT_TAKEN, AT(.tree = loss->subvol, .inode = loss->ino, .logical = loss->logical),
			 (ull)loss->subvol, text);
		break;
	default:
		complain(check, LOG_ITEM_BAD, AT(.tree = loss->subvol, .inode = loss->ino), (ull)loss->subvol, text);
	}
}

/* --- Checksums of what it holds -------------------------------------------------------------------------------------- */

/* What is judged against, for one subvolume's log. */
struct judging {
	struct check *check;
	const struct treelog *log;
	const struct treelog_subvol *subvol;
	struct ranges csums; /* of this log */
	struct ranges_reader own_csums, all_csums;
};

static int collect_csums(struct judging *judging, struct diag *d)
{
	const struct check *check = judging->check;
	int err = ranges_init(&judging->csums, &judging->check->spill, check->memory_bytes / 32) < 0
			  ? diag_no_memory(d, "the log's checksums")
			  : 0;

	array_for_each(&judging->subvol->items, item) {
		u64 sums = item->data_bytes / check->fs->csum->size_bytes;
		struct range range = { item->key.offset, item->key.offset + sums * check_sectorsize(check) };

		if (!err && item->key.type == EXTENT_CSUM_KEY)
			err = ranges_add(&judging->csums, &range, 1, d);
	}
	return err ? err : ranges_tidy(&judging->csums, d);
}

/* What is covered at *at is passed. True: something was. */
static bool skip_covered(struct ranges_reader *reader, u64 *at)
{
	struct range range;

	if (!ranges_find(reader, *at, &range) || range.start > *at)
		return false;
	*at = range.end;
	return true;
}

/* Each sector must be covered, by either of the two. */
static bool has_csums(struct judging *judging, u64 start, u64 end)
{
	u64 at = start;

	while (at < end && (skip_covered(&judging->own_csums, &at) || skip_covered(&judging->all_csums, &at)))
		;
	return at >= end;
}

static bool is_without_csums(const struct treelog *log, const struct treelog_subvol *subvol, u64 ino)
{
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	const struct treelog_item *item = treelog_find(subvol, &key);
	const struct disk_inode_item *inode = item ? treelog_data(log, item) : NULL;

	return inode && (le64_get(inode->flags) & INODE_NODATASUM);
}

static int judge_extent(struct judging *judging, const struct treelog_item *item, struct diag *d)
{
	const struct disk_file_extent_item *extent = treelog_data(judging->log, item);
	u64 disk = le64_get(extent->disk_bytenr), start, len, ino = item->key.objectid;
	struct range whole = { disk, disk + le64_get(extent->disk_num_bytes) };
	bool is_compressed = extent->compression != COMPRESS_NONE;

	if (extent->type == FILE_EXTENT_INLINE || disk == 0)
		return 0;
	start = is_compressed ? disk : disk + le64_get(extent->offset);
	len = is_compressed ? le64_get(extent->disk_num_bytes) : le64_get(extent->num_bytes);
	if (extent->type == FILE_EXTENT_REG && !is_without_csums(judging->log, judging->subvol, ino) &&
	    !has_csums(judging, start, start + len))
		complain(judging->check, LOG_CSUM_MISSING, AT(.tree = judging->subvol->id, .inode = ino, .logical = start),
			 (ull)judging->subvol->id, (ull)ino, (ull)item->key.offset);
	return ranges_add(&judging->check->log_extents, &whole, 1, d);
}

static int judge_subvol(struct check *check, const struct treelog *log, const struct treelog_subvol *subvol, struct diag *d)
{
	struct judging judging = { .check = check, .log = log, .subvol = subvol, .own_csums.ranges = &judging.csums,
				   .all_csums.ranges = &check->csums };
	int err = collect_csums(&judging, d);

	for (size_t i = 0; i < subvol->items.len && !err; i++)
		if (subvol->items.items[i].key.type == EXTENT_DATA_KEY && !subvol->items.items[i].is_refused)
			err = judge_extent(&judging, &subvol->items.items[i], d);
	ranges_reader_done(&judging.own_csums);
	ranges_reader_done(&judging.all_csums);
	if (!err)
		err = ranges_error(&judging.csums, d);
	if (!err)
		err = ranges_error(&check->csums, d);
	ranges_done(&judging.csums);
	return err;
}

int pass_log(struct check *check, struct diag *d)
{
	_cleanup_(treelog_freep) struct treelog *log = NULL;
	int err = 0;

	if (le64_get(check->fs->super.log_root) == 0)
		return ranges_tidy(&check->log_extents, d);
	err = treelog_read(check->fs, &log, d);
	if (err)
		return err;
	array_for_each(&log->losses.list, loss)
		tell_loss(check, loss, log->losses.text.items + loss->text_at);
	for (size_t i = 0; i < log->subvols.len && !err; i++)
		err = judge_subvol(check, log, &log->subvols.items[i], d);
	return err ? err : ranges_tidy(&check->log_extents, d);
}
