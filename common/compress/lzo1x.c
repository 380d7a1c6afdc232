/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LZO1X: a stream of instructions, each copying literals from the stream or a match from what is already out. What an
 * instruction below 16 means depends on how many literals the one before it copied: that is the state, 0 to 3, or
 * 4 after a long run.
 */
#include <errno.h>

#include "common/compress/lzo1x.h"

#define STATE_LONG_RUN 4
#define END_DISTANCE 16384

struct lzo_stream {
	const u8 *in;
	size_t in_left;
	u8 *out;
	size_t out_len, out_cap;
};

static bool next_byte(struct lzo_stream *s, unsigned *ret)
{
	if (s->in_left == 0)
		return false;
	*ret = *s->in++;
	s->in_left--;
	return true;
}

static bool next_le16(struct lzo_stream *s, unsigned *ret)
{
	unsigned low, high;

	if (!next_byte(s, &low) || !next_byte(s, &high))
		return false;
	*ret = low | high << 8;
	return true;
}

/* A length whose field in the instruction was 0: @base, 255 for each zero byte, and the byte after them. */
static bool long_length(struct lzo_stream *s, size_t base, size_t *ret)
{
	unsigned byte;

	do {
		if (!next_byte(s, &byte))
			return false;
		base += byte ? byte : 255;
	} while (byte == 0);
	*ret = base;
	return true;
}

static bool copy_literals(struct lzo_stream *s, size_t len)
{
	if (len > s->in_left || len > s->out_cap - s->out_len)
		return false;
	memcpy(s->out + s->out_len, s->in, len);
	s->in += len;
	s->in_left -= len;
	s->out_len += len;
	return true;
}

static bool copy_match(struct lzo_stream *s, size_t distance, size_t len)
{
	if (distance > s->out_len || len > s->out_cap - s->out_len)
		return false;
	/* Source and destination may overlap: byte by byte repeats the pattern, as meant. */
	for (size_t i = 0; i < len; i++, s->out_len++)
		s->out[s->out_len] = s->out[s->out_len - distance];
	return true;
}

/* One match instruction of 16 and above; *ret_is_end on the end marker. */
static bool match_instruction(struct lzo_stream *s, unsigned inst, unsigned *ret_state, bool *ret_is_end)
{
	size_t len, distance;
	unsigned more;

	if (inst >= 64) {
		len = inst >= 128 ? 5 + ((inst >> 5) & 3) : 3 + ((inst >> 5) & 1);
		if (!next_byte(s, &more))
			return false;
		distance = (more << 3) + ((inst >> 2) & 7) + 1;
		*ret_state = inst & 3;
		return copy_match(s, distance, len);
	}
	len = inst >= 32 ? inst & 31 : inst & 7;
	if (len == 0 ? !long_length(s, 2 + (inst >= 32 ? 31 : 7), &len) : (len += 2, false))
		return false;
	if (!next_le16(s, &more))
		return false;
	*ret_state = more & 3;
	if (inst >= 32)
		return copy_match(s, (more >> 2) + 1, len);
	distance = END_DISTANCE + ((inst & 8) << 11) + (more >> 2);
	if (distance == END_DISTANCE) {
		*ret_is_end = true;
		return true;
	}
	return copy_match(s, distance, len);
}

/* One instruction below 16, whose meaning depends on the state. */
static bool short_instruction(struct lzo_stream *s, unsigned inst, unsigned *state)
{
	size_t len = 3 + inst;
	unsigned more;

	if (*state == 0) {
		if (inst == 0 && !long_length(s, 3 + 15, &len))
			return false;
		*state = STATE_LONG_RUN;
		return copy_literals(s, len);
	}
	if (!next_byte(s, &more))
		return false;
	if (*state == STATE_LONG_RUN)
		return *state = inst & 3, copy_match(s, (more << 2) + (inst >> 2) + 2049, 3);
	*state = inst & 3;
	return copy_match(s, (more << 2) + (inst >> 2) + 1, 2);
}

/* The first byte may be a literal run of its own kind. */
static bool first_instruction(struct lzo_stream *s, unsigned *state)
{
	unsigned len;

	if (s->in_left == 0 || s->in[0] < 18)
		return s->in_left > 0;
	if (!next_byte(s, &len))
		return false;
	len -= 17;
	*state = len < 4 ? len : STATE_LONG_RUN;
	return copy_literals(s, len);
}

int lzo1x_stream_decompress(const u8 *src, size_t len, u8 *dst, size_t cap, size_t *ret_len)
{
	struct lzo_stream s = { src, len, dst, 0, cap };
	unsigned state = 0;
	bool is_end = false;

	if (!first_instruction(&s, &state))
		return -EUCLEAN;
	while (!is_end) {
		unsigned inst;

		if (!next_byte(&s, &inst))
			return -EUCLEAN;
		if (inst < 16) {
			/* After a long run or a match with literals the state's own literals are already out. */
			unsigned before = state;

			if (!short_instruction(&s, inst, &state))
				return -EUCLEAN;
			if (before == 0)
				continue;
		} else if (!match_instruction(&s, inst, &state, &is_end)) {
			return -EUCLEAN;
		}
		if (!is_end && state > 0 && state < STATE_LONG_RUN && !copy_literals(&s, state))
			return -EUCLEAN;
	}
	*ret_len = s.out_len;
	return 0;
}
