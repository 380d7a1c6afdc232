/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New contents for a range of a file. Data goes to free space first, in extents as long as can be had, with what is kept of the
 * sectors at both ends; until that has succeeded nothing of the filesystem has changed. Then the range's old extents are
 * dropped and the new ones take their place. Small files are kept in their inline extent.
 */
#include <sys/stat.h>

#include "kernel-shared/fs/edit_ops.h"
#include "kernel-shared/space/csum_range.h"

typedef unsigned long long ull;

#define PIECE_BYTES ((u32)MIB)
/* As Linux without options. */
#define INLINE_BYTES_MAX 2048u
/* Rather one extent of this size than the first bit of free space. */
#define EXTENT_BYTES_WANTED ((u64)MIB)

struct new_extent {
	u64 file_offset, logical, len;
	u8 *csums; /* owned; NULL: none */
};

struct write_job {
	struct btrkit_edit *edit;
	struct subvol_edit *subvol;
	struct btrkit_inode inode;
	bool has_csums;
	u64 start, end; /* sectors that are written */
	u64 offset, len; /* of the new bytes, in them */
	btrkit_fill_fn fill; /* NULL: zeroes */
	void *arg;
	u64 old_end; /* what was in the file behind this reads as zeroes */
	ARRAY(struct new_extent) extents;
	u8 *buf; /* of PIECE_BYTES */
};

static void job_done(struct write_job *job)
{
	array_for_each(&job->extents, extent)
		free(extent->csums);
	array_done(&job->extents);
	free(job->buf);
}

void edit_add_nbytes(struct disk_inode_item *item, u64 added, u64 dropped)
{
	u64 nbytes = le64_get(item->nbytes) + added;

	le64_put(&item->nbytes, nbytes > dropped ? nbytes - dropped : 0);
}

/* --- What the sectors hold ------------------------------------------------------------------------------------------------- */

int edit_read(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 at, void *buf, size_t len, struct diag *d)
{
	struct btrkit_error error = { 0 };
	struct btrkit_file *file;
	size_t got = 0;
	int err = btrkit_file_open(edit->fs, inode, &file, &error);

	if (err)
		return diag_fail(d, err, "%s", error.text);
	err = btrkit_file_read(file, at, buf, len, &got, &error);
	btrkit_file_close(file);
	if (err)
		return diag_fail(d, err, "%s", error.text);
	memset((u8 *)buf + got, 0, len - got);
	return 0;
}

/* What is kept of the file in [at, at + len). */
static int keep(struct write_job *job, u64 at, u8 *buf, size_t len, struct diag *d)
{
	size_t have = at < job->old_end ? (size_t)MIN((u64)len, job->old_end - at) : 0;
	int err = have ? edit_read(job->edit, &job->inode, at, buf, have, d) : 0;

	memset(buf + have, 0, len - have);
	return err;
}

static int fill_new(struct write_job *job, u64 at, u8 *buf, size_t len, struct diag *d)
{
	int err;

	if (!job->fill) {
		memset(buf, 0, len);
		return 0;
	}
	err = job->fill(job->arg, at, buf, len);
	return err < 0 && d && !d->err ? diag_fail(d, err, "data for the file: %s", strerror(-err)) : err;
}

/* The bytes of whole sectors, or of an inline extent. */
static int fill_range(struct write_job *job, u64 at, u8 *buf, size_t len, struct diag *d)
{
	u64 end = at + len, new_start = MIN(MAX(job->offset, at), end), new_end = MAX(MIN(job->offset + job->len, end), new_start);
	int err = 0;

	if (new_start > at)
		err = keep(job, at, buf, (size_t)(new_start - at), d);
	if (!err && new_end > new_start)
		err = fill_new(job, new_start, buf + (new_start - at), (size_t)(new_end - new_start), d);
	if (!err && end > new_end)
		err = keep(job, new_end, buf + (new_end - at), (size_t)(end - new_end), d);
	return err;
}

/* --- Data to free space ------------------------------------------------------------------------------------------------------ */

