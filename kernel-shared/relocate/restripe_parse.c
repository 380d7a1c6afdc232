/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filters as text: "usage=50,profiles=raid1|dup,soft". What is wrong is said with its place. */
#include <stdarg.h>
#include <stdio.h>

#include "common/base/checked.h"
#include "kernel-shared/relocate/restripe_filters.h"

typedef unsigned long long ull;

struct parser {
	const char *text, *at, *end; /* @end: of the filter at hand */
	const char *name; /* of this filter */
	struct restripe_filter *filter;
	size_t *ret_bad_at;
	struct diag *d;
};

/* What is wrong at @where. */
__attribute__((format(printf, 3, 4))) static int bad(struct parser *p, const char *where, const char *format, ...)
{
	char why[200];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	if (p->ret_bad_at)
		*p->ret_bad_at = (size_t)(where - p->text);
	return diag_fail(p->d, -EINVAL, "\"%s\", character %zu: %s", p->text, (size_t)(where - p->text) + 1, why);
}

/* --- Numbers ---------------------------------------- */

/* K, M, G, T, P, E in either case; 0: none of these. */
static u64 suffix_of(char letter)
{
	static const char letters[] = "kmgtpe";
	const char *found = letter ? strchr(letters, letter | 0x20) : NULL;

	return found ? (u64)1 << 10 * (found - letters + 1) : 0;
}

static int parse_number(struct parser *p, bool has_suffix, u64 *ret_number)
{
	const char *from = p->at;
	u64 number = 0, unit = 1;

	for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
		if (!checked_mul(number, 10, &number) || !checked_add(number, (u64)(*p->at - '0'), &number))
			return bad(p, from, "this number is too large");
	if (p->at == from)
		return bad(p, from, "a number is expected here");
	if (has_suffix && p->at < p->end && suffix_of(*p->at))
		unit = suffix_of(*p->at++);
	if (!checked_mul(number, unit, &number))
		return bad(p, from, "this number is too large");
	*ret_number = number;
	return 0;
}

static int expect_end(struct parser *p)
{
	return p->at == p->end ? 0 : bad(p, p->at, "%s= ends before this", p->name);
}

struct range {
	u64 from, to;
	bool is_single; /* no range: @to alone */
};

/* "A..B", either of which may be missing; or, where that is allowed, "N". */
static int parse_range(struct parser *p, bool may_be_single, bool has_suffix, u64 max, struct range *ret_range)
{
	const char *start = p->at, *to = start;
	struct range range = { 0, max, false };
	int err = 0;

	if (p->end - p->at < 2 || strncmp(p->at, "..", 2) != 0)
		err = parse_number(p, has_suffix, &range.from);
	if (err)
		return err;
	if (range.from > max)
		return bad(p, start, "this may be %llu at most", (ull)max);
	if (p->at == p->end && may_be_single) {
		*ret_range = (struct range){ 0, range.from, true };
		return 0;
	}
	if (p->end - p->at < 2 || strncmp(p->at, "..", 2) != 0)
		return bad(p, p->at, "a range is written as FROM..TO");
	p->at += 2;
	to = p->at;
	if (p->at < p->end)
		err = parse_number(p, has_suffix, &range.to);
	if (!err)
		err = expect_end(p);
	if (err)
		return err;
	if (range.to > max)
		return bad(p, to, "this may be %llu at most", (ull)max);
	*ret_range = range;
	return 0;
}

/* --- Filters ---------------------------------------- */

static int parse_usage(struct parser *p)
{
	const char *from = p->at;
	struct range range;
	int err = parse_range(p, true, false, 100, &range);

	if (err)
		return err;
	if (range.is_single) {
		p->filter->flags |= BALANCE_ARGS_USAGE;
		p->filter->usage = range.to;
		return 0;
	}
	if (range.from >= range.to && range.to)
		return bad(p, from, "no usage is from %llu %% to less than %llu %%", (ull)range.from, (ull)range.to);
	p->filter->flags |= BALANCE_ARGS_USAGE_RANGE;
	p->filter->usage_min = (u32)range.from;
	p->filter->usage_max = (u32)range.to;
	return 0;
}

static int parse_limit(struct parser *p)
{
	const char *from = p->at;
	struct range range;
	int err = parse_range(p, true, false, UINT32_MAX, &range);

	if (err)
		return err;
	if (range.is_single) {
		p->filter->flags |= BALANCE_ARGS_LIMIT;
		p->filter->limit = range.to;
		return 0;
	}
	if (range.from > range.to)
		return bad(p, from, "no number is from %llu to %llu", (ull)range.from, (ull)range.to);
	p->filter->flags |= BALANCE_ARGS_LIMIT_RANGE;
	p->filter->limit_min = (u32)range.from;
	p->filter->limit_max = (u32)range.to;
	return 0;
}

