/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Moving what cannot stay where it is, and the checksums of all data, by one reading of the device from front to end. */
#include "kernel-shared/build/placed_data.h"

#define RUN_BYTES MIB

void placed_data_done(struct placed_data *placed)
{
	array_done(&placed->extents);
	array_done(&placed->moves);
	array_done(&placed->unreadable);
	*placed = (struct placed_data){ 0 };
}

/* The part of [logical, +len) that can be read, from its beginning: 0 if that cannot, up to *ret_end. */
static u64 readable_part(const struct placed_data *placed, u64 logical, u64 len, u64 *ret_end)
{
	size_t at = array_lower_bound(&placed->unreadable, it, it->logical + it->len <= logical);
	const struct placed_range *range;

	*ret_end = logical;
	if (at == placed->unreadable.len)
		return len;
	range = &placed->unreadable.items[at];
	if (range->logical >= logical + len)
		return len;
	if (range->logical > logical)
		return range->logical - logical;
	*ret_end = MIN(logical + len, range->logical + range->len);
	return 0;
}

/* A part of an extent that is to have checksums. */
typedef int (*part_fn)(void *ctx, u64 logical, u32 bytes, struct diag *d);

static int for_each_part(const struct placed_data *placed, part_fn fn, void *ctx, struct diag *d)
{
	array_for_each(&placed->extents, extent) {
		u64 at = extent->logical, end = extent->logical + extent->bytes;

		while (at < end) {
			u64 unreadable_end, part = readable_part(placed, at, end - at, &unreadable_end);
			int err = part ? fn(ctx, at, (u32)part, d) : 0;

			if (err)
				return err;
			at = part ? at + part : unreadable_end;
		}
	}
	return 0;
}

static int size_part(void *ctx, u64 logical, u32 bytes, struct diag *d)
{
	struct csum_items *items = ctx;

	return csum_items_add(items, logical, bytes / items->options->sectorsize, NULL, d);
}

int placed_size_csums(const struct placed_data *placed, const struct content_options *options, struct tree_sizer *sizer,
		      struct diag *d)
{
	struct csum_items items;
	int err = csum_items_init(&items, options, sizer, NULL, d);

	if (!err && placed->has_csums)
		err = for_each_part(placed, size_part, &items, d);
	return err ? err : csum_items_finish(&items, d);
}

static int count_part(void *ctx, u64 logical, u32 bytes, struct diag *d)
{
	(void)logical, (void)d;
	*(u64 *)ctx += bytes;
	return 0;
}

u64 placed_read_bytes(const struct placed_data *placed)
{
	u64 bytes = 0;

	if (placed->has_csums)
		(void)for_each_part(placed, count_part, &bytes, NULL); /* counting does not fail */
	return bytes;
}

/* --- Moving ---------------------------------------- */

static int tell_unreadable(const struct placed_data *placed, u64 logical, struct diag *d)
{
	size_t at = array_lower_bound(&placed->extents, it, it->logical + it->bytes <= logical);

	/* What is moved for nobody need not be readable. */
	if (at == placed->extents.len || placed->extents.items[at].logical > logical)
		return 0;
	return placed->cannot_read(placed->ctx, &placed->extents.items[at], logical, d);
}

/* Which sectors of a move are those that cannot be read? */
static int find_unreadable(const struct placed_data *placed, const struct placed_move *move, u64 at, size_t len,
			   u32 sectorsize, u8 *buf, struct diag *d)
{
	int err = 0;

	for (u64 end = at + len; at < end && !err; at += sectorsize) {
		struct diag why = { 0 };

		err = placed->read(placed->ctx, move->is_overlaid, move->physical + at, buf, sectorsize, &why);
		if (err)
			err = err == -EIO ? tell_unreadable(placed, move->logical + at, d) : diag_copy(d, &why);
	}
	return err;
}

static int move_part(const struct placed_data *placed, const struct placed_move *move, u64 at, size_t len, struct volume *volume,
		     u32 sectorsize, u8 *buf, struct diag *d)
{
	struct diag why = { 0 };
	int err = placed->read(placed->ctx, move->is_overlaid, move->physical + at, buf, len, &why);

	if (!err)
		return volume_write(volume, move->logical + at, buf, len, d);
	return err == -EIO ? find_unreadable(placed, move, at, len, sectorsize, buf, d) : diag_copy(d, &why);
}

static int move_data(const struct placed_data *placed, struct volume *volume, u32 sectorsize, struct diag *d)
{
	_free_ u8 *buf = malloc(RUN_BYTES);

	if (!buf)
		return diag_no_memory(d, "data buffers");
	for (size_t m = 0; m < placed->moves.len; m++) {
		const struct placed_move *move = &placed->moves.items[m];

		for (u64 at = 0, len; at < move->len; at += len) {
			u64 logical = move->logical + at, unreadable_end;
			int err;

			len = readable_part(placed, logical, MIN(move->len - at, RUN_BYTES), &unreadable_end);
			if (len) {
				err = move_part(placed, move, at, (size_t)len, volume, sectorsize, buf, d);
			} else {
				len = unreadable_end - logical;
				memset(buf, 0, (size_t)len);
				err = volume_write(volume, logical, buf, (size_t)len, d);
			}
			if (err)
				return err;
		}
	}
	return 0;
}

/* --- Checksums ---------------------------------------- */

/* Neighbouring extents, or a part of one, as much as is read at a time. */
struct csum_run {
	u64 logical;
	u32 len;
};

