/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sink_printer.h"

/* Members of objects have names; what is at the top or in a list has none. */
static void check_name(const struct sink *sink, const char *name)
{
	bool is_member = sink->depth && !sink->is_list[sink->depth - 1];

	fuzz_require(is_member ? name && name[0] : !name);
}

static void on_begin(void *ctx, const char *name, bool is_list)
{
	struct sink *sink = ctx;

	check_name(sink, name);
	fuzz_require(sink->depth < SINK_DEPTH_MAX);
	sink->is_list[sink->depth++] = is_list;
}

static void on_end(void *ctx)
{
	struct sink *sink = ctx;

	fuzz_require(sink->depth > 0);
	sink->depth--;
}

static void on_value(void *ctx, const char *name, const struct btrkit_value *value)
{
	struct sink *sink = ctx;
	size_t len = 0;

	fuzz_require(sink->depth > 0);
	check_name(sink, name);
	switch (value->kind) {
	case BTRKIT_VALUE_FLAGS:
	case BTRKIT_VALUE_TEXT:
		len = strlen(value->text);
		break;
	case BTRKIT_VALUE_NAME:
		len = value->len;
		break;
	case BTRKIT_VALUE_BOOL:
		fuzz_require(value->number <= 1);
		break;
	default:
		break;
	}
	for (size_t i = 0; i < len; i++)
		sink->sum += (u8)value->text[i];
	sink->nr_values++;
}

struct btrkit_printer sink_printer(struct sink *sink)
{
	return (struct btrkit_printer){ .ctx = sink, .begin = on_begin, .end = on_end, .value = on_value };
}

void sink_finish(const struct sink *sink)
{
	fuzz_require(sink->depth == 0);
}
