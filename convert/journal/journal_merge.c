/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/journal/journal_merge.h"

/* merge->item is the next one, unless the source has none left. */
static int look_at_source(struct journal_merge *merge, struct diag *d)
{
	int err;

	if (merge->has_item || merge->is_source_done)
		return 0;
	err = merge->next(merge->ctx, &merge->item, d);
	if (err < 0)
		return err;
	merge->is_source_done = err == 1;
	merge->has_item = err == 0;
	return 0;
}

int journal_merge_next(struct journal_merge *merge, struct journal_merged *ret_merged, struct diag *d)
{
	for (;;) {
		const void *record = NULL;
		int order, err = look_at_source(merge, d);

		if (!err && merge->at < merge->end)
			err = journal_overlay_at(merge->overlay, merge->window, merge->at, &record, d);
		if (err < 0)
			return err;
		if (!record && !merge->has_item)
			return 1;
		order = !record ? 1 : !merge->has_item ? -1 : merge->compare(record, merge->item);
		if (order > 0) {
			*ret_merged = (struct journal_merged){ .item = merge->item };
			merge->has_item = false;
			return 0;
		}
		*ret_merged = (struct journal_merged){ record, order == 0 ? merge->item : NULL };
		merge->at++;
		if (order == 0)
			merge->has_item = false;
		if (!journal_overlay_is_deletion(merge->overlay, record))
			return 0;
	}
}
