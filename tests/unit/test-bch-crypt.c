/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checksums and ciphers of bcachefs against published vectors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_crypt.h"
#include "convert/bcachefs/bch_extent.h"
#include "convert/bcachefs/bch_fs.h"
#include "tests/unit/hand_bch_super.h"

static void checksum_vectors(void **state)
{
	static const char nine[] = "123456789";
	u64 whole, parts;

	(void)state;
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_CRC32C_NONZERO, nine, 9).lo), 0xe3069283);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_CRC64, nine, 9).lo), 0x6c40df5f0b497347);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_CRC64_NONZERO, nine, 9).lo), 0x62ec59e3f1a4f00a);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_XXHASH, nine, 9).lo), 0x8cb841db40e6ae83);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_NONE, nine, 9).lo), 0);
	assert_int_equal(bch_csum_bytes(BCH_CSUM_CHACHA20_POLY1305_80), 10);
	assert_null(bch_csum_name(BCH_NR_CSUM_TYPES));
	whole = bch_crc64_update(0, nine, 9);
	parts = bch_crc64_update(bch_crc64_update(0, nine, 4), nine + 4, 5);
	assert_int_equal(whole, parts);
}

static struct bch_crypt *crypt_with_key(const u8 key[32])
{
	struct disk_bch_crypt section = { 0 };
	struct bch_crypt *crypt = NULL;
	struct diag d = { 0 };
	u8 uuid[16] = { 0 };

	memcpy(&section.key_magic, "bch**key", 8);
	memcpy(section.key, key, 32);
	assert_int_equal(bch_crypt_open(&section, uuid, NULL, &crypt, &d), 0);
	return crypt;
}

/* RFC 8439, 2.4.2: the nonce's words in our order. */
static void cipher_vectors(void **state)
{
	static const char plain[] =
		"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen "
		"would be it.";
	static const u8 begin[16] = { 0x6e, 0x2e, 0x35, 0x9a, 0x25, 0x68, 0xf9, 0x80,
				      0x41, 0xba, 0x07, 0x28, 0xdd, 0x0d, 0x69, 0x81 };
	const struct bch_nonce nonce = { { 1, 0, 0x4a000000, 0 } };
	struct bch_crypt *crypt;
	u8 key[32], text[sizeof(plain)], halves[sizeof(plain)];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		key[i] = (u8)i;
	crypt = crypt_with_key(key);
	memcpy(text, plain, sizeof(plain));
	bch_crypt_decrypt(crypt, nonce, text, sizeof(text));
	assert_memory_equal(text, begin, sizeof(begin));
	/* Entered behind the first block. */
	memcpy(halves, plain, sizeof(plain));
	bch_crypt_decrypt(crypt, bch_nonce_add(nonce, 64), halves + 64, sizeof(halves) - 64);
	assert_memory_equal(halves + 64, text + 64, sizeof(text) - 64);
	bch_crypt_free(crypt);
}

/* RFC 8439, 2.6.2 gives the key that Poly1305 gets for this nonce; ours has the highest bit flipped before. */
static void mac_vector(void **state)
{
	static const u8 key_of_mac[32] = { 0x8a, 0xd5, 0xa0, 0x8b, 0x90, 0x5f, 0x81, 0xcc, 0x81, 0x50, 0x40,
					   0x27, 0x4a, 0xb2, 0x94, 0x71, 0xa8, 0x33, 0xb6, 0x37, 0xe3, 0xfd,
					   0x0d, 0xa5, 0x08, 0xdb, 0xb8, 0xe2, 0xfd, 0xd1, 0xa6, 0x46 };
	const struct bch_nonce nonce = { { 0, 0, 0x03020100, 0x07060504 ^ 1u << 31 } };
	struct disk_bch_csum wide, narrow;
	struct bch_crypt *crypt;
	u8 key[32];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		key[i] = (u8)(0x80 + i);
	crypt = crypt_with_key(key);
	/* Of nothing, Poly1305 is the second half of its key. */
	wide = bch_crypt_mac(crypt, BCH_CSUM_CHACHA20_POLY1305_128, nonce, key, 0);
	assert_memory_equal(&wide, key_of_mac + 16, 16);
	narrow = bch_crypt_mac(crypt, BCH_CSUM_CHACHA20_POLY1305_80, nonce, key, 0);
	assert_memory_equal(&narrow, key_of_mac + 16, 10);
	assert_int_equal(le64_get(narrow.hi) >> 16, 0);
	bch_crypt_free(crypt);
}

