/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/volume/placement.h"

/* A device, by its largest hole. */
struct candidate {
	const struct device_holes *device;
	const struct hole *largest;
	u64 total_bytes; /* of all its holes */
};

static int by_room(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->largest->len != y->largest->len)
		return x->largest->len > y->largest->len ? -1 : 1;
	if (x->total_bytes != y->total_bytes)
		return x->total_bytes > y->total_bytes ? -1 : 1;
	return x->device->devid < y->device->devid ? -1 : x->device->devid > y->device->devid;
}

static size_t find_candidates(const struct device_holes *devices, size_t nr_devices, u64 least_bytes,
			      struct candidate *ret)
{
	size_t nr = 0;

	for (size_t i = 0; i < nr_devices; i++) {
		struct candidate candidate = { .device = &devices[i] };

		array_for_each (&devices[i].holes, hole) {
			candidate.total_bytes += hole->len;
			if (!candidate.largest || hole->len > candidate.largest->len)
				candidate.largest = hole;
		}
		if (candidate.largest && candidate.largest->len >= least_bytes)
			ret[nr++] = candidate;
	}
	if (nr)
		qsort(ret, nr, sizeof(*ret), by_room);
	return nr;
}

/* Bytes of data that a chunk of this kind has at most. */
static u64 most_bytes(u64 type, u64 fs_bytes)
{
	u64 most = type & BLOCK_GROUP_DATA	 ? 10 * GIB
		   : type & BLOCK_GROUP_METADATA ? (fs_bytes > 50 * GIB ? GIB : 256 * MIB)
						 : 64 * MIB;

	return MIN(most, fs_bytes / 10);
}

/* Bytes on each stripe at most. */
static u64 most_stripe_bytes(u64 type, u64 fs_bytes)
{
	if (type & BLOCK_GROUP_DATA)
		return GIB;
	return type & BLOCK_GROUP_METADATA ? (fs_bytes > 50 * GIB ? GIB : 256 * MIB) : 32 * MIB;
}

static u64 round_down(u64 n, u64 to)
{
	return n - n % to;
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
	u64 stripe_bytes;
	struct chunk *chunk;
	size_t nr;
	u16 data_stripes;

	if (!candidates)
		return diag_no_memory(d, "a chunk");
	if (!profile)
		return diag_fail(d, -EINVAL, "no profile has flags 0x%llx", (unsigned long long)type);
	nr = find_candidates(devices, nr_devices, profile->dev_stripes * STRIPE_LEN_BYTES, candidates);
	nr = devices_used(profile, nr);
	if (nr == 0)
		return diag_fail(d, -ENOSPC, "no room on the devices for another %s chunk", profile->name);
	data_stripes = profile_data_stripes(profile, (u16)(nr * profile->dev_stripes));
	stripe_bytes = MIN(candidates[nr - 1].largest->len / profile->dev_stripes, most_stripe_bytes(type, fs_bytes));
	stripe_bytes = MIN(stripe_bytes, MAX(most_bytes(type, fs_bytes) / data_stripes, (u64)MIB));
	stripe_bytes = round_down(stripe_bytes, stripe_bytes >= 16 * MIB ? MIB : STRIPE_LEN_BYTES);
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
		chunk->stripe[i].physical = on->largest->physical + i % profile->dev_stripes * stripe_bytes;
	}
	chunk_derive(chunk);
	*ret_chunk = chunk;
	return 0;
}
