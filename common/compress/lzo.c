/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Btrfs's framing of LZO1X:
 *
 *	le32 total length, itself included
 *	for each sector of input: le32 length, that many bytes of LZO1X
 *
 * A length field never crosses a sector boundary of the framed data: where fewer than 4 bytes are left in a sector, zeroes
 * fill it up. Confirmed on extents written by Linux.
 */
#include "common/compress/codec.h"
#include "common/compress/lzo1x.h"

#define FIELD_BYTES 4
#define SEGMENT_BYTES_MAX ((size_t)64 * 1024)
#define LZO_WORST_CASE(len) ((len) + (len) / 16 + 67)

struct lzo_state {
	u8 *memory; /* of the compressor; made on first use */
	u8 *segment;
};

static int lzo_init(struct codec_workspace *ws)
{
	return ws->sectorsize >= 512 && ws->sectorsize <= SEGMENT_BYTES_MAX ? 0 : -EINVAL;
}

static void lzo_done(struct codec_workspace *ws)
{
	struct lzo_state *state = ws->state;

	free(state->memory);
	free(state->segment);
}

static void put_field(u8 *at, size_t value)
{
	le32 field;

	le32_put(&field, (u32)value);
	memcpy(at, field.byte, FIELD_BYTES);
}

static size_t get_field(const u8 *at)
{
	le32 field;

	memcpy(field.byte, at, FIELD_BYTES);
	return le32_get(field);
}

/* Bytes to leave out at @at so that a field fits into the sector. */
static size_t field_padding(size_t at, u32 sectorsize)
{
	size_t left = sectorsize - at % sectorsize;

	return left < FIELD_BYTES ? left : 0;
}

static int lzo_compress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
			size_t *ret_len)
{
	struct lzo_state *state = ws->state;
	size_t out = FIELD_BYTES;
	u8 *to = dst;

	if (!ws->lzo_compress)
		return -EOPNOTSUPP;
	if (!state->memory) {
		state->memory = malloc(LZO_COMPRESS_MEMORY);
		state->segment = malloc(LZO_WORST_CASE(ws->sectorsize));
	}
	if (!state->memory || !state->segment)
		return -ENOMEM;
	for (size_t in = 0; in < len; in += ws->sectorsize) {
		size_t padding = field_padding(out, ws->sectorsize), segment_bytes;
		int err = ws->lzo_compress((const u8 *)src + in, MIN(len - in, (size_t)ws->sectorsize), state->segment,
					   &segment_bytes, state->memory);

		if (err)
			return err;
		if (out + padding + FIELD_BYTES + segment_bytes > cap)
			return -E2BIG;
		memset(to + out, 0, padding);
		out += padding;
		put_field(to + out, segment_bytes);
		memcpy(to + out + FIELD_BYTES, state->segment, segment_bytes);
		out += FIELD_BYTES + segment_bytes;
	}
	if (out > cap)
		return -E2BIG;
	put_field(to, out);
	*ret_len = out;
	return 0;
}

static int lzo_decompress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
			  size_t *ret_len)
{
	const u8 *from = src;
	size_t at = FIELD_BYTES, out = 0, total;

	if (len < FIELD_BYTES)
		return -EUCLEAN;
	total = get_field(from);
	if (total > len || total < FIELD_BYTES)
		return -EUCLEAN;
	while (out < cap) {
		size_t segment, got;
		int err;

		at += field_padding(at, ws->sectorsize);
		if (at + FIELD_BYTES >= total)
			break;
		segment = get_field(from + at);
		at += FIELD_BYTES;
		if (segment > total - at)
			return -EUCLEAN;
		err = lzo1x_stream_decompress(from + at, segment, (u8 *)dst + out, MIN(cap - out, (size_t)ws->sectorsize), &got);
		if (err)
			return err;
		at += segment;
		out += got;
		if (got < ws->sectorsize)
			break; /* only the last segment is short */
	}
	*ret_len = out;
	return 0;
}

const struct codec codec_lzo = {
	.type = 2,
	.name = "lzo",
	.has_levels = false,
	.workspace_bytes = sizeof(struct lzo_state),
	.init = lzo_init,
	.done = lzo_done,
	.compress = lzo_compress,
	.decompress = lzo_decompress,
};
