/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/space/block_groups.h"
#include "kernel-shared/space/sector_bits.h"

typedef unsigned long long ull;

static void forget_bits(struct block_group *group)
{
	free(group->now);
	free(group->disk);
	free(group->taken);
	free(group->listed);
	free(group->not_fresh);
	free(group->old_rows);
	group->now = group->disk = group->taken = group->listed = group->not_fresh = group->old_rows = NULL;
	group->is_loaded = false;
}

void block_group_free(struct block_group *group)
{
	if (!group)
		return;
	forget_bits(group);
	free(group);
}

void block_groups_done(struct block_groups *groups)
{
	array_for_each (&groups->groups, group)
		block_group_free(*group);
	array_done(&groups->groups);
	free(groups->excluded);
	groups->excluded = NULL;
	groups->nr_excluded = groups->cap_excluded = 0;
}

/* --- Sums ---------------------------------------- */

/* May space be taken in it? */
static bool is_open(const struct block_group *group)
{
	return !group->is_read_only && !group->is_closed;
}

static const u64 sum_types[] = { BLOCK_GROUP_DATA, BLOCK_GROUP_SYSTEM, BLOCK_GROUP_METADATA };

static void add_free_bytes(struct block_groups *groups, const struct block_group *group, s64 bytes)
{
	for (size_t t = 0; t < ARRAY_LEN(sum_types) && is_open(group); t++)
		if (group->flags & sum_types[t])
			groups->sums[t].free_bytes += (u64)bytes;
}

static void add_to_sums(struct block_groups *groups, const struct block_group *group)
{
	for (size_t t = 0; t < ARRAY_LEN(sum_types); t++) {
		if (!(group->flags & sum_types[t]))
			continue;
		groups->sums[t].total_bytes += group->length;
		if (is_open(group))
			groups->sums[t].profiles |= group->flags & BLOCK_GROUP_PROFILE_MASK;
	}
	add_free_bytes(groups, group, (s64)(group->length - MIN(group->used + group->pinned, group->length)));
}

static void sum_up(struct block_groups *groups)
{
	memset(groups->sums, 0, sizeof(groups->sums)); /* also where space was taken last: that group may be gone */
	array_for_each (&groups->groups, group)
		add_to_sums(groups, *group);
}

static size_t first_not_before(const struct block_groups *groups, u64 logical)
{
	return array_lower_bound(&groups->groups, it, (*it)->logical < logical);
}

struct block_group *block_groups_find(const struct block_groups *groups, u64 logical)
{
	size_t at = array_lower_bound(&groups->groups, it, (*it)->logical <= logical);
	struct block_group *group;

	if (at == 0)
		return NULL;
	group = groups->groups.items[at - 1];
	return logical - group->logical < group->length ? group : NULL;
}

/* Space of a seed is shared with other filesystems, and what is written to a missing device, or behind
 * the end of one, is lost: not for us. */
static bool is_out_of_reach(const struct block_groups *groups, u64 logical)
{
	const struct chunk *chunk = chunk_map_find(groups->volume->chunks, logical);

	for (u16 i = 0; chunk && i < chunk->num_stripes; i++) {
		const struct device *device = device_set_find(groups->volume->devices, chunk->stripe[i].devid, NULL);

		if (!device || !device->dev || device_fsid_is_seed(&groups->volume->devices->super, device->fsid))
			return true;
		if (chunk->stripe[i].physical > device->dev->size_bytes ||
		    chunk->stripe_bytes > device->dev->size_bytes - chunk->stripe[i].physical)
			return true;
	}
	return false;
}

int block_groups_add(struct block_groups *groups, u64 logical, u64 length, u64 flags, u64 used, bool is_new,
		     struct block_group **ret_group, struct diag *d)
{
	size_t at = first_not_before(groups, logical);
	struct block_group *group;

