/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keys of one node with what the journal has for its range laid over. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_LEVEL_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_LEVEL_H

#include "convert/bcachefs/bch_node.h"
#include "convert/journal/journal_merge.h"

struct bch_level {
	struct bch_fs *fs;
	const struct bch_node *node; /* NULL: a btree without a root, that only the journal has */
	struct bch_pos max; /* in it */
	size_t next; /* of node->keys */
	struct journal_merge merge;
	struct bch_pos at; /* of the key that was returned last, or failed to be */
};

/*
 * From @from on, up to @max. @node: held by the caller as long as the level is used. @window, of fs->journal->keys: as well, and it may be
 * that of other levels of the same thread. A level must not be moved afterwards. Fails as journal_overlay_seek() does.
 */
int bch_level_begin(struct bch_level *level, struct bch_fs *fs, u8 btree, u8 nr, const struct bch_node *node,
		    struct journal_window *window, struct bch_pos from, struct bch_pos max, struct diag *d);

/*
 * The next key; 1: there is none left. Its value is in the node, or in @bytes (BCH_KEY_BYTES_MAX of them) if the journal has it. When
 * that cannot be read, level->at says whose it is.
 */
#define BCH_KEY_BYTES_MAX (255 * 8)
int bch_level_next(struct bch_level *level, u8 *bytes, struct bch_key *ret_key, struct diag *d);

/* The pointer to the root of a btree. 1: it has none. */
int bch_root_ptr(const struct bch_fs *fs, u8 btree, u8 *ret_level, struct bch_node_ptr *ret_ptr, struct diag *d);

/*
 * Where the node behind one that ends at @max begins. false: nothing can be there. Before there were snapshots, nodes began at the
 * next offset.
 */
bool bch_pos_behind(const struct bch_fs *fs, struct bch_pos max, struct bch_pos *ret_pos);

#endif
