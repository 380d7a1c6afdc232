/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a struct btrkit_printer is told, as text for people or as JSON, one object of the top on a line. */
#ifndef BTRKIT_CMDS_PRINTER_H
#define BTRKIT_CMDS_PRINTER_H

#include <btrkit/inspect.h>
#include <stdio.h>

#include "common/cli/json.h"

#define PRINTER_DEPTH_MAX 8

struct text_printer {
	FILE *file;
	unsigned depth; /* of open objects and lists */
	struct {
		unsigned values_indent, children_indent;
	} open[PRINTER_DEPTH_MAX];
	size_t column; /* 0: at the beginning of a line */
};

struct json_printer {
	FILE *file;
	struct json *collected; /* an array that takes the objects of the top, instead of printing each; NULL: print */
	unsigned depth;
	struct {
		struct json *value;
		char name[64];
		bool is_list;
	} open[PRINTER_DEPTH_MAX];
};

/* The printer that writes with @state, which must outlive it. */
struct btrkit_printer text_printer_init(struct text_printer *state, FILE *file);
struct btrkit_printer json_printer_init(struct json_printer *state, FILE *file, struct json *collected);

#endif
