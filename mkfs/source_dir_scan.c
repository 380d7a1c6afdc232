/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading one directory: its names first, sorted, so that what is kept of small files lies in the order in which it is
 * read back; then each entry. A regular file is opened once, and everything is asked through that descriptor, which
 * costs less than looking its name up for each question. What cannot be opened, or must not be, is asked by name.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mkfs/source_dir_scan.h"

/* An entry that is being looked at. */
struct looking {
	struct directory_source *source;
	struct found_directory *found;
	struct found_entry *entry;
	struct found_extra extra;
	unsigned worker;
	int dir_fd;
	int fd; /* of the regular file; -1: by name */
	char name[NAME_MAX + 1]; /* empty: the directory itself */
};

void found_directory_free(struct found_directory *found)
{
	if (!found)
		return;
	array_for_each(&found->blocks, block)
		free(*block);
	array_done(&found->blocks);
	array_done(&found->names);
	array_done(&found->extras);
	array_done(&found->bytes);
	array_done(&found->ranges);
	array_done(&found->warnings);
	free(found);
}

void found_directory_taken(struct found_directory *found, size_t index)
{
	if ((index + 1) % FOUND_BLOCK_ENTRIES == 0) {
		free(found->blocks.items[index / FOUND_BLOCK_ENTRIES]);
		found->blocks.items[index / FOUND_BLOCK_ENTRIES] = NULL;
	}
}

u32 kernel_dev(dev_t dev)
{
	return (u32)major(dev) << 20 | (u32)minor(dev);
}

static int store(struct found_directory *found, const void *from, size_t len, u32 *ret_offset)
{
	if (array_reserve(&found->bytes, len) < 0 || found->bytes.len + len > UINT32_MAX)
		return -ENOMEM;
	memcpy(found->bytes.items + found->bytes.len, from, len);
	*ret_offset = (u32)found->bytes.len;
	found->bytes.len += len;
	return 0;
}

/* Something cannot be read: an error, or with ignore_unreadable a warning and the entry is left out (returns 1). */
static int unreadable(struct directory_source *source, struct found_directory *found, const char *directory,
		      const char *name, int err, struct diag *d)
{
	diag_fail(d, -err, "%s%s%s: cannot read: %s", directory, name[0] ? "/" : "", name, strerror(err));
	if (!source->options->ignore_unreadable)
		return -err;
	if (array_reserve(&found->warnings, strlen(d->text) + 1) < 0)
		return diag_no_memory(d, "a warning");
	memcpy(found->warnings.items + found->warnings.len, d->text, strlen(d->text) + 1);
	found->warnings.len += strlen(d->text) + 1;
	diag_clear(d);
	return 1;
}

/* --- Extended attributes ----------------------------------------------------------------------------------- */

/* Attributes that belong to the host, not to the file: they would differ from machine to machine or mean nothing. */
static bool is_foreign_xattr(const char *name)
{
	return strncmp(name, "system.", 7) == 0 && strcmp(name, "system.posix_acl_access") != 0 &&
	       strcmp(name, "system.posix_acl_default") != 0;
}

/* By name: through the directory's descriptor, so that the path stays short however deep the directory is. */
static void xattr_path(const struct looking *at, char *path, size_t cap)
{
	snprintf(path, cap, "/proc/self/fd/%d%s%s", at->dir_fd, at->name[0] ? "/" : "/.", at->name);
}

static ssize_t list_xattrs(const struct looking *at, const char *path, char *names, size_t cap)
{
	return at->fd >= 0 ? flistxattr(at->fd, names, cap) : llistxattr(path, names, cap);
}

static int store_xattr(struct looking *at, const char *path, const char *name)
{
	static const size_t most = 65536;
	_free_ char *value = malloc(most);
	ssize_t len;
	u32 offset, value_len;

	if (!value)
		return -ENOMEM;
	len = at->fd >= 0 ? fgetxattr(at->fd, name, value, most) : lgetxattr(path, name, value, most);
	if (len < 0)
		return -errno;
	value_len = (u32)len;
	if (store(at->found, name, strlen(name) + 1, &offset) < 0)
		return -ENOMEM;
	if (at->extra.nr_xattrs++ == 0)
		at->extra.xattrs = offset;
	if (store(at->found, &value_len, sizeof(value_len), &offset) < 0 ||
	    store(at->found, value, (size_t)len, &offset) < 0)
		return -ENOMEM;
	return 0;
}

