/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of the verification: a Btrfs filesystem as a conversion leaves it, made with the library, and a source that has the
 * same, held in lists that a test can change. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_UNIT_CONVERT_FIXTURE_H
#define BTRKIT_TESTS_UNIT_CONVERT_FIXTURE_H

#include <stdio.h>
#include <sys/stat.h>

#include <btrkit/btrkit.h>

#include "convert/inplace/verify.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/fs/file_extent.h"

#define FAKE_BYTES (128 * MIB)
#define FAKE_INO_BASE 1000 /* a source's number is this more */
#define FAKE_TOP (FAKE_INO_BASE + 256)
#define FAKE_MOVED_AT 4096
#define FAKE_MOVED_BYTES 8192
#define FAKE_ELSEWHERE (100 * MIB) /* of the source's device: what the new filesystem has elsewhere */
#define FAKE_NR_MANY 600

struct fake_xattr {
	u64 ino;
	char name[40], value[64];
	size_t len;
};
struct fake_run {
	u64 ino;
	struct source_run run;
};
struct fake_entry {
	u64 dir, child;
	char name[40];
};
/* Link targets, contents in the inode. */
struct fake_bytes {
	u64 ino;
	size_t len;
	u8 bytes[4096];
};
/* What the source's device has at a place where the new filesystem has nothing of it. */
struct fake_place {
	u64 physical;
	size_t len;
	u8 bytes[20480];
};

struct fake {
	struct source source;
	char path[256]; /* of the new filesystem */
	struct blockdev *dev; /* as it was */
	struct source_inode inodes[FAKE_NR_MANY + 100];
	struct fake_entry entries[FAKE_NR_MANY + 100];
	struct fake_xattr xattrs[20];
	struct fake_run runs[40];
	struct fake_bytes bytes[20];
	struct fake_place places[4];
	struct convert_moved moved[2], used[40];
	size_t nr_inodes, nr_entries, nr_xattrs, nr_runs, nr_bytes, nr_places, nr_moved, nr_used;
	u64 omitted_ino; /* left out of the new filesystem */
	struct cancel *cancel; /* requested when the scan begins */
};

/* --- The source ------------------------------------------------------------------------------------------------------ */

static inline int fake_used_ranges(struct source *source, u32 device, source_range_fn fn, void *ctx, struct diag *d)
{
	struct fake *fake = container_of(source, struct fake, source);
	int err = 0;

	(void)device;
	for (size_t i = 0; i < fake->nr_used && !err; i++)
		err = fn(ctx, fake->used[i].physical, fake->used[i].len, d);
	return err;
}

static inline int fake_tell_contents(struct fake *fake, struct source_sink *sink, const struct source_inode *inode,
				     struct diag *d)
{
	struct source_run runs[16];
	size_t nr = 0;
	int err = 0;

	for (size_t i = 0; i < fake->nr_bytes && !err; i++) {
		const struct fake_bytes *bytes = &fake->bytes[i];

		if (bytes->ino == inode->ino && S_ISLNK(inode->mode))
			err = sink->symlink(sink, inode->ino, (const char *)bytes->bytes, bytes->len, d);
		else if (bytes->ino == inode->ino)
			err = sink->bytes(sink, inode->ino, bytes->bytes, bytes->len, d);
	}
	for (size_t i = 0; i < fake->nr_runs; i++)
		if (fake->runs[i].ino == inode->ino && nr < ARRAY_LEN(runs))
			runs[nr++] = fake->runs[i].run;
	return err || !nr ? err : sink->runs(sink, inode->ino, runs, nr, d);
}

static inline int fake_scan(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d)
{
	struct fake *fake = container_of(source, struct fake, source);
	int err = 0;

	(void)progress;
	if (fake->cancel)
		atomic_store(&fake->cancel->is_requested, true);
	for (size_t n = 0; n < fake->nr_inodes && !err; n++) {
		const struct source_inode *inode = &fake->inodes[n];

		err = sink->inode(sink, inode, d);
		for (size_t i = 0; i < fake->nr_xattrs && !err; i++)
			if (fake->xattrs[i].ino == inode->ino)
				err = sink->xattr(sink, inode->ino, fake->xattrs[i].name, fake->xattrs[i].value,
						  fake->xattrs[i].len, d);
		if (!err)
			err = fake_tell_contents(fake, sink, inode, d);
		for (size_t i = 0; i < fake->nr_entries && !err; i++)
			if (fake->entries[i].dir == inode->ino)
				err = sink->entry(sink, inode->ino, fake->entries[i].name, strlen(fake->entries[i].name),
						  fake->entries[i].child, d);
	}
	return err;
}

