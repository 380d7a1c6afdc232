/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a level: neighbouring blocks in one read, every copy, compared with what the pointer says. Proves of each block
 * that its checksum, header and shape are right on every copy, and that copies are equal.
 */
#include <stdio.h>

#include "check/block_table.h"
#include "check/quota_groups.h"

typedef unsigned long long ull;

/* What workers read at once, all of them together at most, and each of them. */
#define BUFFERS_BYTES (32 * MIB)
#define RUN_BYTES_MAX MIB

/* A run of blocks that lie next to each other in one chunk: one job. */
struct run {
	u32 first, count; /* in the batch */
};

struct sweeping {
	struct check *check;
	const struct block_sweep *sweep;
	struct block_batch *batch;
	u32 run_blocks; /* in a run, at most */
	ARRAY(struct run) runs;
	u8 **good; /* one buffer of a run for each worker */
	u8 **other;
	_Atomic(u64) nr_unreadable, nr_bytes;
	atomic_bool is_extent_tree_short, is_csum_tree_short;
};

static int judge(const struct sweeping *s, const struct block_record *record, const u8 *block, struct diag *why)
{
	const struct block_expect expect = {
		.logical = record->logical,
		.level = s->batch->level,
		.generation = record->generation,
		.tree_id = record->tree,
		.first_key = record->is_root ? NULL : &record->first_key,
		.limit = &record->limit,
	};

	why->err = 0;
	return block_judge_shape(s->check->fs->cache, &expect, block, why);
}

static const char *tree_text(u64 tree, char buf[32])
{
	snprintf(buf, 32, "%lld", (long long)tree);
	return buf;
}

/* One copy of one block is bad, another is good. */
static void report_bad_copy(const struct sweeping *s, const struct block_record *record, unsigned mirror, const char *why)
{
	struct physical_part part = { 0 };
	char tree[32];

	if (volume_map(s->check->fs->volume->chunks, record->logical, check_nodesize(s->check), mirror, &part) < 0)
		part.devid = 0;
	complain(s->check, BLOCK_COPY_BAD,
		 AT(.tree = record->tree, .logical = record->logical, .devid = part.devid, .physical = part.physical),
		 (ull)record->logical, tree_text(record->tree, tree), mirror, (ull)part.devid, why);
}

static bool is_device_missing(const struct sweeping *s, u64 logical, unsigned mirror)
{
	struct physical_part part;
	const struct device *device;

	if (device_set_nr_missing(s->check->fs->volume->devices) == 0)
		return false;
	if (volume_map(s->check->fs->volume->chunks, logical, 1, mirror, &part) < 0)
		return true; /* a way of reconstruction, of which a part may be missing */
	device = device_set_find(s->check->fs->volume->devices, part.devid, NULL);
	return !device || !device->dev;
}

/* What Linux does not look at, but writes always the same. */
static void judge_header(const struct sweeping *s, const struct block_record *record, const u8 *block)
{
	const struct disk_header *header = block_header(block);
	u64 flags = le64_get(header->flags);
	u64 known = HEADER_FLAG_WRITTEN | HEADER_FLAG_RELOC;
	const u8 *uuid = s->check->chunk_tree_uuid;

	if ((flags & HEADER_FLAGS_MASK & ~known) || flags >> HEADER_BACKREF_REV_SHIFT > HEADER_MIXED_BACKREF_REV)
		complain(s->check, BLOCK_HEADER_ODD, AT(.tree = record->tree, .logical = record->logical),
			 (ull)record->logical, (long long)record->tree, "flags");
	if (s->check->has_chunk_tree_uuid && memcmp(header->chunk_tree_uuid, uuid, UUID_SIZE) != 0)
		complain(s->check, BLOCK_HEADER_ODD, AT(.tree = record->tree, .logical = record->logical),
			 (ull)record->logical, (long long)record->tree, "a chunk tree uuid");
}

/* A block is in the tree that it names if its parent is, and names the same, or if it is that tree's root. */
static int note_good(const struct sweeping *s, struct block_record *record, const u8 *block, struct diag *d)
{
	struct check *check = s->check;
	struct block_suspect suspect = { record->logical, record->tree, le64_get(block_header(block)->owner),
					 .level = s->batch->level };

	record->state = BLOCK_GOOD;
	record->owner = suspect.owner;
	for (u32 i = 0; i < record->nr_links && record->owner_root == ROOT_NONE; i++) {
		u32 root = s->batch->links.items[record->first_link + i].owner_root;

		if (root != ROOT_NONE && check->roots.items[root].id == record->owner)
			record->owner_root = root;
	}
	if (check->sink.is_muted)
		return 0; /* this block was read before */
	judge_header(s, record, block);
	if (record->owner_root != ROOT_NONE || record->tree == TREE_RELOC_OBJECTID)
		return 0;
	if (block_nritems(block))
		suspect.first_key = s->batch->level ? node_key(block, 0) : leaf_key(block, 0);
	return block_table_suspect(check->blocks, &suspect, d);
}

