/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lz4: a raw block whose length is not stored: it ends where all is there. gzip: raw deflate without a header. zstd: its length,
 * then one frame.
 */
#include "convert/bcachefs/bch_decompress.h"

#include <limits.h>
#include <zlib.h>
#if HAVE_LZ4
#include <lz4.h>
#endif
#if HAVE_ZSTD
#include <zstd.h>
#endif

static const char *const names[] = {
	[BCH_COMPRESSION_NONE] = "none", [BCH_COMPRESSION_LZ4_OLD] = "lz4_old", [BCH_COMPRESSION_GZIP] = "gzip",
	[BCH_COMPRESSION_LZ4] = "lz4",	 [BCH_COMPRESSION_ZSTD] = "zstd",	[BCH_COMPRESSION_INCOMPRESSIBLE] = "incompressible",
};

const char *bch_compression_name(unsigned compression)
{
	return compression < ARRAY_LEN(names) ? names[compression] : NULL;
}

static int decompress_gzip(const void *src, size_t src_bytes, void *dst, size_t dst_bytes, struct diag *d)
{
	z_stream stream = {
		.next_in = (Bytef *)(uintptr_t)src, /* which zlib does not write to */
		.avail_in = (uInt)src_bytes,
		.next_out = dst,
		.avail_out = (uInt)dst_bytes,
	};
	int result;

	if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
		return diag_no_memory(d, "decompression");
	result = inflate(&stream, Z_FINISH);
	(void)inflateEnd(&stream);
	if (result == Z_MEM_ERROR)
		return diag_no_memory(d, "decompression");
	if (result != Z_STREAM_END || stream.avail_out != 0)
		return diag_fail(d, -EUCLEAN, "what is compressed with gzip is damaged");
	return 0;
}

#if HAVE_LZ4
static int decompress_lz4(const void *src, size_t src_bytes, void *dst, size_t dst_bytes, struct diag *d)
{
	if (LZ4_decompress_safe_partial(src, dst, (int)src_bytes, (int)dst_bytes, (int)dst_bytes) != (int)dst_bytes)
		return diag_fail(d, -EUCLEAN, "what is compressed with lz4 is damaged");
	return 0;
}
#endif

#if HAVE_ZSTD
static int decompress_zstd(const void *src, size_t src_bytes, void *dst, size_t dst_bytes, struct diag *d)
{
	le32 stored;
	size_t len;

	if (src_bytes < sizeof(stored))
		return diag_fail(d, -EUCLEAN, "what is compressed with zstd is cut off");
	memcpy(&stored, src, sizeof(stored));
	len = le32_get(stored);
	if (len > src_bytes - sizeof(stored))
		return diag_fail(d, -EUCLEAN, "what is compressed with zstd has %zu bytes, of %zu", len, src_bytes - sizeof(stored));
	if (ZSTD_decompress(dst, dst_bytes, (const u8 *)src + sizeof(stored), len) != dst_bytes)
		return diag_fail(d, -EUCLEAN, "what is compressed with zstd is damaged");
	return 0;
}
#endif

int bch_decompress(unsigned compression, const void *src, size_t src_bytes, void *dst, size_t dst_bytes, struct diag *d)
{
	if (src_bytes > INT_MAX || dst_bytes > INT_MAX)
		return diag_fail(d, -EUCLEAN, "a piece of %zu bytes, compressed from %zu", src_bytes, dst_bytes);
	switch (compression) {
	case BCH_COMPRESSION_GZIP:
		return decompress_gzip(src, src_bytes, dst, dst_bytes, d);
#if HAVE_LZ4
	case BCH_COMPRESSION_LZ4_OLD:
	case BCH_COMPRESSION_LZ4:
		return decompress_lz4(src, src_bytes, dst, dst_bytes, d);
#endif
#if HAVE_ZSTD
	case BCH_COMPRESSION_ZSTD:
		return decompress_zstd(src, src_bytes, dst, dst_bytes, d);
#endif
	default:
		break;
	}
	if (bch_compression_name(compression))
		return diag_fail(d, -EOPNOTSUPP, "data is compressed with %s, which this build does not know", names[compression]);
	return diag_fail(d, -EOPNOTSUPP, "data is compressed in a way that is not known (%u)", compression);
}
