/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A conversion when things go wrong: the device fails at any operation, for once or for good; has no more room, cannot be read
 * somewhere; there is no memory at any allocation; it is cancelled at any moment. The source is then untouched, and the error
 * is told, unless the flip had begun: then the device is Btrfs, and converting again completes it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "convert/inplace/conversion.h"
#include "kernel-shared/build/job.h"
#include "kernel-shared/device/fault_device.h"
#include "tests/unit/ext_image.h"
#include "tests/unit/failing_malloc.h"

static struct ext_image image;
static struct space_ranges used;

/* --- A device with something to happen ------------------------------------------------------------------------------------ */

struct trouble {
	u64 at; /* operation at which it happens, counted from 1; 0: never */
	int err; /* what the device says then; 0: nothing is wrong with it */
	bool is_for_good, only_writes;
	struct cancel *cancel; /* is requested then */
	u64 nr; /* operations so far, of those that count */
	u64 nr_to_primary; /* of those, the one that wrote the superblock; 0: none yet */
};

struct troubled {
	struct blockdev dev;
	struct blockdev *below;
	struct trouble *trouble;
};

static int happen(const struct troubled *troubled, bool is_write, struct diag *d)
{
	struct trouble *trouble = troubled->trouble;

	if (trouble->only_writes && !is_write)
		return 0;
	trouble->nr++;
	if (trouble->at == 0 || trouble->nr < trouble->at || (trouble->nr > trouble->at && !trouble->is_for_good))
		return 0;
	if (trouble->cancel)
		atomic_store(&trouble->cancel->is_requested, true);
	return trouble->err ? diag_fail(d, trouble->err, "%s: trouble", troubled->dev.name) : 0;
}

static int troubled_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct troubled *troubled = container_of(dev, struct troubled, dev);
	int err = happen(troubled, false, d);

	return err ? err : blockdev_read(troubled->below, offset, buf, len, d);
}

static int troubled_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	struct troubled *troubled = container_of(dev, struct troubled, dev);
	int err = happen(troubled, true, d);

	if (!err && offset == super_mirror_physical(0))
		troubled->trouble->nr_to_primary = troubled->trouble->nr;
	return err ? err : blockdev_write(troubled->below, offset, buf, len, d);
}

static int troubled_flush(struct blockdev *dev, struct diag *d)
{
	struct troubled *troubled = container_of(dev, struct troubled, dev);

	return happen(troubled, true, d);
}

static void troubled_close(struct blockdev *dev)
{
	(void)dev; /* on the stack */
}

static const struct blockdev_ops troubled_ops = {
	.read = troubled_read,
	.write = troubled_write,
	.flush = troubled_flush,
	.close = troubled_close,
};

static struct troubled troubled_over(struct blockdev *below, struct trouble *trouble)
{
	struct troubled troubled = { .dev = *below, .below = below, .trouble = trouble };

	troubled.dev.ops = &troubled_ops;
	return troubled;
}

/* --- Converting ------------------------------------------------------------------------------------------------------------- */

static int convert(struct blockdev *dev, struct trouble *trouble, struct btrkit_job *job, struct btrkit_convert_plan *ret_plan,
		   struct diag *d)
{
	struct troubled troubled = troubled_over(dev, trouble);
	struct btrkit_convert_options options;

	btrkit_convert_options_init(&options);
	options.path = image.path;
	options.threads = 1;
	options.job = job;
	return convert_device(&options, &troubled.dev, ret_plan, d);
}

static struct blockdev *open_image(void)
{
	struct blockdev *dev = open_unchanged(image.path);

	assert_non_null(dev);
	return dev;
}

static bool is_btrfs(struct blockdev *dev)
{
	struct super_choice choice;

	return super_read(dev, 0, &choice, NULL) == 0;
}

static void assert_untouched(struct blockdev *dev, u64 at)
{
	struct blockdev *before = open_image();
	struct diag d = { 0 };

	if (compare_ranges(&used, before, dev, &d) != 0)
		fail_msg("after trouble at %llu: %s", (unsigned long long)at, d.text);
	assert_false(is_btrfs(dev));
	blockdev_close(before);
}

/* The device is Btrfs; converting again does no more than completing it. */
static void assert_can_be_completed(struct blockdev *dev)
{
	struct btrkit_convert_plan plan = { 0 };
	struct trouble none = { 0 };
	struct diag d = { 0 };
	int err = convert(dev, &none, NULL, &plan, &d);

	if (err == -EMEDIUMTYPE && strstr(d.text, "is Btrfs already"))
		return;
	if (err || !plan.is_finish_only)
		fail_msg("completing it: %d %s", err, d.text);
}

