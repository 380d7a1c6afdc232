/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An mtree manifest as source. Of what is there already an entry changes what it says; what is not there it makes, files
 * with the contents of the file that contents= names, relative to where the command runs.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkfs/manifest.h"
#include "mkfs/source.h"

/* A file that contents= named, as it was when it was looked at. */
struct manifest_file {
	char *path;
	u64 size;
	struct timespec mtime;
};

struct manifest_source {
	struct source base;
	struct btrkit_data_source data;
	struct btrkit_content *content;
	btrkit_node dest;
	const struct source_options *options;
	struct manifest manifest;
	ARRAY(struct manifest_file) files;
};

/* --- Data, when it is asked for ---------------------------------------------------------------------------- */

struct open_file {
	const struct manifest_file *file;
	int fd;
};

static int fail(struct btrkit_error *error, int err, const char *path, const char *what)
{
	error->err = err;
	snprintf(error->text, sizeof(error->text), "%s: %s", path, what);
	return err;
}

static int data_open(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		     struct btrkit_error *error)
{
	const struct manifest_source *source = ctx;
	const struct manifest_file *file = &source->files.items[cookie];
	struct open_file *open_file = malloc(sizeof(*open_file));

	(void)worker, (void)node;
	if (!open_file)
		return fail(error, -ENOMEM, file->path, "out of memory");
	*open_file = (struct open_file){ file, open(file->path, O_RDONLY | O_CLOEXEC) };
	if (open_file->fd < 0) {
		free(open_file);
		return fail(error, -errno, file->path, strerror(errno));
	}
	*ret_handle = open_file;
	return 0;
}

static int data_read(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error)
{
	const struct open_file *open_file = handle;
	u8 *to = buf;

	(void)ctx;
	while (len > 0) {
		ssize_t got = pread(open_file->fd, to, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(error, -errno, open_file->file->path, strerror(errno));
		if (got == 0)
			return fail(error, -ESTALE, open_file->file->path, "became shorter while it was read");
		to += got;
		offset += (u64)got;
		len -= (size_t)got;
	}
	return 0;
}

static bool has_changed(const struct manifest_file *file, const struct stat *st)
{
	return (u64)st->st_size != file->size || st->st_mtim.tv_sec != file->mtime.tv_sec ||
	       st->st_mtim.tv_nsec != file->mtime.tv_nsec;
}

static int data_check(void *ctx, void *handle, uint64_t size, struct btrkit_error *error)
{
	const struct open_file *open_file = handle;
	struct stat st;

	(void)ctx, (void)size;
	if (fstat(open_file->fd, &st) < 0)
		return fail(error, -errno, open_file->file->path, strerror(errno));
	return has_changed(open_file->file, &st) ? fail(error, -ESTALE, open_file->file->path, "changed while it was read") :
						   0;
}

static void data_close(void *ctx, void *handle)
{
	struct open_file *open_file = handle;

	(void)ctx;
	closep(&open_file->fd);
	free(open_file);
}

static int data_descriptor(void *ctx, void *handle, uint64_t *ret_base_offset)
{
	const struct open_file *open_file = handle;

	(void)ctx;
	*ret_base_offset = 0;
	return open_file->fd;
}

/* --- Entries ------------------------------------------------------------------------------------------------- */

static int complain(const struct manifest_source *source, int err, const char *path, const char *what, struct diag *d)
{
	return diag_fail(d, err, "%s: line %u: \"%s\": %s", source->manifest.name, source->manifest.line, path, what);
}

/* What is at @path below the destination; -ENOENT. */
static int find(const struct manifest_source *source, const char *path, btrkit_node *ret_node)
{
	btrkit_node node = source->dest;

	for (const char *at = path; *at;) {
		size_t len = strcspn(at, "/");

		if (btrkit_content_lookup(source->content, node, at, len, &node) < 0)
			return -ENOENT;
		at += len + (at[len] == '/');
	}
	*ret_node = node;
	return 0;
}

/* Look at the file that contents= names. */
static int take_contents(struct manifest_source *source, const struct manifest_entry *entry, struct diag *d)
{
	struct manifest_file file = { 0 };
	struct stat st;

	if (stat(entry->contents, &st) < 0 || access(entry->contents, R_OK) < 0)
		return complain(source, -errno, entry->contents, strerror(errno), d);
	if (!S_ISREG(st.st_mode))
		return complain(source, -EINVAL, entry->contents, "not a regular file", d);
	file = (struct manifest_file){ strdup(entry->contents), (u64)st.st_size, st.st_mtim };
	if (!file.path || array_push(&source->files, file) < 0) {
		free(file.path);
		return diag_no_memory(d, source->manifest.name);
	}
	return 0;
}

static u32 default_mode(u32 type)
{
	return type == S_IFDIR ? 0755 : type == S_IFLNK ? 0777 : 0644;
}

/* Put what the entry says over *@attr. */
static void say(const struct manifest_source *source, const struct manifest_entry *entry, struct btrkit_node_attr *attr)
{
	struct btrkit_node_attr owner = { .uid = entry->uid, .gid = entry->gid };

	owner_rules_apply(source->options->owners, &owner);
	if (entry->said & MANIFEST_UID)
		attr->uid = owner.uid;
	if (entry->said & MANIFEST_GID)
		attr->gid = owner.gid;
	if (entry->said & MANIFEST_MODE)
		attr->mode = (attr->mode & S_IFMT) | entry->mode;
	if (entry->said & MANIFEST_TIME)
		attr->mtime = attr->atime = attr->ctime = entry->time;
	if (entry->said & MANIFEST_FLAGS)
		attr->inode_flags = entry->inode_flags;
	if ((entry->said & MANIFEST_DEVICE) && (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))) {
		attr->rdev_major = entry->device_major;
		attr->rdev_minor = entry->device_minor;
	}
}

