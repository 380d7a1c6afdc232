/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/volume/raid56.h"

#define GF_POLYNOMIAL 0x1d

static u8 gf_mul(u8 a, u8 b)
{
	u8 product = 0;

	for (; b; b >>= 1) {
		if (b & 1)
			product ^= a;
		a = (u8)((a << 1) ^ (a & 0x80 ? GF_POLYNOMIAL : 0));
	}
	return product;
}

static u8 gf_pow2(unsigned exponent)
{
	u8 value = 1;

	for (exponent %= 255; exponent > 0; exponent--)
		value = gf_mul(value, 2);
	return value;
}

static u8 gf_inverse(u8 a)
{
	u8 power = 1;

	/* a^254: the group has 255 elements */
	for (unsigned i = 0; i < 254; i++)
		power = gf_mul(power, a);
	return power;
}

/* Bytes that are computed together: with a sign, too, so that comparing finds those with the highest bit set. */
typedef u8 gf_block __attribute__((vector_size(16)));
typedef signed char signed_block __attribute__((vector_size(16)));

static inline gf_block load_block(const u8 *from)
{
	gf_block block;

	memcpy(&block, from, sizeof(block));
	return block;
}

/* Multiply all bytes by 2. */
static inline gf_block double_block(gf_block v)
{
	return (v + v) ^ ((gf_block)((signed_block)v < 0) & GF_POLYNOMIAL);
}

static void xor_into(u8 *to, const u8 *from, size_t len)
{
	size_t i = 0;

	for (; i + sizeof(gf_block) <= len; i += sizeof(gf_block)) {
		const gf_block sum = load_block(to + i) ^ load_block(from + i);

		memcpy(to + i, &sum, sizeof(sum));
	}
	for (; i < len; i++)
		to[i] ^= from[i];
}

/* Horner's rule, the highest power first. */
static void generate_q(u8 *const *data, unsigned nr_data, u8 *q, size_t len)
{
	size_t i = 0;

	for (; i + sizeof(gf_block) <= len; i += sizeof(gf_block)) {
		gf_block sum = { 0 };

		for (unsigned s = nr_data; s-- > 0;)
			sum = double_block(sum) ^ load_block(data[s] + i);
		memcpy(q + i, &sum, sizeof(sum));
	}
	for (; i < len; i++) {
		u8 sum = 0;

		for (unsigned s = nr_data; s-- > 0;)
			sum = (u8)(gf_mul(sum, 2) ^ data[s][i]);
		q[i] = sum;
	}
}

static void generate_p(u8 *const *data, unsigned nr_data, u8 *p, size_t len)
{
	memcpy(p, data[0], len);
	for (unsigned s = 1; s < nr_data; s++)
		xor_into(p, data[s], len);
}

void raid56_generate(u8 *const *data, unsigned nr_data, u8 *p, u8 *q, size_t len)
{
	generate_p(data, nr_data, p, len);
	if (q)
		generate_q(data, nr_data, q, len);
}

static void multiply_table(u8 factor, u8 table[256])
{
	for (unsigned i = 0; i < 256; i++)
		table[i] = gf_mul(factor, (u8)i);
}

/* data[x] from P and the others. */
static void recover_by_p(u8 *const *data, unsigned nr_data, const u8 *p, unsigned x, size_t len)
{
	memcpy(data[x], p, len);
	for (unsigned s = 0; s < nr_data; s++)
		if (s != x)
			xor_into(data[x], data[s], len);
}

/* data[x] from Q and the others: (Q + Q of the others) / 2^x. */
static void recover_by_q(u8 *const *data, unsigned nr_data, const u8 *q, unsigned x, size_t len)
{
	u8 table[256];

	multiply_table(gf_inverse(gf_pow2(x)), table);
	for (size_t i = 0; i < len; i++) {
		u8 sum = 0;

		for (unsigned s = nr_data; s-- > 0;)
			sum = (u8)(gf_mul(sum, 2) ^ (s == x ? 0 : data[s][i]));
		data[x][i] = table[sum ^ q[i]];
	}
}

/* data[x] and data[y], x < y, from P and Q. */
static void recover_two(u8 *const *data, unsigned nr_data, const u8 *p, const u8 *q, unsigned x, unsigned y,
			size_t len)
{
	u8 step = gf_pow2(y - x);
	u8 divisor = gf_inverse(step ^ 1);
	u8 by_p[256], by_q[256];

	multiply_table(gf_mul(step, divisor), by_p);
	multiply_table(gf_mul(gf_inverse(gf_pow2(x)), divisor), by_q);
	for (size_t i = 0; i < len; i++) {
		u8 p_rest = p[i], q_rest = 0;

		for (unsigned s = nr_data; s-- > 0;) {
			u8 v = s == x || s == y ? 0 : data[s][i];

			p_rest ^= v;
			q_rest = (u8)(gf_mul(q_rest, 2) ^ v);
		}
		q_rest ^= q[i];
		data[x][i] = by_p[p_rest] ^ by_q[q_rest];
		data[y][i] = p_rest ^ data[x][i];
	}
}

bool raid56_recover(u8 *const *stripes, unsigned nr_data, unsigned nr_parity, const unsigned *lost, unsigned nr_lost,
		    size_t len)
{
	u8 *p = stripes[nr_data], *q = nr_parity > 1 ? stripes[nr_data + 1] : NULL;
	unsigned lost_data = 0;
	bool is_p_lost = false;

	if (nr_lost > nr_parity)
		return false;
	for (unsigned i = 0; i < nr_lost; i++) {
		lost_data += lost[i] < nr_data;
		is_p_lost |= lost[i] == nr_data;
	}
	if (lost_data == 2)
		recover_two(stripes, nr_data, p, q, lost[0], lost[1], len);
	else if (lost_data == 1 && is_p_lost)
		recover_by_q(stripes, nr_data, q, lost[0], len);
	else if (lost_data == 1)
		recover_by_p(stripes, nr_data, p, lost[0], len);
	if (lost_data < nr_lost)
		raid56_generate(stripes, nr_data, p, q, len);
	return true;
}

