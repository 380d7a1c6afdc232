/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the data of an inode is: extent trees and indirect blocks. */
#ifndef BTRKIT_CONVERT_EXT_EXT_MAP_H
#define BTRKIT_CONVERT_EXT_EXT_MAP_H

#include "convert/ext/ext_claims.h"
#include "convert/ext/ext_inode.h"

/* One for each scan: its memory is used again for each inode. */
struct ext_map {
	const struct ext_fs *ext;
	struct ext_claims *claims; /* blocks are claimed; NULL: somebody else has, or will */
	ARRAY(struct source_run) runs; /* what was found, without the journal's part; uninitialised extents are holes */
	u8 *blocks[EXT_EXTENT_DEPTH_MAX]; /* of each level below the inode */

	u32 nr_unread; /* after ext_dir_entries(): blocks of the directory that cannot be read, and were passed over */

	/* About the inode that is being mapped: */
	const struct ext_inode *inode;
	u32 csum_seed;
	u64 next_lblk; /* of the file: extents only ascend */
	u64 end_byte; /* of what is wanted of the file, in whole blocks */
	u64 last_lcluster, last_pcluster; /* UINT64_MAX: none */
};

int ext_map_init(struct ext_map *map, const struct ext_fs *ext, struct ext_claims *claims, struct diag *d);
void ext_map_done(struct ext_map *map);

/*
 * Fill map->runs for @inode, which has extents or indirect blocks, up to its size. Every block that it refers to, also beyond
 * its size and of the tree itself, lies in the filesystem, and is claimed. -EUCLEAN otherwise.
 */
int ext_map_inode(struct ext_map *map, const struct ext_inode *inode, struct diag *d);

#endif
