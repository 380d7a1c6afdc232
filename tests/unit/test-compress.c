/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common/compress: round trips, damaged input, and LZO framing laid out here from the description of the format. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "common/compress/codec.h"
#include "common/compress/lzo1x.h"
#include "mkfs/lzo2.h"
#if HAVE_ZSTD
#include <zstd.h>
#endif

#define GUARD 0x5c
#define GUARD_BYTES 64
#define OUT_MAX (2 * CODEC_INPUT_MAX)

static const char *const codec_names[] = { "zlib", "lzo", "zstd" };

/* --- Inputs ------------------------------------------------------------------------------------------------- */

enum kind { ZEROES, TEXT, RAMP, HALF_NOISE, NOISE, NR_KINDS };

static u32 next_noise(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void fill(u8 *data, size_t len, enum kind kind)
{
	static const char text[] = "It was a dark and stormy night; the rain fell in torrents, except at intervals. ";
	u32 noise = 7;

	for (size_t i = 0; i < len; i++)
		switch (kind) {
		case ZEROES:
			data[i] = 0;
			break;
		case TEXT:
			data[i] = (u8)text[(i + i / 700) % (sizeof(text) - 1)];
			break;
		case RAMP:
			data[i] = (u8)(i / 5 + i / 1000);
			break;
		case HALF_NOISE:
			data[i] = i % 2048 < 1024 ? (u8)next_noise(&noise) : (u8)(i % 16);
			break;
		default:
			data[i] = (u8)next_noise(&noise);
			break;
		}
}

/* A buffer of exactly @len bytes, with the @len bytes of @from: what reads behind it is caught by sanitizers. */
static u8 *exact_copy(const u8 *from, size_t len)
{
	u8 *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, from, len);
	return copy;
}

static struct codec_workspace *workspace(const char *name, u32 sectorsize)
{
	const struct codec *codec = codec_by_name(name);
	struct codec_workspace *ws;

	if (!codec)
		return NULL; /* not built in */
	assert_int_equal(codec_workspace_new(codec, codec->level_default, sectorsize, lzo2_compress, &ws), 0);
	return ws;
}

/* Decompress into @cap bytes between guards, and look at these. Returns what the codec does. */
static int decompress(struct codec_workspace *ws, const u8 *packed, size_t len, u8 *plain, size_t cap, size_t *ret_len)
{
	u8 *input = exact_copy(packed, len);
	int err;

	memset(plain, GUARD, cap + GUARD_BYTES);
	err = codec_decompress(ws, input, len, plain, cap, ret_len);
	free(input);
	assert_true(err == 0 || err == -EUCLEAN);
	for (size_t i = 0; i < GUARD_BYTES; i++)
		assert_int_equal(plain[cap + i], GUARD);
	if (!err)
		assert_in_range(*ret_len, 0, cap);
	return err;
}

struct buffers {
	u8 plain[CODEC_INPUT_MAX], packed[OUT_MAX + GUARD_BYTES], again[OUT_MAX + GUARD_BYTES];
};

static struct buffers *new_buffers(void)
{
	struct buffers *b = malloc(sizeof(*b));

	assert_non_null(b);
	return b;
}

/* --- Round trips ---------------------------------------------------------------------------------------------- */

static void round_trip(struct codec_workspace *ws, struct buffers *b, size_t len, enum kind kind)
{
	size_t packed_len = 0, again_len = 0, twice_len = 0;
	int err;

	fill(b->plain, len, kind);
	err = codec_compress(ws, b->plain, len, b->packed, OUT_MAX, &packed_len);
	if (err == -EOPNOTSUPP)
		return; /* no lzo compressor in this build */
	assert_int_equal(err, 0);
	assert_int_equal(decompress(ws, b->packed, packed_len, b->again, CODEC_INPUT_MAX, &again_len), 0);
	assert_int_equal(again_len, len);
	assert_memory_equal(b->again, b->plain, len);

	/* As it lies on disk: zeroes up to the end of the sector. */
	memset(b->packed + packed_len, 0, 4096 - packed_len % 4096);
	assert_int_equal(decompress(ws, b->packed, round_up_u64(packed_len, 4096), b->again, CODEC_INPUT_MAX, &again_len), 0);
	assert_int_equal(again_len, len);

	/* What the workspace did before makes no difference. */
	assert_int_equal(codec_compress(ws, b->plain, len, b->again, OUT_MAX, &twice_len), 0);
	assert_int_equal(twice_len, packed_len);
	assert_memory_equal(b->again, b->packed, packed_len);
}