	if (length / groups->sectorsize > UINT32_MAX - 64 || length % groups->sectorsize)
		return diag_fail(d, -EUCLEAN, "block group %llu: impossible length %llu", (ull)logical, (ull)length);
	if ((at < groups->groups.len && groups->groups.items[at]->logical - logical < length) ||
	    block_groups_find(groups, logical))
		return diag_fail(d, -EUCLEAN, "block group %llu: another one overlaps it", (ull)logical);
	group = calloc(1, sizeof(*group));
	if (!group || array_reserve(&groups->groups, 1) < 0) {
		free(group);
		return diag_no_memory(d, "block groups");
	}
	*group = (struct block_group){
		.logical = logical,
		.length = length,
		.flags = flags,
		.used = used,
		.disk_used = used,
		.item_used = used,
		.is_new = is_new,
		.is_recorded = !is_new,
		.is_read_only = is_out_of_reach(groups, logical),
		.nr_sectors = (u32)(length / groups->sectorsize),
	};
	memmove(groups->groups.items + at + 1, groups->groups.items + at,
		(groups->groups.len - at) * sizeof(*groups->groups.items));
	groups->groups.items[at] = group;
	groups->groups.len++;
	add_to_sums(groups, group);
	if (ret_group)
		*ret_group = group;
	return 0;
}

void block_groups_take_out(struct block_groups *groups, struct block_group *group)
{
	size_t at = first_not_before(groups, group->logical);

	memmove(groups->groups.items + at, groups->groups.items + at + 1,
		(groups->groups.len - at - 1) * sizeof(*groups->groups.items));
	groups->groups.len--;
	sum_up(groups);
}

void block_groups_put_back(struct block_groups *groups, struct block_group *group)
{
	size_t at = first_not_before(groups, group->logical);

	memmove(groups->groups.items + at + 1, groups->groups.items + at,
		(groups->groups.len - at) * sizeof(*groups->groups.items));
	groups->groups.items[at] = group;
	groups->groups.len++;
	sum_up(groups);
}

void block_groups_remove(struct block_groups *groups, struct block_group *group)
{
	block_groups_take_out(groups, group);
	block_group_free(group);
}

void block_groups_close(struct block_groups *groups, struct block_group *group, bool is_closed)
{
	group->is_closed = is_closed;
	sum_up(groups);
}

void block_groups_reflag(struct block_groups *groups, struct block_group *group, u64 flags)
{
	group->flags = flags;
	group->is_read_only = is_out_of_reach(groups, group->logical);
	group->is_loaded = false; /* other sectors are on superblocks now */
	sum_up(groups);
}

void block_groups_set_length(struct block_groups *groups, struct block_group *group, u64 length)
{
	forget_bits(group);
	group->length = length;
	group->nr_sectors = (u32)(length / groups->sectorsize);
	group->hint = 0;
	group->is_read_only = is_out_of_reach(groups, group->logical);
	sum_up(groups);
}

void block_groups_reach_again(struct block_groups *groups)
{
	array_for_each (&groups->groups, group)
		(*group)->is_read_only = is_out_of_reach(groups, (*group)->logical);
	sum_up(groups);
}

/* --- Rows of parity ---------------------------------------- */

/* A row is old in which anything of [from, from + count) lies. */
static void note_old(struct block_group *group, u32 from, u32 count)
{
	u32 first = from / group->row_sectors, end = (u32)(((u64)from + count + group->row_sectors - 1) / group->row_sectors);
	u64 end_sector = MIN((u64)end * group->row_sectors, (u64)group->nr_sectors);

	sector_bits_set(group->old_rows, first, end - first);
	sector_bits_set(group->not_fresh, first * group->row_sectors, (u32)(end_sector - first * group->row_sectors));
}

/* All that is taken is in use by what is on disk, now that nothing of a transaction is in the group. */
static void find_old_rows(struct block_group *group)
{
	u32 from = 0, end;

	if (!group->row_sectors)
		return;
	memset(group->old_rows, 0, sector_bits_words(group->nr_sectors / group->row_sectors + 1) * sizeof(u64));
	memset(group->not_fresh, 0, sector_bits_words(group->nr_sectors) * sizeof(u64));
	while ((from = sector_bits_find(group->taken, from, group->nr_sectors, true)) < group->nr_sectors) {
		end = sector_bits_find(group->taken, from, group->nr_sectors, false);
		note_old(group, from, end - from);
		from = end;
	}
}

/* What was taken in this transaction is free again: rows that were fresh go on being so. */
static void free_in_rows(struct block_group *group, u32 from, u32 count)
{
	u32 end = from + count, part;

	for (; group->row_sectors && from < end; from += part) {
		u32 row = from / group->row_sectors;

		part = MIN(end - from, group->row_sectors - from % group->row_sectors);
		if (sector_bits_all(group->old_rows, row, 1, false))
			sector_bits_clear(group->not_fresh, from, part);
	}
}

