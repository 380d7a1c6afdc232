/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leaves of the extent tree and of the checksum tree. */
#ifndef BTRKIT_CHECK_LEAF_EXTENT_H
#define BTRKIT_CHECK_LEAF_EXTENT_H

#include "check/block_table.h"

/* What the neighbours of a leaf of the extent tree have to know of it. */
struct extent_fact {
	u32 root; /* of the tree, and where in it this is: what they are sorted by */
	struct key key;
	u64 head_logical; /* extent of the keyed references that the leaf begins with; 0: it begins with an extent */
	u64 head_counted;
	u64 first_start; /* of the first extent; 0: none */
	u64 last_logical, last_end; /* of the last extent; 0: none */
	u64 last_len;
	u64 last_refs, last_counted;
	u64 leaf;
	bool is_read;
};

/* What one worker finds, leaf by leaf. */
struct space_findings {
	ARRAY(struct range) csums;
	ARRAY(struct range) data_extents;
	ARRAY(struct range) full_backrefs;
	u64 nr_extents;
	struct owner_sums owners;
};

int read_extent_leaf(struct check *check, const u8 *leaf, u64 head_len, struct space_findings *findings,
		     struct extent_fact *ret_fact, struct diag *d);
int read_csum_leaf(struct check *check, const u8 *leaf, struct space_findings *findings, struct diag *d);

/* Is the count of the fact's last extent that of its references? */
void extent_judge_count(struct check *check, const struct extent_fact *fact);

/* Facts of leaves that are there but cannot be read, and of what is below such nodes. */
int extent_facts_new(struct check *check);
int extent_facts_add_unread(struct check *check, const struct block_batch *batch, struct diag *d);

#endif
