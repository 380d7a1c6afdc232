/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a level: neighbouring blocks in one read, every copy, compared with what the pointer says. Proves of each block
 * that its checksum, header and shape are right on every copy, and that copies are equal.
 */
#include <stdio.h>

#include "check/block_table.h"

typedef unsigned long long ull;

#define RUN_BYTES MIB

/* A run of blocks that lie next to each other in one chunk: one job. */
struct run {
	u32 first, count;
};

struct sweeping {
	struct check *check;
	const struct block_sweep *sweep;
	struct block_level *level;
	u8 level_number;
	ARRAY(struct run) runs;
	u8 **good; /* one buffer of RUN_BYTES for each worker */
	u8 **other;
	_Atomic(u64) nr_unreadable, nr_bytes;
};

/* Of a shared block, the pointer that was met first stands for all: they were compared. */
static const struct block_pointer *pointer_of(const struct block_level *level, u64 logical)
{
	return &level->pointers.items[array_lower_bound(&level->pointers, pointer, pointer->logical < logical)];
}

static int judge(const struct sweeping *s, const struct block_record *record, const u8 *block, struct diag *why)
{
	const struct block_pointer *pointer = pointer_of(s->level, record->logical);
	const struct block_expect expect = {
		.logical = record->logical,
		.level = s->level_number,
		.generation = record->generation,
		.tree_id = record->tree,
		.first_key = pointer->parent == BLOCK_NONE ? NULL : &pointer->first_key,
		.limit = &pointer->limit,
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

static void note_good(const struct sweeping *s, struct block_record *record, const u8 *block)
{
	record->state = BLOCK_GOOD;
	record->owner = le64_get(block_header(block)->owner);
	judge_header(s, record, block);
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
	complain(s->check, BLOCK_UNREADABLE, AT(.tree = record->tree, .logical = record->logical), (ull)record->logical,
		 s->level_number, tree_text(record->tree, tree), why);
}

/* Copies 2.. of a run against the good blocks. */
static void check_other_copies(struct sweeping *s, const struct run *run, unsigned worker, unsigned mirrors)
{
	struct check *check = s->check;
	u32 nodesize = check_nodesize(check);
	u8 *good = s->good[worker], *other = s->other[worker];

	for (unsigned mirror = 2; mirror <= mirrors && !check->options->only_first_copy; mirror++) {
		u64 start = s->level->blocks.items[run->first].logical;
		struct diag d = { 0 };
		bool is_read = volume_read(check->fs->volume, start, other, (size_t)run->count * nodesize, mirror, &d) == 0;

		s->nr_bytes += (u64)run->count * nodesize;
		for (u32 i = 0; i < run->count; i++) {
			struct block_record *record = &s->level->blocks.items[run->first + i];
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
	u64 start = s->level->blocks.items[run->first].logical;
	u32 nodesize = check_nodesize(check);
	unsigned mirrors = volume_nr_mirrors(check->fs->volume, start);
	struct diag why = { 0 };
	bool is_read = mirrors > 0 && volume_read(check->fs->volume, start, s->good[worker],
						  (size_t)run->count * nodesize, 1, &why) == 0;
	int err = 0;

	s->nr_bytes += (u64)run->count * nodesize;
	for (u32 i = 0; i < run->count; i++) {
		struct block_record *record = &s->level->blocks.items[run->first + i];
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
			note_good(s, record, block);
	}
	check_other_copies(s, run, worker, mirrors);
	for (u32 i = 0; i < run->count && !err; i++)
		if (s->level->blocks.items[run->first + i].state == BLOCK_GOOD)
			err = s->sweep->visit(s->sweep->ctx, worker, run->first + i, s->good[worker] + (size_t)i * nodesize, d);
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
	u32 most = (u32)(RUN_BYTES / check_nodesize(s->check));
	struct run run = { 0 };

	for (u32 i = 0; i < s->level->blocks.len; i++) {
		const struct block_record *record = &s->level->blocks.items[i];

		if (s->sweep->wanted && !s->sweep->wanted(s->check, record))
			continue;
		if (run.count && run.first + run.count == i && run.count < most && continues(s->check, record - 1, record)) {
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

static u64 wanted_bytes(const struct sweeping *s)
{
	u64 blocks = 0;

	array_for_each(&s->runs, run)
		blocks += run->count;
	return blocks * check_nodesize(s->check);
}

int block_table_sweep(struct check *check, u8 level, const struct block_sweep *sweep, struct diag *d)
{
	struct sweeping s = { .check = check, .sweep = sweep, .level = &check->blocks->level[level], .level_number = level };
	unsigned workers = pool_threads(check->pool);
	int err = make_runs(&s, d);

	s.good = calloc(workers, sizeof(*s.good));
	s.other = calloc(workers, sizeof(*s.other));
	for (unsigned w = 0; w < workers && s.good && s.other && !err; w++) {
		s.good[w] = malloc(RUN_BYTES);
		s.other[w] = malloc(RUN_BYTES);
		if (!s.good[w] || !s.other[w])
			err = diag_no_memory(d, "reading tree blocks");
	}
	if (!s.good || !s.other)
		err = diag_no_memory(d, "reading tree blocks");
	if (check->progress)
		atomic_fetch_add(&check->progress->total_bytes, wanted_bytes(&s));
	if (!err)
		err = pool_for_each(check->pool, s.runs.len, sweep_run, &s, d);
	for (unsigned w = 0; w < workers; w++) {
		free(s.good ? s.good[w] : NULL);
		free(s.other ? s.other[w] : NULL);
	}
	free(s.good);
	free(s.other);
	array_done(&s.runs);
	check->result->metadata_bytes += s.nr_bytes;
	if (!check->sink.is_muted)
		check->result->nr_unreadable_blocks += s.nr_unreadable;
	if (s.nr_unreadable) {
		check->is_incomplete = true;
		array_for_each(&s.level->blocks, record) {
			if (record->state == BLOCK_BAD && record->tree == EXTENT_TREE_OBJECTID)
				check->is_extent_tree_short = true;
			if (record->state == BLOCK_BAD && record->tree == CSUM_TREE_OBJECTID)
				check->is_csum_tree_short = true;
		}
	}
	return err;
}
