/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filters of a restripe: their text, the item that keeps them, and which chunks they choose, against a second model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "kernel-shared/relocate/restripe_filters.h"

/* --- Text ---------------------------------------- */

struct good_text {
	const char *text;
	const char *again; /* NULL: the same */
};

static const struct good_text good_texts[] = {
	{ "", NULL },
	{ "usage=0", NULL },
	{ "usage=100", NULL },
	{ "usage=..50", NULL },
	{ "usage=20..50", NULL },
	{ "usage=0..50", "usage=..50" },
	{ "usage=50..", "usage=50..100" },
	{ "usage=..0", NULL },
	{ "profiles=single", NULL },
	{ "profiles=raid1|DUP|single", "profiles=single|dup|raid1" },
	{ "devid=3", NULL },
	{ "drange=0..1G,devid=1", "devid=1,drange=..1073741824" },
	{ "vrange=1m..", "vrange=1048576.." },
	{ "vrange=4096..8192", NULL },
	{ "limit=7", NULL },
	{ "limit=2..5", NULL },
	{ "limit=..5", NULL },
	{ "limit=2..", NULL },
	{ "stripes=2", "stripes=2..2" },
	{ "stripes=3..4", NULL },
	{ "convert=raid1c3", NULL },
	{ "soft,convert=RAID10", "convert=raid10,soft" },
	{ "convert=single,soft,profiles=raid5|raid6,usage=10,devid=2,limit=1..2,stripes=..3,vrange=1..2,drange=..9",
	  "profiles=raid5|raid6,usage=10,devid=2,drange=..9,vrange=1..2,limit=1..2,stripes=..3,convert=single,soft" },
};

static void good_text_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_texts); i++) {
		const char *want = good_texts[i].again ? good_texts[i].again : good_texts[i].text;
		struct restripe_filter filter, second;
		char text[512];
		struct diag d = { 0 };

		if (restripe_filter_parse(good_texts[i].text, &filter, NULL, &d) != 0)
			fail_msg("\"%s\": %s", good_texts[i].text, d.text);
		assert_int_equal(restripe_filter_format(&filter, text, sizeof(text)), strlen(want));
		assert_string_equal(text, want);
		assert_int_equal(restripe_filter_parse(text, &second, NULL, &d), 0);
		assert_memory_equal(&second, &filter, sizeof(filter));
	}
}

struct bad_text {
	const char *text;
	size_t bad_at;
	const char *why;
};

static const struct bad_text bad_texts[] = {
	{ ",", 0, "a filter is expected" },
	{ "usage=5,", 8, "a filter is expected" },
	{ "usage=5,,soft", 8, "a filter is expected" },
	{ "useage=5", 0, "no such filter" },
	{ "convert=raid1,Soft", 14, "no such filter" },
	{ "usage", 5, "wants a value" },
	{ "usage=", 6, "a number is expected" },
	{ "usage=101", 6, "100 at most" },
	{ "usage=5..101", 9, "100 at most" },
	{ "usage=5%", 7, "FROM..TO" },
	{ "usage=5.10", 7, "FROM..TO" },
	{ "usage=5..x", 9, "a number is expected" },
	{ "usage=5..7x", 10, "ends before this" },
	{ "usage=7..5", 6, "no usage" },
	{ "usage=5..5", 6, "no usage" },
	{ "usage=-1", 6, "a number is expected" },
	{ "usage=1,usage=2..3", 8, "twice" },
	{ "limit=99999999999", 6, "at most" },
	{ "limit=99999999999999999999999", 6, "too large" },
	{ "limit=3..2", 6, "no number" },
	{ "stripes=3..2", 8, "no number" },
	{ "devid=0", 6, "count from 1" },
	{ "devid=1..2", 7, "ends before this" },
	{ "devid=", 6, "a number" },
	{ "vrange=5", 8, "FROM..TO" },
	{ "vrange=5..5", 7, "empty" },
	{ "vrange=16E..", 7, "too large" },
	{ "vrange=1Q..", 8, "FROM..TO" },
	{ "usage=5,drange=0..5", 8, "devid=" },
	{ "profiles=", 9, "a profile is expected" },
	{ "profiles=raid1|", 15, "a profile is expected" },
	{ "profiles=raid1|raid7", 15, "no profile" },
	{ "profiles=raid1,raid5", 15, "no such filter" },
	{ "convert=", 8, "a profile is expected" },
	{ "convert=raid1|dup", 8, "no profile" },
	{ "convert=averyveryverylongname", 8, "no profile" },
	{ "soft", 0, "convert=" },
	{ "convert=raid1,soft=1", 18, "has no value" },
};

