/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * References to extents: what the extent tree records, and what trees really hold. Each becomes a hash; recorded ones are
 * added to their block group's sum, found ones taken away.
 */
#ifndef BTRKIT_CHECK_REFERENCES_H
#define BTRKIT_CHECK_REFERENCES_H

#include "check/check.h"

struct reference {
	u64 logical;
	u64 len;
	u64 type; /* *_REF_KEY; of a tree block its level in the next byte */
	u64 root; /* or the parent's address */
	u64 objectid, offset; /* of data, by root */
};

/* Sums of one leaf, for the block group that it last met. */
struct reference_sums {
	size_t group; /* SIZE_MAX: none yet */
	u64 refs;
};

/* What the detail pass keeps of each reference, instead of adding it to the sums. */
struct counted_reference {
	struct reference reference;
	s64 count; /* recorded positive, found negative */
};

void reference_sums_add(struct check *check, struct reference_sums *sums, const struct reference *reference, s64 count);
void reference_sums_flush(struct check *check, struct reference_sums *sums);

/* The reference of a file extent that is neither inline nor a hole, in @leaf. */
void found_data_reference(struct check *check, struct reference_sums *sums, const u8 *leaf, bool is_full_backref,
			  const struct key *key, const struct disk_file_extent_item *item);

/* References of all tree blocks: reads the nodes once more. */
int found_block_references(struct check *check, struct diag *d);

/* The recorded references in an extent item of the leaf @where (@data, @size) and in items of their own. Returns how many. */
u64 recorded_inline_references(struct check *check, struct reference_sums *sums, const struct key *key, const void *data,
			       u32 size, u64 where);
u64 recorded_keyed_reference(struct check *check, struct reference_sums *sums, const struct key *key, const void *data,
			     u64 len);

#endif