/* Bits for the rows that the group's chunk has now. */
static int make_rows(const struct block_groups *groups, struct block_group *group, struct diag *d)
{
	const struct chunk *chunk = chunk_map_find(groups->volume->chunks, group->logical);

	free(group->not_fresh);
	free(group->old_rows);
	group->not_fresh = group->old_rows = NULL;
	group->row_sectors = 0;
	if (!chunk || !chunk->profile->parity)
		return 0;
	group->row_sectors =
		(u32)(profile_data_stripes(chunk->profile, chunk->num_stripes) * STRIPE_LEN_BYTES / groups->sectorsize);
	group->not_fresh = calloc(sector_bits_words(group->nr_sectors), sizeof(u64));
	group->old_rows = calloc(sector_bits_words(group->nr_sectors / group->row_sectors + 1), sizeof(u64));
	return group->not_fresh && group->old_rows ? 0 : diag_no_memory(d, "block groups");
}

static void forget_failures(struct block_group *group)
{
	memset(group->fails_from, 0, sizeof(group->fails_from));
	memset(group->fails_from_aligned, 0, sizeof(group->fails_from_aligned));
}

/* --- Learning what is in use ---------------------------------------- */

/* Set the bits of what of [logical, logical + len) lies in the group. */
static void set_part(const struct block_groups *groups, const struct block_group *group, u64 *bits, u64 logical,
		     u64 len)
{
	u64 from = MAX(logical, group->logical), end = MIN(logical + len, group->logical + group->length);

	if (from >= end)
		return;
	from -= group->logical;
	end -= group->logical;
	sector_bits_set(bits, (u32)(from / groups->sectorsize),
			(u32)((end + groups->sectorsize - 1) / groups->sectorsize - from / groups->sectorsize));
}

static int read_extents(struct block_groups *groups, struct block_group *group, u64 *ret_used, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&groups->extent_tree);
	const struct key first = { group->logical, 0, 0 };
	u64 end = group->logical + group->length;
	int err;

	*ret_used = 0;
	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);
		u64 len = key.type == METADATA_ITEM_KEY ? groups->volume->nodesize : key.offset;

		if (key.objectid >= end)
			break;
		if (key.type != EXTENT_ITEM_KEY && key.type != METADATA_ITEM_KEY)
			continue;
		if (len > end - key.objectid || key.objectid % groups->sectorsize || len % groups->sectorsize ||
		    len == 0)
			return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: does not fit into its block group",
					 (ull)key.objectid, (ull)len);
		if (!sector_bits_all(group->disk, (u32)((key.objectid - group->logical) / groups->sectorsize),
				     (u32)(len / groups->sectorsize), false))
			return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: another one overlaps it",
					 (ull)key.objectid, (ull)len);
		set_part(groups, group, group->disk, key.objectid, len);
		*ret_used += len;
	}
	return err < 0 ? err : 0;
}

/* The parts of a group that lie on superblocks, to be freed. */
static int find_supers(const struct block_groups *groups, const struct block_group *group,
		       struct logical_range **ret_ranges, size_t *ret_nr, struct diag *d)
{
	const struct chunk *chunk = chunk_map_find(groups->volume->chunks, group->logical);
	size_t cap;

	if (!chunk)
		return diag_fail(d, -EUCLEAN, "block group %llu: has no chunk", (ull)group->logical);
	cap = CHUNK_RESERVED_MAX(chunk->num_stripes);
	*ret_ranges = calloc(cap, sizeof(**ret_ranges));
	if (!*ret_ranges)
		return diag_no_memory(d, "block groups");
	*ret_nr = MIN(chunk_reserved_ranges(chunk, *ret_ranges, cap), cap);
	return 0;
}

static int reserve_supers(struct block_groups *groups, struct block_group *group, struct diag *d)
{
	_free_ struct logical_range *ranges = NULL;
	size_t nr;
	int err = find_supers(groups, group, &ranges, &nr, d);

	for (size_t i = 0; i < nr && !err; i++)
		set_part(groups, group, group->taken, ranges[i].logical, ranges[i].len);
	return err;
}

/* 1: some of it lies on a superblock. */
static int is_on_super(const struct block_groups *groups, const struct block_group *group, u64 logical, u64 len,
		       struct diag *d)
{
	_free_ struct logical_range *ranges = NULL;
	size_t nr;
	int err = find_supers(groups, group, &ranges, &nr, d);

	for (size_t i = 0; i < nr && !err; i++)
		err = ranges[i].logical < logical + len && logical < ranges[i].logical + ranges[i].len;
	return err;
}

