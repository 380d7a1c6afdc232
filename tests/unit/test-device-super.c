/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/device/super: which of a device's superblocks is believed, and how new ones are written. */
#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/device/record_device.h"
#include "tests/unit/device_super.h"

#define ALL_MIRRORS_BYTES (257 * GIB)
#define FSID 0xf5

static struct blockdev *empty_device(u64 bytes)
{
	struct blockdev *dev;

	assert_int_equal(memory_device_new("memory", bytes, &dev), 0);
	return dev;
}

static void places_and_counts(void **state)
{
	static const struct {
		u64 bytes;
		unsigned count;
	} sizes[] = {
		{ 0, 0 },
		{ 64 * KIB, 0 },
		{ 68 * KIB - 1, 0 },
		{ 68 * KIB, 1 },
		{ 64 * MIB, 1 },
		{ 64 * MIB + 4095, 1 },
		{ 64 * MIB + 4096, 2 },
		{ 256 * GIB + 4095, 2 },
		{ 256 * GIB + 4096, 3 },
		{ UINT64_MAX, 3 },
	};

	(void)state;
	assert_int_equal(super_mirror_physical(0), 65536);
	assert_int_equal(super_mirror_physical(1), 67108864);
	assert_int_equal(super_mirror_physical(2), 274877906944);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_int_equal(super_mirror_count(sizes[i].bytes), sizes[i].count);
}

