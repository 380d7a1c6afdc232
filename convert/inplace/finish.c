/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a conversion: the saved image goes, and what it held apart is put together. */
#include <stdio.h>
#include <sys/stat.h>

#include <btrkit/edit.h>

#include "convert/inplace/finish.h"
#include "convert/inplace/rollback.h"
#include "kernel-shared/build/job.h"

typedef unsigned long long ull;

/* Whatever number a name that was taken got it. */
#define SAVED_SUBVOL_PREFIX "/ext2_saved"
#define PATH_BYTES 4096

int finish_is_cancelled(const struct finish *finish, struct diag *d)
{
	return cancel_check(finish->relocate.cancel, d);
}

/* A public function's failure as one of ours. */
static int from_error(int err, const struct btrkit_error *error, struct diag *d)
{
	return err < 0 ? diag_fail(d, err, "%s", error->text) : err;
}

/* --- The saved image ---------------------------------------- */

/*
 * Subvolumes with this id, and files with this name, users make, too. What is deleted here is deleted for good: it has
 * the name that a conversion gives it, is the first file of its subvolume, and holds a filesystem.
 */
static int judge_path(struct btrkit_fs *fs, u64 ino, const struct fs_root *root, struct diag *d)
{
	const struct btrkit_inode top = { .subvol = SAVED_ROOT_ID, .ino = root->top_dir };
	struct btrkit_error error;
	char path[PATH_BYTES];
	int err = from_error(btrkit_path(fs, &top, path, sizeof(path), &error), &error, d);

	if (err)
		return err;
	if (strncmp(path, SAVED_SUBVOL_PREFIX, strlen(SAVED_SUBVOL_PREFIX)) == 0 && ino == SAVED_INO)
		return 0;
	return diag_fail(d, -EEXIST,
			 "%s/" SAVED_FILE_NAME
			 ": may be the saved filesystem, but is not where a conversion puts it; if it is, "
			 "delete that subvolume first",
			 path);
}

static int judge_image(struct finish *finish, u64 ino, struct diag *d)
{
	const struct btrkit_inode inode = { SAVED_ROOT_ID, ino };
	struct btrkit_fs *fs = finish->relocate.fs;
	_free_ u8 *head = malloc(SAVED_HEAD_BYTES);
	const struct saved_kind *kind;
	struct btrkit_error error;
	struct btrkit_file *file;
	const char *type;
	u64 total_bytes;
	size_t len = 0;
	int err;

	if (!head)
		return diag_no_memory(d, "the image's superblock");
	err = from_error(btrkit_file_open(fs, &inode, &file, &error), &error, d);
	if (err)
		return err;
	finish->result->image_bytes = btrkit_file_size(file);
	err = from_error(btrkit_file_read(file, 0, head, SAVED_HEAD_BYTES, &len, &error), &error, d);
	btrkit_file_close(file);
	if (!err)
		err = len == SAVED_HEAD_BYTES ? saved_kind_of(head, &kind, &type, &total_bytes, d) : 1;
	if (err == 1)
		return diag_fail(d, -EEXIST,
				 "the file that should be the saved filesystem holds none that is known: delete its "
				 "subvolume yourself");
	if (!err)
		snprintf(finish->result->source_type, sizeof(finish->result->source_type), "%s", type);
	return err;
}

/* *ret_has: there is one, and it may be deleted. */
static int find_image(struct finish *finish, bool *ret_has, struct diag *d)
{
	struct disk_inode_item inode;
	struct fs_root root;
	u64 ino;
	int err = saved_image_find(finish->relocate.fs, &root, &ino, &inode, d);

	*ret_has = !err;
	if (err == -ENOENT) {
		diag_clear(d);
		diag_note(d, DIAG_NOTE, "there is no saved filesystem any more");
		return 0;
	}
	if (!err)
		err = judge_path(finish->relocate.fs, ino, &root, d);
	return err ? err : judge_image(finish, ino, d);
}

/* The conversion has put the subvolume there without a change of the directory's times, which were the old
 * filesystem's. */
static int delete_subvol(struct btrkit_edit *edit, struct btrkit_fs *fs, struct diag *d)
{
	struct btrkit_node_attr times = { 0 };
	struct btrkit_stat top;
	struct btrkit_error error;
	int err = from_error(btrkit_stat(fs, &BTRKIT_INODE_TOP, &top, &error), &error, d);

	if (!err)
		err = from_error(btrkit_edit_subvol_delete(edit, SAVED_ROOT_ID, &error), &error, d);
	if (err)
		return err;
	times.mtime = top.mtime;
	times.ctime = top.ctime;
	err = btrkit_edit_set_attr(edit, &BTRKIT_INODE_TOP, BTRKIT_SET_MTIME | BTRKIT_SET_CTIME, &times, &error);
	return from_error(err, &error, d);
}