/* After a conversion that ended with @err. */
static void judge(struct blockdev *dev, int err, const struct trouble *trouble, const struct diag *d)
{
	if (is_btrfs(dev)) {
		assert_can_be_completed(dev);
		return;
	}
	assert_int_not_equal(err, 0);
	if (d->err != err || !d->text[0])
		fail_msg("after trouble at %llu: %d, and told is %d \"%s\"", (unsigned long long)trouble->at, err, d->err, d->text);
	assert_untouched(dev, trouble->at);
}

/* Let @kind happen at each operation; @wanted: what is told then. */
static void try_each(struct trouble kind, int wanted)
{
	struct trouble counting = { .only_writes = kind.only_writes };
	struct blockdev *dev = open_image();
	struct diag d = { 0 };
	u64 nr_failed = 0;

	if (convert(dev, &counting, NULL, NULL, &d) != 0)
		fail_msg("%s", d.text);
	blockdev_close(dev);
	for (u64 at = 1; at <= counting.nr; at++) {
		struct trouble trouble = kind;
		int err;

		trouble.at = at;
		dev = open_image();
		d = (struct diag){ 0 };
		err = convert(dev, &trouble, NULL, NULL, &d);
		judge(dev, err, &trouble, &d);
		/* What the check cannot read makes the new filesystem unsound. */
		if (err && err != wanted && err != -EBADMSG)
			fail_msg("trouble at %llu: %d %s", (unsigned long long)at, err, d.text);
		nr_failed += err != 0;
		blockdev_close(dev);
	}
	print_message("%llu operations, %llu errors\n", (unsigned long long)counting.nr, (unsigned long long)nr_failed);
	/* One failing read may be made good by another copy. */
	assert_true(nr_failed == counting.nr || (!kind.is_for_good && !kind.only_writes && nr_failed > counting.nr / 2));
}

/* --- The tests -------------------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
	struct blockdev *dev;

	(void)state;
	ext_image_make(&image,
		       "mkdir d && for i in 1 2 3 4 5 6; do echo content $i >d/small-$i; head -c ${i}0000 /dev/urandom >d/large-$i;"
		       " ln -s target/of/$i d/link-$i; done && ln d/small-1 hard",
		       "72M", "-g 16384 -N 128 -O inline_data -I 512 -J size=4");
	if (!image.is_there)
		return 0;
	dev = open_image();
	assert_int_equal(source_ranges_load(dev, &used, NULL), 0);
	blockdev_close(dev);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	array_done(&used.list);
	return ext_image_remove(&image);
}

static void need_image(void)
{
	ext_image_need(&image);
}

static void test_a_device_that_fails_for_good(void **state)
{
	(void)state;
	need_image();
	try_each((struct trouble){ .err = -EIO, .is_for_good = true }, -EIO);
}

static void test_a_device_that_fails_once(void **state)
{
	(void)state;
	need_image();
	try_each((struct trouble){ .err = -EIO }, -EIO);
}

static void test_a_host_without_room(void **state)
{
	(void)state;
	need_image();
	try_each((struct trouble){ .err = -ENOSPC, .only_writes = true }, -ENOSPC);
	try_each((struct trouble){ .err = -ENOSPC, .only_writes = true, .is_for_good = true }, -ENOSPC);
}

static void test_cancelled(void **state)
{
	struct btrkit_job *job;

	(void)state;
	need_image();
	assert_int_equal(btrkit_job_new(&job), 0);
	for (u64 at = 1, nr_cancelled = 0;; at += 1) {
		struct blockdev *dev = open_image();
		struct trouble trouble = { .at = at, .cancel = &job->cancel };
		struct diag d = { 0 };
		int err;

		atomic_store(&job->cancel.is_requested, false);
		err = convert(dev, &trouble, job, NULL, &d);
		nr_cancelled += err == -ECANCELED;
		if (err && err != -ECANCELED)
			fail_msg("cancelled at %llu: %d %s", (unsigned long long)at, err, d.text);
		if (err)
			assert_untouched(dev, at);
		else
			assert_can_be_completed(dev);
		blockdev_close(dev);
		if (trouble.nr < at) {
			print_message("%llu operations, cancelled %llu times\n", (unsigned long long)trouble.nr,
				      (unsigned long long)nr_cancelled);
			assert_true(nr_cancelled > 10);
			break;
		}
	}
	btrkit_job_free(job);
}

/* Each block that the source uses, unreadable. */
static void test_bad_blocks(void **state)
{
	u64 nr = 0;

	(void)state;
	need_image();
	array_for_each(&used.list, range)
		for (u64 at = range->physical; at < range->physical + range->len; at += 4096 * (nr < 400 ? 1 : 7)) {
			struct fault_list faults = { 0 };
			struct fault fault = { 0, at, 4096 };
			struct trouble none = { 0 };
			struct blockdev *dev = open_image(), *faulty;
			struct diag d = { 0 };
			int err;

			assert_int_equal(array_push(&faults.faults, fault), 0);
			assert_int_equal(fault_device_new(dev, &faults, 0, &faulty), 0);
			err = convert(faulty, &none, NULL, NULL, &d);
			if (err != -EIO || d.err != err)
				fail_msg("block at %llu: %d %s", (unsigned long long)at, err, d.text);
			faults.faults.len = 0;
			assert_untouched(faulty, at);
			blockdev_close(faulty);
			array_done(&faults.faults);
			nr++;
		}
	print_message("%llu blocks\n", (unsigned long long)nr);
	assert_true(nr > 0);
}

