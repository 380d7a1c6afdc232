/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes that were read lately, shared by all cursors of a volume. As nothing is written, a node never changes. All functions may be
 * called from several threads at once; two that want the same node at the same time may read it twice, and get the same.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_NODE_CACHE_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_NODE_CACHE_H

#include "convert/bcachefs/bch_node.h"

struct bch_node_cache;

/* @max_bytes: kept of nodes that nobody holds. NULL: no memory. */
struct bch_node_cache *bch_node_cache_new(size_t max_bytes);
/* No node may be held any more. NULL allowed. */
void bch_node_cache_free(struct bch_node_cache *cache);
DEFINE_FREEP(struct bch_node_cache *, bch_node_cache_free)

/* As bch_node_read() from any replica, through fs->cache. Give it back with bch_node_put(). */
int bch_node_get(struct bch_fs *fs, u8 btree, u8 level, const struct bch_node_ptr *ptr, const struct bch_node **ret_node, struct diag *d);
void bch_node_put(struct bch_fs *fs, const struct bch_node *node); /* NULL allowed */

/* What a node takes in memory. */
size_t bch_node_bytes(const struct bch_node *node);

#endif
