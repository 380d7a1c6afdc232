/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data of files of a directory source, opened again when it is their turn, and checked for having changed since. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkfs/small_files.h"
#include "mkfs/source_dir.h"

char *directory_source_path(const struct directory_source *source, btrkit_node node)
{
	size_t len = 0, name_len;
	const char *name;
	char *path, *at;

	for (btrkit_node n = node; n != source->dest; len += name_len + 1)
		n = btrkit_content_parent(source->content, n, &name, &name_len);
	path = malloc(len + 1);
	if (!path)
		return NULL;
	at = path + (len ? len - 1 : 0);
	*at = '\0';
	for (btrkit_node n = node; n != source->dest;) {
		n = btrkit_content_parent(source->content, n, &name, &name_len);
		at -= name_len;
		memcpy(at, name, name_len);
		if (at > path)
			*--at = '/';
	}
	return path;
}

int directory_source_open(const struct directory_source *source, const char *path, int flags)
{
	_close_ int at = -1;
	int fd;

	flags |= O_CLOEXEC | O_NOFOLLOW;
	if (!path[0])
		path = ".";
	/* Longer paths than the kernel takes are walked in pieces. */
	while (strlen(path) >= PATH_MAX) {
		char piece[PATH_MAX];
		const char *cut = path + PATH_MAX - 1;

		while (cut > path && *cut != '/')
			cut--;
		memcpy(piece, path, (size_t)(cut - path));
		piece[cut - path] = '\0';
		fd = openat(at >= 0 ? at : source->top_fd, piece, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return -errno;
		closep(&at);
		at = fd;
		path = cut + 1;
	}
	fd = openat(at >= 0 ? at : source->top_fd, path, flags);
	return fd < 0 ? -errno : fd;
}

__attribute__((format(printf, 5, 6))) static int fail(const struct directory_source *source, btrkit_node node, int err,
							struct btrkit_error *error, const char *format, ...)
{
	_free_ char *path = directory_source_path(source, node);
	va_list args;
	int used;

	used = snprintf(error->text, sizeof(error->text), "%s/%s: ", source->path, path ? path : "?");
	va_start(args, format);
	if (used > 0 && (size_t)used < sizeof(error->text))
		vsnprintf(error->text + used, sizeof(error->text) - (size_t)used, format, args);
	va_end(args);
	error->err = err;
	return err;
}

/* The open directory of @node, for this worker. */
static int parent_directory(struct directory_source *source, unsigned worker, btrkit_node node)
{
	struct source_worker *open = &source->workers[worker];
	_free_ char *path = NULL;
	int fd;

	if (open->directory_fd >= 0 && open->directory == node)
		return open->directory_fd;
	path = directory_source_path(source, node);
	if (!path)
		return -ENOMEM;
	fd = directory_source_open(source, path, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return fd;
	closep(&open->directory_fd);
	open->directory = node;
	open->directory_fd = fd;
	return fd;
}

static int source_open(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		       struct btrkit_error *error)
{
	struct directory_source *source = ctx;
	char name[256];
	const char *bytes;
	size_t len;
	btrkit_node parent = btrkit_content_parent(source->content, node, &bytes, &len);
	int dir, fd;

	if (worker >= DIRECTORY_WORKERS_MAX)
		return -EINVAL;
	memcpy(name, bytes, len);
	name[len] = '\0';
	dir = parent_directory(source, worker, parent);
	if (dir < 0)
		return fail(source, node, dir, error, "cannot open its directory: %s", strerror(-dir));
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail(source, node, -errno, error, "cannot open: %s", strerror(errno));
	source->workers[worker].file_fd = fd;
	source->workers[worker].file = node;
	source->workers[worker].stamp = cookie;
	*ret_handle = &source->workers[worker];
	return 0;
}

static int source_read(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error)
{
	const struct source_worker *open = handle;
	u8 *at = buf;

	while (len > 0) {
		ssize_t got = pread(open->file_fd, at, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(ctx, open->file, -errno, error, "cannot read: %s", strerror(errno));
		if (got == 0)
			return fail(ctx, open->file, -ESTALE, error, "became shorter while it was read");
		at += got;
		offset += (u64)got;
		len -= (size_t)got;
	}
	return 0;
}

static int source_check(void *ctx, void *handle, uint64_t size, struct btrkit_error *error)
{
	const struct source_worker *open = handle;
	struct stat st;

	if (fstat(open->file_fd, &st) < 0)
		return fail(ctx, open->file, -errno, error, "cannot stat: %s", strerror(errno));
	if ((u64)st.st_size != size || directory_source_stamp(st.st_mtim.tv_sec, (u32)st.st_mtim.tv_nsec) != open->stamp)
		return fail(ctx, open->file, -ESTALE, error, "changed while it was read");
	return 0;
}

static void source_close(void *ctx, void *handle)
{
	struct source_worker *open = handle;

	(void)ctx;
	closep(&open->file_fd);
}

static int source_descriptor(void *ctx, void *handle, uint64_t *ret_base_offset)
{
	const struct source_worker *open = handle;

	(void)ctx;
	*ret_base_offset = 0;
	return open->file_fd;
}

static void source_free(struct source *base)
{
	struct directory_source *source = container_of(base, struct directory_source, base);

	for (unsigned i = 0; source->workers && i < DIRECTORY_WORKERS_MAX; i++) {
		closep(&source->workers[i].directory_fd);
		closep(&source->workers[i].file_fd);
	}
	free(source->workers);
	free(source->links);
	small_files_free(source->small);
	free(source->path);
	closep(&source->top_fd);
	pthread_mutex_destroy(&source->content_lock);
	free(source);
}

int directory_source_new(struct btrkit_content *content, btrkit_node dest, const char *path,
			 const struct source_options *options, struct directory_source **ret_source, struct diag *d)
{
	struct directory_source *source = calloc(1, sizeof(*source));

	if (!source)
		return diag_no_memory(d, path);
	source->base.free = source_free;
	source->data = (struct btrkit_data_source){
		.ctx = source,
		.open = source_open,
		.read = source_read,
		.check = source_check,
		.close = source_close,
		.descriptor = source_descriptor,
	};
	source->content = content;
	pthread_mutex_init(&source->content_lock, NULL);
	source->dest = dest;
	source->options = options;
	source->path = strdup(path);
	source->links_mask = 1023;
	source->links = calloc(source->links_mask + 1, sizeof(*source->links));
	source->workers = malloc(DIRECTORY_WORKERS_MAX * sizeof(*source->workers));
	for (unsigned i = 0; source->workers && i < DIRECTORY_WORKERS_MAX; i++)
		source->workers[i] = (struct source_worker){ .directory_fd = -1, .file_fd = -1 };
	source->top_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (options->do_keep_small && small_files_new(options->spool_dir, DIRECTORY_WORKERS_MAX, &source->small) < 0)
		source->small = NULL; /* then each file is read when its turn comes */
	if (source->path && source->links && source->workers && source->top_fd >= 0) {
		*ret_source = source;
		return 0;
	}
	if (source->top_fd < 0)
		diag_fail(d, -errno, "%s: cannot open: %s", path, strerror(errno));
	else
		diag_no_memory(d, path);
	source_free(&source->base);
	return d ? d->err : -ENOMEM;
}
