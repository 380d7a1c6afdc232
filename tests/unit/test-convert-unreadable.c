/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source on a failing disk: every file that cannot be read is named, and nothing becomes of the conversion. Or it is told to go on
 * all the same: what can be read is there, nothing else can be read, and the way back is open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "check/check.h"
#include "convert/inplace/conversion.h"
#include "convert/inplace/rollback.h"
#include "kernel-shared/device/borrowed_device.h"
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/fault_device.h"
#include "tests/unit/ext_image.h"

#define NR_BAD_DISKS 60

static struct ext_image image;
static u32 seed;

static u32 random_below(u32 limit)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % limit;
}

static int set_up(void **state)
{
	const char *given = getenv("BTRKIT_TEST_SEED");

	(void)state;
	seed = given ? (u32)atol(given) : (u32)time(NULL);
	ext_image_make(&image,
		       "mkdir d many deep deep/er &&"
		       " { printf 'mark of large one'; head -c 300000 /dev/zero | tr '\\0' x; printf end; } >d/large-one &&"
		       " { printf 'mark of large two'; head -c 3000000 /dev/zero | tr '\\0' y; printf end; } >large-two &&"
		       " printf 'mark of small' >d/small && printf 'mark of sound' >sound &&"
		       " for i in 0 1 2 3 4 5 6 7 8 9 10 11; do"
		       "  printf 'mark of piece %s' $i | dd of=d/pieces bs=4096 seek=$((i * 3)) conv=notrunc status=none; done &&"
		       " for i in $(seq 300); do : >many/a-name-that-is-long-enough-to-fill-a-block-with-few-of-its-kind-$i; done &&"
		       " echo deep >deep/er/file && ln -s /$(printf 'target%s' $(seq 60) | tr -d ' ') link && ln sound d/hard &&"
		       " { setfattr -n user.long -v $(head -c 1500 /dev/zero | tr '\\0' v) sound || :; } 2>/dev/null",
		       "32M", "");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return ext_image_remove(&image);
}

struct notes {
	char text[4096];
	unsigned nr;
};

static void take_note(void *arg, enum diag_severity severity, const char *text)
{
	struct notes *notes = arg;
	size_t len = strlen(notes->text);

	assert_int_equal(severity, DIAG_WARNING);
	snprintf(notes->text + len, sizeof(notes->text) - len, "%s\n", text);
	notes->nr++;
}

/* The block that begins with @mark. */
static u64 block_of(struct blockdev *dev, const char *mark)
{
	u8 buf[4096];

	for (u64 at = 0; at < dev->size_bytes; at += sizeof(buf)) {
		assert_int_equal(blockdev_read(dev, at, buf, sizeof(buf), NULL), 0);
		if (memcmp(buf, mark, strlen(mark)) == 0)
			return at;
	}
	fail_msg("no block begins with %s", mark);
	return 0;
}

struct disk {
	struct fault_list list;
	struct blockdev *dev;
	struct notes notes;
	struct diag d;
};

static void disk_open(struct disk *disk)
{
	struct blockdev *over;

	ext_image_need(&image);
	*disk = (struct disk){ 0 };
	disk->d.note = take_note;
	disk->d.note_arg = &disk->notes;
	over = open_unchanged(image.path);
	assert_non_null(over);
	assert_int_equal(fault_device_new(over, &disk->list, 0, &disk->dev), 0);
}

static void disk_close(struct disk *disk)
{
	array_done(&disk->list.faults);
	blockdev_close(disk->dev);
}

static void break_block(struct disk *disk, u64 physical)
{
	assert_int_equal(array_push(&disk->list.faults, (struct fault){ 0, physical, 4096 }), 0);
}

static struct losses {
	char text[32768];
	unsigned nr_left_out, nr_partly;
} losses;