static int change(struct manifest_source *source, const struct manifest_entry *entry, btrkit_node node, struct diag *d)
{
	struct btrkit_node_attr attr;
	struct btrkit_error error = { 0 };

	btrkit_content_get_attr(source->content, node, &attr);
	say(source, entry, &attr);
	return btrkit_content_set_attr(source->content, node, &attr, &error) < 0 ? diag_from_error(d, &error) : 0;
}

static int make(struct manifest_source *source, const struct manifest_entry *entry, btrkit_node *ret_node,
		struct diag *d)
{
	struct btrkit_node_attr attr = {
		.mode = entry->type | default_mode(entry->type),
		.mtime = source->options->now,
		.atime = source->options->now,
		.ctime = source->options->now,
	};
	const char *slash = strrchr(entry->path, '/');
	const char *name = slash ? slash + 1 : entry->path;
	_free_ char *directory = strndup(entry->path, (size_t)(name - entry->path));
	struct btrkit_error error = { 0 };
	btrkit_node parent;
	int err;

	if (!directory)
		return diag_no_memory(d, source->manifest.name);
	if (entry->type == S_IFLNK && !(entry->said & MANIFEST_LINK))
		return complain(source, -EINVAL, entry->path, "a link without link=", d);
	if ((entry->type == S_IFCHR || entry->type == S_IFBLK) && !(entry->said & MANIFEST_DEVICE))
		return complain(source, -EINVAL, entry->path, "a device without device=", d);
	owner_rules_apply(source->options->owners, &attr);
	say(source, entry, &attr);
	err = source_make_directory(source->content, source->dest, directory, source->options, &parent, d);
	if (err)
		return diag_context(d, err, "%s: line %u", source->manifest.name, source->manifest.line);
	if (btrkit_content_add(source->content, parent, name, strlen(name), &attr, ret_node, &error) < 0) {
		diag_from_error(d, &error);
		return diag_context(d, d->err, "%s: line %u", source->manifest.name, source->manifest.line);
	}
	progress_add(source->options->progress, 0, 1);
	return 0;
}

