/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

static void (*volatile caught_fn)(void *arg);
static void *volatile caught_arg;

static void on_signal(int signal)
{
	void (*fn)(void *arg) = caught_fn;

	(void)signal;
	if (fn)
		fn(caught_arg);
}

void interrupt_catch(void (*fn)(void *arg), void *arg, unsigned flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	if (flags & INTERRUPT_RESTARTS)
		action.sa_flags |= SA_RESTART;
	caught_arg = arg;
	caught_fn = fn;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (flags & INTERRUPT_HANGUP)
		sigaction(SIGHUP, &action, NULL);
}

void interrupt_forget(void)
{
	caught_fn = NULL;
}
