/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ChaCha20 as RFC 8439 has it: the first word of a nonce is the block counter, the others are the nonce. Poly1305's key
 * is the begin of the stream of the same nonce with its highest bit set.
 */
#include "convert/bcachefs/bch_crypt.h"

#include <string.h>

#include "convert/bcachefs/bch_checksum.h"

#if HAVE_SODIUM
#include <sodium.h>
#endif

#define BLOCK_BYTES 64
#define KEY_BYTES 32

enum { USE_EXTENT = 1 << 28, USE_BTREE = 2 << 28, USE_JOURNAL = 3 << 28 };
#define USE_POLY1305 (1u << 31)

struct bch_nonce bch_nonce_of_bset(const struct disk_bch_bset *bset, u32 offset_bytes)
{
	u64 seq = le64_get(bset->seq);

	return (struct bch_nonce){ { offset_bytes, (u32)seq, (u32)(seq >> 32),
				     (u32)le64_get(bset->journal_seq) ^ USE_BTREE } };
}

struct bch_nonce bch_nonce_of_jset(u64 seq)
{
	return (struct bch_nonce){ { 0, (u32)seq, (u32)(seq >> 32), USE_JOURNAL } };
}

/* @compression: that of data which is stored plainly, for whichever reason, counts as none. */
struct bch_nonce bch_nonce_of_extent(u64 version_lo, u32 version_hi, u32 usize_sectors, unsigned compression,
				     u32 crc_nonce)
{
	bool is_compressed = compression != 0 && compression != 5;
	struct bch_nonce nonce = { { is_compressed ? usize_sectors << 22 : 0, (u32)version_lo, (u32)(version_lo >> 32),
				     (version_hi | (is_compressed ? compression << 24 : 0)) ^ USE_EXTENT } };

	return bch_nonce_add(nonce, crc_nonce * BCH_SECTOR_BYTES);
}

struct bch_nonce bch_nonce_add(struct bch_nonce nonce, u32 offset_bytes)
{
	nonce.word[0] += offset_bytes / BLOCK_BYTES;
	return nonce;
}

#if HAVE_SODIUM

#define SALT_BYTES 7
static const char salt[SALT_BYTES] = "bcache";
static const char key_magic[8] = { 'b', 'c', 'h', '*', '*', 'k', 'e', 'y' };

/* What a superblock may demand of us: mkfs takes 2^21 steps and 16 MiB. */
#define KDF_STEPS_BITS_MAX 26
#define KDF_MEMORY_BITS_MAX 23 /* of 128 bytes each: 1 GiB */

struct bch_crypt {
	u8 key[KEY_BYTES];
};

static void chacha20(const u8 key[KEY_BYTES], struct bch_nonce nonce, void *data, size_t len_bytes)
{
	le32 words[3];

	for (unsigned i = 0; i < 3; i++)
		le32_put(&words[i], nonce.word[i + 1]);
	(void)crypto_stream_chacha20_ietf_xor_ic(data, data, len_bytes, words[0].byte, nonce.word[0], key);
}

static int derive_key(const struct disk_bch_crypt *section, const char *passphrase, u8 ret_key[KEY_BYTES],
		      struct diag *d)
{
	u64 flags = le64_get(section->kdf_flags);
	unsigned n = (u16)flags, r = (u16)(flags >> 16), p = (u16)(flags >> 32);

	if (le64_get(section->flags) & 15)
		return diag_fail(d, -EOPNOTSUPP, "crypt section: passphrases become keys by the unknown function %u",
				 (unsigned)(le64_get(section->flags) & 15));
	if (n == 0 || n > KDF_STEPS_BITS_MAX || r > KDF_STEPS_BITS_MAX || p > KDF_STEPS_BITS_MAX ||
	    n + r + p > KDF_STEPS_BITS_MAX || n + r > KDF_MEMORY_BITS_MAX)
		return diag_fail(d, -EUCLEAN, "crypt section: scrypt with N 2^%u, r 2^%u and p 2^%u", n, r, p);
	if (crypto_pwhash_scryptsalsa208sha256_ll((const u8 *)passphrase, strlen(passphrase), (const u8 *)salt,
						  SALT_BYTES, (u64)1 << n, 1u << r, 1u << p, ret_key, KEY_BYTES) != 0)
		return diag_no_memory(d, "scrypt");
	return 0;
}

