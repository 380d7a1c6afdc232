/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ctrl-C and its like, as a call with an argument, which a signal handler does not get. For one operation at a time. */
#ifndef BTRKIT_COMMON_CLI_INTERRUPT_H
#define BTRKIT_COMMON_CLI_INTERRUPT_H

enum interrupt_flags {
	INTERRUPT_RESTARTS = 1 << 0, /* system calls go on: a line that is being printed is printed to its end */
	INTERRUPT_HANGUP = 1 << 1, /* SIGHUP, too */
};

/*
 * From now on the first SIGINT and the first SIGTERM call @fn(@arg), which may do only what a signal handler may. A second one
 * ends the program.
 */
void interrupt_catch(void (*fn)(void *arg), void *arg, unsigned flags);

/* A signal may still come, but @arg is to go: it is ignored once from now on. */
void interrupt_forget(void);

#endif
