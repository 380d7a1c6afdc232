/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each block in use belongs to one file, or to the filesystem itself: blocks are claimed as files are read, each once. */
#ifndef BTRKIT_CONVERT_EXT_EXT_CLAIMS_H
#define BTRKIT_CONVERT_EXT_EXT_CLAIMS_H

#include "convert/ext/ext_fs.h"

struct ext_claims {
	const struct ext_fs *ext;
	struct ext_bits free; /* a piece for each group: clusters that are in use and not claimed yet */
};

int ext_claims_init(struct ext_claims *claims, const struct ext_fs *ext, struct diag *d);
void ext_claims_done(struct ext_claims *claims);

/* Claim @nr clusters for inode @ino. -EUCLEAN, with the block: free in the bitmap, or claimed before. */
int ext_claims_take(struct ext_claims *claims, u64 cluster, u64 nr, u32 ino, struct diag *d);

#endif
