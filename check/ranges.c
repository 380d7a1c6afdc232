/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/ranges.h"

/* Ranges that are read at once in a search: a page of them. */
#define STRIDE_FIRST 256

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int ranges_init(struct ranges *ranges, struct spill *spill, size_t memory_bytes)
{
	*ranges = (struct ranges){ .spill = spill, .memory_bytes = memory_bytes, .stride = STRIDE_FIRST };
	return sorter_new(spill, sizeof(struct range), memory_bytes / 2, by_start, &ranges->raw);
}

void ranges_done(struct ranges *ranges)
{
	sorter_free(ranges->raw);
	sequence_free(ranges->list);
	array_done(&ranges->index);
	*ranges = (struct ranges){ 0 };
}

int ranges_add(struct ranges *ranges, const struct range *list, size_t nr, struct diag *d)
{
	return nr ? sorter_add(ranges->raw, list, nr, d) : 0;
}

/* --- Tidying ------------------------------------------------------------------------------------------------------------ */

/* The index keeps its size: when it is full, every other entry goes. */
static int add_to_index(struct ranges *ranges, u64 start, struct diag *d)
{
	size_t most = MAX(ranges->memory_bytes / 16 / sizeof(u64), (size_t)1024);

	if (sequence_count(ranges->list) % ranges->stride)
		return 0;
	if (ranges->index.len == most) {
		for (size_t i = 0; i < most / 2; i++)
			ranges->index.items[i] = ranges->index.items[2 * i];
		ranges->index.len = most / 2;
		ranges->stride *= 2;
		if (sequence_count(ranges->list) % ranges->stride)
			return 0;
	}
	return array_push(&ranges->index, start) < 0 ? diag_no_memory(d, "the table of extents") : 0;
}

static int add_tidy(struct ranges *ranges, const struct range *range, struct diag *d)
{
	int err = add_to_index(ranges, range->start, d);

	return err ? err : sequence_append(ranges->list, range, d);
}

int ranges_tidy(struct ranges *ranges, struct diag *d)
{
	struct range joined = { 0 };
	const void *record;
	int err = sorter_sort(ranges->raw, d);

	if (!err && sequence_new(ranges->spill, sizeof(struct range), ranges->memory_bytes, &ranges->list) < 0)
		err = diag_no_memory(d, "the table of extents");
	while (!err && (err = sorter_next(ranges->raw, &record, d)) == 0) {
		const struct range *range = record;

		if (joined.end && range->start <= joined.end) {
			joined.end = MAX(joined.end, range->end);
			continue;
		}
		if (joined.end)
			err = add_tidy(ranges, &joined, d);
		joined = *range;
	}
	if (err == 1)
		err = joined.end ? add_tidy(ranges, &joined, d) : 0;
	sorter_free(ranges->raw);
	ranges->raw = NULL;
	return err;
}

u64 ranges_count(const struct ranges *ranges)
{
	return ranges->list ? sequence_count(ranges->list) : 0;
}

int ranges_error(const struct ranges *ranges, struct diag *d)
{
	int err = atomic_load(&ranges->err);

	return err ? diag_fail(d, err, "%s: cannot read a temporary file: %s", ranges->spill->dir, strerror(-err)) : 0;
}

/* --- Searching ---------------------------------------------------------------------------------------------------------- */

void ranges_reader_done(struct ranges_reader *reader)
{
	sequence_reader_done(&reader->reader);
}

bool ranges_next(struct ranges_reader *reader, struct range *ret_range)
{
	const void *record;
	int err;

	if (ranges_count(reader->ranges) == 0)
		return false;
	reader->reader.sequence = reader->ranges->list;
	err = sequence_next(&reader->reader, &record, NULL);
	if (err < 0)
		atomic_store(&reader->ranges->err, err);
	if (err)
		return false;
	*ret_range = *(const struct range *)record;
	return true;
}

bool ranges_find(struct ranges_reader *reader, u64 at, struct range *ret_range)
{
	const struct ranges *ranges = reader->ranges;
	u64 low, high, slot;

	if (ranges_count(ranges) == 0)
		return false;
	/* The last entry that begins at or before @at: the range is behind it, and before the next entry, or is the next one. */
	slot = array_lower_bound(&ranges->index, it, *it <= at);
	low = slot ? (slot - 1) * ranges->stride : 0;
	high = MIN(slot * ranges->stride, ranges_count(ranges));
	reader->reader.buffer_bytes = ranges->stride * sizeof(struct range);
	/* What is searched comes into the buffer as a whole. */
	reader->reader.next = low;
	if (!ranges_next(reader, ret_range))
		return false;
	while (low < high) {
		reader->reader.next = low + (high - low) / 2;
		if (!ranges_next(reader, ret_range))
			return false;
		if (ret_range->end <= at)
			low = reader->reader.next;
		else
			high = reader->reader.next - 1;
	}
	reader->reader.next = low;
	return ranges_next(reader, ret_range);
}

bool ranges_cover(struct ranges_reader *reader, u64 at)
{
	struct range range;

	return ranges_find(reader, at, &range) && range.start <= at;
}
