/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a node's contents, from memory or through its source. A reader belongs to one worker and keeps one file open. */
#include <unistd.h>

#include "kernel-shared/build/content.h"

int content_read_spool(const struct btrkit_content *content, u64 offset, void *buf, size_t len, struct diag *d)
{
	u8 *at = buf;

	while (len > 0) {
		ssize_t got = pread(content->spool_fd, at, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return diag_fail(d, got < 0 ? -errno : -EIO, "cannot read the compressed data back");
		at += got;
		offset += (u64)got;
		len -= (size_t)got;
	}
	return 0;
}

static int source_failure(const struct btrkit_content *content, u32 node, const struct btrkit_error *error,
			  struct diag *d)
{
	char path[512];

	if (error->text[0])
		return diag_fail(d, error->err, "%s", error->text);
	btrkit_content_path(content, node, path, sizeof(path));
	return diag_fail(d, error->err, "/%s: cannot read: %s", path, strerror(-error->err));
}

/* Let go of the open file; @do_check: ask the source whether it is still what was planned with. */
static int reader_close(struct content_reader *reader, bool do_check, struct diag *d)
{
	const struct btrkit_data_source *source = reader->source;
	u32 node = reader->node;
	struct btrkit_error error = { 0 };
	int err = 0;

	if (node == CONTENT_NONE)
		return 0;
	if (do_check && source->check)
		err = source->check(source->ctx, reader->handle, reader->content->nodes.items[node].size, &error);
	source->close(source->ctx, reader->handle);
	reader->node = CONTENT_NONE;
	if (err) {
		error.err = err;
		return source_failure(reader->content, node, &error, d);
	}
	return 0;
}

void content_reader_done(struct content_reader *reader)
{
	(void)reader_close(reader, false, NULL);
}

int content_reader_finish(struct content_reader *reader, struct diag *d)
{
	return reader_close(reader, true, d);
}

static int reader_open(struct content_reader *reader, u32 node, struct diag *d)
{
	const struct content_node *at = &reader->content->nodes.items[node];
	const struct btrkit_data_source *source = reader->content->sources.items[at->source];
	struct btrkit_error error = { 0 };
	int err;

	if (reader->node == node)
		return 0;
	/* Each time, for other workers may read other parts of the same file, and it may end in a hole. */
	err = reader_close(reader, true, d);
	if (err)
		return err;
	error.err = source->open(source->ctx, reader->worker, node, at->data, &reader->handle, &error);
	if (error.err)
		return source_failure(reader->content, node, &error, d);
	reader->source = source;
	reader->node = node;
	return 0;
}

static int read_source(struct content_reader *reader, u32 node, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct btrkit_error error = { 0 };
	int err = reader_open(reader, node, d);

	if (err)
		return err;
	error.err = reader->source->read(reader->source->ctx, reader->handle, offset, buf, len, &error);
	if (error.err)
		return source_failure(reader->content, node, &error, d);
	return offset + len == reader->content->nodes.items[node].size ? reader_close(reader, true, d) : 0;
}

int content_descriptor(struct content_reader *reader, u32 node, int *ret_fd, u64 *ret_base_offset, struct diag *d)
{
	const struct content_node *at = &reader->content->nodes.items[node];
	int err;

	*ret_fd = -1;
	if (at->data_kind != CONTENT_DATA_SOURCE || !reader->content->sources.items[at->source]->descriptor)
		return 0;
	err = reader_open(reader, node, d);
	if (!err)
		*ret_fd = reader->source->descriptor(reader->source->ctx, reader->handle, ret_base_offset);
	return err;
}

int content_read(struct content_reader *reader, u32 node, u64 offset, void *buf, size_t len, struct diag *d)
{
	const struct content_node *at = &reader->content->nodes.items[node];

	switch ((enum content_data_kind)at->data_kind) {
	case CONTENT_DATA_SOURCE:
		return read_source(reader, node, offset, buf, len, d);
	case CONTENT_DATA_COPY:
		memcpy(buf, content_bytes(reader->content, at->data + offset), len);
		return 0;
	case CONTENT_DATA_BORROWED:
		memcpy(buf, (const u8 *)(uintptr_t)at->data + offset, len);
		return 0;
	case CONTENT_DATA_PLACED:
		return reader->content->options.read_placed(reader->content->options.placed_ctx, at->data + offset, buf, len, d);
	case CONTENT_DATA_STAYS:
		return diag_fail(d, -EINVAL, "data that stays where it is would be read");
	case CONTENT_DATA_SPOOLED_INLINE: /* what it holds is no longer the file's bytes */
	case CONTENT_DATA_NONE:
		break;
	}
	memset(buf, 0, len);
	return 0;
}