static void bad_text_is_pointed_at(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_texts); i++) {
		struct restripe_filter filter;
		char place[32];
		size_t bad_at = 999;
		struct diag d = { 0 };

		if (restripe_filter_parse(bad_texts[i].text, &filter, &bad_at, &d) != -EINVAL)
			fail_msg("\"%s\" is accepted", bad_texts[i].text);
		if (bad_at != bad_texts[i].bad_at || !strstr(d.text, bad_texts[i].why))
			fail_msg("\"%s\": at %zu: %s", bad_texts[i].text, bad_at, d.text);
		snprintf(place, sizeof(place), "character %zu", bad_at + 1);
		assert_non_null(strstr(d.text, place));
	}
}

/* --- The item ---------------------------------------- */

static void item_keeps_all(void **state)
{
	static const char *const texts[RESTRIPE_KINDS] = {
		"profiles=raid5|single,usage=30,devid=7,drange=5..9,vrange=11..13,limit=3,stripes=2..4,convert=raid6,soft",
		"usage=20..30,limit=4..8", "convert=single"
	};
	struct restripe_filters filters = { .flags = BALANCE_KINDS | BALANCE_FORCE }, again;
	struct disk_balance_item item;
	struct diag d = { 0 };

	(void)state;
	for (unsigned kind = 0; kind < RESTRIPE_KINDS; kind++)
		assert_int_equal(restripe_filter_parse(texts[kind], &filters.kind[kind], NULL, &d), 0);
	restripe_filters_pack(&filters, &item);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), 0);
	assert_memory_equal(&again, &filters, sizeof(filters));
	/* As Linux has them: two numbers in one field, and a bit for single. */
	assert_int_equal(le64_get(item.meta.usage), 20 | (u64)30 << 32);
	assert_int_equal(le64_get(item.meta.limit), 4 | (u64)8 << 32);
	assert_int_equal(le64_get(item.sys.target), (u64)1 << 48);
	assert_int_equal(le64_get(item.data.target), BLOCK_GROUP_RAID6);
	assert_int_equal(le64_get(item.data.flags), 0x3bf);
}

/* As btrfs-progs 6.2 ask for usage=20..60. */
static void a_range_may_have_both_flags(void **state)
{
	struct restripe_filters filters = { .flags = BALANCE_DATA }, again;
	struct disk_balance_item item;
	struct chunk *chunk = chunk_new(1);
	struct restripe_chunk at = { .chunk = chunk };
	char text[64];
	struct diag d = { 0 };

	(void)state;
	assert_non_null(chunk);
	chunk->type = BLOCK_GROUP_DATA;
	chunk->length = 100 * MIB;
	chunk_derive(chunk);
	restripe_filters_pack(&filters, &item);
	le64_put(&item.data.flags, BALANCE_ARGS_USAGE | BALANCE_ARGS_USAGE_RANGE);
	le64_put(&item.data.usage, 20 | (u64)60 << 32);
	assert_int_equal(restripe_filters_unpack(&item, &filters, &d), 0);
	restripe_filter_format(&filters.kind[RESTRIPE_DATA], text, sizeof(text));
	assert_string_equal(text, "usage=20..60");
	restripe_filters_pack(&filters, &item);
	assert_int_equal(le64_get(item.data.usage), 20 | (u64)60 << 32);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), 0);
	assert_memory_equal(&again, &filters, sizeof(filters));
	for (u64 percent = 0; percent <= 100; percent++) {
		at.used_bytes = percent * MIB;
		restripe_choose(&filters, &at, 1);
		assert_int_equal(at.is_chosen, percent >= 20 && percent < 60);
	}
	free(chunk);
}

