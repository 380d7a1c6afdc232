/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where in a directory a name is, and among the extended attributes an attribute: each inode has a kind of hash, and a seed. */
#include "common/csum/csum.h"
#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_inode.h"
#include "convert/bcachefs/bch_siphash.h"

enum hash_type { HASH_CRC32C = 0, HASH_CRC64 = 1, HASH_SIPHASH_OLD = 2, HASH_SIPHASH = 3 };

#define HASH_MIN_OF_NAMES 2 /* "." and "..", which are not stored, would be before */
#define NAME_BYTES_MAX 512

/* The key is made from the seed by SHA-256. */
static int siphash_old(le64 seed, const void *data, size_t len, u64 *ret_hash)
{
	const struct csum_kind *sha256 = csum_kind_by_type(CSUM_TYPE_SHA256);
	u8 digest[CSUM_BYTES_MAX];
	le64 key[2];

	if (!sha256)
		return -EOPNOTSUPP;
	csum_compute(sha256, &seed, sizeof(seed), digest);
	memcpy(key, digest, sizeof(key));
	*ret_hash = bch_siphash(le64_get(key[0]), le64_get(key[1]), data, len) >> 1;
	return 0;
}

static int hash_of(const struct bch_inode *inode, const void *data, size_t len, u64 *ret_hash)
{
	le64 seed;

	le64_put(&seed, inode->hash_seed);
	switch ((enum hash_type)inode->hash_type) {
	case HASH_CRC32C:
		*ret_hash = crc32c_update(crc32c_update(UINT32_MAX, &seed, sizeof(seed)), data, len);
		return 0;
	case HASH_CRC64:
		*ret_hash = bch_crc64_update(bch_crc64_update(UINT64_MAX, &seed, sizeof(seed)), data, len) >> 1;
		return 0;
	case HASH_SIPHASH_OLD:
		return siphash_old(seed, data, len, ret_hash);
	case HASH_SIPHASH:
		*ret_hash = bch_siphash(inode->hash_seed, 0, data, len) >> 1;
		return 0;
	}
	return -EOPNOTSUPP;
}

int bch_name_hash(const struct bch_fs *fs, const struct bch_inode *dir, const char *name, size_t len, u64 *ret_hash)
{
	u64 hash = 0;
	int err = hash_of(dir, name, len, &hash);

	(void)fs;
	if (err)
		return err;
	if (dir->flags & BCH_INODE_31BIT_DIRENT_OFFSET)
		hash &= INT32_MAX;
	*ret_hash = MAX(hash, (u64)HASH_MIN_OF_NAMES);
	return 0;
}

int bch_xattr_hash(const struct bch_fs *fs, const struct bch_inode *inode, u8 type, const char *name, size_t len, u64 *ret_hash)
{
	u8 bytes[1 + NAME_BYTES_MAX];

	(void)fs;
	if (len > NAME_BYTES_MAX)
		return -EINVAL;
	bytes[0] = type;
	memcpy(bytes + 1, name, len);
	return hash_of(inode, bytes, len + 1, ret_hash);
}