/*
 * Find a good copy of a block whose first one is not, into @block; what is wrong with the first is in @why. False: there
 * is none.
 */
static bool rescue(struct sweeping *s, struct block_record *record, u8 *block, unsigned mirrors, const struct diag *why)
{
	for (unsigned mirror = 2; mirror <= mirrors; mirror++) {
		struct diag other = { 0 };

		if (volume_read(s->check->fs->volume, record->logical, block, check_nodesize(s->check), mirror, &other) == 0 &&
		    judge(s, record, block, &other) == 0) {
			if (!is_device_missing(s, record->logical, 1))
				report_bad_copy(s, record, 1, why->text);
			return true;
		}
	}
	return false;
}

static void report_unreadable(struct sweeping *s, struct block_record *record, const char *why)
{
	char tree[32];

	record->state = BLOCK_BAD;
	s->nr_unreadable++;
	if (record->tree == EXTENT_TREE_OBJECTID)
		s->is_extent_tree_short = true;
	if (record->tree == CSUM_TREE_OBJECTID)
		s->is_csum_tree_short = true;
	complain(s->check, BLOCK_UNREADABLE, AT(.tree = record->tree, .logical = record->logical), (ull)record->logical,
		 s->batch->level, tree_text(record->tree, tree), why);
}

/* Copies 2.. of a run against the good blocks. */
static void check_other_copies(struct sweeping *s, const struct run *run, unsigned worker, unsigned mirrors)
{
	struct check *check = s->check;
	u32 nodesize = check_nodesize(check);
	u8 *good = s->good[worker], *other = s->other[worker];

	if (check->options->only_first_copy || check->sink.is_muted)
		return;
	for (unsigned mirror = 2; mirror <= mirrors; mirror++) {
		u64 start = s->batch->blocks.items[run->first].logical;
		struct diag d = { 0 };
		bool is_read = volume_read(check->fs->volume, start, other, (size_t)run->count * nodesize, mirror, &d) == 0;

		s->nr_bytes += (u64)run->count * nodesize;
		for (u32 i = 0; i < run->count; i++) {
			struct block_record *record = &s->batch->blocks.items[run->first + i];
			u8 *copy = other + (size_t)i * nodesize;
			int err = 0;

			if (record->state != BLOCK_GOOD)
				continue;
			if (is_read && memcmp(copy, good + (size_t)i * nodesize, nodesize) == 0)
				continue;
			if (!is_read)
				err = volume_read(check->fs->volume, record->logical, copy, nodesize, mirror, &d);
			if (!err && judge(s, record, copy, &d) == 0 && memcmp(copy, good + (size_t)i * nodesize, nodesize) != 0)
				diag_fail(&d, -EUCLEAN, "differs from the first, though its checksum matches");
			else if (!err && d.err == 0)
				continue;
			if (!is_device_missing(s, record->logical, mirror))
				report_bad_copy(s, record, mirror, d.text);
		}
	}
}

static int sweep_run(void *ctx, unsigned worker, u64 n, struct diag *d)
{
	struct sweeping *s = ctx;
	struct check *check = s->check;
	const struct run *run = &s->runs.items[n];
	u64 start = s->batch->blocks.items[run->first].logical;
	u32 nodesize = check_nodesize(check);
	unsigned mirrors = volume_nr_mirrors(check->fs->volume, start);
	struct diag why = { 0 };
	bool is_read = mirrors > 0 && volume_read(check->fs->volume, start, s->good[worker],
						  (size_t)run->count * nodesize, 1, &why) == 0;
	int err = 0;

	s->nr_bytes += (u64)run->count * nodesize;
	for (u32 i = 0; i < run->count && !err; i++) {
		struct block_record *record = &s->batch->blocks.items[run->first + i];
		u8 *block = s->good[worker] + (size_t)i * nodesize;
		bool is_good = is_read;

		if (mirrors == 0)
			diag_fail(&why, -EUCLEAN, "no chunk covers this address");
		else if (!is_read)
			is_good = volume_read(check->fs->volume, record->logical, block, nodesize, 1, &why) == 0;
		if (is_good)
			is_good = judge(s, record, block, &why) == 0;
		if (!is_good && (mirrors == 0 || !rescue(s, record, block, mirrors, &why)))
			report_unreadable(s, record, why.text);
		else
			err = note_good(s, record, block, d);
	}
	if (!err)
		check_other_copies(s, run, worker, mirrors);
	for (u32 i = 0; i < run->count && !err; i++) {
		size_t at = run->first + i;
		const struct block_record *record = &s->batch->blocks.items[at];

		if (record->state == BLOCK_GOOD)
			err = s->sweep->visit(s->sweep->ctx, worker, at, record, s->good[worker] + (size_t)i * nodesize, d);
	}
	progress_add(check->progress, (u64)run->count * nodesize, 0);
	return err ? err : check->sink.err;
}

static bool continues(const struct check *check, const struct block_record *before, const struct block_record *next)
{
	u32 nodesize = check_nodesize(check);

	if (before->logical + nodesize != next->logical)
		return false;
	return check_group_of(check, before->logical) == check_group_of(check, next->logical);
}