static inline int fake_read(struct source *source, u64 physical, void *buf, size_t len, struct diag *d)
{
	struct fake *fake = container_of(source, struct fake, source);
	int err = blockdev_read(fake->dev, physical, buf, len, d);

	for (size_t i = 0; i < fake->nr_places && !err; i++) {
		const struct fake_place *place = &fake->places[i];
		u64 from = MAX(physical, place->physical), to = MIN(physical + len, place->physical + place->len);

		if (from < to)
			memcpy((u8 *)buf + (from - physical), place->bytes + (from - place->physical), to - from);
	}
	return err;
}

static const struct source_ops fake_ops = {
	.type = "fake", .used_ranges = fake_used_ranges, .scan = fake_scan, .read = fake_read,
};

static inline u64 fake_btrfs_ino(void *ctx, u64 source_ino)
{
	const struct fake *fake = ctx;

	return source_ino == fake->omitted_ino ? 0 : source_ino - FAKE_INO_BASE;
}

/* --- The new filesystem ------------------------------------------------------------------------------------------------ */

static inline void fake_must(int err, const struct btrkit_error *error, const char *what)
{
	if (err)
		fail_msg("%s: %s", what, error->text);
}

static inline struct btrkit_fs *fake_open(const struct fake *fake, bool is_writable)
{
	const char *paths[] = { fake->path };
	struct btrkit_open_options options;
	struct btrkit_error error;
	struct btrkit_fs *fs;

	btrkit_open_options_init(&options);
	options.no_device_scan = true;
	options.is_writable = is_writable;
	fake_must(btrkit_fs_open(paths, 1, &options, &fs, &error), &error, "open");
	return fs;
}

static inline void fake_make(struct fake *fake)
{
	struct btrkit_mkfs_device device = { .path = fake->path, .size_bytes = FAKE_BYTES };
	struct btrkit_mkfs_options options;
	struct btrkit_content *content;
	struct btrkit_error error;
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(fake->path, sizeof(fake->path), "%s/btrkit-verify-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(fake->path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(btrkit_content_new(&content), 0);
	btrkit_mkfs_options_init(&options);
	options.devices = &device;
	options.nr_devices = 1;
	options.nodesize = 4096;
	options.metadata_profile = options.data_profile = "single";
	fake_must(btrkit_mkfs(&options, content, NULL, &error), &error, "mkfs");
	btrkit_content_free(content);
}

static inline struct btrkit_inode fake_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name,
					      u32 mode, const u8 *data, size_t len)
{
	const struct btrkit_node_attr attr = {
		.mode = mode,
		.uid = 1005,
		.gid = 1006,
		.rdev_major = 5,
		.rdev_minor = 300,
		.inode_flags = S_ISREG(mode) && (mode & 0111) ? BTRKIT_INODE_NODUMP : 0,
		.atime = { 1500000001, 11 },
		.mtime = { -1500000002, 12 },
		.ctime = { 1500000003, 13 },
	};
	struct btrkit_error error;
	struct btrkit_inode inode;

	if (S_ISLNK(mode))
		fake_must(btrkit_edit_symlink(edit, dir, name, strlen(name), (const char *)data, len, &attr, &inode, &error),
			  &error, name);
	else
		fake_must(btrkit_edit_create(edit, dir, name, strlen(name), &attr, &inode, &error), &error, name);
	if (len && S_ISREG(mode))
		fake_must(btrkit_edit_write(edit, &inode, 0, data, len, &error), &error, name);
	return inode;
}

static inline const u8 *fake_data(u8 first)
{
	static u8 data[100 * KIB];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (u8)(first + i * 7 + i / 4096);
	return data;
}

static inline void fake_fill_many(struct btrkit_edit *edit)
{
	struct btrkit_inode many = fake_create(edit, &BTRKIT_INODE_TOP, "many", S_IFDIR | 0755, NULL, 0);

	for (unsigned i = 0; i < FAKE_NR_MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		fake_create(edit, &many, name, S_IFREG | 0600, NULL, 0);
	}
}

