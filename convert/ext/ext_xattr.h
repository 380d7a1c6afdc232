/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes: in the inode, in a block that inodes may share, and values in inodes of their own. */
#ifndef BTRKIT_CONVERT_EXT_EXT_XATTR_H
#define BTRKIT_CONVERT_EXT_EXT_XATTR_H

#include "convert/ext/ext_map.h"

#define EXT_XATTR_CACHED_BLOCKS 64

/* One for each scan. */
struct ext_xattrs {
	const struct ext_fs *ext;
	struct ext_claims *claims; /* NULL: nothing is claimed */
	struct ext_bits claimed_blocks; /* of attributes, each of which several inodes may have */
	struct ext_map value_map; /* of inodes that hold values */
	u8 *cache[EXT_XATTR_CACHED_BLOCKS];
	u64 cached[EXT_XATTR_CACHED_BLOCKS]; /* the block's number; 0: none */
	u8 *value_inode, *value, *acl; /* buffers */
	size_t value_size, acl_size;
	u32 noted_indexes; /* kinds of names that were told to be left out */
};

int ext_xattrs_init(struct ext_xattrs *xattrs, const struct ext_fs *ext, struct ext_claims *claims, struct diag *d);
void ext_xattrs_done(struct ext_xattrs *xattrs);

/* Tell @sink all attributes of @inode that have a name in user space. */
int ext_xattrs_tell(struct ext_xattrs *xattrs, const struct ext_inode *inode, struct source_sink *sink, struct diag *d);

/* What an inode with inline data holds beyond the 60 bytes; points into the inode. *ret_len 0: nothing. */
int ext_xattr_inline_data(const struct ext_fs *ext, const struct ext_inode *inode, const u8 **ret_data, size_t *ret_len,
			  struct diag *d);

#endif