static void strange_items_are_refused(void **state)
{
	struct restripe_filters filters = { .flags = BALANCE_DATA }, again;
	struct disk_balance_item item;
	struct diag d = { 0 };

	(void)state;
	restripe_filters_pack(&filters, &item);
	le64_put(&item.flags, 1 << 5);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), -EOPNOTSUPP);
	le64_put(&item.flags, BALANCE_DATA);
	le64_put(&item.data.flags, 1 << 11);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), -EOPNOTSUPP);
	le64_put(&item.data.flags, BALANCE_ARGS_CONVERT);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), -EUCLEAN);
	le64_put(&item.data.target, BLOCK_GROUP_RAID1 | BLOCK_GROUP_DUP);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), -EUCLEAN);
	le64_put(&item.data.target, BLOCK_GROUP_RAID1);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), 0);
}

static void item_keeps_devices(void **state)
{
	static const u64 devids[] = { 1, 3, 64, 65, 192 }, too_high[] = { 1, 193 };
	struct restripe_filters filters = { .flags = BALANCE_DATA }, again;
	u64 found[RESTRIPE_DEVID_MAX];
	struct disk_balance_item item;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(restripe_filters_set_devices(&filters, devids, ARRAY_LEN(devids)), 0);
	restripe_filters_pack(&filters, &item);
	assert_int_equal(le64_get(item.unused[1]), 1ULL << 63 | 5);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), 0);
	assert_memory_equal(&again, &filters, sizeof(filters));
	assert_int_equal(restripe_filters_devices(&again, found), ARRAY_LEN(devids));
	assert_memory_equal(found, devids, sizeof(devids));
	/* These bytes may come to mean something else. */
	le64_put(&item.unused[0], le64_get(item.unused[0]) + 1);
	assert_int_equal(restripe_filters_unpack(&item, &again, &d), 0);
	assert_int_equal(restripe_filters_devices(&again, NULL), 0);
	assert_int_equal(restripe_filters_set_devices(&filters, too_high, ARRAY_LEN(too_high)), 1);
	restripe_filters_pack(&filters, &item);
	for (size_t i = 0; i < ARRAY_LEN(item.unused); i++)
		assert_int_equal(le64_get(item.unused[i]), 0);
}

/* What lies elsewhere is left to do, however full it is, and whatever profile it has. */
static void devices_tell_what_is_left(void **state)
{
	static const u64 devids[] = { 2, 3 };
	struct restripe_filters filters = { .flags = BALANCE_DATA | BALANCE_METADATA };
	struct chunk *chunk = chunk_new(2);
	struct diag d = { 0 };

	(void)state;
	assert_non_null(chunk);
	chunk->length = 64 * MIB;
	chunk->type = BLOCK_GROUP_DATA | BLOCK_GROUP_RAID1;
	chunk->stripe[0].devid = 2;
	chunk->stripe[1].devid = 3;
	chunk_derive(chunk);
	assert_false(restripe_is_where_it_shall_be(&filters, chunk));
	assert_int_equal(restripe_filters_set_devices(&filters, devids, ARRAY_LEN(devids)), 0);
	assert_int_equal(restripe_filter_parse("convert=dup", &filters.kind[RESTRIPE_METADATA], NULL, &d), 0);
	restripe_filters_resume(&filters);
	assert_int_equal(filters.kind[RESTRIPE_DATA].flags, 0);
	assert_int_equal(filters.kind[RESTRIPE_METADATA].flags, BALANCE_ARGS_CONVERT);
	assert_true(restripe_is_where_it_shall_be(&filters, chunk));
	chunk->type = BLOCK_GROUP_METADATA | BLOCK_GROUP_RAID1;
	assert_false(restripe_is_where_it_shall_be(&filters, chunk));
	chunk->type = BLOCK_GROUP_DATA | BLOCK_GROUP_RAID1;
	chunk->stripe[1].devid = 1;
	assert_false(restripe_is_where_it_shall_be(&filters, chunk));
	chunk->stripe[1].devid = 1000;
	assert_false(restripe_is_where_it_shall_be(&filters, chunk));
	chunk->stripe[1].devid = 3;
	assert_int_equal(restripe_filter_parse("usage=50", &filters.kind[RESTRIPE_DATA], NULL, &d), 0);
	assert_false(restripe_is_where_it_shall_be(&filters, chunk));
	free(chunk);
}

