/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* zstd: one frame without checksum; the window is at most 128 KiB, which is all that Linux allocates to read it. */
#if HAVE_ZSTD
#include <zstd.h>

#include "common/compress/codec.h"

#define WINDOW_LOG_MAX 17

struct zstd_state {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress; /* each made on first use */
};

static int zstd_init(struct codec_workspace *ws)
{
	(void)ws;
	return 0;
}

static void zstd_done(struct codec_workspace *ws)
{
	struct zstd_state *state = ws->state;

	ZSTD_freeCCtx(state->compress);
	ZSTD_freeDCtx(state->decompress);
}

static int make_compress(struct codec_workspace *ws)
{
	struct zstd_state *state = ws->state;

	state->compress = ZSTD_createCCtx();
	if (!state->compress)
		return -ENOMEM;
	ZSTD_CCtx_setParameter(state->compress, ZSTD_c_compressionLevel, ws->level);
	ZSTD_CCtx_setParameter(state->compress, ZSTD_c_windowLog, WINDOW_LOG_MAX);
	ZSTD_CCtx_setParameter(state->compress, ZSTD_c_checksumFlag, 0);
	return 0;
}

static int zstd_compress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
			 size_t *ret_len)
{
	struct zstd_state *state = ws->state;
	size_t result;

	if (!state->compress && make_compress(ws) < 0)
		return -ENOMEM;
	result = ZSTD_compress2(state->compress, dst, cap, src, len);
	if (ZSTD_isError(result))
		return -E2BIG;
	*ret_len = result;
	return 0;
}

static int zstd_decompress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
			   size_t *ret_len)
{
	struct zstd_state *state = ws->state;
	ZSTD_inBuffer in = { src, len, 0 };
	ZSTD_outBuffer out = { dst, cap, 0 };

	if (!state->decompress)
		state->decompress = ZSTD_createDCtx();
	if (!state->decompress)
		return -ENOMEM;
	ZSTD_DCtx_reset(state->decompress, ZSTD_reset_session_only);
	ZSTD_DCtx_setParameter(state->decompress, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	for (;;) {
		size_t before_in = in.pos, before_out = out.pos;
		size_t left = ZSTD_decompressStream(state->decompress, &out, &in);

		if (ZSTD_isError(left))
			return -EUCLEAN;
		if (left == 0 || out.pos == out.size)
			break;
		if (in.pos == before_in && out.pos == before_out)
			return -EUCLEAN; /* ends within the frame */
	}
	*ret_len = out.pos;
	return 0;
}

const struct codec codec_zstd = {
	.type = 3,
	.name = "zstd",
	.has_levels = true,
	.level_min = -15,
	.level_max = 15,
	.level_default = 3,
	.workspace_bytes = sizeof(struct zstd_state),
	.init = zstd_init,
	.done = zstd_done,
	.compress = zstd_compress,
	.decompress = zstd_decompress,
};
#endif
