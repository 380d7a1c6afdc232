/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/base/array.h"
#include "mkfs/archive_input.h"

#define BLOCK_BYTES (256 * 1024)
#define TEXT_BYTES_MAX (256 * MIB)

struct archive_input {
	const char *path;
	gzFile gz; /* passes through what is not gzip */
	bool is_regular;
	bool is_first_taken; /* the first block is read when it is opened */
	u8 *block;
	size_t block_len;
};

static int fill(struct archive_input *input, struct diag *d)
{
	int got = gzread(input->gz, input->block, BLOCK_BYTES), number = 0;
	const char *text = gzerror(input->gz, &number);

	/* A stream that is cut short gives what it has first, and then this. */
	if (got < 0 || (got == 0 && number != Z_OK && number != Z_STREAM_END)) {
		int err = number == Z_ERRNO && errno ? -errno : -EBADMSG;

		return diag_fail(d, err, "%s: %s", input->path,
				 number == Z_ERRNO ? strerror(-err) : number == Z_BUF_ERROR ? "ends too early" : text);
	}
	input->block_len = (size_t)got;
	return 0;
}

int archive_input_open(const char *path, struct archive_input **ret_input, struct diag *d)
{
	_cleanup_(archive_input_closep) struct archive_input *input = calloc(1, sizeof(*input));
	bool is_stdin = strcmp(path, "-") == 0;
	_close_ int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st) < 0)
		return diag_fail(d, -errno, "%s: cannot open: %s", is_stdin ? "standard input" : path, strerror(errno));
	if (input) {
		input->path = is_stdin ? "standard input" : path;
		input->is_regular = S_ISREG(st.st_mode) && !is_stdin;
		input->block = malloc(BLOCK_BYTES);
		input->gz = gzdopen(fd, "rb");
	}
	if (!input || !input->block || !input->gz)
		return diag_no_memory(d, path);
	fd = -1; /* gzclose() closes it */
	(void)gzbuffer(input->gz, BLOCK_BYTES / 2);
	err = fill(input, d);
	if (err)
		return err;
	*ret_input = take_ptr(input);
	return 0;
}

void archive_input_close(struct archive_input *input)
{
	if (!input)
		return;
	if (input->gz)
		(void)gzclose_r(input->gz); /* nothing is written; what it read was judged */
	free(input->block);
	free(input);
}

bool archive_input_begins_with(const struct archive_input *input, const char *text)
{
	return input->block_len >= strlen(text) && memcmp(input->block, text, strlen(text)) == 0;
}

bool archive_input_is_plain_file(const struct archive_input *input)
{
	return input->is_regular && gzdirect(input->gz);
}

int archive_input_read(struct archive_input *input, const void **ret_bytes, size_t *ret_len, struct diag *d)
{
	int err = input->is_first_taken ? fill(input, d) : 0;

	input->is_first_taken = true;
	*ret_bytes = input->block;
	*ret_len = err ? 0 : input->block_len;
	return err;
}

int archive_input_read_text(struct archive_input *input, char **ret_text, struct diag *d)
{
	ARRAY(char) text = { 0 };
	const void *bytes;
	size_t len;
	int err = 0;

	do {
		err = archive_input_read(input, &bytes, &len, d);
		if (!err && memchr(bytes, 0, len))
			err = diag_fail(d, -EINVAL, "%s: a manifest with NUL bytes", input->path);
		if (!err && text.len + len > TEXT_BYTES_MAX)
			err = diag_fail(d, -EFBIG, "%s: a manifest of more than 256 MiB", input->path);
		if (!err && array_reserve(&text, len + 1) < 0)
			err = diag_no_memory(d, input->path);
		if (!err) {
			memcpy(text.items + text.len, bytes, len);
			text.len += len;
			text.items[text.len] = '\0';
		}
	} while (!err && len > 0);
	if (err)
		array_done(&text);
	*ret_text = text.items;
	return err;
}

int archive_input_finish(struct archive_input *input, struct diag *d)
{
	const void *bytes;
	size_t len;
	int err;

	do {
		err = archive_input_read(input, &bytes, &len, d);
	} while (!err && len > 0);
	return err;
}
