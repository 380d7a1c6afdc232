/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything in use becomes extents. They end where a run of a file begins or ends, at the ends of chunks, and where an
 * extent can be no longer; what belongs to no file is only the image's.
 */
#include "convert/inplace/placing.h"

#include <sys/stat.h>

struct placing {
	const struct space_plan *plan;
	const struct gathered *gathered;
	struct placed_data *placed;
	u64 sectorsize;
};

static u64 end_of_run(const struct gathered_run *run)
{
	return run->physical + run->len;
}

/* How much of a run is a file's data in extents. */
static u64 data_end_of_run(const struct placing *p, const struct gathered_run *run)
{
	const struct content_node *node = &p->gathered->content->nodes.items[run->node];
	u64 size = round_up_u64(node->size, p->sectorsize);

	if (node->is_inline || node->ino == CONTENT_NONE || size <= run->file_offset)
		return run->physical;
	return run->physical + MIN(run->len, size - run->file_offset);
}

static int add(struct placing *p, u64 logical, u64 image_offset, u64 len, u32 node, u64 file_offset, struct diag *d)
{
	while (len > 0) {
		struct placed_extent extent = {
			.logical = logical,
			.image_offset = image_offset,
			.file_offset = file_offset,
			.bytes = (u32)MIN(len, (u64)EXTENT_BYTES_MAX),
			.node = node,
		};

		if (array_push(&p->placed->extents, extent) < 0)
			return diag_no_memory(d, "data extents");
		logical += extent.bytes;
		file_offset += extent.bytes;
		if (image_offset != PLACED_NOT_IN_IMAGE)
			image_offset += extent.bytes;
		len -= extent.bytes;
	}
	return 0;
}

/* The first run from *@at on that has data in extents behind @physical, of the kind asked for; NULL: none. */
static const struct gathered_run *next_with_data(const struct placing *p, size_t *at, u64 physical, bool is_overlaid)
{
	for (; *at < p->gathered->runs.len; ++*at) {
		const struct gathered_run *run = &p->gathered->runs.items[*at];

		if (run->is_overlaid == is_overlaid && data_end_of_run(p, run) > MAX(physical, run->physical))
			return run;
	}
	return NULL;
}

/*
 * The used bytes [physical, end), which are at @logical now. @is_overlaid: it is the newer contents that are there, which
 * only files have; otherwise, of what has newer contents, only the image.
 */
static int place_piece(struct placing *p, u64 physical, u64 end, u64 logical, bool is_overlaid, struct diag *d)
{
	size_t at = array_lower_bound(&p->gathered->runs, it, end_of_run(it) <= physical);
	int err = 0;

	while (physical < end && !err) {
		const struct gathered_run *run = next_with_data(p, &at, physical, is_overlaid);
		bool is_data = run && physical >= run->physical;
		u64 to = MIN(end, is_data ? data_end_of_run(p, run) : run ? run->physical : end);

		if (is_data || !is_overlaid)
			err = add(p, logical, is_overlaid ? PLACED_NOT_IN_IMAGE : physical, to - physical,
				  is_data ? run->node : CONTENT_NONE,
				  is_data ? run->file_offset + (physical - run->physical) : 0, d);
		logical += to - physical;
		physical = to;
	}
	return err;
}

/* What stays where it is, by chunks. */
static int place_at_home(struct placing *p, struct diag *d)
{
	const struct space_plan *plan = p->plan;
	size_t chunk = 0;

	array_for_each(&plan->used->list, used) {
		u64 at = used->physical, end = used->physical + used->len;

		while (at < end) {
			u64 reserved_end, len = space_before_reserved(plan->total_bytes, at, end - at, &reserved_end);
			const struct space_range *in;
			int err;

			if (len == 0) {
				at = reserved_end;
				continue;
			}
			while (plan->data.list.items[chunk].physical + plan->data.list.items[chunk].len <= at)
				chunk++;
			in = &plan->data.list.items[chunk];
			len = MIN(len, in->physical + in->len - at);
			err = place_piece(p, at, at + len, at, false, d);
			if (err)
				return err;
			at += len;
		}
	}
	return 0;
}

static int by_logical(const void *a, const void *b)
{
	const struct placed_extent *x = a, *y = b;

	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

/* --- The files' own lists ---------------------------------------- */

static int by_file(const void *a, const void *b, void *arg)
{
	const struct content_extent *x = a, *y = b;
	const struct content_node *nodes = arg;

	if (x->node != y->node)
		return nodes[x->node].ino < nodes[y->node].ino ? -1 : 1;
	return x->file_offset < y->file_offset ? -1 : x->file_offset > y->file_offset;
}

static int list_by_files(const struct placing *p, struct diag *d)
{
	struct btrkit_content *content = p->gathered->content;
	size_t next = 0;

	content->extents.len = 0;
	array_for_each(&p->placed->extents, from) {
		const struct content_extent extent = {
			.logical = from->logical,
			.file_offset = from->file_offset,
			.spool_offset = CONTENT_NOT_SPOOLED,
			.disk_bytes = from->bytes,
			.num_bytes = from->bytes,
			.node = from->node,
			.stored_bytes = from->bytes,
		};

		if (content->extents.len == CONTENT_NONE)
			return diag_fail(d, -EOVERFLOW, "more than 2^32 data extents of files");
		if (from->node != CONTENT_NONE && array_push(&content->extents, extent) < 0)
			return diag_no_memory(d, "data extents");
	}
	if (content->extents.len)
		qsort_r(content->extents.items, content->extents.len, sizeof(*content->extents.items), by_file,
			content->nodes.items);
	for (u32 i = 0; i < content->nr_sequence; i++) {
		struct content_node *node = &content->nodes.items[content->sequence[i]];

		if ((node->mode & S_IFMT) != S_IFREG)
			continue;
		node->first_extent = (u32)next;
		while (next < content->extents.len && content->extents.items[next].node == content->sequence[i])
			next++;
	}
	return next == content->extents.len ? 0 : diag_fail(d, -EUCLEAN, "data of files that have no names");
}

int place_extents(const struct space_plan *plan, const struct gathered *gathered, struct placed_data *placed,
		  struct diag *d)
{
	struct placing p = { plan, gathered, placed, gathered->content->options.sectorsize };
	int err;

	placed->extents.len = placed->moves.len = 0;
	err = place_at_home(&p, d);
	array_for_each(&plan->moves, move) {
		if (!err)
			err = place_piece(&p, move->physical, move->physical + move->len, move->logical, move->is_overlaid, d);
		if (!err && array_push(&placed->moves, *move) < 0)
			err = diag_no_memory(d, "blocks that have to move");
	}
	if (err)
		return err;
	array_sort(&placed->extents, by_logical);
	return list_by_files(&p, d);
}
