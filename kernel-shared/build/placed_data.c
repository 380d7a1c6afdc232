/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Moving what cannot stay where it is, and the checksums of all data, by one reading of the device from front to end. */
#include "kernel-shared/build/placed_data.h"

#define RUN_BYTES MIB

void placed_data_done(struct placed_data *placed)
{
	array_done(&placed->extents);
	array_done(&placed->moves);
	*placed = (struct placed_data){ 0 };
}

int placed_size_csums(const struct placed_data *placed, const struct content_options *options, struct tree_sizer *sizer,
		      struct diag *d)
{
	struct csum_items items;
	int err = csum_items_init(&items, options, sizer, NULL, d);

	for (size_t e = 0; placed->has_csums && e < placed->extents.len && !err; e++) {
		const struct placed_extent *extent = &placed->extents.items[e];

		err = csum_items_add(&items, extent->logical, extent->bytes / options->sectorsize, NULL, d);
	}
	return err ? err : csum_items_finish(&items, d);
}

u64 placed_read_bytes(const struct placed_data *placed)
{
	u64 bytes = 0;

	for (size_t e = 0; placed->has_csums && e < placed->extents.len; e++)
		bytes += placed->extents.items[e].bytes;
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

static int move_data(const struct placed_data *placed, struct volume *volume, u32 sectorsize, struct diag *d)
{
	_free_ u8 *buf = malloc(RUN_BYTES);

	if (!buf)
		return diag_no_memory(d, "data buffers");
	for (size_t m = 0; m < placed->moves.len; m++) {
		const struct placed_move *move = &placed->moves.items[m];

		for (u64 at = 0; at < move->len; at += RUN_BYTES) {
			size_t len = MIN(move->len - at, RUN_BYTES);
			struct diag why = { 0 };
			int err = placed->read(placed->ctx, move->is_overlaid, move->physical + at, buf, len, &why);

			if (!err)
				err = volume_write(volume, move->logical + at, buf, len, d);
			else if (err == -EIO)
				err = find_unreadable(placed, move, at, len, sectorsize, buf, d);
			else
				err = diag_copy(d, &why);
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

static int plan_runs(struct summing *s, const struct placed_data *placed, struct diag *d)
{
	struct csum_run run = { 0 };

	for (size_t e = 0; e < placed->extents.len; e++) {
		const struct placed_extent *extent = &placed->extents.items[e];

		for (u32 done = 0; done < extent->bytes;) {
			u64 logical = extent->logical + done;
			u32 take;

			if (run.len && (run.logical + run.len != logical || run.len == RUN_BYTES)) {
				if (array_push(&s->runs, run) < 0)
					return diag_no_memory(d, "data runs");
				run.len = 0;
			}
			if (!run.len)
				run.logical = logical;
			take = MIN(extent->bytes - done, (u32)RUN_BYTES - run.len);
			run.len += take;
			done += take;
		}
	}
	return run.len && array_push(&s->runs, run) < 0 ? diag_no_memory(d, "data runs") : 0;
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
	int err = plan_runs(s, placed, d);

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
