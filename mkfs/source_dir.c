/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A directory as source. Directories are read level by level, those of one level in parallel; the coordinating thread
 * adds what they hold to the content, from which workers only take the paths of directories. The order does not matter:
 * the content sorts.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mkfs/source.h"
#include "mkfs/source_dir.h"

/* --- What a worker finds in one directory -------------------------------------------------------------- */

struct found_entry {
	struct stat st;
	u32 name; /* offset into bytes[] */
	u32 target, target_len; /* of a symbolic link */
	u32 xattrs, nr_xattrs; /* packed: name NUL, le32 length, value */
	u32 first_range, nr_ranges;
	bool is_sparse;
};

struct found_directory {
	ARRAY(struct found_entry) entries;
	ARRAY(char) bytes;
	ARRAY(struct btrkit_data_range) ranges;
	ARRAY(char) warnings; /* NUL-terminated, one after the other */
};

static void found_free(void *ctx, void *item)
{
	struct found_directory *found = item;

	(void)ctx;
	if (!found)
		return;
	array_done(&found->entries);
	array_done(&found->bytes);
	array_done(&found->ranges);
	array_done(&found->warnings);
	free(found);
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

static int read_link(int dir_fd, struct found_directory *found, struct found_entry *entry, const char *name)
{
	char target[4096 + 1];
	ssize_t len = readlinkat(dir_fd, name, target, sizeof(target));

	if (len < 0)
		return -errno;
	if (len == 0 || len == sizeof(target))
		return -EINVAL;
	entry->target_len = (u32)len;
	return store(found, target, (size_t)len, &entry->target);
}

/* Attributes that belong to the host, not to the file: they would differ from machine to machine or mean nothing. */
static bool is_foreign_xattr(const char *name)
{
	return strncmp(name, "system.", 7) == 0 && strcmp(name, "system.posix_acl_access") != 0 &&
	       strcmp(name, "system.posix_acl_default") != 0;
}

static int store_xattr(struct found_directory *found, struct found_entry *entry, const char *path, const char *name)
{
	static const size_t most = 65536;
	_free_ char *value = malloc(most);
	ssize_t len;
	u32 offset, value_len;

	if (!value)
		return -ENOMEM;
	len = lgetxattr(path, name, value, most);
	if (len < 0)
		return -errno;
	value_len = (u32)len;
	if (store(found, name, strlen(name) + 1, &offset) < 0)
		return -ENOMEM;
	if (entry->nr_xattrs++ == 0)
		entry->xattrs = offset;
	if (store(found, &value_len, sizeof(value_len), &offset) < 0 || store(found, value, (size_t)len, &offset) < 0)
		return -ENOMEM;
	return 0;
}

static int read_xattrs(int dir_fd, struct found_directory *found, struct found_entry *entry, const char *name)
{
	char path[64 + 256], small[1024];
	_free_ char *large = NULL;
	char *names = small;
	ssize_t len;
	int err;

	/* Through the descriptor, so that the path stays short however deep the directory is. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d%s%s", dir_fd, name[0] ? "/" : "/.", name);
	len = llistxattr(path, names, sizeof(small));
	if (len < 0 && errno == ERANGE) {
		names = large = malloc(65536);
		len = large ? llistxattr(path, large, 65536) : -1;
	}
	if (len < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (const char *at = names; at < names + len; at += strlen(at) + 1) {
		if (is_foreign_xattr(at))
			continue;
		err = store_xattr(found, entry, path, at);
		if (err && err != -ENODATA) /* taken away since it was listed */
			return err;
	}
	return 0;
}

/* The data ranges of a file whose blocks say that it has holes. */
static int read_ranges(int dir_fd, struct found_directory *found, struct found_entry *entry, const char *name)
{
	_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOATIME);
	off_t size = entry->st.st_size, at = 0;
	bool is_whole;

	if (fd < 0 && errno == EPERM)
		fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	entry->first_range = (u32)found->ranges.len;
	while (at < size) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			return errno == EINVAL ? 0 : -errno; /* not supported there: no holes */
		if (data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		at = MIN(hole, size);
		if (array_push(&found->ranges, (struct btrkit_data_range){ (u64)data, (u64)(at - data) }) < 0)
			return -ENOMEM;
		entry->nr_ranges++;
	}
	is_whole = entry->nr_ranges == 1 && found->ranges.items[entry->first_range].offset == 0 && at == size &&
		   found->ranges.items[entry->first_range].len == (u64)size;
	entry->is_sparse = !is_whole;
	return 0;
}

