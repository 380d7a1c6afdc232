/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/build/layout.h"

typedef unsigned long long ull;

#define FIRST_LOGICAL MIB
#define ROOMY_SYSTEM_BYTES (8 * MIB)
#define ROOMY_EMPTY_DATA_BYTES (8 * MIB)
#define ROOMY_CHUNK_MIN (8 * MIB)
#define ROOMY_METADATA_MIN (32 * MIB)
#define SMALL_FILESYSTEM_BYTES (256 * MIB)
#define LARGE_FILESYSTEM_BYTES (50 * GIB)
#define STRIPE_BYTES_MAX GIB
#define ROOMY_DATA_CHUNK_MAX (10 * GIB)

void layout_done(struct layout *layout)
{
	free(layout->devices);
	chunk_map_free(layout->chunks);
	linear_space_done(&layout->system);
	linear_space_done(&layout->data);
	linear_space_done(&layout->metadata);
	*layout = (struct layout){ 0 };
}

u64 layout_end_bytes(const struct layout *layout)
{
	u64 total = 0;

	for (size_t i = 0; i < layout->nr_devices; i++)
		total += layout->devices[i].end_physical;
	return total;
}

static u64 room_on(const struct layout_device *device, const struct profile *profile)
{
	u64 end = round_down_u64(device->limit_bytes, STRIPE_LEN_BYTES);

	return end <= device->end_physical ? 0
					   : round_down_u64((end - device->end_physical) / profile->dev_stripes,
							    STRIPE_LEN_BYTES);
}

/* Devices of the next chunk: most room first, on a tie the lower devid. */
struct choice {
	size_t *index; /* into devices[] */
	size_t nr;
	u64 room; /* for each stripe, on the fullest of them */
};

static int choose_devices(const struct layout *layout, const struct profile *profile, struct choice *choice,
			  struct diag *d)
{
	size_t nr = 0;

	for (size_t i = 0; i < layout->nr_devices; i++) {
		u64 room = room_on(&layout->devices[i], profile);
		size_t at = nr;

		if (room == 0)
			continue;
		for (; at > 0 && room_on(&layout->devices[choice->index[at - 1]], profile) < room; at--)
			choice->index[at] = choice->index[at - 1];
		choice->index[at] = i;
		nr++;
	}
	if (profile->devs_max)
		nr = MIN(nr, (size_t)profile->devs_max);
	nr = round_down_u64(MIN(nr, (size_t)UINT16_MAX), profile->devs_increment);
	if (nr < profile->devs_min)
		return diag_fail(d, -ENOSPC, "no room for another %s chunk: %u devices with free space needed, %zu there",
				 profile->shown, profile->devs_min, nr);
	choice->nr = nr;
	choice->room = room_on(&layout->devices[choice->index[nr - 1]], profile);
	return 0;
}

static void place_stripes(struct chunk *chunk, const struct layout *layout, const struct choice *choice)
{
	unsigned dev_stripes = chunk->profile->dev_stripes;

	for (u16 s = 0; s < chunk->num_stripes; s++) {
		const struct layout_device *device = &layout->devices[choice->index[s / dev_stripes]];

		chunk->stripe[s].devid = device->devid;
		memcpy(chunk->stripe[s].dev_uuid, device->uuid, UUID_SIZE);
		chunk->stripe[s].physical = device->end_physical + s % dev_stripes * chunk->stripe_bytes;
	}
}

static u64 usable_bytes(const struct chunk *chunk, struct logical_range *scratch)
{
	size_t count = chunk_reserved_ranges(chunk, scratch, CHUNK_RESERVED_MAX(chunk->num_stripes));
	u64 usable = chunk->length;

	for (size_t i = 0; i < count; i++)
		usable -= scratch[i].len;
	return usable;
}

static void set_stripe_bytes(struct chunk *chunk, u64 stripe_bytes, const struct layout *layout,
			     const struct choice *choice)
{
	chunk->length = stripe_bytes * profile_data_stripes(chunk->profile, chunk->num_stripes);
	chunk_derive(chunk);
	place_stripes(chunk, layout, choice);
}

/*
 * Make the stripes as long as needed for @wanted usable bytes, but no longer than @stripe_max. Superblock mirrors may
 * come to lie in what is added, so this goes on until nothing is missing.
 */
static int fit_stripes(struct chunk *chunk, u64 wanted, u64 stripe_max, const struct layout *layout,
		       const struct choice *choice, struct diag *d)
{
	size_t cap = CHUNK_RESERVED_MAX(chunk->num_stripes);
	_free_ struct logical_range *scratch = calloc(cap, sizeof(*scratch));
	u64 data_stripes = profile_data_stripes(chunk->profile, chunk->num_stripes);
	u64 stripe_bytes = 0, missing = MAX(wanted, (u64)1);

	if (!scratch)
		return diag_no_memory(d, "a chunk");
	while (missing > 0 && stripe_bytes < stripe_max) {
		u64 usable;

		stripe_bytes += round_up_u64((missing + data_stripes - 1) / data_stripes, STRIPE_LEN_BYTES);
		stripe_bytes = MIN(stripe_bytes, stripe_max);
		set_stripe_bytes(chunk, stripe_bytes, layout, choice);
		usable = usable_bytes(chunk, scratch);
		missing = usable < wanted ? wanted - usable : 0;
	}
	return 0;
}

/* How long the stripes of a chunk of @chunk_bytes are: as Linux decides, but for its rounding to 16 MiB. */
static u64 roomy_stripe_bytes(const struct chunk *chunk, u64 chunk_bytes)
{
	u64 stripe_bytes = chunk_bytes / profile_data_stripes(chunk->profile, chunk->num_stripes);

	return MIN(MAX(round_up_u64(stripe_bytes, MIB), ROOMY_CHUNK_MIN), STRIPE_BYTES_MAX);
}