/* Generations of the three mirrors (0: there is none), and which one is to be believed. */
static void the_newest_wins(void **state)
{
	static const struct {
		u64 generation[SUPER_MIRROR_MAX];
		unsigned expected, valid_mask;
	} cases[] = {
		{ { 10, 10, 10 }, 0, 7 }, { { 10, 9, 8 }, 0, 7 },  { { 10, 11, 10 }, 1, 7 },  { { 10, 11, 12 }, 2, 7 },
		{ { 10, 12, 12 }, 1, 7 }, { { 10, 0, 11 }, 2, 5 }, { { 0, 10, 10 }, 1, 6 },   { { 0, 0, 10 }, 2, 4 },
		{ { 10, 0, 0 }, 0, 1 },	  { { 10, 11, 0 }, 1, 3 }, { { UINT64_MAX, 1, 2 }, 0, 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct blockdev *dev = empty_device(ALL_MIRRORS_BYTES);
		struct super_choice choice;

		for (unsigned m = 0; m < SUPER_MIRROR_MAX; m++)
			if (cases[i].generation[m])
				put_super(dev, make_super(FSID, 1, 1, cases[i].generation[m]), m);
		assert_int_equal(super_read(dev, -1, &choice, NULL), 0);
		assert_int_equal(choice.mirror, cases[i].expected);
		assert_int_equal(choice.valid_mask, cases[i].valid_mask);
		assert_int_equal(le64_get(choice.super.generation), cases[i].generation[choice.mirror]);
		for (unsigned m = 0; m < SUPER_MIRROR_MAX; m++) {
			struct super_choice one;
			int err = super_read(dev, (int)m, &one, NULL);

			assert_int_equal(err, cases[i].generation[m] ? 0 : -EMEDIUMTYPE);
			if (err)
				continue;
			assert_int_equal(one.mirror, m);
			assert_int_equal(one.valid_mask, 1u << m);
			assert_int_equal(le64_get(one.super.generation), cases[i].generation[m]);
		}
		blockdev_close(dev);
	}
}

/* Mirrors that an older filesystem left behind are newer, but of something else. */
static void mirrors_of_another_filesystem_do_not_count(void **state)
{
	struct blockdev *dev = empty_device(ALL_MIRRORS_BYTES);
	struct super_choice choice;

	(void)state;
	put_super(dev, make_super(FSID, 1, 1, 10), 0);
	put_super(dev, make_super(FSID, 1, 1, 9), 1);
	put_super(dev, make_super(0x77, 1, 1, 5000), 2);
	assert_int_equal(super_read(dev, -1, &choice, NULL), 0);
	assert_int_equal(choice.mirror, 0);
	assert_int_equal(choice.valid_mask, 3);
	/* asked for by number it can be had */
	assert_int_equal(super_read(dev, 2, &choice, NULL), 0);
	assert_int_equal(choice.super.fsid[0], 0x77);
	blockdev_close(dev);
}

/* Spoil a superblock in one of several ways: the words say what is then wrong. */
static const struct damage {
	unsigned at;
	bool is_finished; /* with a right checksum afterwards */
	int err;
	const char *says;
} damages[] = {
	{ 0, false, -EUCLEAN, "wrong checksum" },
	{ 3000, false, -EUCLEAN, "wrong checksum" },
	{ offsetof(struct disk_super, bytenr) + 2, true, -EUCLEAN, "says that it lies at " },
	{ offsetof(struct disk_super, magic), true, -EMEDIUMTYPE, "no Btrfs superblock at " },
	{ offsetof(struct disk_super, sectorsize), true, -EUCLEAN, "impossible sectorsize 4097" },
	{ offsetof(struct disk_super, fsid), true, -EUCLEAN, "fsid is not the filesystem's" },
};

static void spoil(struct blockdev *dev, unsigned mirror, const struct damage *damage)
{
	u64 physical = super_mirror_physical(mirror);
	struct disk_super super;

	assert_int_equal(blockdev_read(dev, physical, &super, sizeof(super), NULL), 0);
	((u8 *)&super)[damage->at] ^= 1;
	if (damage->is_finished) {
		memset(super.csum, 0, CSUM_SIZE);
		csum_compute(csum_kind_by_type(le16_get(super.csum_type)), (u8 *)&super + CSUM_SIZE,
			     sizeof(super) - CSUM_SIZE, super.csum);
	}
	assert_int_equal(blockdev_write(dev, physical, &super, sizeof(super), NULL), 0);
}

static void a_damaged_primary_is_survived_and_told_of(void **state)
{
	(void)state;
	for (u16 type = 0; type < CSUM_TYPE_COUNT; type++)
		for (size_t i = 0; csum_kind_by_type(type) && i < ARRAY_LEN(damages); i++) {
			struct blockdev *dev = empty_device(65 * MIB);
			struct disk_super super = make_super(FSID, 1, 1, 10);
			struct notes notes = { 0 };
			struct diag d = { .note = take_note, .note_arg = &notes };
			struct super_choice choice;

			le16_put(&super.csum_type, type);
			put_super(dev, super, 0);
			put_super(dev, super, 1);
			assert_int_equal(super_read(dev, -1, &choice, &d), 0);
			assert_int_equal(notes.count, 0);
			spoil(dev, 0, &damages[i]);
			assert_int_equal(super_read(dev, -1, &choice, &d), 0);
			assert_int_equal(choice.mirror, 1);
			assert_int_equal(choice.valid_mask, 2);
			assert_int_equal(notes.count, 1);
			assert_says(notes.text, "memory: ");
			assert_says(notes.text, "65536");
			assert_says(notes.text, damages[i].says);
			assert_says(notes.text, "using the copy at 67108864");
			assert_int_equal(super_read(dev, 0, &choice, &d), damages[i].err);
			assert_says(d.text, damages[i].says);
			spoil(dev, 1, &damages[i]);
			assert_int_equal(super_read(dev, -1, &choice, &d), damages[i].err);
			assert_says(d.text, "65536");
			blockdev_close(dev);
		}
}

/* The mirror of 64 MiB copied to the start, as dd with a wrong offset does, or a device that begins elsewhere. */
static void a_superblock_counts_only_in_its_place(void **state)
{
	struct blockdev *dev = empty_device(65 * MIB);
	struct super_choice choice;
	struct disk_super super;
	struct diag d = { 0 };

	(void)state;
	put_super(dev, make_super(FSID, 1, 1, 10), 1);
	assert_int_equal(blockdev_read(dev, super_mirror_physical(1), &super, sizeof(super), NULL), 0);
	assert_int_equal(blockdev_write(dev, super_mirror_physical(0), &super, sizeof(super), NULL), 0);
	assert_int_equal(super_read(dev, 0, &choice, &d), -EUCLEAN);
	assert_string_equal(d.text, "memory: superblock at 65536: says that it lies at 67108864");
	assert_int_equal(super_read(dev, -1, &choice, &d), 0);
	assert_int_equal(choice.mirror, 1);
	blockdev_close(dev);
}

static void devices_without_btrfs(void **state)
{
	struct blockdev *dev = empty_device(65 * MIB);
	struct super_choice choice;
	struct diag d = { 0 };
	struct disk_super unfinished = make_super(FSID, 1, 1, 10);

	(void)state;
	assert_int_equal(super_read(dev, -1, &choice, &d), -EMEDIUMTYPE);
	assert_string_equal(d.text, "memory: no Btrfs superblock at 65536");
	assert_int_equal(super_read(dev, 1, &choice, &d), -EMEDIUMTYPE);
	assert_int_equal(super_read(dev, 2, &choice, &d), -EINVAL);
	assert_says(d.text, "has no superblock mirror 2");
	assert_int_equal(super_read(dev, 3, &choice, &d), -EINVAL);
	assert_says(d.text, "has no superblock mirror 3");
	/* one that was being made */
	le64_put(&unfinished.magic, SUPER_MAGIC_TEMPORARY);
	put_super(dev, unfinished, 0);
	assert_int_equal(super_read(dev, -1, &choice, &d), -EMEDIUMTYPE);
	/* a damaged mirror says more than a primary that is not there */
	put_super(dev, make_super(FSID, 1, 1, 10), 1);
	spoil(dev, 1, &damages[0]);
	assert_int_equal(super_read(dev, -1, &choice, &d), -EUCLEAN);
	assert_string_equal(d.text, "memory: superblock at 67108864: wrong checksum");
	blockdev_close(dev);

	for (u64 bytes = 0; bytes < 68 * KIB; bytes += 4 * KIB) {
		dev = empty_device(bytes);
		assert_int_equal(super_read(dev, -1, &choice, &d), -EMEDIUMTYPE);
		assert_says(d.text, "too small");
		assert_int_equal(super_read(dev, 0, &choice, &d), -EINVAL);
		blockdev_close(dev);
	}
}

static void an_unreadable_mirror_is_survived(void **state)
{
	struct blockdev *below = empty_device(65 * MIB), *dev;
	struct record_log log = { 0 };
	struct super_choice choice;

	(void)state;
	put_super(below, make_super(FSID, 1, 1, 10), 0);
	record_log_init(&log);
	assert_int_equal(record_device_new(below, &log, 0, &dev), 0);
	log.fail_at = 1;
	assert_int_equal(super_read(dev, -1, &choice, NULL), -EIO);
	log.fail_at = log.nr_operations + 2;
	assert_int_equal(super_read(dev, -1, &choice, NULL), 0);
	assert_int_equal(choice.mirror, 0);
	assert_int_equal(choice.valid_mask, 1);
	blockdev_close(dev);
	record_log_done(&log);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

#define TARGETS 3

struct written {
	struct blockdev *dev[TARGETS];
	struct super_target target[TARGETS];
	struct record_log log;
};

/* Devices with room for one, two and three mirrors. */
static void written_make(struct written *written)
{
	static const u64 bytes[TARGETS] = { 32 * MIB, 65 * MIB, ALL_MIRRORS_BYTES };

	memset(written, 0, sizeof(*written));
	record_log_init(&written->log);
	for (unsigned i = 0; i < TARGETS; i++) {
		struct blockdev *below = empty_device(bytes[i]);

		for (unsigned m = 0; m < super_mirror_count(bytes[i]); m++)
			put_super(below, make_super(FSID, i + 1, TARGETS, 10), m);
		assert_int_equal(record_device_new(below, &written->log, i, &written->dev[i]), 0);
		written->target[i] = (struct super_target){
			.dev = written->dev[i],
			.dev_item = make_super(FSID, i + 1, TARGETS, 11).dev_item,
			.device_bytes = bytes[i],
		};
	}
}

static void written_done(struct written *written)
{
	for (unsigned i = 0; i < TARGETS; i++)
		blockdev_close(written->dev[i]);
	record_log_done(&written->log);
}

/* Flushes, primaries and mirrors as letters, devices by their numbers. */
static void expect_order(const struct written *written, const char *expected)
{
	char order[64] = "";

	array_for_each(&written->log.records, record) {
		size_t at = strlen(order);

		if (record->kind == RECORD_FLUSH)
			snprintf(order + at, sizeof(order) - at, "f%u ", record->device);
		else
			snprintf(order + at, sizeof(order) - at, "%c%u ",
				 record->offset == 64 * KIB ? 'p' : record->offset == 64 * MIB ? 'm' : 'M', record->device);
	}
	assert_string_equal(order, expected);
}

/* Flush; primaries; flush; mirrors; flush. */
static void superblocks_are_written_in_order(void **state)
{
	const struct disk_super common = make_super(FSID, 77, TARGETS, 11);
	struct written written;

	(void)state;
	written_make(&written);
	assert_int_equal(super_write_all(&common, written.target, TARGETS, NULL), 0);
	expect_order(&written, "f0 f1 f2 p0 p1 p2 f0 f1 f2 m1 m2 M2 f0 f1 f2 ");
	for (unsigned i = 0; i < TARGETS; i++) {
		unsigned count = super_mirror_count(written.target[i].device_bytes);
		struct super_choice choice;

		for (unsigned m = 0; m < count; m++) {
			assert_int_equal(super_read(written.dev[i], (int)m, &choice, NULL), 0);
			assert_int_equal(le64_get(choice.super.generation), 11);
			assert_int_equal(le64_get(choice.super.dev_item.devid), i + 1);
			assert_int_equal(choice.super.dev_item.uuid[3], i + 1);
		}
		assert_int_equal(super_read(written.dev[i], -1, &choice, NULL), 0);
		assert_int_equal(choice.valid_mask, (1u << count) - 1);
	}
	written_done(&written);
}

/* A superblock that names a new device is on no disk before the new one has its own. */
static void new_devices_come_first(void **state)
{
	const struct disk_super common = make_super(FSID, 77, TARGETS, 11);
	struct written written;

	(void)state;
	written_make(&written);
	written.target[1].is_new = true;
	assert_int_equal(super_write_all(&common, written.target, TARGETS, NULL), 0);
	expect_order(&written, "f0 f1 f2 p1 f1 p0 p2 f0 f1 f2 m1 m2 M2 f0 f1 f2 ");
	written_done(&written);
}

static void an_unknown_checksum_is_not_written(void **state)
{
	struct disk_super common = make_super(FSID, 77, TARGETS, 11);
	struct written written;

	(void)state;
	written_make(&written);
	le16_put(&common.csum_type, 9);
	assert_int_equal(super_write_all(&common, written.target, TARGETS, NULL), -EOPNOTSUPP);
	assert_int_equal(written.log.nr_operations, 0);
	written_done(&written);
}

/* Whichever operation fails, each device has a valid superblock, and before the first primary it is the old one. */
static void failures_leave_a_valid_superblock(void **state)
{
	const struct disk_super common = make_super(FSID, 77, TARGETS, 11);
	u64 nr_operations = 15;

	(void)state;
	for (u64 fail_at = 1; fail_at <= nr_operations; fail_at++) {
		struct written written;

		written_make(&written);
		written.log.fail_at = fail_at;
		assert_int_equal(super_write_all(&common, written.target, TARGETS, NULL), -EIO);
		written.log.fail_at = 0;
		for (unsigned i = 0; i < TARGETS; i++) {
			struct super_choice choice;
			u64 generation;

			assert_int_equal(super_read(written.dev[i], -1, &choice, NULL), 0);
			generation = le64_get(choice.super.generation);
			assert_int_equal(generation, fail_at > 4 + i ? 11 : 10);
		}
		written_done(&written);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_and_counts),
		cmocka_unit_test(the_newest_wins),
		cmocka_unit_test(mirrors_of_another_filesystem_do_not_count),
		cmocka_unit_test(a_damaged_primary_is_survived_and_told_of),
		cmocka_unit_test(a_superblock_counts_only_in_its_place),
		cmocka_unit_test(devices_without_btrfs),
		cmocka_unit_test(an_unreadable_mirror_is_survived),
		cmocka_unit_test(superblocks_are_written_in_order),
		cmocka_unit_test(new_devices_come_first),
		cmocka_unit_test(an_unknown_checksum_is_not_written),
		cmocka_unit_test(failures_leave_a_valid_superblock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
