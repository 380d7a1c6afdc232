/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single inodes, in any number of threads. libext2fs is not asked for anything: its filesystem only tells where inode tables are. */
#ifndef BTRKIT_CONVERT_EXT_EXT_LOOK_H
#define BTRKIT_CONVERT_EXT_EXT_LOOK_H

#include "convert/ext/ext_fs.h"

int ext_look(struct source *source, u64 subvol, u64 ino, struct source_sink *sink, struct diag *d);
int ext_look_up(struct source *source, u64 subvol, u64 dir_ino, const char *name, size_t name_len, u64 *ret_subvol, u64 *ret_ino,
		struct diag *d);

/* Free what looking has left for the next time. */
void ext_looks_free(struct ext_fs *ext);

#endif
