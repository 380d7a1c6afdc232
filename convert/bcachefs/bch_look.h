/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a source tells of single inodes, and of all of a subvolume. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_LOOK_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_LOOK_H

#include "convert/bcachefs/bch_inode.h"
#include "convert/source/source.h"

/*
 * Called for each key that a snapshot sees of an inode in a btree whose positions begin with the inode's number. 0 goes on; -EUCLEAN
 * and -EIO, too, but are what it all returns in the end.
 */
typedef int (*bch_key_fn)(void *ctx, const struct bch_key *key, struct diag *d);
int bch_for_each_of_inode(struct bch_fs *fs, u8 btree, u32 snapshot, u64 ino, bch_key_fn fn, void *ctx, struct diag *d);

/* As source_ops.look and .look_up, and .scan of one subvolume. */
int bch_look(struct bch_fs *fs, const struct bch_subvol *subvol, u64 ino, struct source_sink *sink, struct diag *d);
int bch_look_up(struct bch_fs *fs, const struct bch_subvol *subvol, u64 dir_ino, const char *name, size_t name_len,
		struct bch_dirent *ret_dirent, struct diag *d);
int bch_scan(struct bch_fs *fs, const struct bch_subvol *subvol, struct source_sink *sink, struct progress *progress, struct diag *d);

/*
 * Is a name one that this subvolume has? Those of subvolumes below are also in its snapshots, where they lead nowhere. Before 0.17 they did
 * not say whose they were.
 */
bool bch_dirent_is_of(const struct bch_dirent *dirent, const struct bch_subvol *subvol);

#endif