static void going_on_asks_for_less(void **state)
{
	struct restripe_filters filters = { .flags = BALANCE_KINDS };
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(restripe_filter_parse("convert=dup", &filters.kind[RESTRIPE_DATA], NULL, &d), 0);
	assert_int_equal(restripe_filter_parse("usage=95", &filters.kind[RESTRIPE_METADATA], NULL, &d), 0);
	restripe_filters_resume(&filters);
	assert_int_equal(filters.flags, BALANCE_KINDS | BALANCE_RESUME);
	assert_int_equal(filters.kind[RESTRIPE_DATA].flags, BALANCE_ARGS_CONVERT | BALANCE_ARGS_SOFT);
	assert_int_equal(filters.kind[RESTRIPE_METADATA].usage, 95);
	assert_int_equal(filters.kind[RESTRIPE_SYSTEM].flags, BALANCE_ARGS_USAGE);
	assert_int_equal(filters.kind[RESTRIPE_SYSTEM].usage, 90);
}

/* --- The choice ---------------------------------------- */

#define CHUNKS_MAX 40

struct made {
	struct restripe_chunk list[CHUNKS_MAX];
	struct chunk *chunks[CHUNKS_MAX];
	size_t nr;
};

static struct chunk *add_chunk(struct made *made, u64 type, u64 length, u16 num_stripes, u64 used)
{
	struct chunk *chunk = chunk_new(num_stripes);
	const struct chunk *last = made->nr ? made->chunks[made->nr - 1] : NULL;

	assert_non_null(chunk);
	chunk->logical = last ? last->logical + last->length : MIB;
	chunk->length = length;
	chunk->type = type;
	chunk_derive(chunk);
	for (u16 s = 0; s < num_stripes; s++) {
		chunk->stripe[s].devid = s + 1u;
		chunk->stripe[s].physical = chunk->logical;
	}
	made->chunks[made->nr] = chunk;
	made->list[made->nr++] = (struct restripe_chunk){ .chunk = chunk, .used_bytes = used };
	return chunk;
}

static void made_done(struct made *made)
{
	for (size_t i = 0; i < made->nr; i++)
		free(made->chunks[i]);
	made->nr = 0;
}

/* Eight chunks: DATA single, raid1, raid0 on three; metadata dup; system; their letters below. */
static void make_eight(struct made *made)
{
	add_chunk(made, BLOCK_GROUP_DATA, 1000 * MIB, 1, 0); /* a */
	add_chunk(made, BLOCK_GROUP_METADATA | BLOCK_GROUP_DUP, 256 * MIB, 2, 128 * MIB); /* b */
	add_chunk(made, BLOCK_GROUP_SYSTEM | BLOCK_GROUP_DUP, 32 * MIB, 2, 16 * KIB); /* c */
	add_chunk(made, BLOCK_GROUP_DATA, 1000 * MIB, 1, 500 * MIB - 4096); /* d */
	add_chunk(made, BLOCK_GROUP_DATA, 1000 * MIB, 1, 500 * MIB); /* e */
	add_chunk(made, BLOCK_GROUP_DATA | BLOCK_GROUP_RAID1, 1000 * MIB, 2, 1000 * MIB); /* f */
	add_chunk(made, BLOCK_GROUP_DATA | BLOCK_GROUP_RAID0, 3000 * MIB, 3, 1 * MIB); /* g */
	add_chunk(made, BLOCK_GROUP_METADATA | BLOCK_GROUP_RAID1, 256 * MIB, 2, 4096); /* h */
}

struct choice {
	const char *data, *metadata, *system; /* NULL: this kind is left alone */
	const char *chosen;
};

