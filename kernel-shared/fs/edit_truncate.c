/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a file ends, where it has holes, where it has space kept for it. */
#include "common/base/checked.h"
#include "kernel-shared/fs/edit_ops.h"

typedef unsigned long long ull;

static int finish(struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, struct diag *d)
{
	inode_touch(subvol, item, true);
	return inode_update(subvol, ino, item, d);
}

/* --- The end --------------------------------------------------------------------------------------------------------------- */

int edit_grow(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 size,
	      struct diag *d)
{
	u64 old = le64_get(item->size), old_sectors = round_up_u64(old, subvol->sectorsize);
	bool was_inline;
	int err = edit_resize_inline(edit, subvol, ino, item, size, &was_inline, d);

	if (!err && !was_inline)
		err = edit_zero_in_sector(edit, subvol, ino, item, old, old_sectors - old, d);
	if (err)
		return err;
	edit_changing(edit);
	le64_put(&item->size, size);
	return file_fill_holes(subvol, ino, old_sectors, round_up_u64(size, subvol->sectorsize), d);
}

static int shrink(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 size,
		  struct diag *d)
{
	u64 sectors = round_up_u64(size, subvol->sectorsize), dropped;
	bool was_inline = false;
	int err = size ? edit_resize_inline(edit, subvol, ino, item, size, &was_inline, d) : 0;

	if (!err && !was_inline)
		err = edit_zero_in_sector(edit, subvol, ino, item, size, sectors - size, d);
	if (err)
		return err;
	edit_changing(edit);
	txn_use_reserve(subvol->txn);
	err = file_drop_extents(subvol, ino, sectors, FILE_END, &dropped, d);
	if (err)
		return err;
	edit_add_nbytes(item, 0, dropped);
	le64_put(&item->size, size);
	return 0;
}

int edit_truncate(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 size, struct diag *d)
{
	struct disk_inode_item item;
	struct subvol_edit subvol;
	int err = edit_file(edit, inode, &subvol, &item, d);

	if (err || size == le64_get(item.size))
		return err;
	if (size > INT64_MAX)
		return diag_fail(d, -EFBIG, "a file cannot have so many bytes");
	if (size > le64_get(item.size))
		err = edit_grow(edit, &subvol, inode->ino, &item, size, d);
	else
		err = shrink(edit, &subvol, inode->ino, &item, size, d);
	return err ? err : finish(&subvol, inode->ino, &item, d);
}

/* --- Holes ------------------------------------------------------------------------------------------------------------------ */

/* Zeroes for the ends of the range, which are in sectors of which the rest stays; then the sectors between go. */
static int punch(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 offset,
		 u64 end, struct diag *d)
{
	u64 size = le64_get(item->size), first, last, dropped;
	int err;

	/* What is behind the end of the file in its last sector need not stay. */
	if (end >= size)
		end = round_up_u64(size, subvol->sectorsize);
	first = round_up_u64(offset, subvol->sectorsize);
	last = round_down_u64(end, subvol->sectorsize);
	err = edit_zero_in_sectors(edit, subvol, ino, item, offset, MIN(first, end) - offset, last, last >= first ? end - last : 0,
				   d);
	if (err || first >= last)
		return err;
	edit_changing(edit);
	err = file_drop_extents(subvol, ino, first, last, &dropped, d);
	if (err)
		return err;
	edit_add_nbytes(item, 0, dropped);
	return file_fill_holes(subvol, ino, first, last, d);
}

int edit_punch_hole(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 offset, u64 len, struct diag *d)
{
	struct disk_inode_item item;
	struct subvol_edit subvol;
	struct file_extent extent;
	u64 end;
	int err = edit_file(edit, inode, &subvol, &item, d);

	if (err || len == 0 || offset >= le64_get(item.size))
		return err;
	if (!checked_add(offset, len, &end))
		end = UINT64_MAX;
	err = file_extent_at(&subvol, inode->ino, 0, FILE_END, &extent, d);
	/* A part of inline data becomes zeroes; all of it goes as any extent. */
	if (!err && extent.kind == EXTENT_INLINE && (offset > 0 || end < le64_get(item.size)))
		return edit_write(edit, inode, offset, MIN(end, le64_get(item.size)) - offset, NULL, NULL, d);
	if (!err)
		err = punch(edit, &subvol, inode->ino, &item, offset, end, d);
	if (err)
		return err;
	edit_changing(edit);
	return finish(&subvol, inode->ino, &item, d);
}

