/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check of a bcachefs volume, as it is with its journal laid over. Nothing is written. Its passes:
 *
 *	supers		superblocks of all devices, all copies, against each other
 *	journal		what is needed of it and whether that is there; what a clean volume says of it
 *	nodes		every copy of every node of every btree; the nodes of each level fill the range without gap or overlap
 *	subvols		subvolumes and snapshots against each other
 *	keys		every key of the btrees that make files, by itself; pointers to shared data
 *	data		every copy of every extent: where it is, and with --data its checksum
 *	names		of each subvolume: names, inodes, attributes and extents against each other
 *
 * Btrees are read in their order, several at a time where they have to agree. What has to be found by another order goes through
 * sorted tables, which go to temporary files where they do not fit. Damage does not end the check: the ranges of keys that cannot be
 * read are kept, and what would follow from their absence is said to be lost, not wrong.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_CHECK_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_CHECK_H

#include <btrkit/check.h>

#include "check/paths.h"
#include "check/problem.h"
#include "common/base/array.h"
#include "common/spill/sequence.h"
#include "common/spill/sorter.h"
#include "common/work/pool.h"
#include "common/work/progress.h"
#include "convert/bcachefs/bch_fs.h"

/* Keys of a btree that nobody can read. */
struct bch_lost {
	u8 btree;
	struct bch_pos min, max; /* max is in it */
};

struct bch_check {
	const struct btrkit_check_options *options;
	struct btrkit_check_result *result;
	struct blockdev *const *devs;
	size_t nr_devs;
	struct bch_fs *fs;
	struct pool *pool;
	struct progress *progress; /* may be NULL */
	struct cancel *cancel;
	struct problem_sink sink;
	struct spill spill;
	u64 memory_bytes;
	ARRAY(struct bch_lost) lost; /* by btree, ascending, as the passes come upon it */
	ARRAY(u32) snapshots_missing; /* that were complained of */
	struct sequence *parents; /* struct bch_parent, ascending: made when the first path is wanted */
	bool has_no_parents; /* they could not be made */
};

static inline bool bch_check_is_cancelled(const struct bch_check *check)
{
	return cancel_is_requested(check->cancel) || check->sink.err;
}

/*
 * A volume whose devices are open: @devs stay the caller's. 0 when the check ran to its end, whatever it found. 1: they have no
 * bcachefs.
 */
int bch_check_run(struct blockdev *const *devs, size_t nr_devs, const struct btrkit_check_options *options, btrkit_problem_fn fn,
		  void *arg, struct btrkit_check_result *ret_result, struct diag *d);

/* Passes. Each returns a negative errno only for what ends the check. */
int bch_pass_supers(struct bch_check *check, struct diag *d);
int bch_pass_journal(struct bch_check *check, struct diag *d);
int bch_pass_nodes(struct bch_check *check, struct diag *d);
int bch_pass_subvols(struct bch_check *check, struct diag *d);
int bch_pass_keys(struct bch_check *check, struct diag *d);
int bch_pass_data(struct bch_check *check, struct diag *d);
int bch_pass_names(struct bch_check *check, struct diag *d);

/* --- Going over a btree in spite of damage ---------------------------------------------------------------------- */

/* All keys, of all snapshots, with those ranges left out that cannot be read, which become known as lost. */
struct bch_sweep {
	struct bch_check *check;
	struct bch_cursor cursor;
	struct bch_pos next; /* where to go on */
	bool is_begun;
};
void bch_sweep_init(struct bch_sweep *sweep, struct bch_check *check, u8 btree);
void bch_sweep_done(struct bch_sweep *sweep);
/* 1: there is none left. */
int bch_sweep_next(struct bch_sweep *sweep, struct bch_key *ret_key, struct diag *d);

/* The same of what a snapshot sees. */
struct bch_view_sweep {
	struct bch_check *check;
	struct bch_view view;
	u64 inode, offset; /* where to go on */
	bool is_begun;
};
void bch_view_sweep_init(struct bch_view_sweep *sweep, struct bch_check *check, u8 btree, u32 snapshot);
void bch_view_sweep_done(struct bch_view_sweep *sweep);
int bch_view_sweep_next(struct bch_view_sweep *sweep, struct bch_key *ret_key, struct diag *d);

/* Keep a range as lost, unless it is known. */
int bch_lost_add(struct bch_check *check, u8 btree, const struct bch_pos *min, const struct bch_pos *max, struct diag *d);
/* May keys from @min to @max be in what is lost of @btree? */
bool bch_lost_has(const struct bch_check *check, u8 btree, struct bch_pos min, struct bch_pos max);
/* Keys that inode @ino has in @btree, any of them; of BCH_INODES its own key. */
bool bch_lost_has_inode(const struct bch_check *check, u8 btree, u64 ino);

/* --- Paths -------------------------------------------------------------------------------------------------------- */

/* A name by what it stands for: a file, or a subvolume. */
struct bch_parent {
	u64 child; /* inode, or id of the subvolume */
	u64 dir, offset; /* of the name's key */
	u32 snapshot; /* of it */
	u32 is_subvol;
};

/* The path of an inode in a subvolume, as `ls` shows it, to @list; counted, if there is no room. Nothing, if it has no path. */
void bch_path_add(struct bch_check *check, const struct bch_subvol *subvol, u64 ino, struct path_list *list);
/* The same of a name in a directory. */
void bch_path_add_name(struct bch_check *check, const struct bch_subvol *subvol, u64 dir, const char *name, size_t len,
		       struct path_list *list);
/* Paths of the file in every subvolume that sees the key at @pos of @btree. */
void bch_paths_of_key(struct bch_check *check, u8 btree, const struct bch_pos *pos, struct path_list *list);
void bch_parents_done(struct bch_check *check);

#endif
