/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal in the filesystem, laid over the device in memory. */
#ifndef BTRKIT_CONVERT_EXT_EXT_JOURNAL_H
#define BTRKIT_CONVERT_EXT_EXT_JOURNAL_H

#include "convert/journal/jbd2.h"
#include "convert/source/source.h"

struct ext_fs;
struct ext_journal;

/*
 * Read the journal of ext->fs, which was opened without it; *ret_journal is NULL where there is nothing to lay over. A journal on
 * another device has to be empty. ext must not move, as the journal goes on reading through it.
 */
int ext_journal_open(struct ext_fs *ext, const struct source_options *options, struct ext_journal **ret_journal, struct diag *d);
void ext_journal_close(struct ext_journal *journal); /* NULL allowed */

/* The caller's device as it is with the journal laid over. The journal's. */
struct blockdev *ext_journal_device(struct ext_journal *journal);

/*
 * For who looks at the journal of the filesystem on @dev, whatever state it is in: jbd2_open() with @watcher. @journal_dev: where it is,
 * if it is on a device of its own; else NULL. 1: there is no ext filesystem; -ENOENT: it has no journal; else what jbd2_open() says, and
 * *ret_info is filled as far as it came.
 */
int ext_journal_look(struct blockdev *dev, struct blockdev *journal_dev, const struct jbd2_watcher *watcher,
		     struct jbd2_info *ret_info, struct diag *d);

const struct jbd2 *ext_journal_jbd2(const struct ext_journal *journal);

#endif
