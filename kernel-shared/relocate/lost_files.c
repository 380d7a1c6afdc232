/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files that have data which no device that is there holds: by a walk over the extents of all files. */
#include "kernel-shared/relocate/lost_files.h"

#include <limits.h>

#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/relocate/lost_bytes.h"

struct search {
	struct btrkit_fs *fs;
	btrkit_lost_file_fn fn;
	void *arg;
	const struct tree *tree; /* of the subvolume */
	struct btrkit_lost_file file; /* the one that is being looked at; lost_bytes 0: nothing yet */
};

/* --- Bytes ---------------------------------------- */

/* Bytes of [logical, logical + len) that no copy has, and the first of them. */
static u64 lost_bytes(const struct volume *volume, u64 logical, u64 len, u64 *ret_first)
{
	u64 lost = 0, piece;

	for (; len; logical += piece, len -= piece) {
		const struct chunk *chunk = chunk_map_find(volume->chunks, logical);
		u64 first = 0, here;

		if (!chunk)
			break; /* of this the check tells */
		piece = MIN(chunk->logical + chunk->length - logical, len);
		here = chunk_lost_bytes(volume, chunk, logical, piece, &first);
		if (here && !lost)
			*ret_first = first;
		lost += here;
	}
	return lost;
}

/* --- Files ---------------------------------------- */

static int tell(struct search *search)
{
	const struct btrkit_inode inode = { search->file.subvol, search->file.ino };
	struct disk_inode_item item;
	char path[PATH_MAX];

	if (!search->file.lost_bytes)
		return 0;
	if (inode_path(search->fs, &inode, path, sizeof(path), NULL) == 0)
		search->file.path = path;
	search->file.has_no_csums =
		inode_read(search->tree, inode.ino, &item, NULL) == 0 && (le64_get(item.flags) & INODE_NODATASUM);
	return search->fn(search->arg, &search->file);
}

static int begin_file(struct search *search, u64 ino)
{
	int result = tell(search);

	search->file = (struct btrkit_lost_file){ .subvol = search->tree->id, .ino = ino };
	return result;
}

static void look_at_extent(struct search *search, const struct file_extent *extent)
{
	u64 logical = extent->disk_bytenr, len = extent->disk_num_bytes, lost, first = 0, offset = extent->file_offset;

	if (extent->kind != EXTENT_REGULAR)
		return;
	if (!extent->compression) {
		logical += extent->extent_offset;
		len = extent->len;
	}
	lost = lost_bytes(search->fs->volume, logical, len, &first);
	if (!lost)
		return;
	/* Of a compressed extent all is lost. */
	if (extent->compression)
		lost = extent->len;
	else
		offset += first - logical;
	if (!search->file.lost_bytes)
		search->file.first_offset = offset;
	search->file.lost_bytes += lost;
}

static int look_at_subvol(void *ctx, const struct tree *tree, u64 item_offset, struct diag *d)
{
	struct search *search = ctx;
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	int err, result = 0;

	(void)item_offset;
	if (!tree_id_is_subvol(tree->id))
		return 0;
	cursor = cursor_init(tree);
	cursor.do_skip_damage = true;
	search->tree = tree;
	search->file = (struct btrkit_lost_file){ 0 };
	for (err = cursor_first(&cursor, d); err == 0 && !result; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);
		struct file_extent extent;

		if (key.type != EXTENT_DATA_KEY)
			continue;
		if (key.objectid != search->file.ino)
			result = begin_file(search, key.objectid);
		if (!result && file_extent_unpack(&cursor, search->fs->volume->sectorsize, &extent, NULL) == 0)
			look_at_extent(search, &extent);
	}
	if (err < 0)
		return err;
	return result ? result : begin_file(search, 0);
}

static bool is_any_torn(const struct volume *volume)
{
	for (size_t i = 0; i < chunk_map_count(volume->chunks); i++)
		if (!chunk_is_whole(volume, chunk_map_at(volume->chunks, i)))
			return true;
	return false;
}

int fs_for_each_lost_file(struct btrkit_fs *fs, btrkit_lost_file_fn fn, void *arg, struct diag *d)
{
	struct search search = { .fs = fs, .fn = fn, .arg = arg };

	return is_any_torn(fs->volume) ? fs_for_each_root_item(&fs->root_tree, 0, look_at_subvol, &search, d) : 0;
}

int btrkit_device_lost_files(struct btrkit_fs *fs, btrkit_lost_file_fn fn, void *arg, struct btrkit_error *error)
{
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = fs_check_is_btrfs(fs, &d);
	if (!err)
		err = fs_for_each_lost_file(fs, fn, arg, &d);
	/* What the user's function returned is the user's to explain. */
	return err < 0 && d.err ? fs_error(error, &d, err) : err;
}
