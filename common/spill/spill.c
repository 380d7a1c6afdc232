/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/spill/spill.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/cleanup.h"

int temporary_file_open(const char *dir, int *ret_fd, struct diag *d)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_free_ char *path = NULL;

	/* Not every filesystem can make files without names. */
	if (fd < 0 && asprintf(&path, "%s/btrkit-XXXXXX", dir) < 0)
		return diag_no_memory(d, "a temporary file");
	if (fd < 0) {
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			(void)unlink(path);
	}
	if (fd < 0)
		return diag_fail(d, -errno, "%s: cannot make a temporary file: %s", dir, strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int look_for_cancel(const struct spill *spill, struct diag *d)
{
	if (spill->is_cancelled && atomic_load_explicit(spill->is_cancelled, memory_order_relaxed))
		return diag_fail(d, -ECANCELED, "cancelled");
	return 0;
}

int spill_write(struct spill *spill, int fd, u64 offset, const void *bytes, size_t len_bytes, struct diag *d)
{
	size_t done = 0;
	int err = look_for_cancel(spill, d);

	while (done < len_bytes && !err) {
		ssize_t n = pwrite(fd, (const u8 *)bytes + done, len_bytes - done, (off_t)(offset + done));

		if (n < 0 && errno != EINTR)
			err = diag_fail(d, -errno, "%s: cannot write to a temporary file: %s", spill->dir, strerror(errno));
		else if (n == 0)
			err = diag_fail(d, -EIO, "%s: cannot write to a temporary file", spill->dir);
		else if (n > 0)
			done += (size_t)n;
	}
	atomic_fetch_add_explicit(&spill->written_bytes, done, memory_order_relaxed);
	return err;
}

int spill_read(const struct spill *spill, int fd, u64 offset, void *ret_bytes, size_t len_bytes, struct diag *d)
{
	size_t done = 0;
	int err = look_for_cancel(spill, d);

	while (done < len_bytes && !err) {
		ssize_t n = pread(fd, (u8 *)ret_bytes + done, len_bytes - done, (off_t)(offset + done));

		if (n < 0 && errno != EINTR)
			err = diag_fail(d, -errno, "%s: cannot read a temporary file: %s", spill->dir, strerror(errno));
		else if (n == 0)
			err = diag_fail(d, -EIO, "%s: a temporary file became shorter", spill->dir);
		else if (n > 0)
			done += (size_t)n;
	}
	return err;
}
