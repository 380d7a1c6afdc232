/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Btrees of bcachefs. In text a key is a line, as the tools of bcachefs list it, with what an inode or an extent has on lines below; a
 * printer of its own makes that of the same named values of which others make JSON.
 */
#include <stdio.h>
#include <string.h>

#include "cmds/inspect.h"
#include "cmds/printer.h"
#include "common/cli/report.h"

/* What stands around a value. No before: it is not shown, as another value says the same. */
struct value_form {
	const char *name, *before, *after;
};

static const struct value_form key_forms[] = {
	{ "tree", "== btree ", NULL }, { "id", NULL, NULL },	     { "has_root", NULL, NULL }, { "level", NULL, NULL },
	{ "btree", NULL, NULL },       { "u64s", "u64s ", NULL },    { "type", " type ", NULL }, { "pos", " ", NULL },
	{ "inode", NULL, NULL },       { "offset", NULL, NULL },     { "snapshot", NULL, NULL }, { "len", " len ", NULL },
	{ "ver", " ver ", NULL },      { "lost_from", "lost: ", NULL }, { "lost_to", " to ", NULL }, { "why", ": ", NULL },
};

static const struct value_form value_forms[] = {
	{ "name", " ", NULL },	   { "parent_subvol", " -> ", NULL }, { "target", " -> ", NULL },
	{ "kind", " type ", NULL }, { "attribute", " ", ":" },	      { "contents", "", NULL },
};

static const struct value_form entry_forms[] = {
	{ "kind", "\n  ", ":" },   { "place", " ", NULL },	{ "device", NULL, NULL },
	{ "sector", NULL, NULL }, { "csum_value", " ", NULL },
};

/* What the next value belongs to. */
enum part { PART_KEY, PART_VALUE_BEGINS, PART_VALUE, PART_INODE, PART_ENTRY, PART_LIST };

struct list_printer {
	FILE *file;
	unsigned depth;
	enum part part;
};

static void begin_value(struct list_printer *p)
{
	if (p->part != PART_VALUE_BEGINS)
		return;
	fputc(':', p->file);
	p->part = PART_VALUE;
}

static void list_begin(void *ctx, const char *name, bool is_list)
{
	struct list_printer *p = ctx;

	if (p->depth++ == 0) {
		p->part = PART_KEY;
		return;
	}
	begin_value(p);
	if (!name)
		return; /* of a list of entries */
	p->part = !is_list ? PART_INODE : strcmp(name, "entries") == 0 ? PART_ENTRY : PART_LIST;
	if (p->part == PART_LIST)
		fprintf(p->file, " %s", name);
}

static void list_end(void *ctx)
{
	struct list_printer *p = ctx;

	if (--p->depth == 0)
		fputc('\n', p->file);
	else if (p->depth == 1)
		p->part = PART_VALUE;
}

static const struct value_form *find_form(enum part part, const char *name)
{
	const struct value_form *forms = part == PART_KEY ? key_forms : part == PART_ENTRY ? entry_forms : value_forms;
	size_t nr = part == PART_KEY ? ARRAY_LEN(key_forms) : part == PART_ENTRY ? ARRAY_LEN(entry_forms) : ARRAY_LEN(value_forms);

	for (size_t i = 0; part != PART_INODE && i < nr; i++)
		if (strcmp(forms[i].name, name) == 0)
			return &forms[i];
	return NULL;
}

static void put_value(FILE *file, const struct btrkit_value *value)
{
	if (value->kind == BTRKIT_VALUE_NAME)
		print_escaped(file, value->text, value->len);
	else if (value->kind == BTRKIT_VALUE_TEXT)
		fputs(value->text, file);
	else
		fprintf(file, "%llu", (unsigned long long)value->number);
}

static void list_value(void *ctx, const char *name, const struct btrkit_value *value)
{
	struct list_printer *p = ctx;
	const struct value_form *form;

	begin_value(p);
	form = name && p->part != PART_LIST ? find_form(p->part, name) : NULL;
	if (form && !form->before)
		return;
	if (form)
		fputs(form->before, p->file);
	else if (p->part == PART_INODE)
		fprintf(p->file, "\n  %s=", name);
	else if (name)
		fprintf(p->file, " %s ", name);
	else
		fputc(' ', p->file);
	put_value(p->file, value);
	if (form && form->after)
		fputs(form->after, p->file);
	if (p->part == PART_KEY && strcmp(name, "ver") == 0)
		p->part = PART_VALUE_BEGINS;
}

/* --- Commands ----------------------------------------------------------------------------------------------------- */

static int list_btree(void *arg, const struct btrkit_btree_info *btree)
{
	const bool *is_json = arg;

	if (*is_json) {
		struct json *object = json_new_object();

		json_set_s64(object, "tree", btree->id);
		json_set_string(object, "name", btree->name);
		json_set_bool(object, "has_root", btree->has_root);
		if (btree->has_root)
			json_set_s64(object, "level", btree->level);
		json_print(object, stdout, true);
		json_free(object);
	} else if (btree->has_root) {
		printf("%5u  %-20s  level %u\n", btree->id, btree->name, btree->level);
	} else {
		printf("%5u  %-20s  no root\n", btree->id, btree->name);
	}
	return 0;
}

int btrees_list(struct btrkit_fs *fs, bool is_json, struct btrkit_error *error)
{
	return btrkit_btree_for_each(fs, list_btree, &is_json, error);
}

int btrees_show(struct btrkit_fs *fs, const char *tree, bool is_json, struct btrkit_error *error)
{
	struct list_printer list = { .file = stdout };
	struct json_printer json;
	struct btrkit_printer printer = { &list, list_begin, list_end, list_value };

	if (is_json)
		printer = json_printer_init(&json, stdout, NULL);
	return btrkit_inspect_btree(fs, tree, &printer, error);
}