static int fill(struct manifest_source *source, const struct manifest_entry *entry, u32 type, btrkit_node node,
		struct diag *d)
{
	struct btrkit_error error = { 0 };
	int err = 0;

	if (type == S_IFLNK && (entry->said & MANIFEST_LINK))
		err = btrkit_content_set_symlink(source->content, node, entry->link, strlen(entry->link), &error);
	if (type == S_IFREG && (entry->said & MANIFEST_CONTENTS)) {
		err = btrkit_content_set_source(source->content, node, &source->data, source->files.len - 1,
						source->files.items[source->files.len - 1].size, NULL, 0, &error);
		progress_add(source->options->progress, source->files.items[source->files.len - 1].size, 0);
	}
	return err ? diag_from_error(d, &error) : 0;
}

/* Can the entry be carried out? */
static int judge(struct manifest_source *source, const struct manifest_entry *entry, bool exists, u32 type, struct diag *d)
{
	if (!(entry->said & MANIFEST_TYPE) && !exists)
		return complain(source, -ENOENT, entry->path, "is not there to be changed, and has no type to be made", d);
	if (!entry->path[0] && type != S_IFDIR)
		return complain(source, -EINVAL, ".", "must be a directory", d);
	if (type != S_IFREG)
		return 0;
	if (entry->said & MANIFEST_CONTENTS)
		return take_contents(source, entry, d);
	if (!exists && (entry->said & MANIFEST_SIZE) && entry->size_bytes > 0)
		return complain(source, -ENOENT, entry->path, "is not there, and no contents= says what is in it", d);
	return 0;
}

static int add_entry(struct manifest_source *source, const struct manifest_entry *entry, struct diag *d)
{
	struct btrkit_node_attr existing = { 0 };
	bool exists;
	btrkit_node node;
	u32 type = entry->type;
	int err;

	exists = find(source, entry->path, &node) == 0;
	if (exists) {
		btrkit_content_get_attr(source->content, node, &existing);
		if (!(entry->said & MANIFEST_TYPE))
			type = existing.mode & S_IFMT;
		exists = (existing.mode & S_IFMT) == type || !entry->path[0];
	}
	err = judge(source, entry, exists, type, d);
	if (err == -ENOENT && (entry->said & MANIFEST_OPTIONAL)) {
		diag_clear(d);
		return 0;
	}
	if (err && (entry->said & MANIFEST_CONTENTS) && source->options->ignore_unreadable) {
		source->options->warn(source->options->warn_arg, d->text);
		diag_clear(d);
		return 0;
	}
	if (!err)
		err = exists ? change(source, entry, node, d) : make(source, entry, &node, d);
	return err ? err : fill(source, entry, type, node, d);
}

/* --- The manifest -------------------------------------------------------------------------------------------- */

static void source_free(struct source *base)
{
	struct manifest_source *source = container_of(base, struct manifest_source, base);

	array_for_each(&source->files, file)
		free(file->path);
	array_done(&source->files);
	manifest_done(&source->manifest);
	free(source);
}

int source_add_manifest(struct btrkit_content *content, btrkit_node dest, const char *name,
			struct archive_input *input, const struct source_options *options, struct source **ret_source,
			struct diag *d)
{
	struct manifest_source *source = calloc(1, sizeof(*source));
	struct manifest_entry entry;
	char *text;
	int err;

	if (!source)
		return diag_no_memory(d, name);
	source->base.free = source_free;
	source->data = (struct btrkit_data_source){
		.ctx = source,
		.open = data_open,
		.read = data_read,
		.check = data_check,
		.close = data_close,
		.descriptor = data_descriptor,
	};
	source->content = content;
	source->dest = dest;
	source->options = options;
	/* Handed over also after a failure: the content refers to it. */
	*ret_source = &source->base;
	err = archive_input_read_text(input, &text, d);
	if (err)
		return err;
	manifest_init(&source->manifest, name, text);
	while ((err = manifest_next(&source->manifest, &entry, d)) > 0) {
		err = add_entry(source, &entry, d);
		if (err)
			return err;
	}
	return err;
}
