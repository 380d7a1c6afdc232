/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing what was planned, into space that the source does not use. */
#include "convert/inplace/conversion.h"
#include "kernel-shared/device/borrowed_device.h"
#include "kernel-shared/device/device_set.h"

typedef unsigned long long ull;

/* Does the source have anything in [from, to)? What it has where superblocks go does not count: there nothing is written. */
static bool is_in_use(const struct conversion *c, u64 from, u64 to)
{
	u64 total_bytes = c->source->info.total_bytes;
	size_t at = array_lower_bound(&c->used.list, it, it->physical + it->len <= from);

	for (; at < c->used.list.len && c->used.list.items[at].physical < to; at++) {
		const struct space_range *used = &c->used.list.items[at];
		u64 here = MAX(used->physical, from), end = MIN(used->physical + used->len, to);

		while (here < end)
			if (space_before_reserved(total_bytes, here, end - here, &here) > 0)
				return true;
	}
	return false;
}

static int judge_new_chunks(const struct conversion *c, struct diag *d)
{
	const struct chunk_map *chunks = c->making.image.layout.chunks;
	u64 limit = round_down_u64(c->source->info.total_bytes, STRIPE_LEN_BYTES);

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++) {
			u64 from = chunk->stripe[s].physical, to = from + chunk->stripe_bytes;

			if (from < DEVICE_RANGE_RESERVED_BYTES || to > limit)
				return diag_fail(d, -EINVAL, "a chunk at %llu would lie outside of what Btrfs can have", (ull)from);
			if (!(chunk->type & BLOCK_GROUP_DATA) && is_in_use(c, from, to))
				return diag_fail(d, -EINVAL, "a new chunk at %llu would lie over bytes in use", (ull)from);
		}
	}
	return 0;
}

static int judge_moves(const struct conversion *c, struct diag *d)
{
	array_for_each(&c->placed.moves, move) {
		u64 end;

		if (move->logical + move->len > c->source->info.total_bytes ||
		    is_in_use(c, move->logical, move->logical + move->len) ||
		    space_before_reserved(c->source->info.total_bytes, move->logical, move->len, &end) != move->len)
			return diag_fail(d, -EINVAL, "bytes would be moved to %llu, over others in use", (ull)move->logical);
	}
	return 0;
}

int conversion_judge_writes(const struct conversion *c, struct diag *d)
{
	int err = judge_new_chunks(c, d);

	return err ? err : judge_moves(c, d);
}

static int open_volume(struct conversion *c, struct volume **ret_volume, struct diag *d)
{
	_cleanup_(device_set_freep) struct device_set *set = NULL;
	const struct image *image = &c->making.image;
	struct device device = { .devid = image->devices[0].devid, .total_bytes = image->device_bytes[0] };
	struct chunk_map *chunks = NULL;
	int err;

	memcpy(device.uuid, image->devices[0].uuid, UUID_SIZE);
	memcpy(device.fsid, image->fsid, UUID_SIZE);
	if (device_set_new(&set) < 0 || borrowed_device_new(c->dev, &device.dev) < 0)
		return diag_no_memory(d, "the device");
	err = device_set_add(set, &device, d);
	if (!err)
		err = chunk_map_copy(image->layout.chunks, &chunks, d);
	return err ? err : volume_new(take_ptr(set), chunks, image->sectorsize, image->id.nodesize, ret_volume, d);
}

int conversion_build(struct conversion *c, struct diag *d)
{
	_cleanup_(volume_freep) struct volume *volume = NULL;
	int err = conversion_judge_writes(c, d);

	if (!err)
		err = open_volume(c, &volume, d);
	if (!err)
		err = image_write(&c->making.image, volume, d);
	return err ? err : blockdev_flush(c->dev, d);
}
