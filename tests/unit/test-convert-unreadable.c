/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source on a failing disk: every file that cannot be read is named, and nothing becomes of the conversion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "convert/inplace/conversion.h"
#include "kernel-shared/device/fault_device.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/device/super.h"

static char dir[200], image[230];

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char command[1000];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/btrkit-unreadable-XXXXXX", tmp ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(command, sizeof(command),
		 "export PATH=\"$PATH:/usr/sbin:/sbin\"; cd '%s' && command -v mke2fs >/dev/null || exit 9; mkdir -p t/d &&"
		 " { printf 'mark of large one'; head -c 300000 /dev/zero | tr '\\0' x; printf end; } >t/d/large-one &&"
		 " { printf 'mark of large two'; head -c 3000000 /dev/zero | tr '\\0' y; printf end; } >t/large-two &&"
		 " printf 'mark of small' >t/d/small && printf 'mark of sound' >t/sound && truncate -s 32M image &&"
		 " mke2fs -q -t ext4 -b 4096 -d t image >/dev/null 2>&1",
		 dir);
	/* Without mke2fs there is no image. */
	(void)!system(command);
	return 0;
}

static int tear_down(void **state)
{
	char command[300];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
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

static bool disk_open(struct disk *disk)
{
	struct blockdev *below, *over;

	*disk = (struct disk){ 0 };
	disk->d.note = take_note;
	disk->d.note_arg = &disk->notes;
	if (access(image, F_OK) != 0)
		return false;
	assert_int_equal(file_device_open(image, 0, 0, 0, &below, NULL), 0);
	assert_int_equal(overlay_device_new(below, &over), 0);
	assert_int_equal(fault_device_new(over, &disk->list, 0, &disk->dev), 0);
	return true;
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

static int convert(struct disk *disk, bool no_inline)
{
	struct btrkit_convert_options options;

	btrkit_convert_options_init(&options);
	options.path = image;
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

		if (!disk_open(&disk))
			skip();
		one = block_of(disk.dev, "mark of large one");
		two = block_of(disk.dev, "mark of large two");
		small = block_of(disk.dev, "mark of small");
		break_block(&disk, one + 8192);
		break_block(&disk, one + 20480);
		break_block(&disk, two);
		break_block(&disk, small);
		if (convert(&disk, no_inline) == -EMEDIUMTYPE) { /* built without libext2fs */
			disk_close(&disk);
			skip();
		}
		assert_int_equal(disk.d.err, -EIO);
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
	if (!disk_open(&disk))
		skip();
	break_block(&disk, 3 * 4096); /* kept for more group descriptors */
	if (convert(&disk, false) == -EMEDIUMTYPE) {
		disk_close(&disk);
		skip();
	}
	assert_int_equal(disk.d.err, -EIO);
	assert_int_equal(disk.notes.nr, 1);
	assert_non_null(strstr(disk.notes.text, "the first at byte 12288 of the device"));
	assert_non_null(strstr(disk.d.text, "1 blocks of 4096 bytes cannot be read, of 0 files and of the filesystem itself"));
	disk_close(&disk);
}

/* The same disk, when it can be read, is converted: nothing of all this comes from elsewhere. */
static void test_sound(void **state)
{
	struct disk disk;
	int err;

	(void)state;
	if (!disk_open(&disk))
		skip();
	err = convert(&disk, false);
	if (err && err != -EMEDIUMTYPE)
		fail_msg("%s", disk.d.text);
	disk_close(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_are_named),
		cmocka_unit_test(test_own_blocks_are_told),
		cmocka_unit_test(test_sound),
	};

	return cmocka_run_group_tests_name("unreadable sources", tests, set_up, tear_down);
}