static void take_loss(void *arg, const struct btrkit_convert_loss *loss)
{
	size_t len = strlen(losses.text);

	assert_null(arg);
	snprintf(losses.text + len, sizeof(losses.text) - len, "%s: %s %llu %llu\n", loss->path, loss->why,
		 (unsigned long long)loss->unreadable_bytes, (unsigned long long)loss->first_offset);
	losses.nr_left_out += loss->is_left_out;
	losses.nr_partly += !loss->is_left_out;
}

static int convert_skipping(struct disk *disk, bool no_inline, struct btrkit_convert_plan *ret_plan)
{
	struct btrkit_convert_options options;

	memset(&losses, 0, sizeof(losses));
	btrkit_convert_options_init(&options);
	options.path = image.path;
	options.no_inline = no_inline;
	options.do_skip_unreadable = true;
	options.loss = take_loss;
	return convert_device(&options, disk->dev, ret_plan, &disk->d);
}

static int convert(struct disk *disk, bool no_inline)
{
	struct btrkit_convert_options options;

	btrkit_convert_options_init(&options);
	options.path = image.path;
	options.no_inline = no_inline;
	return convert_device(&options, disk->dev, NULL, &disk->d);
}

static void test_files_are_named(void **state)
{
	(void)state;
	for (unsigned no_inline = 0; no_inline < 2; no_inline++) {
		struct super_choice choice;
		struct disk disk;
		u64 one, two, small;

		disk_open(&disk);
		one = block_of(disk.dev, "mark of large one");
		two = block_of(disk.dev, "mark of large two");
		small = block_of(disk.dev, "mark of small");
		break_block(&disk, one + 8192);
		break_block(&disk, one + 20480);
		break_block(&disk, two);
		break_block(&disk, small);
		assert_int_equal(convert(&disk, no_inline), -EIO);
		assert_non_null(strstr(disk.d.text, "4 blocks of 4096 bytes cannot be read, of 3 files; nothing was changed"));
		assert_int_equal(disk.notes.nr, 3);
		assert_non_null(strstr(disk.notes.text, "/d/large-one: cannot be read at byte 8192\n"));
		assert_non_null(strstr(disk.notes.text, "/large-two: cannot be read at byte 0\n"));
		assert_non_null(strstr(disk.notes.text, "/d/small: cannot be read at byte 0\n"));
		assert_null(strstr(disk.notes.text, "sound"));
		/* No superblock of Btrfs. */
		disk.list.faults.len = 0;
		assert_int_equal(super_read(disk.dev, 0, &choice, NULL), -EMEDIUMTYPE);
		disk_close(&disk);
	}
}

/* In the first MiB, which is moved; it is nothing that has to be read to know what there is. */
static void test_own_blocks_are_told(void **state)
{
	struct disk disk;

	(void)state;
	disk_open(&disk);
	break_block(&disk, 3 * 4096); /* kept for more group descriptors */
	assert_int_equal(convert(&disk, false), -EIO);
	assert_int_equal(disk.notes.nr, 1);
	assert_non_null(strstr(disk.notes.text, "the first at byte 12288 of the device"));
	assert_non_null(strstr(disk.d.text, "1 blocks of 4096 bytes cannot be read, of 0 files and of the filesystem itself"));
	disk_close(&disk);
}

/* The same disk, when it can be read, is converted: nothing of all this comes from elsewhere. */
static void test_sound(void **state)
{
	struct disk disk;

	(void)state;
	disk_open(&disk);
	if (convert(&disk, false) != 0)
		fail_msg("%s", disk.d.text);
	disk_close(&disk);
}

/* --- Going on -------------------------------------------------------------------------------------------------------------- */

static struct btrkit_fs *open_fs(struct disk *disk)
{
	const struct fs_options options = { .super_mirror = -1 };
	struct blockdev *borrowed;
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	assert_int_equal(borrowed_device_new(disk->dev, &borrowed), 0);
	assert_int_equal(device_set_of_one(borrowed, -1, &set, &d), 0);
	if (fs_open_devices(set, &options, &fs, &d) != 0)
		fail_msg("%s", d.text);
	return fs;
}

