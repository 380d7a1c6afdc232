/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contents of small files as the source has them, for those that the new filesystem has in the inode: read in the order of the
 * device, neighbours at once, in all threads.
 */
#include <stdlib.h>

#include "convert/inplace/verify_facts.h"

#define QUEUE_FILES_MAX 8192
#define FILES_PER_JOB 64
/* Read at once, gaps between files included. */
#define WINDOW_BYTES ((size_t)(256 * KIB))

/* What a job has read last. */
struct window {
	u64 physical;
	size_t len;
	u8 *bytes;
};

struct reading {
	struct contents_queue *queue;
	struct window *windows; /* of each worker */
	u8 *contents; /* CONTENTS_BYTES_MAX for each worker */
};

static u64 first_physical(const struct contents_queue *queue, const struct small_file *file)
{
	return file->nr_runs ? queue->runs.items[file->first_run].physical : 0;
}

static int by_place(const void *a, const void *b, void *ctx)
{
	u64 x = first_physical(ctx, a), y = first_physical(ctx, b);

	return x < y ? -1 : x > y;
}

/* The bytes of a run that the file has. */
static u64 run_bytes(const struct small_file *file, const struct source_run *run)
{
	return run->file_offset < file->size ? MIN(run->len, file->size - run->file_offset) : 0;
}

/* Where a read from @physical should end: behind the files that follow, as far as the window goes. */
static u64 window_end(const struct contents_queue *queue, u64 physical, u64 end, const struct small_file *file,
		      const struct small_file *last)
{
	for (; file < last; file++) {
		for (u32 r = 0; r < file->nr_runs; r++) {
			const struct source_run *run = &queue->runs.items[file->first_run + r];
			u64 run_end = run->physical + run_bytes(file, run);

			if (run->physical < physical || run_end - physical > WINDOW_BYTES)
				return end;
			end = MAX(end, run_end);
		}
	}
	return end;
}

/* @len bytes at @physical; what follows until @end is likely to be asked for next. */
static int read_window(struct source *source, struct window *window, u64 physical, u64 len, u64 end, u8 *to, struct diag *d)
{
	struct diag why = { 0 };

	if (physical < window->physical || physical + len > window->physical + window->len) {
		window->len = 0;
		/* Bytes between files need not be readable. */
		if (source->ops->read(source, physical, window->bytes, (size_t)(end - physical), &why) < 0)
			return source->ops->read(source, physical, to, (size_t)len, d);
		window->physical = physical;
		window->len = (size_t)(end - physical);
	}
	memcpy(to, window->bytes + (physical - window->physical), (size_t)len);
	return 0;
}

static int read_file(struct reading *r, unsigned worker, const struct small_file *file, const struct small_file *last,
		     struct diag *d)
{
	struct contents_queue *queue = r->queue;
	struct window *window = &r->windows[worker];
	u8 *contents = r->contents + (size_t)worker * CONTENTS_BYTES_MAX;
	const struct fact fact = { .kind = FACT_BYTES, .value = contents, .value_len = file->size };

	memset(contents, 0, file->size);
	for (u32 i = 0; i < file->nr_runs; i++) {
		const struct source_run *run = &queue->runs.items[file->first_run + i];
		u64 len = run_bytes(file, run);
		u64 end = window_end(queue, run->physical, run->physical + len, file + 1, last);
		int err = len ? read_window(queue->v->input->source, window, run->physical, len, end,
					    contents + run->file_offset, d)
			      : 0;

		if (err)
			return err;
	}
	return queue->sink->add(queue->sink, file->ino, &fact, d);
}

static int read_files(void *ctx, unsigned worker, u64 job, struct diag *d)
{
	struct reading *r = ctx;
	const struct small_file *file = r->queue->files.items + job * FILES_PER_JOB;
	const struct small_file *last = r->queue->files.items + MIN((job + 1) * FILES_PER_JOB, (u64)r->queue->files.len);
	int err = 0;

	r->windows[worker].len = 0;
	for (; file < last && !err; file++)
		err = read_file(r, worker, file, last, d);
	return err;
}

static int reading_new(struct reading *r, unsigned threads)
{
	r->windows = calloc(threads, sizeof(*r->windows));
	r->contents = malloc((size_t)threads * CONTENTS_BYTES_MAX);
	if (!r->windows || !r->contents)
		return -ENOMEM;
	for (unsigned i = 0; i < threads; i++) {
		r->windows[i].bytes = malloc(WINDOW_BYTES);
		if (!r->windows[i].bytes)
			return -ENOMEM;
	}
	return 0;
}

static void reading_done(struct reading *r, unsigned threads)
{
	for (unsigned i = 0; r->windows && i < threads; i++)
		free(r->windows[i].bytes);
	free(r->windows);
	free(r->contents);
}

int contents_queue_flush(struct contents_queue *queue, struct diag *d)
{
	struct reading r = { .queue = queue };
	struct pool *pool = queue->v->input->pool;
	unsigned threads = pool_threads(pool);
	int err;

	if (!queue->files.len)
		return 0;
	qsort_r(queue->files.items, queue->files.len, sizeof(*queue->files.items), by_place, queue);
	err = reading_new(&r, threads) < 0 ? diag_no_memory(d, "contents of small files") : 0;
	if (!err)
		err = pool_for_each(pool, (queue->files.len + FILES_PER_JOB - 1) / FILES_PER_JOB, read_files, &r, d);
	reading_done(&r, threads);
	queue->files.len = queue->runs.len = 0;
	return err;
}

int contents_queue_add(struct contents_queue *queue, u64 ino, u32 size, const struct source_run *runs, size_t nr_runs,
		       struct diag *d)
{
	struct small_file file = { ino, size, (u32)queue->runs.len, 0 };

	if (array_reserve(&queue->runs, nr_runs) < 0)
		return diag_no_memory(d, "small files");
	/* What is behind the file's end is of no interest; as each run has a byte at least, there are no more than bytes. */
	for (size_t i = 0; i < nr_runs && runs[i].file_offset < size; i++) {
		queue->runs.items[queue->runs.len++] = runs[i];
		file.nr_runs++;
	}
	if (array_push(&queue->files, file) < 0)
		return diag_no_memory(d, "small files");
	return queue->files.len < QUEUE_FILES_MAX ? 0 : contents_queue_flush(queue, d);
}

void contents_queue_done(struct contents_queue *queue)
{
	array_done(&queue->files);
	array_done(&queue->runs);
}
