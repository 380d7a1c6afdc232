/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sorts records of one size, more of them than fit into memory if need be: what has been gathered when its memory is full
 * is sorted and written to a temporary file as a run, and the runs are merged while they are read. If everything fits,
 * nothing is written.
 */
#ifndef BTRKIT_COMMON_SPILL_SORTER_H
#define BTRKIT_COMMON_SPILL_SORTER_H

#include "common/spill/spill.h"

struct sorter;

typedef int (*sorter_compare_fn)(const void *a, const void *b);

/*
 * @compare: as for qsort(). Records for which it says 0 come in any order. @memory_bytes: used at most, what qsort() itself
 * needs included; some few records are always possible. @spill must outlive the sorter.
 */
int sorter_new(struct spill *spill, size_t record_bytes, size_t memory_bytes, sorter_compare_fn compare,
	       struct sorter **ret_sorter);
void sorter_free(struct sorter *sorter); /* NULL allowed */

/* Add @nr records; by any number of threads at once. */
int sorter_add(struct sorter *sorter, const void *records, size_t nr, struct diag *d);

/* How many have been added. */
u64 sorter_count(const struct sorter *sorter);

/* All have been added: from now on they can be read, by one thread. */
int sorter_sort(struct sorter *sorter, struct diag *d);

/* *ret_record is the next record in the order, valid until the next call. 1: there is none left. */
int sorter_next(struct sorter *sorter, const void **ret_record, struct diag *d);

#endif
