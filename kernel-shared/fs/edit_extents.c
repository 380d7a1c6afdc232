/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EXTENT_DATA items, and the references to data that they are. */
#include "common/base/checked.h"
#include "kernel-shared/fs/edit_items.h"

typedef unsigned long long ull;

static struct key key_of(u64 ino, u64 file_offset)
{
	return (struct key){ ino, EXTENT_DATA_KEY, file_offset };
}

static struct data_ref ref_of(const struct subvol_edit *edit, u64 ino, u64 file_offset, u64 disk_bytenr,
			      u64 disk_num_bytes, u64 extent_offset)
{
	return (struct data_ref){
		.logical = disk_bytenr,
		.len = disk_num_bytes,
		.root = edit->id,
		.objectid = ino,
		.offset = file_offset - extent_offset, /* wraps below zero, as on disk */
	};
}

/* --- Looking ---------------------------------------------------------------------------------------------------------- */

int file_extent_at(const struct subvol_edit *edit, u64 ino, u64 at, u64 end, struct file_extent *ret_extent,
		   struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(subvol_tree(edit));
	int err = file_extent_find(&cursor, ino, at, end, edit->sectorsize, ret_extent, d);

	if (!err)
		ret_extent->inline_data = NULL;
	return err;
}

/* Put the cursor on the first extent of @ino that reaches behind @start. 1: there is none. */
static int seek_first(struct cursor *cursor, const struct subvol_edit *edit, u64 ino, u64 start, struct file_extent *ret_extent,
		      struct diag *d)
{
	const struct key key = key_of(ino, start);
	int err = cursor_seek_back(cursor, &key, d);

	if (err == 1 || (err == 0 && !cursor_is_at(cursor, ino, EXTENT_DATA_KEY)))
		err = cursor_seek(cursor, &key, d);
	for (; err == 0; err = cursor_next(cursor, d)) {
		if (!cursor_is_at(cursor, ino, EXTENT_DATA_KEY))
			return 1;
		err = file_extent_unpack(cursor, edit->sectorsize, ret_extent, d);
		if (err || ret_extent->file_offset + ret_extent->len > start)
			return err;
	}
	return err;
}

/* --- Taking out ------------------------------------------------------------------------------------------------------- */

/* The item stood on has a part before @start and one from @end on: the latter becomes an item of its own. */
static int split_item(struct subvol_edit *edit, struct edit *at, const struct file_extent *extent, u64 start, u64 end,
		      struct diag *d)
{
	u64 ino = edit_key(at).objectid, skip = end - extent->file_offset;
	const struct data_ref ref = ref_of(edit, ino, extent->file_offset, extent->disk_bytenr, extent->disk_num_bytes,
					   extent->extent_offset);
	struct disk_file_extent_item *item = edit_data(at), tail = *item;
	const struct key tail_key = key_of(ino, end);
	int err;

	le64_put(&item->num_bytes, start - extent->file_offset);
	le64_put(&tail.offset, extent->extent_offset + skip);
	le64_put(&tail.num_bytes, extent->len - skip);
	err = edit_put(at, &tail_key, &tail, sizeof(tail), d);
	if (!err && extent->disk_bytenr)
		err = txn_add_data_ref(edit->txn, &ref, false, d);
	return err;
}

static int cut_front(struct edit *at, const struct file_extent *extent, u64 end, struct diag *d)
{
	const struct key key = key_of(edit_key(at).objectid, end);
	struct disk_file_extent_item *item = edit_data(at);
	u64 skip = end - extent->file_offset;

	le64_put(&item->offset, extent->extent_offset + skip);
	le64_put(&item->num_bytes, extent->len - skip);
	return edit_set_key(at, &key, d);
}

static int delete_item(struct subvol_edit *edit, struct edit *at, const struct file_extent *extent, struct diag *d)
{
	const struct data_ref ref = ref_of(edit, edit_key(at).objectid, extent->file_offset, extent->disk_bytenr,
					   extent->disk_num_bytes, extent->extent_offset);
	int err = edit_delete(at, NULL, d);

	if (!err && extent->kind != EXTENT_INLINE && extent->disk_bytenr)
		err = txn_drop_data_ref(edit->txn, &ref, d);
	return err;
}

/* What [start, end) leaves of the item stood on. */
static int drop_from_item(struct subvol_edit *edit, struct edit *at, const struct file_extent *extent, u64 start, u64 end,
			  u64 *dropped_bytes, struct diag *d)
{
	u64 extent_end = extent->file_offset + extent->len;

	if (extent->kind == EXTENT_INLINE) {
		if (extent->file_offset < start || extent_end > end)
			return diag_fail(d, -EOPNOTSUPP, "subvolume %llu inode %llu: a part of an inline extent is to go",
					 (ull)edit->id, (ull)edit_key(at).objectid);
		*dropped_bytes += extent->ram_bytes;
		return delete_item(edit, at, extent, d);
	}
	if (extent->disk_bytenr)
		*dropped_bytes += MIN(extent_end, end) - MAX(extent->file_offset, start);
	if (extent->file_offset < start && extent_end > end)
		return split_item(edit, at, extent, start, end, d);
	if (extent->file_offset < start) {
		struct disk_file_extent_item *item = edit_data(at);

		le64_put(&item->num_bytes, start - extent->file_offset);
		return 0;
	}
	if (extent_end > end)
		return cut_front(at, extent, end, d);
	return delete_item(edit, at, extent, d);
}