static int alloc_extent(struct write_job *job, u64 at, struct new_extent *ret_extent, struct diag *d)
{
	u64 sectorsize = job->subvol->sectorsize, want = MIN(job->end - at, (u64)EXTENT_BYTES_MAX);
	struct new_extent extent = { .file_offset = at };
	int err = txn_alloc_data(job->subvol->txn, want, MIN(want, EXTENT_BYTES_WANTED), &extent.logical, &extent.len, d);

	if (err == -ENOSPC && want > sectorsize) {
		diag_clear(d);
		err = txn_alloc_data(job->subvol->txn, want, sectorsize, &extent.logical, &extent.len, d);
	}
	if (err)
		return err;
	if (job->has_csums)
		extent.csums = malloc(extent.len / sectorsize * job->edit->fs->csum->size_bytes);
	if ((job->has_csums && !extent.csums) || array_push(&job->extents, extent) < 0) {
		free(extent.csums);
		(void)txn_unalloc_data(job->subvol->txn, extent.logical, extent.len, NULL); /* it fails already */
		return diag_no_memory(d, "data checksums");
	}
	*ret_extent = extent;
	return 0;
}

static int write_extent(struct write_job *job, const struct new_extent *extent, struct diag *d)
{
	const struct csum_kind *csum = job->edit->fs->csum;
	u32 sectorsize = job->subvol->sectorsize;
	int err = 0;

	for (u64 done = 0; done < extent->len && !err;) {
		u32 len = (u32)MIN((u64)PIECE_BYTES, extent->len - done);

		err = fill_range(job, extent->file_offset + done, job->buf, len, d);
		for (u32 at = 0; !err && extent->csums && at < len; at += sectorsize)
			csum_compute(csum, job->buf + at, sectorsize, extent->csums + (done + at) / sectorsize * csum->size_bytes);
		if (!err)
			err = volume_write(job->edit->fs->volume, extent->logical + done, job->buf, len, d);
		done += len;
	}
	return err;
}

/* Give back all that was taken. */
static void release(struct write_job *job)
{
	array_for_each(&job->extents, extent) {
		free(extent->csums);
		(void)txn_unalloc_data(job->subvol->txn, extent->logical, extent->len, NULL); /* there is a failure to tell of */
	}
	job->extents.len = 0;
}

static int write_data(struct write_job *job, struct diag *d)
{
	struct new_extent extent = { 0 };
	int err = 0;

	job->buf = malloc(PIECE_BYTES);
	if (!job->buf)
		return diag_no_memory(d, "a piece of a file");
	for (u64 at = job->start; at < job->end && !err; at += extent.len) {
		err = alloc_extent(job, at, &extent, d);
		if (!err)
			err = write_extent(job, &extent, d);
		if (err)
			break;
	}
	if (err)
		release(job);
	return err;
}

/* --- The new extents take the place of the old -------------------------------------------------------------------------------- */

static int place_extent(struct write_job *job, const struct new_extent *extent, struct disk_inode_item *item,
			struct diag *d)
{
	const struct csum_geometry geometry = { job->subvol->sectorsize, job->edit->fs->csum->size_bytes };
	const struct extent_item new = {
		.disk_bytenr = extent->logical,
		.disk_num_bytes = extent->len,
		.num_bytes = extent->len,
		.ram_bytes = extent->len,
		.type = FILE_EXTENT_REG,
	};
	struct tree_root *csums;
	u64 dropped;
	int err = file_drop_extents(job->subvol, job->inode.ino, extent->file_offset, extent->file_offset + extent->len,
				    &dropped, d);

	if (!err)
		err = file_insert_extent(job->subvol, job->inode.ino, extent->file_offset, &new, true, d);
	if (!err)
		edit_add_nbytes(item, extent->len, dropped);
	if (err || !extent->csums)
		return err;
	err = txn_tree(job->subvol->txn, CSUM_TREE_OBJECTID, &csums, d);
	return err ? err
		   : csum_range_insert(csums, &geometry, extent->logical, extent->csums,
				       extent->len / job->subvol->sectorsize, d);
}

