/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another place for a chunk that is full: its length is given, so the stripes have to divide it, and as much as
 * possible stays where it is.
 */
#include "kernel-shared/volume/placement.h"

typedef unsigned long long ull;

/* A device, by what it can give to this chunk. */
struct giver {
	const struct device_holes *device; /* NULL: it has only stripes that stay */
	u64 devid;
	u64 free_bytes; /* of all its holes */
	u16 nr_staying; /* stripes of the old chunk there that may stay */
};

struct givers {
	struct giver *list;
	size_t nr;
};

struct search {
	const struct chunk *old;
	const bool *may_stay;
	const struct profile *profile;
	u64 type;
	struct givers givers;
};

static struct giver *giver_of(struct givers *givers, u64 devid)
{
	for (size_t i = 0; i < givers->nr; i++)
		if (givers->list[i].devid == devid)
			return &givers->list[i];
	givers->list[givers->nr] = (struct giver){ .devid = devid };
	return &givers->list[givers->nr++];
}

static u64 total_of(const struct device_holes *device)
{
	u64 total = 0;

	array_for_each (&device->holes, hole)
		total += hole->len;
	return total;
}

/* Stripes of so many bytes that its holes can take. */
static u64 room_of(const struct giver *giver, u64 stripe_bytes)
{
	u64 nr = 0;

	if (giver->device)
		array_for_each (&giver->device->holes, hole)
			nr += hole->len / stripe_bytes;
	return nr;
}

/* Those with most to keep first, then those with most room. */
static int by_worth(const void *a, const void *b)
{
	const struct giver *x = a, *y = b;

	if (x->nr_staying != y->nr_staying)
		return x->nr_staying > y->nr_staying ? -1 : 1;
	if (x->free_bytes != y->free_bytes)
		return x->free_bytes > y->free_bytes ? -1 : 1;
	return x->devid < y->devid ? -1 : x->devid > y->devid;
}

/* Physical address of the @index-th place for a stripe in the holes of a device, which has that many. */
static u64 place_in(const struct device_holes *device, u64 stripe_bytes, u64 index)
{
	array_for_each (&device->holes, hole) {
		u64 here = hole->len / stripe_bytes;

		if (index < here)
			return hole->physical + index * stripe_bytes;
		index -= here;
	}
	return 0;
}

static void put_new_stripe(struct chunk_stripe *stripe, const struct giver *giver, u64 stripe_bytes, u64 index)
{
	stripe->devid = giver->devid;
	memcpy(stripe->dev_uuid, giver->device->uuid, UUID_SIZE);
	stripe->physical = place_in(giver->device, stripe_bytes, index);
}

static struct chunk *new_chunk(const struct search *search, u16 num_stripes)
{
	struct chunk *chunk = chunk_new(num_stripes);

	if (!chunk)
		return NULL;
	chunk->logical = search->old->logical;
	chunk->length = search->old->length;
	chunk->type = search->type;
	chunk_derive(chunk);
	return chunk;
}

/* Does each stripe hold all of the chunk, one after the other? */
static bool is_mirrored(const struct profile *profile)
{
	return !profile->is_striped && !profile->parity;
}

/* --- Copies of the whole ---------------------------------------- */

/* The stripes of one device: what stays first. */
static void fill_from(const struct search *search, struct chunk *chunk, u16 at, const struct giver *giver)
{
	u16 wanted = search->profile->dev_stripes;
	u64 nr_new = 0;

	for (u16 s = 0; s < search->old->num_stripes && giver->nr_staying && wanted; s++)
		if (search->may_stay[s] && search->old->stripe[s].devid == giver->devid) {
			chunk->stripe[at++] = search->old->stripe[s];
			wanted--;
		}
	for (; wanted; wanted--)
		put_new_stripe(&chunk->stripe[at++], giver, chunk->stripe_bytes, nr_new++);
}

static int place_copies(const struct search *search, struct chunk **ret_chunk, struct diag *d)
{
	const struct profile *profile = search->profile;
	u16 nr = profile->devs_max, at = 0;
	struct chunk *chunk = new_chunk(search, (u16)(nr * profile->dev_stripes));

	if (!chunk)
		return diag_no_memory(d, "a chunk");
	for (size_t i = 0; i < search->givers.nr && at < chunk->num_stripes; i++) {
		const struct giver *giver = &search->givers.list[i];

		if (giver->nr_staying + room_of(giver, chunk->stripe_bytes) < profile->dev_stripes)
			continue;
		fill_from(search, chunk, at, giver);
		at = (u16)(at + profile->dev_stripes);
	}
	if (at == chunk->num_stripes) {
		*ret_chunk = chunk;
		return 0;
	}
	free(chunk);
	return diag_fail(d, -ENOSPC, "chunk %llu: no room on the devices for its %llu bytes as %s",
			 (ull)search->old->logical, (ull)search->old->length, profile->name);
}

