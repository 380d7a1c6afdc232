/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library says instead of printing: one message for the error that stopped an operation, and notes (a bad
 * copy that another one replaced, a missing device) handed to the caller's function as they happen.
 *
 * A diag belongs to one operation in one thread. Workers get their own and the coordinator takes the first failure in
 * submission order with diag_copy(). Every function here accepts a NULL diag.
 */
#ifndef BTRKIT_COMMON_BASE_DIAG_H
#define BTRKIT_COMMON_BASE_DIAG_H

#include <stdarg.h>
#include <errno.h>
#include "common/base/types.h"

#define DIAG_TEXT_MAX 1024

enum diag_severity { DIAG_NOTE, DIAG_WARNING };

struct diag {
	int err; /* negative errno of the failure that @text describes; 0: none */
	char text[DIAG_TEXT_MAX];
	/* Called for each note and warning; may be NULL. Workers may call it from their threads: it locks if it must. */
	void (*note)(void *arg, enum diag_severity severity, const char *text);
	void *note_arg;
};

/*
 * Record that the operation fails with @err (a negative errno) because of what the format says, and return @err, so
 * that it can be written as `return diag_fail(d, -EUCLEAN, "chunk %llu: ...", ...)`. Replaces an earlier text.
 */
__attribute__((format(printf, 3, 4))) int diag_fail(struct diag *d, int err, const char *format, ...);

/* Put "context: " before the recorded text; returns @err. For a caller that knows the place better. */
__attribute__((format(printf, 3, 4))) int diag_context(struct diag *d, int err, const char *format, ...);

/* As diag_fail() with -ENOMEM; says for what memory was wanted. */
int diag_no_memory(struct diag *d, const char *what);

/* Hand a note or warning to the caller's function, if there is one. */
__attribute__((format(printf, 3, 4))) void diag_note(struct diag *d, enum diag_severity severity,
						       const char *format, ...);

/* Take over the failure recorded in @from; returns its err. */
int diag_copy(struct diag *d, const struct diag *from);

/* Forget a recorded failure (after falling back to another copy). */
void diag_clear(struct diag *d);

#endif
