/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the command line of `btrkit convert` says, and its two ways. */
#ifndef BTRKIT_CMDS_CONVERT_H
#define BTRKIT_CMDS_CONVERT_H

#include <btrkit/convert.h>

#include "common/cli/options.h"
#include "common/cli/progress_bar.h"

struct convert_command {
	bool is_rollback, is_finish, is_dry_run, is_sure, do_relocate, is_json, no_progress;
	bool no_datasum, no_xattrs, no_inline, do_copy_label, do_skip_unsupported, do_skip_unreadable, is_image;
	enum btrkit_convert_verify verify;
	enum btrkit_convert_uuid uuid;
	u64 nodesize;
	const char *fsid, *label, *csum, *features, *metadata_profile;
	unsigned threads;
	enum progress_mode progress;
	const char *path;
	struct btrkit_job *job;
	struct json *losses; /* of what does not become what it was; NULL: not for JSON */
};

/* Notes of the library: warnings on stderr; others on stdout, unless that is for JSON. @arg: the command. */
void convert_print_note(void *arg, enum btrkit_severity severity, const char *text);

/*
 * Ask on the terminal, unless the command line has said yes: 0, go on; else the exit status. @what: that --yes does, for the text.
 */
int convert_ask(const struct convert_command *command, const char *question, const char *what);

/* Draw the progress of the command's job until progress_bar_stop(). NULL: none is drawn. */
struct progress_bar *convert_start_progress(struct convert_command *command);

/* All return the exit status. */
int convert_run(struct convert_command *command);
int convert_run_rollback(struct convert_command *command);
int convert_run_finish(struct convert_command *command);

#endif
