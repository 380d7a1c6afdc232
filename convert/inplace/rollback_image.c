/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The image of the old filesystem: where its file is, and where each piece of it lies.
 *
 * A conversion writes all file extents of the image in one transaction, in which it makes the inode. An extent of another
 * generation was written later. A balance moves extents and leaves that generation alone.
 */
#include <sys/stat.h>

#include "common/base/checked.h"
#include "convert/inplace/rollback.h"
#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

/* What a conversion moves out of the way: below the first chunk, and around each superblock. */
#define FIRST_BYTES MIB
#define AROUND_SUPER_BYTES (64 * KIB)

/* --- Finding the file --------------------------------------------------------------------------------------------------- */

static int gone(struct diag *d, const char *what)
{
	return diag_fail(d, -ENOENT, "the saved filesystem is gone: %s", what);
}

static int find_subvol(struct btrkit_fs *fs, struct fs_root *ret_root, struct diag *d)
{
	struct disk_root_item item;
	int err = fs_root_item(fs, SAVED_ROOT_ID, &item, d);

	if (err == -ENOENT)
		return gone(d, "there is no subvolume with the id 256, in which a conversion keeps it");
	if (!err && (le32_get(item.refs) == 0 || (le64_get(item.flags) & ROOT_SUBVOL_DEAD)))
		return gone(d, "the subvolume with the id 256 is being deleted");
	return err ? err : fs_subvol_root(fs, SAVED_ROOT_ID, ret_root, d);
}

static int find_file(struct btrkit_fs *fs, const struct fs_root *root, u64 *ret_ino, struct disk_inode_item *ret_inode,
		     struct diag *d)
{
	const struct btrkit_inode top = { .subvol = SAVED_ROOT_ID, .ino = root->top_dir };
	struct btrkit_inode image;
	int err = dir_find(fs, &top, SAVED_FILE_NAME, strlen(SAVED_FILE_NAME), &image, d);

	if (!err && image.subvol == SAVED_ROOT_ID)
		err = inode_read(&root->tree, image.ino, ret_inode, d);
	if (err && err != -ENOENT)
		return err;
	if (err || image.subvol != SAVED_ROOT_ID || !S_ISREG(le32_get(ret_inode->mode)))
		return gone(d, "the subvolume with the id 256 has no file \"" SAVED_FILE_NAME "\" at its top");
	*ret_ino = image.ino;
	return 0;
}

int saved_image_find(struct btrkit_fs *fs, struct fs_root *ret_root, u64 *ret_ino, struct disk_inode_item *ret_inode,
		     struct diag *d)
{
	int err = find_subvol(fs, ret_root, d);

	return err ? err : find_file(fs, ret_root, ret_ino, ret_inode, d);
}

/* --- Its pieces ----------------------------------------------------------------------------------------------------- */

/* Is @offset in a range that a conversion moves? *ret_end: up to where that does not change. */
static bool is_reserved(const struct rollback *rollback, u64 offset, u64 *ret_end)
{
	const u64 tail = round_down_u64(rollback->image_bytes, AROUND_SUPER_BYTES);

	*ret_end = UINT64_MAX;
	if (offset < FIRST_BYTES) {
		*ret_end = FIRST_BYTES;
		return true;
	}
	if (offset >= tail)
		return true;
	*ret_end = tail;
	for (unsigned mirror = 1; mirror < SUPER_MIRROR_MAX; mirror++) {
		u64 from = super_mirror_physical(mirror), to = from + AROUND_SUPER_BYTES;

		if (offset >= from && offset < to) {
			*ret_end = MIN(*ret_end, to);
			return true;
		}
		if (offset < from)
			*ret_end = MIN(*ret_end, from);
	}
	return false;
}

