/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The items of one inode, in key order, into a sink. One piece of code serves sizing and writing: a sink that only
 * counts gives no memory, and then nothing is filled in. So sizes and contents cannot disagree.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_CONTENT_ITEMS_H
#define BTRKIT_KERNEL_SHARED_BUILD_CONTENT_ITEMS_H

#include "kernel-shared/build/content.h"

struct item_sink {
	/* Room for an item's data, or NULL in *ret_data when only sizes are wanted. */
	int (*add)(struct item_sink *sink, const struct key *key, u32 size, void **ret_data, struct diag *d);
};

/* An entry to be ordered by hash. */
struct hashed_name {
	u32 hash;
	u32 place; /* in order[], or an xattr's index */
};

struct item_maker {
	const struct btrkit_content *content;
	const struct content_subvol *subvol;
	struct item_sink *sink;
	struct content_reader *reader; /* NULL: sizes only */
	ARRAY(struct hashed_name) names; /* scratch */
};

/* The items of place @index of sequence[]. */
int content_inode_items(struct item_maker *maker, u32 sequence_index, struct diag *d);
void item_maker_done(struct item_maker *maker);

/* The parts, in the order of their keys. */
int content_ref_items(struct item_maker *maker, const struct content_node *node, u64 ino, struct diag *d);
int content_xattr_items(struct item_maker *maker, u32 node, u64 ino, struct diag *d);
int content_dir_items(struct item_maker *maker, const struct content_node *node, u64 ino, struct diag *d);
int content_file_items(struct item_maker *maker, u32 sequence_index, struct diag *d);

static inline int item_add(struct item_maker *maker, u64 objectid, u8 type, u64 offset, u32 size, void **ret_data,
			   struct diag *d)
{
	const struct key key = { objectid, type, offset };

	return maker->sink->add(maker->sink, &key, size, ret_data, d);
}

#endif