static int place_data(struct write_job *job, struct disk_inode_item *item, struct diag *d)
{
	int err = 0;

	edit_changing(job->edit);
	for (size_t i = 0; i < job->extents.len && !err; i++)
		err = place_extent(job, &job->extents.items[i], item, d);
	return err;
}

static struct write_job job_of(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino,
			       const struct disk_inode_item *item, u64 offset, u64 len)
{
	return (struct write_job){
		.edit = edit,
		.subvol = subvol,
		.inode = { subvol->id, ino },
		.has_csums = !(le64_get(item->flags) & INODE_NODATASUM),
		.start = round_down_u64(offset, subvol->sectorsize),
		.end = round_up_u64(offset + len, subvol->sectorsize),
		.offset = offset,
		.len = len,
		.old_end = le64_get(item->size),
	};
}

static int run_job(struct write_job *job, struct disk_inode_item *item, struct diag *d)
{
	int err = write_data(job, d);

	return err ? err : place_data(job, item, d);
}

/* --- Inline ------------------------------------------------------------------------------------------------------------------ */

/* What the file begins with, if that is an inline extent: *ret_len of the file, in whole sectors; 0: it is not. */
static int inline_len(const struct subvol_edit *subvol, u64 ino, u64 *ret_len, struct diag *d)
{
	struct file_extent extent;
	int err = file_extent_at(subvol, ino, 0, FILE_END, &extent, d);

	*ret_len = !err && extent.kind == EXTENT_INLINE ? extent.len : 0;
	return err;
}

int edit_uninline(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item,
		  struct diag *d)
{
	_cleanup_(job_done) struct write_job job = job_of(edit, subvol, ino, item, 0, 0);
	int err = inline_len(subvol, ino, &job.end, d);

	return err || job.end == 0 ? err : run_job(&job, item, d);
}

/* Could the file be inline if it had @size bytes, and has it nothing that would have to stay behind that? */
static int may_be_inline(const struct subvol_edit *subvol, u64 ino, const struct disk_inode_item *item, u64 size,
			 bool *ret_may, struct diag *d)
{
	u32 room = leaf_item_max_bytes(block_cache_nodesize(subvol->root->tree.cache)) - (u32)FILE_EXTENT_INLINE_HEADER_BYTES;
	struct file_extent behind;
	int err;

	*ret_may = size > 0 && size <= MIN(room, MIN(INLINE_BYTES_MAX, subvol->sectorsize - 1)) &&
		   !(le64_get(item->flags) & INODE_NODATACOW);
	if (!*ret_may)
		return 0;
	err = file_extent_at(subvol, ino, subvol->sectorsize, FILE_END, &behind, d);
	*ret_may = !err && behind.kind == EXTENT_HOLE && behind.file_offset + behind.len == FILE_END;
	return err;
}

/* The file's @size bytes, of which the job has some, become its inline extent. */
static int write_inline(struct write_job *job, struct disk_inode_item *item, u64 size, struct diag *d)
{
	u8 data[INLINE_BYTES_MAX];
	u64 dropped;
	int err = fill_range(job, 0, data, (size_t)size, d);

	if (err)
		return err;
	edit_changing(job->edit);
	err = file_drop_extents(job->subvol, job->inode.ino, 0, job->subvol->sectorsize, &dropped, d);
	if (!err)
		err = file_insert_inline(job->subvol, job->inode.ino, data, (u32)size, size, COMPRESS_NONE, d);
	edit_add_nbytes(item, size, dropped);
	return err;
}

int edit_resize_inline(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item,
		       u64 size, bool *ret_did, struct diag *d)
{
	_cleanup_(job_done) struct write_job job = job_of(edit, subvol, ino, item, 0, 0);
	u64 old_size = le64_get(item->size), len;
	bool may;
	int err = inline_len(subvol, ino, &len, d);

	*ret_did = len > 0;
	if (err || len == 0)
		return err;
	err = may_be_inline(subvol, ino, item, size, &may, d);
	if (err)
		return err;
	job.old_end = MIN(old_size, size);
	if (may)
		return write_inline(&job, item, size, d);
	job.end = len;
	return run_job(&job, item, d);
}