/* What a run comes to. */
struct run_sums {
	bool has_bad;
	bool is_bad[RUN_BYTES / SECTORSIZE_MIN]; /* sectors that cannot be read */
	u8 csums[];
};

struct summing {
	const struct placed_data *placed;
	const struct content_options *options;
	struct volume *volume;
	struct progress *progress;
	u8 **buffers; /* one for each worker */
	ARRAY(struct csum_run) runs;
	struct csum_items items;
};

static int add_to_runs(void *ctx, u64 logical, u32 bytes, struct diag *d)
{
	struct summing *s = ctx;

	while (bytes > 0) {
		struct csum_run *last = s->runs.len ? &s->runs.items[s->runs.len - 1] : NULL;
		u32 take;

		if (!last || last->logical + last->len != logical || last->len == RUN_BYTES) {
			if (array_push(&s->runs, (struct csum_run){ logical, 0 }) < 0)
				return diag_no_memory(d, "data runs");
			last = &s->runs.items[s->runs.len - 1];
		}
		take = MIN(bytes, (u32)RUN_BYTES - last->len);
		last->len += take;
		logical += take;
		bytes -= take;
	}
	return 0;
}

/* All of a run; where that fails, sector by sector. */
static int read_run(struct summing *s, const struct csum_run *run, u8 *buf, struct run_sums *sums, struct diag *d)
{
	u32 sectorsize = s->options->sectorsize;
	struct diag why = { 0 };
	int err = volume_read(s->volume, run->logical, buf, run->len, 0, &why);

	if (err != -EIO)
		return err ? diag_copy(d, &why) : 0;
	for (u32 at = 0; at < run->len; at += sectorsize) {
		diag_clear(&why);
		err = volume_read(s->volume, run->logical + at, buf + at, sectorsize, 0, &why);
		if (err && err != -EIO)
			return diag_copy(d, &why);
		sums->is_bad[at / sectorsize] = err;
		sums->has_bad |= err != 0;
	}
	return 0;
}

static int sum_run(void *ctx, unsigned worker, u64 i, void **ret_item, struct diag *d)
{
	struct summing *s = ctx;
	const struct csum_kind *csum = s->options->id.csum;
	const struct csum_run *run = &s->runs.items[i];
	u32 sectorsize = s->options->sectorsize;
	_free_ struct run_sums *sums = calloc(1, sizeof(*sums) + (size_t)(run->len / sectorsize) * csum->size_bytes);
	u8 *to, *buf = s->buffers[worker];
	int err;

	if (!sums)
		return diag_no_memory(d, "data checksums");
	to = sums->csums;
	err = read_run(s, run, buf, sums, d);
	if (err)
		return err;
	for (u32 at = 0; at < run->len; at += sectorsize, to += csum->size_bytes)
		csum_compute(csum, buf + at, sectorsize, to);
	progress_add(s->progress, run->len, 0);
	*ret_item = take_ptr(sums);
	return 0;
}

static int take_csums(void *ctx, u64 i, void *item, struct diag *d)
{
	struct summing *s = ctx;
	const struct csum_run *run = &s->runs.items[i];
	u32 sectorsize = s->options->sectorsize;
	_free_ struct run_sums *sums = item;

	for (u32 at = 0; sums->has_bad && at < run->len; at += sectorsize) {
		int err = sums->is_bad[at / sectorsize] ? tell_unreadable(s->placed, run->logical + at, d) : 0;

		if (err)
			return err;
	}
	return csum_items_add(&s->items, run->logical, run->len / sectorsize, sums->csums, d);
}

static void free_csums(void *ctx, void *item)
{
	(void)ctx;
	free(item);
}

static int sum_all(struct summing *s, const struct placed_data *placed, struct pool *pool, struct diag *d)
{
	const struct pool_stream stream = { sum_run, take_csums, free_csums, s };
	unsigned threads = pool_threads(pool);
	int err = for_each_part(placed, add_to_runs, s, d);

	if (err)
		return err;
	s->buffers = calloc(threads, sizeof(*s->buffers));
	if (!s->buffers)
		return diag_no_memory(d, "data buffers");
	for (unsigned i = 0; i < threads; i++) {
		s->buffers[i] = malloc(RUN_BYTES);
		if (!s->buffers[i])
			return diag_no_memory(d, "data buffers");
	}
	return pool_pipeline(pool, s->runs.len, threads * 8, &stream, d);
}

int placed_write_data(const struct placed_data *placed, const struct content_options *options, struct volume *volume,
		      struct pool *pool, struct progress *progress, struct tree_builder *csum_tree, struct diag *d)
{
	struct summing s = { .placed = placed, .options = options, .volume = volume, .progress = progress };
	int err = move_data(placed, volume, options->sectorsize, d);

	if (err || !placed->has_csums)
		return err ? err : placed->judge_reading(placed->ctx, d);
	err = csum_items_init(&s.items, options, NULL, csum_tree, d);
	if (!err)
		err = sum_all(&s, placed, pool, d);
	if (!err)
		err = csum_items_finish(&s.items, d);
	if (!err)
		err = placed->judge_reading(placed->ctx, d);
	for (unsigned i = 0; s.buffers && i < pool_threads(pool); i++)
		free(s.buffers[i]);
	free(s.buffers);
	array_done(&s.runs);
	csum_items_done(&s.items);
	return err;
}