static int parse_stripes(struct parser *p)
{
	const char *from = p->at;
	struct range range;
	int err = parse_range(p, true, false, UINT32_MAX, &range);

	if (err)
		return err;
	if (range.is_single)
		range.from = range.to;
	if (range.from > range.to)
		return bad(p, from, "no number is from %llu to %llu", (ull)range.from, (ull)range.to);
	p->filter->flags |= BALANCE_ARGS_STRIPES_RANGE;
	p->filter->stripes_min = (u32)range.from;
	p->filter->stripes_max = (u32)range.to;
	return 0;
}

static int parse_bytes(struct parser *p, u64 flag, u64 *ret_start, u64 *ret_end)
{
	const char *from = p->at;
	struct range range;
	int err = parse_range(p, false, true, UINT64_MAX, &range);

	if (err)
		return err;
	if (range.from >= range.to)
		return bad(p, from, "the range from %llu to %llu is empty", (ull)range.from, (ull)range.to);
	p->filter->flags |= flag;
	*ret_start = range.from;
	*ret_end = range.to;
	return 0;
}

static int parse_drange(struct parser *p)
{
	return parse_bytes(p, BALANCE_ARGS_DRANGE, &p->filter->physical_start, &p->filter->physical_end);
}

static int parse_vrange(struct parser *p)
{
	return parse_bytes(p, BALANCE_ARGS_VRANGE, &p->filter->logical_start, &p->filter->logical_end);
}

static int parse_devid(struct parser *p)
{
	const char *from = p->at;
	int err = parse_number(p, false, &p->filter->devid);

	if (err)
		return err;
	if (p->filter->devid == 0)
		return bad(p, from, "devices count from 1");
	p->filter->flags |= BALANCE_ARGS_DEVID;
	return expect_end(p);
}

/* One profile, up to @stop or the end. */
static int parse_profile(struct parser *p, char stop, u64 *ret_bit)
{
	const char *from = p->at, *to = from;
	const struct profile *profile = NULL;
	char name[16];

	while (to < p->end && *to != stop)
		to++;
	if ((size_t)(to - from) < sizeof(name)) {
		snprintf(name, sizeof(name), "%.*s", (int)(to - from), from);
		profile = profile_by_name(name);
	}
	if (!profile)
		return bad(p, from, to == from ? "a profile is expected here" : "no profile is called like this");
	p->at = to;
	*ret_bit = restripe_profile_bit(profile->flag);
	return 0;
}

static int parse_profiles(struct parser *p)
{
	u64 bit;
	int err;

	for (;; p->at++) {
		err = parse_profile(p, '|', &bit);
		if (err)
			return err;
		p->filter->profiles |= bit;
		if (p->at == p->end)
			break;
	}
	p->filter->flags |= BALANCE_ARGS_PROFILES;
	return 0;
}

static int parse_convert(struct parser *p)
{
	p->filter->flags |= BALANCE_ARGS_CONVERT;
	return parse_profile(p, 0, &p->filter->target);
}

static int parse_soft(struct parser *p)
{
	p->filter->flags |= BALANCE_ARGS_SOFT;
	return 0;
}

static const struct filter_row {
	const char *name;
	u64 flags; /* that it may set */
	int (*parse)(struct parser *p);
	bool has_value;
} filter_rows[] = {
	{ "profiles", BALANCE_ARGS_PROFILES, parse_profiles, true },
	{ "usage", BALANCE_ARGS_USAGE | BALANCE_ARGS_USAGE_RANGE, parse_usage, true },
	{ "devid", BALANCE_ARGS_DEVID, parse_devid, true },
	{ "drange", BALANCE_ARGS_DRANGE, parse_drange, true },
	{ "vrange", BALANCE_ARGS_VRANGE, parse_vrange, true },
	{ "limit", BALANCE_ARGS_LIMIT | BALANCE_ARGS_LIMIT_RANGE, parse_limit, true },
	{ "stripes", BALANCE_ARGS_STRIPES_RANGE, parse_stripes, true },
	{ "convert", BALANCE_ARGS_CONVERT, parse_convert, true },
	{ "soft", BALANCE_ARGS_SOFT, parse_soft, false },
};

static const struct filter_row *row_of(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(filter_rows); i++)
		if (strlen(filter_rows[i].name) == len && strncmp(filter_rows[i].name, name, len) == 0)
			return &filter_rows[i];
	return NULL;
}

