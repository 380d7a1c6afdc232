/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "cmds/printer.h"
#include "common/cli/report.h"

#define LINE_WIDTH 112

/* --- Text: values of one object flow over lines, what is inside of it is indented below ------------------------- */

static void new_line(struct text_printer *p)
{
	if (p->column)
		fputc('\n', p->file);
	p->column = 0;
}

static void text_begin(void *ctx, const char *name, bool is_list)
{
	struct text_printer *p = ctx;
	unsigned outer = p->depth ? p->open[p->depth - 1].children_indent : 0;

	(void)is_list;
	new_line(p);
	if (p->depth == PRINTER_DEPTH_MAX)
		return;
	if (name) {
		fprintf(p->file, "%*s%s:\n", (int)outer * 2, "", name);
		p->open[p->depth].values_indent = p->open[p->depth].children_indent = outer + 1;
	} else {
		p->open[p->depth].values_indent = outer;
		p->open[p->depth].children_indent = outer + 1;
	}
	p->depth++;
}

static void text_end(void *ctx)
{
	struct text_printer *p = ctx;

	new_line(p);
	if (p->depth)
		p->depth--;
	if (p->depth == 0)
		fputc('\n', p->file);
}

static size_t escaped_len(const char *bytes, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += (unsigned char)bytes[i] < 0x20 || (unsigned char)bytes[i] == 0x7f ? 4 : bytes[i] == '\\' ? 2 : 1;
	return n;
}

/* Begin a value that takes @len columns: on this line, or on the next one. */
static void make_room(struct text_printer *p, size_t len)
{
	unsigned indent = p->depth ? p->open[p->depth - 1].values_indent * 2 : 0;

	if (p->column == 0) {
		fprintf(p->file, "%*s", (int)indent, "");
		p->column = indent;
	} else if (p->column + 2 + len > LINE_WIDTH) {
		fprintf(p->file, "\n%*s", (int)indent + 4, "");
		p->column = indent + 4;
	} else {
		fputs("  ", p->file);
		p->column += 2;
	}
	p->column += MAX(len, (size_t)1);
}

static void text_value(void *ctx, const char *name, const struct btrkit_value *value)
{
	struct text_printer *p = ctx;
	char number[32] = "";
	const char *text = number;
	bool is_name = value->kind == BTRKIT_VALUE_NAME;
	size_t len;

	switch (value->kind) {
	case BTRKIT_VALUE_UNSIGNED:
		snprintf(number, sizeof(number), "%llu", (unsigned long long)value->number);
		break;
	case BTRKIT_VALUE_SIGNED:
		snprintf(number, sizeof(number), "%lld", (long long)value->number);
		break;
	case BTRKIT_VALUE_FLAGS:
		snprintf(number, sizeof(number), "0x%llx", (unsigned long long)value->number);
		break;
	case BTRKIT_VALUE_BOOL:
		text = value->number ? "yes" : "no";
		break;
	default:
		text = value->text;
	}
	len = is_name ? escaped_len(text, value->len) + 2 : strlen(text);
	if (value->kind == BTRKIT_VALUE_FLAGS && value->len)
		len += value->len + 2;
	make_room(p, len + (name ? strlen(name) + 1 : 0));
	if (name)
		fprintf(p->file, "%s ", name);
	if (is_name) {
		fputc('"', p->file);
		print_escaped(p->file, text, value->len);
		fputc('"', p->file);
	} else if (value->kind == BTRKIT_VALUE_FLAGS && value->len) {
		fprintf(p->file, "%s(%s)", text, value->text);
	} else {
		fputs(text, p->file);
	}
}

struct btrkit_printer text_printer_init(struct text_printer *state, FILE *file)
{
	*state = (struct text_printer){ .file = file };
	return (struct btrkit_printer){ state, text_begin, text_end, text_value };
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */

static void json_begin(void *ctx, const char *name, bool is_list)
{
	struct json_printer *p = ctx;

	if (p->depth == PRINTER_DEPTH_MAX)
		return;
	p->open[p->depth].value = is_list ? json_new_array() : json_new_object();
	p->open[p->depth].is_list = is_list;
	snprintf(p->open[p->depth].name, sizeof(p->open[p->depth].name), "%s", name ? name : "");
	p->depth++;
}

static void put(struct json_printer *p, const char *name, struct json *value)
{
	if (p->open[p->depth - 1].is_list)
		json_append(p->open[p->depth - 1].value, value);
	else
		json_set(p->open[p->depth - 1].value, name, value);
}

static void json_end(void *ctx)
{
	struct json_printer *p = ctx;
	struct json *done;

	if (p->depth == 0)
		return;
	p->depth--;
	done = p->open[p->depth].value;
	if (p->depth) {
		put(p, p->open[p->depth].name, done);
	} else if (p->collected) {
		json_append(p->collected, done);
	} else {
		json_print(done, p->file, true);
		json_free(done);
	}
}

/* The number, and beside it a list of the names of its bits. */
static void put_flags(struct json_printer *p, const char *name, const struct btrkit_value *value)
{
	struct json *names = json_new_array();
	char list_name[80];

	for (const char *at = value->text; *at;) {
		size_t len = strcspn(at, "|");

		json_append(names, json_from_bytes(at, len));
		at += len + (at[len] == '|');
	}
	put(p, name, json_from_u64(value->number));
	snprintf(list_name, sizeof(list_name), "%s_names", name);
	put(p, list_name, names);
}

static void put_key(struct json_printer *p, const char *name, const struct btrkit_value *value)
{
	struct json *key = json_new_object();

	json_set_u64(key, "objectid", value->objectid);
	json_set_u64(key, "type", value->number);
	json_set_u64(key, "offset", value->offset);
	json_set(key, "text", json_from_bytes(value->text, value->len));
	put(p, name, key);
}

static void json_value(void *ctx, const char *name, const struct btrkit_value *value)
{
	struct json_printer *p = ctx;

	if (p->depth == 0)
		return;
	switch (value->kind) {
	case BTRKIT_VALUE_UNSIGNED:
		return put(p, name, json_from_u64(value->number));
	case BTRKIT_VALUE_SIGNED:
		return put(p, name, json_from_s64((s64)value->number));
	case BTRKIT_VALUE_FLAGS:
		return put_flags(p, name, value);
	case BTRKIT_VALUE_BOOL:
		return put(p, name, json_from_bool(value->number != 0));
	case BTRKIT_VALUE_KEY:
		return put_key(p, name, value);
	default:
		put(p, name, json_from_bytes(value->text, value->len));
	}
}

struct btrkit_printer json_printer_init(struct json_printer *state, FILE *file, struct json *collected)
{
	*state = (struct json_printer){ .file = file, .collected = collected };
	return (struct btrkit_printer){ state, json_begin, json_end, json_value };
}