static int make_runs(struct sweeping *s, struct diag *d)
{
	struct run run = { 0 };

	s->runs.len = 0;
	for (u32 i = 0; i < s->batch->blocks.len; i++) {
		const struct block_record *record = &s->batch->blocks.items[i];

		if (run.count && run.count < s->run_blocks && continues(s->check, record - 1, record)) {
			run.count++;
			continue;
		}
		if (run.count && array_push(&s->runs, run) < 0)
			return diag_no_memory(d, "reading tree blocks");
		run = (struct run){ i, 1 };
	}
	if (run.count && array_push(&s->runs, run) < 0)
		return diag_no_memory(d, "reading tree blocks");
	return 0;
}

/* How much there is to do, for the progress bar. */
static int count_wanted(struct check *check, u8 level, const struct block_sweep *sweep, struct diag *d)
{
	struct block_batches batches = block_batches_of(check, level, sweep->wanted);
	u64 blocks = block_table_count(check->blocks, level);
	int err = 0;

	if (!check->progress)
		return 0;
	if (sweep->wanted)
		for (blocks = 0; (err = block_batches_next(&batches, d)) == 0;)
			blocks += batches.batch.blocks.len;
	block_batches_done(&batches);
	atomic_fetch_add(&check->progress->total_bytes, blocks * check_nodesize(check));
	return err < 0 ? err : 0;
}

static int make_buffers(struct sweeping *s, unsigned workers, struct diag *d)
{
	u32 nodesize = check_nodesize(s->check);
	u64 run_bytes = MIN(BUFFERS_BYTES / 2 / workers, RUN_BYTES_MAX);

	/* Some runs for each worker in a batch, so that none waits long for the others. */
	run_bytes = MIN(run_bytes, (u64)block_batch_max(s->check) / (4 * workers) * nodesize);
	s->run_blocks = (u32)MAX(run_bytes / nodesize, (u64)1);
	s->good = calloc(workers, sizeof(*s->good));
	s->other = calloc(workers, sizeof(*s->other));
	for (unsigned w = 0; w < workers && s->good && s->other; w++) {
		s->good[w] = malloc((size_t)s->run_blocks * nodesize);
		s->other[w] = malloc((size_t)s->run_blocks * nodesize);
		if (!s->good[w] || !s->other[w])
			return diag_no_memory(d, "reading tree blocks");
	}
	return s->good && s->other ? 0 : diag_no_memory(d, "reading tree blocks");
}

/* What later passes have to know of blocks that were read for the first time. */
static int note_batch(struct check *check, const struct block_batch *batch, struct diag *d)
{
	int err = 0;

	if (check->sink.is_muted)
		return 0;
	if (simple_quotas_charge_blocks(check, batch) < 0)
		return diag_no_memory(d, "quota groups");
	array_for_each(&batch->blocks, block) {
		const struct lost_block lost = { block->logical, block->tree, block->first_key, block->limit, batch->level };

		if (!err && block->state == BLOCK_BAD &&
		    (tree_id_is_subvol(block->tree) || block->tree == CSUM_TREE_OBJECTID))
			err = sequence_append(check->lost_blocks, &lost, d);
	}
	return err;
}

static void sweep_done(struct sweeping *s, unsigned workers)
{
	struct check *check = s->check;

	for (unsigned w = 0; w < workers; w++) {
		free(s->good ? s->good[w] : NULL);
		free(s->other ? s->other[w] : NULL);
	}
	free(s->good);
	free(s->other);
	array_done(&s->runs);
	if (s->nr_unreadable)
		check->is_incomplete = true;
	if (s->is_extent_tree_short)
		check->is_extent_tree_short = true;
	if (s->is_csum_tree_short)
		check->is_csum_tree_short = true;
	if (check->sink.is_muted)
		return;
	check->result->metadata_bytes += s->nr_bytes;
	check->result->nr_unreadable_blocks += s->nr_unreadable;
}

int block_table_sweep(struct check *check, u8 level, const struct block_sweep *sweep, struct diag *d)
{
	struct block_batches batches = block_batches_of(check, level, sweep->wanted);
	struct sweeping s = { .check = check, .sweep = sweep, .batch = &batches.batch };
	unsigned workers = pool_threads(check->pool);
	int err = block_table_count(check->blocks, level) ? count_wanted(check, level, sweep, d) : 1;

	if (!err)
		err = make_buffers(&s, workers, d);
	while (!err && (err = block_batches_next(&batches, d)) == 0) {
		err = make_runs(&s, d);
		if (!err)
			err = pool_for_each(check->pool, s.runs.len, sweep_run, &s, d);
		if (!err)
			err = note_batch(check, s.batch, d);
		if (!err && sweep->after)
			err = sweep->after(sweep->ctx, s.batch, d);
	}
	block_batches_done(&batches);
	sweep_done(&s, workers);
	return err < 0 ? err : 0;
}
