/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contents of files, with their holes. What cannot be read is left out, and said. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmds/restore.h"

#define PIECE_BYTES ((size_t)MIB)
/* After a bad place, reading goes on in steps of this. */
#define STEP_BYTES ((size_t)4096)

struct filling {
	struct restore *r;
	struct btrkit_file *from;
	struct pending_file *file;
	u8 *buf;
	u64 bad_bytes;
	bool cannot_write;
	struct btrkit_error first_bad;
};

/* 0, or -errno when the destination cannot be written. */
static int write_out(const struct filling *f, u64 offset, size_t len)
{
	const u8 *from = f->buf;

	while (len > 0) {
		ssize_t n = pwrite(f->file->fd, from, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		atomic_fetch_add(&f->r->nr_bytes, (u64)n);
		progress_add(&f->r->progress, (u64)n, 0);
		from += n;
		offset += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_range(struct filling *f, u64 offset, u64 len)
{
	size_t piece = PIECE_BYTES;

	while (len > 0 && !restore_is_cancelled(f->r)) {
		struct btrkit_error error = { 0 };
		size_t got = 0, want = (size_t)MIN(len, (u64)piece);
		int err = btrkit_file_read(f->from, offset, f->buf, want, &got, &error);
		int write_err = write_out(f, offset, MIN(got, want));

		if (write_err)
			return write_err;
		offset += got;
		len -= got;
		if (!err && got < want)
			return 0; /* the end of the file */
		piece = err ? STEP_BYTES : PIECE_BYTES;
		if (!err || got > 0 || want > STEP_BYTES)
			continue;
		if (f->bad_bytes == 0)
			f->first_bad = error;
		f->bad_bytes += want;
		offset += want;
		len -= want;
	}
	return 0;
}

/* Reserve what the file has reserved, where the destination can; if not, it reads the same. */
static void reserve(const struct filling *f, const struct btrkit_file_range *range)
{
	(void)fallocate(f->file->fd, FALLOC_FL_KEEP_SIZE, (off_t)range->offset, (off_t)range->len);
}

static int copy_ranges(struct filling *f, struct btrkit_error *error)
{
	struct btrkit_file_range range;
	int err;

	for (u64 at = 0; (err = btrkit_file_range_at(f->from, at, &range, error)) == 0; at += range.len) {
		if (restore_is_cancelled(f->r))
			return -ECANCELED;
		if (range.kind == BTRKIT_RANGE_PREALLOC)
			reserve(f, &range);
		else if (range.kind == BTRKIT_RANGE_DATA)
			err = copy_range(f, range.offset, range.len);
		if (err) {
			f->cannot_write = true;
			snprintf(error->text, sizeof(error->text), "cannot be written: %s", strerror(-err));
			return err;
		}
	}
	return err < 0 ? err : 0;
}

/* Whatever went wrong, the file is as long as it was. */
static void set_size(const struct filling *f)
{
	if (ftruncate(f->file->fd, (off_t)f->file->st.size) < 0)
		restore_complain(f->r, "%s: cannot set size %llu: %s", f->file->path, (unsigned long long)f->file->st.size,
				 strerror(errno));
}

void restore_open(struct restore *r, struct pending_file *file)
{
	struct btrkit_error error = { 0 };

	if (restore_is_cancelled(r) || btrkit_file_open(r->fs, &file->st.inode, &file->from, &error) == 0)
		return;
	file->from = NULL;
	file->why = malloc(sizeof(*file->why));
	if (file->why)
		*file->why = error;
}

void restore_fill(struct restore *r, unsigned worker, struct pending_file *file)
{
	struct filling f = { .r = r, .file = file, .buf = r->buffers[worker], .from = take_ptr(file->from) };
	struct btrkit_error error = { .text = "out of memory" };
	int err = f.from ? 0 : -EIO;

	restore_early_flags(r, file->fd, &file->st);
	if (!err) {
		btrkit_file_skip_damage(f.from);
		err = copy_ranges(&f, &error);
	} else if (file->why) {
		error = *file->why;
	}
	if (restore_is_cancelled(r)) {
		btrkit_file_close(f.from);
		return;
	}
	set_size(&f);
	if (err && f.cannot_write)
		restore_complain(r, "%s: %s", file->path, error.text);
	else if (err)
		restore_lose(r, "%s: %s", file->path, error.text);
	if (f.bad_bytes)
		restore_lose(r, "%s: %llu bytes cannot be read: %s", file->path, (unsigned long long)f.bad_bytes,
				 f.first_bad.text);
	if (f.from && btrkit_file_nr_skipped(f.from))
		restore_lose(r, "%s: parts of the file's map cannot be read, data may be missing", file->path);
	btrkit_file_close(f.from);
	restore_metadata_fd(r, file->fd, &file->st, file->path);
	file->is_filled = true;
	progress_add(&r->progress, 0, 1);
}
