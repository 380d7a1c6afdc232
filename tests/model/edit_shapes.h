/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filesystems of all profiles and node sizes, to be changed. Include after cmocka.h. */
#ifndef BTRKIT_TESTS_MODEL_EDIT_SHAPES_H
#define BTRKIT_TESTS_MODEL_EDIT_SHAPES_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <btrkit/btrkit.h>

#include "common/base/types.h"
#include "common/compress/codec.h"
#include "common/csum/csum.h"

#define DEVICES_MAX 6

struct shape {
	const char *name;
	u32 nodesize;
	const char *metadata, *data;
	unsigned nr_devices;
	const char *features, *csum;
	bool is_mixed;
	/* Files that it has from the beginning, compressed; in the directory "made", or none. */
	unsigned nr_files;
	const char *compress;
};

__attribute__((unused)) static const struct shape shapes[] = {
	{ "deep", 4096, "dup", "single", 1, NULL, NULL, false, 1500, "zstd" },
	{ "zlib", 16384, "single", "single", 1, "^no-holes", NULL, false, 60, "zlib" },
	{ "4k", 4096, "dup", "single", 1, NULL, NULL, false, 0, NULL },
	{ "16k", 16384, "single", "single", 1, NULL, NULL, false, 0, NULL },
	{ "64k", 65536, "dup", "dup", 1, NULL, "xxhash", false, 0, NULL },
	{ "old", 4096, "dup", "single", 1, "^no-holes,^free-space-tree", NULL, false, 0, NULL },
	{ "oldest", 4096, "dup", "single", 1, "^no-holes,^free-space-tree,^skinny-metadata,^extref", NULL, false, 0, NULL },
	{ "mixed", 4096, "single", "single", 1, NULL, NULL, true, 0, NULL },
	{ "block-groups", 4096, "single", "single", 1, "block-group-tree", "sha256", false, 0, NULL },
	{ "raid0", 4096, "raid0", "raid0", 3, NULL, NULL, false, 0, NULL },
	{ "raid1", 4096, "raid1", "raid1", 2, NULL, "blake2", false, 0, NULL },
	{ "raid1c3", 4096, "raid1c3", "raid1c3", 3, NULL, NULL, false, 0, NULL },
	{ "raid1c4", 4096, "raid1c4", "raid1c4", 4, NULL, NULL, false, 0, NULL },
	{ "raid10", 4096, "raid10", "raid10", 4, NULL, NULL, false, 0, NULL },
	{ "raid5", 4096, "raid5", "raid5", 3, NULL, NULL, false, 0, NULL },
	{ "raid6", 4096, "raid6", "raid6", 4, NULL, NULL, false, 0, NULL },
};

struct shaped_fs {
	const struct shape *shape;
	char what[128]; /* for messages */
	char paths[DEVICES_MAX][128];
	const char *path_list[DEVICES_MAX];
	struct btrkit_fs *fs;
	struct btrkit_edit *edit;
};

static inline void shaped_fs_open(struct shaped_fs *f)
{
	struct btrkit_open_options options;
	struct btrkit_error error;

	btrkit_open_options_init(&options);
	options.is_writable = true;
	options.no_device_scan = true;
	if (btrkit_fs_open(f->path_list, f->shape->nr_devices, &options, &f->fs, &error))
		fail_msg("%s: %s", f->what, error.text);
	if (btrkit_edit_new(f->fs, NULL, &f->edit, &error))
		fail_msg("%s: %s", f->what, error.text);
}

static inline void shaped_fs_close(struct shaped_fs *f)
{
	btrkit_edit_free(f->edit);
	btrkit_fs_close(f->fs);
	f->edit = NULL;
	f->fs = NULL;
}

/* Contents of the files that are there from the beginning: inline, in one compressed extent, in several. */
static inline u64 shaped_file_bytes(unsigned file)
{
	static const u64 sizes[] = { 700, 20000, 300000, 1500 };

	return file % 50 ? sizes[file % 2 * 3] : sizes[1 + file / 50 % 2];
}

static inline void shaped_file_fill(unsigned file, u8 *bytes)
{
	for (u64 at = 0; at < shaped_file_bytes(file); at++)
		bytes[at] = (u8)(at / 100 * 7 + file);
}

