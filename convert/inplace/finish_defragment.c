/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that lie in many small pieces are written anew, each in one transaction, with their times kept. What snapshots
 * or other files share stays: to write it anew would take the space twice.
 */
#include <btrkit/edit.h>

#include "convert/inplace/finish.h"
#include "kernel-shared/fs/file_extent.h"

typedef unsigned long long ull;

/* So often somewhere else, in smaller pieces on average, is too often. */
#define PIECES_MIN 8
#define PIECE_BYTES_MAX (256 * KIB)

/* Data without a hole in it. */
struct run {
	u64 offset, len;
	u32 nr_pieces;
};
struct runs {
	ARRAY(struct run) list;
};

struct fragmented {
	u64 ino, bytes;
};
struct fragmented_files {
	ARRAY(struct fragmented) list;
};

/* What the walk has seen of one file. */
struct survey {
	u64 ino, bytes, nr_pieces;
	u64 next_physical, next_offset;
	bool is_left; /* something in it that stays as it is */
};

/* --- Finding them ---------------------------------------- */

static int end_file(struct survey *survey, struct fragmented_files *files, struct diag *d)
{
	const struct fragmented file = { survey->ino, survey->bytes };

	if (survey->is_left || survey->nr_pieces < PIECES_MIN || survey->bytes / survey->nr_pieces >= PIECE_BYTES_MAX)
		return 0;
	return array_push(&files->list, file) < 0 ? diag_no_memory(d, "fragmented files") : 0;
}

static int survey_extent(const struct finish *finish, struct survey *survey, const struct file_extent *extent,
			 struct diag *d)
{
	u64 at = extent->disk_bytenr + extent->extent_offset, refs = 0;
	int err;

	if (extent->kind == EXTENT_HOLE || extent->kind == EXTENT_INLINE)
		return 0;
	survey->bytes += extent->len;
	if (extent->kind == EXTENT_PREALLOC || extent->compression) {
		survey->is_left = true;
		return 0;
	}
	/* What a hole divides stays apart. */
	survey->nr_pieces += at != survey->next_physical && extent->file_offset == survey->next_offset;
	survey->next_physical = at + extent->len;
	survey->next_offset = extent->file_offset + extent->len;
	if (survey->is_left)
		return 0;
	err = txn_data_refs(finish->relocate.fs->txn, extent->disk_bytenr, extent->disk_num_bytes, &refs, d);
	survey->is_left |= refs != 1;
	return err < 0 ? err : 0;
}

/* A snapshot shares leaves, of which the extents know nothing. One that has gone has left its mark, too. */
static bool may_be_shared(const struct cursor *cursor, u64 last_snapshot)
{
	return cursor->path[0].block->generation <= last_snapshot;
}

static int find_files(const struct finish *finish, const struct tree *tree, struct fragmented_files *files,
		      struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	struct survey survey = { 0 };
	struct disk_root_item root;
	int err = fs_root_item(finish->relocate.fs, tree->id, &root, d);

	if (err)
		return err;
	for (err = cursor_first(&cursor, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);
		struct file_extent extent;

		if (key.type != EXTENT_DATA_KEY)
			continue;
		if (key.objectid != survey.ino) {
			err = end_file(&survey, files, d);
			survey = (struct survey){ .ino = key.objectid };
		}
		survey.is_left |= may_be_shared(&cursor, le64_get(root.last_snapshot));
		if (!err)
			err = file_extent_unpack(&cursor, finish->relocate.fs->volume->sectorsize, &extent, d);
		if (!err)
			err = survey_extent(finish, &survey, &extent, d);
		if (err)
			return err;
	}
	return err < 0 ? err : end_file(&survey, files, d);
}

/* --- Writing one anew ---------------------------------------- */

static int find_runs(const struct finish *finish, const struct tree *tree, u64 ino, u64 size, struct runs *runs,
		     struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key first = { ino, EXTENT_DATA_KEY, 0 };
	u64 next_physical = 0;
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0 && cursor_is_at(&cursor, ino, EXTENT_DATA_KEY);
	     err = cursor_next(&cursor, d)) {
		struct run *last = runs->list.len ? &runs->list.items[runs->list.len - 1] : NULL;
		struct file_extent extent;
		u64 at, len;

		err = file_extent_unpack(&cursor, finish->relocate.fs->volume->sectorsize, &extent, d);
		if (err)
			return err;
		if (extent.kind != EXTENT_REGULAR || extent.file_offset >= size)
			continue;
		at = extent.disk_bytenr + extent.extent_offset;
		len = MIN(extent.len, size - extent.file_offset);
		if (last && last->offset + last->len == extent.file_offset) {
			last->len += len;
			last->nr_pieces += at != next_physical;
		} else if (array_push(&runs->list, (struct run){ extent.file_offset, len, 1 }) < 0) {
			return diag_no_memory(d, "a file's extents");
		}
		next_physical = at + extent.len;
	}
	return err < 0 ? err : 0;
}

