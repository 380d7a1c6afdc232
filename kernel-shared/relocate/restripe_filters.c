/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/restripe_filters.h"

typedef unsigned long long ull;

/* Fuller than this a chunk is when an interrupted run has probably made it. */
#define RESUME_USAGE_PERCENT 90

u64 restripe_kind_flag(enum restripe_kind kind)
{
	return kind == RESTRIPE_DATA ? BALANCE_DATA : kind == RESTRIPE_METADATA ? BALANCE_METADATA : BALANCE_SYSTEM;
}

const char *restripe_kind_name(enum restripe_kind kind)
{
	return kind == RESTRIPE_DATA ? "data" : kind == RESTRIPE_METADATA ? "metadata" : "system";
}

enum restripe_kind restripe_kind_of(u64 type)
{
	if (type & BLOCK_GROUP_DATA)
		return RESTRIPE_DATA;
	return type & BLOCK_GROUP_SYSTEM ? RESTRIPE_SYSTEM : RESTRIPE_METADATA;
}

u64 restripe_profile_bit(u64 type)
{
	u64 profile = type & BLOCK_GROUP_PROFILE_MASK;

	return profile ? profile : BALANCE_PROFILE_SINGLE;
}

u64 restripe_profile_of_bit(u64 bit)
{
	return bit & BLOCK_GROUP_PROFILE_MASK;
}

/* --- The item ---------------------------------------- */

/* Two numbers, or one, share a field. */
static u64 pack_two(u32 low, u32 high)
{
	return (u64)high << 32 | low;
}

static void pack_filter(const struct restripe_filter *filter, struct disk_balance_args *ret_args)
{
	u64 usage = filter->usage, limit = filter->limit;

	if (filter->flags & BALANCE_ARGS_USAGE_RANGE)
		usage = pack_two(filter->usage_min, filter->usage_max);
	if (!(filter->flags & BALANCE_ARGS_LIMIT))
		limit = pack_two(filter->limit_min, filter->limit_max);
	*ret_args = (struct disk_balance_args){ 0 };
	le64_put(&ret_args->profiles, filter->profiles);
	le64_put(&ret_args->usage, usage);
	le64_put(&ret_args->devid, filter->devid);
	le64_put(&ret_args->pstart, filter->physical_start);
	le64_put(&ret_args->pend, filter->physical_end);
	le64_put(&ret_args->vstart, filter->logical_start);
	le64_put(&ret_args->vend, filter->logical_end);
	le64_put(&ret_args->target, filter->target);
	le64_put(&ret_args->flags, filter->flags);
	le64_put(&ret_args->limit, limit);
	le32_put(&ret_args->stripes_min, filter->stripes_min);
	le32_put(&ret_args->stripes_max, filter->stripes_max);
}

void restripe_filters_pack(const struct restripe_filters *filters, struct disk_balance_item *ret_item)
{
	*ret_item = (struct disk_balance_item){ 0 };
	le64_put(&ret_item->flags, filters->flags);
	pack_filter(&filters->kind[RESTRIPE_DATA], &ret_item->data);
	pack_filter(&filters->kind[RESTRIPE_METADATA], &ret_item->meta);
	pack_filter(&filters->kind[RESTRIPE_SYSTEM], &ret_item->sys);
	if (restripe_filters_devices(filters, NULL))
		le64_put(&ret_item->unused[0], BALANCE_DEVICES_MAGIC);
	for (size_t i = 0; i < BALANCE_DEVICES_WORDS; i++)
		le64_put(&ret_item->unused[1 + i], filters->devices[i]);
}

static bool is_profile_bit(u64 bit)
{
	return is_power_of_two(bit) && (bit & (BLOCK_GROUP_PROFILE_MASK | BALANCE_PROFILE_SINGLE)) &&
	       profile_by_flags(restripe_profile_of_bit(bit));
}

static int unpack_filter(const struct disk_balance_args *args, enum restripe_kind kind, struct restripe_filter *ret_filter,
			 struct diag *d)
{
	u64 usage = le64_get(args->usage), limit = le64_get(args->limit), flags = le64_get(args->flags);

	*ret_filter = (struct restripe_filter){
		.flags = flags,
		.profiles = le64_get(args->profiles),
		.devid = le64_get(args->devid),
		.physical_start = le64_get(args->pstart),
		.physical_end = le64_get(args->pend),
		.logical_start = le64_get(args->vstart),
		.logical_end = le64_get(args->vend),
		.target = le64_get(args->target),
		.stripes_min = le32_get(args->stripes_min),
		.stripes_max = le32_get(args->stripes_max),
	};
	if (flags & ~BALANCE_ARGS_KNOWN)
		return diag_fail(d, -EOPNOTSUPP, "the balance item has filters of %s that are not known here: flags 0x%llx",
				 restripe_kind_name(kind), (ull)flags);
	/* For a range, btrfs-progs (6.2) set both flags. */
	if (flags & BALANCE_ARGS_USAGE)
		ret_filter->usage = usage;
	if (flags & BALANCE_ARGS_USAGE_RANGE) {
		ret_filter->usage_min = (u32)usage;
		ret_filter->usage_max = (u32)(usage >> 32);
	}
	/* Of limits, the first of the two is what counts should both be set. */
	if (flags & BALANCE_ARGS_LIMIT) {
		ret_filter->limit = limit;
	} else {
		ret_filter->limit_min = (u32)limit;
		ret_filter->limit_max = (u32)(limit >> 32);
	}
	if ((flags & BALANCE_ARGS_CONVERT) && !is_profile_bit(ret_filter->target))
		return diag_fail(d, -EUCLEAN, "the balance item converts %s to what is no profile: 0x%llx",
				 restripe_kind_name(kind), (ull)ret_filter->target);
	return 0;
}