static int find_first(const struct subvol_edit *edit, u64 ino, u64 start, u64 end, struct key *ret_key, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(subvol_tree(edit));
	struct file_extent extent;
	int err = seek_first(&cursor, edit, ino, start, &extent, d);

	if (err)
		return err;
	*ret_key = cursor_key(&cursor);
	return extent.file_offset >= end ? 1 : 0;
}

int file_drop_extents(struct subvol_edit *edit, u64 ino, u64 start, u64 end, u64 *ret_dropped_bytes, struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	u64 dropped_bytes = 0;
	struct key key;
	int err = find_first(edit, ino, start, end, &key, d);

	while (!err) {
		struct file_extent extent;

		err = edit_seek_from(&at, &key, d);
		if (err)
			break;
		key = edit_key(&at);
		if (key.objectid != ino || key.type != EXTENT_DATA_KEY || key.offset >= end)
			break;
		err = file_extent_decode(edit_data(&at), edit_data_bytes(&at), key.offset, edit->sectorsize, &extent, d);
		if (!err)
			err = drop_from_item(edit, &at, &extent, start, end, &dropped_bytes, d);
		if (err || extent.file_offset + extent.len >= end)
			break;
		key = key_of(ino, extent.file_offset + extent.len);
	}
	if (err < 0)
		return err;
	*ret_dropped_bytes = dropped_bytes;
	return 0;
}

/* --- Putting in ------------------------------------------------------------------------------------------------------- */

int file_insert_extent(struct subvol_edit *edit, u64 ino, u64 file_offset, const struct extent_item *item, bool is_new,
		       struct diag *d)
{
	const struct data_ref ref = ref_of(edit, ino, file_offset, item->disk_bytenr, item->disk_num_bytes,
					   item->extent_offset);
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key key = key_of(ino, file_offset);
	struct disk_file_extent_item disk = { .compression = item->compression, .type = item->type };
	int err;

	le64_put(&disk.generation, item->generation ? item->generation : edit->generation);
	le64_put(&disk.ram_bytes, item->ram_bytes);
	le64_put(&disk.disk_bytenr, item->disk_bytenr);
	le64_put(&disk.disk_num_bytes, item->disk_num_bytes);
	le64_put(&disk.offset, item->extent_offset);
	le64_put(&disk.num_bytes, item->num_bytes);
	err = edit_put(&at, &key, &disk, sizeof(disk), d);
	if (!err && item->disk_bytenr)
		err = txn_add_data_ref(edit->txn, &ref, is_new, d);
	return err;
}

int file_insert_inline(struct subvol_edit *edit, u64 ino, const void *data, u32 bytes, u64 ram_bytes, u8 compression,
		       struct diag *d)
{
	_cleanup_(edit_done) struct edit at = edit_init(edit->root);
	const struct key key = key_of(ino, 0);
	struct disk_file_extent_item *item;
	void *room;
	int err = edit_insert(&at, &key, (u32)FILE_EXTENT_INLINE_HEADER_BYTES + bytes, &room, d);

	if (err)
		return err;
	item = room;
	memset(item, 0, FILE_EXTENT_INLINE_HEADER_BYTES);
	le64_put(&item->generation, edit->generation);
	le64_put(&item->ram_bytes, ram_bytes);
	item->compression = compression;
	item->type = FILE_EXTENT_INLINE;
	memcpy((u8 *)room + FILE_EXTENT_INLINE_HEADER_BYTES, data, bytes);
	return 0;
}

/* Where [start, end) has no item. */
struct gap {
	u64 start, end;
};
struct gaps {
	ARRAY(struct gap) list;
};

static void gaps_done(struct gaps *gaps)
{
	array_done(&gaps->list);
}

static int find_gaps(const struct subvol_edit *edit, u64 ino, u64 start, u64 end, struct gaps *gaps, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(subvol_tree(edit));
	struct file_extent extent;
	u64 at = start;
	int err;

	for (err = seek_first(&cursor, edit, ino, start, &extent, d); err == 0 && at < end; err = cursor_next(&cursor, d)) {
		if (!cursor_is_at(&cursor, ino, EXTENT_DATA_KEY))
			break;
		err = file_extent_unpack(&cursor, edit->sectorsize, &extent, d);
		if (err)
			return err;
		if (extent.file_offset > at && array_push(&gaps->list, (struct gap){ at, MIN(end, extent.file_offset) }) < 0)
			return diag_no_memory(d, "holes");
		at = MAX(at, extent.file_offset + extent.len);
	}
	if (err < 0)
		return err;
	if (at < end && array_push(&gaps->list, (struct gap){ at, end }) < 0)
		return diag_no_memory(d, "holes");
	return 0;
}

int file_fill_holes(struct subvol_edit *edit, u64 ino, u64 start, u64 end, struct diag *d)
{
	_cleanup_(gaps_done) struct gaps gaps = { 0 };
	int err;

	if (start >= end || subvol_has_feature(edit, INCOMPAT_NO_HOLES))
		return 0;
	err = find_gaps(edit, ino, start, end, &gaps, d);
	for (size_t i = 0; i < gaps.list.len && !err; i++) {
		u64 len = gaps.list.items[i].end - gaps.list.items[i].start;
		const struct extent_item hole = { .num_bytes = len, .ram_bytes = len, .type = FILE_EXTENT_REG };

		err = file_insert_extent(edit, ino, gaps.list.items[i].start, &hole, false, d);
	}
	return err;
}
