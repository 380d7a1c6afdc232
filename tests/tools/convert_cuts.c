/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A conversion with the power cut at every moment.
 *
 *	convert_cuts SOURCE FOLDER [RERUNS]
 *
 * What is left of SOURCE after each cut is either the source, with all that it uses as it was, or the whole Btrfs. From the first
 * converting begins anew (every RERUNS-th one is tried, 1 by default). The second is completed by converting again, which the
 * power may cut at every moment too, and is then what it would have been without a cut; and it can be rolled back, completed or not.
 * SOURCE is not changed. Some of the states are written to FOLDER, for other judges: source-* and btrfs-*. Prints how many states
 * were looked at; 1: one of them is neither.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check/check.h"
#include "convert/inplace/conversion.h"
#include "convert/inplace/rollback.h"
#include "kernel-shared/device/borrowed_device.h"
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/record_device.h"
#include "tests/tools/source_ranges.h"

typedef unsigned long long ull;

#define NR_SEEDS 8
#define SECTOR_BYTES 512

struct judging {
	const char *path, *folder;
	unsigned reruns;
	struct blockdev *before, *after;
	struct space_ranges used, written; /* by the source; by the conversion */
	struct pool *pool;
	u8 fsid[UUID_SIZE]; /* of the new filesystem */
	u64 nr_source, nr_btrfs, nr_anew, nr_finished, nr_cut_again, nr_rolled_back, nr_torn, nr_written_out;
};

_Noreturn static void die(const char *what, const struct diag *d)
{
	printf("FAILED: %s: %s\n", what, d ? d->text : "");
	exit(1);
}

static struct blockdev *open_before(const struct judging *judging)
{
	struct blockdev *dev = open_unchanged(judging->path);

	if (!dev)
		die("open", NULL);
	return dev;
}

static bool has_super(struct blockdev *dev, unsigned mirror, const u8 *fsid)
{
	struct super_choice choice;

	return super_read(dev, (int)mirror, &choice, NULL) == 0 && memcmp(choice.super.fsid, fsid, UUID_SIZE) == 0;
}

/* --- Operations on a state ------------------------------------------------------------------------------------------------ */

static int convert(struct blockdev *dev, enum btrkit_convert_verify verify, struct btrkit_convert_plan *ret_plan, struct diag *d)
{
	struct btrkit_convert_options options;

	btrkit_convert_options_init(&options);
	options.path = dev->name;
	options.threads = 1;
	options.verify = verify;
	return convert_device(&options, dev, ret_plan, d);
}

/* The filesystem on @dev, which stays the caller's. */
static struct btrkit_fs *open_fs(struct blockdev *dev)
{
	const struct fs_options options = { .knows_log = true, .super_mirror = -1 };
	struct blockdev *borrowed;
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	if (borrowed_device_new(dev, &borrowed) != 0 || device_set_of_one(borrowed, -1, &set, &d) != 0 ||
	    fs_open_devices(set, &options, &fs, &d) != 0)
		die("the Btrfs cannot be opened", &d);
	return fs;
}

struct problems {
	bool may_lack_mirrors;
	unsigned nr;
};