static const struct choice choices[] = {
	{ "", NULL, NULL, "adefg" },
	{ NULL, "", NULL, "bh" },
	{ NULL, NULL, "", "c" },
	{ "usage=0", "usage=0", "usage=0", "a" },
	{ "usage=1", NULL, NULL, "ag" },
	{ "usage=50", NULL, NULL, "adg" },
	{ "usage=51", NULL, NULL, "adeg" },
	{ "usage=100", NULL, NULL, "adeg" },
	{ "usage=50..", NULL, NULL, "e" },
	{ "usage=49..51", NULL, NULL, "de" },
	{ "usage=..0", NULL, NULL, "a" },
	{ "usage=1..50", NULL, NULL, "d" },
	{ "profiles=single", "profiles=dup", NULL, "abde" },
	{ "profiles=raid0|raid1", "profiles=raid1", "profiles=raid1", "fgh" },
	{ "devid=2", "devid=2", "devid=2", "bcfgh" },
	{ "devid=3", NULL, NULL, "g" },
	{ "devid=1,drange=1M..2M", NULL, NULL, "a" },
	{ "devid=1,drange=1001M..1002M", "devid=1,drange=0..1002M", NULL, "b" },
	{ "devid=2,drange=4289M..", NULL, NULL, "g" }, /* a third of it is on each device */
	{ "devid=2,drange=5289M..", NULL, NULL, "" },
	{ "devid=2,drange=5289M..,stripes=3", NULL, NULL, "" },
	{ "vrange=0..1M", NULL, NULL, "" },
	{ "vrange=0..1048577", NULL, NULL, "a" },
	{ "vrange=1001M..1290M", "vrange=1001M..1290M", "vrange=1001M..1290M", "bcd" },
	{ "stripes=2", "stripes=..1", NULL, "f" },
	{ "stripes=2..3", NULL, NULL, "fg" },
	{ "limit=2", NULL, NULL, "fg" },
	{ "limit=1", "limit=1", NULL, "gh" },
	{ "limit=0", NULL, NULL, "" },
	{ "limit=5", NULL, NULL, "adefg" },
	{ "limit=6", NULL, NULL, "adefg" },
	{ "limit=7", NULL, NULL, "adef" }, /* as Linux does it */
	{ "limit=100", NULL, NULL, "" },
	{ "limit=3..4", NULL, NULL, "defg" },
	{ "limit=6..8", NULL, NULL, "" },
	{ "limit=5..8", NULL, NULL, "adefg" },
	{ "limit=2..,profiles=raid0", NULL, NULL, "" },
	{ "limit=1,profiles=single", NULL, NULL, "e" },
	{ "convert=raid1", NULL, NULL, "adefg" },
	{ "convert=raid1,soft", "convert=dup,soft", "convert=dup,soft", "adegh" },
	{ "convert=single,soft,limit=1", NULL, NULL, "g" },
	{ "convert=single,soft,usage=100,limit=1", NULL, NULL, "g" },
	{ "profiles=single,usage=60,devid=1,vrange=1G..,limit=1", NULL, NULL, "e" },
};

static void filters_choose(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		const char *texts[RESTRIPE_KINDS] = { choices[i].data, choices[i].metadata, choices[i].system };
		struct restripe_filters filters = { 0 };
		struct made made = { 0 };
		char chosen[CHUNKS_MAX + 1] = "";
		struct diag d = { 0 };

		make_eight(&made);
		for (unsigned kind = 0; kind < RESTRIPE_KINDS; kind++)
			if (texts[kind]) {
				filters.flags |= restripe_kind_flag(kind);
				assert_int_equal(restripe_filter_parse(texts[kind], &filters.kind[kind], NULL, &d), 0);
			}
		restripe_choose(&filters, made.list, made.nr);
		for (size_t at = 0, n = 0; at < made.nr; at++)
			if (made.list[at].is_chosen)
				chosen[n++] = (char)('a' + at);
		if (strcmp(chosen, choices[i].chosen) != 0)
			fail_msg("-d%s -m%s -s%s: \"%s\", not \"%s\"", texts[0], texts[1], texts[2], chosen, choices[i].chosen);
		made_done(&made);
	}
}

/* --- The same, said in another way: each filter crosses out what it does not want ---------------------------------------- */

static u64 seed = 88172645463325252u;

