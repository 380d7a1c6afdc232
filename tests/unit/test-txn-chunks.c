/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where chunks and devices contradict each other no transaction begins, and nothing is written: a good filesystem gets
 * one lie at a time, with right checksums, in its chunk tree or in the superblock of a device.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>

#include "kernel-shared/format/leaf_edit.h"
#include "kernel-shared/volume/volume.h"
#include "tests/unit/txn_work.h"

#define NODESIZE 4096
#define DEVICE_BYTES (256 * MIB)
#define LONG_AGO 1000 /* seconds since 1970 */

static const struct txn_shape shape = { "raid1", NODESIZE, "raid1", "raid1", 2, DEVICE_BYTES, NULL, false };

/* The only block of the chunk tree, and the superblocks. */
struct volume_items {
	u8 leaf[NODESIZE];
	struct disk_super supers[2]; /* of devices 1 and 2 */
};

struct stage {
	struct txn_fixture f;
	const struct csum_kind *csum;
	u64 leaf_physical[2]; /* on devices 1 and 2 */
	struct volume_items good;
};

/* --- On disk ---------------------------------------- */

static void put_bytes(const char *path, u64 physical, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)physical), len);
	close(fd);
}

static void get_bytes(const char *path, u64 physical, void *bytes, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, len, (off_t)physical), len);
	close(fd);
}

/* Write the leaf and the superblocks, with right checksums, and make the files look old. */
static void put_items(const struct stage *stage, const struct volume_items *items)
{
	static const struct timespec old[2] = { { .tv_sec = LONG_AGO }, { .tv_sec = LONG_AGO } };
	struct volume_items finished = *items;

	block_finish(finished.leaf, NODESIZE, stage->csum);
	for (unsigned i = 0; i < 2; i++) {
		put_bytes(stage->f.paths[i], stage->leaf_physical[i], finished.leaf, NODESIZE);
		for (unsigned mirror = 0; mirror < super_mirror_count(DEVICE_BYTES); mirror++) {
			super_finish(&finished.supers[i], stage->csum, super_mirror_physical(mirror));
			put_bytes(stage->f.paths[i], super_mirror_physical(mirror), &finished.supers[i],
				  sizeof(finished.supers[i]));
		}
		assert_int_equal(utimensat(AT_FDCWD, stage->f.paths[i], old, 0), 0);
	}
}

/* Whatever is written to a file makes it new, the same bytes, too. */
static bool was_written(const struct stage *stage)
{
	struct stat st;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(stat(stage->f.paths[i], &st), 0);
		if (st.st_mtime != LONG_AGO)
			return true;
	}
	return false;
}

static void stage_make(struct stage *stage)
{
	struct btrkit_fs *fs;

	txn_fixture_make(&stage->f, &shape);
	fs = stage->f.fs;
	stage->csum = fs->csum;
	assert_int_equal(fs->super.chunk_root_level, 0);
	for (unsigned mirror = 1; mirror <= 2; mirror++) {
		struct physical_part part;

		assert_int_equal(volume_map(fs->volume->chunks, fs->chunk_tree.root_logical, NODESIZE, mirror, &part),
				 0);
		assert_int_equal(part.len, NODESIZE);
		assert_in_range(part.devid, 1, 2);
		stage->leaf_physical[part.devid - 1] = part.physical;
	}
	txn_fixture_close(&stage->f);
	for (unsigned i = 0; i < 2; i++) {
		get_bytes(stage->f.paths[i], stage->leaf_physical[i], stage->good.leaf, NODESIZE);
		get_bytes(stage->f.paths[i], super_mirror_physical(0), &stage->good.supers[i],
			  sizeof(stage->good.supers[i]));
	}
}

/* --- Items ---------------------------------------- */

static struct disk_dev_item *dev_item(struct volume_items *items, u64 devid)
{
	for (u32 slot = 0; slot < block_nritems(items->leaf); slot++)
		if (leaf_key(items->leaf, slot).type == DEV_ITEM_KEY && leaf_key(items->leaf, slot).offset == devid)
			return (struct disk_dev_item *)leaf_item_data(items->leaf, slot);
	fail_msg("no item of device %llu", (unsigned long long)devid);
	return NULL;
}

