/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fuzz/mutate.h"

/* Numbers at the edges of types, counts and sizes of the format. */
static const u64 edges[] = {
	0,	1,	    2,		3,	     7,		  8,	      16,	 21,	    24,	    25,
	33,	53,	    100,	101,	     127,	  128,	      160,	 255,	    256,    257,
	439,	0x7fff,	    0x8000,	0xffff,	     0x10000,	  4095,	      4096,	 4097,	    8192,   65536,
	131072, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, UINT64_MAX, INT64_MAX, UINT64_MAX - 4095,
	UINT64_MAX - 255,
};

static u64 next_random(struct mutator *mutator)
{
	u64 x = mutator->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	mutator->random = x;
	return x * 0x2545F4914F6CDD1DULL;
}

/* 0 to @limit - 1; @limit is not 0. */
static size_t below(struct mutator *mutator, size_t limit)
{
	return (size_t)((next_random(mutator) >> 16) % limit);
}

int mutator_add_seed(struct mutator *mutator, const void *data, size_t len)
{
	struct mutator_seed seed = { malloc(len ? len : 1), len };

	if (!seed.data || array_push(&mutator->seeds, seed) < 0) {
		free(seed.data);
		return -ENOMEM;
	}
	if (len)
		memcpy(seed.data, data, len);
	return 0;
}

void mutator_done(struct mutator *mutator)
{
	array_for_each(&mutator->seeds, seed)
		free(seed->data);
	array_done(&mutator->seeds);
}

/* A little-endian number of 1, 2, 4 or 8 bytes: an edge, or what is there plus or minus a bit. */
static void change_number(struct mutator *mutator, u8 *buf, size_t len)
{
	size_t width = (size_t)1 << below(mutator, 4), at;
	u64 value = edges[below(mutator, ARRAY_LEN(edges))];

	if (width > len)
		width = 1;
	at = below(mutator, len - width + 1);
	if (below(mutator, 2)) {
		value = 0;
		for (size_t i = width; i-- > 0;)
			value = value << 8 | buf[at + i];
		value += below(mutator, 33) - 16;
	}
	for (size_t i = 0; i < width; i++, value >>= 8)
		buf[at + i] = (u8)value;
}

static void copy_within(struct mutator *mutator, u8 *buf, size_t len)
{
	size_t from = below(mutator, len), to = below(mutator, len), room = len - MAX(from, to);

	memmove(buf + to, buf + from, below(mutator, MIN(room, (size_t)64) + 1));
}

static size_t cut_out(struct mutator *mutator, u8 *buf, size_t len)
{
	size_t at = below(mutator, len), count = below(mutator, MIN(len - at, (size_t)64) + 1);

	memmove(buf + at, buf + at + count, len - at - count);
	return len - count;
}

static size_t put_in(struct mutator *mutator, u8 *buf, size_t len, size_t cap)
{
	size_t at = below(mutator, len + 1), count = below(mutator, MIN(cap - len, (size_t)64) + 1);

	memmove(buf + at + count, buf + at, len - at);
	for (size_t i = 0; i < count; i++)
		buf[at + i] = (u8)next_random(mutator);
	return len + count;
}

/* The end of another seed in place of the end of this one. */
static size_t splice(struct mutator *mutator, u8 *buf, size_t len, size_t cap)
{
	const struct mutator_seed *other = &mutator->seeds.items[below(mutator, mutator->seeds.len)];
	size_t at = below(mutator, MIN(len, other->len) + 1);
	size_t count = MIN(other->len - at, cap - at);

	memcpy(buf + at, other->data + at, count);
	return at + count;
}

static size_t change(struct mutator *mutator, u8 *buf, size_t len, size_t cap)
{
	if (len == 0)
		return put_in(mutator, buf, len, cap);
	switch (below(mutator, 16)) {
	case 0:
	case 1:
	case 2:
		buf[below(mutator, len)] ^= (u8)(1U << below(mutator, 8));
		return len;
	case 3:
	case 4:
		buf[below(mutator, len)] = (u8)next_random(mutator);
		return len;
	case 5:
		copy_within(mutator, buf, len);
		return len;
	case 6:
		return cut_out(mutator, buf, len);
	case 7:
		return put_in(mutator, buf, len, cap);
	case 8:
		return splice(mutator, buf, len, cap);
	case 9:
		return below(mutator, 8) ? len : below(mutator, len + 1);
	default:
		change_number(mutator, buf, len);
		return len;
	}
}

size_t mutator_next(struct mutator *mutator, u8 *buf, size_t cap)
{
	const struct mutator_seed *seed = &mutator->seeds.items[below(mutator, mutator->seeds.len)];
	size_t len = MIN(seed->len, cap);

	if (len)
		memcpy(buf, seed->data, len);
	for (size_t n = below(mutator, 8) + 1; n > 0; n--)
		len = change(mutator, buf, len, cap);
	return len;
}
