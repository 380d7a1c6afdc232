/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sorted records of an overlay, for journal_overlay.c only: in memory if they fit there, else all of them in a temporary file that
 * is read through windows. It is not mapped: what the file's filesystem can no longer read has to be an error, not a signal. Of every so
 * many records one is kept in memory, so that a search mostly reads one window.
 */
#ifndef BTRKIT_CONVERT_JOURNAL_JOURNAL_TABLE_H
#define BTRKIT_CONVERT_JOURNAL_JOURNAL_TABLE_H

#include "convert/journal/journal_overlay.h"

struct journal_table {
	size_t record_bytes;
	size_t nr; /* records in all */
	size_t memory_bytes; /* for the table, before it goes to a file */
	u8 *held; /* all records; of a file that is being written, its end */
	size_t nr_held, held_capacity;
	int fd; /* of the file; -1: none */
	u64 file_bytes;
	char *dir; /* where the file is, for errors */
	size_t step_records; /* read at once */
	/* Records 0, stride, 2 * stride... of the file; stride is step_records or a multiple, as there is room for marks_max only. */
	u8 *marks;
	size_t nr_marks, marks_max, stride;
};

int journal_table_init(struct journal_table *table, size_t record_bytes, size_t memory_bytes, const char *dir);
void journal_table_done(struct journal_table *table);

/* @record is not less than the last one. */
int journal_table_append(struct journal_table *table, struct spill *spill, const void *record, struct diag *d);
/* No more will come. */
int journal_table_end(struct journal_table *table, struct spill *spill, struct diag *d);

/* As journal_overlay_at() and journal_overlay_seek(). */
int journal_table_at(const struct journal_table *table, struct journal_window *window, size_t index, const void **ret_record,
		     struct diag *d);
int journal_table_seek(const struct journal_table *table, struct journal_window *window, const void *key,
		       int (*compare_keys)(const void *a, const void *b), size_t *ret_index, struct diag *d);

#endif
