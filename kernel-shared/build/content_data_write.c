/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing data extents in the order of their addresses, in runs of about a megabyte that span many small files. Workers
 * read, checksum and write the runs; their checksums are taken in order straight into the checksum tree, so that they
 * cost neither a second pass nor memory that grows with the data.
 */
#include "kernel-shared/build/content.h"
#include "kernel-shared/build/content_csums.h"

#define RUN_BYTES MIB

/* A run of extents, or a part of one, contiguous in logical space. */
struct data_run {
	u64 logical;
	u32 first_extent;
	u32 nr_extents;
	u32 skip; /* bytes of the first extent that belong to earlier runs */
	u32 len;
};

struct data_worker {
	struct content_reader reader;
	u8 *buf;
};

struct data_writing {
	struct btrkit_content *content;
	struct volume *volume;
	struct progress *progress;
	struct data_worker *workers;
	ARRAY(struct data_run) runs;
	struct csum_items csum_items;
};

/* Bytes of an extent within the run, given how much of the run is filled already. */
static u32 part_len(const struct data_run *run, const struct content_extent *extent, u32 skip, u32 filled)
{
	return MIN(extent->disk_bytes - skip, run->len - filled);
}

static int plan_runs(struct data_writing *w, struct diag *d)
{
	const struct btrkit_content *content = w->content;
	struct data_run run = { 0 };

	for (u32 e = 0; e < content->extents.len; e++) {
		const struct content_extent *extent = &content->extents.items[e];

		for (u32 skip = 0; skip < extent->disk_bytes;) {
			u32 take = (u32)MIN((u64)extent->disk_bytes - skip, RUN_BYTES);

			/* A run ends where the space has a gap, and when it is long enough. */
			if (run.len && (run.logical + run.len != extent->logical + skip || run.len + take > RUN_BYTES)) {
				if (array_push(&w->runs, run) < 0)
					return diag_no_memory(d, "data runs");
				run.len = 0;
			}
			if (!run.len)
				run = (struct data_run){ extent->logical + skip, e, 0, skip, 0 };
			run.len += take;
			run.nr_extents = e + 1 - run.first_extent;
			skip += take;
		}
	}
	return run.len && array_push(&w->runs, run) < 0 ? diag_no_memory(d, "data runs") : 0;
}

/* The bytes of a part of an extent into @to, padded with zeroes to its sectors. */
static int read_part(struct data_worker *worker, const struct content_extent *extent, u32 skip, u32 len, u8 *to,
		     struct diag *d)
{
	const struct btrkit_content *content = worker->reader.content;
	u32 stored = extent->stored_bytes > skip ? MIN(extent->stored_bytes - skip, len) : 0;

	memset(to + stored, 0, len - stored);
	if (stored == 0)
		return 0;
	if (extent->spool_offset == CONTENT_NOT_SPOOLED)
		return content_read(&worker->reader, extent->node, extent->file_offset + skip, to, stored, d);
	return content_read_spool(content, extent->spool_offset + skip, to, stored, d);
}

/*
 * Share as many whole sectors of a part of an extent with its source as can be. Before it is read, so that what the
 * checksums are of is no older than what is shared.
 */
static int clone_part(struct data_writing *w, struct data_worker *worker, const struct content_extent *extent, u32 skip,
		      u32 len, u64 logical, u32 *ret_shared, struct diag *d)
{
	const struct content_options *options = &w->content->options;
	u32 stored = extent->stored_bytes > skip ? MIN(extent->stored_bytes - skip, len) : 0;
	u32 whole = (u32)round_down_u64(stored, options->sectorsize);
	u64 base_offset;
	int fd, err;

	*ret_shared = 0;
	if (!options->use_reflink || whole == 0 || extent->spool_offset != CONTENT_NOT_SPOOLED)
		return 0;
	err = content_descriptor(&worker->reader, extent->node, &fd, &base_offset, d);
	if (!err && fd >= 0 &&
	    volume_clone(w->volume, logical, fd, base_offset + extent->file_offset + skip, whole) == 0)
		*ret_shared = whole;
	return err;
}

/* Checksums of @len bytes of data, one sector after the other, to @to; returns where they end. */
static u8 *compute_csums(const struct content_options *options, const u8 *data, u32 len, u8 *to)
{
	const struct csum_kind *csum = options->id.csum;

	for (u32 at = 0; at < len; at += options->sectorsize, to += csum->size_bytes)
		csum_compute(csum, data + at, options->sectorsize, to);
	return to;
}

