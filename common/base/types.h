/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fixed-width integers, and little-endian integers as they lie on disk.
 *
 * le16, le32 and le64 are arrays of bytes in a struct: they have no alignment, cannot be added to or compared by
 * accident, and are read and written only with le*_get() and le*_put(). On a little-endian machine the compiler
 * makes plain loads and stores of these.
 */
#ifndef BTRKIT_COMMON_BASE_TYPES_H
#define BTRKIT_COMMON_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

typedef struct {
	u8 byte[2];
} le16;
typedef struct {
	u8 byte[4];
} le32;
typedef struct {
	u8 byte[8];
} le64;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LE_SWAP_16(v) (v)
#define LE_SWAP_32(v) (v)
#define LE_SWAP_64(v) (v)
#else
#define LE_SWAP_16(v) __builtin_bswap16(v)
#define LE_SWAP_32(v) __builtin_bswap32(v)
#define LE_SWAP_64(v) __builtin_bswap64(v)
#endif

static inline u16 le16_get(le16 v)
{
	u16 n;
	memcpy(&n, v.byte, sizeof(n));
	return LE_SWAP_16(n);
}

static inline u32 le32_get(le32 v)
{
	u32 n;
	memcpy(&n, v.byte, sizeof(n));
	return LE_SWAP_32(n);
}

static inline u64 le64_get(le64 v)
{
	u64 n;
	memcpy(&n, v.byte, sizeof(n));
	return LE_SWAP_64(n);
}

static inline void le16_put(le16 *field, u16 n)
{
	n = LE_SWAP_16(n);
	memcpy(field->byte, &n, sizeof(n));
}

static inline void le32_put(le32 *field, u32 n)
{
	n = LE_SWAP_32(n);
	memcpy(field->byte, &n, sizeof(n));
}

static inline void le64_put(le64 *field, u64 n)
{
	n = LE_SWAP_64(n);
	memcpy(field->byte, &n, sizeof(n));
}

#define KIB ((u64)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define TIB (GIB * 1024)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* Each use has names of its own, so that one may stand within another. */
#define MIN(a, b) MIN_NAMED(a, b, __COUNTER__)
#define MAX(a, b) MAX_NAMED(a, b, __COUNTER__)
#define MIN_NAMED(a, b, n) MIN_AS(a, b, n)
#define MAX_NAMED(a, b, n) MAX_AS(a, b, n)
#define MIN_AS(a, b, n) ({ __auto_type a_##n = (a); __auto_type b_##n = (b); a_##n < b_##n ? a_##n : b_##n; })
#define MAX_AS(a, b, n) ({ __auto_type a_##n = (a); __auto_type b_##n = (b); a_##n > b_##n ? a_##n : b_##n; })
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Round to a multiple of @to, which need not be a power of two. The caller knows that the result fits. */
static inline u64 round_down_u64(u64 n, u64 to)
{
	return n - n % to;
}

static inline u64 round_up_u64(u64 n, u64 to)
{
	return round_down_u64(n + to - 1, to);
}

static inline bool is_power_of_two(u64 n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

#endif