static void what_goes_in_comes_out(void **state)
{
	static const size_t lengths[] = { 1, 2, 3, 19, 100, 2048, 4095, 4096, 4097, 65535, 65536, 131071, 131072 };
	static const u32 sectorsizes[] = { 4096, 16384, 65536 };
	struct buffers *b = new_buffers();

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(codec_names); c++)
		for (size_t s = 0; s < ARRAY_LEN(sectorsizes); s++) {
			struct codec_workspace *ws = workspace(codec_names[c], sectorsizes[s]);

			for (size_t i = 0; ws && i < ARRAY_LEN(lengths); i++)
				for (enum kind kind = 0; kind < NR_KINDS; kind++)
					round_trip(ws, b, lengths[i], kind);
			codec_workspace_free(ws);
		}
	free(b);
}

static void every_level_can_be_read(void **state)
{
	struct buffers *b = new_buffers();

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(codec_names); c++) {
		const struct codec *codec = codec_by_name(codec_names[c]);

		for (int level = codec ? codec->level_min : 1; codec && codec->has_levels && level <= codec->level_max; level++) {
			struct codec_workspace *ws;

			assert_int_equal(codec_workspace_new(codec, level, 4096, NULL, &ws), 0);
			round_trip(ws, b, CODEC_INPUT_MAX, TEXT);
			round_trip(ws, b, 5000, HALF_NOISE);
			codec_workspace_free(ws);
		}
	}
	free(b);
}

static void what_does_not_fit_is_not_stored(void **state)
{
	struct buffers *b = new_buffers();

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(codec_names); c++) {
		struct codec_workspace *ws = workspace(codec_names[c], 4096);
		size_t full = 0, len;
		int err;

		if (!ws)
			continue;
		fill(b->plain, 20000, HALF_NOISE);
		err = codec_compress(ws, b->plain, 20000, b->packed, OUT_MAX, &full);
		for (size_t cap = 0; full && cap <= full; cap += cap + 7 < full ? 7 : 1) {
			memset(b->again, GUARD, full + GUARD_BYTES);
			len = SIZE_MAX;
			err = codec_compress(ws, b->plain, 20000, b->again, cap, &len);
			/* zstd wants a little more room than it takes in the end. */
			assert_true(cap < full ? err == -E2BIG : err == 0 || ws->codec->type == 3);
			assert_int_equal(len, err ? SIZE_MAX : full);
			for (size_t i = 0; i < GUARD_BYTES; i++)
				assert_int_equal(b->again[cap + i], GUARD);
		}
		codec_workspace_free(ws);
	}
	free(b);
}

static void codecs_are_found_by_type_and_name(void **state)
{
	static const char *const names[] = { NULL, "zlib", "lzo", "zstd" };

	(void)state;
	for (u8 type = 1; type < ARRAY_LEN(names); type++) {
		const struct codec *codec = codec_by_type(type);

		assert_ptr_equal(codec, codec_by_name(names[type]));
		if (codec)
			assert_int_equal(codec->type, type);
	}
	assert_null(codec_by_type(0));
	assert_null(codec_by_type(4));
	assert_null(codec_by_type(255));
	assert_null(codec_by_name("ZLIB"));
	assert_null(codec_by_name(""));
}

/* --- Damage ------------------------------------------------------------------------------------------------------- */

/* Compressed @len bytes of HALF_NOISE; 0 when this build cannot make them. */
static size_t make_packed(struct codec_workspace *ws, struct buffers *b, size_t len)
{
	size_t packed_len = 0;
	int err;

	fill(b->plain, len, HALF_NOISE);
	err = codec_compress(ws, b->plain, len, b->packed, OUT_MAX, &packed_len);
	assert_true(err == 0 || err == -EOPNOTSUPP);
	return err ? 0 : packed_len;
}

static void truncated_input_never_overruns(void **state)
{
	struct buffers *b = new_buffers();

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(codec_names); c++) {
		struct codec_workspace *ws = workspace(codec_names[c], 4096);
		size_t packed_len = ws ? make_packed(ws, b, 9000) : 0, got;

		for (size_t len = 0; len < packed_len; len++) {
			assert_int_equal(decompress(ws, b->packed, len, b->again, CODEC_INPUT_MAX, &got), -EUCLEAN);
			/* A reader that wants less than there is may be satisfied, with the right bytes. */
			if (decompress(ws, b->packed, len, b->again, 4096, &got) == 0)
				assert_memory_equal(b->again, b->plain, got);
		}
		codec_workspace_free(ws);
	}
	free(b);
}

