/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A rollback with the power cut at every moment, on a device that fails at every operation, and cancelled.
 *
 *	rollback_cuts CONVERTED BEFORE RANGES [relocate]
 *
 * CONVERTED is a converted filesystem, BEFORE the one that it was, RANGES a file with the bytes that that uses, lines of offset and
 * length. What is left after each cut either is Btrfs, can be rolled back again and is then as before, or is as before already.
 * Nothing of the files is changed. Prints how many states were looked at; 1: one of them is neither.
 */
#include <stdio.h>
#include <stdlib.h>

#include "convert/inplace/rollback.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/device/record_device.h"

typedef unsigned long long ull;

#define NR_SEEDS 8
#define NR_FAILURES 60
#define CHUNK_BYTES (256 * KIB)

struct used_bytes {
	u64 offset, len;
};

struct judging {
	const char *path;
	bool do_relocate;
	struct blockdev *before;
	ARRAY(struct used_bytes) ranges;
	struct pool *pool;
	u64 nr_btrfs, nr_restored;
};

static void die(const char *what, const struct diag *d)
{
	printf("FAILED: %s: %s\n", what, d ? d->text : "");
	exit(1);
}

/* --- One state of the device ---------------------------------------------------------------------------------------------- */

/* The filesystem on @dev, which is taken over; NULL: none. */
static struct btrkit_fs *open_fs(struct blockdev *dev, struct diag *d)
{
	const struct fs_options options = { .knows_log = true };
	struct device device = { .dev = dev };
	struct super_choice choice;
	struct device_set *set;
	struct btrkit_fs *fs;

	if (super_read(dev, -1, &choice, d) != 0) {
		blockdev_close(dev);
		return NULL;
	}
	if (choice.mirror != 0)
		die("only a mirror is left", NULL);
	device.devid = le64_get(choice.super.dev_item.devid);
	device.total_bytes = le64_get(choice.super.dev_item.total_bytes);
	memcpy(device.uuid, choice.super.dev_item.uuid, UUID_SIZE);
	memcpy(device.fsid, choice.super.fsid, UUID_SIZE);
	if (device_set_new(&set) != 0 || device_set_add(set, &device, d) != 0)
		die("device set", d);
	set->super = choice.super;
	if (fs_open_devices(set, &options, &fs, d) != 0)
		die("it has a superblock, and cannot be opened", d);
	return fs;
}

/* The converted filesystem, whose changes stay in memory. */
static struct blockdev *open_overlay(const struct judging *judging)
{
	struct blockdev *below, *dev = NULL;
	struct diag d = { 0 };

	if (file_device_open(judging->path, 0, 0, 0, &below, &d) != 0 || overlay_device_new(below, &dev) != 0)
		die("open", &d);
	return dev;
}

/* All bytes that were in use are as before. */
static void check_restored(const struct judging *judging, struct blockdev *dev, const char *when)
{
	static u8 got[CHUNK_BYTES], wanted[CHUNK_BYTES];
	struct diag d = { 0 };

	array_for_each(&judging->ranges, range) {
		for (u64 done = 0; done < range->len;) {
			size_t len = (size_t)MIN(range->len - done, CHUNK_BYTES);

			if (blockdev_read(dev, range->offset + done, got, len, &d) != 0 ||
			    blockdev_read(judging->before, range->offset + done, wanted, len, &d) != 0)
				die(when, &d);
			if (memcmp(got, wanted, len) != 0) {
				(void)diag_fail(&d, -EUCLEAN, "%zu bytes at %llu are not as before", len,
						(ull)(range->offset + done));
				die(when, &d);
			}
			done += len;
		}
	}
}

/* A rollback of @fs, which is closed; its device, under recorders or not, is @dev, which has to outlive it. */
static int roll_back(const struct judging *judging, struct btrkit_fs *fs, struct diag *d)
{
	struct rollback rollback = { .fs = fs, .do_relocate = judging->do_relocate };
	int err = rollback_run(&rollback, judging->pool, false, NULL, d);

	rollback_done(&rollback);
	return err;
}