static u64 any(u64 below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static u64 copies_of(u64 type)
{
	return type & BLOCK_GROUP_RAID1C4   ? 4
	       : type & BLOCK_GROUP_RAID1C3 ? 3
	       : type & (BLOCK_GROUP_RAID1 | BLOCK_GROUP_DUP | BLOCK_GROUP_RAID10) ? 2
								     : 1;
}

static u64 parity_of(u64 type)
{
	return type & BLOCK_GROUP_RAID6 ? 2 : type & BLOCK_GROUP_RAID5 ? 1 : 0;
}

static void cross_out(const struct restripe_filter *by, const struct made *made, bool *is_out)
{
	for (size_t i = 0; i < made->nr; i++) {
		const struct chunk *chunk = made->chunks[i];
		u64 used = made->list[i].used_bytes, percent = chunk->length / 100, end = chunk->logical + chunk->length;
		u64 own = chunk->type & BLOCK_GROUP_PROFILE_MASK ? chunk->type & BLOCK_GROUP_PROFILE_MASK : (u64)1 << 48;
		u64 on_device = chunk->length / ((chunk->num_stripes - parity_of(chunk->type)) / copies_of(chunk->type));
		bool has_stripe = false, has_range = false;

		for (u16 s = 0; s < chunk->num_stripes; s++)
			if (chunk->stripe[s].devid == by->devid) {
				has_stripe = true;
				has_range |= chunk->stripe[s].physical + on_device > by->physical_start &&
					     by->physical_end > chunk->stripe[s].physical;
			}
		/* Lengths here are multiples of 100: no rounding. */
		if (by->flags & BALANCE_ARGS_USAGE)
			is_out[i] |= by->usage ? used >= by->usage * percent : used != 0;
		if (by->flags & BALANCE_ARGS_USAGE_RANGE)
			is_out[i] |= used < by->usage_min * percent ||
				     (by->usage_max ? used >= by->usage_max * percent : used != 0);
		is_out[i] |= (by->flags & BALANCE_ARGS_PROFILES) && !(by->profiles & own);
		is_out[i] |= (by->flags & BALANCE_ARGS_DEVID) && !has_stripe;
		is_out[i] |= (by->flags & BALANCE_ARGS_DRANGE) && !has_range;
		is_out[i] |= (by->flags & BALANCE_ARGS_VRANGE) && (end <= by->logical_start || by->logical_end <= chunk->logical);
		is_out[i] |= (by->flags & BALANCE_ARGS_STRIPES_RANGE) &&
			     !(by->stripes_min <= chunk->num_stripes && chunk->num_stripes <= by->stripes_max);
		is_out[i] |= (by->flags & BALANCE_ARGS_SOFT) && own == by->target;
	}
}

/* What is left, from the end; with a maximum, and none if there are too few. */
static void take_last(u64 most, u64 least, size_t nr, bool *is_out)
{
	u64 left = most, taken = 0;

	for (size_t i = nr; i-- > 0;)
		if (!is_out[i]) {
			taken += left > 0;
			is_out[i] = left == 0;
			left -= left > 0;
		}
	for (size_t i = 0; i < nr && taken < least; i++)
		is_out[i] = true;
}

static u64 make_any_chunk(struct made *made)
{
	static const struct {
		u64 profile;
		u16 num_stripes;
	} shapes[] = { { 0, 1 },
		       { BLOCK_GROUP_DUP, 2 },
		       { BLOCK_GROUP_RAID0, 2 },
		       { BLOCK_GROUP_RAID0, 5 },
		       { BLOCK_GROUP_RAID1, 2 },
		       { BLOCK_GROUP_RAID1C3, 3 },
		       { BLOCK_GROUP_RAID1C4, 4 },
		       { BLOCK_GROUP_RAID10, 4 },
		       { BLOCK_GROUP_RAID5, 3 },
		       { BLOCK_GROUP_RAID6, 6 } };
	u64 length = 100 * 64 * KIB * 60 * (1 + any(3)), shape = any(ARRAY_LEN(shapes));
	u64 used = any(3) ? 4096 * any(length / 4096 + 1) : any(2) ? length / 100 * any(101) : 0;
	struct chunk *chunk = add_chunk(made, BLOCK_GROUP_DATA | shapes[shape].profile, length, shapes[shape].num_stripes, used);

	for (u16 s = 0; s < chunk->num_stripes; s++) {
		chunk->stripe[s].devid = 1 + (s + any(3)) % 6;
		chunk->stripe[s].physical = any(4 * GIB) / 65536 * 65536;
	}
	return length;
}

static struct restripe_filter any_filter(void)
{
	struct restripe_filter f = { .flags = any(1 << 11) };
	u64 first = any(101), second = any(101);

	if (any(2))
		f.flags &= any(1 << 11);
	/* A single limit above the number of chunks is a case of its own, above. */
	f.flags &= ~BALANCE_ARGS_LIMIT;
	if (f.flags & BALANCE_ARGS_USAGE)
		f.flags &= ~BALANCE_ARGS_USAGE_RANGE;
	if (!(f.flags & BALANCE_ARGS_DEVID))
		f.flags &= ~BALANCE_ARGS_DRANGE;
	if (!(f.flags & BALANCE_ARGS_CONVERT))
		f.flags &= ~BALANCE_ARGS_SOFT;
	f.usage = any(3) ? first : 0;
	f.usage_min = (u32)MIN(first, second);
	f.usage_max = (u32)MAX(first, second);
	f.profiles = (any(BLOCK_GROUP_PROFILE_MASK + 1) & BLOCK_GROUP_PROFILE_MASK) | any(2) << 48;
	f.devid = 1 + any(6);
	f.physical_start = any(4 * GIB);
	f.physical_end = f.physical_start + 1 + any(GIB);
	f.logical_start = any(8 * GIB);
	f.logical_end = f.logical_start + 1 + any(4 * GIB);
	f.stripes_min = (u32)any(4);
	f.stripes_max = f.stripes_min + (u32)any(4);
	f.limit_min = any(2) ? 0 : (u32)any(6);
	f.limit_max = f.limit_min + (u32)any(6);
	f.target = any(2) ? (u64)1 << 48 : BLOCK_GROUP_RAID1;
	return f;
}

static void two_models_agree(void **state)
{
	unsigned nr_chosen = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct restripe_filters filters = { .flags = BALANCE_DATA, .kind = { any_filter() } };
		const struct restripe_filter *f = &filters.kind[0];
		struct made made = { 0 };
		bool is_out[CHUNKS_MAX] = { 0 };
		bool is_limited = f->flags & BALANCE_ARGS_LIMIT_RANGE;

		for (u64 nr = any(CHUNKS_MAX); nr; nr--)
			make_any_chunk(&made);
		cross_out(f, &made, is_out);
		take_last(is_limited ? f->limit_max : UINT64_MAX, is_limited ? f->limit_min : 0, made.nr, is_out);
		restripe_choose(&filters, made.list, made.nr);
		for (size_t i = 0; i < made.nr; i++) {
			if (made.list[i].is_chosen == is_out[i])
				fail_msg("round %u, chunk %zu: flags 0x%llx", round, i, (unsigned long long)f->flags);
			nr_chosen += made.list[i].is_chosen;
		}
		made_done(&made);
	}
	assert_true(nr_chosen > 10000);
}

