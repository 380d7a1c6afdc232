/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing the records of one extent in the extent tree: the extent item with its inline references, and the references
 * that have items of their own.
 *
 * Linux looks for an inline reference where it belongs by type and, within a type, by its hash or address, the greatest
 * first; so they are kept in that order. Those that do not fit into the item get items of their own.
 */
#ifndef BTRKIT_KERNEL_SHARED_SPACE_EXTENT_ITEM_H
#define BTRKIT_KERNEL_SHARED_SPACE_EXTENT_ITEM_H

#include "kernel-shared/tree/edit.h"

/* Which reference: of a tree block by tree (TREE_BLOCK_REF) or parent, of data by tree, inode and offset or by parent.
 */
struct extent_ref {
	u8 type; /* *_REF_KEY */
	u64 root; /* of SHARED_*: the parent's address */
	u64 objectid, offset; /* of EXTENT_DATA_REF */
};

struct ref_change {
	struct extent_ref ref;
	s64 delta; /* of its count */
};

struct extent_change {
	u64 logical, len;
	bool is_data;
	bool is_new; /* there is no item yet */
	bool do_set_full_backref;
	u8 level; /* of a tree block */
	struct key first_key; /* of a new tree block, wanted where items are not skinny */
	u64 generation; /* of a new extent */
	u64 owner_root; /* of a new data extent in a filesystem with simple quotas: who pays; 0: none */
	const struct ref_change *refs;
	size_t nr_refs;
};

struct extent_records {
	struct tree_root *extent_root;
	u32 nodesize;
	bool is_skinny;
};

/* What the extent tree says of an extent. */
struct extent_info {
	u64 refs, generation, flags;
	u64 owner_root; /* EXTENT_OWNER_REF; 0: none */
};

/*
 * Make the change. *ret_is_gone: that was the last reference, nothing is left of the extent, and *ret_info tells what it was.
 * -EUCLEAN: what should be there is not.
 */
int extent_apply(const struct extent_records *records, const struct extent_change *change, bool *ret_is_gone,
		 struct extent_info *ret_info, struct diag *d);

/* -ENOENT: there is no such extent. @len: of data; of a tree block any. */
int extent_lookup(const struct tree *extent_tree, u64 logical, u64 len, bool is_data, struct extent_info *ret_info,
		  struct diag *d);

/* For sorting: <0, 0, >0. */
int extent_ref_compare(const struct extent_ref *a, const struct extent_ref *b);

#endif
