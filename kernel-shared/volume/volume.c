/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/volume/map.h"
#include "kernel-shared/volume/parity_row.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

int volume_new(struct device_set *devices, struct chunk_map *chunks, u32 sectorsize, u32 nodesize,
	       struct volume **ret_volume, struct diag *d)
{
	struct volume *volume = calloc(1, sizeof(*volume));

	if (!volume) {
		device_set_free(devices);
		chunk_map_free(chunks);
		return diag_no_memory(d, "the volume");
	}
	volume->devices = devices;
	volume->chunks = chunks;
	volume->sectorsize = sectorsize;
	volume->nodesize = nodesize;
	if (row_locks_new(&volume->row_locks) < 0) {
		volume_free(volume);
		return diag_no_memory(d, "the volume");
	}
	*ret_volume = volume;
	return 0;
}

void volume_free(struct volume *volume)
{
	if (!volume)
		return;
	row_locks_free(volume->row_locks);
	chunk_map_free(volume->chunks);
	device_set_free(volume->devices);
	free(volume);
}

unsigned volume_nr_mirrors(const struct volume *volume, u64 logical)
{
	const struct chunk *chunk = chunk_map_find(volume->chunks, logical);

	return chunk ? profile_mirrors(chunk->profile, chunk->num_stripes) : 0;
}

int volume_map(const struct chunk_map *chunks, u64 logical, u64 len, unsigned mirror, struct physical_part *ret_part)
{
	const struct chunk *chunk = chunk_map_find(chunks, logical);
	struct cell cell;
	u16 stripe;

	if (!chunk)
		return -ENOENT;
	if (mirror == 0 || mirror > chunk->profile->copies)
		return -EINVAL;
	cell = chunk_cell(chunk, logical);
	stripe = cell_stripe(chunk, &cell, mirror);
	*ret_part = (struct physical_part){
		.logical = logical,
		.len = MIN(len, cell.left),
		.devid = chunk->stripe[stripe].devid,
		.physical = chunk->stripe[stripe].physical +
			    (chunk->profile->is_striped ? cell.row * STRIPE_LEN_BYTES + cell.within
							: logical - chunk->logical),
	};
	return 0;
}

static int no_chunk(u64 logical, struct diag *d)
{
	return diag_fail(d, -ENOENT, "no chunk covers logical address %llu", (ull)logical);
}

/* The open device of a stripe, NULL when it is missing. */
static struct blockdev *stripe_device(const struct volume *volume, const struct chunk_stripe *stripe)
{
	struct device *device = device_set_find(volume->devices, stripe->devid, stripe->dev_uuid);

	return device ? device->dev : NULL;
}

static int missing_device(const struct chunk_stripe *stripe, u64 logical, struct diag *d)
{
	return diag_fail(d, -EIO, "device %llu, which holds logical address %llu, is missing", (ull)stripe->devid,
			 (ull)logical);
}

int volume_stripe_judge(const struct volume *volume, const struct chunk_stripe *stripe, u64 logical, struct diag *d)
{
	return stripe_device(volume, stripe) ? 0 : missing_device(stripe, logical, d);
}

/* A device that ends before what a chunk has on it has lost that, as one that cannot be read has. */
static int device_failure(int err, struct diag *d)
{
	if (err != -EINVAL)
		return err;
	if (d)
		d->err = -EIO;
	return -EIO;
}

int volume_stripe_read(const struct volume *volume, const struct chunk_stripe *stripe, u64 physical, void *buf, size_t len,
		       u64 logical, struct diag *d)
{
	struct blockdev *dev = stripe_device(volume, stripe);

	return dev ? device_failure(blockdev_read(dev, physical, buf, len, d), d) : missing_device(stripe, logical, d);
}

int volume_stripe_write(const struct volume *volume, const struct chunk_stripe *stripe, u64 physical, const void *buf,
			size_t len, u64 logical, struct diag *d)
{
	struct blockdev *dev = stripe_device(volume, stripe);

	return dev ? device_failure(blockdev_write(dev, physical, buf, len, d), d) : missing_device(stripe, logical, d);
}

/* Read one piece, within a cell, from one copy. */
static int read_copy(struct volume *volume, const struct chunk *chunk, u64 logical, void *buf, size_t len,
		     unsigned mirror, struct diag *d)
{
	struct cell cell = chunk_cell(chunk, logical);
	struct physical_part part;

	if (chunk->profile->parity && mirror > 1)
		return parity_row_rebuild(volume, chunk, logical, buf, len, mirror, d);
	(void)volume_map(volume->chunks, logical, len, mirror, &part); /* the chunk is there: cannot fail */
	return volume_stripe_read(volume, &chunk->stripe[cell_stripe(chunk, &cell, mirror)], part.physical, buf, len, logical,
				  d);
}

