/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/journal/journal_overlay.h"

#include "common/base/array.h"
#include "common/spill/sorter.h"

struct journal_overlay {
	const struct journal_kind *kind;
	struct sorter *sorter; /* until it is finished */
	u8 *records; /* then */
	size_t nr, capacity;
};

int journal_overlay_new(const struct journal_kind *kind, struct spill *spill, size_t memory_bytes,
			struct journal_overlay **ret_overlay)
{
	_cleanup_(journal_overlay_freep) struct journal_overlay *overlay = calloc(1, sizeof(*overlay));
	int err;

	if (!overlay)
		return -ENOMEM;
	overlay->kind = kind;
	err = sorter_new(spill, kind->record_bytes, memory_bytes, kind->compare, &overlay->sorter);
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
	free(overlay->records);
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

static void *record_at(const struct journal_overlay *overlay, size_t index)
{
	return overlay->records + index * overlay->kind->record_bytes;
}

/* No newer record for the key of the last one will come. */
static void end_key(struct journal_overlay *overlay)
{
	if (overlay->nr > 0 && !overlay->kind->keeps_deletions &&
	    journal_overlay_is_deletion(overlay, record_at(overlay, overlay->nr - 1)))
		overlay->nr--;
}

/*
 * Records come in the order of keys, and of equal keys the newest last. The one at the end of the table is the newest so far of
 * its key; behind it is room for one more.
 */
static int take(struct journal_overlay *overlay, const void *record, bool *is_open)
{
	const struct journal_kind *kind = overlay->kind;
	void *last = *is_open ? record_at(overlay, overlay->nr - 1) : NULL;
	void *next;

	if (last && kind->compare_keys(last, record) != 0) {
		end_key(overlay);
		last = NULL;
	}
	if (array_grow((void **)&overlay->records, &overlay->capacity, overlay->nr, 2, kind->record_bytes) < 0)
		return -ENOMEM;
	next = record_at(overlay, overlay->nr);
	memcpy(next, record, kind->record_bytes);
	if (!last) {
		overlay->nr++;
		*is_open = true;
		return 0;
	}
	last = record_at(overlay, overlay->nr - 1);
	if (kind->replace)
		kind->replace(next, last);
	memcpy(last, next, kind->record_bytes);
	return 0;
}

int journal_overlay_finish(struct journal_overlay *overlay, bool (*is_wanted)(const void *ctx, const void *record),
			   const void *ctx, struct diag *d)
{
	const void *record;
	bool is_open = false; /* the last record may still be replaced */
	int err = sorter_sort(overlay->sorter, d);

	while (!err && (err = sorter_next(overlay->sorter, &record, d)) == 0)
		if ((!is_wanted || is_wanted(ctx, record)) && take(overlay, record, &is_open) < 0)
			return diag_no_memory(d, "records of a journal");
	if (err < 0)
		return err;
	if (is_open)
		end_key(overlay);
	sorter_free(overlay->sorter);
	overlay->sorter = NULL;
	return 0;
}

size_t journal_overlay_count(const struct journal_overlay *overlay)
{
	return overlay->nr;
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
