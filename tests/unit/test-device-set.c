/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/device: opening files as devices, and the devices of one filesystem as a set. */
#include "tests/unit/device_super.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/memory_device.h"

#define FSID 0xf5
#define OTHER_FSID 0x77
#define DEVICE_BYTES (65 * MIB)

static char folder[4096];

static int enter_folder(void **state)
{
	const char *place = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof(folder), "%s/test-device-set.XXXXXX", place ? place : "/var/tmp");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

/* A sparse file with that superblock at every mirror, @base_offset bytes into the file. */
static void make_file(const char *name, struct disk_super super, u64 base_offset)
{
	struct blockdev *dev;

	assert_int_equal(file_device_open(name, FILE_DEVICE_CREATE | FILE_DEVICE_WRITE, base_offset, 0, &dev, NULL), 0);
	assert_int_equal(file_device_resize(dev, DEVICE_BYTES, false, NULL), 0);
	for (unsigned m = 0; m < 2; m++)
		put_super(dev, super, m);
	blockdev_close(dev);
}

/* Three devices "a", "b", "c" of one filesystem, ids 1, 2, 3. */
static void make_three(void)
{
	make_file("a", make_super(FSID, 1, 3, 10), 0);
	make_file("b", make_super(FSID, 2, 3, 10), 0);
	make_file("c", make_super(FSID, 3, 3, 10), 0);
}

static void remove_files(const char *names)
{
	for (; *names; names++) {
		const char name[] = { *names, 0 };

		assert_int_equal(unlink(name), 0);
	}
}

static const struct device_set_options plain = { .super_mirror = -1 };

/* Open files of one-letter names. */
static int open_set(const char *names, const struct device_set_options *options, struct device_set **ret_set,
		    struct diag *d)
{
	char name[8][2] = { { 0 } };
	const char *paths[8];
	size_t nr = strlen(names);

	for (size_t i = 0; i < nr; i++) {
		name[i][0] = names[i];
		paths[i] = name[i];
	}
	return device_set_open(paths, nr, options, ret_set, d);
}

/* --- Files ------------------------------------------------------------------------------------------------------- */

static void files_are_devices(void **state)
{
	struct blockdev *dev, *again;
	struct diag d = { 0 };
	u8 bytes[10] = "some text", got[10];

	(void)state;
	assert_int_equal(file_device_open("f", FILE_DEVICE_WRITE, 0, 0, &dev, &d), -ENOENT);
	assert_says(d.text, "f: ");
	assert_int_equal(file_device_open("f", FILE_DEVICE_WRITE | FILE_DEVICE_CREATE, 1000, 0, &dev, &d), 0);
	assert_int_equal(file_device_open("f", FILE_DEVICE_WRITE | FILE_DEVICE_CREATE, 0, 0, &again, &d), -EEXIST);
	assert_int_equal(dev->size_bytes, 0);
	assert_false(dev->is_block_special);
	assert_int_equal(blockdev_write(dev, 0, bytes, 1, &d), -EINVAL);
	assert_int_equal(file_device_resize(dev, 5000, false, &d), 0);
	assert_int_equal(dev->size_bytes, 5000);
	assert_int_equal(blockdev_write(dev, 4990, bytes, 10, &d), 0);
	assert_int_equal(blockdev_write(dev, 4991, bytes, 10, &d), -EINVAL);
	assert_says(d.text, "f: cannot write 10 bytes at 4991: the device ends at 5000");
	assert_int_equal(blockdev_flush(dev, &d), 0);
	blockdev_close(dev);

	assert_int_equal(file_device_open("f", 0, 0, 0, &dev, &d), 0);
	assert_int_equal(dev->size_bytes, 6000);
	assert_int_equal(blockdev_read(dev, 5990, got, 10, &d), 0);
	assert_memory_equal(got, bytes, 10);
	assert_int_equal(blockdev_read(dev, UINT64_MAX, got, 10, &d), -EINVAL);
	assert_int_equal(blockdev_write(dev, 0, got, 10, &d), -EROFS);
	assert_int_equal(blockdev_discard(dev, 0, 4096, &d), -EROFS);
	assert_int_equal(truncate("f", 5000), 0);
	assert_int_equal(blockdev_read(dev, 4990, got, 20, &d), -EIO);
	assert_says(d.text, "earlier than when it was opened");
	blockdev_close(dev);
	assert_int_equal(file_device_open("f", 0, 4999, 0, &dev, &d), 0);
	assert_int_equal(dev->size_bytes, 1);
	blockdev_close(dev);
	assert_int_equal(file_device_open("f", 0, 5001, 0, &dev, &d), -EINVAL);
	assert_int_equal(file_device_open("f", 0, 0, 5001, &dev, &d), -EINVAL);
	assert_int_equal(file_device_open("f", 0, 10, 20, &dev, &d), 0);
	assert_int_equal(dev->size_bytes, 20);
	blockdev_close(dev);
	remove_files("f");
}