static int count_problem(void *arg, const struct btrkit_problem *problem)
{
	struct problems *problems = arg;

	if (problem->kind->severity < BTRKIT_PROBLEM_ERROR ||
	    (problems->may_lack_mirrors && strncmp(problem->kind->code, "super-", 6) == 0))
		return 0;
	problems->nr++;
	printf("%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* @may_lack_mirrors: where further superblocks will be may still be something else. */
static void check(struct blockdev *dev, bool may_lack_mirrors)
{
	struct problems problems = { may_lack_mirrors, 0 };
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct diag d = { 0 };

	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	if (check_run(open_fs(dev), &options, count_problem, &problems, &result, &d) != 0)
		die("check", &d);
	if (problems.nr)
		die("the check finds problems", NULL);
}

/* All that the source used is as before, and no Btrfs is there that was not before. */
static void check_is_source(const struct judging *judging, struct blockdev *dev, const char *when)
{
	struct diag d = { 0 };

	if (compare_ranges(&judging->used, judging->before, dev, &d) != 0)
		die(when, &d);
	for (unsigned mirror = 0; mirror < super_mirror_count(dev->size_bytes); mirror++)
		if (has_super(dev, mirror, judging->fsid))
			die(when, NULL);
}

/* All that was written is as it would have been without a cut. */
static void check_is_finished(const struct judging *judging, struct blockdev *dev, const char *when)
{
	struct diag d = { 0 };

	if (compare_ranges(&judging->written, judging->after, dev, &d) != 0)
		die(when, &d);
}

static void roll_back(struct judging *judging, struct blockdev *dev, const char *when)
{
	struct btrkit_fs *fs = open_fs(dev);
	struct rollback rollback = { .fs = fs };
	struct diag d = { 0 };

	if (rollback_run(&rollback, judging->pool, false, NULL, &d) != 0)
		die(when, &d);
	rollback_done(&rollback);
	btrkit_fs_close(fs);
	check_is_source(judging, dev, when);
	judging->nr_rolled_back++;
}

/* For other judges. */
static void write_out(struct judging *judging, struct blockdev *dev, const char *name)
{
	static const u8 zeroes[64 * KIB];
	static u8 buf[64 * KIB];
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s-%llu", judging->folder, name, (ull)judging->nr_written_out++);
	file = fopen(path, "w");
	for (u64 at = 0; file && at < dev->size_bytes; at += sizeof(buf)) {
		size_t len = (size_t)MIN(dev->size_bytes - at, (u64)sizeof(buf));

		if (blockdev_read(dev, at, buf, len, NULL) != 0)
			die("reading a state", NULL);
		if (memcmp(buf, zeroes, len) != 0 && (fseek(file, (long)at, SEEK_SET) != 0 || fwrite(buf, 1, len, file) != len))
			die("writing a state out", NULL);
	}
	if (!file || fflush(file) != 0 || ftruncate(fileno(file), (off_t)dev->size_bytes) != 0 || fclose(file) != 0)
		die(path, NULL);
}

/* --- Judging a state -------------------------------------------------------------------------------------------------------- */

struct cut {
	const struct record_log *log;
	size_t nr_records;
	bool (*choose)(void *ctx, size_t record);
	u32 seed;
};

static void apply(const struct cut *cut, struct blockdev *dev)
{
	struct diag d = { 0 };
	u32 seed = cut->seed;

	if (record_log_replay(cut->log, cut->nr_records, &dev, cut->choose, &seed, &d) != 0)
		die("replay", &d);
}

static bool choose_none(void *ctx, size_t record)
{
	(void)ctx;
	(void)record;
	return false;
}

static bool choose_some(void *ctx, size_t record)
{
	u32 n = (u32)record * 2654435761U + *(u32 *)ctx * 40503U;

	return (n ^ n >> 13) >> 7 & 1;
}

/* Call @fn with each cut of @log. */
static void for_each_cut(const struct record_log *log, void (*fn)(void *ctx, const struct cut *cut), void *ctx)
{
	for (size_t n = 0; n <= log->records.len; n++) {
		fn(ctx, &(struct cut){ log, n, NULL, 0 });
		fn(ctx, &(struct cut){ log, n, choose_none, 0 });
		for (u32 seed = 0; seed < NR_SEEDS; seed++)
			fn(ctx, &(struct cut){ log, n, choose_some, seed });
	}
}

/* Converting again: either that completes it, or it was complete. */
static void finish(struct judging *judging, struct blockdev *dev, const char *when)
{
	struct btrkit_convert_plan plan = { 0 };
	struct diag d = { 0 };
	int err = convert(dev, BTRKIT_CONVERT_VERIFY_NONE, &plan, &d);

	if (err && (err != -EMEDIUMTYPE || !strstr(d.text, "is Btrfs already")))
		die(when, &d);
	if (!err && !plan.is_finish_only)
		die("a Btrfs was converted anew", NULL);
	check_is_finished(judging, dev, when);
	judging->nr_finished += !err;
}

struct second {
	struct judging *judging;
	const struct cut *first;
};

static void judge_second(void *ctx, const struct cut *cut)
{
	const struct second *second = ctx;
	struct blockdev *dev = open_before(second->judging);

	apply(second->first, dev);
	apply(cut, dev);
	if (!has_super(dev, 0, second->judging->fsid))
		die("completing it, cut short, leaves no Btrfs", NULL);
	finish(second->judging, dev, "completed after two cuts");
	blockdev_close(dev);
	second->judging->nr_cut_again++;
}

/* Completing it is interrupted, too. */
static void cut_again(struct judging *judging, const struct cut *cut)
{
	struct second second = { judging, cut };
	struct record_log log = { 0 };
	struct blockdev *dev = open_before(judging);

	apply(cut, dev);
	record_log_init(&log);
	if (record_device_new(dev, &log, 0, &dev) != 0)
		die("out of memory", NULL);
	finish(judging, dev, "completed");
	roll_back(judging, dev, "completed, and rolled back");
	blockdev_close(dev);
	record_log_done(&log);

	dev = open_before(judging);
	apply(cut, dev);
	record_log_init(&log);
	if (record_device_new(dev, &log, 0, &dev) != 0)
		die("out of memory", NULL);
	finish(judging, dev, "completed");
	for_each_cut(&log, judge_second, &second);
	blockdev_close(dev);
	record_log_done(&log);
}

static void judge_btrfs(struct judging *judging, const struct cut *cut, struct blockdev *dev)
{
	judging->nr_btrfs++;
	check(dev, true);
	if (judging->nr_btrfs == 2)
		write_out(judging, dev, "btrfs");
	cut_again(judging, cut);
	roll_back(judging, dev, "not completed, and rolled back");
}

static void judge_source(struct judging *judging, struct blockdev *dev)
{
	struct btrkit_convert_plan plan = { 0 };
	struct diag d = { 0 };

	check_is_source(judging, dev, "the source");
	if (++judging->nr_source % judging->reruns)
		return;
	if (judging->nr_anew++ % 10 == 7)
		write_out(judging, dev, "source");
	if (convert(dev, BTRKIT_CONVERT_VERIFY_FULL, &plan, &d) != 0 || plan.is_finish_only)
		die("converted anew", &d);
	check(dev, false);
}

static void judge(void *ctx, const struct cut *cut)
{
	struct judging *judging = ctx;
	struct blockdev *dev = open_before(judging);

	apply(cut, dev);
	if (has_super(dev, 0, judging->fsid))
		judge_btrfs(judging, cut, dev);
	else
		judge_source(judging, dev);
	blockdev_close(dev);
}

/* --- The conversion ------------------------------------------------------------------------------------------------------- */

static void record(struct judging *judging, struct record_log *log)
{
	struct super_choice choice;
	struct diag d = { 0 };

	record_log_init(log);
	judging->after = open_before(judging);
	if (record_device_new(judging->after, log, 0, &judging->after) != 0)
		die("out of memory", NULL);
	if (convert(judging->after, BTRKIT_CONVERT_VERIFY_FULL, NULL, &d) != 0)
		die("the first conversion", &d);
	check(judging->after, false);
	if (super_read(judging->after, 0, &choice, &d) != 0)
		die("the new superblock", &d);
	memcpy(judging->fsid, choice.super.fsid, UUID_SIZE);
	array_for_each(&log->records, record)
		if (record->kind == RECORD_WRITE && source_ranges_add(&judging->written, record->offset, record->len, &d) != 0)
			die("out of memory", NULL);
}

/* Nothing that the source uses is written to before the superblock, which stands alone between flushes. */
static size_t check_order(const struct judging *judging, const struct record_log *log)
{
	const struct record *records = log->records.items;
	size_t primary = 0;

	while (primary < log->records.len && (records[primary].kind != RECORD_WRITE || records[primary].offset != super_mirror_physical(0)))
		primary++;
	if (primary == 0 || primary + 1 >= log->records.len || records[primary - 1].kind != RECORD_FLUSH ||
	    records[primary + 1].kind != RECORD_FLUSH || records[primary].len != SUPER_INFO_SIZE)
		die("the superblock is not alone between flushes", NULL);
	for (size_t i = 0; i < primary; i++)
		array_for_each(&judging->used.list, range)
			if (records[i].kind == RECORD_WRITE &&
			    ranges_touch(records[i].offset, records[i].len, range->physical, range->len))
				die("what the source uses was written to before the superblock", NULL);
	return primary;
}

/* Part of the superblock's sectors is written: where the source has nothing, that does it no harm either. */
static void tear(struct judging *judging, const struct record_log *log, size_t primary)
{
	const struct record *super = &log->records.items[primary];

	array_for_each(&judging->used.list, range)
		if (ranges_touch(super->offset, super->len, range->physical, range->len))
			return;
	for (unsigned sectors = 1; sectors < 255; sectors += 6) {
		struct blockdev *dev = open_before(judging);

		apply(&(struct cut){ log, primary, NULL, 0 }, dev);
		for (unsigned i = 0; i < super->len / SECTOR_BYTES; i++)
			if (sectors >> i & 1 && blockdev_write(dev, super->offset + (u64)i * SECTOR_BYTES,
							       super->bytes + (size_t)i * SECTOR_BYTES, SECTOR_BYTES, NULL) != 0)
				die("tearing", NULL);
		/* What was there before may lack only some of the sectors. */
		if (!has_super(dev, 0, judging->fsid)) {
			judge_source(judging, dev);
			judging->nr_source--;
			judging->nr_torn++;
		}
		blockdev_close(dev);
	}
}

int main(int argc, char **argv)
{
	struct judging judging = { .reruns = 1 };
	struct record_log log = { 0 };
	struct diag d = { 0 };
	size_t primary;

	if (argc < 3) {
		fprintf(stderr, "usage: %s SOURCE FOLDER [RERUNS]\n", argv[0]);
		return 2;
	}
	judging.path = argv[1];
	judging.folder = argv[2];
	if (argc > 3)
		judging.reruns = MAX((unsigned)atoi(argv[3]), 1U);
	judging.before = open_before(&judging);
	if (pool_new(1, NULL, &judging.pool) != 0 || source_ranges_load(judging.before, &judging.used, &d) != 0)
		die("the source", &d);
	record(&judging, &log);
	primary = check_order(&judging, &log);
	write_out(&judging, judging.after, "btrfs");
	for_each_cut(&log, judge, &judging);
	tear(&judging, &log, primary);
	printf("%zu writes and flushes, cut after each: %llu states are the source (%llu converted anew, and %llu with a torn superblock), "
	       "%llu are Btrfs\n",
	       log.records.len, (ull)judging.nr_source, (ull)judging.nr_anew, (ull)judging.nr_torn, (ull)judging.nr_btrfs);
	printf("completed %llu times, cut once more at %llu moments, rolled back %llu times\n", (ull)judging.nr_finished,
	       (ull)judging.nr_cut_again, (ull)judging.nr_rolled_back);
	if (!judging.nr_source || !judging.nr_btrfs || !judging.nr_finished || !judging.nr_anew)
		die("each of these must have been seen", NULL);
	blockdev_close(judging.before);
	blockdev_close(judging.after);
	pool_free(judging.pool);
	array_done(&judging.used.list);
	array_done(&judging.written.list);
	record_log_done(&log);
	return 0;
}
