/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data extents: placed in inode order, then written in that order in runs of about a megabyte that span many small
 * files, so that the device sees sequential writes and checksums cost no second pass.
 */
#include <sys/stat.h>

#include "kernel-shared/build/content.h"
#include "kernel-shared/format/leaf.h"

/* --- Placing ------------------------------------------------------------------------------------------- */

bool content_has_csums(const struct btrkit_content *content, u32 node)
{
	return !(content_inode_flags(content, &content->nodes.items[node]) & (INODE_NODATASUM | INODE_NODATACOW));
}

u64 content_data_bytes(const struct btrkit_content *content)
{
	u64 sectorsize = content->options.sectorsize, total = 0;

	if (content->is_measured)
		return content->data_bytes;
	for (u32 i = 0; i < content->nr_sequence; i++) {
		const struct content_node *node = &content->nodes.items[content->sequence[i]];
		const struct content_rare *rare = content_rare(content, node);

		if (!S_ISREG(node->mode) || node->is_inline)
			continue;
		if (!rare || !rare->has_ranges) {
			total += round_up_u64(node->size, sectorsize);
			continue;
		}
		/* Ranges that meet in one sector are counted twice here: an upper bound, exact once placed. */
		for (u32 r = 0; r < rare->nr_ranges; r++) {
			const struct btrkit_data_range *range = &content->ranges.items[rare->first_range + r];

			total += round_up_u64(range->offset + range->len, sectorsize) -
				 round_down_u64(range->offset, sectorsize);
		}
	}
	return total;
}

struct placing {
	struct btrkit_content *content;
	const struct linear_space *space;
	u64 linear; /* next free place on the line */
};

static int no_room(struct diag *d)
{
	return diag_fail(d, -ENOSPC, "the data does not fit into the data chunks");
}

/* Extents for [from, to) of a file, sector-aligned, split where the space or an extent's limit says. */
static int place_range(struct placing *p, u32 node, u64 from, u64 to, struct diag *d)
{
	u64 size = p->content->nodes.items[node].size;

	while (from < to) {
		const struct linear_piece *piece;
		struct content_extent extent = {
			.file_offset = from,
			.node = node,
			.spool_offset = CONTENT_NOT_SPOOLED,
		};
		u64 within, len;

		if (p->linear >= p->space->total_bytes)
			return no_room(d);
		piece = linear_space_piece(p->space, p->linear);
		within = p->linear - piece->linear;
		len = MIN(MIN(to - from, piece->len - within), (u64)EXTENT_BYTES_MAX);
		extent.logical = piece->logical + within;
		extent.disk_bytes = extent.num_bytes = (u32)len;
		extent.stored_bytes = (u32)MIN(len, size - from);
		if (array_push(&p->content->extents, extent) < 0)
			return diag_no_memory(d, "data extents");
		p->linear += len;
		from += len;
	}
	return 0;
}

static int place_file(struct placing *p, u32 index, struct diag *d)
{
	struct btrkit_content *content = p->content;
	const struct content_node *node = &content->nodes.items[index];
	const struct content_rare *rare = content_rare(content, node);
	u64 sectorsize = content->options.sectorsize, end = 0;

	if (!rare || !rare->has_ranges)
		return place_range(p, index, 0, round_up_u64(node->size, sectorsize), d);
	for (u32 r = 0; r < rare->nr_ranges; r++) {
		const struct btrkit_data_range *range = &content->ranges.items[rare->first_range + r];
		u64 from = MAX(end, round_down_u64(range->offset, sectorsize));
		int err;

		end = round_up_u64(range->offset + range->len, sectorsize);
		err = place_range(p, index, from, end, d);
		if (err)
			return err;
	}
	return 0;
}

/* Compressed extents keep their lengths and only get addresses; none may be split. */
static int place_measured(struct btrkit_content *content, const struct linear_space *space, struct diag *d)
{
	u64 linear = 0;

	array_for_each(&content->extents, extent) {
		const struct linear_piece *piece;

		if (linear >= space->total_bytes)
			return no_room(d);
		piece = linear_space_piece(space, linear);
		if (piece->linear + piece->len - linear < extent->disk_bytes) {
			linear = piece->linear + piece->len; /* leave the end of the piece free */
			if (linear >= space->total_bytes)
				return no_room(d);
			piece = linear_space_piece(space, linear);
			if (piece->len < extent->disk_bytes)
				return no_room(d);
		}
		extent->logical = piece->logical + (linear - piece->linear);
		linear += extent->disk_bytes;
	}
	return 0;
}

