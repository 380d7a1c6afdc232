/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What regular files and symbolic links hold, told to a sink. */
#ifndef BTRKIT_CONVERT_EXT_EXT_CONTENTS_H
#define BTRKIT_CONVERT_EXT_EXT_CONTENTS_H

#include "convert/ext/ext_map.h"

/* One for each thread: its memory is used again for each inode. */
struct ext_contents {
	const struct ext_fs *ext;
	struct ext_map map;
	ARRAY(struct source_run) split; /* runs, apart where the journal's part begins and ends */
	u8 *block; /* one, for the target of a link and what lies in an inode */
};

int ext_contents_init(struct ext_contents *contents, const struct ext_fs *ext, struct ext_claims *claims, struct diag *d);
void ext_contents_done(struct ext_contents *contents);

/*
 * With runs() or bytes(), or neither for a file of holes. If the filesystem was opened just to be read, runs that were found before
 * damage are told before it fails.
 */
int ext_contents_tell_file(struct ext_contents *contents, const struct ext_inode *inode, struct source_sink *sink, struct diag *d);
int ext_contents_tell_link(struct ext_contents *contents, const struct ext_inode *inode, struct source_sink *sink, struct diag *d);

#endif