static void flipped_bits_never_overrun(void **state)
{
	struct buffers *b = new_buffers();
	u32 noise = 99;

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(codec_names); c++) {
		struct codec_workspace *ws = workspace(codec_names[c], 4096);
		size_t packed_len = ws ? make_packed(ws, b, 9000) : 0, got;

		for (size_t n = 0; packed_len && n < 6000; n++) {
			/* The first bytes one by one, they matter most; then anywhere, up to three at a time. */
			size_t bit[3] = { n };

			for (size_t i = n < 400 ? 1 : 0; i < ARRAY_LEN(bit); i++)
				bit[i] = next_noise(&noise) % (packed_len * 8);
			for (size_t i = 0; i < (n < 400 ? 1 : ARRAY_LEN(bit)); i++)
				b->packed[bit[i] / 8] ^= (u8)(1U << bit[i] % 8);
			decompress(ws, b->packed, packed_len, b->again, n % 2 ? CODEC_INPUT_MAX : 8192, &got);
			for (size_t i = 0; i < (n < 400 ? 1 : ARRAY_LEN(bit)); i++)
				b->packed[bit[i] / 8] ^= (u8)(1U << bit[i] % 8);
		}
		if (packed_len)
			assert_int_equal(decompress(ws, b->packed, packed_len, b->again, CODEC_INPUT_MAX, &got), 0);
		codec_workspace_free(ws);
	}
	free(b);
}

static void noise_is_refused_or_harmless(void **state)
{
	struct buffers *b = new_buffers();
	u32 noise = 3;

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(codec_names); c++) {
		struct codec_workspace *ws = workspace(codec_names[c], 4096);

		for (unsigned n = 0; ws && n < 4000; n++) {
			size_t len = next_noise(&noise) % 300, got;

			for (size_t i = 0; i < len; i++)
				b->packed[i] = (u8)next_noise(&noise);
			if (n % 2 && len > 8) { /* a plausible LZO frame */
				le32_put((le32 *)b->packed, (u32)len);
				le32_put((le32 *)(b->packed + 4), (u32)len - 8);
			}
			decompress(ws, b->packed, len, b->again, 10000, &got);
		}
		codec_workspace_free(ws);
	}
	free(b);
}

#if HAVE_ZSTD
/* Linux has memory for windows of 128 KiB and refuses frames that need more. */
static void zstd_windows_are_bounded(void **state)
{
	struct codec_workspace *ws = workspace("zstd", 4096);
	struct buffers *b = new_buffers();
	ZSTD_CCtx *context = ZSTD_createCCtx();
	ZSTD_inBuffer in = { b->plain, CODEC_INPUT_MAX, 0 };
	ZSTD_outBuffer out = { b->packed, OUT_MAX, 0 };
	size_t got;

	(void)state;
	fill(b->plain, CODEC_INPUT_MAX, TEXT);
	assert_non_null(context);
	ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 22);
	ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush); /* the size is not known, so the window is not cut to it */
	assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
	assert_int_equal(decompress(ws, b->packed, out.pos, b->again, CODEC_INPUT_MAX, &got), -EUCLEAN);
	ZSTD_freeCCtx(context);
	codec_workspace_free(ws);
	free(b);
}
#endif

/* --- LZO, laid out by hand ------------------------------------------------------------------------------------------ */

/* A length of the kind whose field in the instruction is 0: zeroes for 255 each, then what is left, 1 to 255. */
static size_t put_length(u8 *to, size_t rest)
{
	size_t at = 0;

	for (; rest > 255; rest -= 255)
		to[at++] = 0;
	to[at++] = (u8)rest;
	return at;
}

/*
 * An LZO1X stream for one sector of @sectorsize bytes: @nr_literals (20 to sectorsize - 3, or all of it) of them, then
 * the last one repeated. The sector itself goes to @plain. Returns the stream's length.
 */
