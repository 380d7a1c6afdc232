/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/checked.h"
#include "kernel-shared/device/file_device.h"

struct file_device {
	struct blockdev dev;
	int fd;
	u64 base_offset;
};

static struct file_device *file_of(const struct blockdev *dev)
{
	return container_of(dev, struct file_device, dev);
}

static int io_failure(struct blockdev *dev, u64 offset, size_t len, const char *verb, int err, struct diag *d)
{
	return diag_fail(d, -err, "%s: cannot %s %zu bytes at %llu: %s", dev->name, verb, len,
			 (unsigned long long)offset, strerror(err));
}

static int file_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct file_device *file = file_of(dev);
	u8 *at = buf;

	while (len > 0) {
		ssize_t got = pread(file->fd, at, len, (off_t)(file->base_offset + offset));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return io_failure(dev, offset, len, "read", errno, d);
		if (got == 0)
			return diag_fail(d, -EIO, "%s: ends at %llu, earlier than when it was opened", dev->name,
					 (unsigned long long)offset);
		at += got;
		offset += (u64)got;
		len -= (size_t)got;
	}
	return 0;
}

static int file_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	struct file_device *file = file_of(dev);
	const u8 *at = buf;

	while (len > 0) {
		ssize_t put = pwrite(file->fd, at, len, (off_t)(file->base_offset + offset));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return io_failure(dev, offset, len, "write", errno, d);
		at += put;
		offset += (u64)put;
		len -= (size_t)put;
	}
	return 0;
}

static int file_flush(struct blockdev *dev, struct diag *d)
{
	if (fdatasync(file_of(dev)->fd) == 0)
		return 0;
	return diag_fail(d, -errno, "%s: cannot flush: %s", dev->name, strerror(errno));
}

static void file_write_out(struct blockdev *dev, u64 offset, u64 len)
{
	struct file_device *file = file_of(dev);

	/* What cannot be written is told of by the flush. */
	(void)sync_file_range(file->fd, (off_t)(file->base_offset + offset), (off_t)len, SYNC_FILE_RANGE_WRITE);
}

/* Of one call, Linux reads no more than the device takes at once. */
#define READ_AHEAD_BYTES ((u64)1 << 20)

static void file_read_ahead(struct blockdev *dev, u64 offset, u64 len)
{
	struct file_device *file = file_of(dev);

	for (u64 end = offset + len, step; offset < end; offset += step) {
		step = MIN(end - offset, READ_AHEAD_BYTES);
		(void)posix_fadvise(file->fd, (off_t)(file->base_offset + offset), (off_t)step, POSIX_FADV_WILLNEED);
	}
}

static int file_discard(struct blockdev *dev, u64 offset, u64 len, struct diag *d)
{
	struct file_device *file = file_of(dev);
	u64 range[2] = { file->base_offset + offset, len };
	int ret;

	if (dev->is_block_special)
		ret = ioctl(file->fd, BLKDISCARD, range);
	else
		ret = fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)range[0], (off_t)len);
	if (ret == 0)
		return 0;
	return diag_fail(d, -errno, "%s: cannot discard: %s", dev->name, strerror(errno));
}

static int file_clone(struct blockdev *dev, u64 offset, int fd, u64 from, u64 len)
{
	struct file_device *file = file_of(dev);
	struct file_clone_range range = {
		.src_fd = fd,
		.src_offset = from,
		.src_length = len,
		.dest_offset = file->base_offset + offset,
	};

	if (dev->is_block_special)
		return -EOPNOTSUPP;
	return ioctl(file->fd, FICLONERANGE, &range) == 0 ? 0 : -EOPNOTSUPP;
}

static void file_close(struct blockdev *dev)
{
	struct file_device *file = file_of(dev);

	closep(&file->fd);
	free(dev->name);
	free(file);
}

static const struct blockdev_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.discard = file_discard,
	.clone = file_clone,
	.write_out = file_write_out,
	.read_ahead = file_read_ahead,
	.close = file_close,
};

static int not_a_device(const char *path, struct diag *d)
{
	return diag_fail(d, -EINVAL, "%s: neither a block device nor a regular file", path);
}

static int open_fd(const char *path, unsigned flags, struct diag *d)
{
	int open_flags = O_CLOEXEC | (flags & FILE_DEVICE_WRITE ? O_RDWR : O_RDONLY);
	struct stat st;
	int fd;

	if (flags & FILE_DEVICE_CREATE) {
		open_flags |= O_CREAT | O_EXCL;
	} else if (stat(path, &st) == 0) {
		/* Opening a fifo would wait, and some devices do things when opened. */
		if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
			return not_a_device(path, d);
		if ((flags & FILE_DEVICE_EXCLUSIVE) && S_ISBLK(st.st_mode))
			open_flags |= O_EXCL; /* fails when it is mounted or claimed */
	}
	fd = open(path, open_flags, 0666);
	if (fd >= 0)
		return fd;
	if (errno == EBUSY)
		return diag_fail(d, -EBUSY, "%s: in use (mounted, or claimed by another program)", path);
	return diag_fail(d, -errno, "%s: cannot open: %s", path, strerror(errno));
}

