/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers over devices: overlay, and the recording one that power-cut tests stand on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/device/record_device.h"

#define BYTES (200 * KIB + 512) /* no multiple of any cell */

static struct blockdev *patterned(void)
{
	struct blockdev *dev;
	u8 *bytes = malloc(BYTES);

	assert_non_null(bytes);
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (u8)(i / 7);
	assert_int_equal(memory_device_new("memory", BYTES, &dev), 0);
	assert_int_equal(blockdev_write(dev, 0, bytes, BYTES, NULL), 0);
	free(bytes);
	return dev;
}

/* --- Hints ------------------------------------------------------------------------------------------------------ */

static struct {
	u64 offset, len;
	unsigned nr;
} hinted;

static void take_hint(struct blockdev *dev, u64 offset, u64 len)
{
	(void)dev;
	hinted.offset = offset;
	hinted.len = len;
	hinted.nr++;
}

static void a_hint_is_cut_to_the_device(void **state)
{
	static const struct blockdev_ops ops = { .read_ahead = take_hint };
	static const struct blockdev_ops deaf = { .read_ahead = NULL };
	struct blockdev dev = { .ops = &ops, .size_bytes = 10000 };
	static const u64 ranges[][4] = { /* asked, told; nothing is told of length 0 */
		{ 0, 10000, 0, 10000 }, { 100, 1, 100, 1 }, { 9000, 5000, 9000, 1000 }, { 9999, UINT64_MAX, 9999, 1 },
		{ 10000, 1, 0, 0 }, { UINT64_MAX, UINT64_MAX, 0, 0 }, { 5, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		memset(&hinted, 0, sizeof(hinted));
		blockdev_read_ahead(&dev, ranges[i][0], ranges[i][1]);
		assert_int_equal(hinted.nr, ranges[i][3] > 0);
		assert_int_equal(hinted.offset, ranges[i][2]);
		assert_int_equal(hinted.len, ranges[i][3]);
	}
	dev.ops = &deaf;
	blockdev_read_ahead(&dev, 0, 10000);
	assert_int_equal(hinted.nr, 0);
}

/* --- Overlays --------------------------------------------------------------------------------------------------- */

/* Random reads and writes against an array that does the same. */
static void an_overlay_is_as_if_written_through(void **state)
{
	struct blockdev *below = patterned(), *dev;
	u8 *model = malloc(BYTES), *got = malloc(BYTES);
	u32 n = 1;

	(void)state;
	assert_true(model && got);
	assert_int_equal(blockdev_read(below, 0, model, BYTES, NULL), 0);
	assert_int_equal(overlay_device_new(below, &dev), 0);
	for (int round = 0; round < 400; round++) {
		size_t offset, len;

		n = n * 1664525 + 1013904223;
		offset = (n >> 8) % BYTES;
		len = (n >> 4) % (round % 3 ? 3000 : 70000);
		len = MIN(len, BYTES - offset);
		if (round % 2) {
			memset(model + offset, (int)(n >> 24), len);
			assert_int_equal(blockdev_write(dev, offset, model + offset, len, NULL), 0);
		}
		assert_int_equal(blockdev_read(dev, offset, got, len, NULL), 0);
		assert_memory_equal(got, model + offset, len);
	}
	assert_int_equal(blockdev_read(dev, 0, got, BYTES, NULL), 0);
	assert_memory_equal(got, model, BYTES);
	assert_true(overlay_device_changed_bytes(dev) > 0);
	assert_int_equal(blockdev_write(dev, BYTES - 1, got, 2, NULL), -EINVAL);
	blockdev_close(dev);
	free(model);
	free(got);
}

static void an_overlay_leaves_what_is_below_alone(void **state)
{
	struct blockdev *below = patterned(), *dev;
	u8 before[64], after[64], zeroes[64] = { 0 };

	(void)state;
	assert_int_equal(blockdev_read(below, 1000, before, sizeof(before), NULL), 0);
	assert_int_equal(overlay_device_new(below, &dev), 0);
	assert_int_equal(blockdev_write(dev, 1000, zeroes, sizeof(zeroes), NULL), 0);
	assert_int_equal(blockdev_flush(dev, NULL), 0);
	assert_int_equal(blockdev_read(below, 1000, after, sizeof(after), NULL), 0);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(overlay_device_changed_bytes(dev), 16 * KIB);
	blockdev_close(dev);
}

static bool choose_last(void *ctx, size_t record)
{
	return record == *(size_t *)ctx;
}

static u8 byte_at(struct blockdev *dev, u64 offset)
{
	u8 byte;

	assert_int_equal(blockdev_read(dev, offset, &byte, 1, NULL), 0);
	return byte;
}

static void a_record_replays_any_power_cut(void **state)
{
	struct record_log log = { 0 };
	struct blockdev *below, *dev, *copy;
	size_t last = 4;

	(void)state;
	record_log_init(&log);
	assert_int_equal(memory_device_new("memory", 4096, &below), 0);
	assert_int_equal(record_device_new(below, &log, 0, &dev), 0);
	assert_int_equal(blockdev_write(dev, 0, "a", 1, NULL), 0);
	assert_int_equal(blockdev_write(dev, 1, "b", 1, NULL), 0);
	assert_int_equal(blockdev_flush(dev, NULL), 0);
	assert_int_equal(blockdev_write(dev, 0, "c", 1, NULL), 0);
	assert_int_equal(blockdev_write(dev, 1, "d", 1, NULL), 0);
	assert_int_equal(byte_at(dev, 1), 'd');
	assert_int_equal(log.records.len, 5);
	/* What was flushed is there; of the rest, what is chosen. */
	assert_int_equal(memory_device_new("copy", 4096, &copy), 0);
	assert_int_equal(record_log_replay(&log, 5, &copy, choose_last, &last, NULL), 0);
	assert_int_equal(byte_at(copy, 0), 'a');
	assert_int_equal(byte_at(copy, 1), 'd');
	blockdev_close(copy);
	/* Before the flush, nothing is certain. */
	assert_int_equal(memory_device_new("copy", 4096, &copy), 0);
	assert_int_equal(record_log_replay(&log, 2, &copy, choose_last, &last, NULL), 0);
	assert_int_equal(byte_at(copy, 0), 0);
	blockdev_close(copy);
	blockdev_close(dev);
	record_log_done(&log);
}

static void a_recorder_fails_from_a_chosen_operation_on(void **state)
{
	struct record_log log = { .fail_at = 2 };
	struct blockdev *below, *dev;
	struct diag d = { 0 };

	(void)state;
	record_log_init(&log);
	assert_int_equal(memory_device_new("memory", 4096, &below), 0);
	assert_int_equal(record_device_new(below, &log, 0, &dev), 0);
	assert_int_equal(blockdev_write(dev, 0, "a", 1, &d), 0);
	assert_int_equal(blockdev_write(dev, 0, "b", 1, &d), -EIO);
	assert_non_null(strstr(d.text, "memory: cannot write at 0"));
	assert_int_equal(blockdev_flush(dev, &d), -EIO);
	assert_int_equal(byte_at(below, 0), 'a');
	blockdev_close(dev);
	record_log_done(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hint_is_cut_to_the_device),
		cmocka_unit_test(an_overlay_is_as_if_written_through),
		cmocka_unit_test(an_overlay_leaves_what_is_below_alone),
		cmocka_unit_test(a_record_replays_any_power_cut),
		cmocka_unit_test(a_recorder_fails_from_a_chosen_operation_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
