/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A btree as it is with the journal laid over it, at all levels, as one ascending list of keys. A cursor belongs to one thread; any
 * number may go over one volume.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_CURSOR_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_CURSOR_H

#include "convert/bcachefs/bch_node.h"

struct bch_cursor_path; /* from the root to the leaf */

struct bch_cursor {
	struct bch_fs *fs;
	u8 btree;
	struct bch_cursor_path *path; /* owned */
	/*
	 * What could not be read, after a function failed with -EUCLEAN or -EIO: keys from lost_min to lost_max are not known. Then
	 * seek to the successor of lost_max goes on behind it.
	 */
	struct bch_pos lost_min, lost_max;
};

void bch_cursor_init(struct bch_cursor *cursor, struct bch_fs *fs, u8 btree);
void bch_cursor_done(struct bch_cursor *cursor);

/* The first key at or behind @pos; valid until the cursor is used again. 1: there is none. Deleted keys are never returned. */
int bch_cursor_seek(struct bch_cursor *cursor, const struct bch_pos *pos, struct bch_key *ret_key, struct diag *d);
/* The one after the last that was returned. */
int bch_cursor_next(struct bch_cursor *cursor, struct bch_key *ret_key, struct diag *d);

/*
 * Each node of a btree as it is with the journal laid over, parents first: for who checks or counts all. Every replica is read, past the
 * cache. Where an interior node's key says of no node where it is, a visit without replicas has the reason in replica_bad[0]. A btree
 * without a root has no nodes.
 */
struct bch_node_visit {
	u8 btree, level;
	const struct bch_node_ptr *ptr;
	const struct bch_node *node; /* NULL: no replica is good */
	const struct diag *replica_bad[8]; /* NULL: that one is good */
};
int bch_btree_for_each_node(struct bch_fs *fs, u8 btree, int (*fn)(void *ctx, const struct bch_node_visit *visit, struct diag *d),
			    void *ctx, struct diag *d);

#endif
