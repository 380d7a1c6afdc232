/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree of the saved image: a directory with one file. Its inode numbers, and that it lies in the first subvolume, are
 * those of btrfs-convert, so that either tool finds it.
 */
#include <sys/stat.h>

#include "kernel-shared/build/image.h"
#include "kernel-shared/build/placed_data.h"
#include "kernel-shared/format/name_hash.h"

#define NAME_BYTES ((u32)sizeof(SAVED_FILE_NAME) - 1)
#define FIRST_INDEX 2

static void pack_now(const struct image *image, struct disk_timespec *time)
{
	le64_put(&time->sec, (u64)image->now_sec);
	le32_put(&time->nsec, image->now_nsec);
}

static int add_inode(const struct image *image, struct item_stream *stream, u64 ino, u32 mode, u64 size, u64 nbytes,
		     u64 flags, struct diag *d)
{
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	struct disk_inode_item item = { 0 };

	le64_put(&item.generation, image->id.generation);
	le64_put(&item.transid, image->id.generation);
	le64_put(&item.size, size);
	le64_put(&item.nbytes, nbytes);
	le32_put(&item.nlink, 1);
	le32_put(&item.mode, mode);
	le64_put(&item.flags, flags);
	pack_now(image, &item.atime);
	pack_now(image, &item.ctime);
	pack_now(image, &item.mtime);
	pack_now(image, &item.otime);
	return item_stream_add(stream, &key, &item, sizeof(item), d);
}

static int add_entry(const struct image *image, struct item_stream *stream, u8 type, u64 offset, struct diag *d)
{
	const struct key key = { FIRST_FREE_OBJECTID, type, offset }, location = { SAVED_INO, INODE_ITEM_KEY, 0 };
	struct disk_dir_item *item;
	void *data;
	int err = item_stream_reserve(stream, &key, (u32)sizeof(*item) + NAME_BYTES, &data, d);

	if (err)
		return err;
	item = data;
	key_pack(&item->location, &location);
	le64_put(&item->transid, image->id.generation);
	le16_put(&item->data_len, 0);
	le16_put(&item->name_len, NAME_BYTES);
	item->type = FT_REG_FILE;
	memcpy(item->name, SAVED_FILE_NAME, NAME_BYTES);
	return 0;
}

static int add_directory(const struct image *image, struct item_stream *stream, struct diag *d)
{
	int err = add_inode(image, stream, FIRST_FREE_OBJECTID, S_IFDIR | 0755, 2 * NAME_BYTES, 0, 0, d);

	if (!err)
		err = emit_inode_ref(stream, FIRST_FREE_OBJECTID, FIRST_FREE_OBJECTID, 0, "..", d);
	if (!err)
		err = add_entry(image, stream, DIR_ITEM_KEY, name_hash(SAVED_FILE_NAME, NAME_BYTES), d);
	return err ? err : add_entry(image, stream, DIR_INDEX_KEY, FIRST_INDEX, d);
}

/* --- The file ---------------------------------------- */

/* An item for [from, from + bytes) of the image; @logical 0: a hole. */
static int add_extent(const struct image *image, struct item_stream *stream, u64 from, u64 bytes, u64 logical,
		      struct diag *d)
{
	const struct key key = { SAVED_INO, EXTENT_DATA_KEY, from };
	struct disk_file_extent_item item = { 0 };

	le64_put(&item.generation, image->id.generation);
	item.type = FILE_EXTENT_REG;
	le64_put(&item.num_bytes, bytes);
	le64_put(&item.ram_bytes, bytes);
	if (logical) {
		le64_put(&item.disk_bytenr, logical);
		le64_put(&item.disk_num_bytes, bytes);
	}
	return item_stream_add(stream, &key, &item, sizeof(item), d);
}

static int by_image_offset(const void *a, const void *b)
{
	const struct placed_extent *const *x = a, *const *y = b;

	return (*x)->image_offset < (*y)->image_offset ? -1 : (*x)->image_offset > (*y)->image_offset;
}

/* The few extents that do not lie where the image has them, in its order. */
struct displaced {
	ARRAY(const struct placed_extent *) extents;
};

static int find_displaced(const struct placed_data *placed, struct displaced *displaced, struct diag *d)
{
	array_for_each(&placed->extents, extent)
		if (extent->image_offset != extent->logical && extent->image_offset != PLACED_NOT_IN_IMAGE &&
		    array_push(&displaced->extents, (const struct placed_extent *)extent) < 0)
			return diag_no_memory(d, "the saved image");
	array_sort(&displaced->extents, by_image_offset);
	return 0;
}

static const struct placed_extent *next_in_image(const struct placed_data *placed, const struct displaced *displaced,
						 size_t *at, size_t *at_displaced)
{
	const struct placed_extent *here = NULL, *there = NULL;

	while (*at < placed->extents.len && placed->extents.items[*at].image_offset != placed->extents.items[*at].logical)
		++*at;
	if (*at < placed->extents.len)
		here = &placed->extents.items[*at];
	if (*at_displaced < displaced->extents.len)
		there = displaced->extents.items[*at_displaced];
	if (there && (!here || there->image_offset < here->image_offset)) {
		++*at_displaced;
		return there;
	}
	++*at;
	return here;
}

static int add_extents(const struct image *image, struct item_stream *stream, struct diag *d)
{
	const struct placed_data *placed = image->placed;
	bool has_holes = !(image->incompat & INCOMPAT_NO_HOLES);
	struct displaced displaced = { 0 };
	const struct placed_extent *extent;
	size_t at = 0, at_displaced = 0;
	u64 end = 0;
	int err = find_displaced(placed, &displaced, d);

	while (!err && (extent = next_in_image(placed, &displaced, &at, &at_displaced))) {
		if (has_holes && extent->image_offset > end)
			err = add_extent(image, stream, end, extent->image_offset - end, 0, d);
		if (!err)
			err = add_extent(image, stream, extent->image_offset, extent->bytes, extent->logical, d);
		end = extent->image_offset + extent->bytes;
	}
	if (!err && has_holes && placed->image_bytes > end)
		err = add_extent(image, stream, end, placed->image_bytes - end, 0, d);
	array_done(&displaced.extents);
	return err;
}

int emit_saved_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	const struct placed_data *placed = image->placed;
	u64 nbytes = 0;
	int err = add_directory(image, stream, d);

	array_for_each(&placed->extents, extent)
		if (extent->image_offset != PLACED_NOT_IN_IMAGE)
			nbytes += extent->bytes;
	if (!err)
		err = add_inode(image, stream, SAVED_INO, S_IFREG | 0400, placed->image_bytes, nbytes,
				INODE_READONLY | (placed->has_csums ? 0 : INODE_NODATASUM), d);
	if (!err)
		err = emit_inode_ref(stream, SAVED_INO, FIRST_FREE_OBJECTID, FIRST_INDEX, SAVED_FILE_NAME, d);
	return err ? err : add_extents(image, stream, d);
}
