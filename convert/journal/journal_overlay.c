/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/journal/journal_overlay.h"

#include <sys/mman.h>

#include "common/base/array.h"
#include "common/spill/sorter.h"

/* What is written to the temporary file at once. */
#define WRITE_BYTES (256 * KIB)

struct journal_overlay {
	const struct journal_kind *kind;
	struct spill *spill; /* until it is finished */
	struct sorter *sorter; /* until then */
	u8 *open; /* the newest record so far of the key that is being gone through; behind it room for the next */
	bool is_open;
	size_t memory_bytes; /* for the table, before it goes to a file */
	int fd; /* of the file, until it is mapped; -1: none */
	u64 file_bytes;
	u8 *records; /* the table; while a file is written, its end */
	size_t nr_held, capacity; /* records there */
	size_t nr; /* in all */
	size_t mapped_bytes; /* 0: records are in memory */
};

int journal_overlay_new(const struct journal_kind *kind, struct spill *spill, size_t memory_bytes,
			struct journal_overlay **ret_overlay)
{
	_cleanup_(journal_overlay_freep) struct journal_overlay *overlay = calloc(1, sizeof(*overlay));
	int err;

	if (!overlay)
		return -ENOMEM;
	overlay->kind = kind;
	overlay->spill = spill;
	overlay->fd = -1;
	overlay->memory_bytes = memory_bytes / 2;
	overlay->open = malloc(2 * kind->record_bytes);
	if (!overlay->open)
		return -ENOMEM;
	err = sorter_new(spill, kind->record_bytes, memory_bytes - memory_bytes / 2, kind->compare, &overlay->sorter);
	if (err)
		return err;
	*ret_overlay = take_ptr(overlay);
	return 0;
}

void journal_overlay_free(struct journal_overlay *overlay)
{
	if (!overlay)
		return;
	sorter_free(overlay->sorter);
	if (overlay->mapped_bytes)
		(void)munmap(overlay->records, overlay->mapped_bytes);
	else
		free(overlay->records);
	free(overlay->open);
	closep(&overlay->fd);
	free(overlay);
}

int journal_overlay_add(struct journal_overlay *overlay, const void *record, struct diag *d)
{
	return sorter_add(overlay->sorter, record, 1, d);
}

bool journal_overlay_is_deletion(const struct journal_overlay *overlay, const void *record)
{
	return overlay->kind->is_deletion && overlay->kind->is_deletion(record);
}

/* --- The table ------------------------------------------------------------------------------------------------ */

/* What is held in memory goes to the end of the file. */
static int flush_held(struct journal_overlay *overlay, struct diag *d)
{
	size_t len = overlay->nr_held * overlay->kind->record_bytes;
	int err = 0;

	if (overlay->fd < 0)
		err = temporary_file_open(overlay->spill->dir, &overlay->fd, d);
	if (!err)
		err = spill_write(overlay->spill, overlay->fd, overlay->file_bytes, overlay->records, len, d);
	if (err)
		return err;
	overlay->file_bytes += len;
	overlay->nr_held = 0;
	return 0;
}

static int append(struct journal_overlay *overlay, const void *record, struct diag *d)
{
	size_t record_bytes = overlay->kind->record_bytes;
	size_t held_max = MAX((overlay->fd < 0 ? overlay->memory_bytes : (size_t)WRITE_BYTES) / record_bytes, (size_t)1);
	int err = 0;

	if (overlay->nr_held >= held_max)
		err = flush_held(overlay, d);
	if (err)
		return err;
	if (array_grow((void **)&overlay->records, &overlay->capacity, overlay->nr_held, 1, record_bytes) < 0)
		return diag_no_memory(d, "records of a journal");
	memcpy(overlay->records + overlay->nr_held++ * record_bytes, record, record_bytes);
	overlay->nr++;
	return 0;
}

/* No newer record for the key of the last one will come. */
static int end_key(struct journal_overlay *overlay, struct diag *d)
{
	if (!overlay->is_open)
		return 0;
	overlay->is_open = false;
	if (!overlay->kind->keeps_deletions && journal_overlay_is_deletion(overlay, overlay->open))
		return 0;
	return append(overlay, overlay->open, d);
}

/* Records come in the order of keys, and of equal keys the newest last. */
static int take(struct journal_overlay *overlay, const void *record, struct diag *d)
{
	const struct journal_kind *kind = overlay->kind;
	u8 *next = overlay->open + kind->record_bytes;
	int err = 0;

	if (overlay->is_open && kind->compare_keys(overlay->open, record) != 0)
		err = end_key(overlay, d);
	if (err)
		return err;
	memcpy(next, record, kind->record_bytes);
	if (overlay->is_open && kind->replace)
		kind->replace(next, overlay->open);
	memcpy(overlay->open, next, kind->record_bytes);
	overlay->is_open = true;
	return 0;
}

/* The file becomes the table. */
static int map_file(struct journal_overlay *overlay, struct diag *d)
{
	void *mapped;
	int err = flush_held(overlay, d);

	if (err)
		return err;
	mapped = overlay->file_bytes > SIZE_MAX ? MAP_FAILED :
						  mmap(NULL, (size_t)overlay->file_bytes, PROT_READ, MAP_SHARED, overlay->fd, 0);
	if (mapped == MAP_FAILED)
		return diag_no_memory(d, "records of a journal");
	free(overlay->records);
	overlay->records = mapped;
	overlay->mapped_bytes = (size_t)overlay->file_bytes;
	closep(&overlay->fd);
	return 0;
}

int journal_overlay_finish(struct journal_overlay *overlay, bool (*is_wanted)(const void *ctx, const void *record),
			   const void *ctx, struct diag *d)
{
	const void *record;
	int err = sorter_sort(overlay->sorter, d);

	while (!err && (err = sorter_next(overlay->sorter, &record, d)) == 0)
		if (!is_wanted || is_wanted(ctx, record))
			err = take(overlay, record, d);
	if (err == 1)
		err = end_key(overlay, d);
	if (!err && overlay->fd >= 0)
		err = map_file(overlay, d);
	if (err)
		return err;
	sorter_free(overlay->sorter);
	overlay->sorter = NULL;
	overlay->spill = NULL;
	return 0;
}

/* --- Looking up ----------------------------------------------------------------------------------------------- */

static const void *record_at(const struct journal_overlay *overlay, size_t index)
{
	return overlay->records + index * overlay->kind->record_bytes;
}

size_t journal_overlay_count(const struct journal_overlay *overlay)
{
	return overlay->nr;
}

u64 journal_overlay_file_bytes(const struct journal_overlay *overlay)
{
	return overlay->mapped_bytes;
}

const void *journal_overlay_at(const struct journal_overlay *overlay, size_t index)
{
	return index < overlay->nr ? record_at(overlay, index) : NULL;
}

size_t journal_overlay_seek(const struct journal_overlay *overlay, const void *key)
{
	size_t low = 0, high = overlay->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (overlay->kind->compare_keys(record_at(overlay, middle), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const void *journal_overlay_find(const struct journal_overlay *overlay, const void *key)
{
	const void *record = journal_overlay_at(overlay, journal_overlay_seek(overlay, key));

	return record && overlay->kind->compare_keys(record, key) == 0 ? record : NULL;
}
