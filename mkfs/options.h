/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of `btrkit mkfs`: names and meanings of mkfs.btrfs(8) as of btrfs-progs 6.19, and ours beside them. */
#ifndef BTRKIT_MKFS_OPTIONS_H
#define BTRKIT_MKFS_OPTIONS_H

#include <btrkit/mkfs.h>

#include "common/cli/options.h"
#include "common/cli/progress_bar.h"
#include "mkfs/source.h"

struct subvol_request {
	const char *path; /* below the top */
	unsigned flags; /* BTRKIT_SUBVOL_* */
};

struct inode_flags_request {
	const char *path;
	u32 flags; /* BTRKIT_INODE_* */
};

struct mkfs_command {
	/* Plain targets of the option table. */
	u64 byte_count, size, nodesize, sectorsize, free_bytes, offset;
	const char *data_profile, *metadata_profile, *label, *fsid, *device_uuid, *csum, *compress, *seed, *tmpdir;
	bool is_mixed, no_discard, is_forced, is_quiet, is_shrink, use_reflink, is_dry_run, is_json, ignore_unreadable;
	bool do_version, has_free;
	unsigned threads;
	enum progress_mode progress;
	char features[1024]; /* all -O, joined by commas */
	bool do_list_features;
	unsigned verbosity;
	ARRAY(const char *) rootdirs; /* SRC or SRC:/DEST */
	ARRAY(struct subvol_request) subvols;
	ARRAY(struct inode_flags_request) inode_flags;
	struct owner_rules owners;
	bool has_epoch; /* SOURCE_DATE_EPOCH is set */
	s64 epoch_sec;
};

/* Parse and check what can be checked without looking at any device. */
enum options_result mkfs_options_parse(int argc, char **argv, struct mkfs_command *command, int *ret_first_device);
void mkfs_command_done(struct mkfs_command *command);

/* The command itself; returns the exit status. */
int cmd_mkfs(int argc, char **argv);

/* What was planned or made, for people and for programs. */
void mkfs_print_plan(const struct mkfs_command *command, const struct btrkit_mkfs_plan *plan);
void mkfs_print_plan_json(const struct mkfs_command *command, const struct btrkit_mkfs_plan *plan);
void mkfs_print_features(void);

#endif
