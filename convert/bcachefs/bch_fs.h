/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open volume of bcachefs. It is only ever read. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_FS_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_FS_H

#include "convert/bcachefs/bch_crypt.h"
#include "convert/bcachefs/bch_inode.h"
#include "convert/bcachefs/bch_journal.h"
#include "convert/bcachefs/bch_super.h"
#include "convert/source/source.h"

struct bch_device {
	struct blockdev *dev; /* the caller's; NULL: missing */
	struct bch_super *super; /* this device's own */
	u32 given; /* the how manieth it was when the source was opened */
};

struct bch_pieces;
struct bch_node_cache; /* of nodes that were read lately; locked */

struct bch_fs {
	struct source source;
	struct bch_device devices[BCH_DEVICES_MAX]; /* by index of the member */
	unsigned nr_missing;
	const struct bch_super *super; /* the newest of any device; one of the above */
	struct bch_crypt *crypt; /* NULL: not encrypted */
	struct bch_journal *journal;
	bool uses_journal; /* it is unclean, and nobody asked for the opposite */
	struct bch_root roots[BCH_BTREES_MAX];
	struct bch_snapshots snapshots;
	ARRAY(struct bch_truncate) truncates; /* that were not finished; by snapshot and inode, one of each */
	struct bch_node_cache *cache;
	struct bch_pieces *pieces; /* of extents that were read lately; NULL: none are kept */
	struct spill spill;
	const struct source_options *options; /* copied: belongs to it */
};

static inline struct bch_fs *bch_fs_of(struct source *source)
{
	return container_of(source, struct bch_fs, source);
}

/* Find out which member each of @devs is, and the newest superblock. -EINVAL: they do not belong together, or one is there twice. */
int bch_devices_match(struct bch_fs *fs, struct blockdev *const *devs, size_t nr_devs, struct diag *d);

/* Read bytes of member @device; -EIO with its name if it is missing, or the range is not in it. Thread-safe. */
int bch_device_read(const struct bch_fs *fs, unsigned device, u64 physical, void *buf, size_t len_bytes, struct diag *d);

/*
 * In stages, for commands that look at a volume that does not open: superblocks; journal; roots and snapshots. Devices come in any
 * order; fs->source.ops is left to who makes a source of it. 1: none of them has bcachefs. -EINVAL: they do not belong together;
 * -EACCES: the passphrase; -EOPNOTSUPP, -EUCLEAN. From the journal's stage on fs->journal is there, also of a clean volume (its end,
 * unless the options want all of it), unless it could not be read and is not needed, which is told.
 */
enum bch_stage { BCH_STAGE_SUPER, BCH_STAGE_JOURNAL, BCH_STAGE_ALL };
int bch_fs_open(struct blockdev *const *devs, size_t nr_devs, const struct source_options *options, enum bch_stage stage,
		struct bch_fs **ret_fs, struct diag *d);
void bch_fs_close(struct bch_fs *fs); /* NULL allowed */
DEFINE_FREEP(struct bch_fs *, bch_fs_close)

#endif