static int read_xattrs(struct looking *at)
{
	char path[64 + NAME_MAX + 1], small[1024];
	_free_ char *large = NULL;
	char *names = small;
	ssize_t len;

	if (at->fd < 0)
		xattr_path(at, path, sizeof(path));
	len = list_xattrs(at, path, names, sizeof(small));
	if (len < 0 && errno == ERANGE) {
		names = large = malloc(65536);
		len = large ? list_xattrs(at, path, large, 65536) : -1;
	}
	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		int err;

		if (is_foreign_xattr(name))
			continue;
		err = store_xattr(at, path, name);
		if (err && err != -ENODATA) /* taken away since it was listed */
			return err;
	}
	return 0;
}

/* --- One entry ---------------------------------------------------------------------------------------------- */

static void set_stat(struct found_entry *entry, const struct stat *st)
{
	bool is_device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);

	entry->mode = st->st_mode;
	entry->uid = st->st_uid;
	entry->gid = st->st_gid;
	entry->nlink = (u32)MIN(st->st_nlink, (nlink_t)UINT32_MAX);
	entry->dev = kernel_dev(st->st_dev);
	entry->ino = st->st_ino;
	entry->size = is_device ? kernel_dev(st->st_rdev) : (u64)st->st_size;
	entry->atime_sec = st->st_atim.tv_sec;
	entry->mtime_sec = st->st_mtim.tv_sec;
	entry->ctime_sec = st->st_ctim.tv_sec;
	entry->atime_nsec = (u32)st->st_atim.tv_nsec;
	entry->mtime_nsec = (u32)st->st_mtim.tv_nsec;
	entry->ctime_nsec = (u32)st->st_ctim.tv_nsec;
}

