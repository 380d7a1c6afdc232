/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contents of files. Who opens one is about to read it: the device is told what comes next as soon as that is known, so that it has
 * something to do while what was read is checked and written, and can take what lies apart in the order that suits it.
 */
#include <sys/stat.h>

#include "convert/view/view.h"

typedef unsigned long long ull;

#define AHEAD_AT_OPEN ((u64)512 * KIB)
#define AHEAD_AT_READ ((u64)8 * MIB)

struct foreign_file {
	struct source_sink sink;
	struct view *view;
	struct btrkit_inode inode;
	u64 size;
	bool is_link;
	ARRAY(struct source_run) runs;
	ARRAY(u8) bytes; /* instead of runs: a small file, or the target of a link */
	bool has_bytes;
	u64 ahead; /* to here the device has been told */
	u64 next; /* where a further read goes on, if it does */
	struct diag damage; /* why not all runs are known; err 0: they are */
	u64 nr_skipped;
};

/* --- Reading ahead ---------------------------------------------------------------------------------------------- */

static const struct source_run *run_at(const struct foreign_file *file, u64 offset);

static void tell_run(const struct foreign_file *file, const struct source_run *run, u64 from, u64 to)
{
	const struct view *view = file->view;
	u64 skipped = MAX(from, run->file_offset) - run->file_offset;

	/* What is compressed is shorter than what it becomes; how much, nobody knows here. What lies behind it mostly comes next. */
	if (run->device < view->nr_devs && run->physical && skipped < run->len)
		blockdev_read_ahead(view->devs[run->device], run->physical + skipped, MIN(run->len, to - run->file_offset) - skipped);
}

/* What of the file from @offset on has not been told yet, to @len bytes behind it; in steps, so that it is not much work. */
static void read_ahead(struct foreign_file *file, u64 offset, u64 len)
{
	u64 from = MAX(offset, file->ahead), to = MIN(offset + len, file->size);

	if (from >= to || (file->ahead > offset && to - from < len / 4 && to < file->size))
		return;
	for (const struct source_run *run = run_at(file, from); run && run < file->runs.items + file->runs.len; run++) {
		if (run->file_offset >= to)
			break;
		tell_run(file, run, from, to);
	}
	file->ahead = to;
}

/* --- Opening ---------------------------------------------------------------------------------------------------- */

static int take_file(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct foreign_file *file = container_of(sink, struct foreign_file, sink);

	if (!S_ISREG(inode->mode) && !S_ISLNK(inode->mode))
		return diag_fail(d, S_ISDIR(inode->mode) ? -EISDIR : -EINVAL, "inode %llu of subvolume %llu is not a regular file",
				 (ull)file->inode.ino, (ull)file->inode.subvol);
	file->size = inode->size;
	file->is_link = S_ISLNK(inode->mode);
	return 0;
}

static int take_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	struct foreign_file *file = container_of(sink, struct foreign_file, sink);

	(void)ino;
	if (array_reserve(&file->runs, nr) < 0)
		return diag_no_memory(d, "runs of a file");
	if (nr)
		memcpy(file->runs.items + file->runs.len, runs, nr * sizeof(*runs));
	file->runs.len += nr;
	return 0;
}

static int take_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	struct foreign_file *file = container_of(sink, struct foreign_file, sink);

	(void)ino;
	if (array_reserve(&file->bytes, len) < 0)
		return diag_no_memory(d, "contents of a file");
	if (len)
		memcpy(file->bytes.items, data, len);
	file->bytes.len = len;
	file->has_bytes = true;
	return 0;
}

static int take_target(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	container_of(sink, struct foreign_file, sink)->size = len;
	return take_bytes(sink, ino, target, len, d);
}

int view_file_open(void *ctx, const struct btrkit_inode *inode, struct foreign_file **ret_file, u64 *ret_size, struct diag *d)
{
	struct source *source = ((struct view *)ctx)->source;
	struct foreign_file *file = calloc(1, sizeof(*file));
	int err;

	if (!file)
		return diag_no_memory(d, "an open file");
	file->sink = (struct source_sink){
		.inode = take_file, .symlink = take_target, .runs = take_runs, .bytes = take_bytes,
	};
	file->view = ctx;
	file->inode = view_plain_inode(ctx, inode);
	err = source->ops->look(source, file->inode.subvol, file->inode.ino, &file->sink, d);
	/* What is known of the contents can be read. */
	if ((err == -EUCLEAN || err == -EIO || err == -EOPNOTSUPP) && file->runs.len > 0) {
		diag_copy(&file->damage, d);
		diag_clear(d);
		err = 0;
	}
	if (err) {
		view_file_close(file);
		return err;
	}
	read_ahead(file, 0, AHEAD_AT_OPEN);
	*ret_size = file->size;
	*ret_file = file;
	return 0;
}

