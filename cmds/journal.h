/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the commands that look at journals of other filesystems. */
#ifndef BTRKIT_CMDS_JOURNAL_H
#define BTRKIT_CMDS_JOURNAL_H

#include <btrkit/journal.h>

#include "common/cli/options.h"

struct journal_command {
	const char *name; /* of the command, for messages */
	bool is_json;
	u64 offset_bytes, memory_bytes;
	const char *tmpdir, *passphrase_file;
};

#define JOURNAL_OPTION(target, member, field) (offsetof(target, member) + offsetof(struct journal_command, field))
#define JOURNAL_OPTION_ROWS(target, member)                                                                                        \
	{ 0, "json", NULL, OPTION_FLAG, JOURNAL_OPTION(target, member, is_json), "print JSON, an object on each line", false },     \
	{ 0, "offset", "BYTES", OPTION_SIZE, JOURNAL_OPTION(target, member, offset_bytes),                                          \
	  "the filesystem begins so far within the image", false },                                                                 \
	{ 0, "passphrase-file", "FILE", OPTION_STRING, JOURNAL_OPTION(target, member, passphrase_file),                             \
	  "the first line of FILE is the passphrase of an encrypted volume", false },                                               \
	{ 0, "memory", "SIZE", OPTION_SIZE, JOURNAL_OPTION(target, member, memory_bytes), "memory for tables (64M)", false },       \
	{ 0, "tmpdir", "DIR", OPTION_STRING, JOURNAL_OPTION(target, member, tmpdir),                                                \
	  "where tables go that do not fit (TMPDIR, else /var/tmp)", false }

/* Open; a failure has been reported, and the result is negative. */
int open_journal(const struct journal_command *command, char **paths, int nr_paths, struct btrkit_journal **ret_journal);

#endif