static int add_piece(struct rollback *rollback, u64 offset, u64 len, u64 logical, enum piece_place place, struct diag *d)
{
	const struct image_piece piece = { offset, len, logical, place };
	struct image_piece *last = rollback->pieces.len ? &rollback->pieces.items[rollback->pieces.len - 1] : NULL;
	u64 bytes = MIN(len, rollback->image_bytes - offset);

	rollback->plan.used_bytes += bytes;
	if (place == PIECE_RESERVED)
		rollback->plan.restored_bytes += bytes;
	else if (place == PIECE_RELOCATED)
		rollback->plan.relocated_bytes += bytes;
	if (last && last->place == place && last->offset + last->len == offset && last->logical + last->len == logical) {
		last->len += len;
		return 0;
	}
	return array_push(&rollback->pieces, piece) < 0 ? diag_no_memory(d, "the pieces of the image") : 0;
}

/* A superblock lies there, and no data can. */
static int check_no_super(u64 offset, u64 len, struct diag *d)
{
	for (unsigned mirror = 0; mirror < SUPER_MIRROR_MAX; mirror++)
		if (ranges_touch(offset, len, super_mirror_physical(mirror), SUPER_INFO_SIZE))
			return diag_fail(d, -EUCLEAN, "the image has the %llu bytes at %llu where a superblock is", (ull)len,
					 (ull)offset);
	return 0;
}

/* [offset, +len) of the image, in one chunk and at @physical of the device unless that is UINT64_MAX. */
static int add_part(struct rollback *rollback, u64 offset, u64 len, u64 logical, u64 physical, struct diag *d)
{
	u64 done = 0;
	int err = 0;

	if (physical == offset) {
		err = check_no_super(offset, len, d);
		return err ? err : add_piece(rollback, offset, len, logical, PIECE_HOME, d);
	}
	while (done < len && !err) {
		u64 end, part;
		bool reserved = is_reserved(rollback, offset + done, &end);

		part = MIN(len - done, end - (offset + done));
		err = add_piece(rollback, offset + done, part, logical + done, reserved ? PIECE_RESERVED : PIECE_RELOCATED, d);
		done += part;
	}
	return err;
}

static int add_mapped(struct rollback *rollback, u64 offset, u64 len, u64 logical, struct diag *d)
{
	const struct chunk_map *chunks = rollback->fs->volume->chunks;
	u64 done = 0;

	while (done < len) {
		const struct chunk *chunk = chunk_map_find(chunks, logical + done);
		struct physical_part part;
		u64 here, physical = UINT64_MAX;
		int err;

		if (!chunk || !(chunk->type & BLOCK_GROUP_DATA))
			return diag_fail(d, -EUCLEAN, "the image has its bytes at %llu at logical %llu, where no data chunk is",
					 (ull)(offset + done), (ull)(logical + done));
		here = MIN(len - done, chunk->length - (logical + done - chunk->logical));
		if (!(chunk->type & BLOCK_GROUP_PROFILE_MASK)) {
			err = volume_map(chunks, logical + done, here, 1, &part);
			if (err)
				return diag_fail(d, err, "logical %llu cannot be mapped", (ull)(logical + done));
			here = MIN(here, part.len);
			if (part.devid == rollback->devid)
				physical = part.physical;
		}
		err = add_part(rollback, offset + done, here, logical + done, physical, d);
		if (err)
			return err;
		done += here;
	}
	return 0;
}

static int changed(struct diag *d, u64 offset, const char *what)
{
	return diag_fail(d, -EUCLEAN, "the image was changed after the conversion: what it has at %llu %s", (ull)offset, what);
}

static int judge_extent(const struct rollback *rollback, const struct file_extent *extent, u64 next_offset, u64 generation,
			struct diag *d)
{
	u32 sectorsize = rollback->fs->volume->sectorsize;
	u64 limit = round_up_u64(rollback->image_bytes, sectorsize), from;