static void resizing_keeps_longer_files_unless_told(void **state)
{
	struct blockdev *dev;
	struct stat st;

	(void)state;
	assert_int_equal(file_device_open("f", FILE_DEVICE_WRITE | FILE_DEVICE_CREATE, 0, 0, &dev, NULL), 0);
	assert_int_equal(file_device_resize(dev, 9000, false, NULL), 0);
	assert_int_equal(file_device_resize(dev, 4000, false, NULL), 0);
	assert_int_equal(dev->size_bytes, 4000);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_size, 9000);
	assert_int_equal(file_device_resize(dev, 4000, true, NULL), 0);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_size, 4000);
	assert_int_equal(file_device_resize(dev, UINT64_MAX, false, NULL), -EFBIG);
	blockdev_close(dev);
	remove_files("f");
}

static void what_is_no_device_is_refused(void **state)
{
	struct blockdev *dev;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(mkdir("d", 0777), 0);
	assert_int_equal(mkfifo("p", 0666), 0);
	alarm(20); /* opening a fifo must not wait for its other end */
	assert_int_equal(file_device_open("d", 0, 0, 0, &dev, &d), -EINVAL);
	assert_says(d.text, "d: neither a block device nor a regular file");
	assert_int_equal(file_device_open("p", 0, 0, 0, &dev, &d), -EINVAL);
	assert_says(d.text, "p: neither a block device nor a regular file");
	assert_int_equal(file_device_open("/dev/null", FILE_DEVICE_WRITE, 0, 0, &dev, &d), -EINVAL);
	alarm(0);
	assert_int_equal(rmdir("d"), 0);
	remove_files("p");
}

static void an_exclusive_file_is_opened_once(void **state)
{
	struct blockdev *dev, *again;
	struct diag d = { 0 };

	(void)state;
	make_file("f", make_super(FSID, 1, 1, 10), 0);
	assert_int_equal(file_device_open("f", FILE_DEVICE_EXCLUSIVE, 0, 0, &dev, &d), 0);
	assert_int_equal(file_device_open("f", FILE_DEVICE_EXCLUSIVE | FILE_DEVICE_WRITE, 0, 0, &again, &d), -EBUSY);
	assert_says(d.text, "f: in use");
	assert_int_equal(file_device_open("f", 0, 0, 0, &again, &d), 0);
	blockdev_close(again);
	blockdev_close(dev);
	assert_int_equal(file_device_open("f", FILE_DEVICE_EXCLUSIVE, 0, 0, &dev, &d), 0);
	blockdev_close(dev);
	remove_files("f");
}

/* --- Sets made by hand ---------------------------------------------------------------------------------------------- */

static void sets_are_sorted_and_have_each_id_once(void **state)
{
	static const u64 ids[] = { 5, 1, UINT64_MAX, 3, 0 };
	struct device_set *set;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(device_set_new(&set), 0);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct device device = { .devid = ids[i] };

		memset(device.uuid, (int)i, UUID_SIZE);
		if (i % 2)
			assert_int_equal(memory_device_new("memory", MIB, &device.dev), 0);
		assert_int_equal(device_set_add(set, &device, &d), 0);
		if (i % 2)
			assert_int_equal(memory_device_new("memory", MIB, &device.dev), 0);
		assert_int_equal(device_set_add(set, &device, &d), -EEXIST); /* and closes it */
	}
	assert_int_equal(set->devices.len, ARRAY_LEN(ids));
	for (size_t i = 0; i + 1 < set->devices.len; i++)
		assert_true(set->devices.items[i].devid < set->devices.items[i + 1].devid);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		u8 uuid[UUID_SIZE];

		memset(uuid, (int)i, UUID_SIZE);
		assert_int_equal(device_set_find(set, ids[i], NULL)->devid, ids[i]);
		assert_ptr_equal(device_set_find(set, ids[i], uuid), device_set_find(set, ids[i], NULL));
		uuid[15] ^= 1;
		assert_null(device_set_find(set, ids[i], uuid));
	}
	assert_null(device_set_find(set, 2, NULL));
	assert_int_equal(device_set_nr_missing(set), 3);
	device_set_free(set);
	device_set_free(NULL);
}

