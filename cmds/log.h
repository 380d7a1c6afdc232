/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the commands that look at a log. */
#ifndef BTRKIT_CMDS_LOG_H
#define BTRKIT_CMDS_LOG_H

#include <btrkit/log.h>

#include "cmds/open.h"

/* Open @log of @fs: 0, or 1 when there is none, which is said; negative after a failure, which is reported. */
int open_log(const struct open_command *command, struct btrkit_fs *fs, struct btrkit_log **ret_log);

/* "created", "renamed", ... what happens to an inode as a whole. */
const char *log_inode_verdict(const struct btrkit_log_inode *inode);

/* Print, as lines of text, what would happen to each inode, and what cannot be honoured. Returns a negative errno, reported. */
int print_log(const struct open_command *command, struct btrkit_fs *fs, const struct btrkit_log *log);
/* The losses alone, on stderr. */
void report_losses(const struct open_command *command, const struct btrkit_log *log);

#endif
