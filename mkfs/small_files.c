/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/spill/spill.h"
#include "mkfs/small_files.h"

#define BLOCK_BYTES ((u32)(256 * KIB))
#define WINDOW_MIN_BYTES ((u32)(8 * KIB))

/* A worker's block of the temporary file: first the one that it fills, later a window on what it reads. */
struct small_block {
	u8 *bytes; /* BLOCK_BYTES; NULL: not used yet */
	u64 offset;
	u32 len;
	u32 window_bytes; /* how much to read next time */
	u32 used_bytes; /* of the window */
	u64 cookie; /* of the open file */
};

struct small_files {
	int fd;
	atomic_bool is_full; /* nothing more is kept */
	atomic_ullong end; /* of the blocks given out so far */
	unsigned nr_workers;
	struct small_block *blocks;
	struct btrkit_data_source source;
};

/* --- Keeping ------------------------------------------------------------------------------------------------- */

static int write_block(const struct small_files *files, struct small_block *block)
{
	for (u32 done = 0; done < block->len;) {
		ssize_t put = pwrite(files->fd, block->bytes + done, block->len - done, (off_t)(block->offset + done));

		if (put < 0 && errno != EINTR)
			return -errno;
		done += put > 0 ? (u32)put : 0;
	}
	block->len = 0;
	return 0;
}

/*
 * A fresh block for this worker, or -ENOSPC. Its room is taken at once: when a block is full its files are promised, and
 * it must be possible to write it.
 */
static int next_block(struct small_files *files, struct small_block *block)
{
	if (!block->bytes)
		block->bytes = malloc(BLOCK_BYTES);
	if (!block->bytes || (block->len && write_block(files, block) < 0))
		return -ENOSPC;
	block->offset = atomic_fetch_add(&files->end, BLOCK_BYTES);
	if (fallocate(files->fd, 0, (off_t)block->offset, BLOCK_BYTES) < 0 && errno != EOPNOTSUPP)
		return -ENOSPC;
	return 0;
}

u64 small_files_keep(struct small_files *files, unsigned worker, const void *bytes, u32 len)
{
	struct small_block *block = &files->blocks[worker];

	if (len > SMALL_FILE_BYTES || worker >= files->nr_workers ||
	    atomic_load_explicit(&files->is_full, memory_order_relaxed))
		return SMALL_FILE_NOT_KEPT;
	if (!block->bytes || block->len + len > BLOCK_BYTES) {
		if (next_block(files, block) < 0) {
			atomic_store(&files->is_full, true);
			return SMALL_FILE_NOT_KEPT;
		}
	}
	memcpy(block->bytes + block->len, bytes, len);
	block->len += len;
	return block->offset + block->len - len;
}

int small_files_finish(struct small_files *files)
{
	for (unsigned w = 0; w < files->nr_workers; w++) {
		struct small_block *block = &files->blocks[w];
		int err = write_block(files, block);

		if (err)
			return err;
		block->window_bytes = WINDOW_MIN_BYTES;
	}
	return 0;
}

/* --- Reading ------------------------------------------------------------------------------------------------- */

static int small_open(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		      struct btrkit_error *error)
{
	struct small_files *files = ctx;

	(void)node, (void)error;
	if (worker >= files->nr_workers)
		return -EINVAL;
	files->blocks[worker].cookie = cookie;
	*ret_handle = &files->blocks[worker];
	return 0;
}

/*
 * Move the window so that it begins at @offset. Files that lie one after the other are mostly read so, and a window
 * serves hundreds; one that served few is followed by a smaller one.
 */
static int move_window(const struct small_files *files, struct small_block *block, u64 offset)
{
	if (!block->bytes)
		block->bytes = malloc(BLOCK_BYTES);
	if (!block->bytes)
		return -ENOMEM;
	if (block->used_bytes < block->len / 4)
		block->window_bytes = MAX(block->window_bytes / 2, WINDOW_MIN_BYTES);
	else
		block->window_bytes = MIN(block->window_bytes * 2, BLOCK_BYTES);
	block->offset = offset;
	block->len = block->used_bytes = 0;
	while (block->len < block->window_bytes) {
		ssize_t got = pread(files->fd, block->bytes + block->len, block->window_bytes - block->len,
				    (off_t)(offset + block->len));

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			break;
		block->len += got > 0 ? (u32)got : 0;
	}
	return 0;
}

static int small_read(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error)
{
	const struct small_files *files = ctx;
	struct small_block *block = handle;
	int err = 0;

	offset += block->cookie;
	if (offset < block->offset || offset + len > block->offset + block->len)
		err = move_window(files, block, offset);
	if (!err && len > block->len)
		err = -EIO;
	if (err) {
		snprintf(error->text, sizeof(error->text), "cannot read the temporary copy of small files back: %s",
			 strerror(-err));
		return err;
	}
	memcpy(buf, block->bytes + (offset - block->offset), len);
	block->used_bytes += (u32)len;
	return 0;
}

static void small_close(void *ctx, void *handle)
{
	(void)ctx, (void)handle;
}

const struct btrkit_data_source *small_files_source(const struct small_files *files)
{
	return &files->source;
}

/* --- The whole ----------------------------------------------------------------------------------------------- */

int small_files_new(const char *spool_dir, unsigned workers, struct small_files **ret_files)
{
	struct small_files *files = calloc(1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	files->blocks = calloc(workers, sizeof(*files->blocks));
	if (!files->blocks) {
		free(files);
		return -ENOMEM;
	}
	files->nr_workers = workers;
	files->fd = -1;
	files->is_full = temporary_file_open(spool_dir, &files->fd, NULL) < 0;
	files->source = (struct btrkit_data_source){
		.ctx = files,
		.open = small_open,
		.read = small_read,
		.close = small_close,
	};
	*ret_files = files;
	return 0;
}

void small_files_free(struct small_files *files)
{
	if (!files)
		return;
	for (unsigned w = 0; w < files->nr_workers; w++)
		free(files->blocks[w].bytes);
	free(files->blocks);
	closep(&files->fd);
	free(files);
}