/* --- Sets opened by path ------------------------------------------------------------------------------------------- */

static void devices_are_named_in_any_order(void **state)
{
	static const char *const orders[] = { "abc", "acb", "bac", "bca", "cab", "cba" };

	(void)state;
	make_three();
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct device_set *set;
		struct notes notes = { 0 };
		struct diag d = { .note = take_note, .note_arg = &notes };

		assert_int_equal(open_set(orders[i], &plain, &set, &d), 0);
		assert_int_equal(set->devices.len, 3);
		for (size_t n = 0; n < 3; n++) {
			const struct device *device = &set->devices.items[n];

			assert_int_equal(device->devid, n + 1);
			assert_int_equal(device->uuid[0], n + 1);
			assert_int_equal(device->fsid[0], FSID);
			assert_int_equal(device->total_bytes, DEVICE_BYTES);
			assert_int_equal(device->super_generation, 10);
			assert_int_equal(device->dev->name[0], 'a' + (int)n);
			assert_false(device->dev->is_writable);
		}
		assert_int_equal(device_set_nr_missing(set), 0);
		assert_int_equal(notes.count, 0);
		device_set_free(set);
	}
	remove_files("abc");
}

static void the_newest_superblock_of_all_speaks(void **state)
{
	struct device_set *set;
	struct notes notes = { 0 };
	struct diag d = { .note = take_note, .note_arg = &notes };

	(void)state;
	make_file("a", make_super(FSID, 1, 3, 10), 0);
	make_file("b", make_super(FSID, 2, 3, 12), 0);
	make_file("c", make_super(FSID, 3, 3, 11), 0);
	assert_int_equal(open_set("acb", &plain, &set, &d), 0);
	assert_int_equal(le64_get(set->super.generation), 12);
	assert_int_equal(le64_get(set->super.dev_item.devid), 2);
	assert_int_equal(set->super_device, 1);
	assert_int_equal(set->super_mirror, 0);
	assert_int_equal(notes.count, 2);
	assert_says(notes.text, "a: generation 10, the others are at 12");
	assert_says(notes.text, "c: generation 11, the others are at 12");
	device_set_free(set);
	remove_files("abc");
}

static void some_devices_may_be_missing(void **state)
{
	struct device_set *set;

	(void)state;
	make_three();
	assert_int_equal(open_set("b", &plain, &set, NULL), 0);
	assert_int_equal(set->devices.len, 1);
	assert_int_equal(set->devices.items[0].devid, 2);
	assert_int_equal(le64_get(set->super.num_devices), 3);
	device_set_free(set);
	remove_files("abc");
}

static void strangers_and_copies_are_refused_by_name(void **state)
{
	struct device_set *set;
	struct diag d = { 0 };

	(void)state;
	make_three();
	make_file("x", make_super(OTHER_FSID, 9, 1, 10), 0);
	make_file("y", make_super(OTHER_FSID, 1, 1, 99), 0);
	make_file("z", make_super(FSID, 2, 3, 9), 0);
	assert_int_equal(open_set("axb", &plain, &set, &d), -EINVAL);
	assert_string_equal(d.text, "a and x belong to different filesystems");
	/* of the same id, as two filesystems of one device each have */
	assert_int_equal(open_set("ay", &plain, &set, &d), -EINVAL);
	assert_string_equal(d.text, "a and y belong to different filesystems");
	assert_int_equal(open_set("abz", &plain, &set, &d), -EEXIST);
	assert_says(d.text, "b and z both are device 2");
	assert_int_equal(open_set("aba", &plain, &set, &d), -EINVAL);
	assert_string_equal(d.text, "a and a are the same device");
	assert_int_equal(symlink("b", "s"), 0);
	assert_int_equal(link("c", "h"), 0);
	assert_int_equal(open_set("abs", &plain, &set, &d), -EINVAL);
	assert_string_equal(d.text, "b and s are the same device");
	assert_int_equal(open_set("hac", &plain, &set, &d), -EINVAL);
	assert_string_equal(d.text, "h and c are the same device");
	assert_int_equal(open_set("", &plain, &set, &d), -EINVAL);
	assert_int_equal(open_set("an", &plain, &set, &d), -ENOENT);
	assert_says(d.text, "n: ");
	remove_files("abcxyzsh");
}