/* Read a file; each sector that cannot be read is all 0xee. How many those are; -1: there is no such file. */
static int read_file(struct btrkit_fs *fs, const char *path, u8 *buf, size_t len)
{
	struct btrkit_inode inode;
	struct btrkit_file *file;
	int nr_bad = 0;

	if (btrkit_lookup(fs, &BTRKIT_INODE_TOP, path, &inode, NULL) < 0)
		return -1;
	assert_int_equal(btrkit_file_open(fs, &inode, &file, NULL), 0);
	for (size_t at = 0; at < len; at += 4096) {
		size_t want = MIN(len - at, (size_t)4096), got;
		int err = btrkit_file_read(file, at, buf + at, want, &got, NULL);

		if (err) {
			assert_int_equal(err, -EIO);
			memset(buf + at, 0xee, want);
			nr_bad++;
		} else {
			assert_int_equal(got, want);
		}
	}
	btrkit_file_close(file);
	return nr_bad;
}

static int judge_problem(void *arg, const struct btrkit_problem *problem)
{
	unsigned *nr = arg;

	if (problem->kind->severity < BTRKIT_PROBLEM_WARNING)
		return 0;
	if (strcmp(problem->kind->code, "csum-missing") != 0)
		fail_msg("%s: %s", problem->kind->code, problem->text);
	++*nr;
	return 0;
}

/* How many inodes lack checksums; nothing else may be wrong. */
static unsigned check(struct disk *disk)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	unsigned nr = 0;
	struct diag d = { 0 };

	btrkit_check_options_init(&options);
	options.do_data = true;
	if (check_run(open_fs(disk), &options, judge_problem, &nr, &result, &d) != 0)
		fail_msg("%s", d.text);
	return nr;
}

/* Back to the source: every byte in use is what it was. */
static void roll_back(struct disk *disk, u64 unreadable_bytes)
{
	struct space_ranges used = { 0 };
	struct blockdev *before;
	struct btrkit_fs *fs = open_fs(disk);
	struct rollback rollback = { .fs = fs };
	struct pool *pool;
	struct diag d = { 0 };

	assert_int_equal(pool_new(1, NULL, &pool), 0);
	if (rollback_run(&rollback, pool, false, NULL, &d) != 0)
		fail_msg("%s", d.text);
	assert_true(rollback.plan.is_verified);
	assert_int_equal(rollback.plan.unreadable_bytes, unreadable_bytes);
	rollback_done(&rollback);
	btrkit_fs_close(fs);
	pool_free(pool);
	disk->list.faults.len = 0;
	assert_int_equal(file_device_open(image.path, 0, 0, 0, &before, NULL), 0);
	if (source_ranges_load(before, &used, &d) != 0 || compare_ranges(&used, before, disk->dev, &d) != 0)
		fail_msg("after the rollback: %s", d.text);
	array_done(&used.list);
	blockdev_close(before);
}

#define LARGE_BYTES 300020
#define TWO_BYTES 3000020

