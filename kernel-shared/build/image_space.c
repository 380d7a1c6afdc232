/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The trees that say where everything is: chunks, device extents, extents, block groups, free space. */
#include "kernel-shared/build/content.h"
#include "kernel-shared/build/image.h"
#include "kernel-shared/space/free_space_tree.h"

/* --- Chunks and devices ------------------------------------------------------------------------------- */

void image_dev_item(const struct image *image, size_t device, struct disk_dev_item *ret_item)
{
	const struct layout_device *from = &image->layout.devices[device];

	memset(ret_item, 0, sizeof(*ret_item));
	le64_put(&ret_item->devid, from->devid);
	/* While the trees are being sized, sizes of devices are not known yet. */
	le64_put(&ret_item->total_bytes, image->device_bytes ? image->device_bytes[device] : 0);
	le64_put(&ret_item->bytes_used, from->allocated_bytes);
	le32_put(&ret_item->io_align, image->sectorsize);
	le32_put(&ret_item->io_width, image->sectorsize);
	le32_put(&ret_item->sector_size, image->sectorsize);
	memcpy(ret_item->uuid, from->uuid, UUID_SIZE);
	memcpy(ret_item->fsid, image->fsid, UUID_SIZE);
}

int emit_chunk_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < image->nr_devices && !err; i++) {
		const struct key key = { DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, image->layout.devices[i].devid };
		struct disk_dev_item item;

		image_dev_item(image, i, &item);
		err = item_stream_add(stream, &key, &item, sizeof(item), d);
	}
	for (size_t i = 0; i < chunk_map_count(image->layout.chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(image->layout.chunks, i);
		const struct key key = { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, chunk->logical };
		u32 bytes = (u32)(sizeof(struct disk_chunk) + chunk->num_stripes * sizeof(struct disk_stripe));
		void *data;

		if (bytes > leaf_item_max_bytes(image->id.nodesize))
			return diag_fail(d, -EINVAL, "%u stripes are too many for a chunk item in a block of %u bytes",
					 chunk->num_stripes, image->id.nodesize);
		err = item_stream_reserve(stream, &key, bytes, &data, d);
		if (!err)
			chunk_item_pack(chunk, image->sectorsize, data, bytes);
	}
	return err;
}

struct dev_extent {
	u64 devid, physical, len, logical;
};

static int compare_dev_extents(const void *a, const void *b)
{
	const struct dev_extent *x = a, *y = b;

	if (x->devid != y->devid)
		return x->devid < y->devid ? -1 : 1;
	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

int emit_dev_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	ARRAY(struct dev_extent) extents = { 0 };
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(image->layout.chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(image->layout.chunks, i);

		for (u16 s = 0; s < chunk->num_stripes && !err; s++)
			err = array_push(&extents, (struct dev_extent){ chunk->stripe[s].devid, chunk->stripe[s].physical,
									chunk->stripe_bytes, chunk->logical });
	}
	if (err)
		err = diag_no_memory(d, "device extents");
	else
		array_sort(&extents, compare_dev_extents);
	for (size_t i = 0; i < extents.len && !err; i++) {
		const struct dev_extent *from = &extents.items[i];
		const struct key key = { from->devid, DEV_EXTENT_KEY, from->physical };
		struct disk_dev_extent item = { 0 };

		le64_put(&item.chunk_tree, CHUNK_TREE_OBJECTID);
		le64_put(&item.chunk_objectid, FIRST_CHUNK_TREE_OBJECTID);
		le64_put(&item.chunk_offset, from->logical);
		le64_put(&item.length, from->len);
		memcpy(item.chunk_tree_uuid, image->id.chunk_tree_uuid, UUID_SIZE);
		err = item_stream_add(stream, &key, &item, sizeof(item), d);
	}
	array_done(&extents);
	return err;
}

/* --- Block groups ------------------------------------------------------------------------------------- */

static int add_block_group(const struct image *image, size_t index, struct item_stream *stream, struct diag *d)
{
	const struct chunk *chunk = chunk_map_at(image->layout.chunks, index);
	const struct key key = { chunk->logical, BLOCK_GROUP_ITEM_KEY, chunk->length };
	struct disk_block_group_item item;

	le64_put(&item.used, image->used_bytes ? image->used_bytes[index] : 0);
	le64_put(&item.chunk_objectid, FIRST_CHUNK_TREE_OBJECTID);
	le64_put(&item.flags, chunk->type);
	return item_stream_add(stream, &key, &item, sizeof(item), d);
}