/* After the flip was interrupted, a device that fails once must not make the source be converted anew. */
static void test_completing_on_a_device_that_fails(void **state)
{
	struct trouble counting = { 0 };
	struct blockdev *dev = open_image();
	struct diag d = { 0 };
	u64 to_primary;
	bool is_over = false;

	(void)state;
	if (!image.is_there)
		blockdev_close(dev);
	need_image();
	assert_int_equal(convert(dev, &counting, NULL, NULL, &d), 0);
	blockdev_close(dev);
	to_primary = counting.nr_to_primary;
	for (u64 at = 1; !is_over; at++) {
		struct trouble cut = { .at = to_primary + 1, .err = -EIO, .is_for_good = true };
		struct trouble once = { .at = at, .err = -EIO };
		struct btrkit_convert_plan plan = { 0 };
		int err;

		dev = open_image();
		assert_int_equal(convert(dev, &cut, NULL, NULL, NULL), -EIO);
		assert_true(is_btrfs(dev));
		err = convert(dev, &once, NULL, &plan, &d);
		if (err ? err != -EIO : !plan.is_finish_only)
			fail_msg("trouble at %llu: %d %s", (unsigned long long)at, err, d.text);
		d = (struct diag){ 0 };
		is_over = once.nr < at;
		if (is_over)
			print_message("%llu operations\n", (unsigned long long)once.nr);
		assert_true(!is_over || !err);
		assert_can_be_completed(dev);
		blockdev_close(dev);
	}
}

/* Somebody wrote to the old filesystem, of which a block had gone by then: it must not be taken for whole. */
static void test_a_source_that_was_used_after_an_interruption(void **state)
{
	const u64 written_time = 1024 + 48;
	struct trouble counting = { 0 }, cut = { .err = -EIO, .is_for_good = true }, none = { 0 };
	struct blockdev *dev;
	struct diag d = { 0 };
	u8 byte;

	(void)state;
	need_image();
	dev = open_image();
	assert_int_equal(convert(dev, &counting, NULL, NULL, NULL), 0);
	blockdev_close(dev);
	dev = open_image();
	cut.at = counting.nr_to_primary + 1;
	assert_int_equal(convert(dev, &cut, NULL, NULL, NULL), -EIO);
	assert_int_equal(blockdev_read(dev, written_time, &byte, 1, NULL), 0);
	byte ^= 1;
	assert_int_equal(blockdev_write(dev, written_time, &byte, 1, NULL), 0);
	none.err = -EIO;
	none.only_writes = none.is_for_good = true;
	none.at = 1; /* nothing is written */
	assert_int_equal(convert(dev, &none, NULL, NULL, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "interrupted"));
	byte ^= 1;
	assert_int_equal(blockdev_write(dev, written_time, &byte, 1, NULL), 0);
	assert_can_be_completed(dev);
	blockdev_close(dev);
}

static void test_no_memory(void **state)
{
	unsigned long nr_all, nr_errors = 0;
	struct trouble none = { 0 };
	struct blockdev *dev;
	struct diag d = { 0 };

	(void)state;
	need_image();
	if (!can_fail_malloc)
		skip();
	dev = open_image();
	nr_mallocs = 0;
	assert_int_equal(convert(dev, &none, NULL, NULL, &d), 0);
	nr_all = nr_mallocs;
	blockdev_close(dev);
	for (unsigned long at = 1; at <= nr_all; at++) {
		struct trouble trouble = { 0 };
		int err;

		dev = open_image();
		d = (struct diag){ 0 };
		fail_malloc_at = at;
		err = convert(dev, &trouble, NULL, NULL, &d);
		fail_malloc_at = 0;
		if (err && err != -ENOMEM)
			fail_msg("allocation %lu: %d %s", at, err, d.text);
		nr_errors += err != 0;
		trouble.at = at;
		judge(dev, err, &trouble, &d);
		blockdev_close(dev);
	}
	print_message("%lu allocations, %lu errors\n", nr_all, nr_errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_device_that_fails_for_good),
		cmocka_unit_test(test_a_device_that_fails_once),
		cmocka_unit_test(test_a_host_without_room),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_bad_blocks),
		cmocka_unit_test(test_completing_on_a_device_that_fails),
		cmocka_unit_test(test_a_source_that_was_used_after_an_interruption),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
