/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An archive as source: anything that libarchive reads (tar in all dialects and compressions, cpio, mtree manifests, ...).
 * An archive can be read only once and from front to back, while file data is wanted in the order of the image: it
 * waits in an unlinked temporary file.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/spill/spill.h"
#include "mkfs/source.h"

#if !HAVE_ARCHIVE

int source_add_archive(struct btrkit_content *content, btrkit_node dest, const char *path,
		       struct archive_input *input, const struct source_options *options, struct source **ret_source,
		       struct diag *d)
{
	(void)content, (void)dest, (void)input, (void)options, (void)ret_source;
	return diag_fail(d, -EOPNOTSUPP, "%s: not a directory, and archives cannot be read: built without libarchive", path);
}

#else

#include <archive.h>
#include <archive_entry.h>

#define READ_BLOCK_BYTES (256 * 1024)

/* A part of a file and where it waits. */
struct spooled_range {
	u64 file_offset, len, spool_offset;
};

struct spooled_file {
	u32 first_range, nr_ranges;
};

struct archive_source {
	struct source base;
	struct btrkit_data_source data;
	struct btrkit_content *content;
	btrkit_node dest;
	char *path;
	struct archive_input *input; /* while it is read */
	const struct source_options *options;
	int spool_fd;
	u64 spool_len;
	ARRAY(struct spooled_range) ranges;
	ARRAY(struct spooled_file) files;
};

/* --- Data, when it is asked for ---------------------------------------------------------------------------- */

static int data_open(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		     struct btrkit_error *error)
{
	struct archive_source *source = ctx;

	(void)worker, (void)node, (void)error;
	*ret_handle = &source->files.items[cookie];
	return 0;
}

static int read_spool(const struct archive_source *source, u64 offset, u8 *to, size_t len, struct btrkit_error *error)
{
	while (len > 0) {
		ssize_t got = pread(source->spool_fd, to, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			snprintf(error->text, sizeof(error->text), "%s: cannot read the temporary copy back: %s",
				 source->path, got < 0 ? strerror(errno) : "it is too short");
			return got < 0 ? -errno : -EIO;
		}
		to += got;
		offset += (u64)got;
		len -= (size_t)got;
	}
	return 0;
}

static int data_read(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error)
{
	const struct archive_source *source = ctx;
	const struct spooled_file *file = handle;
	u64 end = offset + len;
	u8 *to = buf;

	for (u32 r = file->first_range; r < file->first_range + file->nr_ranges && offset < end; r++) {
		const struct spooled_range *range = &source->ranges.items[r];
		u64 from = MAX(offset, range->file_offset), until = MIN(end, range->file_offset + range->len);
		int err;

		if (from >= until)
			continue;
		memset(to, 0, from - offset);
		to += from - offset;
		err = read_spool(source, range->spool_offset + (from - range->file_offset), to, until - from, error);
		if (err)
			return err;
		to += until - from;
		offset = until;
	}
	memset(to, 0, end - offset);
	return 0;
}

static void data_close(void *ctx, void *handle)
{
	(void)ctx, (void)handle;
}

/* --- Entries ------------------------------------------------------------------------------------------------- */

static int archive_failure(const struct archive_source *source, struct archive *archive, struct diag *d)
{
	const char *text = archive_error_string(archive);
	int err = archive_errno(archive);
	size_t len = strlen(source->path);

	if (text && strncmp(text, source->path, len) == 0 && text[len] == ':')
		text += len + 2; /* of our own input */
	return diag_fail(d, err > 0 && err < 4096 ? -err : -EIO, "%s: %s", source->path,
			 text ? text : "cannot be read as an archive");
}

