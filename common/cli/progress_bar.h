/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line on stderr that shows how far a job is, drawn from a thread of its own while the job works: phase, bytes, files,
 * rate and remaining time. Nothing else may write to the terminal meanwhile except through progress_bar_stop().
 */
#ifndef BTRKIT_COMMON_CLI_PROGRESS_BAR_H
#define BTRKIT_COMMON_CLI_PROGRESS_BAR_H

#include "common/base/diag.h"

enum progress_mode { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER, PROGRESS_JSON };

/* "auto", "always" or "never". */
int progress_mode_parse(const char *text, enum progress_mode *ret_mode, struct diag *d);

struct progress_sample {
	const char *phase; /* NULL: not begun; a change starts rate and ETA anew */
	u64 done_bytes, total_bytes; /* total 0: not known */
	u64 done_files, total_files;
};

struct progress_bar;

/*
 * Begin to draw what @sample reports, ten times a second at most. PROGRESS_AUTO draws only on a terminal; elsewhere
 * "always" prints a line a second. PROGRESS_JSON prints an object a second, on a line of its own, wherever that goes. *ret_bar
 * may become NULL: nothing is drawn.
 */
int progress_bar_start(enum progress_mode mode, void (*sample)(void *ctx, struct progress_sample *ret), void *ctx,
		       struct progress_bar **ret_bar);

/*
 * The same for those who call fsck(8) with -C: a line "PASS DONE TOTAL NAME" on @fd ten times a second, PASS counting the
 * phases from 1. What is read from the other end, or that it is closed, changes nothing. @name must outlive the bar.
 */
int progress_bar_start_fsck(int fd, const char *name, void (*sample)(void *ctx, struct progress_sample *ret), void *ctx,
			    struct progress_bar **ret_bar);

/* Erase the line and end the thread. NULL allowed. */
void progress_bar_stop(struct progress_bar *bar);

/* The text of one line, for tests: @width columns at most, into @buf. @elapsed_ms since the phase began. */
void progress_line(const struct progress_sample *sample, u64 elapsed_ms, unsigned width, char *buf, size_t cap);

#endif
