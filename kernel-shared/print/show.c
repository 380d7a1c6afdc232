/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <uuid/uuid.h>

#include "kernel-shared/print/show.h"

typedef unsigned long long ull;

void show_begin(printer *to, const char *name)
{
	to->begin(to->ctx, name, false);
}

void show_begin_list(printer *to, const char *name)
{
	to->begin(to->ctx, name, true);
}

void show_end(printer *to)
{
	to->end(to->ctx);
}

static void show(printer *to, const char *name, enum btrkit_value_kind kind, u64 number, const char *text, size_t len)
{
	const struct btrkit_value value = { .kind = kind, .number = number, .text = text, .len = len };

	to->value(to->ctx, name, &value);
}

void show_u64(printer *to, const char *name, u64 value)
{
	show(to, name, BTRKIT_VALUE_UNSIGNED, value, NULL, 0);
}

void show_s64(printer *to, const char *name, s64 value)
{
	show(to, name, BTRKIT_VALUE_SIGNED, (u64)value, NULL, 0);
}

void show_bool(printer *to, const char *name, bool value)
{
	show(to, name, BTRKIT_VALUE_BOOL, value, NULL, 0);
}

void show_text(printer *to, const char *name, const char *text)
{
	show(to, name, BTRKIT_VALUE_TEXT, 0, text, strlen(text));
}

void show_name(printer *to, const char *name, const void *bytes, size_t len)
{
	show(to, name, BTRKIT_VALUE_NAME, 0, bytes, len);
}

void show_uuid(printer *to, const char *name, const u8 *uuid)
{
	char text[37];

	uuid_unparse_lower(uuid, text);
	show_text(to, name, text);
}

void show_hex(printer *to, const char *name, const u8 *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * 64 + 1];
	size_t n = MIN(len, sizeof(text) / 2);

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * n] = '\0';
	show_text(to, name, text);
}

void show_time(printer *to, const char *name, const struct disk_timespec *time)
{
	s64 sec = (s64)le64_get(time->sec);
	char text[48];

	snprintf(text, sizeof(text), "%lld.%09u", (long long)sec, le32_get(time->nsec));
	show_text(to, name, text);
}

void show_key(printer *to, const char *name, const struct key *key)
{
	char type[NAME_TEXT_MAX], objectid[NAME_TEXT_MAX], text[3 * NAME_TEXT_MAX];

	snprintf(text, sizeof(text), "(%s %s %llu)", objectid_name(key->objectid, key->type, objectid),
		 key_type_name(key->type, type), (ull)key->offset);
	to->value(to->ctx, name,
		  &(struct btrkit_value){ .kind = BTRKIT_VALUE_KEY, .number = key->type, .text = text, .len = strlen(text),
					  .objectid = key->objectid, .offset = key->offset });
}

void show_flags(printer *to, const char *name, u64 value, const struct flag_name *names, size_t nr_names)
{
	char text[512] = "";
	size_t len = 0;
	u64 rest = value;

	for (size_t i = 0; i < nr_names && len < sizeof(text); i++) {
		if (!(rest & names[i].bit))
			continue;
		rest &= ~names[i].bit;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "|" : "", names[i].name);
	}
	if (rest && len < sizeof(text))
		snprintf(text + len, sizeof(text) - len, "%s0x%llx", len ? "|" : "", (ull)rest);
	show(to, name, BTRKIT_VALUE_FLAGS, value, text, strlen(text));
}

void show_raw(printer *to, const void *data, u32 size)
{
	show_u64(to, "bytes", size);
	if (size)
		show_hex(to, "data", data, size);
}
