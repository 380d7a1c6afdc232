/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of directories: in blocks, hashed or not, and within the inode. */
#ifndef BTRKIT_CONVERT_EXT_EXT_DIR_H
#define BTRKIT_CONVERT_EXT_EXT_DIR_H

#include "convert/ext/ext_map.h"

struct ext_entry {
	const char *name; /* 1 to 255 bytes, no '/' and no NUL; not terminated */
	size_t name_len;
	u32 ino;
	u8 file_type; /* EXT2_FT_*; 0: not said */
};

typedef int (*ext_entry_fn)(void *ctx, const struct ext_entry *entry, struct diag *d);

/*
 * Tell all entries of directory @inode but "." and ".."; with @do_tell_dots these too. @map is used for its blocks. -EUCLEAN: a
 * block is missing or damaged, or a name is impossible. If the source is said to be partly unreadable, blocks that cannot be read are
 * passed over and counted in map->nr_unread; if it was opened just to be read, damaged ones, too.
 */
int ext_dir_entries(struct ext_map *map, const struct ext_inode *inode, bool do_tell_dots, ext_entry_fn fn, void *ctx,
		    struct diag *d);

#endif