static void a_device_that_was_cut_is_told_of(void **state)
{
	struct device_set *set;
	struct notes notes = { 0 };
	struct diag d = { .note = take_note, .note_arg = &notes };

	(void)state;
	make_three();
	assert_int_equal(truncate("b", DEVICE_BYTES - 1), 0);
	assert_int_equal(truncate("c", DEVICE_BYTES + 1), 0);
	assert_int_equal(open_set("abc", &plain, &set, &d), 0);
	assert_int_equal(notes.count, 1);
	assert_says(notes.text, "b: has 68157439 bytes, its superblock says 68157440: the end is missing");
	device_set_free(set);
	remove_files("abc");
}

static void a_device_that_holds_no_btrfs_is_named(void **state)
{
	struct device_set *set;
	struct diag d = { 0 };

	(void)state;
	make_three();
	make_file("e", make_super(FSID, 4, 3, 10), 0);
	assert_int_equal(truncate("e", 0), 0);
	assert_int_equal(open_set("ae", &plain, &set, &d), -EMEDIUMTYPE);
	assert_says(d.text, "e: too small");
	assert_int_equal(truncate("e", DEVICE_BYTES), 0);
	assert_int_equal(open_set("ae", &plain, &set, &d), -EMEDIUMTYPE);
	assert_string_equal(d.text, "e: no Btrfs superblock at 65536");
	remove_files("abce");
}

/* A seed's devices have another fsid; the filesystem that grew from it is what is opened, in any order. */
static void seeds_join_what_grew_from_them(void **state)
{
	static const char *const orders[] = { "sg", "gs" };
	struct disk_super seed = make_super(OTHER_FSID, 1, 1, 50);
	struct device_set *set;

	(void)state;
	le64_put(&seed.flags, SUPER_FLAG_SEEDING);
	make_file("s", seed, 0);
	make_file("g", make_super(FSID, 2, 2, 60), 0);
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		assert_int_equal(open_set(orders[i], &plain, &set, NULL), 0);
		assert_int_equal(set->devices.len, 2);
		assert_int_equal(set->super.fsid[0], FSID);
		assert_int_equal(set->devices.items[0].fsid[0], OTHER_FSID);
		assert_int_equal(set->devices.items[1].fsid[0], FSID);
		assert_int_equal(set->super_device, 1);
		device_set_free(set);
	}
	/* alone it is a filesystem of its own */
	assert_int_equal(open_set("s", &plain, &set, NULL), 0);
	assert_int_equal(set->super.fsid[0], OTHER_FSID);
	device_set_free(set);
	remove_files("sg");
}

/* While its fsid is being changed, a filesystem's devices are told by the metadata_uuid. */
static void half_renamed_filesystems_stay_together(void **state)
{
	struct disk_super old = make_super(FSID, 1, 2, 10), new = make_super(OTHER_FSID, 2, 2, 11);
	struct device_set *set;

	(void)state;
	le64_put(&new.incompat_flags, INCOMPAT_METADATA_UUID);
	memset(new.metadata_uuid, FSID, UUID_SIZE);
	memset(new.dev_item.fsid, FSID, UUID_SIZE);
	make_file("a", old, 0);
	make_file("b", new, 0);
	assert_int_equal(open_set("ab", &plain, &set, NULL), -EINVAL);
	remove_files("b");
	le64_put(&new.flags, SUPER_FLAG_CHANGING_FSID_V2);
	make_file("b", new, 0);
	assert_int_equal(open_set("ab", &plain, &set, NULL), 0);
	assert_int_equal(set->devices.len, 2);
	assert_int_equal(le64_get(set->super.generation), 11);
	device_set_free(set);
	remove_files("ab");
}

