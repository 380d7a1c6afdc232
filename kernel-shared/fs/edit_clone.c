/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A range of a file becomes the same as that of another, and shares its extents. */
#include <sys/stat.h>

#include "common/base/checked.h"
#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

struct clone_job {
	struct btrkit_edit *edit;
	struct btrkit_inode from, to;
	u64 from_offset, len, offset;
	struct subvol_edit from_subvol, subvol;
	struct disk_inode_item from_item, item;
	ARRAY(struct file_extent) extents; /* of the source, those that are no holes and not inline */
	u64 inline_bytes; /* that the range begins with, and are inline in the source */
};

static void job_done(struct clone_job *job)
{
	array_done(&job->extents);
}

/* --- May it be done? -------------------------------------------------------------------------------------------------------- */

static int check_ranges(struct clone_job *job, struct diag *d)
{
	u64 sectorsize = job->subvol.sectorsize, from_size = le64_get(job->from_item.size), from_end, end;

	if (job->len == 0 && job->from_offset <= from_size)
		job->len = from_size - job->from_offset;
	if (!checked_add(job->from_offset, job->len, &from_end) || from_end > from_size)
		return diag_fail(d, -EINVAL, "the range ends behind the file that it is to be taken from");
	if (!checked_add(job->offset, job->len, &end) || end > INT64_MAX)
		return diag_fail(d, -EFBIG, "a file cannot have so many bytes");
	if (job->from_offset % sectorsize || job->offset % sectorsize)
		return diag_fail(d, -EINVAL, "the range does not begin with a sector of %llu bytes", (ull)sectorsize);
	if (job->len % sectorsize && (from_end != from_size || end < le64_get(job->item.size)))
		return diag_fail(d, -EINVAL, "the range ends within a sector of %llu bytes", (ull)sectorsize);
	if (job->from.subvol == job->to.subvol && job->from.ino == job->to.ino && job->from_offset < end &&
	    job->offset < from_end)
		return diag_fail(d, -EINVAL, "the ranges overlap");
	if ((le64_get(job->from_item.flags) ^ le64_get(job->item.flags)) & INODE_NODATASUM)
		return diag_fail(d, -EINVAL, "one of the files has checksums, the other has not");
	return 0;
}

/* Cursors do not outlive changes: what is to be cloned is noted first. */
static int note_extents(struct clone_job *job, struct diag *d)
{
	u64 end = job->from_offset + job->len;
	struct file_extent extent;
	int err = 0;

	for (u64 at = job->from_offset; at < end && !err; at = extent.file_offset + extent.len) {
		err = file_extent_at(&job->from_subvol, job->from.ino, at, end, &extent, d);
		if (err || extent.kind == EXTENT_HOLE)
			continue;
		if (extent.kind == EXTENT_INLINE)
			job->inline_bytes = MIN(job->len, extent.len - job->from_offset);
		else if (array_push(&job->extents, extent) < 0)
			err = diag_no_memory(d, "extents of a file");
	}
	return err;
}

/* --- Doing it --------------------------------------------------------------------------------------------------------------- */

static int place_extent(struct clone_job *job, const struct file_extent *extent, struct diag *d)
{
	u64 end = job->from_offset + round_up_u64(job->len, job->subvol.sectorsize);
	u64 from = MAX(extent->file_offset, job->from_offset), to = MIN(extent->file_offset + extent->len, end);
	const struct extent_item new = {
		.disk_bytenr = extent->disk_bytenr,
		.disk_num_bytes = extent->disk_num_bytes,
		.extent_offset = extent->extent_offset + (from - extent->file_offset),
		.num_bytes = to - from,
		.ram_bytes = extent->ram_bytes,
		.compression = extent->compression,
		.type = extent->kind == EXTENT_PREALLOC ? FILE_EXTENT_PREALLOC : FILE_EXTENT_REG,
	};

	edit_add_nbytes(&job->item, to - from, 0);
	return file_insert_extent(&job->subvol, job->to.ino, job->offset + (from - job->from_offset), &new, false, d);
}

static int share_extents(struct clone_job *job, struct diag *d)
{
	u64 skip = round_up_u64(job->inline_bytes, job->subvol.sectorsize), dropped;
	u64 start = job->offset + skip, end = job->offset + round_up_u64(job->len, job->subvol.sectorsize);
	int err;

	if (start >= end)
		return 0;
	err = file_drop_extents(&job->subvol, job->to.ino, start, end, &dropped, d);
	edit_add_nbytes(&job->item, 0, err ? 0 : dropped);
	for (size_t i = 0; i < job->extents.len && !err; i++)
		err = place_extent(job, &job->extents.items[i], d);
	if (!err)
		err = file_fill_holes(&job->subvol, job->to.ino, start, end, d);
	if (err)
		return err;
	le64_put(&job->item.size, MAX(le64_get(job->item.size), job->offset + job->len));
	for (size_t i = 0; i < job->extents.len; i++)
		if (job->extents.items[i].kind == EXTENT_PREALLOC)
			le64_put(&job->item.flags, le64_get(job->item.flags) | INODE_PREALLOC);
	inode_touch(&job->subvol, &job->item, true);
	return inode_update(&job->subvol, job->to.ino, &job->item, d);
}

static int fill_from_source(void *arg, u64 at, void *buf, size_t len)
{
	struct clone_job *job = arg;

	return edit_read(job->edit, &job->from, at - job->offset + job->from_offset, buf, len, NULL);
}

/* Inline data cannot be shared: it is written. */
static int copy_inline(struct clone_job *job, struct diag *d)
{
	int err;

	if (job->inline_bytes == 0)
		return 0;
	err = edit_write(job->edit, &job->to, job->offset, job->inline_bytes, fill_from_source, job, d);
	return err ? err : edit_file(job->edit, &job->to, &job->subvol, &job->item, d);
}

int edit_clone(struct btrkit_edit *edit, const struct btrkit_inode *from, u64 from_offset, u64 len,
	       const struct btrkit_inode *inode, u64 offset, struct diag *d)
{
	_cleanup_(job_done) struct clone_job job = {
		.edit = edit, .from = *from, .to = *inode, .from_offset = from_offset, .len = len, .offset = offset,
	};
	int err = subvol_edit_init(edit->fs, from->subvol, &edit->now, &job.from_subvol, d);

	if (!err)
		err = inode_read(subvol_tree(&job.from_subvol), from->ino, &job.from_item, d);
	if (!err && !S_ISREG(le32_get(job.from_item.mode)))
		err = diag_fail(d, -EINVAL, "inode %llu of subvolume %llu is not a regular file", (ull)from->ino,
				(ull)from->subvol);
	if (!err)
		err = edit_file(edit, inode, &job.subvol, &job.item, d);
	if (!err)
		err = check_ranges(&job, d);
	if (err || job.len == 0)
		return err;
	err = note_extents(&job, d);
	if (!err)
		err = copy_inline(&job, d);
	if (!err && offset > le64_get(job.item.size))
		err = edit_grow(edit, &job.subvol, inode->ino, &job.item, offset, d);
	/* Inline data and extents behind it do not go together. */
	if (!err && offset + job.len > job.subvol.sectorsize)
		err = edit_uninline(edit, &job.subvol, inode->ino, &job.item, d);
	if (err)
		return err;
	edit_changing(edit);
	return share_extents(&job, d);
}
