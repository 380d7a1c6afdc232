/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/spill/sorter.h"

#include <sys/mman.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"

/* Records of the first piece of memory; it doubles from there. */
#define FIRST_BYTES (64 * KIB)
#define RECORDS_MIN 16
/* What is read from a run at once, if there is memory for it: less makes disks seek. */
#define MERGE_BYTES (16 * KIB)

/* Sorted records in the file. */
struct run {
	u64 offset, nr;
};

/* A run that is being merged. */
struct merging {
	struct run left; /* what is not in the buffer */
	u8 *buffer;
	size_t at, nr; /* records in the buffer: the current one, how many */
};

struct sorter {
	struct spill *spill;
	size_t record_bytes, memory_bytes;
	sorter_compare_fn compare;
	pthread_mutex_t lock; /* guards what follows while records are added */
	u64 count;
	/* Unsorted records. Mapped, not allocated: growing does not copy, and what is freed is free at once. */
	u8 *records;
	size_t nr, capacity, capacity_max;
	size_t next; /* to be read, when all fitted */
	int fd;
	u64 file_end;
	ARRAY(struct run) runs;
	/* The merge: a heap of the runs by their current records. */
	u8 *buffers;
	size_t per_buffer; /* records */
	struct merging *merging;
	size_t *heap, nr_heap;
	bool is_begun; /* heap[0]'s current record has been handed out */
};

/*
 * qsort() of glibc merges in memory of its own: as much again for small records, pointers for large ones.
 */
static size_t bytes_to_sort(size_t record_bytes)
{
	return record_bytes + (record_bytes <= 32 ? record_bytes : 2 * sizeof(void *));
}

int sorter_new(struct spill *spill, size_t record_bytes, size_t memory_bytes, sorter_compare_fn compare,
	       struct sorter **ret_sorter)
{
	struct sorter *sorter = calloc(1, sizeof(*sorter));

	if (!sorter)
		return -ENOMEM;
	sorter->spill = spill;
	sorter->record_bytes = record_bytes;
	sorter->memory_bytes = memory_bytes;
	sorter->compare = compare;
	sorter->capacity_max = MAX(memory_bytes / bytes_to_sort(record_bytes), (size_t)RECORDS_MIN);
	sorter->fd = -1;
	pthread_mutex_init(&sorter->lock, NULL);
	*ret_sorter = sorter;
	return 0;
}

static void free_records(struct sorter *sorter)
{
	if (sorter->records)
		(void)munmap(sorter->records, sorter->capacity * sorter->record_bytes);
	sorter->records = NULL;
	sorter->nr = sorter->capacity = 0;
}

static void free_merge(struct sorter *sorter)
{
	free(sorter->buffers);
	free(sorter->merging);
	free(sorter->heap);
	sorter->buffers = NULL;
	sorter->merging = NULL;
	sorter->heap = NULL;
}

void sorter_free(struct sorter *sorter)
{
	if (!sorter)
		return;
	free_records(sorter);
	free_merge(sorter);
	array_done(&sorter->runs);
	closep(&sorter->fd);
	pthread_mutex_destroy(&sorter->lock);
	free(sorter);
}

u64 sorter_count(const struct sorter *sorter)
{
	return sorter->count;
}

/* --- Gathering ----------------------------------------------------------------------------------------------------- */

static int grow(struct sorter *sorter, struct diag *d)
{
	size_t first = MAX(FIRST_BYTES / sorter->record_bytes, (size_t)1);
	size_t capacity = MIN(sorter->capacity ? sorter->capacity * 2 : first, sorter->capacity_max);
	size_t bytes = capacity * sorter->record_bytes;
	void *grown = sorter->records ? mremap(sorter->records, sorter->capacity * sorter->record_bytes, bytes, MREMAP_MAYMOVE) :
					mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (grown == MAP_FAILED)
		return diag_no_memory(d, "a table that is sorted");
	sorter->records = grown;
	sorter->capacity = capacity;
	return 0;
}

/* Much of what is sorted comes sorted. */
static bool is_sorted(const struct sorter *sorter)
{
	for (size_t i = 1; i < sorter->nr; i++)
		if (sorter->compare(sorter->records + (i - 1) * sorter->record_bytes, sorter->records + i * sorter->record_bytes) > 0)
			return false;
	return true;
}

