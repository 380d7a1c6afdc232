/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Superblocks of bcachefs: found, checked, decoded. One device has several copies; only the place of the journal differs by device. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_SUPER_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_SUPER_H

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "convert/bcachefs/bch_disk.h"
#include "kernel-shared/device/blockdev.h"

struct bch_member {
	u8 uuid[16];
	u64 nr_buckets;
	u32 bucket_bytes;
	u16 first_bucket;
	u8 state; /* 0 rw, 1 ro, 2 failed, 3 spare */
	u64 seq; /* of the last write of superblocks that it took part in; 0: not recorded */
	u64 last_mount; /* seconds since 1970 */
	u64 errors[3]; /* of reads, writes, checksums; of later versions */
	bool is_used, is_deleted;
};

struct bch_bucket_range {
	u64 start, nr;
};

struct bch_seq_range {
	u64 start, end; /* end is not in it */
};

struct bch_super {
	u8 *raw; /* owned: struct disk_bch_super with its sections */
	size_t raw_bytes;
	u64 sector; /* where it was read */
	u16 version, version_min, incompat_in_use; /* incompat_in_use: 0 where no such thing is recorded */
	u8 uuid[16], user_uuid[16];
	char label[33];
	u64 seq, write_time; /* write_time: 0 in old versions */
	u32 block_bytes, node_bytes;
	u8 dev_idx, nr_devices;
	s64 time_base_ns; /* since 1970 */
	u32 time_precision_ns;
	u64 features, compat;
	bool is_clean, is_encrypted;
	u8 csum_type; /* of superblocks */
	u8 metadata_replicas, data_replicas; /* that are wished for */
	ARRAY(struct bch_member) members; /* by index; slots may be unused */
	ARRAY(struct bch_bucket_range) journal; /* of this device */
	ARRAY(struct bch_seq_range) blacklist; /* ascending, apart */
	const struct disk_bch_clean *clean; /* in raw; NULL: none */
	size_t clean_bytes; /* with its header */
	const struct disk_bch_crypt *crypt; /* in raw; NULL: none */
};

/*
 * The best copy on a device: that of the highest seq of those with a right checksum. 1: the device has no bcachefs; -EUCLEAN: it has
 * had one, and no copy is good; -EOPNOTSUPP: version, features or byte order that are not known, by name. @sector: where the only
 * copy to look at is; 0: all.
 */
int bch_super_read(struct blockdev *dev, u64 sector, struct bch_super **ret_super, struct diag *d);
void bch_super_free(struct bch_super *super); /* NULL allowed */
DEFINE_FREEP(struct bch_super *, bch_super_free)

/* What a copy is worth, for who checks or shows all of them. @super is NULL and @why says it, where it is bad. */
typedef int (*bch_super_copy_fn)(void *ctx, unsigned copy, u64 sector, const struct bch_super *super, const struct diag *why,
				 struct diag *d);
int bch_super_for_each_copy(struct blockdev *dev, bch_super_copy_fn fn, void *ctx, struct diag *d);

/* The first section of @type; NULL: none. *ret_bytes with the header. */
const struct disk_bch_section *bch_super_section(const struct bch_super *super, unsigned type, size_t *ret_bytes);

bool bch_super_is_blacklisted(const struct bch_super *super, u64 seq);

/* "1.31: btree_node_accounting", "0.11: inode_btree_change"; names of sections, features and compat bits. NULL: unknown. */
const char *bch_version_text(u16 version, char buf[64]);
const char *bch_section_name(unsigned type);
const char *bch_feature_name(unsigned bit);
const char *bch_compat_name(unsigned bit);

#endif
