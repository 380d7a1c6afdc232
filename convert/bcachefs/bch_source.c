/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_source.h"

#include <inttypes.h>

#include "convert/bcachefs/bch_file.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_look.h"
#include "convert/bcachefs/bch_used.h"

enum { SUBVOL_READ_ONLY = 1, SUBVOL_SNAPSHOT = 2, SUBVOL_UNLINKED = 4 };

static void source_bch_close(struct source *source)
{
	bch_fs_close(bch_fs_of(source));
}

static int source_bch_open(struct blockdev *const *devs, size_t nr_devs, const struct source_options *options,
			   struct source **ret_source, struct diag *d)
{
	struct bch_fs *fs = NULL;
	int err = bch_fs_open(devs, nr_devs, options, BCH_STAGE_ALL, &fs, d);

	if (err)
		return err;
	fs->source.ops = &source_bcachefs_ops;
	*ret_source = &fs->source;
	return 0;
}

static int find_subvol(const struct bch_fs *fs, u64 id, const struct bch_subvol **ret_subvol, struct diag *d)
{
	const struct bch_subvol *subvol = id <= UINT32_MAX ? bch_subvol_find(fs, (u32)id) : NULL;

	if (!subvol || subvol->flags & SUBVOL_UNLINKED)
		return diag_fail(d, -ENOENT, "there is no subvolume %" PRIu64, id);
	*ret_subvol = subvol;
	return 0;
}

static int source_bch_scan(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d)
{
	struct bch_fs *fs = bch_fs_of(source);
	const struct bch_subvol *subvol = NULL;
	int err = find_subvol(fs, source->info.top_subvol, &subvol, d);

	return err ?: bch_scan(fs, subvol, sink, progress, d);
}

static int source_bch_look(struct source *source, u64 subvol_id, u64 ino, struct source_sink *sink, struct diag *d)
{
	struct bch_fs *fs = bch_fs_of(source);
	const struct bch_subvol *subvol = NULL;
	int err = find_subvol(fs, subvol_id, &subvol, d);

	return err ?: bch_look(fs, subvol, ino, sink, d);
}

static int source_bch_look_up(struct source *source, u64 subvol_id, u64 dir_ino, const char *name, size_t name_len, u64 *ret_subvol,
			      u64 *ret_ino, struct diag *d)
{
	struct bch_fs *fs = bch_fs_of(source);
	const struct bch_subvol *subvol = NULL;
	struct bch_dirent dirent = { 0 };
	int err = find_subvol(fs, subvol_id, &subvol, d);

	if (!err)
		err = bch_look_up(fs, subvol, dir_ino, name, name_len, &dirent, d);
	if (!err && dirent.type == BCH_DT_SUBVOL)
		err = find_subvol(fs, dirent.subvol, &subvol, d);
	if (err)
		return err;
	*ret_subvol = subvol->id;
	*ret_ino = dirent.type == BCH_DT_SUBVOL ? subvol->top_ino : dirent.ino;
	return 0;
}

static int source_bch_read_file(struct source *source, u64 subvol_id, u64 ino, u64 file_offset, void *buf, size_t len,
				u64 *ret_bad_offset, struct diag *d)
{
	struct bch_fs *fs = bch_fs_of(source);
	const struct bch_subvol *subvol = NULL;
	int err;

	*ret_bad_offset = file_offset;
	err = find_subvol(fs, subvol_id, &subvol, d);
	return err ?: bch_file_read(fs, subvol->snapshot, ino, file_offset, buf, len, ret_bad_offset, d);
}

static int source_bch_subvol_at(struct source *source, size_t index, struct source_subvol *ret_subvol, struct diag *d)
{
	const struct bch_fs *fs = bch_fs_of(source);

	(void)d;
	array_for_each(&fs->snapshots.subvols, subvol) {
		if (subvol->flags & SUBVOL_UNLINKED || index-- > 0)
			continue;
		*ret_subvol = (struct source_subvol){
			.id = subvol->id,
			.top_ino = subvol->top_ino,
			.parent = subvol->parent,
			.is_read_only = subvol->flags & SUBVOL_READ_ONLY,
			.is_snapshot = subvol->flags & SUBVOL_SNAPSHOT,
			.otime = subvol->otime,
		};
		return 0;
	}
	return 1;
}

static int source_bch_used_ranges(struct source *source, u32 device, source_range_fn fn, void *ctx, struct diag *d)
{
	return bch_used_ranges(bch_fs_of(source), device, fn, ctx, d);
}

const struct source_ops source_bcachefs_ops = {
	.type = "bcachefs",
	.open = source_bch_open,
	.close = source_bch_close,
	.used_ranges = source_bch_used_ranges,
	.scan = source_bch_scan,
	.look = source_bch_look,
	.look_up = source_bch_look_up,
	.read_file = source_bch_read_file,
	.subvol_at = source_bch_subvol_at,
};
