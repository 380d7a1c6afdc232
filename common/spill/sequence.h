/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A list of records of one size that only grows, and is read from any place, mostly from the beginning to the end. As much
 * as may be is in memory; what comes after that is in a temporary file.
 *
 * One thread appends; after that, any number may read, each with a reader of its own.
 */
#ifndef BTRKIT_COMMON_SPILL_SEQUENCE_H
#define BTRKIT_COMMON_SPILL_SEQUENCE_H

#include "common/spill/spill.h"

struct sequence;

/* @memory_bytes: of records in memory, at most; buffers of up to 64 KiB come on top. @spill must outlive the sequence. */
int sequence_new(struct spill *spill, size_t record_bytes, size_t memory_bytes, struct sequence **ret_sequence);
void sequence_free(struct sequence *sequence); /* NULL allowed */

int sequence_append(struct sequence *sequence, const void *record, struct diag *d);
u64 sequence_count(const struct sequence *sequence);

/* Where a reader stands. No reader may be left when the sequence is freed. */
struct sequence_reader {
	const struct sequence *sequence;
	u64 next; /* index of the record that is read next: set it to read elsewhere */
	u64 buffer_bytes; /* read at once from the file; 0: a buffer */
	u8 *buffer;
	u64 first; /* of the buffer */
	u64 nr; /* in the buffer */
};

static inline struct sequence_reader sequence_read_from(const struct sequence *sequence, u64 first)
{
	return (struct sequence_reader){ .sequence = sequence, .next = first };
}

/*
 * *ret_record is the next record, and valid until the reader is used again. 1: there is none.
 */
int sequence_next(struct sequence_reader *reader, const void **ret_record, struct diag *d);
void sequence_reader_done(struct sequence_reader *reader);

#endif