/* --- Space kept --------------------------------------------------------------------------------------------------------------- */

struct space {
	u64 file_offset, logical, len;
};
struct spaces {
	ARRAY(struct space) list;
};

static void spaces_done(struct spaces *spaces)
{
	array_done(&spaces->list);
}

/* Space for the hole [start, end). */
static int alloc_space(struct subvol_edit *subvol, u64 start, u64 end, struct spaces *spaces, struct diag *d)
{
	while (start < end) {
		struct space space = { .file_offset = start };
		int err;

		if (array_reserve(&spaces->list, 1) < 0)
			return diag_no_memory(d, "space to be kept");
		err = txn_alloc_data(subvol->txn, MIN(end - start, (u64)EXTENT_BYTES_MAX), subvol->sectorsize, &space.logical,
				     &space.len, d);
		if (err)
			return err;
		spaces->list.items[spaces->list.len++] = space;
		start += space.len;
	}
	return 0;
}

static int alloc_spaces(struct subvol_edit *subvol, u64 ino, u64 start, u64 end, struct spaces *spaces, struct diag *d)
{
	struct file_extent extent;
	int err = 0;

	for (u64 at = start; at < end && !err; at = extent.file_offset + extent.len) {
		err = file_extent_at(subvol, ino, at, end, &extent, d);
		if (!err && extent.kind == EXTENT_HOLE)
			err = alloc_space(subvol, at, MIN(end, extent.file_offset + extent.len), spaces, d);
	}
	return err;
}

static void release(struct subvol_edit *subvol, struct spaces *spaces)
{
	array_for_each(&spaces->list, space)
		(void)txn_unalloc_data(subvol->txn, space->logical, space->len, NULL); /* there is a failure to tell of */
	spaces->list.len = 0;
}

static int place_space(struct subvol_edit *subvol, u64 ino, const struct space *space, struct disk_inode_item *item,
		       struct diag *d)
{
	const struct extent_item new = {
		.disk_bytenr = space->logical,
		.disk_num_bytes = space->len,
		.num_bytes = space->len,
		.ram_bytes = space->len,
		.type = FILE_EXTENT_PREALLOC,
	};
	u64 dropped;
	int err = file_drop_extents(subvol, ino, space->file_offset, space->file_offset + space->len, &dropped, d);

	edit_add_nbytes(item, space->len, 0);
	return err ? err : file_insert_extent(subvol, ino, space->file_offset, &new, true, d);
}

int edit_preallocate(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 offset, u64 len, bool is_size_kept,
		     struct diag *d)
{
	_cleanup_(spaces_done) struct spaces spaces = { 0 };
	struct disk_inode_item item;
	struct subvol_edit subvol;
	u64 start, end, size;
	int err = edit_file(edit, inode, &subvol, &item, d);

	if (err || len == 0)
		return err;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return diag_fail(d, -EFBIG, "a file cannot have so many bytes");
	start = round_down_u64(offset, subvol.sectorsize);
	end = round_up_u64(offset + len, subvol.sectorsize);
	size = is_size_kept ? le64_get(item.size) : MAX(le64_get(item.size), offset + len);
	err = alloc_spaces(&subvol, inode->ino, start, end, &spaces, d);
	if (!err && size > le64_get(item.size))
		err = edit_grow(edit, &subvol, inode->ino, &item, size, d);
	/* Inline data and extents behind it do not go together. */
	if (!err && end > subvol.sectorsize)
		err = edit_uninline(edit, &subvol, inode->ino, &item, d);
	if (err && !edit->is_changing)
		release(&subvol, &spaces);
	if (err)
		return err;
	edit_changing(edit);
	for (size_t i = 0; i < spaces.list.len && !err; i++)
		err = place_space(&subvol, inode->ino, &spaces.list.items[i], &item, d);
	if (err)
		return err;
	le64_put(&item.flags, le64_get(item.flags) | INODE_PREALLOC);
	return finish(&subvol, inode->ino, &item, d);
}
