/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the buckets of a journal are gone through, for the files of bch_journal only. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_JOURNAL_INNER_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_JOURNAL_INNER_H

#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_journal.h"

struct bch_scan {
	struct bch_fs *fs;
	struct bch_journal *journal;
	unsigned device;
	u8 *bucket; /* the bytes of the one that is looked at; freed by who began the scan */
	u32 bucket_bytes, capacity;
	u64 nr; /* which it is */
	u64 magic;
	u64 last_seq; /* of good ones in it; 0: none yet */
	bool is_expected; /* here one begins, if the bucket has any more */
};

/* scan->device has been set: bucket_bytes, and room for a bucket. */
int bch_scan_begin_device(struct bch_scan *scan, struct diag *d);
/* The jsets of bucket scan->nr, added to scan->journal. */
int bch_scan_bucket(struct bch_scan *scan, struct diag *d);
/* What the field says that has the length, with the header; 0: it cannot be right. */
u32 bch_jset_bytes(const struct disk_bch_jset *jset, u32 room);
u64 bch_jset_magic(const struct bch_fs *fs);

/* All buckets that are wanted have been gone through: which of their jsets are needed? */
int bch_journal_judge(struct bch_fs *fs, struct bch_journal *journal, struct diag *d);

#endif
