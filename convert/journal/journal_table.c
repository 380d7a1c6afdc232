/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/journal/journal_table.h"

#include "common/base/array.h"

/* What is written to the temporary file at once. */
#define WRITE_BYTES (256 * KIB)
/* What is read of it at once, and how many times that for who goes on where it has been, or knows that it lies there. */
#define STEP_BYTES (4 * KIB)
#define STEPS_MAX 16
#define MARKS_MIN 1024

int journal_table_init(struct journal_table *table, size_t record_bytes, size_t memory_bytes, const char *dir)
{
	*table = (struct journal_table){ .record_bytes = record_bytes, .fd = -1 };
	table->marks_max = MAX(memory_bytes / 4 / record_bytes, (size_t)MARKS_MIN);
	table->memory_bytes = memory_bytes - memory_bytes / 4;
	table->step_records = MAX((size_t)STEP_BYTES / record_bytes, (size_t)1);
	table->stride = table->step_records;
	table->dir = strdup(dir);
	return table->dir ? 0 : -ENOMEM;
}

void journal_table_done(struct journal_table *table)
{
	free(table->held);
	free(table->marks);
	free(table->dir);
	closep(&table->fd);
}

/* --- Writing -------------------------------------------------------------------------------------------------- */

/* Every other one goes. */
static void thin_marks(struct journal_table *table)
{
	for (size_t i = 1; 2 * i < table->nr_marks; i++)
		memcpy(table->marks + i * table->record_bytes, table->marks + 2 * i * table->record_bytes, table->record_bytes);
	table->nr_marks = (table->nr_marks + 1) / 2;
	table->stride *= 2;
}

static int mark_held(struct journal_table *table, struct diag *d)
{
	size_t first = table->nr - table->nr_held;

	if (!table->marks) {
		table->marks = calloc(table->marks_max, table->record_bytes);
		if (!table->marks)
			return diag_no_memory(d, "records of a journal");
	}
	for (size_t i = 0; i < table->nr_held; i++) {
		if ((first + i) % table->stride != 0)
			continue;
		if (table->nr_marks == table->marks_max)
			thin_marks(table);
		if ((first + i) % table->stride == 0)
			memcpy(table->marks + table->nr_marks++ * table->record_bytes, table->held + i * table->record_bytes,
			       table->record_bytes);
	}
	return 0;
}

/* What is held in memory goes to the end of the file. */
static int flush_held(struct journal_table *table, struct spill *spill, struct diag *d)
{
	size_t len = table->nr_held * table->record_bytes;
	int err = mark_held(table, d);

	if (!err && table->fd < 0)
		err = temporary_file_open(spill->dir, &table->fd, d);
	if (!err)
		err = spill_write(spill, table->fd, table->file_bytes, table->held, len, d);
	if (err)
		return err;
	table->file_bytes += len;
	table->nr_held = 0;
	return 0;
}

int journal_table_append(struct journal_table *table, struct spill *spill, const void *record, struct diag *d)
{
	size_t record_bytes = table->record_bytes;
	size_t held_max = MAX((table->fd < 0 ? table->memory_bytes : (size_t)WRITE_BYTES) / record_bytes, (size_t)1);
	int err = 0;

	if (table->nr_held >= held_max)
		err = flush_held(table, spill, d);
	if (err)
		return err;
	if (array_grow((void **)&table->held, &table->held_capacity, table->nr_held, 1, record_bytes) < 0)
		return diag_no_memory(d, "records of a journal");
	memcpy(table->held + table->nr_held++ * record_bytes, record, record_bytes);
	table->nr++;
	return 0;
}

int journal_table_end(struct journal_table *table, struct spill *spill, struct diag *d)
{
	int err;

	if (table->fd < 0)
		return 0;
	err = flush_held(table, spill, d);
	free(table->held);
	table->held = NULL;
	table->held_capacity = 0;
	return err;
}

/* --- Reading -------------------------------------------------------------------------------------------------- */

/* @first: where a step begins. */
static int load_window(const struct journal_table *table, struct journal_window *window, size_t first, size_t steps, struct diag *d)
{
	const struct spill spill = { .dir = table->dir };
	size_t nr = MIN(steps * table->step_records, table->nr - first);
	u64 at = (u64)first * table->record_bytes;
	struct diag why = { 0 };
	int err;

	window->nr = 0;
	if (!window->bytes)
		window->bytes = malloc(STEPS_MAX * table->step_records * table->record_bytes);
	if (!window->bytes)
		return diag_no_memory(d, "records of a journal");
	err = spill_read(&spill, table->fd, at, window->bytes, nr * table->record_bytes, &why);
	if (err)
		return diag_fail(d, -ENOTRECOVERABLE, "records of a journal, byte %llu of their table: %s", (unsigned long long)at,
				 why.text);
	window->first = first;
	window->nr = nr;
	return 0;
}

int journal_table_at(const struct journal_table *table, struct journal_window *window, size_t index, const void **ret_record,
		     struct diag *d)
{
	if (index >= table->nr)
		return 1;
	if (table->fd < 0) {
		*ret_record = table->held + index * table->record_bytes;
		return 0;
	}
	if (index < window->first || index - window->first >= window->nr) {
		size_t first = index - index % table->step_records;
		bool goes_on = window->nr > 0 && first == window->first + window->nr;
		int err = load_window(table, window, first, goes_on ? STEPS_MAX : 1, d);

		if (err)
			return err;
	}
	*ret_record = window->bytes + (index - window->first) * table->record_bytes;
	return 0;
}

/* Of [*low, *high) what can have the first record that is not less than @key: as far as the marks tell. */
static void narrow(const struct journal_table *table, const void *key, int (*compare_keys)(const void *a, const void *b), size_t *low,
		   size_t *high)
{
	size_t first = 0, end = table->nr_marks;

	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (compare_keys(table->marks + middle * table->record_bytes, key) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	if (first < table->nr_marks)
		*high = first * table->stride;
	if (first > 0)
		*low = (first - 1) * table->stride + 1;
}

/* Is the first record that is not less than @key in the window as it is? It often is, as who looks up one key looks up its neighbours. */
static bool is_in_window(const struct journal_table *table, const struct journal_window *window, const void *key,
			 int (*compare_keys)(const void *a, const void *b))
{
	return window->nr > 0 && compare_keys(window->bytes, key) < 0 &&
	       compare_keys(window->bytes + (window->nr - 1) * table->record_bytes, key) >= 0;
}

int journal_table_seek(const struct journal_table *table, struct journal_window *window, const void *key,
		       int (*compare_keys)(const void *a, const void *b), size_t *ret_index, struct diag *d)
{
	size_t low = 0, high = table->nr;
	int err = 0;

	if (is_in_window(table, window, key, compare_keys)) {
		low = window->first + 1;
		high = window->first + window->nr - 1;
	} else {
		narrow(table, key, compare_keys, &low, &high);
		if (table->fd >= 0 && low < high && table->stride <= STEPS_MAX * table->step_records)
			err = load_window(table, window, low - low % table->step_records, table->stride / table->step_records, d);
	}
	while (!err && low < high) {
		size_t middle = low + (high - low) / 2;
		const void *record;

		err = journal_table_at(table, window, middle, &record, d);
		if (err)
			return err;
		if (compare_keys(record, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_index = low;
	return err;
}