static void test_data_is_skipped(void **state)
{
	static u8 one[LARGE_BYTES], two[TWO_BYTES], small[4096];
	struct btrkit_convert_plan plan;
	struct btrkit_fs *fs;
	struct disk disk;
	u64 at_one, at_two, at_small;

	(void)state;
	disk_open(&disk);
	at_one = block_of(disk.dev, "mark of large one");
	at_two = block_of(disk.dev, "mark of large two");
	at_small = block_of(disk.dev, "mark of small");
	break_block(&disk, at_one + 8192);
	break_block(&disk, at_one + 20480);
	break_block(&disk, at_two);
	break_block(&disk, at_small);
	if (convert_skipping(&disk, false, &plan) != 0)
		fail_msg("%s", disk.d.text);
	assert_non_null(strstr(losses.text, "/large-two: cannot be read in part 4096 0\n"));
	assert_non_null(strstr(losses.text, "/d/large-one: cannot be read in part 8192 8192\n"));
	assert_non_null(strstr(losses.text, "/d/small: cannot be read in part 4096 0\n"));
	assert_int_equal(disk.notes.nr, 3);
	assert_int_equal(plan.unreadable_bytes, 16384);
	assert_int_equal(plan.nr_unreadable_files, 3);
	assert_int_equal(plan.nr_left_out, 0);
	/* With the disk as it is, and when it gives something there again. */
	for (unsigned round = 0; round < 2; round++) {
		fs = open_fs(&disk);
		assert_int_equal(read_file(fs, "/d/large-one", one, sizeof(one)), 2);
		assert_memory_equal(one, "mark of large one", 17);
		assert_int_equal(one[8191], 'x');
		assert_int_equal(one[8192], 0xee);
		assert_int_equal(one[8192 + 4096], 'x');
		assert_int_equal(read_file(fs, "/large-two", two, sizeof(two)), 1);
		assert_int_equal(two[4096], 'y');
		assert_int_equal(read_file(fs, "/d/small", small, 13), 1);
		assert_int_equal(read_file(fs, "/sound", small, 13), 0);
		assert_memory_equal(small, "mark of sound", 13);
		btrkit_fs_close(fs);
		assert_int_equal(check(&disk), 4); /* and the image */
		if (round == 0)
			disk.list.faults.len = 0;
	}
	roll_back(&disk, 16384);
	disk_close(&disk);
}

/* Whatever cannot be read: it is refused and nothing changed, or what was lost was told, and all else is there. */
static void test_any_bad_blocks(void **state)
{
	struct space_ranges used = { 0 };
	unsigned nr_refused = 0, nr_left_out = 0, nr_partly = 0;
	struct disk disk;

	(void)state;
	disk_open(&disk);
	print_message("seed %u\n", seed);
	assert_int_equal(source_ranges_load(disk.dev, &used, NULL), 0);
	disk_close(&disk);
	for (unsigned n = 0; n < NR_BAD_DISKS; n++) {
		struct btrkit_convert_plan plan = { 0 };
		unsigned nr_bad = 1 + random_below(6);
		struct super_choice choice;

		disk_open(&disk);
		/* Half of them in what files have not: the tables, directories and the like. */
		for (unsigned i = 0; i < nr_bad; i++) {
			const struct space_range *range = &used.list.items[random_below((u32)used.list.len)];
			u64 blocks = random_below(2) ? MIN(range->len / 4096, (u64)600) : range->len / 4096;

			break_block(&disk, range->physical + random_below((u32)blocks) * 4096ULL);
		}
		if (convert_skipping(&disk, random_below(2), &plan) != 0) {
			assert_int_equal(disk.d.err, -EIO);
			disk.list.faults.len = 0;
			assert_int_equal(super_read(disk.dev, 0, &choice, NULL), -EMEDIUMTYPE);
			nr_refused++;
		} else {
			assert_int_equal(plan.nr_left_out, losses.nr_left_out);
			assert_int_equal(plan.nr_unreadable_files, losses.nr_partly);
			assert_int_equal(check(&disk), losses.nr_partly + 1);
			nr_left_out += losses.nr_left_out;
			nr_partly += losses.nr_partly;
			roll_back(&disk, plan.unreadable_bytes);
		}
		disk_close(&disk);
	}
	print_message("of %u disks %u refused; %u names left out, %u files lack something\n", NR_BAD_DISKS, nr_refused, nr_left_out,
		      nr_partly);
	assert_true(nr_refused < NR_BAD_DISKS / 2);
	array_done(&used.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_named),
		cmocka_unit_test(test_own_blocks_are_told),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_data_is_skipped),
		cmocka_unit_test(test_any_bad_blocks),
	};

	return cmocka_run_group_tests_name("unreadable sources", tests, set_up, tear_down);
}