int emit_block_group_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(image->layout.chunks) && !err; i++)
		err = add_block_group(image, i, stream, d);
	return err;
}

/* --- Extents ------------------------------------------------------------------------------------------ */

static int add_data_extent(const struct image *image, const struct image_extent *extent, struct item_stream *stream,
			   struct diag *d)
{
	const struct key key = { extent->logical, EXTENT_ITEM_KEY, extent->len };
	u32 owner_bytes = image->quota == IMAGE_QUOTA_SIMPLE ? 1 + sizeof(struct disk_extent_owner_ref) : 0;
	struct image_data_extent from;
	struct disk_extent_item *item;
	u32 size = sizeof(*item) + owner_bytes;
	void *data;
	u8 *at;
	int err;

	image_data_at(image, extent->data_index, &from);
	size += from.nr_refs * (u32)(1 + sizeof(struct disk_extent_data_ref));
	err = item_stream_reserve(stream, &key, size, &data, d);
	if (err || !stream->builder)
		return err;
	item = data;
	le64_put(&item->refs, from.nr_refs);
	le64_put(&item->generation, image->id.generation);
	le64_put(&item->flags, EXTENT_FLAG_DATA);
	at = (u8 *)(item + 1);
	if (owner_bytes) {
		struct disk_extent_owner_ref owner;

		*at++ = EXTENT_OWNER_REF_KEY;
		le64_put(&owner.root, from.refs[0].root_id);
		memcpy(at, &owner, sizeof(owner));
		at += sizeof(owner);
	}
	for (unsigned r = 0; r < from.nr_refs; r++) {
		struct disk_extent_data_ref ref;

		*at++ = EXTENT_DATA_REF_KEY;
		le64_put(&ref.root, from.refs[r].root_id);
		le64_put(&ref.objectid, from.refs[r].ino);
		le64_put(&ref.offset, from.refs[r].file_offset);
		le32_put(&ref.count, 1);
		memcpy(at, &ref, sizeof(ref));
		at += sizeof(ref);
	}
	return 0;
}

/* The first key of a block, which extent items of filesystems without skinny metadata repeat. */
static struct key first_key_of(const struct image *image, const struct image_extent *extent)
{
	u64 leaf = extent->block;

	if (!extent->tree->leaf_keys)
		return KEY_MIN;
	for (u8 level = 0; level < extent->level; level++)
		leaf *= node_max_ptrs(image->id.nodesize);
	return extent->tree->leaf_keys[leaf];
}

static int add_tree_block(const struct image *image, const struct image_extent *extent, struct item_stream *stream,
			  struct diag *d)
{
	bool is_skinny = image->incompat & INCOMPAT_SKINNY_METADATA;
	const struct key key = {
		.objectid = extent->logical,
		.type = is_skinny ? METADATA_ITEM_KEY : EXTENT_ITEM_KEY,
		.offset = is_skinny ? extent->level : extent->len,
	};
	u32 info_bytes = is_skinny ? 0 : sizeof(struct disk_tree_block_info);
	u32 size = sizeof(struct disk_extent_item) + info_bytes + sizeof(struct disk_extent_inline_ref);
	struct disk_extent_inline_ref ref = { .type = TREE_BLOCK_REF_KEY };
	struct disk_extent_item *item;
	void *data;
	u8 *at;
	int err = item_stream_reserve(stream, &key, size, &data, d);

	if (err || !stream->builder)
		return err;
	item = data;
	le64_put(&item->refs, 1);
	le64_put(&item->generation, image->id.generation);
	le64_put(&item->flags, EXTENT_FLAG_TREE_BLOCK);
	at = (u8 *)(item + 1);
	if (info_bytes) {
		struct disk_tree_block_info info = { .level = extent->level };
		struct key first_key = first_key_of(image, extent);

		key_pack(&info.key, &first_key);
		memcpy(at, &info, sizeof(info));
		at += sizeof(info);
	}
	le64_put(&ref.offset, extent->tree->owner);
	memcpy(at, &ref, sizeof(ref));
	return 0;
}

