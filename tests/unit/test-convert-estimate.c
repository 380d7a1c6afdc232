/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long a conversion may take, said before: near to how long it takes, on a device of known speed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <time.h>

#include "convert/inplace/conversion.h"
#include "tests/unit/ext_image.h"

#define NSEC_PER_BYTE 120 /* 8 MB/s */

static struct ext_image image;

/* A device that takes its time for reads. */
struct slow {
	struct blockdev dev;
	struct blockdev *below;
};

static int slow_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	u64 nsec = len * NSEC_PER_BYTE;
	const struct timespec wait = { (time_t)(nsec / 1000000000), (long)(nsec % 1000000000) };

	nanosleep(&wait, NULL);
	return blockdev_read(container_of(dev, struct slow, dev)->below, offset, buf, len, d);
}

static int slow_write(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	return blockdev_write(container_of(dev, struct slow, dev)->below, offset, buf, len, d);
}

static int slow_flush(struct blockdev *dev, struct diag *d)
{
	return blockdev_flush(container_of(dev, struct slow, dev)->below, d);
}

static void slow_close(struct blockdev *dev)
{
	(void)dev; /* on the stack */
}

static const struct blockdev_ops slow_ops = { .read = slow_read, .write = slow_write, .flush = slow_flush, .close = slow_close };

static void convert(bool is_dry_run, enum btrkit_convert_verify verify, bool no_datasum, struct btrkit_convert_plan *ret_plan)
{
	struct blockdev *below = open_unchanged(image.path);
	struct slow slow = { .dev = *below, .below = below };
	struct btrkit_convert_options options;
	struct diag d = { 0 };

	slow.dev.ops = &slow_ops;
	btrkit_convert_options_init(&options);
	options.path = image.path;
	options.threads = 1;
	options.is_dry_run = is_dry_run;
	options.verify = verify;
	options.no_datasum = no_datasum;
	if (convert_device(&options, &slow.dev, ret_plan, &d) != 0)
		fail_msg("%s", d.text);
	blockdev_close(below);
}

static int set_up(void **state)
{
	(void)state;
	ext_image_make(&image, "head -c 7000000 /dev/urandom >large && echo small >small", "48M", "-N 128 -J size=4");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return ext_image_remove(&image);
}

static void test_is_near(void **state)
{
	struct btrkit_convert_plan estimated, converted;
	u64 begin, seconds;

	(void)state;
	ext_image_need(&image);
	convert(true, BTRKIT_CONVERT_VERIFY_FULL, false, &estimated);
	begin = conversion_now_nsec();
	convert(false, BTRKIT_CONVERT_VERIFY_FULL, false, &converted);
	seconds = (conversion_now_nsec() - begin) / 1000000000;
	print_message("estimated %llu s at %llu bytes/s, took %llu s\n", (unsigned long long)estimated.estimated_seconds,
		      (unsigned long long)estimated.read_bytes_per_second, (unsigned long long)seconds);
	assert_in_range(estimated.read_bytes_per_second, 2000000, 1000000000 / NSEC_PER_BYTE);
	/* A busy machine makes either longer. */
	assert_in_range(estimated.estimated_seconds, seconds / 3, seconds * 3);
	assert_true(estimated.estimated_seconds >= 2 * 7000000ULL * NSEC_PER_BYTE / 1000000000);
	/* What was done needs no estimate. */
	assert_int_equal(converted.estimated_seconds, 0);
	assert_int_equal(converted.read_bytes_per_second, 0);
}

static void test_what_is_not_read_takes_no_time(void **state)
{
	struct btrkit_convert_plan full, meta, bare;

	(void)state;
	ext_image_need(&image);
	convert(true, BTRKIT_CONVERT_VERIFY_FULL, false, &full);
	convert(true, BTRKIT_CONVERT_VERIFY_NONE, false, &meta);
	convert(true, BTRKIT_CONVERT_VERIFY_NONE, true, &bare);
	assert_true(meta.estimated_seconds < full.estimated_seconds);
	assert_true(bare.estimated_seconds < meta.estimated_seconds);
	assert_int_equal(bare.estimated_seconds, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_near),
		cmocka_unit_test(test_what_is_not_read_takes_no_time),
	};

	return cmocka_run_group_tests_name("estimates", tests, set_up, tear_down);
}