static int open_file(struct looking *at)
{
	/* A fifo may have taken the file's place: do not wait for its other end. */
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = openat(at->dir_fd, at->name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(at->dir_fd, at->name, flags);
	return fd;
}

static int read_link(struct looking *at)
{
	char target[4096 + 1];
	ssize_t len = readlinkat(at->dir_fd, at->name, target, sizeof(target));

	if (len < 0)
		return -errno;
	if (len == 0 || len == sizeof(target))
		return -EINVAL;
	at->extra.target_len = (u32)len;
	return store(at->found, target, (size_t)len, &at->extra.target);
}

/* The data ranges of a file whose blocks say that it has holes. */
static int read_ranges(struct looking *at)
{
	_close_ int own_fd = at->fd < 0 ? open_file(at) : -1;
	int fd = at->fd < 0 ? own_fd : at->fd;
	off_t size = (off_t)at->entry->size, pos = 0;
	const struct btrkit_data_range *first;

	if (fd < 0)
		return -errno;
	at->extra.first_range = (u32)at->found->ranges.len;
	while (pos < size) {
		off_t data = lseek(fd, pos, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			return errno == EINVAL ? 0 : -errno; /* not supported there: no holes */
		if (data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		pos = MIN(hole, size);
		if (array_push(&at->found->ranges, (struct btrkit_data_range){ (u64)data, (u64)(pos - data) }) < 0)
			return -ENOMEM;
		at->extra.nr_ranges++;
	}
	first = at->extra.nr_ranges ? &at->found->ranges.items[at->extra.first_range] : NULL;
	at->extra.is_sparse = !(at->extra.nr_ranges == 1 && first->offset == 0 && first->len == (u64)size);
	return 0;
}

/*
 * Keep the contents of a small file. One that changes meanwhile, as its size or times say, is not kept, but read with
 * the large ones.
 */
static int keep_small(struct looking *at)
{
	u8 bytes[SMALL_FILE_BYTES + 1];
	struct found_entry before = *at->entry, *after = at->entry;
	u32 len = 0;
	struct stat st;

	for (;;) {
		ssize_t got = pread(at->fd, bytes + len, sizeof(bytes) - len, (off_t)len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		len += (u32)got;
		if (got == 0 || len >= after->size)
			break;
	}
	if (fstat(at->fd, &st) < 0)
		return -errno;
	set_stat(after, &st);
	if (len == before.size && after->size == before.size && after->mtime_sec == before.mtime_sec &&
	    after->mtime_nsec == before.mtime_nsec)
		after->small = small_files_keep(at->source->small, at->worker, bytes, len);
	return 0;
}

static int look_at_file(struct looking *at, const struct stat *st)
{
	int err = 0;

	if (st->st_blocks < (st->st_size + 511) / 512)
		err = read_ranges(at);
	if (!err && at->fd >= 0 && at->source->small && !at->extra.is_sparse && st->st_size > 0 &&
	    st->st_size <= SMALL_FILE_BYTES)
		err = keep_small(at);
	if (!err && at->fd < 0 && at->source->options->ignore_unreadable &&
	    faccessat(at->dir_fd, at->name, R_OK, AT_EACCESS) < 0)
		err = -errno;
	return err;
}

/* What stat says, through the file's descriptor if it is a regular file that can be opened. */
static int stat_entry(struct looking *at, bool is_maybe_file, struct stat *ret_stat)
{
	if (is_maybe_file)
		at->fd = open_file(at);
	if (at->fd >= 0 && fstat(at->fd, ret_stat) == 0 && S_ISREG(ret_stat->st_mode))
		return 0;
	closep(&at->fd);
	return fstatat(at->dir_fd, at->name, ret_stat, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0 ? -errno : 0;
}

/* Fill in the entry, of which the name and, as far as readdir knows, the type are there. */
static int look_at_entry(struct looking *at)
{
	struct stat st;
	int err = stat_entry(at, S_ISREG(at->entry->mode), &st);

	if (err)
		return err;
	set_stat(at->entry, &st);
	if (S_ISLNK(st.st_mode))
		err = read_link(at);
	else if (S_ISREG(st.st_mode))
		err = look_at_file(at, &st);
	if (!err && !at->source->has_no_xattrs)
		err = read_xattrs(at);
	closep(&at->fd);
	if (err || (!at->extra.target_len && !at->extra.nr_xattrs && !at->extra.is_sparse))
		return err;
	at->entry->extra = (u32)at->found->extras.len;
	return array_push(&at->found->extras, at->extra);
}

/* --- One directory ------------------------------------------------------------------------------------------ */

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* A name's offset points behind a byte that has the type that readdir knows. */
static int read_names(DIR *dir, struct found_directory *found)
{
	for (;;) {
		struct dirent *dirent;
		u32 type, name;

		errno = 0;
		dirent = readdir(dir);
		if (!dirent)
			return -errno;
		if (strcmp(dirent->d_name, ".") == 0 || strcmp(dirent->d_name, "..") == 0)
			continue;
		if (store(found, &dirent->d_type, 1, &type) < 0 ||
		    store(found, dirent->d_name, strlen(dirent->d_name) + 1, &name) < 0 ||
		    array_push(&found->names, name) < 0)
			return -ENOMEM;
	}
}

static int compare_found_names(const void *a, const void *b, void *arg)
{
	const struct found_directory *found = arg;

	return strcmp(found->bytes.items + *(const u32 *)a, found->bytes.items + *(const u32 *)b);
}

/* Room for one more entry; NULL: out of memory. @most: entries that there can still be. */
static struct found_entry *next_entry(struct found_directory *found, size_t most)
{
	if (found->nr_entries / FOUND_BLOCK_ENTRIES == found->blocks.len) {
		struct found_entry *block = malloc(MIN(most, FOUND_BLOCK_ENTRIES) * sizeof(*block));

		if (!block || array_push(&found->blocks, block) < 0) {
			free(block);
			return NULL;
		}
	}
	return found_entry_at(found, found->nr_entries);
}

/* Look at entry @i of the names; in the list afterwards unless it was left out. */
static int look_at_name(struct looking *at, size_t i, const char *shown, struct diag *d)
{
	struct found_directory *found = at->found;
	u32 offset = found->names.items[i];
	const char *name = found->bytes.items + offset;
	size_t len = strlen(name);
	int err = -ENAMETOOLONG;

	at->entry = next_entry(found, found->names.len - i);
	if (!at->entry)
		return diag_no_memory(d, "a directory");
	*at->entry = (struct found_entry){
		.small = SMALL_FILE_NOT_KEPT,
		.extra = FOUND_NONE,
		.name = offset,
		.mode = DTTOIF((u8)name[-1]),
	};
	at->extra = (struct found_extra){ 0 };
	memcpy(at->name, name, MIN(len, (size_t)NAME_MAX) + 1); /* bytes[] moves as it grows */
	at->name[NAME_MAX] = '\0';
	if (len <= NAME_MAX)
		err = look_at_entry(at);
	if (err)
		err = unreadable(at->source, found, shown, at->name, -err, d);
	if (!err)
		found->nr_entries++;
	return MIN(err, 0); /* 1: left out */
}

int found_directory_read(struct directory_source *source, unsigned worker, const char *path,
			 struct found_directory **ret_found, struct diag *d)
{
	_cleanup_(found_directory_freep) struct found_directory *found = calloc(1, sizeof(*found));
	const char *shown = path[0] ? path : source->path;
	_cleanup_(closedirp) DIR *dir = NULL;
	struct looking at = { .source = source, .found = found, .worker = worker, .fd = -1 };
	int err = 0;

	if (!found)
		return diag_no_memory(d, "a directory");
	at.dir_fd = directory_source_open(source, path, O_RDONLY | O_DIRECTORY);
	if (at.dir_fd >= 0)
		dir = fdopendir(at.dir_fd);
	if (!dir) {
		err = unreadable(source, found, source->path, path, at.dir_fd < 0 ? -at.dir_fd : errno, d);
	} else {
		err = read_names(dir, found);
		if (err)
			err = unreadable(source, found, source->path, path, -err, d);
	}
	if (err < 0)
		return err;
	if (found->names.len > 1)
		qsort_r(found->names.items, found->names.len, sizeof(u32), compare_found_names, found);
	for (size_t i = 0; i < found->names.len && err >= 0; i++)
		err = look_at_name(&at, i, shown, d);
	array_done(&found->names);
	if (err >= 0)
		*ret_found = take_ptr(found);
	return MIN(err, 0);
}

int found_directory_top(struct directory_source *source, struct found_directory **ret_found, struct diag *d)
{
	_cleanup_(found_directory_freep) struct found_directory *found = calloc(1, sizeof(*found));
	struct looking at = { .source = source, .found = found, .dir_fd = source->top_fd, .fd = -1 };
	struct stat st;
	int err = 0;

	at.entry = found ? next_entry(found, 1) : NULL;
	if (!at.entry)
		return diag_no_memory(d, "the top directory");
	*at.entry = (struct found_entry){ .small = SMALL_FILE_NOT_KEPT, .extra = FOUND_NONE };
	found->nr_entries = 1;
	if (fstat(source->top_fd, &st) < 0)
		return diag_fail(d, -errno, "%s: cannot stat: %s", source->path, strerror(errno));
	set_stat(at.entry, &st);
	/* Where the source has no extended attributes at all, a million questions are saved. */
	source->has_no_xattrs = flistxattr(source->top_fd, NULL, 0) < 0 && errno == ENOTSUP;
	if (!source->has_no_xattrs)
		err = read_xattrs(&at);
	if (!err && at.extra.nr_xattrs) {
		at.entry->extra = 0;
		err = array_push(&found->extras, at.extra);
	}
	if (err)
		return diag_fail(d, err, "%s: cannot read extended attributes: %s", source->path, strerror(-err));
	*ret_found = take_ptr(found);
	return 0;
}