/* The first chunk of a type; not that of system chunks, which the superblock has, too. */
static struct disk_chunk *chunk_item(struct volume_items *items, u64 type)
{
	for (u32 slot = 0; slot < block_nritems(items->leaf); slot++) {
		struct disk_chunk *chunk = (struct disk_chunk *)leaf_item_data(items->leaf, slot);

		if (leaf_key(items->leaf, slot).type == CHUNK_ITEM_KEY && (le64_get(chunk->type) & type))
			return chunk;
	}
	fail_msg("no chunk of type %llu", (unsigned long long)type);
	return NULL;
}

/* The stripe on device @devid of the chunk for data, and how many bytes it has there. */
static struct disk_stripe *data_stripe(struct volume_items *items, u64 devid)
{
	struct disk_chunk *chunk = chunk_item(items, BLOCK_GROUP_DATA);

	for (u16 i = 0; i < le16_get(chunk->num_stripes); i++)
		if (le64_get(chunk->stripe[i].devid) == devid)
			return &chunk->stripe[i];
	fail_msg("no stripe on device %llu", (unsigned long long)devid);
	return NULL;
}

static u64 data_stripe_bytes(struct volume_items *items)
{
	return le64_get(chunk_item(items, BLOCK_GROUP_DATA)->length);
}

/* Where the metadata's stripe begins on device 2, and where it ends. */
static u64 metadata_physical(struct volume_items *items)
{
	const struct disk_chunk *chunk = chunk_item(items, BLOCK_GROUP_METADATA);

	return le64_get(chunk->stripe[le64_get(chunk->stripe[0].devid) == 2 ? 0 : 1].offset);
}

static u64 metadata_end(struct volume_items *items)
{
	return metadata_physical(items) + le64_get(chunk_item(items, BLOCK_GROUP_METADATA)->length);
}

/* --- Lies ---------------------------------------- */

static void nothing(struct volume_items *items)
{
	(void)items;
}

static void on_no_device(struct volume_items *items)
{
	le64_put(&data_stripe(items, 2)->devid, 9);
}

static void on_another_uuid(struct volume_items *items)
{
	data_stripe(items, 2)->dev_uuid[5] ^= 1;
}

static void behind_the_end(struct volume_items *items)
{
	le64_put(&data_stripe(items, 2)->offset, DEVICE_BYTES + MIB);
}

static void over_the_end(struct volume_items *items)
{
	le64_put(&data_stripe(items, 1)->offset, DEVICE_BYTES - data_stripe_bytes(items) + 4096);
}

static void up_to_the_end(struct volume_items *items)
{
	le64_put(&data_stripe(items, 1)->offset, DEVICE_BYTES - data_stripe_bytes(items));
}

static void on_the_same_place(struct volume_items *items)
{
	le64_put(&data_stripe(items, 2)->offset, metadata_physical(items));
}

static void over_its_beginning(struct volume_items *items)
{
	le64_put(&data_stripe(items, 2)->offset, metadata_physical(items) - data_stripe_bytes(items) + 4096);
}

static void over_its_last_sector(struct volume_items *items)
{
	le64_put(&data_stripe(items, 2)->offset, metadata_end(items) - 4096);
}

static void right_behind_it(struct volume_items *items)
{
	le64_put(&data_stripe(items, 2)->offset, metadata_end(items));
}

/* Of another filesystem, as the chunk tree has it, or as the device has it. */
static void item_of_a_seed(struct volume_items *items)
{
	dev_item(items, 2)->fsid[3] ^= 1;
}

static void device_of_a_seed(struct volume_items *items)
{
	struct disk_super *super = &items->supers[1];

	super->fsid[3] ^= 1;
	super->dev_item.fsid[3] ^= 1;
	le64_put(&super->flags, le64_get(super->flags) | SUPER_FLAG_SEEDING);
}

/* Both agree; it is not what is wrong. Of the other device the chunk tree knows nothing. */
static void seeds_only(struct volume_items *items)
{
	device_of_a_seed(items);
	item_of_a_seed(items);
	assert_ptr_equal(leaf_item_data(items->leaf, 0), dev_item(items, 1));
	leaf_remove(items->leaf, NODESIZE, 0, 1);
}

static void no_devices(struct volume_items *items)
{
	leaf_remove(items->leaf, NODESIZE, 0, 2);
}

