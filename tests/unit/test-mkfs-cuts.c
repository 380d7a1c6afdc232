/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mkfs over an older filesystem, with the power cut at every moment and a device that fails at every operation: the
 * device shows the old superblock, or the new filesystem whole.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include <btrkit/btrkit.h>

#include "kernel-shared/build/making.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/device/record_device.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/fs/fs.h"

#define DEVICE_BYTES (80 * MIB) /* has a second superblock */
#define NR_FILES 5
#define FILE_BYTES (700 * KIB)
#define OLD_UUID "00000000-1111-2222-3333-444444444444"
#define NEW_UUID "55555555-6666-7777-8888-999999999999"

struct fixture {
	char dir[64], path[80], old_path[80];
	u8 *file_bytes;
	struct record_log log;
};

static void fill_file(u8 *bytes, unsigned file)
{
	u32 n = file + 1;

	for (size_t i = 0; i < FILE_BYTES; i++) {
		n = n * 1664525 + 1013904223;
		bytes[i] = (u8)(n >> 24);
	}
}

static struct btrkit_content *make_content(struct fixture *f)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0644 };
	struct btrkit_content *content;

	assert_int_equal(btrkit_content_new(&content), 0);
	for (unsigned i = 0; i < NR_FILES; i++) {
		char name[16];
		btrkit_node node;

		snprintf(name, sizeof(name), "file-%u", i);
		fill_file(f->file_bytes, i);
		assert_int_equal(btrkit_content_add(content, BTRKIT_TOP_NODE, name, strlen(name), &attr, &node, NULL), 0);
		assert_int_equal(btrkit_content_set_data(content, node, f->file_bytes, FILE_BYTES, 0, NULL), 0);
	}
	return content;
}

static int make(struct fixture *f, const char *path, const char *uuid, const struct making_layer *layer)
{
	struct btrkit_mkfs_device device = { path, DEVICE_BYTES };
	struct btrkit_content *content = make_content(f);
	struct btrkit_mkfs_options options;
	int err;

	btrkit_mkfs_options_init(&options);
	options.devices = &device;
	options.nr_devices = 1;
	options.fsid = uuid;
	options.seed = uuid;
	options.is_forced = true;
	options.threads = 1;
	err = make_filesystem(&options, content, layer, NULL, NULL);
	btrkit_content_free(content);
	return err;
}

/* The old filesystem's superblocks say that it is much newer: what is left of them must still lose. */
static void age_superblocks(const char *path)
{
	struct blockdev *dev;
	struct super_choice choice;

	assert_int_equal(file_device_open(path, FILE_DEVICE_WRITE, 0, 0, &dev, NULL), 0);
	for (unsigned mirror = 0; mirror < 2; mirror++) {
		assert_int_equal(super_read(dev, (int)mirror, &choice, NULL), 0);
		le64_put(&choice.super.generation, 1000);
		super_finish(&choice.super, csum_kind_by_type(0), super_mirror_physical(mirror));
		assert_int_equal(blockdev_write(dev, super_mirror_physical(mirror), &choice.super, sizeof(choice.super), NULL),
				 0);
	}
	blockdev_close(dev);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	char command[256];

	assert_non_null(f);
	f->file_bytes = malloc(FILE_BYTES);
	assert_non_null(f->file_bytes);
	snprintf(f->dir, sizeof(f->dir), "%s/btrkit-cuts-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/new", f->dir);
	snprintf(f->old_path, sizeof(f->old_path), "%s/old", f->dir);
	assert_int_equal(make(f, f->old_path, OLD_UUID, NULL), 0);
	age_superblocks(f->old_path);
	snprintf(command, sizeof(command), "cp --sparse=always %s %s", f->old_path, f->path);
	assert_int_equal(system(command), 0);
	record_log_init(&f->log);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	record_log_done(&f->log);
	(void)unlink(f->path);
	(void)unlink(f->old_path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f->file_bytes);
	free(f);
	return 0;
}

static int wrap(void *ctx, struct blockdev *below, size_t device, struct blockdev **ret_dev)
{
	return record_device_new(below, ctx, (unsigned)device, ret_dev);
}

static bool is_uuid(const struct disk_super *super, const char *uuid)
{
	struct btrkit_fs_info info = { 0 };

	for (int i = 0, at = 0; i < UUID_SIZE; i++, at += 2) {
		at += uuid[at] == '-';
		snprintf(info.fsid, 3, "%02x", super->fsid[i]);
		if (strncmp(info.fsid, uuid + at, 2) != 0)
			return false;
	}
	return true;
}