static size_t make_segment(u8 *to, u8 *plain, u32 sectorsize, u32 nr_literals, u32 seed)
{
	size_t at = 0;

	for (u32 i = 0; i < sectorsize; i++)
		plain[i] = i < nr_literals ? (u8)(seed + i * 7 + i / 256) : plain[nr_literals - 1];
	to[at++] = 0; /* a run of literals, 18 and more */
	at += put_length(to + at, nr_literals - 18);
	memcpy(to + at, plain, nr_literals);
	at += nr_literals;
	if (nr_literals < sectorsize) {
		u32 rest = sectorsize - nr_literals;

		to[at++] = (u8)(32 + (rest <= 33 ? rest - 2 : 0)); /* a match with distance 1 */
		if (rest > 33)
			at += put_length(to + at, rest - 33);
		to[at++] = 0;
		to[at++] = 0;
	}
	to[at++] = 0x11; /* the end */
	to[at++] = 0;
	to[at++] = 0;
	return at;
}

/* Segments in Linux's framing, by the description: a length never crosses a sector of the framed data. */
struct framing {
	u8 packed[OUT_MAX], plain[CODEC_INPUT_MAX];
	size_t packed_len, plain_len;
	u32 sectorsize;
};

static void frame_segment(struct framing *f, u32 nr_literals)
{
	size_t left = f->sectorsize - f->packed_len % f->sectorsize, len;

	if (left < 4) {
		memset(f->packed + f->packed_len, 0, left);
		f->packed_len += left;
	}
	len = make_segment(f->packed + f->packed_len + 4, f->plain + f->plain_len, f->sectorsize, nr_literals,
			   (u32)f->plain_len / 100);
	le32_put((le32 *)(f->packed + f->packed_len), (u32)len);
	f->packed_len += 4 + len;
	f->plain_len += f->sectorsize;
	le32_put((le32 *)f->packed, (u32)f->packed_len);
}

static void expect_framed(struct framing *f)
{
	struct codec_workspace *ws = workspace("lzo", f->sectorsize);
	struct buffers *b = new_buffers();
	size_t got = 0;

	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, CODEC_INPUT_MAX, &got), 0);
	assert_int_equal(got, f->plain_len);
	assert_memory_equal(b->again, f->plain, got);
	/* What lies behind the total length does not count. */
	memset(f->packed + f->packed_len, 0xee, 500);
	assert_int_equal(decompress(ws, f->packed, f->packed_len + 500, b->again, CODEC_INPUT_MAX, &got), 0);
	assert_int_equal(got, f->plain_len);
	/* Less than all: what is there fills the buffer. */
	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, f->sectorsize, &got), 0);
	assert_int_equal(got, f->sectorsize);
	codec_workspace_free(ws);
	free(b);
}

static struct framing *new_framing(u32 sectorsize)
{
	struct framing *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->sectorsize = sectorsize;
	f->packed_len = 4;
	return f;
}

static void lzo_lengths_do_not_cross_sectors(void **state)
{
	(void)state;
	for (u32 sectorsize = 4096; sectorsize <= 16384; sectorsize *= 4) {
		bool is_met[8] = { false }; /* bytes left in the sector behind the first segment */

		for (u32 literals = sectorsize - 160; literals <= sectorsize - 3; literals++) {
			struct framing *f = new_framing(sectorsize);
			size_t left;

			frame_segment(f, literals);
			left = sectorsize - f->packed_len % sectorsize;
			if (left % sectorsize < ARRAY_LEN(is_met))
				is_met[left % sectorsize] = true;
			frame_segment(f, 100);
			frame_segment(f, sectorsize);
			expect_framed(f);
			free(f);
		}
		for (size_t i = 0; i < ARRAY_LEN(is_met); i++)
			assert_true(is_met[i]);
	}
}

static void lzo_segments_may_be_longer_than_sectors(void **state)
{
	struct framing *f = new_framing(4096);

	(void)state;
	for (u32 i = 0; i < 20; i++)
		frame_segment(f, i % 3 ? 4096 : 20 + 150 * i);
	expect_framed(f);
	free(f);
}