int emit_extent_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	bool has_groups = !(image->compat_ro & COMPAT_RO_BLOCK_GROUP_TREE);
	size_t group = 0, nr_groups = has_groups ? chunk_map_count(image->layout.chunks) : 0;
	struct image_extents at = IMAGE_EXTENTS_INIT(image);
	struct image_extent extent;
	int err = 0;

	while (!err && image_extents_next(&at, &extent)) {
		/* A block group's item sorts after that of the extent that begins where it begins. */
		while (group < nr_groups && !err && chunk_map_at(image->layout.chunks, group)->logical < extent.logical)
			err = add_block_group(image, group++, stream, d);
		if (!err)
			err = extent.tree ? add_tree_block(image, &extent, stream, d)
					  : add_data_extent(image, &extent, stream, d);
	}
	while (group < nr_groups && !err)
		err = add_block_group(image, group++, stream, d);
	return err;
}

/* --- Free space ------------------------------------------------------------------------------------------ */

struct range_array {
	struct logical_range *items;
	size_t len, cap;
};

static int add_free_extents(const struct range_array *free_ranges, struct item_stream *stream, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < free_ranges->len && !err; i++) {
		const struct logical_range *range = &free_ranges->items[i];
		const struct key key = { range->logical, FREE_SPACE_EXTENT_KEY, range->len };

		err = item_stream_add(stream, &key, NULL, 0, d);
	}
	return err;
}

static int add_free_bitmaps(const struct image *image, const struct chunk *chunk, const struct range_array *free_ranges,
			    struct item_stream *stream, struct diag *d)
{
	u64 bitmap_range = (u64)image->sectorsize * FREE_SPACE_BITMAP_SECTORS;
	size_t r = 0;

	for (u64 start = chunk->logical; start < chunk->logical + chunk->length; start += bitmap_range) {
		u64 end = MIN(start + bitmap_range, chunk->logical + chunk->length);
		const struct key key = { start, FREE_SPACE_BITMAP_KEY, end - start };
		u32 bytes = (u32)(((end - start) / image->sectorsize + 7) / 8);
		void *data;
		int err = item_stream_reserve(stream, &key, bytes, &data, d);

		if (err)
			return err;
		for (; stream->builder && r < free_ranges->len && free_ranges->items[r].logical < end; r++) {
			const struct logical_range *range = &free_ranges->items[r];
			u64 from = MAX(range->logical, start), to = MIN(range->logical + range->len, end);

			for (u64 bit = (from - start) / image->sectorsize; bit < (to - start) / image->sectorsize; bit++)
				((u8 *)data)[bit / 8] |= (u8)(1U << bit % 8);
			if (range->logical + range->len > end)
				break;
		}
	}
	return 0;
}

static int add_free_space(const struct image *image, const struct chunk *chunk, const struct range_array *free_ranges,
			  struct item_stream *stream, struct diag *d)
{
	const struct key key = { chunk->logical, FREE_SPACE_INFO_KEY, chunk->length };
	bool is_bitmaps = free_ranges->len > free_space_runs_max(chunk->length, image->sectorsize);
	struct disk_free_space_info info;
	int err;

	le32_put(&info.extent_count, (u32)free_ranges->len);
	le32_put(&info.flags, is_bitmaps ? FREE_SPACE_USING_BITMAPS : 0);
	err = item_stream_add(stream, &key, &info, sizeof(info), d);
	if (err)
		return err;
	return is_bitmaps ? add_free_bitmaps(image, chunk, free_ranges, stream, d)
			  : add_free_extents(free_ranges, stream, d);
}

static int note_free(struct range_array *free_ranges, u64 from, u64 to, struct diag *d)
{
	if (from >= to || array_push(free_ranges, (struct logical_range){ from, to - from }) == 0)
		return 0;
	return diag_no_memory(d, "free space");
}

/* Superblock mirrors count as free here: readers take them out themselves. Seen on filesystems made by mkfs.btrfs. */
int emit_free_space_tree(const struct image *image, struct item_stream *stream, struct diag *d)
{
	struct image_extents at = IMAGE_EXTENTS_INIT(image);
	struct range_array free_ranges = { 0 };
	struct image_extent extent;
	bool has_extent = image_extents_next(&at, &extent);
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(image->layout.chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(image->layout.chunks, i);
		u64 end = chunk->logical + chunk->length, from = chunk->logical;

		free_ranges.len = 0;
		while (has_extent && extent.logical < end && !err) {
			err = note_free(&free_ranges, from, extent.logical, d);
			from = extent.logical + extent.len;
			has_extent = image_extents_next(&at, &extent);
		}
		if (!err)
			err = note_free(&free_ranges, from, end, d);
		if (!err)
			err = add_free_space(image, chunk, &free_ranges, stream, d);
	}
	array_done(&free_ranges);
	return err;
}