/* --- Writing ------------------------------------------------------------------------------------------------------------------ */

/* Is there an extent with data, of which a part can become zeroes? */
static int has_data(const struct subvol_edit *subvol, u64 ino, u64 at, u64 len, bool *ret_has, struct diag *d)
{
	struct file_extent extent;
	int err;

	*ret_has = false;
	if (len == 0)
		return 0;
	err = file_extent_at(subvol, ino, at, FILE_END, &extent, d);
	*ret_has = !err && extent.kind == EXTENT_REGULAR;
	return err;
}

int edit_zero_in_sector(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 at,
			u64 len, struct diag *d)
{
	return edit_zero_in_sectors(edit, subvol, ino, item, at, len, 0, 0, d);
}

int edit_zero_in_sectors(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 at,
			 u64 len, u64 other_at, u64 other_len, struct diag *d)
{
	_cleanup_(job_done) struct write_job job = job_of(edit, subvol, ino, item, at, len);
	_cleanup_(job_done) struct write_job other = job_of(edit, subvol, ino, item, other_at, other_len);
	bool do_job, do_other = false;
	int err = has_data(subvol, ino, at, len, &do_job, d);

	if (!err)
		err = has_data(subvol, ino, other_at, other_len, &do_other, d);
	if (!err && do_job)
		err = write_data(&job, d);
	if (!err && do_other)
		err = write_data(&other, d);
	if (err) {
		release(&job);
		return err;
	}
	if (do_job)
		err = place_data(&job, item, d);
	if (!err && do_other)
		err = place_data(&other, item, d);
	return err;
}

/* What lies between the old end and the write becomes a hole, without leftovers of the last sector: inline data has none. */
static int reach_out(struct write_job *job, struct disk_inode_item *item, bool was_inline, struct diag *d)
{
	u64 size = le64_get(item->size), old_sectors = round_up_u64(size, job->subvol->sectorsize);
	int err = 0;

	if (size < job->start && old_sectors > size && !was_inline)
		err = edit_zero_in_sector(job->edit, job->subvol, job->inode.ino, item, size, old_sectors - size, d);
	if (!err && old_sectors < job->start) {
		edit_changing(job->edit);
		err = file_fill_holes(job->subvol, job->inode.ino, old_sectors, job->start, d);
	}
	return err;
}

static int write_regular(struct write_job *job, struct disk_inode_item *item, struct diag *d)
{
	u64 len;
	int err = inline_len(job->subvol, job->inode.ino, &len, d);

	if (err)
		return err;
	if (len > job->start) /* all of it is written anew */
		job->start = 0;
	if (len && job->start == 0)
		job->end = MAX(job->end, len);
	err = write_data(job, d);
	if (!err && len && job->start > 0)
		err = edit_uninline(job->edit, job->subvol, job->inode.ino, item, d);
	if (!err)
		err = reach_out(job, item, len > 0, d);
	if (!err)
		return place_data(job, item, d);
	if (!job->edit->is_changing)
		release(job);
	return err;
}

int edit_write(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 offset, u64 len, btrkit_fill_fn fill,
	       void *arg, struct diag *d)
{
	_cleanup_(job_done) struct write_job job = { 0 };
	struct disk_inode_item item;
	struct subvol_edit subvol;
	u64 size;
	bool may;
	int err = edit_file(edit, inode, &subvol, &item, d);

	if (err || len == 0)
		return err;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return diag_fail(d, -EFBIG, "a file cannot have so many bytes");
	size = MAX(le64_get(item.size), offset + len);
	job = job_of(edit, &subvol, inode->ino, &item, offset, len);
	job.fill = fill;
	job.arg = arg;
	err = may_be_inline(&subvol, inode->ino, &item, size, &may, d);
	if (!err && may)
		err = write_inline(&job, &item, size, d);
	else if (!err)
		err = write_regular(&job, &item, d);
	if (err)
		return err;
	le64_put(&item.size, size);
	inode_touch(&subvol, &item, true);
	return inode_update(&subvol, inode->ino, &item, d);
}