static inline struct btrkit_content *shaped_content(const struct shape *shape)
{
	const struct btrkit_node_attr dir = { .mode = S_IFDIR | 0755 }, attr = { .mode = S_IFREG | 0644 };
	static u8 bytes[300000];
	struct btrkit_content *content;
	btrkit_node made, node;

	if (shape->nr_files == 0)
		return NULL;
	assert_int_equal(btrkit_content_new(&content), 0);
	assert_int_equal(btrkit_content_add(content, BTRKIT_TOP_NODE, "made", 4, &dir, &made, NULL), 0);
	for (unsigned i = 0; i < shape->nr_files; i++) {
		char name[32];

		snprintf(name, sizeof(name), "made-%u", i);
		shaped_file_fill(i, bytes);
		assert_int_equal(btrkit_content_add(content, made, name, strlen(name), &attr, &node, NULL), 0);
		assert_int_equal(btrkit_content_set_data(content, node, bytes, shaped_file_bytes(i), 0, NULL), 0);
	}
	return content;
}

/* @image: the files' names begin with it; NULL: temporary ones. */
static inline void shaped_fs_make(struct shaped_fs *f, const struct shape *shape, const char *image)
{
	struct btrkit_mkfs_device devices[DEVICES_MAX] = { 0 };
	const char *tmp = getenv("TMPDIR");
	struct btrkit_content *content;
	struct btrkit_mkfs_options options;
	struct btrkit_error error;

	if ((shape->csum && !csum_kind_by_name(shape->csum)) || (shape->compress && !codec_by_name(shape->compress))) {
		print_message("[  SKIPPED ] %s: its checksum or compression is not built in\n", shape->name);
		skip();
	}
	content = shaped_content(shape);
	*f = (struct shaped_fs){ .shape = shape };
	snprintf(f->what, sizeof(f->what), "%s", shape->name);
	btrkit_mkfs_options_init(&options);
	for (unsigned i = 0; i < f->shape->nr_devices; i++) {
		if (image) {
			snprintf(f->paths[i], sizeof(f->paths[i]), f->shape->nr_devices > 1 ? "%s.%u" : "%s", image, i + 1);
		} else {
			int fd;

			snprintf(f->paths[i], sizeof(f->paths[i]), "%s/btrkit-model-XXXXXX", tmp && strlen(tmp) < 90 ? tmp : "/var/tmp");
			fd = mkstemp(f->paths[i]);
			assert_true(fd >= 0);
			close(fd);
		}
		f->path_list[i] = f->paths[i];
		devices[i] = (struct btrkit_mkfs_device){ f->paths[i], f->shape->nr_devices > 1 ? 600 * MIB : GIB };
	}
	options.devices = devices;
	options.nr_devices = f->shape->nr_devices;
	options.nodesize = f->shape->nodesize;
	options.metadata_profile = f->shape->metadata;
	options.data_profile = f->shape->data;
	options.features = f->shape->features;
	options.csum = f->shape->csum;
	options.is_mixed = f->shape->is_mixed;
	options.is_forced = true;
	options.compress = shape->compress;
	if (btrkit_mkfs(&options, content, NULL, &error))
		fail_msg("%s: %s", f->what, error.text);
	btrkit_content_free(content);
	shaped_fs_open(f);
}

static inline int shaped_fs_tell(void *arg, const struct btrkit_problem *problem)
{
	if (problem->kind->severity >= BTRKIT_PROBLEM_WARNING)
		fprintf(stderr, "%s: %s: %s\n", (const char *)arg, problem->kind->code, problem->text);
	return 0;
}

/* The check finds nothing in what is on disk. */
static inline void shaped_fs_check(struct shaped_fs *f)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	struct btrkit_error error;

	btrkit_check_options_init(&options);
	options.open.is_exclusive = false;
	options.open.no_device_scan = true;
	options.threads = 1;
	options.do_data = true;
	if (btrkit_check(f->path_list, f->shape->nr_devices, &options, shaped_fs_tell, f->what, &result, &error))
		fail_msg("%s: %s", f->what, error.text);
	if (result.nr_problems[BTRKIT_PROBLEM_WARNING] || result.nr_problems[BTRKIT_PROBLEM_ERROR] ||
	    result.nr_problems[BTRKIT_PROBLEM_FATAL])
		fail_msg("%s: the check found problems", f->what);
}

static inline void shaped_fs_done(struct shaped_fs *f, bool do_unlink)
{
	shaped_fs_close(f);
	for (unsigned i = 0; i < f->shape->nr_devices && do_unlink; i++)
		unlink(f->paths[i]);
}

#endif