/* As roll_back(), and then all is as before. */
static void finish(const struct judging *judging, struct btrkit_fs *fs)
{
	struct diag d = { 0 };

	if (roll_back(judging, fs, &d) != 0)
		die("again", &d);
	check_restored(judging, fs->volume->devices->devices.items[0].dev, "rolled back again");
	btrkit_fs_close(fs);
}

static void judge(struct judging *judging, const struct record_log *log, size_t nr_records,
		  bool (*choose)(void *ctx, size_t record), void *ctx)
{
	struct blockdev *dev = open_overlay(judging);
	struct super_choice choice;
	struct diag d = { 0 };

	if (record_log_replay(log, nr_records, &dev, choose, ctx, &d) != 0)
		die("replay", &d);
	if (super_read(dev, -1, &choice, &d) == 0) {
		finish(judging, open_fs(dev, &d));
		judging->nr_btrfs++;
		return;
	}
	check_restored(judging, dev, "no Btrfs any more");
	blockdev_close(dev);
	judging->nr_restored++;
}

/* --- All states -------------------------------------------------------------------------------------------------------- */

/* Record a rollback that fails at operation @fail_at; 0: none. */
static int record(const struct judging *judging, struct record_log *log, u64 fail_at)
{
	struct blockdev *dev;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	int err;

	record_log_init(log);
	if (record_device_new(open_overlay(judging), log, 0, &dev) != 0)
		die("out of memory", NULL);
	fs = open_fs(dev, &d);
	if (!fs)
		die("no Btrfs", &d);
	/* Reading it was no part of this. */
	log->fail_at = fail_at ? log->nr_operations + fail_at : 0;
	err = roll_back(judging, fs, &d);
	if (fail_at && err == 0 && log->nr_operations >= log->fail_at)
		die("a failure of the device was not noticed", NULL);
	if (!fail_at && err)
		die("the first rollback", &d);
	btrkit_fs_close(fs);
	return err;
}

static bool choose_none(void *ctx, size_t record_index)
{
	(void)ctx;
	(void)record_index;
	return false;
}

static bool choose_some(void *ctx, size_t record_index)
{
	u32 n = (u32)record_index * 2654435761U + *(u32 *)ctx * 40503U;

	return (n ^ n >> 13) >> 7 & 1;
}

/* The writes are in the order that is promised: the primary superblock last, alone between flushes. */
static void check_order(const struct record_log *log)
{
	size_t nr = log->records.len;
	const struct record *records = log->records.items;

	if (nr < 4 || records[nr - 1].kind != RECORD_FLUSH || records[nr - 2].kind != RECORD_WRITE ||
	    records[nr - 2].offset != super_mirror_physical(0) || records[nr - 2].len != SUPER_INFO_SIZE ||
	    records[nr - 3].kind != RECORD_FLUSH)
		die("the last write is not that of the superblock", NULL);
	for (size_t i = 0; i + 2 < nr; i++)
		if (records[i].kind == RECORD_WRITE &&
		    ranges_touch(records[i].offset, records[i].len, super_mirror_physical(0), SUPER_INFO_SIZE))
			die("the superblock was written to before", NULL);
}

/* No write but the last goes to where Btrfs has anything in use. */
static void check_places(const struct judging *judging, const struct record_log *log)
{
	struct diag d = { 0 };
	struct btrkit_fs *fs = open_fs(open_overlay(judging), &d);
	struct rollback rollback = { .fs = fs, .do_relocate = true };

	if (!fs || rollback_run(&rollback, judging->pool, true, NULL, &d) != 0 || !rollback.is_used_known)
		die("plan", &d);
	array_for_each(&rollback.used.list, range)
		for (size_t i = 0; i < log->records.len; i++)
			if (log->records.items[i].kind == RECORD_WRITE &&
			    ranges_touch(log->records.items[i].offset, log->records.items[i].len, range->physical, range->len))
				die("what Btrfs uses was written to", NULL);
	rollback_done(&rollback);
	btrkit_fs_close(fs);
}

