/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_siphash.h"

struct state {
	u64 v0, v1, v2, v3;
};

static u64 rotate(u64 n, unsigned by)
{
	return n << by | n >> (64 - by);
}

static void mix(struct state *s, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

static void absorb(struct state *s, u64 word)
{
	s->v3 ^= word;
	mix(s, 2);
	s->v0 ^= word;
}

u64 bch_siphash(u64 key_0, u64 key_1, const void *data, size_t len_bytes)
{
	/* "somepseudorandomlygeneratedbytes" */
	struct state s = {
		key_0 ^ 0x736f6d6570736575ULL,
		key_1 ^ 0x646f72616e646f6dULL,
		key_0 ^ 0x6c7967656e657261ULL,
		key_1 ^ 0x7465646279746573ULL,
	};
	const u8 *at = data;
	size_t left = len_bytes;
	le64 word;

	for (; left >= sizeof(word); at += sizeof(word), left -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		absorb(&s, le64_get(word));
	}
	word = (le64){ { 0 } };
	if (left)
		memcpy(&word, at, left);
	word.byte[7] = (u8)len_bytes;
	absorb(&s, le64_get(word));
	s.v2 ^= 0xff;
	mix(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
