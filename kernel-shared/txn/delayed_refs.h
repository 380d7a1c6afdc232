/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of references that wait for the commit: collected by extent, then handed out by ascending address, with what
 * cancels out left away. The extent tree is changed in its order, and only for what remains.
 */
#ifndef BTRKIT_KERNEL_SHARED_TXN_DELAYED_REFS_H
#define BTRKIT_KERNEL_SHARED_TXN_DELAYED_REFS_H

#include "kernel-shared/space/extent_item.h"

/* An extent with changes. */
struct delayed_head {
	u64 logical, len;
	u8 level; /* of a tree block */
	bool is_data;
	bool is_new; /* the extent tree does not have it yet */
	bool is_dead; /* a new tree block that was freed again: nothing to be done */
	bool do_set_full_backref;
	u64 owner_root; /* who allocated it: of new data, and of tree blocks that are given up; 0: not known */
	u64 generation; /* of a new one that another one was moved to; 0: the transaction's */
	s64 delta; /* of all its references */
	u32 first, last; /* in refs, plus 1; 0: none */
};

struct delayed_refs {
	ARRAY(struct delayed_head) heads;
	ARRAY(struct delayed_ref {
		struct ref_change change;
		u32 next; /* plus 1 */
	})
	refs;
	u32 *slots; /* a hash table of heads, plus 1 */
	size_t nr_slots; /* a power of two, or 0 */
};

void delayed_refs_done(struct delayed_refs *delayed);

/* The extent's changes, or NULL. Valid until one is added. */
struct delayed_head *delayed_refs_find(const struct delayed_refs *delayed, u64 logical);
/* The same, made if it is not there. NULL: no memory. */
struct delayed_head *delayed_refs_get(struct delayed_refs *delayed, u64 logical, u64 len, u8 level, bool is_data);
/* Add @delta references of one kind. -ENOMEM. */
int delayed_refs_add(struct delayed_refs *delayed, struct delayed_head *head, const struct extent_ref *ref, s64 delta);

/* Sort the heads by address; they cannot be found any more after this. */
void delayed_refs_sort(struct delayed_refs *delayed);

struct ref_changes {
	ARRAY(struct ref_change) list;
};
/* The changes of @head, those of one reference summed up, without what comes to nothing. */
int delayed_refs_of(const struct delayed_refs *delayed, const struct delayed_head *head, struct ref_changes *changes);

#endif