static inline void fake_fill(struct btrkit_edit *edit)
{
	const struct btrkit_inode *top = &BTRKIT_INODE_TOP;
	struct btrkit_inode file, sparse, dir;
	struct btrkit_error error;

	file = fake_create(edit, top, "file", S_IFREG | 0751, fake_data(1), 100 * KIB);
	fake_must(btrkit_edit_set_xattr(edit, &file, "user.one", "value", 5, &error), &error, "xattr");
	fake_must(btrkit_edit_set_xattr(edit, &file, "security.two", "", 0, &error), &error, "xattr");
	sparse = fake_create(edit, top, "sparse", S_IFREG | 0644, fake_data(2), 8192);
	fake_must(btrkit_edit_write(edit, &sparse, MIB, fake_data(3), 8192, &error), &error, "sparse");
	fake_must(btrkit_edit_truncate(edit, &sparse, 2 * MIB + 5, &error), &error, "sparse");
	fake_create(edit, top, "small", S_IFREG | 0644, fake_data(4), 100);
	fake_create(edit, top, "tiny", S_IFREG | 0644, fake_data(5), 50);
	fake_create(edit, top, "kept", S_IFREG | 0644, fake_data(6), 3000);
	fake_create(edit, top, "journal", S_IFREG | 0644, fake_data(7), 20000);
	fake_create(edit, top, "hole", S_IFREG | 0644, NULL, 0);
	fake_create(edit, top, "link", S_IFLNK | 0777, (const u8 *)"its/target", 10);
	dir = fake_create(edit, top, "dir", S_IFDIR | 0755, NULL, 0);
	fake_must(btrkit_edit_link(edit, &file, &dir, "hard", 4, &error), &error, "hard");
	fake_create(edit, &dir, "chr", S_IFCHR | 0600, NULL, 0);
	fake_create(edit, &dir, "fifo", S_IFIFO | 0600, NULL, 0);
	fake_create(edit, &dir, "sub", S_IFDIR | 0700, NULL, 0);
	fake_fill_many(edit);
}

/* --- What the source has, from what the new filesystem has --------------------------------------------------------------- */

static inline int fake_take_xattr(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	struct fake *fake = arg;
	struct fake_xattr *xattr = &fake->xattrs[fake->nr_xattrs++];

	*xattr = (struct fake_xattr){ .ino = fake->inodes[fake->nr_inodes - 1].ino, .len = value_len };
	memcpy(xattr->name, name, name_len);
	memcpy(xattr->value, value, value_len);
	return 0;
}

static inline void fake_take_extents(struct fake *fake, struct btrkit_fs *fs, u64 ino, bool is_elsewhere)
{
	const struct key first = { ino, EXTENT_DATA_KEY, 0 };
	struct file_extent extent;
	struct cursor cursor;
	struct fs_root root;
	int err;

	assert_int_equal(fs_subvol_root(fs, FS_TREE_OBJECTID, &root, NULL), 0);
	cursor = cursor_init(&root.tree);
	for (err = cursor_seek(&cursor, &first, NULL); err == 0 && cursor_is_at(&cursor, ino, EXTENT_DATA_KEY);
	     err = cursor_next(&cursor, NULL)) {
		struct physical_part part;
		struct fake_run *run = &fake->runs[fake->nr_runs++];

		assert_int_equal(file_extent_unpack(&cursor, 4096, &extent, NULL), 0);
		if (extent.kind != EXTENT_REGULAR || is_elsewhere) {
			fake->nr_runs--;
			continue;
		}
		assert_int_equal(volume_map(fs->volume->chunks, extent.disk_bytenr + extent.extent_offset, extent.len, 1, &part), 0);
		assert_int_equal(part.len, extent.len);
		*run = (struct fake_run){ ino + FAKE_INO_BASE, { extent.file_offset, part.physical, extent.len, false, false, 0 } };
	}
	cursor_done(&cursor);
}

static inline void fake_take_inode(struct fake *fake, struct btrkit_fs *fs, const struct btrkit_inode *inode, bool is_elsewhere)
{
	struct btrkit_stat stat;
	struct btrkit_error error;

	fake_must(btrkit_stat(fs, inode, &stat, &error), &error, "stat");
	fake->inodes[fake->nr_inodes++] = (struct source_inode){
		.ino = inode->ino + FAKE_INO_BASE, .mode = stat.mode, .uid = stat.uid, .gid = stat.gid, .nlink = stat.nlink,
		.rdev_major = stat.rdev_major, .rdev_minor = stat.rdev_minor, .inode_flags = (u32)stat.flags,
		.size = stat.size, .atime = stat.atime, .mtime = stat.mtime, .ctime = stat.ctime, .otime = stat.otime,
	};
	fake_must(btrkit_xattr_for_each(fs, inode, fake_take_xattr, fake, &error), &error, "xattrs");
	if (S_ISREG(stat.mode))
		fake_take_extents(fake, fs, inode->ino, is_elsewhere);
}

