/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Items of the checksum tree: one for each run of neighbouring sectors that have checksums, cut at the size that Linux
 * allows an item to have. Fed with extents in ascending order, of which only the item in the making is kept.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_CONTENT_CSUMS_H
#define BTRKIT_KERNEL_SHARED_BUILD_CONTENT_CSUMS_H

#include "kernel-shared/build/content.h"

struct csum_items {
	const struct content_options *options;
	u32 most; /* sectors that an item can have */
	u64 logical; /* of the item being made */
	u32 sectors; /* that it has so far */
	u8 *csums; /* of these */
	/* Exactly one of these: */
	struct tree_sizer *sizer;
	struct tree_builder *builder;
};

int csum_items_init(struct csum_items *items, const struct content_options *options, struct tree_sizer *sizer,
		    struct tree_builder *builder, struct diag *d);
void csum_items_done(struct csum_items *items);

/* The next @sectors from @logical; @csums is not looked at when only sizes are wanted. */
int csum_items_add(struct csum_items *items, u64 logical, u64 sectors, const u8 *csums, struct diag *d);
/* There is no more. */
int csum_items_finish(struct csum_items *items, struct diag *d);

#endif
