/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/journal/journal_overlay.h"

#include "common/spill/sorter.h"
#include "convert/journal/journal_table.h"

struct journal_overlay {
	const struct journal_kind *kind;
	struct spill *spill; /* until it is finished */
	struct sorter *sorter; /* until then */
	u8 *open; /* the newest record so far of the key that is being gone through; behind it room for the next */
	bool is_open;
	struct journal_table table;
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
	err = journal_table_init(&overlay->table, kind->record_bytes, memory_bytes / 2, spill->dir);
	if (err)
		return err;
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
	journal_table_done(&overlay->table);
	free(overlay->open);
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

/* --- Gathering ------------------------------------------------------------------------------------------------ */

/* No newer record for the key of the last one will come. */
static int end_key(struct journal_overlay *overlay, struct diag *d)
{
	if (!overlay->is_open)
		return 0;
	overlay->is_open = false;
	if (!overlay->kind->keeps_deletions && journal_overlay_is_deletion(overlay, overlay->open))
		return 0;
	return journal_table_append(&overlay->table, overlay->spill, overlay->open, d);
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
	if (!err)
		err = journal_table_end(&overlay->table, overlay->spill, d);
	if (err)
		return err;
	sorter_free(overlay->sorter);
	overlay->sorter = NULL;
	overlay->spill = NULL;
	return 0;
}

/* --- Looking up ----------------------------------------------------------------------------------------------- */

void journal_window_done(struct journal_window *window)
{
	free(window->bytes);
	*window = (struct journal_window){ 0 };
}

size_t journal_overlay_count(const struct journal_overlay *overlay)
{
	return overlay->table.nr;
}

u64 journal_overlay_file_bytes(const struct journal_overlay *overlay)
{
	return overlay->table.file_bytes;
}

int journal_overlay_at(const struct journal_overlay *overlay, struct journal_window *window, size_t index, const void **ret_record,
		       struct diag *d)
{
	return journal_table_at(&overlay->table, window, index, ret_record, d);
}

int journal_overlay_seek(const struct journal_overlay *overlay, struct journal_window *window, const void *key, size_t *ret_index,
			 struct diag *d)
{
	return journal_table_seek(&overlay->table, window, key, overlay->kind->compare_keys, ret_index, d);
}

int journal_overlay_find(const struct journal_overlay *overlay, struct journal_window *window, const void *key,
			 const void **ret_record, struct diag *d)
{
	size_t index;
	int err = journal_overlay_seek(overlay, window, key, &index, d);

	if (!err)
		err = journal_overlay_at(overlay, window, index, ret_record, d);
	if (err)
		return err;
	return overlay->kind->compare_keys(*ret_record, key) == 0 ? 0 : 1;
}
