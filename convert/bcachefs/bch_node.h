/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nodes of btrees: read from whichever replica is good, their bsets merged into one sorted list of keys. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_NODE_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_NODE_H

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "convert/bcachefs/bch_key.h"

struct bch_fs;
struct cached_node;

struct bch_node {
	u8 btree, level;
	struct bch_pos min, max; /* max is in it */
	u8 *raw; /* owned; decrypted */
	size_t raw_bytes;
	ARRAY(struct bch_key) keys; /* ascending, one of each position, without deleted ones; values are in raw */
	unsigned nr_bsets, nr_ignored_bsets; /* ignored: of journal entries that never were */
	struct cached_node *cached; /* the cache's own; NULL: not in one */
};

/* Where a node is said to be, by its parent or a root. */
struct bch_node_ptr {
	struct bch_pos min, max;
	bool has_min, has_seq;
	bool is_range_updated; /* the node itself still says another range, and may have keys that are no longer in it */
	u64 seq;
	u32 bytes_written; /* 0: not known */
	unsigned nr_replicas;
	struct {
		u8 device;
		u64 physical;
	} replica[8];
};

/* From a key of type BCH_KEY_BTREE_PTR or _V2. -EUCLEAN. */
int bch_node_ptr_get(const struct bch_fs *fs, const struct bch_key *key, struct bch_node_ptr *ret_ptr, struct diag *d);

/*
 * Read and check a node: magic, checksum of every bset, seq, range, order of keys. Tries each replica; a bad one that another replaced is
 * told as a warning. -EUCLEAN, -EIO: no replica is good; the message names btree, level and range. @only: -1, or which replica to use.
 */
int bch_node_read(struct bch_fs *fs, u8 btree, u8 level, const struct bch_node_ptr *ptr, int only, struct bch_node **ret_node,
		  struct diag *d);
void bch_node_free(struct bch_node *node); /* NULL allowed */
DEFINE_FREEP(struct bch_node *, bch_node_free)

#endif