static inline bool fake_knows(const struct fake *fake, u64 ino)
{
	for (size_t i = 0; i < fake->nr_inodes; i++)
		if (fake->inodes[i].ino == ino + FAKE_INO_BASE)
			return true;
	return false;
}

static inline void fake_take_dir(struct fake *fake, struct btrkit_fs *fs, const struct btrkit_inode *inode)
{
	struct btrkit_dir_entry entry;
	struct btrkit_error error;
	struct btrkit_dir *dir;

	fake_take_inode(fake, fs, inode, false);
	fake_must(btrkit_dir_open(fs, inode, &dir, &error), &error, "dir");
	while (btrkit_dir_next(dir, &entry, &error) == 0) {
		struct fake_entry *to = &fake->entries[fake->nr_entries];

		if (entry.is_subvol)
			continue;
		*to = (struct fake_entry){ inode->ino + FAKE_INO_BASE, entry.inode.ino + FAKE_INO_BASE, "" };
		snprintf(to->name, sizeof(to->name), "%s", entry.name);
		fake->nr_entries++;
		if (entry.type == S_IFDIR)
			fake_take_dir(fake, fs, &entry.inode);
		else if (!fake_knows(fake, entry.inode.ino))
			fake_take_inode(fake, fs, &entry.inode,
					strcmp(to->name, "journal") == 0 || strcmp(to->name, "kept") == 0 || strcmp(to->name, "moved") == 0);
	}
	btrkit_dir_close(dir);
}

static inline u64 fake_ino(const struct fake *fake, const char *name)
{
	for (size_t i = 0; i < fake->nr_entries; i++)
		if (strcmp(fake->entries[i].name, name) == 0)
			return fake->entries[i].child;
	fail_msg("%s is not there", name);
	return 0;
}

static inline void fake_add_bytes(struct fake *fake, const char *name, const void *bytes, size_t len)
{
	struct fake_bytes *to = &fake->bytes[fake->nr_bytes++];

	to->ino = fake_ino(fake, name);
	to->len = len;
	memcpy(to->bytes, bytes, len);
}

static inline void fake_add_place(struct fake *fake, const char *name, const u8 *bytes, size_t len, bool is_overlaid)
{
	struct fake_place *place = &fake->places[fake->nr_places];

	place->physical = FAKE_ELSEWHERE + fake->nr_places++ * MIB;
	place->len = len;
	memcpy(place->bytes, bytes, len);
	fake->runs[fake->nr_runs++] = (struct fake_run){
		fake_ino(fake, name), { 0, place->physical, round_up_u64(len, 4096), is_overlaid, false, 0 },
	};
}

/* What the new filesystem does not have where the source has it. */
static inline void fake_add_contents(struct fake *fake)
{
	fake_add_bytes(fake, "link", "its/target", 10);
	fake_add_bytes(fake, "tiny", fake_data(5), 50);
	fake_add_bytes(fake, "kept", fake_data(6), 3000);
	fake_add_place(fake, "small", fake_data(4), 100, false);
	fake_add_place(fake, "journal", fake_data(7), 20000, true);
}

/* --- The image ------------------------------------------------------------------------------------------------------------- */

static inline void fake_save(struct fake *fake, struct btrkit_fs *fs, struct btrkit_edit *edit)
{
	struct btrkit_inode dir = { 0, 256 }, image, moved;
	const struct btrkit_node_attr attr = { .mode = S_IFDIR | 0755 };
	struct btrkit_error error;
	uint64_t id;

	fake_must(btrkit_edit_subvol_create(edit, &BTRKIT_INODE_TOP, "saved", 5, &attr, &id, &error), &error, "subvolume");
	assert_int_equal(id, 256);
	dir.subvol = id;
	image = fake_create(edit, &dir, "image", S_IFREG | 0400, NULL, 0);
	fake_must(btrkit_edit_truncate(edit, &image, FAKE_BYTES, &error), &error, "image");
	fake_must(btrkit_edit_write(edit, &image, FAKE_MOVED_AT, fake_data(8), FAKE_MOVED_BYTES, &error), &error, "image");
	moved = fake_create(edit, &BTRKIT_INODE_TOP, "moved", S_IFREG | 0600, NULL, 0);
	fake_must(btrkit_edit_clone(edit, &image, FAKE_MOVED_AT, FAKE_MOVED_BYTES, &moved, 0, &error), &error, "moved");
	for (size_t i = 0; i < fake->nr_runs; i++) {
		const struct source_run *run = &fake->runs[i].run;
		struct btrkit_inode from = { FS_TREE_OBJECTID, fake->runs[i].ino - FAKE_INO_BASE };

		fake_must(btrkit_edit_clone(edit, &from, run->file_offset, run->len, &image, run->physical, &error), &error,
			  "clone");
	}
	fake_must(btrkit_edit_set_read_only(edit, id, true, &error), &error, "read-only");
	fake_must(btrkit_edit_commit(edit, &error), &error, "commit");
	(void)fs;
}

