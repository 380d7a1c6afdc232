/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressed extents: anything is decompressed, within its buffers; what is compressed comes back. LZO1X streams are also
 * given to lzo2, where the build has it: what both take must be the same.
 *
 * Input: a byte of codec and options, a byte for the size of the output buffer, then the data.
 */
#include "common/compress/codec.h"
#include "common/compress/lzo1x.h"
#include "mkfs/lzo2.h"
#include "tests/fuzz/fuzz.h"
#if HAVE_LZO
#include <lzo/lzo1x.h>
#endif

const char fuzz_name[] = "fuzz-codec";
const unsigned fuzz_iterations = 20000;
const size_t fuzz_input_max = 20000;

#define CODEC_MASK 3 /* 0: a bare LZO1X stream */
#define BIG_SECTOR 4
#define DO_COMPRESS 8
#define GUARD 0x3c

static u8 *guarded(size_t cap)
{
	u8 *buf = malloc(cap + 1);

	fuzz_require(buf);
	memset(buf, GUARD, cap + 1);
	return buf;
}

/* lzo2 is stricter about what follows the end; apart from that, what it takes is what we take. */
static void bare_lzo(const u8 *data, size_t len, size_t cap)
{
	u8 *plain = guarded(cap);
	size_t got = SIZE_MAX;
	int err = lzo1x_stream_decompress(data, len, plain, cap, &got);

	fuzz_require(plain[cap] == GUARD);
	fuzz_require(err == -EUCLEAN ? got == SIZE_MAX : err == 0 && got <= cap);
#if HAVE_LZO
	u8 *theirs = guarded(cap);
	lzo_uint their_len = cap;
	int result = lzo1x_decompress_safe(data, len, theirs, &their_len, NULL);

	if (result == LZO_E_OK)
		fuzz_require(err == 0);
	if (result == LZO_E_OK || (result == LZO_E_INPUT_NOT_CONSUMED && err == 0))
		fuzz_require(got == their_len && memcmp(plain, theirs, got) == 0);
	free(theirs);
#endif
	free(plain);
}

static void decompress(struct codec_workspace *ws, const u8 *data, size_t len, size_t cap)
{
	u8 *plain = guarded(cap);
	size_t got = SIZE_MAX;
	int err = codec_decompress(ws, data, len, plain, cap, &got);

	fuzz_require(plain[cap] == GUARD);
	fuzz_require(err == -EUCLEAN ? got == SIZE_MAX : err == 0 && got <= cap);
	free(plain);
}

static void there_and_back(struct codec_workspace *ws, const u8 *data, size_t len, size_t cap)
{
	u8 *packed = guarded(cap), *plain = guarded(len);
	size_t packed_len = SIZE_MAX, got;
	int err = codec_compress(ws, data, len, packed, cap, &packed_len);

	fuzz_require(packed[cap] == GUARD);
	if (err == 0) {
		fuzz_require(packed_len <= cap);
		fuzz_require(codec_decompress(ws, packed, packed_len, plain, len, &got) == 0);
		fuzz_require(got == len && memcmp(plain, data, len) == 0);
	} else {
		fuzz_require(err == -E2BIG || err == -EOPNOTSUPP);
	}
	free(packed);
	free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	unsigned options = fuzz_take_u8(&input);
	size_t cap = (size_t)fuzz_take_u8(&input) * 256;
	const struct codec *codec = codec_by_type(options & CODEC_MASK);
	struct codec_workspace *ws;

	if ((options & CODEC_MASK) == 0)
		bare_lzo(input.at, input.left, cap);
	if (!codec)
		return 0;
	fuzz_require(codec_workspace_new(codec, codec->level_default, options & BIG_SECTOR ? 16384 : 4096, lzo2_compress,
					 &ws) == 0);
	if (!(options & DO_COMPRESS))
		decompress(ws, input.at, input.left, cap);
	else if (input.left)
		there_and_back(ws, input.at, input.left, cap);
	codec_workspace_free(ws);
	return 0;
}

static void seeds_of(fuzz_add_fn add, void *ctx, u8 type, const u8 *plain, size_t len)
{
	static u8 seed[2 + 40000];
	struct codec_workspace *ws;
	size_t packed_len;

	if (!codec_by_type(type))
		return;
	seed[1] = (u8)((len + 255) / 256);
	seed[0] = type | DO_COMPRESS;
	memcpy(seed + 2, plain, len);
	add(ctx, seed, 2 + len);
	fuzz_require(codec_workspace_new(codec_by_type(type), codec_by_type(type)->level_default, 4096, lzo2_compress, &ws) == 0);
	if (codec_compress(ws, plain, len, seed + 2, sizeof(seed) - 2, &packed_len) == 0) {
		seed[0] = type;
		add(ctx, seed, 2 + packed_len);
		if (type == 2 && packed_len > 8) { /* the first segment without its frame */
			size_t segment = le32_get(*(const le32 *)(seed + 6));

			memmove(seed + 2, seed + 10, segment);
			seed[0] = 0;
			add(ctx, seed, 2 + segment);
		}
	}
	codec_workspace_free(ws);
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const size_t lengths[] = { 1, 30, 300, 3000, 9000 };
	static u8 plain[9000];
	u32 noise = 5;

	for (size_t i = 0; i < sizeof(plain); i++) {
		noise = noise * 1664525 + 1013904223;
		plain[i] = (u8)(i % 500 < 60 ? noise >> 24 : i % 300 < 150 ? (u32)"a pattern "[i % 10] : (u32)i / 100);
	}
	for (u8 type = 1; type <= 3; type++)
		for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
			seeds_of(add, ctx, type, plain + i * 7 % 50, lengths[i] - i * 7 % 50 % lengths[i]);
}
