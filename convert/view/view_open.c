/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public door: devices to a source, and that to what looks like any other open filesystem. */
#include <stdio.h>
#include <uuid/uuid.h>

#include <btrkit/source.h>

#include "convert/bcachefs/bch_source.h"
#include "convert/ext/ext_disk.h"
#include "convert/ext/ext_source.h"
#include "convert/view/view.h"
#include "kernel-shared/device/file_device.h"

#define MAGIC_BYTES_MAX 16

struct kind {
	const char *name;
	const struct source_ops *ops;
	u64 magic_physical;
	u64 magic_again; /* another place of the same; 0: none */
	size_t magic_len;
	u8 magic[2][MAGIC_BYTES_MAX]; /* any of them */
};

static const struct kind kinds[] = {
	{ "ext", &source_ext_ops, EXT_MAGIC_OFFSET, 0, 2, { { 0x53, 0xef }, { 0x53, 0xef } } },
	/* In the first superblock, and in the list of all of them. As tools before 2022 wrote it, which is that of bcache, and since. */
	{ "bcachefs", &source_bcachefs_ops, 4096 + 24, 3584, 16,
	  { { 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 },
	    { 0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef } } },
};

/* --- The table of operations ------------------------------------------------------------------------------------ */

static void close_view(void *ctx)
{
	struct view *view = ctx;

	source_close(view->source);
	for (size_t i = 0; i < view->nr_devs; i++)
		blockdev_close(view->devs[i]);
	free(view->devs);
	view_forget_names(view);
	pthread_mutex_destroy(&view->lock);
	free(view);
}

static const char *type_of_view(void *ctx)
{
	return ((struct view *)ctx)->source->info.type;
}

static void get_info(void *ctx, struct btrkit_fs_info *ret_info)
{
	const struct view *view = ctx;
	const struct source_info *info = &view->source->info;

	*ret_info = (struct btrkit_fs_info){
		.sectorsize = info->block_bytes,
		.csum = "none",
		.total_bytes = info->total_bytes,
		.is_incomplete = info->is_incomplete,
		.has_lost_snapshots = info->has_lost_snapshots,
		.nr_devices = view->nr_devs,
		.is_read_only = true,
		.default_subvol = info->top_subvol,
	};
	uuid_unparse_lower(info->uuid, ret_info->fsid);
	snprintf(ret_info->label, sizeof(ret_info->label), "%s", info->label);
}

static int subvol_at(void *ctx, size_t index, struct btrkit_subvol *ret_subvol, struct diag *d)
{
	const struct view *view = ctx;
	const struct source_info *info = &view->source->info;
	struct source_subvol from = { .id = info->top_subvol, .top_ino = info->top_ino };
	int err = 0;

	if (view->source->ops->subvol_at)
		err = view->source->ops->subvol_at(view->source, index, &from, d);
	else if (index > 0)
		err = 1;
	if (err)
		return err;
	*ret_subvol = (struct btrkit_subvol){
		.id = from.id,
		.top_dir = from.top_ino,
		.ctime = from.otime,
		.otime = from.otime,
		.is_read_only = from.is_read_only,
		.is_snapshot = from.is_snapshot,
		.is_default = from.id == info->top_subvol,
	};
	return 0;
}

static const struct foreign_ops view_ops = {
	.close = close_view,
	.get_info = get_info,
	.type = type_of_view,
	.subvol_at = subvol_at,
	.stat = view_stat,
	.readlink = view_readlink,
	.xattr_for_each = view_xattr_for_each,
	.find = view_find,
	.plain_inode = view_plain_inode,
	.first_name = view_first_name,
	.dir_open = view_dir_open,
	.dir_next = view_dir_next,
	.dir_nr_skipped = view_dir_nr_skipped,
	.dir_close = view_dir_close,
	.file_open = view_file_open,
	.file_read = view_file_read,
	.file_range_at = view_file_range_at,
	.file_nr_skipped = view_file_nr_skipped,
	.file_close = view_file_close,
};

/* --- Opening ---------------------------------------------------------------------------------------------------- */