static const struct lie {
	const char *name;
	void (*tell)(struct volume_items *items);
	int err;
	const char *text; /* part of what is said */
} lies[] = {
	{ "nothing", nothing, 0, "" },
	{ "a chunk on a device that nobody has", on_no_device, -ENODEV, "device 9, on which it lies, is missing" },
	{ "a chunk on a device with another uuid", on_another_uuid, -ENODEV, "device 2, on which it lies, is missing" },
	{ "a chunk behind the end of its device", behind_the_end, -EUCLEAN, "reaches beyond the end of" },
	{ "a chunk over the end of its device", over_the_end, -EUCLEAN, "reaches beyond the end of" },
	{ "a chunk up to the end of its device", up_to_the_end, 0, "" },
	{ "two chunks in one place", on_the_same_place, -EUCLEAN, "lie on the same bytes of device 2" },
	{ "a chunk over the beginning of another", over_its_beginning, -EUCLEAN, "lie on the same bytes of device 2" },
	{ "a chunk over the end of another", over_its_last_sector, -EUCLEAN, "lie on the same bytes of device 2" },
	{ "a chunk right behind another", right_behind_it, 0, "" },
	{ "a seed's device, says the chunk tree", item_of_a_seed, -EUCLEAN, "the chunk tree and the device differ" },
	{ "a seed's device, says the device", device_of_a_seed, -EUCLEAN, "the chunk tree and the device differ" },
	{ "seeds only", seeds_only, -EROFS, "no device of this filesystem may be written" },
	{ "no device in the chunk tree", no_devices, -EROFS, "no device of this filesystem may be written" },
};

/* Open the filesystem, which is possible, to read it, and begin a transaction. */
static int begin(struct stage *stage, bool is_writable, struct diag *d)
{
	const struct device_set_options for_devices = { .is_writable = is_writable, .super_mirror = -1 };
	struct txn_fixture *f = &stage->f;
	struct device_set *devices;
	struct txn_target target;

	if (device_set_open(f->path_list, f->nr_devices, &for_devices, &devices, d) != 0 ||
	    fs_open_devices(devices, &(struct fs_options){ 0 }, &f->fs, d) != 0)
		fail_msg("not opened: %s", d->text);
	target = txn_target_of(f->fs);
	return txn_new(&target, false, &f->txn, d);
}

static void test_lies(void **state)
{
	struct stage stage = { 0 };

	(void)state;
	stage_make(&stage);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct volume_items items = stage.good;
		struct diag d = { 0 };
		int err;

		lies[i].tell(&items);
		put_items(&stage, &items);
		err = begin(&stage, true, &d);
		txn_fixture_close(&stage.f);
		if (err != lies[i].err || !strstr(d.text, lies[i].text))
			fail_msg("%s: %d: %s", lies[i].name, err, d.text);
		if (was_written(&stage))
			fail_msg("%s: something was written", lies[i].name);
	}
	put_items(&stage, &stage.good);
	txn_fixture_check(&stage.f, "put back", true);
	txn_fixture_done(&stage.f);
}

/* What is open for reading only is not written, and what is written is seen. */
static void test_access(void **state)
{
	struct stage stage = { 0 };
	struct model model = { { 0 } };
	struct diag d = { 0 };
	u64 seed = 1;

	(void)state;
	stage_make(&stage);
	put_items(&stage, &stage.good);
	assert_int_equal(begin(&stage, false, &d), -EROFS);
	assert_non_null(strstr(d.text, "is not open for writing"));
	txn_fixture_close(&stage.f);
	assert_false(was_written(&stage));
	diag_clear(&d);
	stage.f.nr_devices = 1;
	assert_int_equal(begin(&stage, true, &d), -ENODEV);
	txn_fixture_close(&stage.f);
	stage.f.nr_devices = 2;
	assert_false(was_written(&stage));
	diag_clear(&d);
	if (begin(&stage, true, &d) != 0 || do_work(&stage.f, FS_TREE_OBJECTID, &model, 1, 0, &seed, &d) != 0 ||
	    txn_commit(stage.f.txn, &d) != 0)
		fail_msg("%s", d.text);
	assert_true(was_written(&stage));
	txn_fixture_check(&stage.f, "written", true);
	txn_fixture_done(&stage.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
