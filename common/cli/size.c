/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "common/base/checked.h"
#include "common/cli/size.h"

static const char suffixes[] = "bkmgtpe";

int size_parse(const char *text, u64 *ret_bytes, struct diag *d)
{
	const char *at = text;
	u64 value = 0;

	if (!isdigit((unsigned char)*at))
		return diag_fail(d, -EINVAL, "\"%s\" is not a size", text);
	for (; isdigit((unsigned char)*at); at++)
		if (!checked_mul(value, 10, &value) || !checked_add(value, (u64)(*at - '0'), &value))
			return diag_fail(d, -ERANGE, "\"%s\" is too large", text);
	if (*at) {
		const char *suffix = strchr(suffixes, tolower((unsigned char)*at));

		if (!suffix)
			return diag_fail(d, -EINVAL, "\"%s\": unknown suffix \"%s\" (use K, M, G, T, P or E)", text, at);
		for (long i = 0; i < suffix - suffixes; i++)
			if (!checked_mul(value, 1024, &value))
				return diag_fail(d, -ERANGE, "\"%s\" is too large", text);
		at++;
		if (suffix != suffixes && (strcasecmp(at, "b") == 0 || strcasecmp(at, "ib") == 0))
			at += strlen(at);
	}
	if (*at)
		return diag_fail(d, -EINVAL, "\"%s\": unexpected \"%s\" after the size", text, at);
	*ret_bytes = value;
	return 0;
}

const char *size_format(u64 bytes, char buf[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned unit = 0;
	u64 whole = bytes, rest = 0;

	while (whole >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(buf, SIZE_TEXT_MAX, "%lluB", (unsigned long long)bytes);
	else
		snprintf(buf, SIZE_TEXT_MAX, "%llu.%02llu%s", (unsigned long long)whole,
			 (unsigned long long)(rest * 100 / 1024), units[unit]);
	return buf;
}

const char *size_format_as(u64 bytes, bool is_raw, char buf[SIZE_TEXT_MAX])
{
	if (!is_raw)
		return size_format(bytes, buf);
	snprintf(buf, SIZE_TEXT_MAX, "%llu", (unsigned long long)bytes);
	return buf;
}