static u64 cut_everywhere(struct judging *judging)
{
	struct record_log log = { 0 };
	u64 nr_operations;

	(void)record(judging, &log, 0);
	check_order(&log);
	check_places(judging, &log);
	for (size_t n = 0; n <= log.records.len; n++) {
		judge(judging, &log, n, NULL, NULL);
		judge(judging, &log, n, choose_none, NULL);
		for (u32 seed = 0; seed < NR_SEEDS; seed++)
			judge(judging, &log, n, choose_some, &seed);
	}
	printf("%zu writes and flushes, cut after each: %llu states are Btrfs and can be rolled back again, %llu are as before\n",
	       log.records.len, (ull)judging->nr_btrfs, (ull)judging->nr_restored);
	if (judging->nr_btrfs == 0 || judging->nr_restored == 0)
		die("one of these must have been seen", NULL);
	nr_operations = log.nr_operations;
	record_log_done(&log);
	return nr_operations;
}

static void fail_everywhere(struct judging *judging, u64 nr_operations)
{
	u64 step = MAX(nr_operations / NR_FAILURES, (u64)1), nr = 0;

	judging->nr_btrfs = judging->nr_restored = 0;
	for (u64 at = 1; at <= nr_operations; at += step, nr++) {
		struct record_log log = { 0 };
		int err = record(judging, &log, at);

		if (err && err != -EIO)
			die("a failing device gives another error", NULL);
		judge(judging, &log, log.records.len, NULL, NULL);
		record_log_done(&log);
	}
	printf("a device that fails, %llu times: %llu states are Btrfs, %llu are as before\n", (ull)nr, (ull)judging->nr_btrfs,
	       (ull)judging->nr_restored);
}

/* One that is cancelled has written nothing. */
static void cancel(const struct judging *judging)
{
	struct cancel cancel = { true };
	struct record_log log = { 0 };
	struct rollback rollback = { .do_relocate = judging->do_relocate, .no_verify = true };
	struct blockdev *dev;
	struct diag d = { 0 };

	record_log_init(&log);
	if (record_device_new(open_overlay(judging), &log, 0, &dev) != 0)
		die("out of memory", NULL);
	rollback.fs = open_fs(dev, &d);
	if (!rollback.fs)
		die("no Btrfs", &d);
	if (rollback_run(&rollback, judging->pool, false, &cancel, &d) != -ECANCELED || log.records.len)
		die("cancelling", &d);
	btrkit_fs_close(rollback.fs);
	rollback_done(&rollback);
	record_log_done(&log);
}

static void read_ranges(struct judging *judging, const char *path)
{
	FILE *file = fopen(path, "r");
	struct used_bytes range;
	ull offset, len;

	if (!file)
		die(path, NULL);
	while (fscanf(file, "%llu %llu", &offset, &len) == 2) {
		range = (struct used_bytes){ offset, len };
		if (array_push(&judging->ranges, range) < 0)
			die("out of memory", NULL);
	}
	fclose(file);
	if (judging->ranges.len == 0)
		die("nothing is in use", NULL);
}

int main(int argc, char **argv)
{
	struct judging judging = { 0 };
	struct diag d = { 0 };

	if (argc < 4) {
		fprintf(stderr, "usage: %s CONVERTED BEFORE RANGES [relocate]\n", argv[0]);
		return 2;
	}
	judging.path = argv[1];
	judging.do_relocate = argc > 4;
	if (file_device_open(argv[2], 0, 0, 0, &judging.before, &d) != 0)
		die("open", &d);
	read_ranges(&judging, argv[3]);
	if (pool_new(1, NULL, &judging.pool) != 0)
		die("out of memory", NULL);
	cancel(&judging);
	fail_everywhere(&judging, cut_everywhere(&judging));
	pool_free(judging.pool);
	blockdev_close(judging.before);
	array_done(&judging.ranges);
	return 0;
}