static void mixed_chunks_go_by_data(void **state)
{
	struct restripe_filters filters = { .flags = BALANCE_METADATA };
	struct made made = { 0 };

	(void)state;
	add_chunk(&made, BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA, 100 * MIB, 1, 4096);
	add_chunk(&made, BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA, 100 * MIB, 1, 50 * MIB);
	assert_int_equal(restripe_choose(&filters, made.list, made.nr), 2);
	filters.kind[RESTRIPE_DATA] = (struct restripe_filter){ .flags = BALANCE_ARGS_USAGE, .usage = 10 };
	assert_int_equal(restripe_choose(&filters, made.list, made.nr), 1);
	assert_true(made.list[0].is_chosen && !made.list[1].is_chosen);
	/* As Linux does it: limits of these leave nothing. */
	filters.flags = BALANCE_DATA | BALANCE_METADATA;
	filters.kind[RESTRIPE_DATA] = (struct restripe_filter){ .flags = BALANCE_ARGS_LIMIT, .limit = 1 };
	filters.kind[RESTRIPE_METADATA] = filters.kind[RESTRIPE_DATA];
	assert_int_equal(restripe_choose(&filters, made.list, made.nr), 1);
	assert_true(!made.list[0].is_chosen && !made.list[1].is_chosen);
	made_done(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_text_is_read),	   cmocka_unit_test(bad_text_is_pointed_at),
		cmocka_unit_test(item_keeps_all),	   cmocka_unit_test(strange_items_are_refused),
		cmocka_unit_test(a_range_may_have_both_flags), cmocka_unit_test(going_on_asks_for_less),
		cmocka_unit_test(item_keeps_devices), cmocka_unit_test(devices_tell_what_is_left),
		cmocka_unit_test(filters_choose),
		cmocka_unit_test(two_models_agree),	   cmocka_unit_test(mixed_chunks_go_by_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
