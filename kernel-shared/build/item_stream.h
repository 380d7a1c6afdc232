/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a stream of items goes: into the sizes of a tree that is being planned, or into its blocks. The trees that the
 * builder makes itself come from one function each, run for both.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_ITEM_STREAM_H
#define BTRKIT_KERNEL_SHARED_BUILD_ITEM_STREAM_H

#include "kernel-shared/build/tree_builder.h"

struct item_stream {
	struct tree_builder *builder; /* NULL: only sizes */
	struct tree_sizer sizer;
	ARRAY(struct key) leaf_keys; /* while sizing, the first key of each leaf, if wanted */
	bool do_record_keys;
	void *scratch; /* nodesize bytes that stand for an item while sizing */
};

/* The next item; *ret_data is zeroed room for it. */
static inline int item_stream_reserve(struct item_stream *stream, const struct key *key, u32 item_bytes, void **ret_data,
				    struct diag *d)
{
	u64 nr_leaves = stream->sizer.nr_leaves;

	if (stream->builder)
		return tree_builder_reserve(stream->builder, key, item_bytes, ret_data, d);
	tree_sizer_add(&stream->sizer, item_bytes);
	if (stream->do_record_keys && stream->sizer.nr_leaves != nr_leaves && array_push(&stream->leaf_keys, *key) < 0)
		return diag_no_memory(d, "keys of leaves");
	*ret_data = stream->scratch;
	return 0;
}

static inline int item_stream_add(struct item_stream *stream, const struct key *key, const void *data, u32 item_bytes,
				struct diag *d)
{
	void *to;
	int err = item_stream_reserve(stream, key, item_bytes, &to, d);

	if (!err && item_bytes)
		memcpy(to, data, item_bytes);
	return err;
}

#endif
