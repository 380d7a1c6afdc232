/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The floor of moving chunks: a plain copy. Reads READ bytes of an image's data, holes left out, from front to end, in pieces of a
 * megabyte, with one thread, and writes WRITE bytes of what was read to another file, evenly; then flushes that.
 *
 *	reshape_floor IMAGE OUTPUT READ WRITE
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/types.h"

#define PIECE_BYTES MIB

struct copy {
	int from, to;
	u64 to_read, to_write; /* left */
	u64 written;
	char *buf;
};

_Noreturn static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Its share of what is to be written. */
static void write_share(struct copy *copy, size_t got)
{
	u64 share = copy->to_read > got ? (u64)((double)copy->to_write * (double)got / (double)copy->to_read) : copy->to_write;

	copy->to_read -= MIN(copy->to_read, (u64)got);
	copy->to_write -= share;
	while (share > 0) {
		ssize_t put = pwrite(copy->to, copy->buf, (size_t)MIN(share, (u64)got), (off_t)copy->written);

		if (put <= 0)
			die("write");
		copy->written += (u64)put;
		share -= (u64)put;
	}
}

static void copy_range(struct copy *copy, off_t at, off_t end)
{
	while (at < end && copy->to_read > 0) {
		size_t want = (size_t)MIN((u64)(end - at), MIN((u64)PIECE_BYTES, copy->to_read));
		ssize_t got = pread(copy->from, copy->buf, want, at);

		if (got <= 0)
			die("read");
		at += got;
		write_share(copy, (size_t)got);
	}
}

int main(int argc, char **argv)
{
	struct copy copy = { 0 };
	off_t at = 0, end;

	if (argc != 5) {
		fprintf(stderr, "usage: reshape_floor IMAGE OUTPUT READ WRITE\n");
		return 2;
	}
	copy.from = open(argv[1], O_RDONLY | O_CLOEXEC);
	copy.to = open(argv[2], O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	copy.to_read = strtoull(argv[3], NULL, 10);
	copy.to_write = strtoull(argv[4], NULL, 10);
	copy.buf = malloc(PIECE_BYTES);
	if (copy.from < 0 || copy.to < 0 || !copy.buf)
		die(argv[1]);
	while (copy.to_read > 0) {
		at = lseek(copy.from, at, SEEK_DATA);
		if (at < 0)
			at = lseek(copy.from, 0, SEEK_DATA); /* once more from the front: of several devices this is one */
		end = at < 0 ? -1 : lseek(copy.from, at, SEEK_HOLE);
		if (end < 0)
			die("lseek");
		copy_range(&copy, at, end);
		at = end;
	}
	if (fdatasync(copy.to) < 0)
		die("flush");
	close(copy.from);
	close(copy.to);
	free(copy.buf);
	return 0;
}
