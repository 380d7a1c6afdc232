/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The floor of the benchmark: what it costs to read a whole tree and to write as many bytes to one file, with no
 * filesystem to be made. Threads take directories from a list; each looks at every entry, reads its regular files into
 * a buffer of a megabyte, and writes the buffer to the next free place of the output. Ends with a flush, as mkfs does.
 * With BYTES, that much is written in all: a filesystem has more to write than what was read, and most of it twice.
 *
 *	floor TREE OUTPUT [THREADS [BYTES]]
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"

#define BUFFER_BYTES MIB
#define THREADS_MAX 64

struct floor {
	pthread_mutex_t lock; /* guards the list and nr_busy */
	pthread_cond_t change;
	ARRAY(char *) directories; /* paths; owned */
	unsigned nr_busy;
	int output_fd;
	atomic_ullong output_bytes, nr_entries;
	unsigned long long wanted_bytes;
	atomic_bool has_failed;
};

struct reader {
	struct floor *floor;
	char *buf;
	size_t filled;
	pthread_t thread;
};

static void failed(struct floor *floor, const char *what)
{
	perror(what);
	atomic_store(&floor->has_failed, true);
}

static void drain(struct reader *reader)
{
	struct floor *floor = reader->floor;
	u64 offset = atomic_fetch_add(&floor->output_bytes, reader->filled);

	for (size_t done = 0; done < reader->filled;) {
		ssize_t put = pwrite(floor->output_fd, reader->buf + done, reader->filled - done, (off_t)(offset + done));

		if (put <= 0) {
			failed(floor, "write");
			break;
		}
		done += (size_t)put;
	}
	reader->filled = 0;
}

static void read_file(struct reader *reader, int dir_fd, const char *name, off_t size)
{
	_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0) {
		failed(reader->floor, name);
		return;
	}
	while (size > 0) {
		ssize_t got = read(fd, reader->buf + reader->filled, MIN((size_t)size, BUFFER_BYTES - reader->filled));

		if (got <= 0) {
			failed(reader->floor, name);
			return;
		}
		size -= got;
		reader->filled += (size_t)got;
		if (reader->filled == BUFFER_BYTES)
			drain(reader);
	}
}

static void add_directory(struct floor *floor, const char *parent, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", parent, name) < 0) {
		failed(floor, name);
		return;
	}
	pthread_mutex_lock(&floor->lock);
	if (array_push(&floor->directories, path) < 0)
		failed(floor, path);
	pthread_cond_signal(&floor->change);
	pthread_mutex_unlock(&floor->lock);
}

static void read_directory(struct reader *reader, const char *path)
{
	struct floor *floor = reader->floor;
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		failed(floor, path);
		return;
	}
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		atomic_fetch_add_explicit(&floor->nr_entries, 1, memory_order_relaxed);
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			failed(floor, entry->d_name);
		else if (S_ISDIR(st.st_mode))
			add_directory(floor, path, entry->d_name);
		else if (S_ISREG(st.st_mode))
			read_file(reader, dirfd(dir), entry->d_name, st.st_size);
	}
	closedir(dir);
}

static void *read_directories(void *arg)
{
	struct reader *reader = arg;
	struct floor *floor = reader->floor;

	pthread_mutex_lock(&floor->lock);
	while (!atomic_load(&floor->has_failed)) {
		char *path;

		if (floor->directories.len == 0 && floor->nr_busy == 0)
			break;
		if (floor->directories.len == 0) {
			pthread_cond_wait(&floor->change, &floor->lock);
			continue;
		}
		path = floor->directories.items[--floor->directories.len];
		floor->nr_busy++;
		pthread_mutex_unlock(&floor->lock);
		read_directory(reader, path);
		free(path);
		pthread_mutex_lock(&floor->lock);
		floor->nr_busy--;
	}
	pthread_cond_broadcast(&floor->change);
	pthread_mutex_unlock(&floor->lock);
	drain(reader);
	while (atomic_load(&floor->output_bytes) < floor->wanted_bytes && !atomic_load(&floor->has_failed)) {
		reader->filled = BUFFER_BYTES;
		drain(reader);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct floor floor = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };
	struct reader readers[THREADS_MAX] = { 0 };
	long threads = argc > 3 ? atol(argv[3]) : sysconf(_SC_NPROCESSORS_ONLN);
	char *top;

	if (argc < 3 || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: floor TREE OUTPUT [THREADS [BYTES]]\n");
		return 2;
	}
	floor.wanted_bytes = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	floor.output_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	top = strdup(argv[1]);
	if (floor.output_fd < 0 || !top || array_push(&floor.directories, top) < 0) {
		perror(argv[2]);
		return 1;
	}
	for (long i = 0; i < threads; i++) {
		readers[i] = (struct reader){ .floor = &floor, .buf = malloc(BUFFER_BYTES) };
		if (!readers[i].buf || pthread_create(&readers[i].thread, NULL, read_directories, &readers[i]) != 0) {
			fprintf(stderr, "floor: cannot start thread %ld\n", i);
			return 1;
		}
	}
	for (long i = 0; i < threads; i++) {
		pthread_join(readers[i].thread, NULL);
		free(readers[i].buf);
	}
	for (size_t i = 0; i < floor.directories.len; i++)
		free(floor.directories.items[i]);
	array_done(&floor.directories);
	if (fdatasync(floor.output_fd) < 0 || close(floor.output_fd) < 0)
		failed(&floor, argv[2]);
	printf("%llu entries, %llu bytes\n", (unsigned long long)floor.nr_entries, (unsigned long long)floor.output_bytes);
	return atomic_load(&floor.has_failed) ? 1 : 0;
}
