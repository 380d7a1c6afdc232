/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For one test program: files that stand for devices, of which the operation with a chosen number fails, in whatever library it is
 * asked for; and what was written to them is recorded, for what a power cut leaves. Flushes are counted and fail, but cost nothing.
 * With sanitizers, too.
 */
#ifndef BTRKIT_TESTS_UNIT_FAILING_FILES_H
#define BTRKIT_TESTS_UNIT_FAILING_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAILING_FILES_MAX 8

enum failing_mode {
	FAIL_ONCE, /* with EIO */
	FAIL_FROM_THEN, /* and everything after it */
	FAIL_FULL, /* it and all writes after it, with ENOSPC: the files are holey, and where they are is full */
	FAIL_MODES
};

/* What is done with a device. */
enum failing_kind { FAILING_READ, FAILING_WRITE, FAILING_FLUSH, FAILING_OTHER };

/* Something written, a hole made, or a new size; or a flush: what was written to the file before it stays. */
struct file_record {
	enum { FILE_WRITE, FILE_FLUSH, FILE_HOLE, FILE_SIZE } kind;
	unsigned file;
	off_t offset; /* FILE_SIZE: the size */
	size_t len;
	unsigned char *bytes; /* owned */
};

static struct {
	pthread_mutex_t lock;
	dev_t folder;
	ino_t inodes[FAILING_FILES_MAX];
	unsigned untouched; /* these files, as bits, must not be written to */
	bool was_touched; /* one was */
	enum failing_mode mode;
	unsigned long nr_operations; /* since failing_files_begin() */
	unsigned long fail_at; /* 0: none fails */
	unsigned long nr_failed;
	unsigned failed_kinds; /* as bits: what failed */
	bool is_recording;
	struct file_record *records;
	size_t nr_records;
} failing_files = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Files are of one folder, and have numbers below FAILING_FILES_MAX. */
static inline void failing_files_add(unsigned number, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0 || number >= FAILING_FILES_MAX)
		abort();
	failing_files.folder = st.st_dev;
	failing_files.inodes[number] = st.st_ino;
}

static inline void failing_files_forget(void)
{
	memset(failing_files.inodes, 0, sizeof(failing_files.inodes));
}

/* Count from 1. @fail_at 0: only count. */
static inline void failing_files_begin(unsigned long fail_at, enum failing_mode mode)
{
	failing_files.mode = mode;
	failing_files.fail_at = fail_at;
	failing_files.nr_operations = failing_files.nr_failed = 0;
	failing_files.failed_kinds = 0;
	failing_files.was_touched = false;
}

/* Nothing fails any more. Did something? */
static inline bool failing_files_end(void)
{
	failing_files.fail_at = 0;
	return failing_files.nr_failed > 0;
}

static int failing_file_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_dev != failing_files.folder)
		return -1;
	for (unsigned i = 0; i < FAILING_FILES_MAX; i++)
		if (failing_files.inodes[i] == st.st_ino)
			return (int)i;
	return -1;
}

/* 0, or what it fails with. */
static int failing_operation(int fd, enum failing_kind kind)
{
	int file = failing_file_of(fd), err = 0;
	unsigned long n;

	if (file < 0)
		return 0;
	pthread_mutex_lock(&failing_files.lock);
	n = ++failing_files.nr_operations;
	if (failing_files.fail_at && n >= failing_files.fail_at) {
		if (failing_files.mode == FAIL_FULL)
			err = kind == FAILING_WRITE ? ENOSPC : 0;
		else if (failing_files.mode == FAIL_FROM_THEN || n == failing_files.fail_at)
			err = EIO;
	}
	failing_files.nr_failed += err != 0;
	if (err)
		failing_files.failed_kinds |= 1U << kind;
	if (kind == FAILING_WRITE || kind == FAILING_OTHER)
		failing_files.was_touched |= failing_files.untouched >> file & 1;
	pthread_mutex_unlock(&failing_files.lock);
	return err;
}

static void file_record_push(int fd, struct file_record record, const void *bytes)
{
	int file = failing_files.is_recording ? failing_file_of(fd) : -1;
	size_t nr = failing_files.nr_records;

	if (file < 0)
		return;
	pthread_mutex_lock(&failing_files.lock);
	record.file = (unsigned)file;
	if (bytes) {
		record.bytes = malloc(record.len);
		memcpy(record.bytes, bytes, record.len);
	}
	if ((nr & (nr - 1)) == 0)
		failing_files.records = realloc(failing_files.records, (nr ? 2 * nr : 1) * sizeof(record));
	failing_files.records[failing_files.nr_records++] = record;
	pthread_mutex_unlock(&failing_files.lock);
}

static inline void file_records_clear(void)
{
	for (size_t i = 0; i < failing_files.nr_records; i++)
		free(failing_files.records[i].bytes);
	free(failing_files.records);
	failing_files.records = NULL;
	failing_files.nr_records = 0;
}

/* Is record @i on stable storage after the first @nr? */
static inline bool file_record_is_flushed(size_t i, size_t nr)
{
	for (size_t later = i + 1; later < nr; later++)
		if (failing_files.records[later].kind == FILE_FLUSH &&
		    failing_files.records[later].file == failing_files.records[i].file)
			return true;
	return false;
}

static long failing_refuse(int err)
{
	errno = err;
	return -1;
}

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	int err = failing_operation(fd, FAILING_READ);

	return err ? failing_refuse(err) : syscall(SYS_pread64, fd, buf, len, offset);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	int err = failing_operation(fd, FAILING_WRITE);
	ssize_t put = err ? failing_refuse(err) : syscall(SYS_pwrite64, fd, buf, len, offset);

	if (put > 0)
		file_record_push(fd, (struct file_record){ .kind = FILE_WRITE, .offset = offset, .len = (size_t)put }, buf);
	return put;
}

int fdatasync(int fd)
{
	int err = failing_operation(fd, FAILING_FLUSH);

	if (!err)
		file_record_push(fd, (struct file_record){ .kind = FILE_FLUSH }, NULL);
	return err ? (int)failing_refuse(err) : 0;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	int err = failing_operation(fd, FAILING_OTHER);

	if (!err && (mode & FALLOC_FL_PUNCH_HOLE))
		file_record_push(fd, (struct file_record){ .kind = FILE_HOLE, .offset = offset, .len = (size_t)len }, NULL);
	return (int)(err ? failing_refuse(err) : syscall(SYS_fallocate, fd, mode, offset, len));
}

int ftruncate(int fd, off_t len)
{
	int err = failing_operation(fd, FAILING_OTHER);

	if (!err)
		file_record_push(fd, (struct file_record){ .kind = FILE_SIZE, .offset = len }, NULL);
	return (int)(err ? failing_refuse(err) : syscall(SYS_ftruncate, fd, len));
}

int sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
	(void)fd;
	(void)offset;
	(void)len;
	(void)flags;
	return 0;
}

#endif