/* Add one chunk for up to @wanted bytes; with @roomy_bytes not 0, it is about that long whatever is wanted. */
static int add_chunk(struct layout *layout, u64 type, const struct profile *profile, u64 wanted, u64 roomy_bytes,
		     struct linear_space *space, struct diag *d)
{
	_free_ size_t *index = calloc(layout->nr_devices, sizeof(*index));
	struct choice choice = { .index = index };
	_free_ struct chunk *chunk = NULL;
	int err;

	if (!index)
		return diag_no_memory(d, "a chunk");
	err = choose_devices(layout, profile, &choice, d);
	if (err)
		return err;
	chunk = chunk_new((u16)(choice.nr * profile->dev_stripes));
	if (!chunk)
		return diag_no_memory(d, "a chunk");
	chunk->logical = layout->next_logical;
	chunk->type = type | profile->flag;
	chunk->profile = profile;
	if (roomy_bytes) {
		if (choice.room < ROOMY_CHUNK_MIN)
			return diag_fail(d, -ENOSPC, "no room for another %s chunk", profile->shown);
		set_stripe_bytes(chunk, MIN(roomy_stripe_bytes(chunk, roomy_bytes), choice.room), layout, &choice);
	} else {
		err = fit_stripes(chunk, wanted, MIN(choice.room, STRIPE_BYTES_MAX), layout, &choice, d);
		if (err)
			return err;
	}
	for (size_t i = 0; i < choice.nr; i++) {
		struct layout_device *device = &layout->devices[index[i]];

		device->end_physical += chunk->stripe_bytes * profile->dev_stripes;
		device->allocated_bytes += chunk->stripe_bytes * profile->dev_stripes;
	}
	layout->next_logical += chunk->length;
	err = chunk_map_add(layout->chunks, chunk, d);
	if (err)
		return err;
	return linear_space_add_chunk(space, chunk) ? diag_no_memory(d, "a chunk") : 0;
}

static int add_chunks(struct layout *layout, u64 type, const struct profile *profile, u64 wanted, u64 roomy_bytes,
		      struct linear_space *space, struct diag *d)
{
	do {
		u64 missing = wanted > space->total_bytes ? wanted - space->total_bytes : 0;
		int err = add_chunk(layout, type, profile, missing, roomy_bytes, space, d);

		if (err)
			return err;
	} while (space->total_bytes < wanted);
	return 0;
}

/* Chunk lengths that mkfs.btrfs and the kernel would take; 0: as needed. Both limit a chunk to a tenth of the whole. */
struct chunk_sizes {
	u64 system, data, metadata;
};

static struct chunk_sizes chunk_sizes(const struct layout *layout, const struct layout_needs *needs)
{
	u64 total = 0, tenth, metadata_min;

	if (needs->style == LAYOUT_EXACT)
		return (struct chunk_sizes){ 0 };
	for (size_t i = 0; i < layout->nr_devices; i++)
		total += MIN(layout->devices[i].limit_bytes, LAYOUT_NO_LIMIT / 2 / layout->nr_devices);
	metadata_min = total < SMALL_FILESYSTEM_BYTES ? ROOMY_CHUNK_MIN : ROOMY_METADATA_MIN;
	tenth = MAX(round_down_u64(total / 10, MIB), ROOMY_CHUNK_MIN);
	return (struct chunk_sizes){
		.system = ROOMY_SYSTEM_BYTES,
		.data = needs->data_bytes ? MIN(tenth, ROOMY_DATA_CHUNK_MAX) : ROOMY_EMPTY_DATA_BYTES,
		.metadata = MIN(MAX(round_down_u64(tenth / needs->metadata_profile->dev_stripes, MIB), metadata_min),
				total > LARGE_FILESYSTEM_BYTES ? GIB : 256 * MIB),
	};
}

static int add_all(struct layout *layout, const struct layout_needs *needs, struct diag *d)
{
	struct chunk_sizes sizes = chunk_sizes(layout, needs);
	int err = add_chunks(layout, BLOCK_GROUP_SYSTEM, needs->system_profile, needs->system_bytes, sizes.system,
			     &layout->system, d);

	if (err)
		return err;
	if (needs->is_mixed)
		return add_chunks(layout, BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA, needs->metadata_profile,
				  needs->data_bytes + needs->metadata_bytes, sizes.metadata, &layout->data, d);
	err = add_chunks(layout, BLOCK_GROUP_DATA, needs->data_profile, needs->data_bytes, sizes.data, &layout->data, d);
	if (err)
		return err;
	return add_chunks(layout, BLOCK_GROUP_METADATA, needs->metadata_profile, needs->metadata_bytes,
			  sizes.metadata, &layout->metadata, d);
}

int layout_make(const struct layout_device *devices, size_t nr_devices, const struct layout_needs *needs,
		struct layout *ret_layout, struct diag *d)
{
	struct layout layout = { .nr_devices = nr_devices, .next_logical = FIRST_LOGICAL };
	int err;

	layout.devices = calloc(nr_devices, sizeof(*devices));
	if (!layout.devices || chunk_map_new(&layout.chunks) < 0) {
		layout_done(&layout);
		return diag_no_memory(d, "the layout");
	}
	memcpy(layout.devices, devices, nr_devices * sizeof(*devices));
	for (size_t i = 0; i < nr_devices; i++) {
		layout.devices[i].end_physical = DEVICE_RANGE_RESERVED_BYTES;
		layout.devices[i].allocated_bytes = 0;
	}
	err = add_all(&layout, needs, d);
	if (err) {
		layout_done(&layout);
		return err;
	}
	*ret_layout = layout;
	return 0;
}
