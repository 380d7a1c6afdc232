/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filesystems of all profiles and node sizes, to be changed. Include after cmocka.h. */
#ifndef BTRKIT_TESTS_MODEL_EDIT_SHAPES_H
#define BTRKIT_TESTS_MODEL_EDIT_SHAPES_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <btrkit/btrkit.h>

#include "common/base/types.h"

#define DEVICES_MAX 6

struct shape {
	const char *name;
	u32 nodesize;
	const char *metadata, *data;
	unsigned nr_devices;
	const char *features, *csum;
	bool is_mixed;
};

__attribute__((unused)) static const struct shape shapes[] = {
	{ "4k", 4096, "dup", "single", 1, NULL, NULL, false },
	{ "16k", 16384, "single", "single", 1, NULL, NULL, false },
	{ "64k", 65536, "dup", "dup", 1, NULL, "xxhash", false },
	{ "old", 4096, "dup", "single", 1, "^no-holes,^free-space-tree", NULL, false },
	{ "oldest", 4096, "dup", "single", 1, "^no-holes,^free-space-tree,^skinny-metadata,^extref", NULL, false },
	{ "mixed", 4096, "single", "single", 1, NULL, NULL, true },
	{ "block-groups", 4096, "single", "single", 1, "block-group-tree", "sha256", false },
	{ "raid0", 4096, "raid0", "raid0", 3, NULL, NULL, false },
	{ "raid1", 4096, "raid1", "raid1", 2, NULL, "blake2", false },
	{ "raid1c3", 4096, "raid1c3", "raid1c3", 3, NULL, NULL, false },
	{ "raid1c4", 4096, "raid1c4", "raid1c4", 4, NULL, NULL, false },
	{ "raid10", 4096, "raid10", "raid10", 4, NULL, NULL, false },
	{ "raid5", 4096, "raid5", "raid5", 3, NULL, NULL, false },
	{ "raid6", 4096, "raid6", "raid6", 4, NULL, NULL, false },
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

/* @image: the files' names begin with it; NULL: temporary ones. */
static inline void shaped_fs_make(struct shaped_fs *f, const struct shape *shape, const char *image)
{
	struct btrkit_mkfs_device devices[DEVICES_MAX] = { 0 };
	const char *tmp = getenv("TMPDIR");
	struct btrkit_mkfs_options options;
	struct btrkit_error error;

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
	if (btrkit_mkfs(&options, NULL, NULL, &error))
		fail_msg("%s: %s", f->what, error.text);
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
