/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bsets of one copy of a node: each checked and decrypted, then merged. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_BSET_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_BSET_H

#include "convert/bcachefs/bch_node.h"

/*
 * Judge the bytes of a copy, node->raw, as that which @ptr means, and fill in the rest of @node; btree and level are set. Bytes are
 * decrypted where they are, and those behind the last bset given back. -EUCLEAN; -EOPNOTSUPP: written in a way that is not known.
 */
int bch_bsets_read(const struct bch_fs *fs, const struct bch_node_ptr *ptr, struct bch_node *node, struct diag *d);

#endif
