/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the commands that change the devices of a filesystem: their options, how they run, and what they print. */
#ifndef BTRKIT_CMDS_DEVICE_H
#define BTRKIT_CMDS_DEVICE_H

#include <btrkit/device.h>

#include "cmds/open.h"
#include "common/cli/progress_bar.h"

/* That can be named. */
#define DEVICES_MAX 1024

struct device_command {
	struct open_command open; /* of which only the options below are offered */
	bool is_dry_run, is_forced, is_json, no_progress, do_truncate;
	bool needs_check; /* what moves is checked first, unless forced */
	const char *const *mended; /* codes of problems that do not matter then; NULL behind the last; NULL: all do */
	const char *device_uuid;
	unsigned threads;
	enum progress_mode progress;
	const char *devices[DEVICES_MAX + 1]; /* of the filesystem: those by --device, then the operand */
	size_t nr_devices;
	struct btrkit_job *job;
};

/* Rows for an option table whose target is a struct with a member struct device_command @member. */
#define DEVICE_OPTION(target, member, field) (offsetof(target, member) + offsetof(struct device_command, field))
#define DEVICE_OPTION_ROWS(target, member)                                                                               \
	{ 'n', "dry-run", NULL, OPTION_FLAG, DEVICE_OPTION(target, member, is_dry_run),                                  \
	  "only say what would be done, and whether it can be", false },                                                 \
	{ 0, "threads", "N", OPTION_UNSIGNED, DEVICE_OPTION(target, member, threads), "work in N threads (all CPUs)",    \
	  false },                                                                                                       \
	{ 0, "json", NULL, OPTION_FLAG, DEVICE_OPTION(target, member, is_json), "print JSON", false },                   \
	{ 0, "progress", "WHEN", OPTION_CALL, 0, "draw progress: auto, always, never or json", true },                   \
	{ 0, "no-progress", NULL, OPTION_FLAG, DEVICE_OPTION(target, member, no_progress), "draw no progress", false },  \
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Finding the filesystem", false },                                           \
	{ 0, "device", "PATH", OPTION_CALL, 0, "a further device of the filesystem; may be repeated", false },           \
	{ 0, "scan", "DIR", OPTION_STRING, DEVICE_OPTION(target, member, open.scan_dir),                                 \
	  "look for further devices among the files of DIR", false },                                                    \
	{ 0, "no-scan", NULL, OPTION_FLAG, DEVICE_OPTION(target, member, open.no_scan),                                  \
	  "do not look for further devices on this host", false },                                                       \
	{ 0, "offset", "BYTES", OPTION_SIZE, DEVICE_OPTION(target, member, open.offset_bytes),                           \
	  "the filesystem begins so far within the image", false }

/* For the table's call function: 1 if @row is one of the rows above (or a negative errno), 0 if it is not. */
int device_option_call(struct device_command *command, const struct option_row *row, const char *value, struct diag *d);

/* What a command does: a call of the library. @arg: as given to device_run(). */
typedef int (*device_operation_fn)(void *arg, const char *const *paths, size_t nr_paths,
				   const struct btrkit_device_options *options, struct btrkit_device_plan **ret_plan,
				   struct btrkit_error *error);

/*
 * Run @fn on the filesystem that @target is a device of, with progress, Ctrl-C, and everything that is printed. @done: what is
 * said at the end as text. Returns the exit status; @command is done with.
 */
int device_run(const struct option_table *table, struct device_command *command, const char *target, device_operation_fn fn,
	       void *arg, const char *done);

/* Print a plan as text, or as one JSON object. @error: NULL, or why it failed. (device_print.c) */
void device_print_plan(const struct btrkit_device_plan *plan, bool has_steps);
void device_print_json(const struct btrkit_device_plan *plan, const char *status, const struct btrkit_error *error);

#endif
