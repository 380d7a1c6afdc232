/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices of a bcachefs volume: matched to its members, told when they are missing or old, refused when they are of
 * another. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/bcachefs/bch_fs.h"
#include "tests/unit/hand_bch_device.h"

static void flip(struct blockdev *dev, u64 physical)
{
	u8 byte;

	assert_int_equal(blockdev_read(dev, physical, &byte, 1, NULL), 0);
	byte ^= 0x40;
	assert_int_equal(blockdev_write(dev, physical, &byte, 1, NULL), 0);
}

struct pair {
	struct blockdev *dev[2];
	struct hand_super hand[2];
	struct bch_fs *fs;
	struct notes notes;
	struct diag d;
};

static void pair_init(struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair->d.note = take_note;
	pair->d.note_arg = &pair->notes;
	for (unsigned i = 0; i < 2; i++) {
		pair->dev[i] = new_device(i ? "sdb" : "sda");
		hand_init(&pair->hand[i], i, 2);
		hand_write_all(&pair->hand[i], pair->dev[i]);
	}
}

static int pair_open(struct pair *pair, struct blockdev *first, struct blockdev *second)
{
	struct blockdev *devs[2] = { first, second };
	struct source_options options = { 0 };

	for (unsigned i = 0; i < 2; i++)
		hand_write_all(&pair->hand[i], pair->dev[i]);
	bch_fs_close(pair->fs);
	pair->fs = NULL;
	pair->notes.nr = 0;
	return bch_fs_open(devs, second ? 2 : 1, &options, BCH_STAGE_SUPER, &pair->fs, &pair->d);
}

static void pair_done(struct pair *pair)
{
	bch_fs_close(pair->fs);
	for (unsigned i = 0; i < 2; i++)
		blockdev_close(pair->dev[i]);
}

static void devices_in_any_order(void **state)
{
	struct pair pair;
	u8 buf[512];

	(void)state;
	pair_init(&pair);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), 0);
	assert_ptr_equal(pair.fs->devices[0].dev, pair.dev[0]);
	assert_ptr_equal(pair.fs->devices[1].dev, pair.dev[1]);
	assert_int_equal(pair.fs->nr_missing, 0);
	assert_int_equal(pair.notes.nr, 0);
	assert_int_equal(pair.fs->source.info.total_bytes, 2 * HAND_DEVICE_BYTES);
	assert_int_equal(bch_device_read(pair.fs, 1, HAND_DEVICE_BYTES - 512, buf, sizeof(buf), &pair.d), 0);
	assert_int_equal(bch_device_read(pair.fs, 1, HAND_DEVICE_BYTES - 511, buf, sizeof(buf), &pair.d), -EIO);
	assert_non_null(strstr(pair.d.text, "sdb: 512 bytes at 4193793 reach beyond the end of member 1"));
	assert_int_equal(bch_device_read(pair.fs, 2, 0, buf, sizeof(buf), &pair.d), -EIO);
	assert_int_equal(bch_device_read(pair.fs, BCH_NO_DEVICE, 0, buf, sizeof(buf), &pair.d), -EIO);
	pair_done(&pair);
}

static void devices_that_are_missing(void **state)
{
	struct pair pair;
	u8 buf[512];

	(void)state;
	pair_init(&pair);
	assert_int_equal(pair_open(&pair, pair.dev[1], NULL), 0);
	assert_int_equal(pair.fs->nr_missing, 1);
	assert_int_equal(pair.notes.nr, 1);
	assert_non_null(strstr(pair.notes.last, "member 0 of the bcachefs volume (31313131-"));
	assert_int_equal(bch_device_read(pair.fs, 0, 0, buf, sizeof(buf), &pair.d), -EIO);
	assert_non_null(strstr(pair.d.text, "member 0 of the bcachefs volume is missing"));
	pair_done(&pair);
}

static void devices_that_do_not_belong(void **state)
{
	struct pair pair;
	struct blockdev *other;

	(void)state;
	pair_init(&pair);
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[0]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "the same device twice"));

	other = new_device("sdc");
	assert_int_equal(pair_open(&pair, pair.dev[0], other), -EINVAL);
	assert_non_null(strstr(pair.d.text, "sdc: is no device of the bcachefs volume on sda"));
	assert_int_equal(pair_open(&pair, other, pair.dev[0]), -EINVAL);
	assert_int_equal(pair_open(&pair, other, NULL), 1);
	blockdev_close(other);

	pair.hand[1].head.uuid[3] ^= 1;
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[1]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "sdb: belongs to the bcachefs volume"));
	pair.hand[1].head.uuid[3] ^= 1;

	/* Another device has its place. */
	le64_put(&pair.hand[0].head.seq, 30);
	hand_member(&pair.hand[0], 1)->uuid[0] ^= 1;
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[1]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "which another device is now"));
	memset(hand_member(&pair.hand[0], 1)->uuid, 0, 16);
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[1]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "has been removed from it"));
	pair_done(&pair);
}

static void devices_left_behind(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	/* A crash between the writes. */
	le64_put(&pair.hand[0].head.seq, 21);
	le64_put(&hand_member(&pair.hand[0], 1)->seq, 21);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), 0);
	assert_int_equal(pair.fs->super->seq, 21);
	assert_int_equal(pair.notes.nr, 0);

	/* It was left out for long. */
	le64_put(&pair.hand[0].head.seq, 40);
	le64_put(&hand_member(&pair.hand[0], 1)->seq, 20);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), 0);
	assert_int_equal(pair.notes.nr, 1);
	assert_non_null(strstr(pair.notes.last, "sdb: its superblock is older than that of the volume (20 of 40)"));

	/* And was used alone meanwhile. */
	le64_put(&pair.hand[1].head.seq, 25);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "sdb: has been written to apart from the other devices"));

	/* Or both as often, at other times. */
	le64_put(&pair.hand[1].head.seq, 40);
	le64_put(&pair.hand[1].head.write_time, 5);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), -EINVAL);
	pair_done(&pair);
}

static void a_device_whose_superblocks_are_bad(void **state)
{
	struct pair pair;
	struct blockdev *devs[2];
	struct source_options options = { 0 };

	(void)state;
	pair_init(&pair);
	for (unsigned i = 0; i < HAND_NR_COPIES; i++)
		flip(pair.dev[0], hand_sectors[i] * BCH_SECTOR_BYTES + 800);
	devs[0] = pair.dev[0];
	devs[1] = pair.dev[1];
	assert_int_equal(bch_fs_open(devs, 2, &options, BCH_STAGE_SUPER, &pair.fs, &pair.d), 0);
	assert_int_equal(pair.fs->nr_missing, 1);
	assert_int_equal(pair.notes.nr, 2); /* it is bad; it is missing */
	bch_fs_close(pair.fs);
	pair.fs = NULL;
	assert_int_equal(bch_fs_open(devs, 1, &options, BCH_STAGE_SUPER, &pair.fs, &pair.d), -EUCLEAN);
	pair_done(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_in_any_order),
		cmocka_unit_test(devices_that_are_missing),
		cmocka_unit_test(devices_that_do_not_belong),
		cmocka_unit_test(devices_left_behind),
		cmocka_unit_test(a_device_whose_superblocks_are_bad),
	};

	return cmocka_run_group_tests_name("devices of bcachefs", tests, NULL, NULL);
}
