/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal in the filesystem, laid over the device in memory. */
#ifndef BTRKIT_CONVERT_EXT_EXT_JOURNAL_H
#define BTRKIT_CONVERT_EXT_EXT_JOURNAL_H

#include "convert/ext/ext_fs.h"
#include "convert/journal/jbd2.h"

/*
 * Read the journal of ext->fs, which was opened without it; *ret_journal is NULL where there is nothing to lay over. A journal on
 * another device has to be empty. ext must not move, as the journal goes on reading through it.
 */
int ext_journal_open(struct ext_fs *ext, const struct source_options *options, struct ext_journal **ret_journal, struct diag *d);
void ext_journal_close(struct ext_journal *journal); /* NULL allowed */

/* The caller's device as it is with the journal laid over. The journal's. */
struct blockdev *ext_journal_device(struct ext_journal *journal);

const struct jbd2 *ext_journal_jbd2(const struct ext_journal *journal);

#endif