static void lzo_framing_that_lies_is_refused(void **state)
{
	struct codec_workspace *ws = workspace("lzo", 4096);
	struct framing *f = new_framing(4096);
	struct buffers *b = new_buffers();
	size_t got;

	(void)state;
	frame_segment(f, 1000);
	frame_segment(f, 500);
	for (size_t len = 0; len < 4; len++)
		assert_int_equal(decompress(ws, f->packed, len, b->again, 8192, &got), -EUCLEAN);
	le32_put((le32 *)f->packed, (u32)f->packed_len + 1); /* more than there is */
	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, 8192, &got), -EUCLEAN);
	le32_put((le32 *)f->packed, UINT32_MAX);
	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, 8192, &got), -EUCLEAN);
	le32_put((le32 *)f->packed, 3);
	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, 8192, &got), -EUCLEAN);
	le32_put((le32 *)f->packed, (u32)f->packed_len);
	le32_put((le32 *)(f->packed + 4), (u32)f->packed_len - 7); /* a segment longer than the rest */
	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, 8192, &got), -EUCLEAN);
	le32_put((le32 *)(f->packed + 4), 0);
	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, 8192, &got), -EUCLEAN);
	codec_workspace_free(ws);
	free(b);

	/* A segment that unpacks to more than a sector. */
	f->sectorsize = 8192;
	f->packed_len = 4;
	f->plain_len = 0;
	frame_segment(f, 300);
	ws = workspace("lzo", 4096);
	b = new_buffers();
	assert_int_equal(decompress(ws, f->packed, f->packed_len, b->again, 16384, &got), -EUCLEAN);
	codec_workspace_free(ws);
	free(b);
	free(f);
}

static void lzo1x_instructions_mean_what_the_description_says(void **state)
{
	static const struct {
		const char *packed;
		size_t len;
		const char *plain; /* NULL: refused */
	} rows[] = {
		{ "\x15""abcd\x11\0\0", 8, "abcd" }, /* first byte: 17 + 4 literals */
		{ "\x12""a\x11\0\0", 5, "a" },
		{ "\x01""abcd\x11\0\0", 8, "abcd" }, /* 3 + 1 literals */
		{ "\x15""abcd\x80\x00\x11\0\0", 10, "abcdddddd" }, /* 5 bytes from 1 back */
		{ "\x15""abcd\x8c\x00\x11\0\0", 10, "abcdabcda" }, /* 5 bytes from 4 back */
		{ "\x15""abcd\x40\x00\x11\0\0", 10, "abcdddd" }, /* 3 bytes from 1 back */
		{ "\x15""abcd\x4e\x00xy\x11\0\0", 12, "abcdabcxy" }, /* then 2 literals: state in the low bits */
		{ "\x15""abcd\x22\x0c\x00\x11\0\0", 11, "abcdabcd" }, /* 16-bit distance 4, 4 bytes */
		{ "\x15""abcd\x21\x0d\x00z\x11\0\0", 12, "abcdabcz" }, /* and 1 literal behind it */
		{ "\x12""a\x00\x00\x11\0\0", 7, "aaa" }, /* below 16 after 1 literal: 2 bytes from 1 back */
		{ "\x12""b\x01\x00q\x11\0\0", 8, "bbbq" },
		{ "\x15""abcd\x90\x00\x11\0\0", 10, NULL }, /* from before the beginning */
		{ "\x15""abcd\x22\x10\x00\x11\0\0", 11, NULL },
		{ "\x15""abcd\x00\x00\x11\0\0", 10, NULL }, /* from 2049 back */
		{ "\x15""abc", 4, NULL },
		{ "\x15""abcd", 5, NULL }, /* no end */
		{ "\x15""abcd\x11\0", 7, NULL },
		{ "", 0, NULL },
		{ "\x00\x00\x00", 3, NULL }, /* a length without an end */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		u8 *packed = exact_copy((const u8 *)rows[i].packed, rows[i].len);
		u8 plain[64];
		size_t len = 0;
		int err = lzo1x_stream_decompress(packed, rows[i].len, plain, sizeof(plain), &len);

		free(packed);
		if (!rows[i].plain) {
			if (err != -EUCLEAN)
				fail_msg("row %zu: taken", i);
			continue;
		}
		if (err)
			fail_msg("row %zu: refused", i);
		assert_int_equal(len, strlen(rows[i].plain));
		assert_memory_equal(plain, rows[i].plain, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codecs_are_found_by_type_and_name),
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(every_level_can_be_read),
		cmocka_unit_test(what_does_not_fit_is_not_stored),
		cmocka_unit_test(truncated_input_never_overruns),
		cmocka_unit_test(flipped_bits_never_overrun),
		cmocka_unit_test(noise_is_refused_or_harmless),
#if HAVE_ZSTD
		cmocka_unit_test(zstd_windows_are_bounded),
#endif
		cmocka_unit_test(lzo_lengths_do_not_cross_sectors),
		cmocka_unit_test(lzo_segments_may_be_longer_than_sectors),
		cmocka_unit_test(lzo_framing_that_lies_is_refused),
		cmocka_unit_test(lzo1x_instructions_mean_what_the_description_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