static int delete_image(struct finish *finish, struct diag *d)
{
	struct btrkit_fs *fs = finish->relocate.fs;
	u64 before = le64_get(fs->super.bytes_used);
	struct btrkit_edit *edit;
	struct btrkit_error error;
	int err = from_error(btrkit_edit_new(fs, NULL, &edit, &error), &error, d);

	if (err)
		return err;
	err = delete_subvol(edit, fs, d);
	if (!err)
		err = from_error(btrkit_edit_commit(edit, &error), &error, d);
	btrkit_edit_free(edit);
	if (!err && before > le64_get(fs->super.bytes_used))
		finish->result->freed_bytes = before - le64_get(fs->super.bytes_used);
	return err;
}

/* --- What there is ---------------------------------------- */

static void count_space(const struct btrkit_fs *fs, u64 *ret_nr_chunks, u64 *ret_unallocated_bytes)
{
	const struct chunk_map *chunks = fs->volume->chunks;

	*ret_nr_chunks = *ret_unallocated_bytes = 0;
	for (size_t i = 0; i < chunk_map_count(chunks); i++)
		*ret_nr_chunks += (chunk_map_at(chunks, i)->type & BLOCK_GROUP_DATA) != 0;
	array_for_each (&fs->volume->devices->devices, device)
		*ret_unallocated_bytes += device->total_bytes - MIN(device->total_bytes, device->bytes_used);
}

/* --- All together ---------------------------------------- */

static int finish_run(struct finish *finish, const struct btrkit_finish_options *options, struct diag *d)
{
	struct btrkit_finish_result *result = finish->result;
	bool has_image;
	int err;

	count_space(finish->relocate.fs, &result->nr_chunks_before, &result->unallocated_bytes_before);
	progress_begin(finish->relocate.progress, "delete", 0, 0);
	err = find_image(finish, &has_image, d);
	if (!err && has_image)
		err = delete_image(finish, d);
	if (!err && options->is_dry_run)
		err = finish_defragment(finish, true, d);
	if (!err && !options->is_dry_run && !options->no_compact)
		err = finish_compact(finish, d);
	if (!err && !options->is_dry_run && !options->no_compact)
		err = finish_defragment(finish, false, d);
	count_space(finish->relocate.fs, &result->nr_chunks, &result->unallocated_bytes);
	return err;
}

static int open_and_run(const struct btrkit_finish_options *options, struct btrkit_finish_result *result,
			struct diag *d)
{
	struct cancel *cancel = options->job ? &options->job->cancel : NULL;
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *fs = NULL;
	_cleanup_(pool_freep) struct pool *pool = NULL;
	struct btrkit_open_options open;
	struct finish finish = { .result = result };
	int err;

	if (!options->path)
		return diag_fail(d, -EINVAL, "no device was named");
	btrkit_open_options_init(&open);
	open.is_writable = true;
	open.is_overlaid = options->is_dry_run;
	open.note = options->note;
	open.note_arg = options->note_arg;
	err = fs_open_paths(&options->path, 1, &open, false, &fs, d);
	if (err)
		return err;
	if (pool_new(options->threads, cancel, &pool) < 0)
		return diag_no_memory(d, "threads");
	finish.relocate = (struct relocate){
		.fs = fs,
		.pool = pool,
		.cancel = cancel,
		.progress = options->job ? &options->job->progress : NULL,
	};
	return finish_run(&finish, options, d);
}

void btrkit_finish_options_init_size(struct btrkit_finish_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

int btrkit_convert_finish(const struct btrkit_finish_options *options, struct btrkit_finish_result *ret_result,
			  struct btrkit_error *error)
{
	struct btrkit_finish_result result = { 0 };
	struct btrkit_finish_options taken;
	struct fs_note note;
	struct diag d;
	int err;

	btrkit_finish_options_init(&taken);
	memcpy(&taken, options, MIN(options->struct_size, sizeof(taken)));
	note = (struct fs_note){ taken.note, taken.note_arg };
	fs_diag_init(&note, &d);
	err = open_and_run(&taken, &result, &d);
	if (ret_result)
		*ret_result = result;
	return fs_error(error, &d, err);
}