static int read_piece(struct volume *volume, const struct chunk *chunk, u64 logical, void *buf, size_t len,
		      unsigned mirror, struct diag *d)
{
	struct diag first = { 0 };

	if (mirror > profile_mirrors(chunk->profile, chunk->num_stripes))
		return diag_fail(d, -EINVAL, "logical address %llu has no copy %u", (ull)logical, mirror);
	if (mirror)
		return read_copy(volume, chunk, logical, buf, len, mirror, d);
	/* The further ways of RAID6 are for data that can be read but is wrong. */
	for (unsigned m = 1; m <= (unsigned)chunk->profile->copies + chunk->profile->parity; m++) {
		struct diag why = { 0 };

		if (read_copy(volume, chunk, logical, buf, len, m, &why) == 0)
			return 0;
		/* Without memory nothing can be said of what is on disk. */
		if (!first.err || why.err == -ENOMEM)
			first = why;
	}
	return diag_copy(d, &first);
}

int volume_read(struct volume *volume, u64 logical, void *buf, size_t len, unsigned mirror, struct diag *d)
{
	u8 *to = buf;

	while (len > 0) {
		const struct chunk *chunk = chunk_map_find(volume->chunks, logical);
		size_t piece;
		int err;

		if (!chunk)
			return no_chunk(logical, d);
		piece = (size_t)MIN((u64)len, chunk_cell(chunk, logical).left);
		err = read_piece(volume, chunk, logical, to, piece, mirror, d);
		if (err)
			return err;
		to += piece;
		logical += piece;
		len -= piece;
	}
	return 0;
}

/* Write one piece, within a cell, to all its copies; not for parity profiles. */
static int write_piece(struct volume *volume, const struct chunk *chunk, u64 logical, const void *buf, size_t len,
		       struct diag *d)
{
	struct cell cell = chunk_cell(chunk, logical);

	for (unsigned mirror = 1; mirror <= chunk->profile->copies; mirror++) {
		const struct chunk_stripe *stripe = &chunk->stripe[cell_stripe(chunk, &cell, mirror)];
		struct physical_part part;
		int err;

		(void)volume_map(volume->chunks, logical, len, mirror, &part);
		err = volume_stripe_write(volume, stripe, part.physical, buf, len, logical, d);
		if (err)
			return err;
	}
	return 0;
}

int volume_write(struct volume *volume, u64 logical, const void *buf, size_t len, struct diag *d)
{
	const u8 *from = buf;

	while (len > 0) {
		const struct chunk *chunk = chunk_map_find(volume->chunks, logical);
		size_t piece;
		int err;

		if (!chunk)
			return no_chunk(logical, d);
		if (chunk->profile->parity) {
			piece = (size_t)MIN((u64)len, parity_row_left(chunk, logical));
			err = parity_row_write(volume, chunk, logical, from, piece, d);
		} else {
			piece = (size_t)MIN((u64)len, chunk_cell(chunk, logical).left);
			err = write_piece(volume, chunk, logical, from, piece, d);
		}
		if (err)
			return err;
		from += piece;
		logical += piece;
		len -= piece;
	}
	return 0;
}

void volume_write_out(const struct volume *volume, const struct chunk *chunk, u64 logical, u64 len)
{
	u64 from = logical - chunk->logical, end = from + len;
	u64 row_bytes = profile_data_stripes(chunk->profile, chunk->num_stripes) * STRIPE_LEN_BYTES;

	if (chunk->profile->is_striped) {
		from = from / row_bytes * STRIPE_LEN_BYTES;
		end = (end + row_bytes - 1) / row_bytes * STRIPE_LEN_BYTES;
	}
	for (u16 s = 0; s < chunk->num_stripes; s++) {
		struct blockdev *dev = stripe_device(volume, &chunk->stripe[s]);

		if (dev)
			blockdev_write_out(dev, chunk->stripe[s].physical + from, end - from);
	}
}

static int clone_piece(struct volume *volume, const struct chunk *chunk, u64 logical, int fd, u64 from, u64 len)
{
	struct cell cell = chunk_cell(chunk, logical);

	for (unsigned mirror = 1; mirror <= chunk->profile->copies; mirror++) {
		struct blockdev *dev = stripe_device(volume, &chunk->stripe[cell_stripe(chunk, &cell, mirror)]);
		struct physical_part part;

		if (!dev || volume_map(volume->chunks, logical, len, mirror, &part) < 0 ||
		    blockdev_clone(dev, part.physical, fd, from, len) < 0)
			return -EOPNOTSUPP;
	}
	return 0;
}

int volume_clone(struct volume *volume, u64 logical, int fd, u64 from, u64 len)
{
	while (len > 0) {
		const struct chunk *chunk = chunk_map_find(volume->chunks, logical);
		u64 piece;

		/* Parity is of the bytes, which nobody has read. */
		if (!chunk || chunk->profile->parity)
			return -EOPNOTSUPP;
		piece = MIN(len, chunk_cell(chunk, logical).left);
		if (clone_piece(volume, chunk, logical, fd, from, piece) < 0)
			return -EOPNOTSUPP;
		from += piece;
		logical += piece;
		len -= piece;
	}
	return 0;
}
