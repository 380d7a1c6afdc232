/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents: what their values say, and reading their data from whichever replica is good. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_EXTENT_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_EXTENT_H

#include "convert/bcachefs/bch_key.h"

struct bch_fs;

enum bch_compression {
	BCH_COMPRESSION_NONE = 0,
	BCH_COMPRESSION_LZ4_OLD = 1,
	BCH_COMPRESSION_GZIP = 2,
	BCH_COMPRESSION_LZ4 = 3,
	BCH_COMPRESSION_ZSTD = 4,
	BCH_COMPRESSION_INCOMPRESSIBLE = 5, /* stored plainly */
};

/* How what a pointer points to is stored; of a pointer without any: csize and usize are the extent's size, all else 0. */
struct bch_crc {
	u32 csize_sectors, usize_sectors, offset_sectors, nonce;
	u8 csum_type, compression;
	struct disk_bch_csum csum;
};

struct bch_replica {
	u8 device;
	bool is_cached, is_unwritten;
	u64 physical;
	struct bch_crc crc;
};

#define BCH_REPLICAS_MAX 8
struct bch_extent {
	unsigned nr_replicas;
	bool is_poisoned; /* known to be bad since it was written */
	bool has_stripes; /* erasure coded: copies can be read, but what is lost is not computed */
	struct bch_replica replica[BCH_REPLICAS_MAX];
};

/* Is what is stored what the file has, but for encryption? */
bool bch_crc_is_plain(const struct bch_crc *crc);
/* Allocated, and to be read as zeroes. */
bool bch_extent_is_unwritten(const struct bch_extent *extent);

/*
 * Decode the entries of an extent's value (of BCH_KEY_REFLINK_V: those behind the count of references); @size_sectors is the key's.
 * -EUCLEAN; -EOPNOTSUPP: entries of a kind that is not known, or erasure coding that would be needed.
 */
int bch_extent_get(const struct bch_fs *fs, const u8 *entries, size_t bytes, u32 size_sectors, struct bch_extent *ret_extent,
		   struct diag *d);

/*
 * The stored data of one replica, checked, decrypted and decompressed: @buf gets crc.usize_sectors. -EUCLEAN: checksum or compression is
 * wrong; -EIO: the device is missing or fails.
 */
int bch_replica_read(struct bch_fs *fs, const struct bch_key *key, const struct bch_replica *replica, void *buf, struct diag *d);

/*
 * What bch_replica_read() does with csize bytes that were read by another: check, and decrypt in place. -EUCLEAN.
 */
int bch_crc_open(const struct bch_fs *fs, const struct bch_key *key, const struct bch_crc *crc, void *stored, struct diag *d);

/*
 * @nr_sectors of an extent from @from_sector of it on, of whichever replica is good; a bad one that another replaced is told as a
 * warning. Zeroes where it is not written.
 */
int bch_extent_read(struct bch_fs *fs, const struct bch_key *key, const struct bch_extent *extent, u32 from_sector, u32 nr_sectors,
		    void *buf, struct diag *d);

#endif
