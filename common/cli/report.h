/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What commands say on stderr: one line for an error, one for each warning. */
#ifndef BTRKIT_COMMON_CLI_REPORT_H
#define BTRKIT_COMMON_CLI_REPORT_H

#include "common/base/types.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_PARTLY = 4 };
/* Of checkers, as fsck(8) has them. */
enum { EXIT_CHECKER_FAILED = 8, EXIT_CHECKER_USAGE = 16 };

/* "btrkit mkfs: error: TEXT" on one line, control characters made harmless; returns EXIT_FAILED. */
__attribute__((format(printf, 2, 3))) int report_error(const char *command, const char *format, ...);
__attribute__((format(printf, 2, 3))) void report_warning(const char *command, const char *format, ...);

/* Write @len raw bytes (a file name) so that a terminal cannot be harmed: odd bytes as \xNN, backslash doubled. */
void print_escaped(void *file, const char *bytes, size_t len);

/* Is @file (a FILE *) a terminal that may be decorated: a tty, TERM not dumb, NO_COLOR not set? */
bool is_decorated(void *file);

#endif
