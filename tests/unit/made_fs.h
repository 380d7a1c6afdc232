/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For unit tests: content made into an image in a temporary file, and opened again. Include after cmocka.h. */
#ifndef BTRKIT_TESTS_UNIT_MADE_FS_H
#define BTRKIT_TESTS_UNIT_MADE_FS_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <btrkit/btrkit.h>

#include "common/base/types.h"

struct made_fs {
	char path[256];
	struct btrkit_fs *fs;
	struct btrkit_error error; /* of making it */
};

/* The same bytes each time, as large as it must be. */
static inline void made_fs_options(struct btrkit_mkfs_options *options)
{
	btrkit_mkfs_options_init(options);
	options->seed = "unit";
	options->has_epoch = true;
	options->epoch_sec = 1700000000;
	options->is_shrink = true;
	options->threads = 2;
}

/* Make @content, which is freed, into an image and open that. @options NULL: those above. Returns what mkfs does. */
static inline int made_fs_new(struct made_fs *made, struct btrkit_content *content, struct btrkit_mkfs_options *options)
{
	const char *tmp = getenv("TMPDIR");
	struct btrkit_mkfs_device device = { .path = made->path };
	struct btrkit_mkfs_options defaults;
	const char *paths[] = { made->path };
	struct btrkit_open_options open_options;
	int fd, err;

	*made = (struct made_fs){ .fs = NULL };
	snprintf(made->path, sizeof(made->path), "%s/btrkit-unit-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(made->path);
	assert_true(fd >= 0);
	close(fd);
	made_fs_options(&defaults);
	if (!options)
		options = &defaults;
	options->devices = &device;
	options->nr_devices = 1;
	err = btrkit_mkfs(options, content, NULL, &made->error);
	btrkit_content_free(content);
	if (err)
		return err;
	btrkit_open_options_init(&open_options);
	open_options.no_device_scan = true;
	if (btrkit_fs_open(paths, 1, &open_options, &made->fs, &made->error) != 0)
		fail_msg("%s", made->error.text);
	return 0;
}

static inline void made_fs_done(struct made_fs *made)
{
	btrkit_fs_close(made->fs);
	unlink(made->path);
}

static inline bool made_fs_find(struct made_fs *made, const char *path, struct btrkit_inode *ret_inode)
{
	struct btrkit_error error;
	int err = btrkit_lookup(made->fs, NULL, path, ret_inode, &error);

	if (err && err != -ENOENT)
		fail_msg("%s: %s", path, error.text);
	return err == 0;
}

static inline struct btrkit_stat made_fs_stat(struct made_fs *made, const char *path)
{
	struct btrkit_inode inode;
	struct btrkit_stat stat;

	if (!made_fs_find(made, path, &inode))
		fail_msg("%s is not there", path);
	assert_int_equal(btrkit_stat(made->fs, &inode, &stat, NULL), 0);
	return stat;
}

/* All of a file, to be freed. */
static inline u8 *made_fs_read(struct made_fs *made, const char *path, size_t *ret_len)
{
	struct btrkit_error error;
	struct btrkit_inode inode;
	struct btrkit_file *file;
	u8 *data;

	if (!made_fs_find(made, path, &inode))
		fail_msg("%s is not there", path);
	assert_int_equal(btrkit_file_open(made->fs, &inode, &file, &error), 0);
	data = malloc(btrkit_file_size(file) + 1);
	assert_non_null(data);
	if (btrkit_file_read(file, 0, data, btrkit_file_size(file), ret_len, &error) != 0)
		fail_msg("%s: %s", path, error.text);
	assert_int_equal(*ret_len, btrkit_file_size(file));
	btrkit_file_close(file);
	return data;
}

static inline void made_fs_expect(struct made_fs *made, const char *path, const void *data, size_t len)
{
	size_t got;
	u8 *found = made_fs_read(made, path, &got);

	assert_int_equal(got, len);
	if (len)
		assert_memory_equal(found, data, len);
	free(found);
}

/* Names in the directory, counted. */
static inline u64 made_fs_count(struct made_fs *made, const char *path)
{
	struct btrkit_dir_entry entry;
	struct btrkit_error error;
	struct btrkit_inode inode;
	struct btrkit_dir *dir;
	u64 nr = 0;
	int err;

	if (!made_fs_find(made, path, &inode))
		fail_msg("%s is not there", path);
	assert_int_equal(btrkit_dir_open(made->fs, &inode, &dir, &error), 0);
	while ((err = btrkit_dir_next(dir, &entry, &error)) == 0)
		nr++;
	if (err != 1)
		fail_msg("%s: %s", path, error.text);
	btrkit_dir_close(dir);
	return nr;
}

#endif
