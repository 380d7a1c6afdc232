/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checksums of data in the checksum tree: an EXTENT_CSUM item holds those of sectors that follow one another, from the
 * logical address in its key. Items never overlap.
 *
 * Addresses and lengths are logical bytes, multiples of the sectorsize. No edit or cursor of the tree may stand in it while
 * these change it.
 */
#ifndef BTRKIT_KERNEL_SHARED_SPACE_CSUM_RANGE_H
#define BTRKIT_KERNEL_SHARED_SPACE_CSUM_RANGE_H

#include "kernel-shared/tree/edit.h"

/* What the items of a filesystem look like. */
struct csum_geometry {
	u32 sectorsize;
	u32 csum_bytes; /* of one sector */
};

/*
 * Checksums that one item holds at most: two such items must fit into one leaf, and no more than 4096, as Linux limits it.
 */
u32 csum_item_max_sectors(u32 nodesize, u32 csum_bytes);

/*
 * Put in the checksums of @nr_sectors at @logical, one after the other in @csums. What the tree had for any of these sectors
 * is replaced. An item that ends at @logical is made longer before a new one is begun.
 * -EUCLEAN: an item in the way is damaged; -EINVAL: not whole sectors.
 */
int csum_range_insert(struct tree_root *root, const struct csum_geometry *geometry, u64 logical, const u8 *csums,
		      u64 nr_sectors, struct diag *d);

/* Take out the checksums of [logical, logical + len): items are cut at both ends, or in two. None need be there. */
int csum_range_delete(struct tree_root *root, const struct csum_geometry *geometry, u64 logical, u64 len,
		      struct diag *d);

/*
 * Look up the checksums of @nr_sectors at @logical: into @ret_csums those that there are, and for each sector whether there
 * is one. @tree: as it is now.
 */
int csum_range_find(const struct tree *tree, const struct csum_geometry *geometry, u64 logical, u64 nr_sectors,
		    u8 *ret_csums, bool *ret_is_known, struct diag *d);

#endif
