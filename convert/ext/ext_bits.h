/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bit for each of very many things, in pieces that are there when the first of their bits is set. */
#ifndef BTRKIT_CONVERT_EXT_EXT_BITS_H
#define BTRKIT_CONVERT_EXT_EXT_BITS_H

#include "common/base/cleanup.h"
#include "common/base/types.h"

struct ext_bits {
	u64 **pieces; /* NULL: all zero */
	u64 nr_pieces;
	u64 piece_bits; /* a multiple of 64 */
};

int ext_bits_init(struct ext_bits *bits, u64 nr_bits, u64 piece_bits);
void ext_bits_done(struct ext_bits *bits);

/* The words of a piece, made if there are none; NULL: no memory. */
u64 *ext_bits_piece(struct ext_bits *bits, u64 piece);

/* 0: it was clear; 1: it was set already; -ENOMEM. */
int ext_bits_set(struct ext_bits *bits, u64 bit);

static inline bool ext_bits_test(const struct ext_bits *bits, u64 bit)
{
	const u64 *words = bits->pieces[bit / bits->piece_bits];
	u64 at = bit % bits->piece_bits;

	return words && (words[at / 64] >> (at % 64) & 1);
}

/* The first bit that is set in @a and not in @b, which has the same shape; UINT64_MAX: none. */
u64 ext_bits_first_missing(const struct ext_bits *a, const struct ext_bits *b);

/* The first bit in [from, end) of @words that is @value; @end if there is none. */
u64 ext_words_find(const u64 *words, u64 from, u64 end, bool value);

/* Set or clear [from, end). */
void ext_words_fill(u64 *words, u64 from, u64 end, bool value);

#endif