static inline void fake_find_moved(struct fake *fake, struct btrkit_fs *fs)
{
	struct file_extent extent;
	struct btrkit_inode moved;
	struct btrkit_error error;
	struct cursor cursor;
	struct fs_root root;

	fake_must(btrkit_lookup(fs, NULL, "moved", &moved, &error), &error, "moved");
	assert_int_equal(fs_subvol_root(fs, FS_TREE_OBJECTID, &root, NULL), 0);
	cursor = cursor_init(&root.tree);
	assert_int_equal(file_extent_find(&cursor, moved.ino, 0, FAKE_MOVED_BYTES, 4096, &extent, NULL), 0);
	assert_int_equal(extent.len, FAKE_MOVED_BYTES);
	cursor_done(&cursor);
	fake->moved[fake->nr_moved++] =
		(struct convert_moved){ FAKE_MOVED_AT, FAKE_MOVED_BYTES, extent.disk_bytenr + extent.extent_offset };
	fake->runs[fake->nr_runs++] =
		(struct fake_run){ moved.ino + FAKE_INO_BASE, { 0, FAKE_MOVED_AT, FAKE_MOVED_BYTES, false, false, 0 } };
}

static inline void fake_forget(struct fake *fake)
{
	fake->nr_inodes = fake->nr_entries = fake->nr_xattrs = fake->nr_runs = fake->nr_used = 0;
}

static inline void fake_add_used(struct fake *fake, u64 physical, u64 len)
{
	fake->used[fake->nr_used++] = (struct convert_moved){ physical, len, 0 };
}

static inline void fake_open_device(struct fake *fake)
{
	struct blockdev *below;

	assert_int_equal(file_device_open(fake->path, 0, 0, 0, &below, NULL), 0);
	assert_int_equal(overlay_device_new(below, &fake->dev), 0);
	assert_int_equal(blockdev_write(fake->dev, FAKE_MOVED_AT, fake_data(8), FAKE_MOVED_BYTES, NULL), 0);
}

static inline struct fake *fake_new(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	struct btrkit_error error;
	struct btrkit_edit *edit;
	struct btrkit_fs *fs;

	assert_non_null(fake);
	fake->source = (struct source){ &fake_ops, { .type = "fake", .block_bytes = 4096, .total_bytes = FAKE_BYTES,
						     .nr_inodes = FAKE_NR_MANY, .top_ino = FAKE_TOP }, .is_partly_unreadable = false };
	fake_make(fake);
	fs = fake_open(fake, true);
	fake_must(btrkit_edit_new(fs, NULL, &edit, &error), &error, "edit");
	fake_fill(edit);
	fake_must(btrkit_edit_commit(edit, &error), &error, "commit");
	fake_take_dir(fake, fs, &BTRKIT_INODE_TOP);
	fake_save(fake, fs, edit);
	btrkit_edit_free(edit);
	btrkit_fs_close(fs);
	fs = fake_open(fake, false);
	fake_forget(fake);
	fake_take_dir(fake, fs, &BTRKIT_INODE_TOP);
	fake_add_used(fake, FAKE_MOVED_AT, FAKE_MOVED_BYTES);
	for (size_t i = 0; i < fake->nr_runs; i++)
		fake_add_used(fake, fake->runs[i].run.physical, fake->runs[i].run.len);
	fake_find_moved(fake, fs);
	fake_add_contents(fake);
	btrkit_fs_close(fs);
	fake_open_device(fake);
	return fake;
}

static inline void fake_free(struct fake *fake)
{
	blockdev_close(fake->dev);
	unlink(fake->path);
	free(fake);
}

#endif
