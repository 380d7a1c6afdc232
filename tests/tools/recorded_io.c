/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the commands write to devices, recorded, and what fails when a test wants it to. Linked with all of btrkit's commands
 * to a program of its own, which is btrkit except that
 *
 *	RECORD_TO=FILE     every write, flush, discard and new size of the files in the current folder is added to FILE
 *	RECORD_FAIL=KIND:N at operation N of these files, counted from 1 with reads: `eio`, it and all after it fail; `once`, only
 *	                   it does; `full`, it and all writes after it have no room; `kill`, the process is killed before it.
 *	                   `memory`: allocation N fails
 *	RECORD_COUNT=FILE  "operations allocations" is written there in the end
 *
 * A record: kind, device (the number of the file among those of the folder, by name), offset, length, each 64 bits in the
 * order of the host, and what was written.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/types.h"

#define DEVICES_MAX 64

enum kind { KIND_WRITE, KIND_FLUSH, KIND_DISCARD, KIND_SIZE };
enum fault { FAULT_NONE, FAULT_EIO, FAULT_ONCE, FAULT_FULL, FAULT_KILL, FAULT_MEMORY };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one order for all devices */
static dev_t folder;
static ino_t devices[DEVICES_MAX];
static unsigned nr_devices;
static int record_fd = -1;
static enum fault fault;
static unsigned long long fault_at, nr_operations;
static atomic_ullong nr_allocations;

/* --- What is wanted ------------------------------------------------------------------------------------------------------ */

static int is_file(const struct dirent *entry)
{
	struct stat st;

	return stat(entry->d_name, &st) == 0 && S_ISREG(st.st_mode);
}

__attribute__((constructor)) static void begin(void)
{
	static const char *const names[] = { "", "eio", "once", "full", "kill", "memory" };
	const char *to = getenv("RECORD_TO"), *fail = getenv("RECORD_FAIL");
	struct dirent **list = NULL;
	int nr = scandir(".", &list, is_file, alphasort);
	struct stat st;

	for (int i = 0; i < nr; i++) {
		if (i < DEVICES_MAX && stat(list[i]->d_name, &st) == 0) {
			folder = st.st_dev;
			devices[nr_devices++] = st.st_ino;
		}
		free(list[i]);
	}
	free(list);
	if (to)
		record_fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	for (unsigned i = 1; fail && i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(fail, names[i], strlen(names[i])) == 0 && fail[strlen(names[i])] == ':') {
			fault = (enum fault)i;
			fault_at = strtoull(fail + strlen(names[i]) + 1, NULL, 10);
		}
	atomic_store(&nr_allocations, 0);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("RECORD_COUNT");
	FILE *file = path ? fopen(path, "w") : NULL;

	if (!file)
		return;
	fprintf(file, "%llu %llu\n", nr_operations, (unsigned long long)atomic_load(&nr_allocations));
	fclose(file);
}

/* Its number, or -1: some other file. */
static int device_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_dev != folder || !S_ISREG(st.st_mode))
		return -1;
	for (unsigned i = 0; i < nr_devices; i++)
		if (devices[i] == st.st_ino)
			return (int)i;
	return -1;
}

/* An operation begins, under the lock; what it fails with, or 0. */
static int next_operation(bool is_write)
{
	nr_operations++;
	if (nr_operations < fault_at)
		return 0;
	switch (fault) {
	case FAULT_EIO:
		return EIO;
	case FAULT_ONCE:
		return nr_operations == fault_at ? EIO : 0;
	case FAULT_FULL:
		return is_write ? ENOSPC : 0;
	case FAULT_KILL:
		raise(SIGKILL);
		return EIO;
	default:
		return 0;
	}
}

static void put(const void *bytes, size_t len)
{
	const u8 *at = bytes;

	while (len > 0) {
		ssize_t done = syscall(SYS_write, record_fd, at, len);

		if (done <= 0) {
			static const char text[] = "recording failed\n";

			(void)!syscall(SYS_write, STDERR_FILENO, text, sizeof(text) - 1);
			_exit(99);
		}
		at += done;
		len -= (size_t)done;
	}
}

static void record(enum kind kind, int device, u64 offset, u64 len, const void *bytes)
{
	const u64 head[4] = { kind, (u64)device, offset, len };

	if (record_fd < 0)
		return;
	put(head, sizeof(head));
	if (bytes)
		put(bytes, len);
}

/* --- Operations ------------------------------------------------------------------------------------------------------------ */

static long failed(int err)
{
	errno = err;
	return -1;
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	if (device_of(fd) >= 0) {
		int err;

		pthread_mutex_lock(&lock);
		err = next_operation(false);
		pthread_mutex_unlock(&lock);
		if (err)
			return failed(err);
	}
	return syscall(SYS_pread64, fd, buf, len, offset);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	int device = device_of(fd), err;
	ssize_t done;

	if (device < 0)
		return syscall(SYS_pwrite64, fd, buf, len, offset);
	pthread_mutex_lock(&lock);
	err = next_operation(true);
	done = err ? failed(err) : syscall(SYS_pwrite64, fd, buf, len, offset);
	if (done > 0)
		record(KIND_WRITE, device, (u64)offset, (u64)done, buf);
	pthread_mutex_unlock(&lock);
	return done;
}

static int flush(int fd, long number)
{
	int device = device_of(fd), err;
	long ret;

	if (device < 0)
		return (int)syscall(number, fd);
	pthread_mutex_lock(&lock);
	err = next_operation(false);
	ret = err ? failed(err) : syscall(number, fd);
	if (ret == 0)
		record(KIND_FLUSH, device, 0, 0, NULL);
	pthread_mutex_unlock(&lock);
	return (int)ret;
}

int fsync(int fd)
{
	return flush(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return flush(fd, SYS_fdatasync);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	int device = device_of(fd), err;
	long ret;

	if (device < 0)
		return (int)syscall(SYS_fallocate, fd, mode, offset, len);
	pthread_mutex_lock(&lock);
	err = next_operation(true);
	ret = err ? failed(err) : syscall(SYS_fallocate, fd, mode, offset, len);
	if (ret == 0 && (mode & FALLOC_FL_PUNCH_HOLE))
		record(KIND_DISCARD, device, (u64)offset, (u64)len, NULL);
	pthread_mutex_unlock(&lock);
	return (int)ret;
}

int ftruncate(int fd, off_t size)
{
	int device = device_of(fd), err;
	long ret;

	if (device < 0)
		return (int)syscall(SYS_ftruncate, fd, size);
	pthread_mutex_lock(&lock);
	err = next_operation(true);
	ret = err ? failed(err) : syscall(SYS_ftruncate, fd, size);
	if (ret == 0)
		record(KIND_SIZE, device, (u64)size, 0, NULL);
	pthread_mutex_unlock(&lock);
	return (int)ret;
}

/* --- Allocations ----------------------------------------------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool has_memory(void)
{
	unsigned long long n = atomic_fetch_add(&nr_allocations, 1) + 1;

	if (fault != FAULT_MEMORY || n != fault_at)
		return true;
	errno = ENOMEM;
	return false;
}

void *malloc(size_t size)
{
	return has_memory() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t nr, size_t size)
{
	return has_memory() ? __libc_calloc(nr, size) : NULL;
}

void *realloc(void *old, size_t size)
{
	return has_memory() ? __libc_realloc(old, size) : NULL;
}
#endif