static void sort_records(struct sorter *sorter)
{
	if (sorter->nr > 1 && !is_sorted(sorter))
		qsort(sorter->records, sorter->nr, sorter->record_bytes, sorter->compare);
}

static int write_run(struct sorter *sorter, struct diag *d)
{
	const struct run run = { sorter->file_end, sorter->nr };
	int err = 0;

	if (sorter->nr == 0)
		return 0;
	sort_records(sorter);
	if (sorter->fd < 0)
		err = temporary_file_open(sorter->spill->dir, &sorter->fd, d);
	if (!err)
		err = spill_write(sorter->spill, sorter->fd, run.offset, sorter->records, sorter->nr * sorter->record_bytes, d);
	if (!err && array_push(&sorter->runs, run) < 0)
		err = diag_no_memory(d, "a table that is sorted");
	if (err)
		return err;
	sorter->file_end += sorter->nr * sorter->record_bytes;
	sorter->nr = 0;
	return 0;
}

int sorter_add(struct sorter *sorter, const void *records, size_t nr, struct diag *d)
{
	const u8 *from = records;
	int err = 0;

	LOCK_SCOPE(&sorter->lock);
	while (nr > 0 && !err) {
		size_t some = MIN(nr, sorter->capacity - sorter->nr);

		if (some == 0) {
			err = sorter->capacity < sorter->capacity_max ? grow(sorter, d) : write_run(sorter, d);
			continue;
		}
		memcpy(sorter->records + sorter->nr * sorter->record_bytes, from, some * sorter->record_bytes);
		sorter->nr += some;
		sorter->count += some;
		from += some * sorter->record_bytes;
		nr -= some;
	}
	return err;
}

/* --- Merging --------------------------------------------------------------------------------------------------------- */

static const u8 *current(const struct sorter *sorter, size_t run)
{
	const struct merging *merging = &sorter->merging[run];

	return merging->buffer + merging->at * sorter->record_bytes;
}

static bool comes_before(const struct sorter *sorter, size_t a, size_t b)
{
	int order = sorter->compare(current(sorter, a), current(sorter, b));

	return order ? order < 0 : a < b;
}

static void sift_down(struct sorter *sorter, size_t at)
{
	for (;;) {
		size_t child = 2 * at + 1, run = sorter->heap[at];

		if (child >= sorter->nr_heap)
			return;
		if (child + 1 < sorter->nr_heap && comes_before(sorter, sorter->heap[child + 1], sorter->heap[child]))
			child++;
		if (!comes_before(sorter, sorter->heap[child], run))
			return;
		sorter->heap[at] = sorter->heap[child];
		sorter->heap[child] = run;
		at = child;
	}
}

/* The next part of a run. 1: it has come to its end. */
static int refill(struct sorter *sorter, struct merging *merging, struct diag *d)
{
	size_t nr = (size_t)MIN(merging->left.nr, (u64)sorter->per_buffer);
	int err;

	if (nr == 0)
		return 1;
	err = spill_read(sorter->spill, sorter->fd, merging->left.offset, merging->buffer, nr * sorter->record_bytes, d);
	merging->left.offset += nr * sorter->record_bytes;
	merging->left.nr -= nr;
	merging->at = 0;
	merging->nr = nr;
	return err;
}

/* Begin to merge runs [first, first + nr). */
static int merge_begin(struct sorter *sorter, size_t first, size_t nr, struct diag *d)
{
	int err = 0;

	free_merge(sorter);
	sorter->per_buffer = MAX(sorter->memory_bytes / (nr + 1) / sorter->record_bytes, (size_t)1);
	sorter->buffers = malloc(nr * sorter->per_buffer * sorter->record_bytes);
	sorter->merging = calloc(nr, sizeof(*sorter->merging));
	sorter->heap = calloc(nr, sizeof(*sorter->heap));
	if (!sorter->buffers || !sorter->merging || !sorter->heap)
		return diag_no_memory(d, "a table that is sorted");
	sorter->nr_heap = nr;
	for (size_t i = 0; i < nr && !err; i++) {
		sorter->merging[i] = (struct merging){ .left = sorter->runs.items[first + i],
						       .buffer = sorter->buffers + i * sorter->per_buffer * sorter->record_bytes };
		sorter->heap[i] = i;
		err = refill(sorter, &sorter->merging[i], d); /* no run is empty */
	}
	for (size_t i = nr / 2; i > 0 && !err; i--)
		sift_down(sorter, i - 1);
	sorter->is_begun = false;
	return err;
}