/* --- Stripes that differ ---------------------------------------- */

/* With as many stripes as before each holds what it held: those that may stay do. 1: no room. */
static int place_same(const struct search *search, struct chunk **ret_chunk, struct diag *d)
{
	const struct chunk *old = search->old;
	struct chunk *chunk = new_chunk(search, old->num_stripes);
	size_t next = 0;

	if (!chunk)
		return diag_no_memory(d, "a chunk");
	for (u16 s = 0; s < old->num_stripes; s++) {
		if (search->may_stay[s]) {
			chunk->stripe[s] = old->stripe[s];
			continue;
		}
		while (next < search->givers.nr && (search->givers.list[next].nr_staying ||
						    !room_of(&search->givers.list[next], chunk->stripe_bytes)))
			next++;
		if (next == search->givers.nr) {
			free(chunk);
			return 1;
		}
		put_new_stripe(&chunk->stripe[s], &search->givers.list[next++], chunk->stripe_bytes, 0);
	}
	*ret_chunk = chunk;
	return 0;
}

/* 1: not with so many. */
static int place_anew(const struct search *search, u16 num_stripes, struct chunk **ret_chunk, struct diag *d)
{
	struct chunk *chunk;
	u16 at = 0;

	chunk = new_chunk(search, num_stripes);
	if (!chunk)
		return diag_no_memory(d, "a chunk");
	for (size_t i = 0; i < search->givers.nr && at < num_stripes; i++)
		if (room_of(&search->givers.list[i], chunk->stripe_bytes))
			put_new_stripe(&chunk->stripe[at++], &search->givers.list[i], chunk->stripe_bytes, 0);
	if (at < num_stripes) {
		free(chunk);
		return 1;
	}
	*ret_chunk = chunk;
	return 0;
}

static int place_striped(const struct search *search, struct chunk **ret_chunk, struct diag *d)
{
	const struct profile *profile = search->profile;
	u16 nr = (u16)MIN(search->givers.nr, (size_t)UINT16_MAX - 1);
	bool divides = false, may_any_stay = false;
	int err;

	for (u16 s = 0; s < search->old->num_stripes; s++)
		may_any_stay |= search->may_stay[s];
	if (may_any_stay && search->type == search->old->type) {
		err = place_same(search, ret_chunk, d);
		if (err <= 0)
			return err;
	}
	for (nr = (u16)(nr - nr % profile->devs_increment); nr >= profile->devs_min && nr;
	     nr = (u16)(nr - profile->devs_increment)) {
		if (!profile_length_is_valid(profile, nr, search->old->length))
			continue;
		divides = true;
		err = place_anew(search, nr, ret_chunk, d);
		if (err <= 0)
			return err;
	}
	if (!divides && search->givers.nr >= profile->devs_min)
		return diag_fail(d, -ERANGE, "chunk %llu: its %llu bytes do not divide over stripes of %s",
				 (ull)search->old->logical, (ull)search->old->length, profile->name);
	return diag_fail(d, -ENOSPC, "chunk %llu: no room on the devices for its %llu bytes as %s",
			 (ull)search->old->logical, (ull)search->old->length, profile->name);
}

int place_chunk_again(const struct chunk *old, const bool *may_stay, u64 type, const struct device_holes *devices,
		      size_t nr_devices, struct chunk **ret_chunk, struct diag *d)
{
	_free_ struct giver *list = calloc(nr_devices + old->num_stripes, sizeof(*list));
	struct search search = { .old = old, .may_stay = may_stay, .type = type, .profile = profile_by_flags(type) };
	bool holds_same;

	search.givers.list = list;
	if (!list)
		return diag_no_memory(d, "a chunk");
	if (!search.profile)
		return diag_fail(d, -EINVAL, "no profile has flags 0x%llx", (ull)type);
	for (size_t i = 0; i < nr_devices; i++) {
		struct giver *giver = giver_of(&search.givers, devices[i].devid);

		giver->device = &devices[i];
		giver->free_bytes = total_of(&devices[i]);
	}
	holds_same = is_mirrored(search.profile) ? is_mirrored(old->profile) : type == old->type;
	for (u16 s = 0; s < old->num_stripes && holds_same; s++)
		if (may_stay[s])
			giver_of(&search.givers, old->stripe[s].devid)->nr_staying++;
	if (search.givers.nr > 1)
		qsort(list, search.givers.nr, sizeof(*list), by_worth);
	return is_mirrored(search.profile) ? place_copies(&search, ret_chunk, d) : place_striped(&search, ret_chunk, d);
}