static void options_reach_each_device(void **state)
{
	struct device_set_options options = plain;
	struct device_set *set, *second;
	struct diag d = { 0 };

	(void)state;
	make_file("a", make_super(FSID, 1, 2, 10), 3 * MIB);
	make_file("b", make_super(FSID, 2, 2, 10), 3 * MIB);
	assert_int_equal(open_set("ab", &options, &set, &d), -EMEDIUMTYPE);
	options.base_offset = 3 * MIB;
	options.is_writable = options.is_exclusive = true;
	options.super_mirror = 1;
	assert_int_equal(open_set("ab", &options, &set, &d), 0);
	assert_int_equal(set->super_mirror, 1);
	assert_int_equal(le64_get(set->super.bytenr), 64 * MIB);
	assert_true(set->devices.items[1].dev->is_writable);
	assert_int_equal(open_set("b", &options, &second, &d), -EBUSY);
	device_set_free(set);
	options.super_mirror = 2;
	assert_int_equal(open_set("ab", &options, &set, &d), -EINVAL);
	assert_says(d.text, "a: has no superblock mirror 2");
	remove_files("ab");
}

/* --- Looking for devices that nobody named ------------------------------------------------------------------------------ */

static void the_rest_is_found_in_a_folder(void **state)
{
	struct device_set_options options = plain;
	struct notes notes = { 0 };
	struct diag d = { .note = take_note, .note_arg = &notes };
	struct device_set *set;

	(void)state;
	options.scan_dir = ".";
	make_three();
	make_file("x", make_super(OTHER_FSID, 2, 1, 10), 0);
	make_file("e", make_super(FSID, 7, 3, 10), 0);
	assert_int_equal(truncate("e", 100 * KIB), 0);
	assert_int_equal(truncate("e", 60 * KIB), 0);
	assert_int_equal(link("a", "h"), 0);
	assert_int_equal(mkfifo("p", 0666), 0);
	assert_int_equal(mkdir("d", 0777), 0);
	alarm(20);
	assert_int_equal(open_set("a", &options, &set, &d), 0);
	alarm(0);
	assert_int_equal(set->devices.len, 3);
	assert_string_equal(set->devices.items[1].dev->name, "./b");
	assert_string_equal(set->devices.items[2].dev->name, "./c");
	assert_says(notes.text, "device 2 found: ./b");
	assert_says(notes.text, "device 3 found: ./c");
	assert_int_equal(notes.count, 2);
	device_set_free(set);
	options.scan_dir = "nowhere";
	assert_int_equal(open_set("a", &options, &set, &d), -ENOENT);
	assert_says(d.text, "nowhere: ");
	/* nothing is missing: nobody looks */
	assert_int_equal(open_set("abc", &options, &set, &d), 0);
	device_set_free(set);
	assert_int_equal(rmdir("d"), 0);
	remove_files("abcxehp");
}

/* A device that Linux is filling to put it in another's place: the filesystem has all of its devices without it. */
static void a_device_to_be_is_none_of_them(void **state)
{
	struct device_set_options options = plain;
	struct device_set *set;

	(void)state;
	options.scan_dir = ".";
	make_three();
	make_file("0", make_super(FSID, 0, 3, 10), 0);
	for (const char *named = "abc0"; *named; named++) {
		const char name[] = { *named, 0 };

		assert_int_equal(open_set(name, &options, &set, NULL), 0);
		for (u64 devid = 1; devid <= 3; devid++)
			assert_non_null(device_set_find(set, devid, NULL));
		device_set_free(set);
	}
	assert_int_equal(open_set("ab0", &options, &set, NULL), 0);
	assert_int_equal(set->devices.len, 4);
	device_set_free(set);
	remove_files("abc0");
}