int content_assign_data(struct btrkit_content *content, const struct linear_space *space, struct diag *d)
{
	struct placing p = { .content = content, .space = space };

	if (content->is_measured)
		return place_measured(content, space, d);
	content->extents.len = 0;
	for (u32 i = 0; i < content->nr_sequence; i++) {
		struct content_node *node = &content->nodes.items[content->sequence[i]];
		int err;

		if (!S_ISREG(node->mode))
			continue;
		node->first_extent = (u32)content->extents.len;
		if (node->is_inline)
			continue;
		err = place_file(&p, content->sequence[i], d);
		if (err)
			return err;
		if (content->extents.len >= CONTENT_NONE)
			return diag_fail(d, -EOVERFLOW, "more than 2^32 data extents");
	}
	return 0;
}

/* Which subvolume holds a node: its number fits one whose sequence has it there. */
static u64 root_of_node(const struct btrkit_content *content, u32 index)
{
	const struct content_node *node = &content->nodes.items[index];

	array_for_each(&content->subvols, subvol)
		if (node->ino < subvol->count && content->sequence[subvol->first + node->ino] == index)
			return subvol->root_id;
	return FS_TREE_OBJECTID;
}

void content_extent_at(const struct btrkit_content *content, u64 index, struct content_extent_ref *ret_ref)
{
	const struct content_extent *extent = &content->extents.items[index];

	*ret_ref = (struct content_extent_ref){
		.logical = extent->logical,
		.disk_bytes = extent->disk_bytes,
		.root_id = root_of_node(content, extent->node),
		.ino = content_ino(&content->nodes.items[extent->node]),
		.file_offset = extent->file_offset,
	};
}

/* --- Writing ------------------------------------------------------------------------------------------- */

#define RUN_BYTES MIB

/* A run of extents, or a part of one, contiguous in logical space. */
struct data_run {
	u64 logical;
	u32 first_extent;
	u32 nr_extents;
	u32 skip; /* bytes of the first extent that belong to earlier runs */
	u32 len;
	u64 first_csum; /* index of its first sector's checksum */
};

struct data_worker {
	struct content_reader reader;
	u8 *buf;
};

struct data_writing {
	struct btrkit_content *content;
	struct volume *volume;
	struct progress *progress;
	struct data_worker *workers;
	ARRAY(struct data_run) runs;
};

/* Bytes of an extent within the run, given how much of the run is filled already. */
static u32 part_len(const struct data_run *run, const struct content_extent *extent, u32 skip, u32 filled)
{
	return MIN(extent->disk_bytes - skip, run->len - filled);
}

static int plan_runs(struct data_writing *w, struct diag *d)
{
	struct btrkit_content *content = w->content;
	u32 sectorsize = content->options.sectorsize;
	struct data_run run = { 0 };
	u64 csums = 0;

	for (u32 e = 0; e < content->extents.len; e++) {
		const struct content_extent *extent = &content->extents.items[e];
		bool has_csums = content_has_csums(content, extent->node);

		for (u32 skip = 0; skip < extent->disk_bytes;) {
			u32 take = (u32)MIN((u64)extent->disk_bytes - skip, RUN_BYTES);

			/* A run ends where the space has a gap, and when it is long enough. */
			if (run.len && (run.logical + run.len != extent->logical + skip || run.len + take > RUN_BYTES)) {
				if (array_push(&w->runs, run) < 0)
					return diag_no_memory(d, "data runs");
				run.len = 0;
			}
			if (!run.len)
				run = (struct data_run){ extent->logical + skip, e, 0, skip, 0, csums };
			run.len += take;
			run.nr_extents = e + 1 - run.first_extent;
			skip += take;
			if (has_csums)
				csums += take / sectorsize;
		}
	}
	content->nr_csums = csums;
	return run.len && array_push(&w->runs, run) < 0 ? diag_no_memory(d, "data runs") : 0;
}

