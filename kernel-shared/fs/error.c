/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include <btrkit/version.h>

#include "kernel-shared/fs/fs.h"

_Static_assert((int)BTRKIT_NOTE == (int)DIAG_NOTE && (int)BTRKIT_WARNING == (int)DIAG_WARNING, "severities");

static void relay_note(void *arg, enum diag_severity severity, const char *text)
{
	const struct fs_note *note = arg;

	note->fn(note->arg, (enum btrkit_severity)severity, text);
}

void fs_diag_init(const struct fs_note *note, struct diag *d)
{
	/* Not the whole struct: the text is large, and this is done for each call. */
	d->err = 0;
	d->text[0] = '\0';
	d->note = note->fn ? relay_note : NULL;
	d->note_arg = (void *)note;
}

int fs_error(struct btrkit_error *error, const struct diag *d, int err)
{
	if (err >= 0 || !error)
		return err;
	error->err = err;
	if (d->err)
		snprintf(error->text, sizeof(error->text), "%s", d->text);
	else
		snprintf(error->text, sizeof(error->text), "%s", err == -ENOMEM ? "out of memory" : strerror(-err));
	return err;
}

int btrkit_version(void)
{
	return BTRKIT_VERSION;
}

const char *btrkit_version_text(void)
{
	return PACKAGE_VERSION;
}
