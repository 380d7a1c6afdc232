/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_io.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/checked.h"

static errcode_t io_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	free(channel->name);
	free(channel);
	return 0;
}

static errcode_t io_open(const char *name, int flags, io_channel *ret_channel)
{
	io_channel channel;
	uintptr_t address;
	struct ext_io *io;

	if (flags & IO_FLAG_RW || sscanf(name, "%" SCNxPTR, &address) != 1)
		return EROFS;
	io = (struct ext_io *)address;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return EXT2_ET_NO_MEMORY;
	channel->name = strdup(name);
	if (!channel->name) {
		free(channel);
		return EXT2_ET_NO_MEMORY;
	}
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = &io->manager;
	channel->block_size = EXT2_MIN_BLOCK_SIZE;
	channel->refcount = 1;
	channel->private_data = io;
	*ret_channel = channel;
	return 0;
}

static errcode_t io_set_block_size(io_channel channel, int block_size)
{
	channel->block_size = block_size;
	return 0;
}

/* A negative @count is one of bytes. */
static errcode_t io_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	struct ext_io *io = channel->private_data;
	u64 offset, len = count < 0 ? (u64)-(s64)count : (u64)count * (u64)channel->block_size;

	if (!checked_mul(block, (u64)channel->block_size, &offset) || !range_fits(offset, len, io->dev->size_bytes))
		return EXT2_ET_SHORT_READ;
	return blockdev_read(io->dev, offset, data, (size_t)len, &io->diag) ? EIO : 0;
}

static errcode_t io_read(io_channel channel, unsigned long block, int count, void *data)
{
	return io_read64(channel, block, count, data);
}

static errcode_t io_write64(io_channel channel, unsigned long long block, int count, const void *data)
{
	(void)channel, (void)block, (void)count, (void)data; /* nothing is ever written */
	return EROFS;
}

static errcode_t io_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return io_write64(channel, block, count, data);
}

static errcode_t io_flush(io_channel channel)
{
	(void)channel; /* nothing was written */
	return 0;
}

int ext_io_open_fs(struct ext_io *io, struct blockdev *dev, ext2_filsys *ret_fs, struct diag *d)
{
	char name[2 + 2 * sizeof(uintptr_t) + 1];
	errcode_t code;

	*io = (struct ext_io){
		.manager = {
			.magic = EXT2_ET_MAGIC_IO_MANAGER,
			.name = "btrkit",
			.open = io_open,
			.close = io_close,
			.set_blksize = io_set_block_size,
			.read_blk = io_read,
			.read_blk64 = io_read64,
			.write_blk = io_write,
			.write_blk64 = io_write64,
			.flush = io_flush,
		},
		.dev = dev,
	};
	snprintf(name, sizeof(name), "%" PRIxPTR, (uintptr_t)io);
	code = ext2fs_open2(name, NULL, EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP, 0, 0, &io->manager, ret_fs);
	return code ? ext_io_fail(io, code, dev->name, d) : 0;
}

int ext_io_fail(const struct ext_io *io, errcode_t code, const char *what, struct diag *d)
{
	const struct error_table *texts = &et_ext2_error_table;

	if (io->diag.err)
		return diag_copy(d, &io->diag);
	if (code == EXT2_ET_NO_MEMORY || code == ENOMEM)
		return diag_no_memory(d, what);
	if (code == EXT2_ET_UNSUPP_FEATURE || code == EXT2_ET_RO_UNSUPP_FEATURE)
		return diag_fail(d, -EOPNOTSUPP, "%s: %s", what, texts->msgs[code - texts->base]);
	if (code >= texts->base && code < texts->base + (errcode_t)texts->n_msgs)
		return diag_fail(d, -EUCLEAN, "%s: %s; run e2fsck -f", what, texts->msgs[code - texts->base]);
	return diag_fail(d, -EIO, "%s: libext2fs fails with %ld", what, (long)code);
}