/* Passphrase "open sesame", salt "bcache" with its NUL, N 2^4, r 2^1, p 2^0; computed by OpenSSL. */
static void passphrases(void **state)
{
	static const u8 stored[40] = { 0xbc, 0x38, 0x57, 0xcc, 0x5f, 0xae, 0x5a, 0x42, 0x58, 0x2f,
				       0xc8, 0x98, 0xee, 0x04, 0x04, 0x57, 0x19, 0xfc, 0xbd, 0x76,
				       0x60, 0x59, 0x6d, 0x3e, 0x83, 0x60, 0x40, 0xfa, 0x85, 0x91,
				       0x3c, 0x83, 0x2e, 0x4f, 0x10, 0x40, 0x1e, 0xfc, 0xa8, 0xea };
	struct disk_bch_crypt section = { 0 };
	struct bch_crypt *crypt = NULL;
	struct diag d = { 0 };
	u8 uuid[16], bytes[64] = { 0 }, expected[64] = { 0 }, key[32];
	struct bch_crypt *same;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		uuid[i] = (u8)(0xa0 + i);
	memset(key, 0x5c, sizeof(key));
	le64_put(&section.kdf_flags, 4 | 1 << 16);
	memcpy(&section.key_magic, stored, 40);
	assert_int_equal(bch_crypt_open(&section, uuid, NULL, &crypt, &d), -EACCES);
	assert_int_equal(bch_crypt_open(&section, uuid, "open barley", &crypt, &d), -EACCES);
	assert_non_null(strstr(d.text, "passphrase is wrong"));
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), 0);
	same = crypt_with_key(key);
	bch_crypt_decrypt(crypt, (struct bch_nonce){ { 0 } }, bytes, sizeof(bytes));
	bch_crypt_decrypt(same, (struct bch_nonce){ { 0 } }, expected, sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(bytes));
	bch_crypt_free(crypt);
	bch_crypt_free(same);
	/* What would take hours or all memory. */
	le64_put(&section.kdf_flags, 40 | 1 << 16);
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), -EUCLEAN);
	le64_put(&section.kdf_flags, 4 | (u64)30 << 32);
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), -EUCLEAN);
	le64_put(&section.flags, 3);
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), -EOPNOTSUPP);
}

/* What nonces of each use consist of. */
static void nonces(void **state)
{
	struct disk_bch_bset bset = { 0 };
	struct bch_nonce nonce;

	(void)state;
	le64_put(&bset.seq, 0x1111111122222222);
	le64_put(&bset.journal_seq, 0x3333333300000044);
	nonce = bch_nonce_of_bset(&bset, 4096);
	assert_memory_equal(&nonce, ((u32[]){ 4096, 0x22222222, 0x11111111, 0x20000044 }), sizeof(nonce));
	nonce = bch_nonce_of_jset(0x1111111122222222);
	assert_memory_equal(&nonce, ((u32[]){ 0, 0x22222222, 0x11111111, 0x30000000 }), sizeof(nonce));
	nonce = bch_nonce_of_extent(0x1122334455667788, 0x99, 16, 0, 5);
	assert_memory_equal(&nonce, ((u32[]){ 40, 0x55667788, 0x11223344, 0x10000099 }), sizeof(nonce));
	nonce = bch_nonce_of_extent(0x1122334455667788, 0x99, 16, BCH_COMPRESSION_INCOMPRESSIBLE, 5);
	assert_memory_equal(&nonce, ((u32[]){ 40, 0x55667788, 0x11223344, 0x10000099 }), sizeof(nonce));
	nonce = bch_nonce_of_extent(0x1122334455667788, 0x99, 16, BCH_COMPRESSION_ZSTD, 0);
	assert_memory_equal(&nonce, ((u32[]){ 16 << 22, 0x55667788, 0x11223344, 0x14000099 }), sizeof(nonce));
}