/* Read, checksum and write a run; its item are the checksums of those of its sectors that have any. */
static int write_run(void *ctx, unsigned index, u64 i, void **ret_item, struct diag *d)
{
	struct data_writing *w = ctx;
	struct data_worker *worker = &w->workers[index];
	const struct content_options *options = &w->content->options;
	const struct data_run *run = &w->runs.items[i];
	_free_ u8 *csums = malloc((size_t)(run->len / options->sectorsize) * options->id.csum->size_bytes);
	u32 skip = run->skip, filled = 0, written = 0;
	u8 *next_csum = csums;
	int err;

	if (!csums)
		return diag_no_memory(d, "data checksums");
	for (u32 e = run->first_extent; e < run->first_extent + run->nr_extents; e++) {
		const struct content_extent *extent = &w->content->extents.items[e];
		u32 len = part_len(run, extent, skip, filled);
		u32 shared;

		err = clone_part(w, worker, extent, skip, len, run->logical + filled, &shared, d);
		if (!err)
			err = read_part(worker, extent, skip, len, worker->buf + filled, d);
		if (err)
			return err;
		if (content_has_csums(w->content, extent->node))
			next_csum = compute_csums(options, worker->buf + filled, len, next_csum);
		if (shared) {
			err = volume_write(w->volume, run->logical + written, worker->buf + written, filled - written, d);
			if (err)
				return err;
			written = filled + shared;
		}
		filled += len;
		skip = 0;
	}
	err = volume_write(w->volume, run->logical + written, worker->buf + written, filled - written, d);
	if (err)
		return err;
	progress_add(w->progress, run->len, run->nr_extents);
	*ret_item = take_ptr(csums);
	return 0;
}

/* The run's checksums into the tree. */
static int take_csums(void *ctx, u64 i, void *item, struct diag *d)
{
	struct data_writing *w = ctx;
	const struct content_options *options = &w->content->options;
	const struct data_run *run = &w->runs.items[i];
	_free_ u8 *csums = item;
	const u8 *at = csums;
	u32 skip = run->skip, done = 0;

	for (u32 e = run->first_extent; e < run->first_extent + run->nr_extents; e++) {
		const struct content_extent *extent = &w->content->extents.items[e];
		u32 len = part_len(run, extent, skip, done);
		u32 sectors = len / options->sectorsize;
		int err;

		if (content_has_csums(w->content, extent->node)) {
			err = csum_items_add(&w->csum_items, run->logical + done, sectors, at, d);
			if (err)
				return err;
			at += (size_t)sectors * options->id.csum->size_bytes;
		}
		done += len;
		skip = 0;
	}
	return 0;
}

static void free_csums(void *ctx, void *item)
{
	(void)ctx;
	free(item);
}

static void writing_done(struct data_writing *w, unsigned workers)
{
	for (unsigned i = 0; w->workers && i < workers; i++) {
		content_reader_done(&w->workers[i].reader);
		free(w->workers[i].buf);
	}
	free(w->workers);
	array_done(&w->runs);
	csum_items_done(&w->csum_items);
}

static int writing_init(struct data_writing *w, unsigned workers, struct tree_builder *csum_tree, struct diag *d)
{
	int err = plan_runs(w, d);

	if (!err)
		err = csum_items_init(&w->csum_items, &w->content->options, NULL, csum_tree, d);
	if (err)
		return err;
	w->workers = calloc(workers, sizeof(*w->workers));
	if (!w->workers)
		return diag_no_memory(d, "data buffers");
	for (unsigned i = 0; i < workers; i++) {
		w->workers[i].reader = (struct content_reader){ .content = w->content, .worker = i, .node = CONTENT_NONE };
		w->workers[i].buf = malloc(RUN_BYTES);
		if (!w->workers[i].buf)
			return diag_no_memory(d, "data buffers");
	}
	return 0;
}

int content_write_data(struct btrkit_content *content, struct volume *volume, struct pool *pool,
		       struct progress *progress, struct tree_builder *csum_tree, struct diag *d)
{
	struct data_writing w = { .content = content, .volume = volume, .progress = progress };
	const struct pool_stream stream = { write_run, take_csums, free_csums, &w };
	int err = writing_init(&w, pool_threads(pool), csum_tree, d);

	if (!err)
		err = pool_pipeline(pool, w.runs.len, pool_threads(pool) * 8, &stream, d);
	for (unsigned i = 0; i < pool_threads(pool) && !err; i++)
		err = content_reader_finish(&w.workers[i].reader, d);
	if (!err)
		err = csum_items_finish(&w.csum_items, d);
	writing_done(&w, pool_threads(pool));
	return err;
}