int restripe_filters_unpack(const struct disk_balance_item *item, struct restripe_filters *ret_filters, struct diag *d)
{
	struct restripe_filters filters = { .flags = le64_get(item->flags) };
	int err = 0;

	if (filters.flags & ~(BALANCE_KINDS | BALANCE_FORCE | BALANCE_RESUME))
		err = diag_fail(d, -EOPNOTSUPP, "the balance item has flags that are not known here: 0x%llx", (ull)filters.flags);
	if (!err)
		err = unpack_filter(&item->data, RESTRIPE_DATA, &filters.kind[RESTRIPE_DATA], d);
	if (!err)
		err = unpack_filter(&item->meta, RESTRIPE_METADATA, &filters.kind[RESTRIPE_METADATA], d);
	if (!err)
		err = unpack_filter(&item->sys, RESTRIPE_SYSTEM, &filters.kind[RESTRIPE_SYSTEM], d);
	for (size_t i = 0; i < BALANCE_DEVICES_WORDS && le64_get(item->unused[0]) == BALANCE_DEVICES_MAGIC; i++)
		filters.devices[i] = le64_get(item->unused[1 + i]);
	if (!err)
		*ret_filters = filters;
	return err;
}

int restripe_filters_set_devices(struct restripe_filters *filters, const u64 *devids, size_t nr)
{
	u64 words[BALANCE_DEVICES_WORDS] = { 0 };
	bool is_too_high = false;

	for (size_t i = 0; i < nr; i++) {
		if (devids[i] == 0 || devids[i] > RESTRIPE_DEVID_MAX)
			is_too_high = true;
		else
			words[(devids[i] - 1) / 64] |= 1ULL << (devids[i] - 1) % 64;
	}
	if (is_too_high)
		memset(words, 0, sizeof(words));
	memcpy(filters->devices, words, sizeof(words));
	return is_too_high;
}

size_t restripe_filters_devices(const struct restripe_filters *filters, u64 *ret_devids)
{
	size_t nr = 0;

	for (u64 devid = 1; devid <= RESTRIPE_DEVID_MAX; devid++) {
		if (!(filters->devices[(devid - 1) / 64] & 1ULL << (devid - 1) % 64))
			continue;
		if (ret_devids)
			ret_devids[nr] = devid;
		nr++;
	}
	return nr;
}

void restripe_filters_resume(struct restripe_filters *filters)
{
	filters->flags |= BALANCE_RESUME;
	if (restripe_filters_devices(filters, NULL))
		return;
	for (unsigned kind = 0; kind < RESTRIPE_KINDS; kind++) {
		struct restripe_filter *filter = &filters->kind[kind];

		if (filter->flags & BALANCE_ARGS_CONVERT) {
			filter->flags |= BALANCE_ARGS_SOFT;
		} else if (!(filter->flags & (BALANCE_ARGS_USAGE | BALANCE_ARGS_USAGE_RANGE))) {
			filter->flags |= BALANCE_ARGS_USAGE;
			filter->usage = RESUME_USAGE_PERCENT;
		}
	}
}

/* --- The choice ---------------------------------------- */

/* So many percent of @bytes, rounded down; more than all is all. */
static u64 percent_of(u64 bytes, u64 percent)
{
	return percent > 100 ? bytes : (u64)((unsigned __int128)bytes * percent / 100);
}

/* Where both flags are set, both have to fit. */
static bool usage_fits(const struct restripe_filter *filter, const struct restripe_chunk *at)
{
	u64 length = at->chunk->length, used = at->used_bytes;

	if ((filter->flags & BALANCE_ARGS_USAGE) && used >= (filter->usage ? percent_of(length, filter->usage) : 1))
		return false;
	if (!(filter->flags & BALANCE_ARGS_USAGE_RANGE))
		return true;
	if (filter->usage_min && used < percent_of(length, filter->usage_min))
		return false;
	return used < (filter->usage_max ? percent_of(length, filter->usage_max) : 1);
}

static bool device_fits(const struct restripe_filter *filter, const struct chunk *chunk)
{
	bool has_range = filter->flags & BALANCE_ARGS_DRANGE;

	if (!(filter->flags & BALANCE_ARGS_DEVID))
		return true; /* nor does a range matter then */
	for (u16 s = 0; s < chunk->num_stripes; s++) {
		const struct chunk_stripe *stripe = &chunk->stripe[s];

		if (stripe->devid != filter->devid)
			continue;
		if (!has_range || (stripe->physical < filter->physical_end &&
				   stripe->physical + chunk->stripe_bytes > filter->physical_start))
			return true;
	}
	return false;
}

