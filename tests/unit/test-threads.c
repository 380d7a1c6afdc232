/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* No global state: filesystems made and read in several threads at once do not know of each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <btrkit/btrkit.h>

#include "common/base/types.h"

#define NR_THREADS 4
#define NR_FILES 200

/* What one thread does; cmocka's assertions are for the main thread only, so that failures come back as numbers. */
struct job {
	char path[96];
	unsigned number;
	int err;
	struct btrkit_error error;
};

static void file_text(unsigned job, unsigned file, char text[5000])
{
	memset(text, 'a' + (int)(job * 7 + file) % 26, 4999);
	snprintf(text, 64, "job %u file %u", job, file);
	text[strlen(text)] = ' ';
	text[4999] = '\0';
}

static int fill(struct btrkit_content *content, const struct job *job, struct btrkit_error *error)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0644, .uid = job->number };

	for (unsigned i = 0; i < NR_FILES; i++) {
		char name[32], text[5000];
		btrkit_node node;
		int err;

		snprintf(name, sizeof(name), "file-%u-%u", job->number, i);
		file_text(job->number, i, text);
		err = btrkit_content_add(content, BTRKIT_TOP_NODE, name, strlen(name), &attr, &node, error);
		if (!err)
			err = btrkit_content_set_data(content, node, text, sizeof(text), 0, error);
		if (err)
			return err;
	}
	return 0;
}

static int make(struct job *job)
{
	struct btrkit_mkfs_device device = { .path = job->path };
	struct btrkit_mkfs_options options;
	struct btrkit_content *content;
	int err = btrkit_content_new(&content);

	if (err)
		return err;
	btrkit_mkfs_options_init(&options);
	options.devices = &device;
	options.nr_devices = 1;
	options.threads = 2;
	options.csum = job->number % 2 ? "xxhash" : "crc32c";
	options.compress = job->number % 2 ? "zlib" : NULL;
	err = fill(content, job, &job->error);
	if (!err)
		err = btrkit_mkfs(&options, content, NULL, &job->error);
	btrkit_content_free(content);
	return err;
}

static int read_back(struct job *job)
{
	const char *paths[] = { job->path };
	struct btrkit_fs *fs;
	int err = btrkit_fs_open(paths, 1, NULL, &fs, &job->error);

	for (unsigned i = 0; i < NR_FILES && !err; i++) {
		char name[32], wanted[5000], got[5001];
		struct btrkit_inode inode;
		struct btrkit_file *file;
		size_t len = 0;

		snprintf(name, sizeof(name), "file-%u-%u", job->number, i);
		file_text(job->number, i, wanted);
		err = btrkit_lookup(fs, NULL, name, &inode, &job->error);
		if (err)
			break;
		err = btrkit_file_open(fs, &inode, &file, &job->error);
		if (err)
			break;
		err = btrkit_file_read(file, 0, got, sizeof(got), &len, &job->error);
		btrkit_file_close(file);
		if (!err && (len != sizeof(wanted) || memcmp(got, wanted, len) != 0))
			err = -EBADMSG;
	}
	btrkit_fs_close(fs);
	return err;
}

static void *work(void *arg)
{
	struct job *job = arg;

	job->err = make(job);
	if (!job->err)
		job->err = read_back(job);
	(void)unlink(job->path);
	return NULL;
}

static void filesystems_in_several_threads_are_strangers(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct job jobs[NR_THREADS] = { 0 };
	pthread_t threads[NR_THREADS];
	char dir[64];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/btrkit-threads-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(dir));
	for (unsigned i = 0; i < NR_THREADS; i++) {
		jobs[i].number = i;
		snprintf(jobs[i].path, sizeof(jobs[i].path), "%s/image-%u", dir, i);
		assert_int_equal(pthread_create(&threads[i], NULL, work, &jobs[i]), 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], NULL);
		if (jobs[i].err)
			print_message("thread %u: %s\n", i, jobs[i].error.text);
		assert_int_equal(jobs[i].err, 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

/* One open filesystem, read by several threads. */
struct reader {
	struct btrkit_fs *fs;
	struct job job;
};

static void *read_shared(void *arg)
{
	struct reader *reader = arg;

	for (unsigned i = 0; i < 2 * NR_FILES && !reader->job.err; i++) {
		unsigned number = (i * 37 + reader->job.number * 11) % NR_FILES;
		char name[32], wanted[5000], got[5001];
		struct btrkit_inode inode;
		struct btrkit_file *file;
		size_t len = 0;

		snprintf(name, sizeof(name), "file-0-%u", number);
		file_text(0, number, wanted);
		reader->job.err = btrkit_lookup(reader->fs, NULL, name, &inode, &reader->job.error);
		if (!reader->job.err)
			reader->job.err = btrkit_file_open(reader->fs, &inode, &file, &reader->job.error);
		if (reader->job.err)
			break;
		reader->job.err = btrkit_file_read(file, 0, got, sizeof(got), &len, &reader->job.error);
		btrkit_file_close(file);
		if (!reader->job.err && (len != sizeof(wanted) || memcmp(got, wanted, len) != 0))
			reader->job.err = -EBADMSG;
	}
	return NULL;
}

static void one_filesystem_is_read_by_several_threads(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct reader readers[NR_THREADS] = { 0 };
	struct btrkit_open_options options;
	pthread_t threads[NR_THREADS];
	struct job job = { 0 };
	const char *paths[] = { job.path };
	struct btrkit_fs *fs;
	int fd;

	(void)state;
	snprintf(job.path, sizeof(job.path), "%s/btrkit-threads-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/var/tmp");
	fd = mkstemp(job.path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(make(&job), 0);
	btrkit_open_options_init(&options);
	options.cache_bytes = 64 * KIB; /* a few blocks: they come and go */
	assert_int_equal(btrkit_fs_open(paths, 1, &options, &fs, NULL), 0);
	for (unsigned i = 0; i < NR_THREADS; i++) {
		readers[i] = (struct reader){ .fs = fs, .job.number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, read_shared, &readers[i]), 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].job.err, 0);
	}
	btrkit_fs_close(fs);
	assert_int_equal(unlink(job.path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filesystems_in_several_threads_are_strangers),
		cmocka_unit_test(one_filesystem_is_read_by_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
