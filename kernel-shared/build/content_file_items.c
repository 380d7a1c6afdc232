/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EXTENT_DATA items: inline data and link targets, extents, and the holes between them where they must be explicit. */
#include <sys/stat.h>

#include "kernel-shared/build/content_items.h"
#include "kernel-shared/format/leaf.h"

u32 content_extents_end(const struct btrkit_content *content, u32 sequence_index)
{
	/* Extents stand in the order of sequence[]: a file's end where the next file's begin. */
	for (u32 i = sequence_index + 1; i < content->nr_sequence; i++) {
		const struct content_node *next = &content->nodes.items[content->sequence[i]];

		if (S_ISREG(next->mode))
			return next->first_extent;
	}
	return (u32)content->extents.len;
}

static void pack_inline_header(const struct btrkit_content *content, struct disk_file_extent_item *item,
			       u64 ram_bytes, u8 compression)
{
	le64_put(&item->generation, content->options.id.generation);
	le64_put(&item->ram_bytes, ram_bytes);
	item->compression = compression;
	item->encryption = 0;
	le16_put(&item->other_encoding, 0);
	item->type = FILE_EXTENT_INLINE;
}

static int inline_item(struct item_maker *maker, u32 index, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	const struct content_node *node = &content->nodes.items[index];
	bool is_compressed = node->data_kind == CONTENT_DATA_SPOOLED_INLINE;
	u32 bytes = (u32)(is_compressed ? node->data & CONTENT_INLINE_MAX : node->size);
	u32 nodesize = content->options.id.nodesize;
	void *data;
	u8 *to;
	int err;

	/* Files are inline only where they fit; a link target has no other place. */
	if (FILE_EXTENT_INLINE_HEADER_BYTES + bytes > leaf_item_max_bytes(nodesize)) {
		char path[512];

		btrkit_content_path(content, index, path, sizeof(path));
		return diag_fail(d, -ENAMETOOLONG, "/%s: link target of %u bytes does not fit into a block of %u", path, bytes,
				 nodesize);
	}
	err = item_add(maker, content_ino(node), EXTENT_DATA_KEY, 0, (u32)FILE_EXTENT_INLINE_HEADER_BYTES + bytes, &data, d);
	if (err || !data)
		return err;
	to = (u8 *)data + FILE_EXTENT_INLINE_HEADER_BYTES;
	pack_inline_header(content, data, node->size, is_compressed ? content->options.codec->type : COMPRESS_NONE);
	if (is_compressed)
		err = content_read_spool(content, node->data >> SPOOLED_INLINE_LEN_BITS, to, bytes, d);
	else if (S_ISLNK(node->mode))
		memcpy(to, content_bytes(content, node->data), bytes);
	else
		err = content_read(maker->reader, index, 0, to, bytes, d);
	return err;
}

/* An item for a piece of a file; @extent NULL: a hole. */
static int extent_item(struct item_maker *maker, u64 ino, u64 file_offset, u64 num_bytes,
		       const struct content_extent *extent, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	struct disk_file_extent_item *item;
	void *data;
	int err = item_add(maker, ino, EXTENT_DATA_KEY, file_offset, sizeof(*item), &data, d);

	if (err || !data)
		return err;
	item = data;
	memset(item, 0, sizeof(*item));
	le64_put(&item->generation, content->options.id.generation);
	item->type = FILE_EXTENT_REG;
	le64_put(&item->num_bytes, num_bytes);
	le64_put(&item->ram_bytes, num_bytes);
	if (extent) {
		le64_put(&item->disk_bytenr, extent->logical);
		le64_put(&item->disk_num_bytes, extent->disk_bytes);
		item->compression = extent->disk_bytes < extent->num_bytes ? content->options.codec->type : COMPRESS_NONE;
	}
	return 0;
}

/* Holes cost an item only without the no-holes feature. */
static int hole_item(struct item_maker *maker, u64 ino, u64 from, u64 to, struct diag *d)
{
	if (maker->content->options.has_no_holes || from >= to)
		return 0;
	return extent_item(maker, ino, from, to - from, NULL, d);
}

int content_file_items(struct item_maker *maker, u32 sequence_index, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	u32 index = content->sequence[sequence_index];
	const struct content_node *node = &content->nodes.items[index];
	u64 ino = content_ino(node), end = 0;

	if (S_ISLNK(node->mode) || node->is_inline)
		return inline_item(maker, index, d);
	if (!S_ISREG(node->mode))
		return 0;
	for (u32 e = node->first_extent, last = content_extents_end(content, sequence_index); e < last; e++) {
		const struct content_extent *extent = &content->extents.items[e];
		int err = hole_item(maker, ino, end, extent->file_offset, d);

		if (!err)
			err = extent_item(maker, ino, extent->file_offset, extent->num_bytes, extent, d);
		if (err)
			return err;
		end = extent->file_offset + extent->num_bytes;
	}
	return hole_item(maker, ino, end, round_up_u64(node->size, content->options.sectorsize), d);
}
