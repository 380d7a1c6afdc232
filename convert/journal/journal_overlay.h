/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a journal says, as a sorted table to be laid over what is on the device. A journal is a list of entries, oldest first;
 * each says something newer of a few keys: blocks by number, or keys of b-trees. They are gathered as records of one size in any
 * order, sorted by key and age, and of equal keys only the newest is kept. Not even what it says need be in memory: a record may
 * tell where in the journal that is.
 *
 * What a record holds, its key and its age (sequence of the entry, place in it) belong to the kind of journal, which is a
 * table of functions. jbd2.c is one.
 *
 * While records are added, one thread uses the overlay; when it has been finished, any number may.
 */
#ifndef BTRKIT_CONVERT_JOURNAL_JOURNAL_OVERLAY_H
#define BTRKIT_CONVERT_JOURNAL_JOURNAL_OVERLAY_H

#include "common/base/cleanup.h"
#include "common/spill/spill.h"

struct journal_kind {
	size_t record_bytes;
	/* As for qsort(). By key alone: 0 means that one record replaces the other. */
	int (*compare_keys)(const void *a, const void *b);
	/* By key, and of equal keys the older one first. */
	int (*compare)(const void *a, const void *b);
	/* Does it say that its key, as whatever is older has it, is no more? NULL: there are no such records. */
	bool (*is_deletion)(const void *record);
	/*
	 * A deletion that is the newest of its key stays, as it hides what the device has. Else it only hides what the journal
	 * has, and goes.
	 */
	bool keeps_deletions;
	/*
	 * @newer is about to replace @older, which is what all before it came to: what has to be carried over, such as sums.
	 * NULL: nothing.
	 */
	void (*replace)(void *newer, const void *older);
};

struct journal_overlay;

/*
 * @kind stays the caller's and must outlive the overlay. @spill must live until it is finished. @memory_bytes: for records that
 * are being sorted, and for what is left of them in the end, half each. What does not fit goes to temporary files; that of the
 * finished table is read through windows.
 */
int journal_overlay_new(const struct journal_kind *kind, struct spill *spill, size_t memory_bytes,
			struct journal_overlay **ret_overlay);
void journal_overlay_free(struct journal_overlay *overlay); /* NULL allowed */
DEFINE_FREEP(struct journal_overlay *, journal_overlay_free)

int journal_overlay_add(struct journal_overlay *overlay, const void *record, struct diag *d);

/*
 * All have been added. Which entries count is often known only now (the last one may be incomplete): records for which
 * @is_wanted says no are as if they had not been added; NULL: all are wanted.
 */
int journal_overlay_finish(struct journal_overlay *overlay, bool (*is_wanted)(const void *ctx, const void *record),
			   const void *ctx, struct diag *d);

/* --- Finished ----------------------------------------------------------------------------------------------- */

/*
 * What a reader of the table has of it in memory, if the table is in a file: some KiB. One for each thread, and for each place that is
 * read from in turn with another; all zeroes to begin with. It must not be used with another overlay.
 *
 * What the functions below return of records is valid until the same window is used again. They fail with -ENOTRECOVERABLE if the
 * temporary file cannot be read (not -EIO, which would be taken for damage of the devices), with the place in the text, or -ENOMEM; those
 * of a table in memory never do.
 */
struct journal_window {
	u8 *bytes;
	size_t first, nr; /* the records that are there */
};
void journal_window_done(struct journal_window *window);

size_t journal_overlay_count(const struct journal_overlay *overlay);

/* How long the finished table's temporary file is; 0: it is in memory. */
u64 journal_overlay_file_bytes(const struct journal_overlay *overlay);

/* The record at @index, in the order of keys, of which each is there once. 1: there are not so many. */
int journal_overlay_at(const struct journal_overlay *overlay, struct journal_window *window, size_t index, const void **ret_record,
		       struct diag *d);

/* The index of the first record whose key is not less than that of @key, a record of which only the key is looked at. */
int journal_overlay_seek(const struct journal_overlay *overlay, struct journal_window *window, const void *key, size_t *ret_index,
			 struct diag *d);

/* The record with the key of @key; 1: the journal says nothing of it. */
int journal_overlay_find(const struct journal_overlay *overlay, struct journal_window *window, const void *key,
			 const void **ret_record, struct diag *d);

bool journal_overlay_is_deletion(const struct journal_overlay *overlay, const void *record);

#endif