static int find_size(struct file_device *file, const char *path, u64 size_bytes, struct diag *d)
{
	struct stat st;
	u64 whole;

	if (fstat(file->fd, &st) < 0)
		return diag_fail(d, -errno, "%s: cannot stat: %s", path, strerror(errno));
	if (S_ISBLK(st.st_mode)) {
		file->dev.is_block_special = true;
		if (ioctl(file->fd, BLKGETSIZE64, &whole) < 0)
			return diag_fail(d, -errno, "%s: cannot find the device's size: %s", path, strerror(errno));
	} else if (S_ISREG(st.st_mode)) {
		whole = (u64)st.st_size;
	} else {
		return not_a_device(path, d);
	}
	if (file->base_offset > whole) {
		if (file->dev.is_block_special || !file->dev.is_writable)
			return diag_fail(d, -EINVAL, "%s: only %llu bytes long, cannot begin at %llu", path,
					 (unsigned long long)whole, (unsigned long long)file->base_offset);
		whole = file->base_offset;
	}
	whole -= file->base_offset;
	if (size_bytes > whole && (file->dev.is_block_special || !file->dev.is_writable))
		return diag_fail(d, -EINVAL, "%s: has only %llu bytes, %llu wanted", path, (unsigned long long)whole,
				 (unsigned long long)size_bytes);
	file->dev.size_bytes = size_bytes && size_bytes < whole ? size_bytes : whole;
	return 0;
}

int file_device_open(const char *path, unsigned flags, u64 base_offset, u64 size_bytes, struct blockdev **ret_dev,
		     struct diag *d)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = NULL;
	struct file_device *file = calloc(1, sizeof(*file));
	int err;

	if (!file)
		return diag_no_memory(d, path);
	file->fd = -1;
	file->base_offset = base_offset;
	file->dev.ops = &file_ops;
	file->dev.is_writable = flags & FILE_DEVICE_WRITE;
	dev = &file->dev;
	dev->name = strdup(path);
	if (!dev->name)
		return diag_no_memory(d, path);
	file->fd = open_fd(path, flags, d);
	if (file->fd < 0)
		return file->fd;
	err = find_size(file, path, size_bytes, d);
	if (err)
		return err;
	if ((flags & FILE_DEVICE_EXCLUSIVE) && !dev->is_block_special && flock(file->fd, LOCK_EX | LOCK_NB) < 0)
		return diag_fail(d, -EBUSY, "%s: in use by another program", path);
	*ret_dev = take_ptr(dev);
	return 0;
}

int file_device_resize(struct blockdev *dev, u64 size_bytes, bool may_shrink, struct diag *d)
{
	struct file_device *file = file_of(dev);
	struct stat st;
	u64 end;

	if (dev->is_block_special)
		return size_bytes <= dev->size_bytes ? 0
						     : diag_fail(d, -ENOSPC, "%s: has %llu bytes, %llu needed", dev->name,
								 (unsigned long long)dev->size_bytes,
								 (unsigned long long)size_bytes);
	if (!checked_add(file->base_offset, size_bytes, &end) || end > INT64_MAX)
		return diag_fail(d, -EFBIG, "%s: %llu bytes are too many", dev->name, (unsigned long long)size_bytes);
	if (fstat(file->fd, &st) < 0)
		return diag_fail(d, -errno, "%s: cannot stat: %s", dev->name, strerror(errno));
	if ((end > (u64)st.st_size || (may_shrink && end < (u64)st.st_size)) && ftruncate(file->fd, (off_t)end) < 0)
		return diag_fail(d, -errno, "%s: cannot set the size to %llu: %s", dev->name, (unsigned long long)end,
				 strerror(errno));
	dev->size_bytes = size_bytes;
	return 0;
}

int file_device_fd(const struct blockdev *dev)
{
	return file_of(dev)->fd;
}

/* --- The same? ---------------------------------------- */

/* Where bytes come from in the end. */
struct file_identity {
	bool is_block;
	u64 dev, inode; /* of a block device: its number, and 0 */
	u64 offset;
};

static bool identify(int fd, struct file_identity *ret)
{
	struct loop_info64 loop = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	*ret = (struct file_identity){ .is_block = S_ISBLK(st.st_mode), .dev = st.st_dev, .inode = st.st_ino };
	if (!ret->is_block)
		return true;
	*ret = (struct file_identity){ .is_block = true, .dev = st.st_rdev };
	/* A partition of a loop device answers for the whole, but has another number. */
	if (major(st.st_rdev) == LOOP_MAJOR && ioctl(fd, LOOP_GET_STATUS64, &loop) == 0 && loop.lo_number == minor(st.st_rdev))
		*ret = (struct file_identity){ .dev = loop.lo_device, .inode = loop.lo_inode, .offset = loop.lo_offset };
	return true;
}

bool file_is_same_device(int fd, int other_fd)
{
	struct file_identity one, other;

	return identify(fd, &one) && identify(other_fd, &other) && one.is_block == other.is_block && one.dev == other.dev &&
	       one.inode == other.inode && one.offset == other.offset;
}

bool path_is_same_device(const char *path, const char *other)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_close_ int other_fd = open(other, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 && other_fd >= 0 && file_is_same_device(fd, other_fd);
}