int block_groups_load(struct block_groups *groups, struct block_group *group, struct diag *d)
{
	size_t words = sector_bits_words(group->nr_sectors);
	u64 used = 0;
	int err = 0;

	if (group->is_loaded)
		return 0;
	group->now = group->now ? group->now : calloc(words, sizeof(u64));
	group->disk = group->disk ? group->disk : calloc(words, sizeof(u64));
	group->taken = group->taken ? group->taken : calloc(words, sizeof(u64));
	if (!group->now || !group->disk || !group->taken)
		return diag_no_memory(d, "block groups");
	memset(group->disk, 0, words * sizeof(u64));
	if (!group->is_new)
		err = read_extents(groups, group, &used, d);
	if (!err && used != group->disk_used)
		err = diag_fail(
			d, -EUCLEAN,
			"block group %llu: has %llu bytes in use, its item says %llu; check the filesystem first",
			(ull)group->logical, (ull)used, (ull)group->disk_used);
	if (err)
		return err;
	memcpy(group->now, group->disk, words * sizeof(u64));
	memcpy(group->taken, group->disk, words * sizeof(u64));
	err = reserve_supers(groups, group, d);
	for (size_t i = 0; i < groups->nr_excluded; i++)
		set_part(groups, group, group->taken, groups->excluded[i].logical, groups->excluded[i].len);
	if (!err)
		err = make_rows(groups, group, d);
	if (!err) {
		find_old_rows(group);
		forget_failures(group);
	}
	group->is_loaded = !err;
	return err;
}

int block_groups_list_as_free(struct block_groups *groups, struct block_group *group, struct diag *d)
{
	int err = block_groups_load(groups, group, d);

	if (err)
		return err;
	free(group->listed);
	group->listed = calloc(sector_bits_words(group->nr_sectors), sizeof(u64));
	group->is_changed = true;
	return group->listed ? 0 : diag_no_memory(d, "block groups");
}

int block_groups_exclude(struct block_groups *groups, u64 logical, u64 len, struct diag *d)
{
	if (len == 0 || logical + len < logical)
		return diag_fail(d, -EINVAL, "range %llu of %llu bytes: not possible", (ull)logical, (ull)len);
	if (array_grow((void **)&groups->excluded, &groups->cap_excluded, groups->nr_excluded, 1,
		       sizeof(*groups->excluded)) < 0)
		return diag_no_memory(d, "excluded ranges");
	groups->excluded[groups->nr_excluded++] = (struct excluded){ logical, len };
	array_for_each (&groups->groups, group)
		if ((*group)->is_loaded) {
			set_part(groups, *group, (*group)->taken, logical, len);
			find_old_rows(*group);
		}
	return 0;
}

/* --- Taking and giving back ---------------------------------------- */

static void take(struct block_groups *groups, struct block_group *group, u32 from, u32 count)
{
	sector_bits_set(group->now, from, count);
	sector_bits_set(group->taken, from, count);
	if (group->row_sectors)
		sector_bits_set(group->not_fresh, from, count);
	group->used += (u64)count * groups->sectorsize;
	group->is_changed = true;
	add_free_bytes(groups, group, -(s64)((u64)count * groups->sectorsize));
}

/* A run of at least @min and at most @want sectors between @from and @end, rightly aligned, that are not in @bits. */
static bool find_run(const struct block_groups *groups, const struct block_group *group, const u64 *bits,
		     const struct space_wish *wish, u32 from, u32 end, u32 want, u32 min, u32 *ret_from, u32 *ret_count)
{
	u32 align = (u32)(wish->align_bytes / groups->sectorsize);
	u32 shift = (u32)(group->logical % wish->align_bytes / groups->sectorsize);

	while ((from = sector_bits_find(bits, from, end, false)) < end) {
		u32 off = (from + shift) % align, start = off ? from + align - off : from, stop;

		if (start >= end || end - start < min)
			return false;
		stop = sector_bits_find(bits, start, start + MIN(want, end - start), true);
		if (stop - start >= min) {
			*ret_from = start;
			*ret_count = stop - start;
			return true;
		}
		from = MAX(stop, from + 1);
	}
	return false;
}

/* Is it known that there is no run of @min sectors? Where none is, none is aligned. */
static bool is_hopeless(const struct block_group *group, u32 min, bool is_aligned, bool is_fresh)
{
	return (group->fails_from[is_fresh] && min >= group->fails_from[is_fresh]) ||
	       (is_aligned && group->fails_from_aligned[is_fresh] && min >= group->fails_from_aligned[is_fresh]);
}

