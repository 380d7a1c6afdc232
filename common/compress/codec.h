/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The three compressions that Btrfs has, as one table. What goes in and comes out is what lies in a compressed extent:
 * a zlib stream, a zstd frame, or Btrfs's own framing of LZO1X segments.
 *
 * A workspace belongs to one thread at a time. The same input gives the same output whatever the workspace did
 * before, as long as the library behind it is of the same version.
 */
#ifndef BTRKIT_COMMON_COMPRESS_CODEC_H
#define BTRKIT_COMMON_COMPRESS_CODEC_H

#include "common/base/cleanup.h"
#include "common/base/types.h"

/* What one compressed extent holds at most, uncompressed. */
#define CODEC_INPUT_MAX ((size_t)128 * 1024)

struct codec_workspace;

/*
 * LZO1X-1 compression of up to 64 KiB, supplied by the program: lzo2 is GPL, which a library for everybody cannot link.
 * @memory has LZO_COMPRESS_MEMORY bytes; @dst room for the worst case (len + len / 16 + 67). 0 or negative errno.
 */
typedef int (*lzo_compress_fn)(const void *src, size_t len, void *dst, size_t *ret_len, void *memory);
#define LZO_COMPRESS_MEMORY ((size_t)16384 * sizeof(void *))

struct codec {
	u8 type; /* as in file extent items */
	const char *name;
	bool has_levels;
	int level_min, level_max, level_default;
	size_t workspace_bytes; /* of the codec's own state */
	int (*init)(struct codec_workspace *ws);
	void (*done)(struct codec_workspace *ws);
	int (*compress)(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap, size_t *ret_len);
	int (*decompress)(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap, size_t *ret_len);
};

struct codec_workspace {
	const struct codec *codec;
	int level;
	u32 sectorsize;
	lzo_compress_fn lzo_compress;
	void *state; /* workspace_bytes, zeroed at first */
};

/* NULL: unknown, or not built in. */
const struct codec *codec_by_type(u8 type);
const struct codec *codec_by_name(const char *name);
/* What the type is called, built in or not; NULL: unknown. */
const char *codec_type_name(u8 type);

/* @level as the codec's range says; @lzo_compress may be NULL: lzo then only decompresses. */
int codec_workspace_new(const struct codec *codec, int level, u32 sectorsize, lzo_compress_fn lzo_compress,
			struct codec_workspace **ret_ws);
void codec_workspace_free(struct codec_workspace *ws);
DEFINE_FREEP(struct codec_workspace *, codec_workspace_free)

/*
 * Compress @len bytes, 1 to CODEC_INPUT_MAX. -E2BIG: the result does not fit into @cap, so it is not worth storing.
 * -EOPNOTSUPP: no lzo compressor was given.
 */
static inline int codec_compress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
				 size_t *ret_len)
{
	return ws->codec->compress(ws, src, len, dst, cap, ret_len);
}

/*
 * Decompress what lies in an extent, padding included, into at most @cap bytes. -EUCLEAN: damaged. Nothing outside the
 * two buffers is touched, whatever the input is.
 */
static inline int codec_decompress(struct codec_workspace *ws, const void *src, size_t len, void *dst, size_t cap,
				   size_t *ret_len)
{
	return ws->codec->decompress(ws, src, len, dst, cap, ret_len);
}

extern const struct codec codec_zlib;
extern const struct codec codec_lzo;
#if HAVE_ZSTD
extern const struct codec codec_zstd;
#endif

#endif