/* All but the limits. */
static bool fits(const struct restripe_filter *filter, const struct restripe_chunk *at)
{
	const struct chunk *chunk = at->chunk;
	u64 profile = restripe_profile_bit(chunk->type);

	if ((filter->flags & BALANCE_ARGS_PROFILES) && !(filter->profiles & profile))
		return false;
	if ((filter->flags & BALANCE_ARGS_VRANGE) &&
	    !(chunk->logical < filter->logical_end && chunk->logical + chunk->length > filter->logical_start))
		return false;
	if ((filter->flags & BALANCE_ARGS_STRIPES_RANGE) &&
	    (chunk->num_stripes < filter->stripes_min || chunk->num_stripes > filter->stripes_max))
		return false;
	if ((filter->flags & BALANCE_ARGS_SOFT) && (filter->flags & BALANCE_ARGS_CONVERT) && filter->target == profile)
		return false;
	return usage_fits(filter, at) && device_fits(filter, chunk);
}

/* What is left of the limits while one goes through the chunks. */
struct limits {
	u64 left[RESTRIPE_KINDS];
};

static struct limits limits_of(const struct restripe_filters *filters)
{
	struct limits limits;

	for (unsigned kind = 0; kind < RESTRIPE_KINDS; kind++) {
		const struct restripe_filter *filter = &filters->kind[kind];

		limits.left[kind] = filter->flags & BALANCE_ARGS_LIMIT	       ? filter->limit
				    : filter->flags & BALANCE_ARGS_LIMIT_RANGE ? filter->limit_max
									       : UINT64_MAX;
	}
	return limits;
}

static bool takes(const struct restripe_filters *filters, struct limits *limits, const struct restripe_chunk *at)
{
	enum restripe_kind kind = restripe_kind_of(at->chunk->type);
	bool is_mixed = (at->chunk->type & BLOCK_GROUP_DATA) && (at->chunk->type & BLOCK_GROUP_METADATA);
	u64 flags = restripe_kind_flag(kind) | (is_mixed ? BALANCE_METADATA : 0);

	if (!(filters->flags & flags) || !fits(&filters->kind[kind], at) || !limits->left[kind])
		return false;
	if (limits->left[kind] != UINT64_MAX)
		limits->left[kind]--;
	return true;
}

/*
 * Linux keeps a single limit where it keeps the minimum of a range: what is left of a limit serves as minimum, too. So a limit larger
 * than the number of chunks there are leaves out the first ones, until what is left of it is no more than that number.
 */
static bool is_below_minimum(const struct restripe_filter *filter, u64 left, u64 nr)
{
	if (filter->flags & BALANCE_ARGS_LIMIT)
		return nr < (u32)left;
	return (filter->flags & BALANCE_ARGS_LIMIT_RANGE) && nr < filter->limit_min;
}

u64 restripe_choose(const struct restripe_filters *filters, struct restripe_chunk *chunks, size_t nr)
{
	struct limits limits = limits_of(filters);
	u64 expected = 0, nr_of[RESTRIPE_KINDS] = { 0 };

	for (size_t i = nr; i-- > 0;)
		if (takes(filters, &limits, &chunks[i])) {
			expected++;
			nr_of[restripe_kind_of(chunks[i].chunk->type)]++;
		}
	limits = limits_of(filters);
	for (size_t i = nr; i-- > 0;) {
		u64 type = chunks[i].chunk->type;
		enum restripe_kind kind = restripe_kind_of(type);

		chunks[i].is_chosen = takes(filters, &limits, &chunks[i]) &&
				      !is_below_minimum(&filters->kind[kind], limits.left[kind], nr_of[kind]);
		/* Mixed ones count as data, and are held against the minimum of metadata, too. */
		if (kind == RESTRIPE_DATA && (type & BLOCK_GROUP_METADATA) &&
		    is_below_minimum(&filters->kind[RESTRIPE_METADATA], limits.left[RESTRIPE_METADATA], 0))
			chunks[i].is_chosen = false;
	}
	return expected;
}

bool restripe_is_where_it_shall_be(const struct restripe_filters *filters, const struct chunk *chunk)
{
	const struct restripe_filter *filter = &filters->kind[restripe_kind_of(chunk->type)];

	if (!restripe_filters_devices(filters, NULL) || (filter->flags & (BALANCE_ARGS_USAGE | BALANCE_ARGS_USAGE_RANGE)) ||
	    ((filter->flags & BALANCE_ARGS_CONVERT) && filter->target != restripe_profile_bit(chunk->type)))
		return false;
	for (u16 s = 0; s < chunk->num_stripes; s++) {
		u64 bit = chunk->stripe[s].devid - 1;

		if (bit >= RESTRIPE_DEVID_MAX || !(filters->devices[bit / 64] & 1ULL << bit % 64))
			return false;
	}
	return true;
}
