/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cli/report.h"

__attribute__((format(printf, 3, 0))) static void say(const char *command, const char *kind, const char *format, va_list args)
{
	char text[4096];

	vsnprintf(text, sizeof(text), format, args);
	/* One message is one line, whatever a file name holds. */
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < 32 || *at == 127)
			*at = '?';
	fprintf(stderr, "%s: %s: %s\n", command, kind, text);
}

int report_error(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, "error", format, args);
	va_end(args);
	return EXIT_FAILED;
}

void report_warning(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(command, "warning", format, args);
	va_end(args);
}

void print_escaped(void *file, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\\')
			fputs("\\\\", file);
		else if (c < 32 || c == 127)
			fprintf(file, "\\x%02x", c);
		else
			fputc(c, file);
	}
}

bool is_decorated(void *file)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	return isatty(fileno(file)) && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
}