void view_file_close(struct foreign_file *file)
{
	if (!file)
		return;
	array_done(&file->runs);
	array_done(&file->bytes);
	free(file);
}

u64 view_file_nr_skipped(const struct foreign_file *file)
{
	return file->nr_skipped;
}

/* --- Where data is ---------------------------------------------------------------------------------------------- */

/* The first run that ends behind @offset; NULL: none does. */
static const struct source_run *run_at(const struct foreign_file *file, u64 offset)
{
	size_t i = array_lower_bound(&file->runs, run, run->file_offset + run->len <= offset);

	return i < file->runs.len ? &file->runs.items[i] : NULL;
}

/* Behind the last run that is known there may be others. */
static int judge_hole(struct foreign_file *file, const struct source_run *next, bool do_skip_damage, struct diag *d)
{
	if (next || !file->damage.err)
		return 0;
	if (!do_skip_damage)
		return diag_copy(d, &file->damage);
	if (!file->nr_skipped)
		diag_note(d, DIAG_WARNING, "%s", file->damage.text);
	file->nr_skipped = 1;
	return 0;
}

int view_file_range_at(struct foreign_file *file, bool do_skip_damage, u64 offset, struct btrkit_file_range *ret_range, struct diag *d)
{
	const struct source_run *run = run_at(file, offset);
	struct btrkit_file_range range = { .offset = offset, .kind = BTRKIT_RANGE_HOLE };
	u64 end = file->size;
	int err;

	if (file->has_bytes) {
		range.kind = BTRKIT_RANGE_DATA;
		range.is_inline = true;
	} else if (run && run->file_offset <= offset) {
		range.kind = BTRKIT_RANGE_DATA;
		end = run->file_offset + run->len;
	} else {
		err = judge_hole(file, run, do_skip_damage, d);
		if (err)
			return err;
		if (run)
			end = run->file_offset;
	}
	range.len = MIN(end, file->size) - offset;
	*ret_range = range;
	return 0;
}

/* --- Reading ---------------------------------------------------------------------------------------------------- */

static void read_bytes(const struct foreign_file *file, u64 offset, u8 *buf, size_t len)
{
	size_t have = offset < file->bytes.len ? MIN(len, file->bytes.len - (size_t)offset) : 0;

	if (have)
		memcpy(buf, file->bytes.items + offset, have);
	memset(buf + have, 0, len - have);
}

/* As runs say, for kinds whose runs are nothing but the bytes. */
static int read_runs(struct foreign_file *file, bool do_skip_damage, u64 offset, u8 *buf, size_t len, size_t *ret_len, struct diag *d)
{
	struct source *source = file->view->source;

	for (size_t done = 0, part; done < len; done += part) {
		u64 at = offset + done;
		const struct source_run *run = run_at(file, at);
		bool is_data = run && run->file_offset <= at;
		u64 end = is_data ? run->file_offset + run->len : run ? run->file_offset : UINT64_MAX;
		int err = is_data ? 0 : judge_hole(file, run, do_skip_damage, d);

		part = (size_t)MIN((u64)(len - done), end - at);
		if (is_data && run->is_encoded)
			err = diag_fail(d, -EOPNOTSUPP, "inode %llu: its data is stored in an unknown way", (ull)file->inode.ino);
		else if (is_data)
			err = source->ops->read(source, run->physical + (at - run->file_offset), buf + done, part, d);
		else
			memset(buf + done, 0, part);
		if (err)
			return err;
		*ret_len = done + part;
	}
	return 0;
}

int view_file_read(struct foreign_file *file, bool do_skip_damage, u64 offset, void *buf, size_t len, size_t *ret_len, struct diag *d)
{
	struct source *source = file->view->source;
	u64 bad_offset = offset;
	int err;

	*ret_len = 0;
	/* Not for who reads here and there. */
	if (offset == file->next)
		read_ahead(file, offset + len, AHEAD_AT_READ);
	file->next = offset + len;
	if (file->has_bytes) {
		read_bytes(file, offset, buf, len);
		*ret_len = len;
		return 0;
	}
	if (!source->ops->read_file)
		return read_runs(file, do_skip_damage, offset, buf, len, ret_len, d);
	err = source->ops->read_file(source, file->inode.subvol, file->inode.ino, offset, buf, len, &bad_offset, d);
	if (!err)
		*ret_len = len;
	else if (bad_offset > offset)
		*ret_len = (size_t)MIN(bad_offset - offset, (u64)len - 1);
	return err == -EUCLEAN ? -EIO : err;
}
