/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/volume/placement.h"

/* A device, by what it can give. */
struct candidate {
	const struct device_holes *device;
	const struct hole *hole;
	u64 room_bytes; /* in that hole, as far as it is wanted */
	u64 total_bytes; /* of all its holes */
};

/* How large a chunk may be, in bytes of data and on each stripe. */
struct sizes {
	u64 chunk_bytes, stripe_bytes;
};

static int by_room(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->room_bytes != y->room_bytes)
		return x->room_bytes > y->room_bytes ? -1 : 1;
	if (x->total_bytes != y->total_bytes)
		return x->total_bytes > y->total_bytes ? -1 : 1;
	return x->device->devid < y->device->devid ? -1 : x->device->devid > y->device->devid;
}

/* The first hole that holds @want_bytes, else the largest. */
static struct candidate candidate_of(const struct device_holes *device, u64 want_bytes)
{
	struct candidate candidate = { .device = device };

	array_for_each (&device->holes, hole) {
		candidate.total_bytes += hole->len;
		if (!candidate.hole || (candidate.hole->len < want_bytes && hole->len > candidate.hole->len))
			candidate.hole = hole;
	}
	if (candidate.hole)
		candidate.room_bytes = MIN(candidate.hole->len, want_bytes);
	return candidate;
}

/* Devices with a hole for @least_bytes: those with most room first, by what is wanted and then by all that they have. */
static size_t find_candidates(const struct device_holes *devices, size_t nr_devices, u64 least_bytes, u64 want_bytes,
			      struct candidate *ret)
{
	size_t nr = 0;

	for (size_t i = 0; i < nr_devices; i++) {
		const struct candidate candidate = candidate_of(&devices[i], want_bytes);

		if (candidate.room_bytes >= least_bytes)
			ret[nr++] = candidate;
	}
	if (nr)
		qsort(ret, nr, sizeof(*ret), by_room);
	return nr;
}

static struct sizes largest(u64 type, u64 fs_bytes)
{
	struct sizes sizes = { 32 * MIB, 32 * MIB };

	if (type & BLOCK_GROUP_DATA)
		sizes = (struct sizes){ 10 * GIB, GIB };
	else if (type & BLOCK_GROUP_METADATA)
		sizes.chunk_bytes = sizes.stripe_bytes = fs_bytes > 50 * GIB ? GIB : 256 * MIB;
	sizes.chunk_bytes = MIN(sizes.chunk_bytes, fs_bytes / 10);
	return sizes;
}

/* A chunk that would be too large gets shorter stripes, but of whole pieces of 16 MiB, and so may be larger after all. */
static u64 stripe_bytes_of(const struct sizes *most, u64 room_bytes, u16 data_stripes)
{
	const u64 piece = 16 * MIB;

	if (room_bytes * data_stripes > most->chunk_bytes)
		room_bytes = MIN(room_bytes, (most->chunk_bytes / data_stripes + piece - 1) / piece * piece);
	return room_bytes - room_bytes % STRIPE_LEN_BYTES;
}

/* Devices that the profile takes of @nr that have room. 0: too few. */
static size_t devices_used(const struct profile *profile, size_t nr)
{
	if (profile->devs_max)
		nr = MIN(nr, (size_t)profile->devs_max);
	nr -= nr % profile->devs_increment;
	return nr < profile->devs_min ? 0 : nr;
}

int place_chunk(u64 type, u64 logical, u64 fs_bytes, const struct device_holes *devices, size_t nr_devices,
		struct chunk **ret_chunk, struct diag *d)
{
	const struct profile *profile = profile_by_flags(type);
	_free_ struct candidate *candidates = calloc(MAX(nr_devices, (size_t)1), sizeof(*candidates));
	const struct sizes most = largest(type, fs_bytes);
	u64 stripe_bytes;
	struct chunk *chunk;
	size_t nr;
	u16 data_stripes;

	if (!candidates)
		return diag_no_memory(d, "a chunk");
	if (!profile)
		return diag_fail(d, -EINVAL, "no profile has flags 0x%llx", (unsigned long long)type);
	nr = find_candidates(devices, nr_devices, profile->dev_stripes * STRIPE_LEN_BYTES,
			     profile->dev_stripes * most.stripe_bytes, candidates);
	nr = devices_used(profile, nr);
	if (nr == 0)
		return diag_fail(d, -ENOSPC, "no room on the devices for another %s chunk", profile->name);
	data_stripes = profile_data_stripes(profile, (u16)(nr * profile->dev_stripes));
	stripe_bytes = stripe_bytes_of(&most, candidates[nr - 1].room_bytes / profile->dev_stripes, data_stripes);
	chunk = chunk_new((u16)(nr * profile->dev_stripes));
	if (!chunk)
		return diag_no_memory(d, "a chunk");
	chunk->logical = logical;
	chunk->type = type;
	chunk->length = stripe_bytes * data_stripes;
	for (size_t i = 0; i < chunk->num_stripes; i++) {
		const struct candidate *on = &candidates[i / profile->dev_stripes];

		chunk->stripe[i].devid = on->device->devid;
		memcpy(chunk->stripe[i].dev_uuid, on->device->uuid, UUID_SIZE);
		chunk->stripe[i].physical = on->hole->physical + i % profile->dev_stripes * stripe_bytes;
	}
	chunk_derive(chunk);
	*ret_chunk = chunk;
	return 0;
}