/* Every file is there with its bytes, read through the checksums. */
static void assert_whole(struct fixture *f, struct blockdev *dev, const struct super_choice *choice)
{
	struct device device = { .devid = 1, .total_bytes = DEVICE_BYTES, .dev = dev };
	const struct fs_options options = { .super_mirror = -1 };
	static u8 got[FILE_BYTES];
	struct device_set *set;
	struct btrkit_fs *fs;

	memcpy(device.uuid, choice->super.dev_item.uuid, UUID_SIZE);
	memcpy(device.fsid, choice->super.fsid, UUID_SIZE);
	assert_int_equal(device_set_new(&set), 0);
	assert_int_equal(device_set_add(set, &device, NULL), 0);
	set->super = choice->super;
	assert_int_equal(fs_open_devices(set, &options, &fs, NULL), 0);
	for (unsigned i = 0; i < NR_FILES; i++) {
		struct btrkit_inode inode;
		struct btrkit_file *file;
		char name[16];
		size_t len;

		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(btrkit_lookup(fs, NULL, name, &inode, NULL), 0);
		assert_int_equal(btrkit_file_open(fs, &inode, &file, NULL), 0);
		assert_int_equal(btrkit_file_read(file, 0, got, FILE_BYTES, &len, NULL), 0);
		assert_int_equal(len, FILE_BYTES);
		fill_file(f->file_bytes, i);
		assert_memory_equal(got, f->file_bytes, FILE_BYTES);
		btrkit_file_close(file);
	}
	btrkit_fs_close(fs);
}

/* What a reader sees after the cut: 'o'ld, 'n'ew. */
static char look(struct fixture *f, size_t nr_records, bool (*choose)(void *, size_t), void *ctx)
{
	struct blockdev *below, *dev;
	struct super_choice choice;
	char seen = 'n';

	assert_int_equal(file_device_open(f->old_path, 0, 0, 0, &below, NULL), 0);
	assert_int_equal(overlay_device_new(below, &dev), 0);
	assert_int_equal(record_log_replay(&f->log, nr_records, &dev, choose, ctx, NULL), 0);
	assert_int_equal(super_read(dev, -1, &choice, NULL), 0);
	if (is_uuid(&choice.super, OLD_UUID)) {
		assert_int_equal(choice.mirror, 0);
		blockdev_close(dev);
		return 'o';
	}
	assert_true(is_uuid(&choice.super, NEW_UUID));
	assert_whole(f, dev, &choice); /* takes the device over */
	return seen;
}

static bool choose_none(void *ctx, size_t record)
{
	(void)ctx;
	(void)record;
	return false;
}

static bool choose_some(void *ctx, size_t record)
{
	u32 n = (u32)record * 2654435761U + *(u32 *)ctx;

	return (n ^ n >> 13) >> 7 & 1;
}

static size_t primary_record(const struct record_log *log)
{
	for (size_t i = 0; i < log->records.len; i++)
		if (log->records.items[i].kind == RECORD_WRITE && log->records.items[i].offset == super_mirror_physical(0))
			return i;
	fail_msg("the primary superblock was not written");
	return 0;
}

static void a_power_cut_shows_old_or_new(void **state)
{
	struct fixture *f = *state;
	const struct making_layer layer = { wrap, &f->log };
	size_t primary, step;

	assert_int_equal(make(f, f->path, NEW_UUID, &layer), 0);
	primary = primary_record(&f->log);
	assert_int_equal(f->log.records.items[primary - 1].kind, RECORD_FLUSH);
	assert_int_equal(f->log.records.items[primary + 1].kind, RECORD_FLUSH);
	step = MAX(primary / 16, (size_t)1);
	for (size_t n = 0; n <= primary; n += n + step < primary ? step : 1)
		assert_int_equal(look(f, n, NULL, NULL), 'o');
	for (size_t n = primary + 1; n <= f->log.records.len; n++) {
		assert_int_equal(look(f, n, NULL, NULL), 'n');
		for (u32 seed = 0; seed < 4; seed++)
			(void)look(f, n, choose_some, &seed); /* one or the other, and whole */
		assert_int_equal(look(f, n, choose_none, NULL), n == primary + 1 ? 'o' : 'n');
	}
}

/* A failed write or flush is an error, and what was not flushed is not counted on. */
static void a_failing_device_is_an_error_and_keeps_the_old_superblock(void **state)
{
	struct fixture *f = *state;
	const struct making_layer layer = { wrap, &f->log };
	u64 nr_operations;
	size_t nr_records;

	assert_int_equal(make(f, f->path, NEW_UUID, &layer), 0);
	nr_operations = f->log.nr_operations;
	nr_records = f->log.records.len;
	assert_true(nr_operations >= nr_records);
	for (u64 at = 1; at <= nr_operations; at += at + 12 < nr_operations ? MAX(nr_operations / 12, (u64)1) : 1) {
		record_log_done(&f->log);
		f->log = (struct record_log){ .fail_at = at };
		record_log_init(&f->log);
		assert_int_equal(make(f, f->path, NEW_UUID, &layer), -EIO);
		if (f->log.records.len < nr_records - 4)
			assert_int_equal(look(f, f->log.records.len, NULL, NULL), 'o');
		else
			(void)look(f, f->log.records.len, NULL, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_power_cut_shows_old_or_new, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failing_device_is_an_error_and_keeps_the_old_superblock, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
