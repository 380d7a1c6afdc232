/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/salvage.h"

#include "kernel-shared/relocate/good_copy.h"

typedef unsigned long long ull;

struct salvage {
	struct relocate *relocate;
	const struct chunk *to; /* without stripes that differ */
	struct good_copy reader;
	u8 *buf;
	size_t buf_bytes;
};

static int write_stripes(struct salvage *s, u64 logical, size_t len, struct diag *d)
{
	int err = 0;

	for (u16 i = 0; i < s->to->num_stripes && !err; i++) {
		const struct chunk_stripe *stripe = &s->to->stripe[i];
		const struct device *device =
			device_set_find(s->relocate->fs->volume->devices, stripe->devid, stripe->dev_uuid);

		if (!device || !device->dev)
			return diag_fail(d, -ENODEV, "device %llu is missing", (ull)stripe->devid);
		err = blockdev_write(device->dev, stripe->physical + (logical - s->to->logical), s->buf, len, d);
	}
	return err;
}

static int copy_range(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct salvage *s = ctx;
	const struct copy_order order = { 1, false };
	int err = 0;

	for (u64 at = logical, end = logical + len; at < end && !err; at += s->buf_bytes) {
		size_t piece = (size_t)MIN(end - at, (u64)s->buf_bytes);

		err = cancel_check(s->relocate->cancel, d);
		if (!err)
			err = good_copy_read(&s->reader, logical, at, s->buf, piece, order, d);
		if (!err)
			err = write_stripes(s, at, piece, d);
		progress_add(s->relocate->progress, piece, 0);
	}
	return err;
}

static int copy(struct relocate *relocate, const struct chunk *to, u64 *lost_bytes, struct diag *d)
{
	struct salvage s = { .relocate = relocate, .to = to };
	int err = good_copy_init(&s.reader, relocate->fs, d);

	s.buf_bytes = (size_t)MIN((u64)relocate->fs->volume->sectorsize * DATA_BATCH_SECTORS, MIB);
	s.buf = malloc(s.buf_bytes);
	if (!s.buf)
		err = diag_no_memory(d, "copying");
	if (!err)
		err = txn_for_each_used(relocate->fs->txn, to->logical, copy_range, &s, d);
	*lost_bytes += s.reader.damaged_bytes + s.reader.lost_bytes;
	good_copy_done(&s.reader);
	free(s.buf);
	return err;
}

int salvage_plan(struct relocate *relocate, u64 logical, u64 profile, struct relocate_step *ret_step, struct diag *d)
{
	struct relocate_step step = { .logical = logical, .way = RELOCATE_CHUNK };
	int err = txn_group_used_bytes(relocate->fs->txn, logical, &step.used_bytes, d);

	if (profile_by_flags(profile)->is_striped)
		profile = 0;
	if (!err)
		err = txn_place_chunk(relocate->fs->txn, logical, profile, false, &step.to, d);
	if (err)
		return err;
	step.written_bytes = step.used_bytes * step.to->num_stripes;
	*ret_step = step;
	return 0;
}

int salvage_group(struct relocate *relocate, u64 logical, u64 profile, struct relocate_step *ret_step, u64 *lost_bytes,
		  struct diag *d)
{
	_cleanup_(relocate_step_done) struct relocate_step step = { 0 };
	int err = 0;

	if (txn_has_changes(relocate->fs->txn))
		err = txn_commit(relocate->fs->txn, d);
	if (!err)
		err = salvage_plan(relocate, logical, profile, &step, d);
	if (!err)
		err = copy(relocate, step.to, lost_bytes, d);
	if (!err)
		err = txn_replace_chunk(relocate->fs->txn, step.to, d);
	if (err)
		return err;
	err = txn_commit(relocate->fs->txn, d);
	if (!err) {
		*ret_step = step;
		step.to = NULL;
	}
	return err;
}