static int read_entry(struct directory_source *source, int dir_fd, struct found_directory *found,
		      const char *directory, const char *name, struct diag *d)
{
	struct found_entry entry = { 0 };
	int err = 0;

	if (fstatat(dir_fd, name, &entry.st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return unreadable(source, found, directory, name, errno, d);
	if (S_ISLNK(entry.st.st_mode))
		err = read_link(dir_fd, found, &entry, name);
	if (!err && S_ISREG(entry.st.st_mode) && entry.st.st_blocks < (entry.st.st_size + 511) / 512)
		err = read_ranges(dir_fd, found, &entry, name);
	if (!err && !source->has_no_xattrs)
		err = read_xattrs(dir_fd, found, &entry, name);
	if (!err && source->options->ignore_unreadable && S_ISREG(entry.st.st_mode) &&
	    faccessat(dir_fd, name, R_OK, AT_EACCESS) < 0)
		err = -errno;
	if (!err)
		err = store(found, name, strlen(name) + 1, &entry.name);
	if (!err && array_push(&found->entries, entry) < 0)
		err = -ENOMEM;
	return err ? unreadable(source, found, directory, name, -err, d) : 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static char *locked_path(struct directory_source *source, btrkit_node node)
{
	char *path;

	pthread_mutex_lock(&source->content_lock);
	path = directory_source_path(source, node);
	pthread_mutex_unlock(&source->content_lock);
	return path;
}

static int read_directory(void *ctx, unsigned worker, u64 i, void **ret_item, struct diag *d)
{
	struct directory_source *source = ctx;
	struct found_directory *found = calloc(1, sizeof(*found));
	_cleanup_(closedirp) DIR *dir = NULL;
	_free_ char *path = NULL;
	int fd, err = 0;

	(void)worker;
	if (!found)
		return diag_no_memory(d, "a directory");
	path = locked_path(source, source->level.items[i]);
	fd = path ? directory_source_open(source, path, O_RDONLY | O_DIRECTORY) : -ENOMEM;
	if (fd >= 0)
		dir = fdopendir(fd);
	if (!dir)
		err = unreadable(source, found, source->path, path ? path : "", fd < 0 ? -fd : errno, d);
	while (!err) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			if (errno)
				err = unreadable(source, found, source->path, path, errno, d);
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		err = read_entry(source, fd, found, path[0] ? path : source->path, entry->d_name, d);
		err = MIN(err, 0); /* 1: left out */
	}
	if (err < 0) {
		found_free(NULL, found);
		return err;
	}
	*ret_item = found;
	return 0;
}

/* --- Into the content ------------------------------------------------------------------------------------ */

static struct btrkit_node_attr attr_of(const struct directory_source *source, const struct stat *st)
{
	struct btrkit_node_attr attr = {
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = { st->st_mtim.tv_sec, (u32)st->st_mtim.tv_nsec },
		.atime = { st->st_atim.tv_sec, (u32)st->st_atim.tv_nsec },
		.ctime = { st->st_ctim.tv_sec, (u32)st->st_ctim.tv_nsec },
	};

	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		attr.rdev_major = major(st->st_rdev);
		attr.rdev_minor = minor(st->st_rdev);
	}
	owner_rules_apply(source->options->owners, &attr);
	return attr;
}

/* The node of an inode with several names that was seen before; where it belongs if not. */
static int find_link(struct directory_source *source, const struct stat *st, struct link_slot **ret_slot)
{
	u64 at;

	if (source->nr_links * 2 >= source->links_mask + 1) {
		u64 count = (source->links_mask + 1) * 2;
		struct link_slot *slots = calloc(count, sizeof(*slots)), *old = source->links;

		if (!slots)
			return -ENOMEM;
		for (u64 i = 0; i <= source->links_mask; i++) {
			if (!old[i].is_used)
				continue;
			at = old[i].ino * 0x9E3779B97F4A7C15ULL >> 20 & (count - 1);
			while (slots[at].is_used)
				at = (at + 1) & (count - 1);
			slots[at] = old[i];
		}
		free(old);
		source->links = slots;
		source->links_mask = count - 1;
	}
	at = (u64)st->st_ino * 0x9E3779B97F4A7C15ULL >> 20 & source->links_mask;
	while (source->links[at].is_used &&
	       (source->links[at].ino != st->st_ino || source->links[at].dev != st->st_dev))
		at = (at + 1) & source->links_mask;
	*ret_slot = &source->links[at];
	return 0;
}

static int add_xattrs(struct directory_source *source, const struct found_directory *found,
		      const struct found_entry *entry, btrkit_node node, struct btrkit_error *error)
{
	const char *at = found->bytes.items + entry->xattrs;

	for (u32 i = 0; i < entry->nr_xattrs; i++) {
		const char *name = at;
		u32 len;
		int err;

		at += strlen(at) + 1;
		memcpy(&len, at, sizeof(len));
		at += sizeof(len);
		err = btrkit_content_set_xattr(source->content, node, name, at, len, error);
		if (err)
			return err;
		at += len;
	}
	return 0;
}

static int fill_node(struct directory_source *source, const struct found_directory *found,
		     const struct found_entry *entry, btrkit_node node, struct btrkit_error *error)
{
	const char *bytes = found->bytes.items;
	int err = add_xattrs(source, found, entry, node, error);

	if (!err && S_ISLNK(entry->st.st_mode))
		err = btrkit_content_set_symlink(source->content, node, bytes + entry->target, entry->target_len, error);
	if (!err && S_ISREG(entry->st.st_mode)) {
		static const struct btrkit_data_range none;
		const struct btrkit_data_range *ranges =
			entry->nr_ranges ? &found->ranges.items[entry->first_range] : &none;

		err = btrkit_content_set_source(source->content, node, &source->data,
						directory_source_stamp(&entry->st), (u64)entry->st.st_size,
						entry->is_sparse ? ranges : NULL, entry->nr_ranges, error);
	}
	return err;
}

static int add_entry(struct directory_source *source, const struct found_directory *found,
		     const struct found_entry *entry, btrkit_node parent, struct diag *d)
{
	const char *name = found->bytes.items + entry->name;
	struct btrkit_node_attr attr = attr_of(source, &entry->st);
	struct link_slot *slot = NULL;
	struct btrkit_error error = { 0 };
	btrkit_node node;
	int err;

	if (entry->st.st_nlink > 1 && !S_ISDIR(entry->st.st_mode)) {
		if (find_link(source, &entry->st, &slot) < 0)
			return diag_no_memory(d, "hard links");
		if (slot->is_used) {
			err = btrkit_content_link(source->content, parent, name, strlen(name), slot->node, &error);
			return err ? diag_from_error(d, &error) : 0;
		}
	}
	err = btrkit_content_add(source->content, parent, name, strlen(name), &attr, &node, &error);
	if (!err)
		err = fill_node(source, found, entry, node, &error);
	if (err)
		return diag_from_error(d, &error);
	if (slot) {
		*slot = (struct link_slot){ entry->st.st_dev, entry->st.st_ino, node, true };
		source->nr_links++;
	}
	if (S_ISDIR(entry->st.st_mode) && array_push(&source->next_level, node) < 0)
		return diag_no_memory(d, "directories");
	progress_add(source->options->progress, S_ISREG(entry->st.st_mode) ? (u64)entry->st.st_size : 0, 1);
	return 0;
}

static int take_directory(void *ctx, u64 i, void *item, struct diag *d)
{
	struct directory_source *source = ctx;
	struct found_directory *found = item;
	int err = 0;

	for (const char *at = found->warnings.items; at && at < found->warnings.items + found->warnings.len;
	     at += strlen(at) + 1)
		source->options->warn(source->options->warn_arg, at);
	array_for_each(&found->entries, entry) {
		/* For each entry anew, so that nobody waits for all of a large directory. */
		pthread_mutex_lock(&source->content_lock);
		err = add_entry(source, found, entry, source->level.items[i], d);
		pthread_mutex_unlock(&source->content_lock);
		if (err)
			break;
	}
	found_free(NULL, found);
	return err;
}

/* The top directory's own attributes. */
static int add_top(struct directory_source *source, struct diag *d)
{
	struct found_directory found = { 0 };
	struct found_entry entry = { 0 };
	struct btrkit_error error = { 0 };
	struct btrkit_node_attr attr;
	int err;

	if (fstat(source->top_fd, &entry.st) < 0)
		return diag_fail(d, -errno, "%s: cannot stat: %s", source->path, strerror(errno));
	/* Where the source has no extended attributes at all, a million questions are saved. */
	source->has_no_xattrs = flistxattr(source->top_fd, NULL, 0) < 0 && errno == ENOTSUP;
	err = source->has_no_xattrs ? 0 : read_xattrs(source->top_fd, &found, &entry, "");
	if (err)
		diag_fail(d, err, "%s: cannot read extended attributes: %s", source->path, strerror(-err));
	attr = attr_of(source, &entry.st);
	if (!err) {
		err = btrkit_content_set_attr(source->content, source->dest, &attr, &error);
		if (!err)
			err = add_xattrs(source, &found, &entry, source->dest, &error);
		if (err)
			diag_from_error(d, &error);
	}
	array_done(&found.entries);
	array_done(&found.bytes);
	return err;
}

static int scan(struct directory_source *source, struct diag *d)
{
	const struct pool_stream stream = { read_directory, take_directory, found_free, source };
	int err = add_top(source, d);

	if (!err && array_push(&source->level, source->dest) < 0)
		err = diag_no_memory(d, "directories");
	while (!err && source->level.len > 0) {
		source->next_level.len = 0;
		err = pool_pipeline(source->options->pool, source->level.len, pool_threads(source->options->pool) * 8,
				    &stream, d);
		array_done(&source->level);
		source->level.items = take_ptr(source->next_level.items);
		source->level.len = source->next_level.len;
		source->level.cap = source->next_level.cap;
		source->next_level.len = source->next_level.cap = 0;
	}
	return err;
}

int source_add_directory(struct btrkit_content *content, btrkit_node dest, const char *path,
			 const struct source_options *options, struct source **ret_source, struct diag *d)
{
	struct directory_source *source;
	int err = directory_source_new(content, dest, path, options, &source, d);

	if (err)
		return err;
	err = scan(source, d);
	array_done(&source->level);
	array_done(&source->next_level);
	free(source->links);
	source->links = NULL;
	/* Handed over also after a failure: the content refers to it. */
	*ret_source = &source->base;
	return err;
}
