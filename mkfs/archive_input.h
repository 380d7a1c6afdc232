/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of an archive, from a file or standard input. gzip is undone here, because libarchive does not look at its
 * checksums.
 */
#ifndef BTRKIT_MKFS_ARCHIVE_INPUT_H
#define BTRKIT_MKFS_ARCHIVE_INPUT_H

#include "common/base/cleanup.h"
#include "common/base/diag.h"

struct archive_input;

/* @path, which is kept, or "-" for standard input. */
int archive_input_open(const char *path, struct archive_input **ret_input, struct diag *d);
void archive_input_close(struct archive_input *input);
DEFINE_FREEP(struct archive_input *, archive_input_close)

/* Does it begin with @text? */
bool archive_input_begins_with(const struct archive_input *input, const char *text);
/* Could a reader as well open the file and seek in it: a regular file that gzip has not touched? */
bool archive_input_is_plain_file(const struct archive_input *input);

/* The next piece, which is valid until the next call; *ret_len 0: the end, with all checksums seen to be right. */
int archive_input_read(struct archive_input *input, const void **ret_bytes, size_t *ret_len, struct diag *d);
/* All the rest, with a NUL behind it; to be freed. */
int archive_input_read_text(struct archive_input *input, char **ret_text, struct diag *d);
/* Read to the end, for the checksums that are there. */
int archive_input_finish(struct archive_input *input, struct diag *d);

#endif