/* An extent whose ciphertext and MAC bcachefs_encrypt.py has computed: is it read, and is it noticed if one bit is
 * another? */
static void an_encrypted_extent(void **state)
{
	static const u8 begin[16] = { 0x90, 0xd0, 0x2d, 0xc5, 0xcb, 0x57, 0x97, 0x5e,
				      0x67, 0x51, 0x69, 0x01, 0xb1, 0x17, 0xc2, 0x81 };
	static const u64 value[3] = { 0x282d03014000703c, 0xbb94a1222a25c2ea, 0x8001 };
	const struct bch_key key = {
		.type = BCH_KEY_EXTENT, .size_sectors = 8, .version_lo = 0x1122334455667788, .version_hi = 0x99
	};
	struct source_options options = { 0 };
	struct blockdev *dev;
	struct bch_extent extent;
	struct hand_super hand;
	struct bch_fs *fs;
	struct diag d = { 0 };
	u8 bytes[4096], data[4096], secret[32];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		secret[i] = (u8)(7 + i);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i * 7 + 3);
	assert_int_equal(memory_device_new("sda", HAND_DEVICE_BYTES, &dev), 0);
	hand_init(&hand, 0, 1);
	hand_write_all(&hand, dev);
	assert_int_equal(bch_fs_open(&dev, 1, &options, BCH_STAGE_SUPER, &fs, &d), 0);
	fs->crypt = crypt_with_key(secret);
	memcpy(bytes, data, sizeof(bytes));
	bch_crypt_decrypt(fs->crypt, bch_nonce_of_extent(key.version_lo, key.version_hi, 8, 0, 5), bytes,
			  sizeof(bytes));
	assert_memory_equal(bytes, begin, sizeof(begin));
	assert_int_equal(blockdev_write(dev, 2048 * 512, bytes, sizeof(bytes), &d), 0);

	assert_int_equal(bch_extent_get(fs, (const u8 *)value, sizeof(value), 8, &extent, &d), 0);
	assert_int_equal(extent.nr_replicas, 1);
	assert_int_equal(bch_extent_read(fs, &key, &extent, 0, 8, bytes, &d), 0);
	assert_memory_equal(bytes, data, sizeof(data));
	assert_int_equal(bch_extent_read(fs, &key, &extent, 3, 2, bytes, &d), 0);
	assert_memory_equal(bytes, data + 3 * 512, 2 * 512);
	assert_int_equal(blockdev_write(dev, 2048 * 512 + 4000, "x", 1, &d), 0);
	assert_int_equal(bch_extent_read(fs, &key, &extent, 0, 8, bytes, &d), -EUCLEAN);
	bch_fs_close(fs);
	blockdev_close(dev);
}

static void without_libsodium(void **state)
{
	struct disk_bch_crypt section = { 0 };
	struct bch_crypt *crypt = NULL;
	struct diag d = { 0 };
	u8 uuid[16] = { 0 };

	(void)state;
	assert_int_equal(bch_crypt_open(&section, uuid, "x", &crypt, &d), -EOPNOTSUPP);
	assert_non_null(strstr(d.text, "libsodium"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_vectors), cmocka_unit_test(cipher_vectors), cmocka_unit_test(mac_vector),
		cmocka_unit_test(passphrases),	    cmocka_unit_test(nonces),	      cmocka_unit_test(an_encrypted_extent),
	};
	const struct CMUnitTest no_crypt_tests[] = { cmocka_unit_test(checksum_vectors), cmocka_unit_test(without_libsodium) };

	return HAVE_SODIUM ? cmocka_run_group_tests(tests, NULL, NULL) : cmocka_run_group_tests(no_crypt_tests, NULL, NULL);
}
