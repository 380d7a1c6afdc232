/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/spill/sequence.h"

#include "common/base/array.h"
#include "common/base/cleanup.h"

/* Of what is allocated, written and read at once: at most, and in records at least. */
#define CHUNK_BYTES (64 * KIB)
#define CHUNK_RECORDS_MIN 16

struct sequence {
	struct spill *spill;
	size_t record_bytes;
	u64 per_chunk; /* records */
	u64 in_memory; /* records, at most */
	u64 count;
	ARRAY(u8 *) chunks;
	/* What does not fit: record i is at (i - in_memory) * record_bytes, unless it is still in tail. */
	int fd;
	u8 *tail;
	u64 tail_first; /* index of the record that tail begins with */
};

int sequence_new(struct spill *spill, size_t record_bytes, size_t memory_bytes, struct sequence **ret_sequence)
{
	struct sequence *sequence = calloc(1, sizeof(*sequence));

	if (!sequence)
		return -ENOMEM;
	sequence->spill = spill;
	sequence->record_bytes = record_bytes;
	sequence->per_chunk = MAX(MIN(CHUNK_BYTES, (u64)memory_bytes / 8) / record_bytes, (u64)CHUNK_RECORDS_MIN);
	sequence->in_memory = memory_bytes / (sequence->per_chunk * record_bytes) * sequence->per_chunk;
	sequence->tail_first = sequence->in_memory;
	sequence->fd = -1;
	*ret_sequence = sequence;
	return 0;
}

void sequence_free(struct sequence *sequence)
{
	if (!sequence)
		return;
	array_for_each(&sequence->chunks, chunk)
		free(*chunk);
	array_done(&sequence->chunks);
	closep(&sequence->fd);
	free(sequence->tail);
	free(sequence);
}

u64 sequence_count(const struct sequence *sequence)
{
	return sequence->count;
}

static int append_in_memory(struct sequence *sequence, const void *record, struct diag *d)
{
	u64 chunk = sequence->count / sequence->per_chunk, at = sequence->count % sequence->per_chunk;

	if (chunk == sequence->chunks.len) {
		u8 *bytes = malloc(sequence->per_chunk * sequence->record_bytes);

		if (!bytes || array_push(&sequence->chunks, bytes) < 0) {
			free(bytes);
			return diag_no_memory(d, "a table");
		}
	}
	memcpy(sequence->chunks.items[chunk] + at * sequence->record_bytes, record, sequence->record_bytes);
	sequence->count++;
	return 0;
}

static int flush_tail(struct sequence *sequence, struct diag *d)
{
	u64 nr = sequence->count - sequence->tail_first;
	u64 offset = (sequence->tail_first - sequence->in_memory) * sequence->record_bytes;
	int err = 0;

	if (sequence->fd < 0)
		err = temporary_file_open(sequence->spill->dir, &sequence->fd, d);
	if (!err)
		err = spill_write(sequence->spill, sequence->fd, offset, sequence->tail, nr * sequence->record_bytes, d);
	if (!err)
		sequence->tail_first = sequence->count;
	return err;
}

int sequence_append(struct sequence *sequence, const void *record, struct diag *d)
{
	u64 nr;
	int err = 0;

	if (sequence->count < sequence->in_memory)
		return append_in_memory(sequence, record, d);
	if (!sequence->tail)
		sequence->tail = malloc(sequence->per_chunk * sequence->record_bytes);
	if (!sequence->tail)
		return diag_no_memory(d, "a table");
	nr = sequence->count - sequence->tail_first;
	if (nr == sequence->per_chunk) {
		err = flush_tail(sequence, d);
		nr = 0;
	}
	if (!err)
		memcpy(sequence->tail + nr * sequence->record_bytes, record, sequence->record_bytes);
	sequence->count += !err;
	return err;
}

/* Fill the buffer with record @reader->next and what follows it in the file. */
static int load(struct sequence_reader *reader, struct diag *d)
{
	const struct sequence *sequence = reader->sequence;
	u64 most = reader->buffer_bytes ? MAX(reader->buffer_bytes / sequence->record_bytes, (u64)1) : sequence->per_chunk;
	u64 nr = MIN(most, sequence->tail_first - reader->next);
	int err;

	if (!reader->buffer)
		reader->buffer = malloc(most * sequence->record_bytes);
	if (!reader->buffer)
		return diag_no_memory(d, "a table");
	reader->nr = 0;
	err = spill_read(sequence->spill, sequence->fd, (reader->next - sequence->in_memory) * sequence->record_bytes,
			 reader->buffer, nr * sequence->record_bytes, d);
	if (err)
		return err;
	reader->first = reader->next;
	reader->nr = nr;
	return 0;
}

int sequence_next(struct sequence_reader *reader, const void **ret_record, struct diag *d)
{
	const struct sequence *sequence = reader->sequence;
	u64 i = reader->next;
	int err = 0;

	if (i >= sequence->count)
		return 1;
	if (i < sequence->in_memory) {
		*ret_record = sequence->chunks.items[i / sequence->per_chunk] + i % sequence->per_chunk * sequence->record_bytes;
	} else if (i >= sequence->tail_first) {
		*ret_record = sequence->tail + (i - sequence->tail_first) * sequence->record_bytes;
	} else {
		if (reader->nr == 0 || i < reader->first || i - reader->first >= reader->nr)
			err = load(reader, d);
		if (!err)
			*ret_record = reader->buffer + (i - reader->first) * sequence->record_bytes;
	}
	reader->next += !err;
	return err;
}

void sequence_reader_done(struct sequence_reader *reader)
{
	free(reader->buffer);
	reader->buffer = NULL;
	reader->nr = 0;
}
