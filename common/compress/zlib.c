/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* zlib: one stream with its header, window 32 KiB. */
#include <zlib.h>

#include "common/compress/codec.h"

struct zlib_state {
	z_stream deflate, inflate;
	bool has_deflate, has_inflate; /* each made on first use */
};

static int zlib_init(struct codec_workspace *ws)
{
	(void)ws;
	return 0;
}

static void zlib_done(struct codec_workspace *ws)
{
	struct zlib_state *state = ws->state;

	if (state->has_deflate)
		deflateEnd(&state->deflate);
	if (state->has_inflate)
		inflateEnd(&state->inflate);
}

static int zlib_compress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
			 size_t *ret_len)
{
	struct zlib_state *state = ws->state;
	z_stream *stream = &state->deflate;

	if (!state->has_deflate && deflateInit(stream, ws->level) != Z_OK)
		return -ENOMEM;
	state->has_deflate = true;
	deflateReset(stream);
	stream->next_in = (Bytef *)(uintptr_t)src;
	stream->avail_in = (uInt)len;
	stream->next_out = dst;
	stream->avail_out = (uInt)cap;
	if (deflate(stream, Z_FINISH) != Z_STREAM_END)
		return -E2BIG;
	*ret_len = cap - stream->avail_out;
	return 0;
}

static int zlib_decompress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
			   size_t *ret_len)
{
	struct zlib_state *state = ws->state;
	z_stream *stream = &state->inflate;
	int result;

	if (!state->has_inflate && inflateInit(stream) != Z_OK)
		return -ENOMEM;
	state->has_inflate = true;
	inflateReset(stream);
	stream->next_in = (Bytef *)(uintptr_t)src;
	stream->avail_in = (uInt)len;
	stream->next_out = dst;
	stream->avail_out = (uInt)cap;
	result = inflate(stream, Z_FINISH);
	/* A full output buffer is success too: an extent may hold more than is asked for. */
	if (result != Z_STREAM_END && !(result == Z_BUF_ERROR && stream->avail_out == 0))
		return -EUCLEAN;
	*ret_len = cap - stream->avail_out;
	return 0;
}

const struct codec codec_zlib = {
	.type = 1,
	.name = "zlib",
	.has_levels = true,
	.level_min = 1,
	.level_max = 9,
	.level_default = 3,
	.workspace_bytes = sizeof(struct zlib_state),
	.init = zlib_init,
	.done = zlib_done,
	.compress = zlib_compress,
	.decompress = zlib_decompress,
};
