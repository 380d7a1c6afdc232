/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encrypted volumes: ChaCha20 and Poly1305, through libsodium. Without that library such volumes are refused by name, and all
 * else works.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_CRYPT_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_CRYPT_H

#include "common/base/cleanup.h"
#include "common/base/diag.h"
#include "convert/bcachefs/bch_disk.h"

struct bch_crypt; /* the volume's key; wiped when it is freed */

/* 96 bits that are counted up by 64-byte blocks, and 32 that say what is encrypted. */
struct bch_nonce {
	u32 word[4];
};

/* Nonces by use. @offset_bytes: of the bset in its node. */
struct bch_nonce bch_nonce_of_bset(const struct disk_bch_bset *bset, u32 offset_bytes);
struct bch_nonce bch_nonce_of_jset(u64 seq);
struct bch_nonce bch_nonce_of_extent(u64 version_lo, u32 version_hi, u32 usize_sectors, unsigned compression, u32 crc_nonce);
struct bch_nonce bch_nonce_add(struct bch_nonce nonce, u32 offset_bytes);

/*
 * Get the key out of the superblock's section. @passphrase: NULL if there is none, which does when the key is in clear.
 * -EACCES: a passphrase is wanted, or it is wrong; -EOPNOTSUPP: this build has no libsodium.
 */
int bch_crypt_open(const struct disk_bch_crypt *section, const u8 internal_uuid[16], const char *passphrase,
		   struct bch_crypt **ret_crypt, struct diag *d);
void bch_crypt_free(struct bch_crypt *crypt); /* NULL allowed */
DEFINE_FREEP(struct bch_crypt *, bch_crypt_free)

/* Of ciphertext. @type: one of the two encrypted ones. */
struct disk_bch_csum bch_crypt_mac(const struct bch_crypt *crypt, unsigned type, struct bch_nonce nonce, const void *data,
				   size_t len_bytes);
void bch_crypt_decrypt(const struct bch_crypt *crypt, struct bch_nonce nonce, void *data, size_t len_bytes);

#endif
