/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A journal of keys, laid over a sorted source of them (a node of a b-tree, a whole tree) while both are read along: at equal
 * keys the journal is right, and what it has deleted is left out.
 */
#ifndef BTRKIT_CONVERT_JOURNAL_JOURNAL_MERGE_H
#define BTRKIT_CONVERT_JOURNAL_JOURNAL_MERGE_H

#include "convert/journal/journal_overlay.h"

struct journal_merge {
	/* Set by the caller. */
	const struct journal_overlay *overlay;
	struct journal_window *window; /* what has been returned of the overlay is valid until it is used again */
	size_t at, end; /* indices of the records that are merged: of a node, those from its first key to its last */
	/* *ret_item is the source's next item, in ascending order, and valid until the next call. 1: there is none left. */
	int (*next)(void *ctx, const void **ret_item, struct diag *d);
	void *ctx;
	/* The order of keys, between a record of the journal and an item of the source. */
	int (*compare)(const void *record, const void *item);
	/* The merge's own. */
	const void *item; /* of the source, that comes next */
	bool has_item, is_source_done;
};

/* One or both are set. Both: @record replaces @item. */
struct journal_merged {
	const void *record; /* of the journal; valid until the next call */
	const void *item; /* of the source; valid until the next call */
};

/* 1: nothing is left. What the source's next() says if that fails, or journal_overlay_at(). */
int journal_merge_next(struct journal_merge *merge, struct journal_merged *ret_merged, struct diag *d);

#endif
