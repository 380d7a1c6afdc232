/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What files consist of: extents in their order, reflinks resolved; reading them; where they lie. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_FILE_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_FILE_H

#include "convert/bcachefs/bch_extent.h"
#include "convert/bcachefs/bch_inode.h"

enum bch_piece_kind {
	BCH_PIECE_DATA,
	BCH_PIECE_INLINE, /* the bytes are in the btree */
	BCH_PIECE_BAD, /* nobody knows what is there, or it cannot be had */
};

/* A part of a file. What no piece covers reads as zeroes. */
struct bch_piece {
	enum bch_piece_kind kind;
	u64 start_sector, nr_sectors; /* in the file */
	/* Of data: the key that holds the pointers, which for reflinks is another's; from which of its sectors on. */
	const struct bch_key *key;
	const struct bch_extent *extent;
	u32 from_sector;
	/* Of inline data: beyond bytes_len there are zeroes. */
	const u8 *bytes;
	size_t bytes_len;
	const struct diag *why; /* of bad ones */
};

/* What a walk calls for each piece, ascending; what it points to is valid until it returns. 0 goes on. */
typedef int (*bch_piece_fn)(void *ctx, const struct bch_piece *piece, struct diag *d);

/* The pieces of sectors [@from, @to) of a file. Fails only when memory or @fn does. */
int bch_file_walk(struct bch_fs *fs, u32 snapshot, u64 ino, u64 from, u64 to, bch_piece_fn fn, void *ctx, struct diag *d);

/* As source_ops.read_file. */
int bch_file_read(struct bch_fs *fs, u32 snapshot, u64 ino, u64 file_offset, void *buf, size_t len, u64 *ret_bad_offset, struct diag *d);

/* An inode as a snapshot sees it. -ENOENT. */
int bch_inode_find(struct bch_fs *fs, u32 snapshot, u64 ino, struct bch_inode *ret_inode, struct diag *d);
/* What a symbolic link points to, NUL-terminated. The caller frees *ret_target. */
int bch_link_target(struct bch_fs *fs, u32 snapshot, const struct bch_inode *inode, char **ret_target, size_t *ret_len, struct diag *d);

#endif
