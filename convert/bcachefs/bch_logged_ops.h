/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was begun with files and not finished when the volume was left. Whoever mounts it next finishes that; a truncation is shown as
 * it will be then. How a range was to be inserted or removed is not followed: such a file is as it was in between.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_LOGGED_OPS_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_LOGGED_OPS_H

#include "convert/bcachefs/bch_inode.h"

struct bch_logged_op {
	bool is_truncate; /* else: a range is being inserted or removed */
	u32 subvol;
	u64 ino;
	u64 new_size; /* of truncations */
};
/* From a key of the btree of these. 1: it is something else. -EUCLEAN. */
int bch_logged_op_get(const struct bch_key *key, struct bch_logged_op *ret_op, struct diag *d);

/* Find them all, and tell of them: truncations as a note, others as warnings with paths. Subvolumes have to be known. */
int bch_logged_ops_read(struct bch_fs *fs, struct diag *d);
void bch_logged_ops_done(struct bch_fs *fs);

/* The file as it will be. */
void bch_inode_truncate(const struct bch_fs *fs, u32 snapshot, struct bch_inode *inode);
/* From this sector on nothing will be left of a file; UINT64_MAX: all stays. */
u64 bch_truncate_sector(const struct bch_fs *fs, u32 snapshot, u64 ino);

/* "/dir/name", as inodes say where their names are; "inode 5" where they do not. Of another subvolume than the first with its number. */
#define BCH_PATH_TEXT_MAX 400
const char *bch_path_text(struct bch_fs *fs, const struct bch_subvol *subvol, u64 ino, char buf[BCH_PATH_TEXT_MAX]);

#endif