void btrkit_source_options_init_size(struct btrkit_source_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

static bool is_of_kind(const struct kind *kind, const char *type)
{
	return strncmp(type, kind->name, strlen(kind->name)) == 0 &&
	       (strlen(type) == strlen(kind->name) || (kind->ops == &source_ext_ops && strspn(type + 3, "234") == strlen(type + 3) &&
						       strlen(type) == 4));
}

static int open_source(struct view *view, const char *type, const struct source_options *options, struct diag *d)
{
	bool is_known = !type;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int err;

		if (type && !is_of_kind(&kinds[i], type))
			continue;
		is_known = true;
		err = kinds[i].ops->open(view->devs, view->nr_devs, options, &view->source, d);
		if (err <= 0)
			return err;
	}
	if (!is_known)
		return diag_fail(d, -EINVAL, "\"%s\" is no kind of filesystem that can be read", type);
	return diag_fail(d, -EMEDIUMTYPE, "%s: no filesystem that can be read%s%s", view->devs[0]->name, type ? ": no " : "", type ?: "");
}

static int open_devices(struct view *view, const char *const *paths, size_t nr_paths, u64 offset_bytes, struct diag *d)
{
	view->devs = calloc(nr_paths, sizeof(struct blockdev *));
	if (!view->devs)
		return diag_no_memory(d, "devices");
	for (size_t i = 0; i < nr_paths; i++) {
		int err = file_device_open(paths[i], 0, offset_bytes, 0, &view->devs[i], d);

		if (err)
			return err;
		view->nr_devs++;
	}
	return 0;
}

static int open_view(const char *const *paths, size_t nr_paths, const struct btrkit_source_options *options,
		     const struct fs_note *note, struct btrkit_fs **ret_fs, struct diag *d)
{
	const struct source_options for_source = {
		.only_reads = true,
		.no_journal = options->no_journal,
		.ignore_csums = options->ignore_data_csums,
		.passphrase = options->passphrase,
		.memory_bytes = options->memory_bytes,
		.tmpdir = options->tmpdir,
	};
	struct view *view;
	int err;

	if (nr_paths == 0)
		return diag_fail(d, -EINVAL, "no device was named");
	view = calloc(1, sizeof(*view));
	if (!view)
		return diag_no_memory(d, "the filesystem");
	pthread_mutex_init(&view->lock, NULL);
	err = open_devices(view, paths, nr_paths, options->offset_bytes, d);
	if (!err)
		err = open_source(view, options->type, &for_source, d);
	if (!err && !view->source->ops->look)
		err = diag_fail(d, -EOPNOTSUPP, "%s: single files of %s cannot be read", view->devs[0]->name, view->source->info.type);
	if (err) {
		close_view(view);
		return err;
	}
	return fs_new_foreign(&view_ops, view, note, ret_fs, d);
}

int btrkit_source_open(const char *const *paths, size_t nr_paths, const struct btrkit_source_options *options,
		       struct btrkit_fs **ret_fs, struct btrkit_error *error)
{
	struct btrkit_source_options taken;
	struct fs_note note;
	struct diag d;

	/* The caller may have been compiled with an older or newer header. */
	btrkit_source_options_init(&taken);
	if (options)
		memcpy(&taken, options, MIN(options->struct_size, sizeof(taken)));
	note = (struct fs_note){ taken.note, taken.note_arg };
	fs_diag_init(&note, &d);
	return fs_error(error, &d, open_view(paths, nr_paths, &taken, &note, ret_fs, &d));
}

/* --- What there is ---------------------------------------------------------------------------------------------- */

static bool has_magic_at(struct blockdev *dev, const struct kind *kind, u64 physical)
{
	struct diag unused = { 0 };
	u8 there[MAGIC_BYTES_MAX];

	if (dev->size_bytes < physical + kind->magic_len || blockdev_read(dev, physical, there, kind->magic_len, &unused) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kind->magic); i++)
		if (memcmp(there, kind->magic[i], kind->magic_len) == 0)
			return true;
	return false;
}

static bool has_magic(struct blockdev *dev, const struct kind *kind)
{
	return has_magic_at(dev, kind, kind->magic_physical) || (kind->magic_again && has_magic_at(dev, kind, kind->magic_again));
}

const char *btrkit_source_type(const char *path, uint64_t offset_bytes)
{
	struct diag unused = { 0 };
	const char *found = NULL;
	struct blockdev *dev;

	if (file_device_open(path, 0, offset_bytes, 0, &dev, &unused) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(kinds) && !found; i++)
		if (has_magic(dev, &kinds[i]))
			found = kinds[i].name;
	blockdev_close(dev);
	return found;
}

const char *btrkit_fs_source_type(const struct btrkit_fs *fs)
{
	return fs->foreign ? fs->foreign->type(fs->foreign_ctx) : NULL;
}