static int parse_one(struct parser *p)
{
	const char *from = p->at;
	const struct filter_row *row;

	while (p->at < p->end && *p->at != '=')
		p->at++;
	row = row_of(from, (size_t)(p->at - from));
	if (!row)
		return bad(p, from,
			   p->at == from ? "a filter is expected here"
					 : "there is no such filter: profiles=, usage=, devid=, drange=, vrange=, limit=, stripes=, "
					   "convert=, soft");
	p->name = row->name;
	if (p->filter->flags & row->flags)
		return bad(p, from, "%s is given twice", row->name);
	if (row->has_value && p->at == p->end)
		return bad(p, p->at, "%s= wants a value", row->name);
	if (!row->has_value && p->at < p->end)
		return bad(p, p->at, "%s has no value", row->name);
	if (p->at < p->end)
		p->at++;
	return row->parse(p);
}

/* Filters that mean something only beside another. */
static int judge(struct parser *p)
{
	const char *drange = strstr(p->text, "drange"), *soft = strstr(p->text, "soft");

	if ((p->filter->flags & BALANCE_ARGS_DRANGE) && !(p->filter->flags & BALANCE_ARGS_DEVID))
		return bad(p, drange ? drange : p->text, "drange= is about the device that devid= names, which is missing");
	if ((p->filter->flags & BALANCE_ARGS_SOFT) && !(p->filter->flags & BALANCE_ARGS_CONVERT))
		return bad(p, soft ? soft : p->text, "soft is about convert=, which is missing");
	return 0;
}

int restripe_filter_parse(const char *text, struct restripe_filter *ret_filter, size_t *ret_bad_at, struct diag *d)
{
	struct restripe_filter filter = { 0 };
	struct parser p = { .text = text, .at = text, .end = text, .filter = &filter, .ret_bad_at = ret_bad_at, .d = d };
	int err = 0;

	while (*text && !err) {
		p.end = p.at + strcspn(p.at, ",");
		err = parse_one(&p);
		if (err || !*p.end)
			break;
		p.at = p.end + 1;
	}
	if (!err)
		err = judge(&p);
	if (!err)
		*ret_filter = filter;
	return err;
}

/* --- And back ---------------------------------------- */

struct text {
	char *to;
	size_t cap, len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	size_t left = text->len < text->cap ? text->cap - text->len : 0;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(left ? text->to + text->len : NULL, left, format, args);
	va_end(args);
	if (n > 0)
		text->len += (size_t)n;
}

static void add_profiles(struct text *text, u64 bits)
{
	const char *between = "";

	for (size_t i = 0; i < profiles_count; i++)
		if (bits & restripe_profile_bit(profiles[i].flag)) {
			add(text, "%s%s", between, profiles[i].name);
			between = "|";
		}
}

static void add_range(struct text *text, const char *name, u64 from, u64 to, u64 max)
{
	add(text, ",%s=", name);
	if (from)
		add(text, "%llu", (ull)from);
	add(text, "..");
	if (to != max)
		add(text, "%llu", (ull)to);
}

size_t restripe_filter_format(const struct restripe_filter *filter, char *text, size_t cap)
{
	char room[512] = "";
	struct text out = { room, sizeof(room), 0 };
	u64 flags = filter->flags;

	if (flags & BALANCE_ARGS_PROFILES) {
		add(&out, ",profiles=");
		add_profiles(&out, filter->profiles);
	}
	if (flags & BALANCE_ARGS_USAGE_RANGE)
		add_range(&out, "usage", filter->usage_min, filter->usage_max, UINT64_MAX);
	else if (flags & BALANCE_ARGS_USAGE)
		add(&out, ",usage=%llu", (ull)filter->usage);
	if (flags & BALANCE_ARGS_DEVID)
		add(&out, ",devid=%llu", (ull)filter->devid);
	if (flags & BALANCE_ARGS_DRANGE)
		add_range(&out, "drange", filter->physical_start, filter->physical_end, UINT64_MAX);
	if (flags & BALANCE_ARGS_VRANGE)
		add_range(&out, "vrange", filter->logical_start, filter->logical_end, UINT64_MAX);
	if (flags & BALANCE_ARGS_LIMIT)
		add(&out, ",limit=%llu", (ull)filter->limit);
	else if (flags & BALANCE_ARGS_LIMIT_RANGE)
		add_range(&out, "limit", filter->limit_min, filter->limit_max, UINT32_MAX);
	if (flags & BALANCE_ARGS_STRIPES_RANGE)
		add_range(&out, "stripes", filter->stripes_min, filter->stripes_max, UINT32_MAX);
	if (flags & BALANCE_ARGS_CONVERT) {
		add(&out, ",convert=");
		add_profiles(&out, filter->target);
	}
	if (flags & BALANCE_ARGS_SOFT)
		add(&out, ",soft");
	if (cap)
		snprintf(text, cap, "%s", room + (out.len > 0));
	return out.len ? out.len - 1 : 0;
}
