/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_bits.h"

int ext_bits_init(struct ext_bits *bits, u64 nr_bits, u64 piece_bits)
{
	bits->piece_bits = round_up_u64(piece_bits, 64);
	bits->nr_pieces = nr_bits / bits->piece_bits + 1;
	bits->pieces = calloc(bits->nr_pieces, sizeof(*bits->pieces));
	return bits->pieces ? 0 : -ENOMEM;
}

void ext_bits_done(struct ext_bits *bits)
{
	for (u64 i = 0; bits->pieces && i < bits->nr_pieces; i++)
		free(bits->pieces[i]);
	free(bits->pieces);
	*bits = (struct ext_bits){ 0 };
}

u64 *ext_bits_piece(struct ext_bits *bits, u64 piece)
{
	if (!bits->pieces[piece])
		bits->pieces[piece] = calloc(bits->piece_bits / 64, sizeof(u64));
	return bits->pieces[piece];
}

int ext_bits_set(struct ext_bits *bits, u64 bit)
{
	u64 *words = ext_bits_piece(bits, bit / bits->piece_bits);
	u64 at = bit % bits->piece_bits, mask = (u64)1 << (at % 64);

	if (!words)
		return -ENOMEM;
	if (words[at / 64] & mask)
		return 1;
	words[at / 64] |= mask;
	return 0;
}

u64 ext_bits_first_missing(const struct ext_bits *a, const struct ext_bits *b)
{
	for (u64 p = 0; p < a->nr_pieces; p++) {
		const u64 *in = a->pieces[p], *out = b->pieces[p];

		for (u64 w = 0; in && w < a->piece_bits / 64; w++) {
			u64 missing = in[w] & ~(out ? out[w] : 0);

			if (missing)
				return p * a->piece_bits + w * 64 + (u64)__builtin_ctzll(missing);
		}
	}
	return UINT64_MAX;
}

u64 ext_words_find(const u64 *words, u64 from, u64 end, bool value)
{
	u64 flip = value ? 0 : ~(u64)0;

	while (from < end) {
		u64 word = (words[from / 64] ^ flip) >> (from % 64);

		if (word)
			return MIN(end, from + (u64)__builtin_ctzll(word));
		from = (from / 64 + 1) * 64;
	}
	return end;
}

void ext_words_fill(u64 *words, u64 from, u64 end, bool value)
{
	while (from < end) {
		u64 nr = MIN(end - from, 64 - from % 64);
		u64 mask = (nr == 64 ? ~(u64)0 : ((u64)1 << nr) - 1) << (from % 64);

		if (value)
			words[from / 64] |= mask;
		else
			words[from / 64] &= ~mask;
		from += nr;
	}
}