int bch_crypt_open(const struct disk_bch_crypt *section, const u8 internal_uuid[16], const char *passphrase,
		   struct bch_crypt **ret_crypt, struct diag *d)
{
	struct {
		le64 magic;
		u8 key[KEY_BYTES];
	} stored;
	le32 uuid_words[2];
	u8 key[KEY_BYTES];
	int err = 0;

	if (sodium_init() < 0)
		return diag_fail(d, -EIO, "libsodium cannot be used");
	stored.magic = section->key_magic;
	memcpy(stored.key, section->key, KEY_BYTES);
	if (memcmp(&stored.magic, key_magic, sizeof(key_magic)) != 0) {
		if (!passphrase)
			return diag_fail(d, -EACCES, "the volume is encrypted, and its passphrase is needed");
		err = derive_key(section, passphrase, key, d);
		memcpy(uuid_words, internal_uuid, sizeof(uuid_words));
		if (!err)
			chacha20(key, (struct bch_nonce){ { 0, 0, le32_get(uuid_words[0]), le32_get(uuid_words[1]) } },
				 &stored, sizeof(stored));
		sodium_memzero(key, sizeof(key));
		if (!err && memcmp(&stored.magic, key_magic, sizeof(key_magic)) != 0)
			err = diag_fail(d, -EACCES, "the passphrase is wrong");
	}
	if (!err) {
		*ret_crypt = malloc(sizeof(**ret_crypt));
		if (*ret_crypt)
			memcpy((*ret_crypt)->key, stored.key, KEY_BYTES);
		else
			err = diag_no_memory(d, "a key");
	}
	sodium_memzero(&stored, sizeof(stored));
	return err;
}

void bch_crypt_free(struct bch_crypt *crypt)
{
	if (crypt)
		sodium_memzero(crypt, sizeof(*crypt));
	free(crypt);
}

struct disk_bch_csum bch_crypt_mac(const struct bch_crypt *crypt, unsigned type, struct bch_nonce nonce,
				   const void *data, size_t len_bytes)
{
	struct disk_bch_csum csum = { 0 };
	u8 key[KEY_BYTES] = { 0 }, mac[16];

	nonce.word[3] ^= USE_POLY1305;
	chacha20(crypt->key, nonce, key, sizeof(key));
	(void)crypto_onetimeauth_poly1305(mac, data, len_bytes, key);
	sodium_memzero(key, sizeof(key));
	memcpy(&csum, mac, MIN((size_t)bch_csum_bytes(type), sizeof(mac)));
	return csum;
}

void bch_crypt_decrypt(const struct bch_crypt *crypt, struct bch_nonce nonce, void *data, size_t len_bytes)
{
	chacha20(crypt->key, nonce, data, len_bytes);
}

#else

int bch_crypt_open(const struct disk_bch_crypt *section, const u8 internal_uuid[16], const char *passphrase,
		   struct bch_crypt **ret_crypt, struct diag *d)
{
	(void)section;
	(void)internal_uuid;
	(void)passphrase;
	(void)ret_crypt;
	return diag_fail(d, -EOPNOTSUPP, "the volume is encrypted, and this build has no libsodium");
}

/* Nobody has a key, so these are never called. */
void bch_crypt_free(struct bch_crypt *crypt)
{
	(void)crypt;
}

struct disk_bch_csum bch_crypt_mac(const struct bch_crypt *crypt, unsigned type, struct bch_nonce nonce,
				   const void *data, size_t len_bytes)
{
	(void)crypt;
	(void)type;
	(void)nonce;
	(void)data;
	(void)len_bytes;
	return (struct disk_bch_csum){ 0 };
}

void bch_crypt_decrypt(const struct bch_crypt *crypt, struct bch_nonce nonce, void *data, size_t len_bytes)
{
	(void)crypt;
	(void)nonce;
	(void)data;
	(void)len_bytes;
}

#endif