static int write_spool(struct archive_source *source, const void *bytes, size_t len, struct diag *d)
{
	const u8 *from = bytes;

	while (len > 0) {
		ssize_t put = pwrite(source->spool_fd, from, len, (off_t)source->spool_len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return diag_fail(d, -errno, "%s: cannot keep file data in a temporary file: %s", source->path,
					 strerror(errno));
		from += put;
		source->spool_len += (u64)put;
		len -= (size_t)put;
	}
	return 0;
}

/* All data of the entry to the spool; *ret_end: where the last byte of data ends. */
static int spool_data(struct archive_source *source, struct archive *archive, struct spooled_file *file, u64 *ret_end,
		      struct diag *d)
{
	file->first_range = (u32)source->ranges.len;
	file->nr_ranges = 0;
	*ret_end = 0;
	for (;;) {
		const void *bytes;
		size_t len;
		la_int64_t offset;
		struct spooled_range *last;
		int result = archive_read_data_block(archive, &bytes, &len, &offset), err;

		if (result == ARCHIVE_EOF)
			return 0;
		if (result < ARCHIVE_WARN)
			return archive_failure(source, archive, d);
		if (len == 0)
			continue;
		if (offset < 0 || (u64)offset < *ret_end)
			return diag_fail(d, -EIO, "%s: data out of order", source->path);
		last = file->nr_ranges ? &source->ranges.items[source->ranges.len - 1] : NULL;
		if (last && last->file_offset + last->len == (u64)offset) {
			last->len += len;
		} else {
			struct spooled_range range = { (u64)offset, len, source->spool_len };

			if (array_push(&source->ranges, range) < 0)
				return diag_no_memory(d, "file data");
			file->nr_ranges++;
		}
		err = write_spool(source, bytes, len, d);
		if (err)
			return err;
		*ret_end = (u64)offset + len;
	}
}

static int set_data(struct archive_source *source, struct archive *archive, struct archive_entry *entry,
		    btrkit_node node, struct diag *d)
{
	_free_ struct btrkit_data_range *ranges = NULL;
	struct spooled_file file;
	struct btrkit_error error = { 0 };
	bool is_whole;
	u64 end, size;
	int err = spool_data(source, archive, &file, &end, d);

	if (err)
		return err;
	size = archive_entry_size_is_set(entry) ? MAX(end, (u64)archive_entry_size(entry)) : end;
	if (array_push(&source->files, file) < 0)
		return diag_no_memory(d, "file data");
	is_whole = size == 0 || (file.nr_ranges == 1 && end == size && source->ranges.items[file.first_range].file_offset == 0);
	ranges = calloc(file.nr_ranges + 1, sizeof(*ranges));
	if (!ranges)
		return diag_no_memory(d, "file data");
	for (u32 i = 0; i < file.nr_ranges; i++)
		ranges[i] = (struct btrkit_data_range){ source->ranges.items[file.first_range + i].file_offset,
							source->ranges.items[file.first_range + i].len };
	progress_add(source->options->progress, size, 0);
	err = btrkit_content_set_source(source->content, node, &source->data, source->files.len - 1, size,
					is_whole ? NULL : ranges, file.nr_ranges, &error);
	return err ? diag_from_error(d, &error) : 0;
}

static struct btrkit_time time_or(bool is_set, time_t sec, long nsec, struct btrkit_time otherwise)
{
	return is_set ? (struct btrkit_time){ sec, (u32)nsec } : otherwise;
}

static u32 inode_flags_of(struct archive_entry *entry)
{
	static const struct {
		unsigned long host;
		u32 flag;
	} map[] = {
		{ FS_IMMUTABLE_FL, BTRKIT_INODE_IMMUTABLE }, { FS_APPEND_FL, BTRKIT_INODE_APPEND },
		{ FS_NODUMP_FL, BTRKIT_INODE_NODUMP },	     { FS_NOATIME_FL, BTRKIT_INODE_NOATIME },
		{ FS_SYNC_FL, BTRKIT_INODE_SYNC },	     { FS_DIRSYNC_FL, BTRKIT_INODE_DIRSYNC },
		{ FS_NOCOMP_FL, BTRKIT_INODE_NOCOMPRESS },
	};
	unsigned long set = 0, clear = 0;
	u32 flags = 0;

	archive_entry_fflags(entry, &set, &clear);
	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (set & map[i].host)
			flags |= map[i].flag;
	if ((set & FS_NOCOW_FL) && archive_entry_filetype(entry) == AE_IFREG)
		flags |= BTRKIT_INODE_NODATACOW | BTRKIT_INODE_NODATASUM;
	return flags;
}

static struct btrkit_node_attr attr_of(const struct archive_source *source, struct archive_entry *entry)
{
	struct btrkit_node_attr attr = {
		.mode = archive_entry_mode(entry),
		.uid = (u32)archive_entry_uid(entry),
		.gid = (u32)archive_entry_gid(entry),
		.inode_flags = inode_flags_of(entry),
	};

	/* An archive without times must not bring the clock in. */
	attr.mtime = time_or(archive_entry_mtime_is_set(entry), archive_entry_mtime(entry), archive_entry_mtime_nsec(entry),
			     source->options->now);
	attr.atime = time_or(archive_entry_atime_is_set(entry), archive_entry_atime(entry), archive_entry_atime_nsec(entry),
			     attr.mtime);
	attr.ctime = time_or(archive_entry_ctime_is_set(entry), archive_entry_ctime(entry), archive_entry_ctime_nsec(entry),
			     attr.mtime);
	if (S_ISCHR(attr.mode) || S_ISBLK(attr.mode)) {
		attr.rdev_major = (u32)archive_entry_rdevmajor(entry);
		attr.rdev_minor = (u32)archive_entry_rdevminor(entry);
	}
	owner_rules_apply(source->options->owners, &attr);
	return attr;
}

/* One ACL in the form that the kernel keeps. */
static int set_acl(struct archive_source *source, struct archive_entry *entry, btrkit_node node, int type,
		   const char *xattr, int trivial, struct btrkit_error *error)
{
	static const struct {
		int archive;
		u16 disk;
	} tags[] = { /* in the order that the kernel wants */
		     { ARCHIVE_ENTRY_ACL_USER_OBJ, 0x01 }, { ARCHIVE_ENTRY_ACL_USER, ACL_TAG_USER },
		     { ARCHIVE_ENTRY_ACL_GROUP_OBJ, 0x04 }, { ARCHIVE_ENTRY_ACL_GROUP, ACL_TAG_GROUP },
		     { ARCHIVE_ENTRY_ACL_MASK, 0x10 }, { ARCHIVE_ENTRY_ACL_OTHER, 0x20 }
	};
	int count = archive_entry_acl_reset(entry, type);
	_free_ u8 *value = NULL;
	struct acl_entry *out;
	size_t nr = 0;

	if (count <= trivial)
		return 0;
	value = calloc(1, sizeof(le32) + (size_t)count * sizeof(*out));
	if (!value)
		return -ENOMEM;
	le32_put((le32 *)value, 2);
	out = (struct acl_entry *)(value + sizeof(le32));
	for (size_t t = 0; t < ARRAY_LEN(tags); t++) {
		int entry_type, permset, tag, id;
		const char *name;

		archive_entry_acl_reset(entry, type);
		while (archive_entry_acl_next(entry, type, &entry_type, &permset, &tag, &id, &name) == ARCHIVE_OK) {
			bool has_id = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;

			if (tag != tags[t].archive || nr == (size_t)count)
				continue;
			le16_put(&out[nr].tag, tags[t].disk);
			le16_put(&out[nr].perm, (u16)(permset & 7));
			le32_put(&out[nr].id, has_id ? (u32)id : UINT32_MAX);
			nr++;
		}
	}
	return source_set_xattr(source->content, node, xattr, value, sizeof(le32) + nr * sizeof(*out),
				source->options->owners, error);
}

static int set_xattrs(struct archive_source *source, struct archive_entry *entry, btrkit_node node, struct diag *d)
{
	struct btrkit_error error = { 0 };
	const char *name;
	const void *value;
	size_t len;
	int err = 0;

	archive_entry_xattr_reset(entry);
	while (!err && archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
		err = source_set_xattr(source->content, node, name, value, len, source->options->owners, &error);
	if (!err)
		err = set_acl(source, entry, node, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", 3, &error);
	if (!err)
		err = set_acl(source, entry, node, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", 0, &error);
	return err ? diag_from_error(d, &error) : 0;
}

/*
 * Parent directory and last component of a path within the archive; directories on the way are made. A name with ".."
 * is refused: it would reach out of the destination. 1: the path is the top itself.
 */
static int find_parent(struct archive_source *source, const char *path, btrkit_node *ret_parent, const char **ret_name,
		       size_t *ret_len, struct diag *d)
{
	_free_ char *directory = NULL;
	const char *at = path, *name = "";
	size_t name_len = 0;
	int err;

	while (*at) {
		size_t len = strcspn(at, "/");

		if (len == 2 && at[0] == '.' && at[1] == '.')
			return diag_fail(d, -EINVAL, "%s: \"%s\" leads out of the archive", source->path, path);
		if (len > 0 && !(len == 1 && at[0] == '.')) {
			name = at;
			name_len = len;
		}
		at += len + (at[len] == '/');
	}
	if (name_len == 0)
		return 1;
	directory = strndup(path, (size_t)(name - path));
	if (!directory)
		return diag_no_memory(d, path);
	err = source_make_directory(source->content, source->dest, directory, source->options, ret_parent, d);
	if (err)
		return diag_context(d, err, "%s", source->path);
	*ret_name = name;
	*ret_len = name_len;
	return err;
}

/* In cpio archives the last name carries the data; pax allows it too. A name without any leaves the data alone. */
static int add_hardlink(struct archive_source *source, struct archive *archive, struct archive_entry *entry,
			btrkit_node parent, const char *name, size_t len, struct diag *d)
{
	const char *target = archive_entry_hardlink(entry);
	struct btrkit_error error = { 0 };
	struct btrkit_node_attr attr;
	btrkit_node target_parent, node;
	const char *target_name;
	size_t target_len;
	int err = find_parent(source, target, &target_parent, &target_name, &target_len, d);

	if (err > 0 || (!err && btrkit_content_lookup(source->content, target_parent, target_name, target_len, &node) < 0))
		return diag_fail(d, -ENOENT, "%s: hard link to \"%s\", which is not there", source->path, target);
	if (!err && btrkit_content_link(source->content, parent, name, len, node, &error) < 0)
		err = diag_from_error(d, &error);
	if (err)
		return err;
	btrkit_content_get_attr(source->content, node, &attr);
	if (S_ISREG(attr.mode) && archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0)
		err = set_data(source, archive, entry, node, d);
	return err;
}

static int set_attributes(struct archive_source *source, struct archive_entry *entry, btrkit_node node, struct diag *d)
{
	struct btrkit_node_attr attr = attr_of(source, entry), existing;
	struct btrkit_error error = { 0 };

	btrkit_content_get_attr(source->content, node, &existing);
	if (!archive_entry_mtime_is_set(entry)) {
		attr.mtime = existing.mtime;
		attr.atime = existing.atime;
		attr.ctime = existing.ctime;
	}
	attr.mode = (existing.mode & S_IFMT) | (attr.mode & 07777);
	if (btrkit_content_set_attr(source->content, node, &attr, &error) < 0)
		return diag_from_error(d, &error);
	return set_xattrs(source, entry, node, d);
}

static int add_entry(struct archive_source *source, struct archive *archive, struct archive_entry *entry,
		     struct diag *d)
{
	const char *path = archive_entry_pathname(entry), *name, *target;
	struct btrkit_error error = { 0 };
	struct btrkit_node_attr attr;
	btrkit_node parent, node;
	size_t len;
	int err;

	if (!path)
		return diag_fail(d, -EINVAL, "%s: an entry without a usable name", source->path);
	err = find_parent(source, path, &parent, &name, &len, d);
	if (err < 0)
		return err;
	if (err > 0)
		return archive_entry_filetype(entry) == AE_IFDIR ? set_attributes(source, entry, source->dest, d) : 0;
	if (archive_entry_hardlink(entry))
		return add_hardlink(source, archive, entry, parent, name, len, d);
	attr = attr_of(source, entry);
	if (btrkit_content_add(source->content, parent, name, len, &attr, &node, &error) < 0) {
		diag_from_error(d, &error);
		return diag_context(d, d->err, "%s: %s", source->path, path);
	}
	err = set_xattrs(source, entry, node, d);
	if (!err && S_ISLNK(attr.mode)) {
		target = archive_entry_symlink(entry);
		if (btrkit_content_set_symlink(source->content, node, target ? target : "", target ? strlen(target) : 0,
					       &error) < 0)
			err = diag_from_error(d, &error);
	}
	if (!err && S_ISREG(attr.mode))
		err = set_data(source, archive, entry, node, d);
	progress_add(source->options->progress, 0, 1);
	return err;
}

/* --- The archive --------------------------------------------------------------------------------------------- */

static int read_entries(struct archive_source *source, struct archive *archive, struct diag *d)
{
	for (;;) {
		struct archive_entry *entry;
		int result = archive_read_next_header(archive, &entry), err;

		if (result == ARCHIVE_EOF)
			return 0;
		if (result < ARCHIVE_WARN)
			return archive_failure(source, archive, d);
		/* libarchive guesses, and makes up what an entry does not say. */
		if ((archive_format(archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_MTREE)
			return diag_fail(d, -EINVAL, "%s: a manifest must begin with \"#mtree\", and only gzip may compress it",
					 source->path);
		err = add_entry(source, archive, entry, d);
		if (err)
			return err;
	}
}

static void archive_freep(struct archive **archive)
{
	if (*archive)
		archive_read_free(*archive);
}

static la_ssize_t read_input(struct archive *archive, void *ctx, const void **ret_bytes)
{
	struct diag d = { 0 };
	size_t len;

	if (archive_input_read(ctx, ret_bytes, &len, &d) == 0)
		return (la_ssize_t)len;
	archive_set_error(archive, -d.err, "%s", d.text);
	return ARCHIVE_FATAL;
}

/* Some formats have their table at the end: where that can be sought, libarchive gets the file itself. */
static int open_archive(const struct archive_source *source, struct archive *archive)
{
	if (archive_input_is_plain_file(source->input))
		return archive_read_open_filename(archive, source->path, READ_BLOCK_BYTES);
	return archive_read_open(archive, source->input, NULL, read_input, NULL);
}

static int read_archive(struct archive_source *source, struct diag *d)
{
	_cleanup_(archive_freep) struct archive *archive = archive_read_new();
	/* Names are bytes here; libarchive wants a locale that lets UTF-8 through, whatever the user's is. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
	int err = 0;

	if (!archive) {
		err = diag_no_memory(d, source->path);
	} else {
		archive_read_support_filter_all(archive);
		archive_read_support_format_all(archive);
		if (open_archive(source, archive) != ARCHIVE_OK)
			err = archive_failure(source, archive, d);
		else
			err = read_entries(source, archive, d);
		/* What follows the last entry is padding, and perhaps a checksum. */
		if (!err && !archive_input_is_plain_file(source->input))
			err = archive_input_finish(source->input, d);
	}
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	return err;
}

static void source_free(struct source *base)
{
	struct archive_source *source = container_of(base, struct archive_source, base);

	closep(&source->spool_fd);
	array_done(&source->ranges);
	array_done(&source->files);
	free(source->path);
	free(source);
}

int source_add_archive(struct btrkit_content *content, btrkit_node dest, const char *path,
		       struct archive_input *input, const struct source_options *options, struct source **ret_source,
		       struct diag *d)
{
	struct archive_source *source = calloc(1, sizeof(*source));
	int err;

	if (!source)
		return diag_no_memory(d, path);
	source->base.free = source_free;
	source->data = (struct btrkit_data_source){ .ctx = source, .open = data_open, .read = data_read, .close = data_close };
	source->content = content;
	source->dest = dest;
	source->path = strdup(path);
	source->input = input;
	source->options = options;
	source->spool_fd = -1;
	err = source->path ? temporary_file_open(options->spool_dir, &source->spool_fd, d) : diag_no_memory(d, path);
	if (!err)
		err = read_archive(source, d);
	/* Handed over also after a failure: the content refers to it. */
	*ret_source = &source->base;
	return err;
}

#endif
