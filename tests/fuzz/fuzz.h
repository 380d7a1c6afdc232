/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a fuzz target is: one function that takes any bytes, and seeds to begin from, which are made here and not stored.
 *
 * With --enable-fuzzers a target is linked with libFuzzer (through libfuzzer.c), else with driver.c, which runs the seeds
 * and a fixed number of mutations of them, the same ones each time.
 */
#ifndef BTRKIT_TESTS_FUZZ_FUZZ_H
#define BTRKIT_TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "common/base/types.h"

/* --- What each target defines --------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const char fuzz_name[];
extern const unsigned fuzz_iterations; /* mutations that `make check` runs */
extern const size_t fuzz_input_max;

typedef void (*fuzz_add_fn)(void *ctx, const void *data, size_t len);
void fuzz_seeds(fuzz_add_fn add, void *ctx);

/* --- What targets use --------------------------------------------------------------------------------------- */

/* A broken promise of the library, as bad as a crash. */
#define fuzz_require(condition)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The input, taken apart from its beginning; behind its end there are zeroes. */
struct fuzz_input {
	const u8 *at;
	size_t left;
};

static inline void fuzz_take(struct fuzz_input *input, void *to, size_t len)
{
	size_t have = MIN(len, input->left);

	memset(to, 0, len);
	if (have)
		memcpy(to, input->at, have);
	input->at += have;
	input->left -= have;
}

static inline u8 fuzz_take_u8(struct fuzz_input *input)
{
	u8 byte;

	fuzz_take(input, &byte, 1);
	return byte;
}

static inline u16 fuzz_take_u16(struct fuzz_input *input)
{
	le16 field;

	fuzz_take(input, &field, sizeof(field));
	return le16_get(field);
}

static inline u64 fuzz_take_u64(struct fuzz_input *input)
{
	le64 field;

	fuzz_take(input, &field, sizeof(field));
	return le64_get(field);
}

#endif