static void note_failure(u32 *fails_from, u32 min)
{
	*fails_from = *fails_from ? MIN(*fails_from, min) : min;
}

/* What may be taken in one step of a search. */
struct space_step {
	u64 bytes; /* in one piece */
	bool is_preferred; /* in groups of the profile that is wished for; else in the others */
	bool is_fresh; /* of groups with rows, only in fresh ones */
};

/* In one group, from its hint on and round. */
static bool alloc_in(struct block_groups *groups, struct block_group *group, const struct space_wish *wish,
		     const struct space_step *step, u64 *ret_logical, u64 *ret_len)
{
	u32 want = (u32)(wish->want_bytes / groups->sectorsize), min = (u32)(step->bytes / groups->sectorsize), from, count;
	bool is_aligned = wish->align_bytes > groups->sectorsize, is_fresh = step->is_fresh && group->row_sectors;
	const u64 *bits = is_fresh ? group->not_fresh : group->taken;

	if (is_hopeless(group, min, is_aligned, is_fresh))
		return false;
	if (!find_run(groups, group, bits, wish, group->hint, group->nr_sectors, want, min, &from, &count) &&
	    !find_run(groups, group, bits, wish, 0, group->nr_sectors, want, min, &from, &count)) {
		note_failure(is_aligned ? &group->fails_from_aligned[is_fresh] : &group->fails_from[is_fresh], min);
		return false;
	}
	take(groups, group, from, count);
	group->hint = from + count;
	*ret_logical = group->logical + (u64)from * groups->sectorsize;
	*ret_len = (u64)count * groups->sectorsize;
	return true;
}

static bool suits(const struct block_group *group, const struct space_wish *wish, const struct space_step *step)
{
	return is_open(group) && (group->flags & wish->type) &&
	       ((group->flags & BLOCK_GROUP_PROFILE_MASK) == wish->profile) == step->is_preferred &&
	       group->length - group->used >= wish->min_bytes;
}

/* 1: this group has none. */
static int try_group(struct block_groups *groups, struct block_group *group, const struct space_wish *wish,
		     const struct space_step *step, u64 *ret_logical, u64 *ret_len, struct diag *d)
{
	int err = suits(group, wish, step) ? block_groups_load(groups, group, d) : 1;

	if (!err && !alloc_in(groups, group, wish, step, ret_logical, ret_len))
		err = 1;
	return err;
}

int block_groups_alloc(struct block_groups *groups, const struct space_wish *wish, u64 *ret_logical, u64 *ret_len,
		       struct diag *d)
{
	struct block_group **last = &groups->sums[block_groups_sums(groups, wish->type) - groups->sums].last;
	bool has_rows = wish->profile & (BLOCK_GROUP_RAID5 | BLOCK_GROUP_RAID6);
	/* The whole of it in one piece if that is possible anywhere; but of what has parity rather less in fresh rows. */
	const struct space_step steps[] = {
		{ wish->want_bytes, true, true },  { wish->min_bytes, true, true },
		{ wish->want_bytes, true, false }, { wish->want_bytes, false, true }, { wish->want_bytes, false, false },
		{ wish->min_bytes, true, false },  { wish->min_bytes, false, true },  { wish->min_bytes, false, false },
	};
	int err = *last ? try_group(groups, *last, wish, &steps[0], ret_logical, ret_len, d) : 1;

	for (size_t s = 0; s < ARRAY_LEN(steps) && err == 1; s++) {
		const struct space_step *step = &steps[s];

		if ((s == 1 || s == 2) && !has_rows)
			continue; /* all of the group is as if it were fresh */
		for (size_t i = 0; i < groups->groups.len && err == 1; i++) {
			struct block_group *group = groups->groups.items[i];

			err = try_group(groups, group, wish, step, ret_logical, ret_len, d);
			if (!err)
				*last = group;
		}
	}
	if (err == 1)
		return diag_fail(d, -ENOSPC, "no %s space for %llu bytes",
				 wish->type == BLOCK_GROUP_DATA ? "data" : "metadata", (ull)wish->min_bytes);
	return err;
}