struct rewrite {
	struct btrkit_fs *fs;
	struct btrkit_inode inode;
	struct progress *progress;
	struct btrkit_error error; /* of a read */
};

/* Nothing is changed before all of it was read and written. */
static int read_again(void *arg, uint64_t at, void *buf, size_t len)
{
	struct rewrite *rewrite = arg;
	struct btrkit_file *file;
	size_t got = 0;
	int err = btrkit_file_open(rewrite->fs, &rewrite->inode, &file, &rewrite->error);

	if (err)
		return err;
	err = btrkit_file_read(file, at, buf, len, &got, &rewrite->error);
	btrkit_file_close(file);
	memset((u8 *)buf + got, 0, len - got);
	progress_add(rewrite->progress, got, 0);
	return err;
}

static int keep_times(struct btrkit_edit *edit, const struct btrkit_stat *stat, struct btrkit_error *error)
{
	const struct btrkit_node_attr attr = { .atime = stat->atime, .mtime = stat->mtime, .ctime = stat->ctime };

	return btrkit_edit_set_attr(edit, &stat->inode, BTRKIT_SET_ATIME | BTRKIT_SET_MTIME | BTRKIT_SET_CTIME, &attr,
				    error);
}

static int write_anew(struct finish *finish, struct btrkit_edit *edit, const struct tree *tree, u64 ino, struct diag *d)
{
	struct rewrite rewrite = {
		.fs = finish->relocate.fs,
		.inode = { BTRKIT_TOP_SUBVOL, ino },
		.progress = finish->relocate.progress,
	};
	struct btrkit_error error = { 0 };
	struct btrkit_stat stat;
	struct runs runs = { 0 };
	int err = btrkit_stat(rewrite.fs, &rewrite.inode, &stat, &error);

	if (err)
		return diag_fail(d, err, "%s", error.text);
	err = find_runs(finish, tree, ino, stat.size, &runs, d);
	if (err) {
		array_done(&runs.list);
		return err;
	}
	for (size_t i = 0; i < runs.list.len && !err; i++)
		if (runs.list.items[i].nr_pieces > 1)
			err = btrkit_edit_write_from(edit, &rewrite.inode, runs.list.items[i].offset,
						     runs.list.items[i].len, read_again, &rewrite, &error);
	array_done(&runs.list);
	if (!err)
		err = keep_times(edit, &stat, &error);
	if (!err)
		err = btrkit_edit_commit(edit, &error);
	return err ? diag_fail(d, err, "%s", rewrite.error.text[0] ? rewrite.error.text : error.text) : 0;
}

/* Some files cannot be written anew, and stay as they are. */
static int pass_over(struct btrkit_edit *edit, u64 ino, int err, struct diag *d)
{
	if (err != -ENOSPC && err != -EPERM && err != -EIO)
		return err;
	btrkit_edit_abort(edit);
	diag_note(d, DIAG_NOTE, "inode %llu stays in its many pieces: %s", (ull)ino, d ? d->text : "");
	diag_clear(d);
	return 0;
}

static int write_all_anew(struct finish *finish, const struct fragmented_files *files, struct diag *d)
{
	struct btrkit_error error;
	struct btrkit_edit *edit;
	int err = btrkit_edit_new(finish->relocate.fs, NULL, &edit, &error);

	if (err)
		return diag_fail(d, err, "%s", error.text);
	for (size_t i = 0; i < files->list.len && !err; i++) {
		struct tree tree;

		err = finish_is_cancelled(finish, d);
		if (!err)
			err = fs_tree(finish->relocate.fs, FS_TREE_OBJECTID, &tree, d);
		if (err)
			break;
		err = write_anew(finish, edit, &tree, files->list.items[i].ino, d);
		if (err)
			err = pass_over(edit, files->list.items[i].ino, err, d);
		else
			finish->result->nr_defragmented++;
		progress_add(finish->relocate.progress, 0, 1);
	}
	btrkit_edit_free(edit);
	return err;
}

int finish_defragment(struct finish *finish, bool is_count_only, struct diag *d)
{
	struct fragmented_files files = { 0 };
	struct tree tree;
	u64 total = 0;
	int err;

	err = fs_tree(finish->relocate.fs, FS_TREE_OBJECTID, &tree, d);
	if (!err)
		err = find_files(finish, &tree, &files, d);
	array_for_each (&files.list, file)
		total += file->bytes;
	finish->result->nr_fragmented = files.list.len;
	if (!err && !is_count_only) {
		progress_begin(finish->relocate.progress, "defragment", total, files.list.len);
		err = write_all_anew(finish, &files, d);
	}
	array_done(&files.list);
	return err;
}
