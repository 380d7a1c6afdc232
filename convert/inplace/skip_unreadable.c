/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Going on although blocks cannot be read. Everything in use is read once before anything is planned, so that it is
 * known which those are. Files keep theirs where they lie, without checksums: Linux, and we, take what is read there
 * for an error, now and when the disk has put something else in their place.
 */
#include <pthread.h>

#include "convert/inplace/conversion.h"
#include "convert/inplace/rollback.h"
#include "kernel-shared/device/super.h"

typedef unsigned long long ull;

#define JOB_BYTES (4 * MIB)
#define READ_BYTES MIB
/* More than that is no disk with bad blocks, but one that fails. */
#define LOST_BYTES_MAX (256 * MIB)

/* --- Which are they? ---------------------------------------- */

struct probing {
	struct conversion *c;
	u32 sectorsize;
	u8 **buffers; /* one for each worker */
	ARRAY(struct space_range) jobs;
	pthread_mutex_t lock; /* guards what follows */
	u64 lost_bytes;
	struct space_ranges *found;
};

static int add_lost(struct probing *p, u64 physical, struct diag *d)
{
	LOCK_SCOPE(&p->lock);

	p->lost_bytes += p->sectorsize;
	if (p->lost_bytes > LOST_BYTES_MAX)
		return diag_fail(d, -EIO, "%s: more than %llu bytes cannot be read; nothing was changed",
				 p->c->dev->name, (ull)LOST_BYTES_MAX);
	return array_push(&p->found->list, (struct space_range){ physical, p->sectorsize }) < 0
		       ? diag_no_memory(d, "what cannot be read")
		       : 0;
}

static int probe_sectors(struct probing *p, u64 physical, u64 end, u8 *buf, struct diag *d)
{
	int err = 0;

	for (; physical < end && !err; physical += p->sectorsize) {
		struct diag why = { 0 };

		err = blockdev_read(p->c->dev, physical, buf, p->sectorsize, &why);
		if (err)
			err = err == -EIO ? add_lost(p, physical, d) : diag_copy(d, &why);
	}
	return err;
}

static int probe_job(void *ctx, unsigned worker, u64 n, struct diag *d)
{
	struct probing *p = ctx;
	const struct space_range *job = &p->jobs.items[n];
	u8 *buf = p->buffers[worker];

	for (u64 at = job->physical, end = job->physical + job->len, len; at < end; at += len) {
		struct diag why = { 0 };
		int err;

		len = MIN(end - at, READ_BYTES);
		err = blockdev_read(p->c->dev, at, buf, (size_t)len, &why);
		if (err)
			err = err == -EIO ? probe_sectors(p, at, at + len, buf, d) : diag_copy(d, &why);
		if (err)
			return err;
		progress_add(p->c->progress, len, 0);
	}
	return 0;
}

static int make_jobs(struct probing *p, unsigned threads, struct diag *d)
{
	array_for_each (&p->c->used.list, used)
		for (u64 at = 0; at < used->len; at += JOB_BYTES)
			if (array_push(&p->jobs,
				       (struct space_range){ used->physical + at, MIN(used->len - at, JOB_BYTES) }) < 0)
				return diag_no_memory(d, "reading the device");
	p->buffers = calloc(threads, sizeof(*p->buffers));
	for (unsigned i = 0; p->buffers && i < threads; i++) {
		p->buffers[i] = malloc(READ_BYTES);
		if (!p->buffers[i])
			return diag_no_memory(d, "reading the device");
	}
	return p->buffers ? 0 : diag_no_memory(d, "reading the device");
}

