/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options with which every command that reads a filesystem finds and opens it. */
#ifndef BTRKIT_CMDS_OPEN_H
#define BTRKIT_CMDS_OPEN_H

#include <btrkit/fs.h>
#include <stdatomic.h>

#include "common/cli/options.h"

struct open_command {
	u64 tree_root, chunk_root, offset_bytes;
	const char *scan_dir;
	unsigned super; /* copy + 1; 0: the newest */
	bool use_backup_roots, no_scan, ignore_data_csums;
	atomic_uint nr_warnings; /* told while the filesystem was read */
	bool has_bar; /* progress is drawn on stderr */
	const char *name; /* of the command, for messages */
	bool knows_log, is_exclusive; /* as in struct btrkit_open_options */
	/* Of filesystems that are not Btrfs, which only commands with SOURCE_OPTION_ROWS take: */
	bool takes_sources;
	const char *type; /* NULL: whatever is found */
	const char *passphrase_file;
	bool no_journal;
};

/* Rows for an option table whose target is a struct with a member struct open_command @member. */
#define OPEN_OPTION(target, member, field) (offsetof(target, member) + offsetof(struct open_command, field))
#define OPEN_OPTION_ROWS(target, member)                                                                             \
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Finding the filesystem", false },                                       \
	{ 0, "scan", "DIR", OPTION_STRING, OPEN_OPTION(target, member, scan_dir),                                     \
	  "look for further devices among the files of DIR", false },                                                \
	{ 0, "no-scan", NULL, OPTION_FLAG, OPEN_OPTION(target, member, no_scan),                                      \
	  "do not look for further devices on this host", false },                                                   \
	{ 0, "offset", "BYTES", OPTION_SIZE, OPEN_OPTION(target, member, offset_bytes),                               \
	  "the filesystem begins so far within the image", false },                                                  \
	{ 0, "super", "N", OPTION_CALL, OPEN_OPTION(target, member, super), "use superblock copy N: 0, 1 or 2", false }, \
	{ 0, "tree-root", "BYTENR", OPTION_SIZE, OPEN_OPTION(target, member, tree_root),                              \
	  "logical address of another root tree", false },                                                           \
	{ 0, "chunk-root", "BYTENR", OPTION_SIZE, OPEN_OPTION(target, member, chunk_root),                            \
	  "logical address of another chunk tree", false },                                                          \
	{ 0, "backup-roots", NULL, OPTION_FLAG, OPEN_OPTION(target, member, use_backup_roots),                        \
	  "try the superblock's older roots when the newest fails", false }

#define SOURCE_OPTION_ROWS(target, member)                                                                           \
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Filesystems that are not Btrfs", false },                               \
	{ 0, "type", "TYPE", OPTION_STRING, OPEN_OPTION(target, member, type),                                        \
	  "take it for btrfs, ext2, ext3, ext4 or bcachefs, whatever else is on the device", false },                \
	{ 0, "no-journal", NULL, OPTION_FLAG, OPEN_OPTION(target, member, no_journal),                                \
	  "leave the journal aside: only what reached its place before a crash", false },                            \
	{ 0, "passphrase-file", "FILE", OPTION_STRING, OPEN_OPTION(target, member, passphrase_file),                  \
	  "the first line of FILE opens an encrypted filesystem; -: standard input", false }

/* For the table's call function: 1 if @row is one of the rows above (or a negative errno), 0 if it is not. */
int open_option_call(struct open_command *command, const struct option_row *row, const char *value, struct diag *d);

/*
 * Parse the command line of a command that reads a filesystem: OPTIONS_RUN if it names one (argv[*ret_first] on), and
 * *@is_json, a member of @command, can be had; else *ret_status is the exit status.
 */
enum options_result open_command_parse(const struct option_table *table, int argc, char **argv, void *command,
				       const bool *is_json, int *ret_first, int *ret_status);

/* Before a line on stderr: erase the progress bar, which comes again by itself. */
void clear_bar(const struct open_command *command);

/* What the command line says of how to open; notes of @command's filesystem go to stderr. */
void open_options_fill(struct open_command *command, struct btrkit_open_options *ret_options);

/* @paths could not be opened as Btrfs, @err and @error say: what they hold instead, where that can be told, is said in @error. */
void explain_not_opened(const struct open_command *command, const char *const *paths, size_t nr_paths, int err,
			struct btrkit_error *error);
/* The same of one device, by a command that takes no other filesystem. */
void explain_other(const char *path, uint64_t offset_bytes, int err, struct btrkit_error *error);

/*
 * What a command returns that could not give all that there is: for Btrfs EXIT_FAILED, else EXIT_PARTLY.
 */
int status_of_loss(const struct btrkit_fs *fs);
/* Why not even what was read without a failure need be right; NULL: it is. Constant. */
const char *reason_of_doubt(const struct btrkit_fs *fs);

/* The first line of --passphrase-file, which must have been given, without its end; NULL: it was reported why there is none. */
char *read_passphrase(const struct open_command *command);

/* Open; on failure the error has been reported, and the result is negative. */
int open_filesystem(struct open_command *command, char **paths, int nr_paths, struct btrkit_fs **ret_fs);

#endif