	if (extent->file_offset < next_offset)
		return diag_fail(d, -EUCLEAN, "extents of the image overlap at %llu", (ull)extent->file_offset);
	if (extent->kind == EXTENT_HOLE)
		return 0;
	if (extent->generation != generation)
		return changed(d, extent->file_offset, "was written by another transaction");
	if (extent->kind == EXTENT_INLINE || extent->kind == EXTENT_PREALLOC)
		return changed(d, extent->file_offset, extent->kind == EXTENT_INLINE ? "is inline" : "is preallocated");
	if (extent->compression)
		return changed(d, extent->file_offset, "is compressed");
	if (!range_fits(extent->file_offset, extent->len, limit) || extent->len % sectorsize || extent->file_offset % sectorsize)
		return diag_fail(d, -EUCLEAN, "extent of the image at %llu: %llu bytes, the image has %llu",
				 (ull)extent->file_offset, (ull)extent->len, (ull)rollback->image_bytes);
	if (!range_fits(extent->extent_offset, extent->len, extent->disk_num_bytes) ||
	    !checked_add(extent->disk_bytenr, extent->disk_num_bytes, &from))
		return diag_fail(d, -EUCLEAN, "extent of the image at %llu reaches beyond its data", (ull)extent->file_offset);
	return 0;
}

static int find_pieces(struct rollback *rollback, const struct tree *tree, u64 ino, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key first = { ino, EXTENT_DATA_KEY, 0 };
	u64 next_offset = 0;
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		struct file_extent extent;

		if (!cursor_is_at(&cursor, ino, EXTENT_DATA_KEY))
			return 0;
		err = file_extent_unpack(&cursor, rollback->fs->volume->sectorsize, &extent, d);
		if (!err)
			err = judge_extent(rollback, &extent, next_offset, rollback->plan.generation_converted, d);
		if (!err && extent.kind == EXTENT_REGULAR)
			err = add_mapped(rollback, extent.file_offset, extent.len, extent.disk_bytenr + extent.extent_offset, d);
		if (err)
			return err;
		next_offset = extent.file_offset + extent.len;
	}
	return err < 0 ? err : 0;
}

static int check_size(const struct rollback *rollback, struct diag *d)
{
	if (rollback->image_bytes > rollback->dev->size_bytes)
		return diag_fail(d, -ENOSPC, "%s has %llu bytes, the saved filesystem has %llu: the device was made smaller",
				 rollback->dev->name, (ull)rollback->dev->size_bytes, (ull)rollback->image_bytes);
	if (rollback->image_bytes < SAVED_HEAD_BYTES)
		return diag_fail(d, -EUCLEAN, "the image was changed after the conversion: it has %llu bytes",
				 (ull)rollback->image_bytes);
	return 0;
}

int rollback_find_image(struct rollback *rollback, struct diag *d)
{
	struct disk_inode_item inode;
	struct fs_root root;
	u64 ino = 0;
	int err = saved_image_find(rollback->fs, &root, &ino, &inode, d);

	if (err)
		return err;
	rollback->image_bytes = rollback->plan.image_bytes = le64_get(inode.size);
	rollback->has_csums = !(le64_get(inode.flags) & INODE_NODATASUM);
	rollback->plan.generation_converted = le64_get(inode.generation);
	err = check_size(rollback, d);
	return err ? err : find_pieces(rollback, &root.tree, ino, d);
}

/* --- Reading it -------------------------------------------------------------------------------------------------------- */

int rollback_read_image(const struct rollback *rollback, u64 offset, void *buf, size_t len, struct diag *d)
{
	size_t at = array_lower_bound(&rollback->pieces, it, it->offset + it->len <= offset);

	while (len) {
		const struct image_piece *piece = at < rollback->pieces.len ? &rollback->pieces.items[at] : NULL;
		size_t part = len;
		int err = 0;

		if (!piece || offset < piece->offset) {
			part = piece ? (size_t)MIN((u64)len, piece->offset - offset) : len;
			memset(buf, 0, part);
		} else {
			part = (size_t)MIN((u64)len, piece->offset + piece->len - offset);
			err = volume_read(rollback->fs->volume, piece->logical + (offset - piece->offset), buf, part, 0, d);
			at++;
		}
		if (err)
			return err;
		buf = (u8 *)buf + part;
		offset += part;
		len -= part;
	}
	return 0;
}