static int by_physical(const void *a, const void *b)
{
	const struct space_range *x = a, *y = b;

	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

static void sort_and_join(struct space_ranges *ranges)
{
	size_t nr = 0;

	array_sort(&ranges->list, by_physical);
	for (size_t i = 0; i < ranges->list.len; i++) {
		struct space_range *last = nr ? &ranges->list.items[nr - 1] : NULL;

		if (last && last->physical + last->len == ranges->list.items[i].physical)
			last->len += ranges->list.items[i].len;
		else
			ranges->list.items[nr++] = ranges->list.items[i];
	}
	ranges->list.len = nr;
}

/* What says what the old filesystem is has to be copied, and what lies under Btrfs' superblocks cannot stay. */
static int judge_places(const struct conversion *c, struct diag *d)
{
	array_for_each (&c->unreadable.known.list, range) {
		bool is_needed = range->physical < SAVED_HEAD_BYTES;

		for (unsigned mirror = 0; mirror < SUPER_MIRROR_MAX; mirror++)
			is_needed |= ranges_touch(range->physical, range->len, super_mirror_physical(mirror),
						  SUPER_INFO_SIZE);
		if (is_needed)
			return diag_fail(d, -EIO,
					 "%s: %llu bytes at %llu cannot be read, where a superblock is or has to be; "
					 "nothing was "
					 "changed",
					 c->dev->name, (ull)range->len, (ull)range->physical);
	}
	return 0;
}

int conversion_find_unreadable(struct conversion *c, struct diag *d)
{
	struct space_ranges found = { 0 };
	struct probing p = { .c = c, .sectorsize = c->making.image.sectorsize, .found = &found };
	unsigned threads = pool_threads(c->pool);
	int err = make_jobs(&p, threads, d);

	pthread_mutex_init(&p.lock, NULL);
	progress_begin(c->progress, "probe", space_ranges_bytes(&c->used), 0);
	if (!err)
		err = pool_for_each(c->pool, p.jobs.len, probe_job, &p, d);
	pthread_mutex_destroy(&p.lock);
	for (unsigned i = 0; p.buffers && i < threads; i++)
		free(p.buffers[i]);
	free(p.buffers);
	array_done(&p.jobs);
	sort_and_join(&found);
	/* From here on they are not tried again. */
	c->unreadable.known = found;
	c->plan.unreadable_bytes = space_ranges_bytes(&found);
	c->source->is_partly_unreadable = found.list.len > 0;
	return err ? err : judge_places(c, d);
}

/* --- Where are they in the new filesystem? ---------------------------------------- */

static int add_placed(struct conversion *c, u64 logical, u64 len, struct diag *d)
{
	return array_push(&c->placed.unreadable, (struct placed_range){ logical, len }) < 0
		       ? diag_no_memory(d, "what cannot be read")
		       : 0;
}

/* The moves are in the order of the device; those of newer contents, from the journal, are of other bytes. */
static int place_range(struct conversion *c, const struct space_range *range, struct diag *d)
{
	u64 at = range->physical, end = range->physical + range->len;
	int err = 0;

	array_for_each (&c->space.moves, move) {
		u64 from = MAX(at, move->physical), to = MIN(end, move->physical + move->len);

		if (move->is_overlaid || from >= to)
			continue;
		if (from > at)
			err = add_placed(c, at, from - at, d);
		if (!err)
			err = add_placed(c, move->logical + (from - move->physical), to - from, d);
		if (err)
			return err;
		at = to;
	}
	return at < end ? add_placed(c, at, end - at, d) : 0;
}

static int by_logical(const void *a, const void *b)
{
	const struct placed_range *x = a, *y = b;

	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

int conversion_place_unreadable(struct conversion *c, struct diag *d)
{
	c->placed.unreadable.len = 0;
	array_for_each (&c->unreadable.known.list, range) {
		int err = place_range(c, range, d);

		if (err)
			return err;
	}
	array_sort(&c->placed.unreadable, by_logical);
	return 0;
}

/* --- Whose are they? ---------------------------------------- */

struct lossy_file {
	u32 node;
	u64 bytes, first;
};

struct lossy_files {
	ARRAY(struct lossy_file) list;
	u64 own_bytes; /* of no file that is there */
};

static int by_node(const void *a, const void *b)
{
	const struct lossy_file *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int find_lossy(const struct conversion *c, struct lossy_files *files, struct diag *d)
{
	array_for_each (&c->placed.unreadable, range) {
		size_t at = array_lower_bound(&c->placed.extents, it, it->logical + it->bytes <= range->logical);

		for (; at < c->placed.extents.len && c->placed.extents.items[at].logical < range->logical + range->len;
		     at++) {
			const struct placed_extent *extent = &c->placed.extents.items[at];
			u64 from = MAX(range->logical, extent->logical);
			u64 to = MIN(range->logical + range->len, extent->logical + extent->bytes);
			const struct lossy_file file = { extent->node, to - from,
							 extent->file_offset + (from - extent->logical) };

			if (extent->node == CONTENT_NONE)
				files->own_bytes += to - from;
			else if (array_push(&files->list, file) < 0)
				return diag_no_memory(d, "files that cannot be read");
		}
	}
	array_sort(&files->list, by_node);
	return 0;
}

static void tell_lossy(struct conversion *c, const struct lossy_file *file, struct diag *d)
{
	char path[512] = "/";
	const struct btrkit_convert_loss loss = {
		.path = path,
		.why = "cannot be read in part",
		.unreadable_bytes = file->bytes,
		.first_offset = file->first,
	};

	btrkit_content_path(c->gathered.content, file->node, path + 1, sizeof(path) - 1);
	diag_note(d, DIAG_WARNING, "%s: %llu bytes cannot be read, the first at %llu; reading them will be an error",
		  path, (ull)file->bytes, (ull)file->first);
	conversion_tell_loss(c, &loss);
}

int conversion_tell_unreadable(struct conversion *c, struct diag *d)
{
	struct lossy_files files = { 0 };
	int err = find_lossy(c, &files, d);

	for (size_t i = 0, next; i < files.list.len && !err; i = next) {
		struct lossy_file file = files.list.items[i];

		for (next = i + 1; next < files.list.len && files.list.items[next].node == file.node; next++)
			file.bytes += files.list.items[next].bytes;
		tell_lossy(c, &file, d);
	}
	if (!err && files.own_bytes)
		diag_note(d, DIAG_WARNING,
			  "%llu bytes of the %s filesystem's own structures, or of what is left out, cannot be read; "
			  "only the "
			  "saved image has them",
			  (ull)files.own_bytes, c->source->info.type);
	array_done(&files.list);
	return err;
}

void conversion_tell_loss(struct conversion *c, const struct btrkit_convert_loss *loss)
{
	if (loss->is_left_out)
		c->plan.nr_left_out++;
	else
		c->plan.nr_unreadable_files++;
	if (c->options->loss)
		c->options->loss(c->options->loss_arg, loss);
}
