/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "common/base/diag.h"

int diag_fail(struct diag *d, int err, const char *format, ...)
{
	va_list args;

	if (!d)
		return err;
	d->err = err;
	va_start(args, format);
	vsnprintf(d->text, sizeof(d->text), format, args);
	va_end(args);
	return err;
}

int diag_context(struct diag *d, int err, const char *format, ...)
{
	char context[DIAG_TEXT_MAX];
	char whole[2 * DIAG_TEXT_MAX + 2];
	va_list args;

	if (!d)
		return err;
	va_start(args, format);
	vsnprintf(context, sizeof(context), format, args);
	va_end(args);
	snprintf(whole, sizeof(whole), "%s: %s", context, d->err ? d->text : strerror(-err));
	d->err = err;
	memcpy(d->text, whole, sizeof(d->text) - 1);
	d->text[sizeof(d->text) - 1] = '\0';
	return err;
}

int diag_no_memory(struct diag *d, const char *what)
{
	return diag_fail(d, -ENOMEM, "out of memory for %s", what);
}

void diag_note(struct diag *d, enum diag_severity severity, const char *format, ...)
{
	char text[DIAG_TEXT_MAX];
	va_list args;

	if (!d || !d->note)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	d->note(d->note_arg, severity, text);
}

int diag_copy(struct diag *d, const struct diag *from)
{
	if (d) {
		d->err = from->err;
		memcpy(d->text, from->text, sizeof(d->text));
	}
	return from->err;
}

void diag_clear(struct diag *d)
{
	if (d) {
		d->err = 0;
		d->text[0] = '\0';
	}
}
