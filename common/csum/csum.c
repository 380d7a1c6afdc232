/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <xxhash.h>

#include "common/csum/csum.h"

#if HAVE_GCRYPT
#include <gcrypt.h>
#endif

static void compute_crc32c(const void *data, size_t len, u8 *ret)
{
	le32 value;

	le32_put(&value, ~crc32c_update(~0U, data, len));
	memcpy(ret, value.byte, sizeof(value));
}

static void compute_xxhash64(const void *data, size_t len, u8 *ret)
{
	le64 value;

	le64_put(&value, XXH64(data, len, 0));
	memcpy(ret, value.byte, sizeof(value));
}

#if HAVE_GCRYPT
/* libgcrypt wants one initialisation a process, unless the program that embeds us has done it already. */
static void init_gcrypt_once(void)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return;
	gcry_check_version(NULL);
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

static void init_gcrypt(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_gcrypt_once);
}

static void compute_sha256(const void *data, size_t len, u8 *ret)
{
	init_gcrypt();
	gcry_md_hash_buffer(GCRY_MD_SHA256, ret, data, len);
}

static void compute_blake2b(const void *data, size_t len, u8 *ret)
{
	init_gcrypt();
	gcry_md_hash_buffer(GCRY_MD_BLAKE2B_256, ret, data, len);
}
#else
#define compute_sha256 NULL
#define compute_blake2b NULL
#endif

static const struct csum_kind kinds[CSUM_TYPE_COUNT] = {
	{ CSUM_TYPE_CRC32C, "crc32c", 4, compute_crc32c },
	{ CSUM_TYPE_XXHASH64, "xxhash", 8, compute_xxhash64 },
	{ CSUM_TYPE_SHA256, "sha256", 32, compute_sha256 },
	{ CSUM_TYPE_BLAKE2B, "blake2", 32, compute_blake2b },
};

const char *csum_type_name(u16 type)
{
	return type < CSUM_TYPE_COUNT ? kinds[type].name : NULL;
}

const struct csum_kind *csum_kind_by_type(u16 type)
{
	return type < CSUM_TYPE_COUNT && kinds[type].compute ? &kinds[type] : NULL;
}

const struct csum_kind *csum_kind_by_name(const char *name)
{
	static const struct {
		const char *name;
		u16 type;
	} aliases[] = {
		{ "xxhash64", CSUM_TYPE_XXHASH64 },
		{ "blake2b", CSUM_TYPE_BLAKE2B },
	};

	for (u16 type = 0; type < CSUM_TYPE_COUNT; type++)
		if (strcmp(name, kinds[type].name) == 0)
			return csum_kind_by_type(type);
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(name, aliases[i].name) == 0)
			return csum_kind_by_type(aliases[i].type);
	return NULL;
}