/* Of several copies of a device, in whatever order the folder has them, the newest is it. */
static void the_newest_copy_in_a_folder_counts(void **state)
{
	static const char copies[] = "bcdefghi";
	struct device_set_options options = plain;

	(void)state;
	options.scan_dir = ".";
	make_file("a", make_super(FSID, 1, 2, 20), 0);
	for (size_t newest = 0; copies[newest]; newest++) {
		struct device_set *set;

		for (size_t i = 0; copies[i]; i++) {
			const char name[] = { copies[i], 0 };

			make_file(name, make_super(FSID, 2, 2, i == newest ? 20 : 3 + (5 * i) % 8), 0);
		}
		assert_int_equal(open_set("a", &options, &set, NULL), 0);
		assert_int_equal(set->devices.len, 2);
		assert_int_equal(set->devices.items[1].super_generation, 20);
		assert_int_equal(set->devices.items[1].dev->name[2], copies[newest]);
		device_set_free(set);
		remove_files(copies);
	}
	remove_files("a");
}

/* Two that are as new cannot be told apart, unless they are one file. */
static void copies_as_new_are_refused(void **state)
{
	struct device_set_options options = plain;
	struct device_set *set;
	struct diag d = { 0 };

	(void)state;
	options.scan_dir = ".";
	make_file("a", make_super(FSID, 1, 2, 10), 0);
	make_file("b", make_super(FSID, 2, 2, 10), 0);
	make_file("o", make_super(FSID, 2, 2, 8), 0);
	assert_int_equal(link("b", "l"), 0);
	assert_int_equal(open_set("a", &options, &set, &d), 0);
	assert_int_equal(set->devices.len, 2);
	device_set_free(set);
	remove_files("l");
	make_file("t", make_super(FSID, 2, 2, 10), 0);
	assert_int_equal(open_set("a", &options, &set, &d), -EEXIST);
	assert_says(d.text, "./b");
	assert_says(d.text, "./t");
	assert_says(d.text, "both are device 2");
	/* one that is named is meant */
	assert_int_equal(open_set("at", &options, &set, &d), 0);
	assert_string_equal(set->devices.items[1].dev->name, "t");
	device_set_free(set);
	remove_files("abot");
}

/* Only its mirror says that it once was one of the devices: it is something else now. */
static void a_device_without_primary_is_not_found(void **state)
{
	struct device_set_options options = plain;
	struct device_set *set;
	u8 zero[4096] = { 0 };
	int fd;

	(void)state;
	options.scan_dir = ".";
	make_three();
	fd = open("b", O_WRONLY);
	assert_int_equal(pwrite(fd, zero, sizeof(zero), 65536), sizeof(zero));
	close(fd);
	assert_int_equal(open_set("a", &options, &set, NULL), 0);
	assert_int_equal(set->devices.len, 2);
	assert_int_equal(set->devices.items[1].devid, 3);
	device_set_free(set);
	/* but it may be named */
	assert_int_equal(open_set("ab", &options, &set, NULL), 0);
	assert_int_equal(set->devices.len, 3);
	device_set_free(set);
	remove_files("abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_devices),
		cmocka_unit_test(resizing_keeps_longer_files_unless_told),
		cmocka_unit_test(what_is_no_device_is_refused),
		cmocka_unit_test(an_exclusive_file_is_opened_once),
		cmocka_unit_test(sets_are_sorted_and_have_each_id_once),
		cmocka_unit_test(devices_are_named_in_any_order),
		cmocka_unit_test(the_newest_superblock_of_all_speaks),
		cmocka_unit_test(some_devices_may_be_missing),
		cmocka_unit_test(strangers_and_copies_are_refused_by_name),
		cmocka_unit_test(a_device_that_was_cut_is_told_of),
		cmocka_unit_test(a_device_that_holds_no_btrfs_is_named),
		cmocka_unit_test(seeds_join_what_grew_from_them),
		cmocka_unit_test(half_renamed_filesystems_stay_together),
		cmocka_unit_test(options_reach_each_device),
		cmocka_unit_test(the_rest_is_found_in_a_folder),
		cmocka_unit_test(a_device_to_be_is_none_of_them),
		cmocka_unit_test(the_newest_copy_in_a_folder_counts),
		cmocka_unit_test(copies_as_new_are_refused),
		cmocka_unit_test(a_device_without_primary_is_not_found),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
