/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names, inodes, attributes and extents of one subvolume against each other, in two sweeps:
 *
 *	by owner	inodes beside the names in them, their attributes and their extents; names are gathered by what they stand for
 *	by name		inodes beside the names that stand for them; directories are gathered with where they are
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_CHECK_NAMES_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_CHECK_NAMES_H

#include "convert/bcachefs/bch_check.h"

#define BCH_SUBVOL_UNLINKED (1 << 2) /* in its flags: it is being deleted */

/* A name, by what it stands for. */
struct bch_name_fact {
	u64 child, dir, offset;
	u64 type; /* DT_* */
};

/* A directory, and in which one its name is. */
struct bch_dir_fact {
	u64 ino, dir;
};

/* One btree of the sweep by owner, a key ahead. */
struct bch_stream {
	struct bch_view_sweep sweep;
	struct bch_key key;
	int state; /* 0: there is a key; 1: no more */
};

struct bch_names_pass {
	struct bch_check *check;
	const struct bch_subvol *subvol;
	struct bch_stream inodes, dirents, xattrs, extents;
	struct sorter *names; /* struct bch_name_fact */
	struct sequence *dirs; /* struct bch_dir_fact, ascending */
	u64 *nr_subvol_names; /* of each subvolume, over all passes */
	bool is_names_lost; /* of any directory */
	u64 nr_deleted, first_deleted; /* inodes */
};

int bch_stream_open(struct bch_stream *stream, struct bch_check *check, u8 btree, u32 snapshot, struct diag *d);
int bch_stream_next(struct bch_stream *stream, struct diag *d);
void bch_stream_done(struct bch_stream *stream);
/* The next inode; 1: none. */
int bch_stream_inode(struct bch_stream *stream, struct bch_inode *ret_inode, struct diag *d);

int bch_names_by_owner(struct bch_names_pass *pass, struct diag *d);
int bch_names_by_name(struct bch_names_pass *pass, struct diag *d);
/* Directories that are below themselves. */
int bch_names_loops(struct bch_names_pass *pass, struct diag *d);

/* complain_of(pass, LINK_COUNT_WRONG, ino, arguments...): with the path of an inode of this subvolume. */
#define complain_of(pass, problem_, ino_, ...)                                                                       \
	do {                                                                                                        \
		struct path_list paths_ = { 0 };                                                                    \
		bch_path_add((pass)->check, (pass)->subvol, (ino_), &paths_);                                       \
		complain((pass)->check, problem_, AT(.tree = (pass)->subvol->id, .inode = (ino_), .paths = &paths_),      \
			 (pass)->subvol->id, ##__VA_ARGS__);                                                        \
		path_list_done(&paths_);                                                                            \
	} while (0)

#endif