static int merge_next(struct sorter *sorter, const void **ret_record, struct diag *d)
{
	struct merging *top;
	int err = 0;

	if (sorter->nr_heap && sorter->is_begun) {
		top = &sorter->merging[sorter->heap[0]];
		if (++top->at == top->nr)
			err = refill(sorter, top, d);
		if (err == 1)
			sorter->heap[0] = sorter->heap[--sorter->nr_heap];
		if (err < 0)
			return err;
		sift_down(sorter, 0);
	}
	sorter->is_begun = true;
	if (sorter->nr_heap == 0)
		return 1;
	*ret_record = current(sorter, sorter->heap[0]);
	return 0;
}

struct merge_output {
	int fd;
	u64 end;
	ARRAY(struct run) runs;
	u8 *buffer;
	size_t nr, capacity; /* records in the buffer */
};

static int flush_output(struct sorter *sorter, struct merge_output *out, struct diag *d)
{
	int err = spill_write(sorter->spill, out->fd, out->end, out->buffer, out->nr * sorter->record_bytes, d);

	out->end += out->nr * sorter->record_bytes;
	out->nr = 0;
	return err;
}

/* Make one run of runs [first, first + nr). */
static int merge_some(struct sorter *sorter, size_t first, size_t nr, struct merge_output *out, struct diag *d)
{
	struct run run = { .offset = out->end };
	int err = merge_begin(sorter, first, nr, d);
	const void *record;

	while (!err && (err = merge_next(sorter, &record, d)) == 0) {
		memcpy(out->buffer + out->nr++ * sorter->record_bytes, record, sorter->record_bytes);
		run.nr++;
		if (out->nr == out->capacity)
			err = flush_output(sorter, out, d);
	}
	if (err == 1)
		err = flush_output(sorter, out, d);
	if (!err && array_push(&out->runs, run) < 0)
		err = diag_no_memory(d, "a table that is sorted");
	return err;
}

/* Fewer and longer runs, in another file. */
static int merge_pass(struct sorter *sorter, size_t fan_in, struct diag *d)
{
	struct merge_output out = { .fd = -1, .capacity = MAX(MERGE_BYTES / sorter->record_bytes, (size_t)1) };
	int err;

	out.buffer = malloc(out.capacity * sorter->record_bytes);
	err = out.buffer ? temporary_file_open(sorter->spill->dir, &out.fd, d) : diag_no_memory(d, "a table that is sorted");
	for (size_t first = 0; first < sorter->runs.len && !err; first += fan_in)
		err = merge_some(sorter, first, MIN(fan_in, sorter->runs.len - first), &out, d);
	free_merge(sorter);
	free(out.buffer);
	if (err) {
		closep(&out.fd);
		array_done(&out.runs);
		return err;
	}
	closep(&sorter->fd);
	array_done(&sorter->runs);
	sorter->fd = out.fd;
	memcpy(&sorter->runs, &out.runs, sizeof(sorter->runs));
	return 0;
}

int sorter_sort(struct sorter *sorter, struct diag *d)
{
	size_t fan_in = MAX(sorter->memory_bytes / MERGE_BYTES, (size_t)3) - 1;
	int err;

	if (sorter->runs.len == 0) {
		sort_records(sorter);
		return 0;
	}
	err = write_run(sorter, d);
	free_records(sorter);
	while (!err && sorter->runs.len > fan_in)
		err = merge_pass(sorter, fan_in, d);
	return err ? err : merge_begin(sorter, 0, sorter->runs.len, d);
}

int sorter_next(struct sorter *sorter, const void **ret_record, struct diag *d)
{
	if (sorter->runs.len)
		return merge_next(sorter, ret_record, d);
	if (sorter->next == sorter->nr)
		return 1;
	*ret_record = sorter->records + sorter->next++ * sorter->record_bytes;
	return 0;
}
