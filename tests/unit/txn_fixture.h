/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of transactions: a small filesystem of several files, made and opened for writing, and judged by the check
 * after it was changed. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_UNIT_TXN_FIXTURE_H
#define BTRKIT_TESTS_UNIT_TXN_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <btrkit/btrkit.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/txn/txn.h"

#define TXN_DEVICES_MAX 4
#define TXN_NR_FILES 20
#define TXN_FILE_BYTES (100 * KIB)

/* Fails the test with the reason, in a "struct btrkit_error error". */
#define AGE(call)                                                                                                      \
	do {                                                                                                           \
		if ((call) != 0)                                                                                       \
			fail_msg("%s", error.text);                                                                    \
	} while (0)

/* What kind of filesystem. */
struct txn_shape {
	const char *name;
	u32 nodesize;
	const char *metadata, *data; /* profiles */
	unsigned nr_devices;
	u64 device_bytes;
	const char *features;
	bool is_mixed;
};

struct txn_fixture {
	char paths[TXN_DEVICES_MAX][64];
	const char *path_list[TXN_DEVICES_MAX];
	unsigned nr_devices;
	size_t cache_bytes; /* 0: the default */
	struct btrkit_fs *fs;
	struct txn *txn;
};

static inline struct btrkit_content *txn_content(void)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0644 };
	static u8 bytes[TXN_FILE_BYTES];
	struct btrkit_content *content;

	assert_int_equal(btrkit_content_new(&content), 0);
	for (unsigned i = 0; i < TXN_NR_FILES; i++) {
		char name[16];
		btrkit_node node;

		snprintf(name, sizeof(name), "file-%u", i);
		memset(bytes, (int)i + 1, sizeof(bytes));
		assert_int_equal(btrkit_content_add(content, BTRKIT_TOP_NODE, name, strlen(name), &attr, &node, NULL),
				 0);
		assert_int_equal(btrkit_content_set_data(content, node, bytes, sizeof(bytes), 0, NULL), 0);
	}
	return content;
}

static inline struct txn_target txn_target_of(struct btrkit_fs *fs)
{
	return (struct txn_target){
		.volume = fs->volume,
		.cache = fs->cache,
		.csum = fs->csum,
		.super = &fs->super,
		.root_tree = &fs->root_tree,
		.chunk_tree = &fs->chunk_tree,
	};
}

static inline void txn_fixture_open(struct txn_fixture *f)
{
	const struct device_set_options for_devices = { .is_writable = true, .super_mirror = -1 };
	const struct fs_options for_fs = { .cache_bytes = f->cache_bytes };
	struct device_set *devices;
	struct txn_target target;
	struct diag d = { 0 };

	if (device_set_open(f->path_list, f->nr_devices, &for_devices, &devices, &d) != 0 ||
	    fs_open_devices(devices, &for_fs, &f->fs, &d) != 0)
		fail_msg("%s", d.text);
	target = txn_target_of(f->fs);
	if (txn_new(&target, false, &f->txn, &d) != 0)
		fail_msg("%s", d.text);
}

static inline void txn_fixture_close(struct txn_fixture *f)
{
	txn_free(f->txn);
	btrkit_fs_close(f->fs);
	f->txn = NULL;
	f->fs = NULL;
}

/* With @content, which is freed. */
static inline void txn_fixture_make_of(struct txn_fixture *f, const struct txn_shape *shape,
				       struct btrkit_content *content)
{
	struct btrkit_mkfs_device devices[TXN_DEVICES_MAX] = { 0 };
	struct btrkit_mkfs_options options;
	struct btrkit_error error;
	const char *tmp = getenv("TMPDIR");

	*f = (struct txn_fixture){ .nr_devices = shape->nr_devices };
	btrkit_mkfs_options_init(&options);
	for (unsigned i = 0; i < shape->nr_devices; i++) {
		int fd;

		snprintf(f->paths[i], sizeof(f->paths[i]), "%s/btrkit-txn-XXXXXX", tmp ? tmp : "/tmp");
		fd = mkstemp(f->paths[i]);
		assert_true(fd >= 0);
		close(fd);
		f->path_list[i] = f->paths[i];
		devices[i] = (struct btrkit_mkfs_device){ f->paths[i], shape->device_bytes };
	}
	options.devices = devices;
	options.nr_devices = shape->nr_devices;
	options.nodesize = shape->nodesize;
	options.metadata_profile = shape->metadata;
	options.data_profile = shape->data;
	options.is_mixed = shape->is_mixed;
	options.features = shape->features;
	options.seed = "txn";
	options.is_forced = true;
	if (btrkit_mkfs(&options, content, NULL, &error) != 0)
		fail_msg("%s: %s", shape->name, error.text);
	btrkit_content_free(content);
	txn_fixture_open(f);
}

static inline void txn_fixture_make(struct txn_fixture *f, const struct txn_shape *shape)
{
	txn_fixture_make_of(f, shape, txn_content());
}

static inline void txn_fixture_done(struct txn_fixture *f)
{
	txn_fixture_close(f);
	if (getenv("BTRKIT_KEEP_IMAGES"))
		return;
	for (unsigned i = 0; i < f->nr_devices; i++)
		unlink(f->paths[i]);
}

static inline int txn_print_problem(void *arg, const struct btrkit_problem *problem)
{
	if (problem->kind->severity >= BTRKIT_PROBLEM_WARNING)
		fprintf(stderr, "%s: %s: %s\n", (const char *)arg, problem->kind->code, problem->text);
	return 0;
}

/* The filesystem on disk is sound. */
static inline void txn_fixture_check(struct txn_fixture *f, const char *what, bool do_data)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	struct btrkit_error error;

	btrkit_check_options_init(&options);
	options.open.is_exclusive = false;
	options.open.no_device_scan = true;
	options.threads = 1;
	options.do_data = do_data;
	if (btrkit_check(f->path_list, f->nr_devices, &options, txn_print_problem, (void *)what, &result, &error) != 0)
		fail_msg("%s: %s", what, error.text);
	if (result.nr_problems[BTRKIT_PROBLEM_WARNING] || result.nr_problems[BTRKIT_PROBLEM_ERROR] ||
	    result.nr_problems[BTRKIT_PROBLEM_FATAL])
		fail_msg("%s: problems were found", what);
}

#endif