/* The bytes of a part of an extent into @to, padded with zeroes to its sectors. */
static int read_part(struct data_worker *worker, const struct content_extent *extent, u32 skip, u32 len, u8 *to,
		     struct diag *d)
{
	const struct btrkit_content *content = worker->reader.content;
	u32 stored = extent->stored_bytes > skip ? MIN(extent->stored_bytes - skip, len) : 0;
	int err = 0;

	memset(to + stored, 0, len - stored);
	if (stored == 0)
		return 0;
	if (extent->spool_offset == CONTENT_NOT_SPOOLED)
		return content_read(&worker->reader, extent->node, extent->file_offset + skip, to, stored, d);
	for (u32 done = 0; done < stored && !err;) {
		ssize_t got = pread(content->spool_fd, to + done, stored - done,
				    (off_t)(extent->spool_offset + skip + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			err = diag_fail(d, got < 0 ? -errno : -EIO, "cannot read the compressed data back");
		else
			done += (u32)got;
	}
	return err;
}

static void compute_csums(const struct btrkit_content *content, const u8 *data, u32 len, u64 first_csum)
{
	const struct csum_kind *csum = content->options.id.csum;
	u32 sectorsize = content->options.sectorsize;

	for (u32 at = 0; at < len; at += sectorsize)
		csum_compute(csum, data + at, sectorsize, content->csums + (first_csum + at / sectorsize) * csum->size_bytes);
}

static int write_run(void *ctx, unsigned index, u64 i, struct diag *d)
{
	struct data_writing *w = ctx;
	struct data_worker *worker = &w->workers[index];
	const struct data_run *run = &w->runs.items[i];
	u64 csum = run->first_csum;
	u32 skip = run->skip, filled = 0;
	int err;

	for (u32 e = run->first_extent; e < run->first_extent + run->nr_extents; e++) {
		const struct content_extent *extent = &w->content->extents.items[e];
		u32 len = part_len(run, extent, skip, filled);

		err = read_part(worker, extent, skip, len, worker->buf + filled, d);
		if (err)
			return err;
		if (content_has_csums(w->content, extent->node)) {
			compute_csums(w->content, worker->buf + filled, len, csum);
			csum += len / w->content->options.sectorsize;
		}
		filled += len;
		skip = 0;
	}
	err = volume_write(w->volume, run->logical, worker->buf, run->len, d);
	progress_add(w->progress, run->len, run->nr_extents);
	return err;
}

static void writing_done(struct data_writing *w, unsigned workers)
{
	for (unsigned i = 0; w->workers && i < workers; i++) {
		content_reader_done(&w->workers[i].reader);
		free(w->workers[i].buf);
	}
	free(w->workers);
	array_done(&w->runs);
}

static int writing_init(struct data_writing *w, unsigned workers, struct diag *d)
{
	struct btrkit_content *content = w->content;
	int err = plan_runs(w, d);

	if (err)
		return err;
	content->csums = malloc(MAX(content->nr_csums, (u64)1) * content->options.id.csum->size_bytes);
	w->workers = calloc(workers, sizeof(*w->workers));
	if (!content->csums || !w->workers)
		return diag_no_memory(d, "data checksums");
	for (unsigned i = 0; i < workers; i++) {
		w->workers[i].reader = (struct content_reader){ .content = content, .worker = i, .node = CONTENT_NONE };
		w->workers[i].buf = malloc(RUN_BYTES);
		if (!w->workers[i].buf)
			return diag_no_memory(d, "data buffers");
	}
	return 0;
}

int content_write_data(struct btrkit_content *content, struct volume *volume, struct pool *pool,
		       struct progress *progress, struct diag *d)
{
	struct data_writing w = { .content = content, .volume = volume, .progress = progress };
	int err = writing_init(&w, pool_threads(pool), d);

	if (!err)
		err = pool_for_each(pool, w.runs.len, write_run, &w, d);
	writing_done(&w, pool_threads(pool));
	return err;
}