/* The group of a range, loaded, and the range's sectors in it. */
static int locate(struct block_groups *groups, u64 logical, u64 len, struct block_group **ret_group, u32 *ret_from,
		  u32 *ret_count, struct diag *d)
{
	struct block_group *group = block_groups_find(groups, logical);

	if (!group || len == 0 || len > group->logical + group->length - logical || logical % groups->sectorsize ||
	    len % groups->sectorsize)
		return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: no block group covers it", (ull)logical,
				 (ull)len);
	*ret_group = group;
	*ret_from = (u32)((logical - group->logical) / groups->sectorsize);
	*ret_count = (u32)(len / groups->sectorsize);
	return block_groups_load(groups, group, d);
}

int block_groups_claim(struct block_groups *groups, u64 logical, u64 len, struct diag *d)
{
	struct block_group *group;
	u32 from, count;
	int err = locate(groups, logical, len, &group, &from, &count, d);

	if (err)
		return err;
	/* What is excluded may be claimed: that is what it was excluded for. */
	if (!is_open(group) || !sector_bits_all(group->now, from, count, false) ||
	    !sector_bits_all(group->disk, from, count, false))
		return diag_fail(d, -EEXIST, "extent %llu of %llu bytes: the space is in use", (ull)logical, (ull)len);
	err = is_on_super(groups, group, logical, len, d);
	if (err)
		return err < 0 ? err
			       : diag_fail(d, -EEXIST, "extent %llu of %llu bytes: lies on a superblock", (ull)logical,
					   (ull)len);
	take(groups, group, from, count);
	return 0;
}

int block_groups_free(struct block_groups *groups, u64 logical, u64 len, struct diag *d)
{
	struct block_group *group;
	u32 from, count;
	int err = locate(groups, logical, len, &group, &from, &count, d);

	if (err)
		return err;
	if (!sector_bits_all(group->now, from, count, true))
		return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: is freed, but not in use", (ull)logical,
				 (ull)len);
	sector_bits_clear(group->now, from, count);
	/* What was taken by this same transaction can be used again. */
	if (sector_bits_all(group->disk, from, count, false)) {
		sector_bits_clear(group->taken, from, count);
		for (size_t i = 0; i < groups->nr_excluded; i++)
			set_part(groups, group, group->taken, groups->excluded[i].logical, groups->excluded[i].len);
		free_in_rows(group, from, count);
		forget_failures(group);
		add_free_bytes(groups, group, (s64)len);
	} else {
		group->pinned += len;
	}
	group->used -= len;
	group->is_changed = true;
	return 0;
}

bool block_groups_is_fresh(const struct block_groups *groups, u64 logical, u64 len)
{
	const struct block_group *group = block_groups_find(groups, logical);
	u64 row_bytes = group ? (u64)group->row_sectors * groups->sectorsize : 0;

	if (!group || !group->is_loaded || !row_bytes || (logical - group->logical) % row_bytes || len == 0 || len % row_bytes ||
	    len > group->logical + group->length - logical)
		return false;
	return sector_bits_all(group->old_rows, (u32)((logical - group->logical) / row_bytes), (u32)(len / row_bytes), false);
}

/* --- Ends of transactions ---------------------------------------- */

void block_groups_settle(struct block_groups *groups, const struct tree *extent_tree)
{
	groups->extent_tree = *extent_tree;
	groups->nr_excluded = 0; /* a log that was replayed is gone */
	array_for_each (&groups->groups, it) {
		struct block_group *group = *it;

		group->is_new = false;
		group->disk_used = group->used;
		if (!group->is_changed)
			continue;
		/* What is taken for another reason than being in use stays so. */
		for (size_t w = 0; w < sector_bits_words(group->nr_sectors); w++) {
			u64 kept = group->taken[w] & ~(group->disk[w] | group->now[w]);

			group->taken[w] = group->now[w] | kept;
			group->disk[w] = group->now[w];
		}
		free(group->listed);
		group->listed = NULL;
		find_old_rows(group);
		forget_failures(group);
		group->pinned = 0;
		group->is_changed = false;
	}
	sum_up(groups);
}

void block_groups_revert(struct block_groups *groups)
{
	for (size_t i = groups->groups.len; i-- > 0;) {
		struct block_group *group = groups->groups.items[i];

		if (group->is_new) {
			block_groups_remove(groups, group);
			continue;
		}
		if (!group->is_changed)
			continue;
		/* What is on disk is looked up again when it is needed: rare, and cheap beside the rest. */
		group->is_loaded = group->is_changed = false;
		group->used = group->item_used = group->disk_used;
		group->pinned = 0;
		forget_failures(group);
		free(group->listed);
		group->listed = NULL;
	}
	sum_up(groups);
}
