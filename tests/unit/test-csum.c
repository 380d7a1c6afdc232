/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common/csum: published vectors for each kind, and the fast crc32c against the portable one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/csum/csum.h"

static const char nine[] = "123456789";

static void hex(const u8 *bytes, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		sprintf(ret + 2 * i, "%02x", bytes[i]);
}

static void vectors_of_every_kind(void **state)
{
	static const struct {
		u16 type;
		const char *data, *expected;
	} vectors[] = {
		{ CSUM_TYPE_CRC32C, "", "00000000" },
		{ CSUM_TYPE_CRC32C, nine, "839206e3" },
		{ CSUM_TYPE_XXHASH64, "", "99e9d85137db46ef" },
		{ CSUM_TYPE_XXHASH64, nine, "83aee640db41b88c" },
		{ CSUM_TYPE_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ CSUM_TYPE_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ CSUM_TYPE_BLAKE2B, "", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8" },
		{ CSUM_TYPE_BLAKE2B, "abc", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct csum_kind *kind = csum_kind_by_type(vectors[i].type);
		u8 got[CSUM_BYTES_MAX];
		char text[2 * CSUM_BYTES_MAX + 1];

		if (!kind)
			continue; /* built without its library */
		csum_compute(kind, vectors[i].data, strlen(vectors[i].data), got);
		hex(got, kind->size_bytes, text);
		assert_string_equal(text, vectors[i].expected);
	}
}

static void fast_crc32c_equals_portable(void **state)
{
	enum { LEN = 70000 };
	u8 *data = malloc(LEN);
	u32 x = 12345;

	(void)state;
	for (size_t i = 0; i < LEN; i++)
		data[i] = (u8)((x = x * 1664525 + 1013904223) >> 24);
	for (size_t start = 0; start < 17; start++)
		for (size_t len = 0; len < 300; len++)
			assert_int_equal(crc32c_update(~1U, data + start, len),
					 crc32c_update_portable(~1U, data + start, len));
	assert_int_equal(crc32c_update(0, data, LEN), crc32c_update_portable(0, data, LEN));
	free(data);
}

static void names_and_types(void **state)
{
	(void)state;
	assert_int_equal(csum_kind_by_name("crc32c")->type, CSUM_TYPE_CRC32C);
	assert_int_equal(csum_kind_by_name("xxhash64")->type, CSUM_TYPE_XXHASH64);
	assert_null(csum_kind_by_name("md5"));
	assert_null(csum_kind_by_type(4));
	assert_string_equal(csum_type_name(3), "blake2");
	assert_null(csum_type_name(4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_every_kind),
		cmocka_unit_test(fast_crc32c_equals_portable),
		cmocka_unit_test(names_and_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
