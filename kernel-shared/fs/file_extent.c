/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/base/checked.h"
#include "kernel-shared/fs/file_extent.h"

typedef unsigned long long ull;

static int bad(const struct file_extent *extent, struct diag *d, const char *what)
{
	return diag_fail(d, -EUCLEAN, "extent at %llu: %s", (ull)extent->file_offset, what);
}

static int decode_inline(const u8 *data, u32 bytes, u32 sectorsize, struct file_extent *extent, struct diag *d)
{
	extent->kind = EXTENT_INLINE;
	extent->inline_data = data + FILE_EXTENT_INLINE_HEADER_BYTES;
	extent->inline_bytes = bytes - (u32)FILE_EXTENT_INLINE_HEADER_BYTES;
	if (extent->ram_bytes > COMPRESSED_EXTENT_BYTES_MAX)
		return bad(extent, d, "too long for inline data");
	/* Up to the end of its sector what is missing reads as zeroes. */
	extent->len = round_up_u64(MAX(extent->ram_bytes, (u64)1), sectorsize);
	return 0;
}

int file_extent_decode(const void *data, u32 bytes, u64 file_offset, u32 sectorsize, struct file_extent *ret_extent,
		       struct diag *d)
{
	const struct disk_file_extent_item *item = data;
	struct file_extent extent = { .file_offset = file_offset };
	int err = 0;
	u64 end;

	if (bytes < FILE_EXTENT_INLINE_HEADER_BYTES)
		return bad(&extent, d, "item too short");
	extent.generation = le64_get(item->generation);
	extent.ram_bytes = le64_get(item->ram_bytes);
	extent.compression = item->compression;
	if (item->type == FILE_EXTENT_INLINE) {
		err = decode_inline(data, bytes, sectorsize, &extent, d);
	} else {
		if (bytes < sizeof(*item))
			return bad(&extent, d, "item too short");
		extent.disk_bytenr = le64_get(item->disk_bytenr);
		extent.disk_num_bytes = le64_get(item->disk_num_bytes);
		extent.extent_offset = le64_get(item->offset);
		extent.len = le64_get(item->num_bytes);
		extent.kind = extent.disk_bytenr == 0			 ? EXTENT_HOLE
			      : item->type == FILE_EXTENT_PREALLOC ? EXTENT_PREALLOC
								   : EXTENT_REGULAR;
	}
	if (!err && (extent.len == 0 || !checked_add(extent.file_offset, extent.len, &end)))
		err = bad(&extent, d, "impossible length");
	if (!err)
		*ret_extent = extent;
	return err;
}

int file_extent_unpack(const struct cursor *cursor, u32 sectorsize, struct file_extent *ret_extent, struct diag *d)
{
	const struct key key = cursor_key(cursor);
	int err = file_extent_decode(cursor_data(cursor), cursor_data_bytes(cursor), key.offset, sectorsize, ret_extent, d);

	return err ? diag_context(d, err, "subvolume %llu inode %llu", (ull)cursor->tree.id, (ull)key.objectid) : 0;
}

/* The hole from @at to the next extent of the file, or its end; the cursor stands on the last item before it, or not. */
static int find_hole(struct cursor *cursor, u64 ino, u64 at, u64 size, struct file_extent *ret_extent, struct diag *d)
{
	const struct key next = { ino, EXTENT_DATA_KEY, at };
	int err = cursor_seek(cursor, &next, d);
	u64 end = size;

	if (err < 0)
		return err;
	if (err == 0 && cursor_is_at(cursor, ino, EXTENT_DATA_KEY))
		end = MIN(end, cursor_key(cursor).offset);
	*ret_extent = (struct file_extent){ .file_offset = at, .len = end - at, .kind = EXTENT_HOLE };
	return 0;
}

int file_extent_find(struct cursor *cursor, u64 ino, u64 at, u64 size, u32 sectorsize, struct file_extent *ret_extent,
		     struct diag *d)
{
	const struct key key = { ino, EXTENT_DATA_KEY, at };
	int err = cursor_seek_back(cursor, &key, d);

	if (err < 0)
		return err;
	if (err == 0 && cursor_is_at(cursor, ino, EXTENT_DATA_KEY)) {
		struct file_extent extent;

		err = file_extent_unpack(cursor, sectorsize, &extent, d);
		if (err)
			return err;
		if (at - extent.file_offset < extent.len) {
			*ret_extent = extent;
			return 0;
		}
	}
	return find_hole(cursor, ino, at, size, ret_extent, d);
}
