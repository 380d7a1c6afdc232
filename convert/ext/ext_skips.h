/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that are left out: what Btrfs cannot have (encrypted files, ones with fs-verity, directories that do not tell upper from lower
 * case), and what cannot be read.
 */
#ifndef BTRKIT_CONVERT_EXT_EXT_SKIPS_H
#define BTRKIT_CONVERT_EXT_EXT_SKIPS_H

#include "convert/ext/ext_inode.h"

struct ext_skips {
	bool is_active; /* there are such files; without any, nothing below is filled */
	struct ext_bits left_out; /* by inode: these themselves */
	struct ext_bits unreadable; /* of these */
	bool has_unsupported;
	struct ext_bits reached; /* inodes that a path without any of these leads to */
	u16 *nr_names; /* of them, in such paths */
	u64 nr_found;
};

/* Inode @ino is to be left out, for something of it that is no data cannot be read. Before ext_skips_find(). */
int ext_skips_add_unreadable(struct ext_skips *skips, const struct ext_fs *ext, u32 ino, struct diag *d);

/*
 * Look for what Btrfs cannot have, if the superblock says that there may be any. They are refused with -EOPNOTSUPP, the first of
 * them by their paths; or, if the filesystem was opened so, noted one by one, to be left out with everything that is only below them,
 * as what is unreadable is in any case.
 */
int ext_skips_find(struct ext_skips *skips, const struct ext_fs *ext, struct diag *d);
void ext_skips_done(struct ext_skips *skips);

/* Why an inode cannot be converted; NULL: it can. */
const char *ext_skips_reason(const struct ext_inode *inode);

#endif
