/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data extents: which there are, and where they go, in the order of inodes. */
#include <sys/stat.h>

#include "kernel-shared/build/content.h"
#include "kernel-shared/format/leaf.h"

bool content_has_csums(const struct btrkit_content *content, u32 node)
{
	return !(content_inode_flags(content, &content->nodes.items[node]) & (INODE_NODATASUM | INODE_NODATACOW));
}

u64 content_data_bytes(const struct btrkit_content *content)
{
	u64 sectorsize = content->options.sectorsize, total = 0;

	if (content->is_measured)
		return content->data_bytes;
	for (u32 i = 0; i < content->nr_sequence; i++) {
		const struct content_node *node = &content->nodes.items[content->sequence[i]];
		const struct content_rare *rare = content_rare(content, node);

		if (!S_ISREG(node->mode) || node->is_inline)
			continue;
		if (!rare || !rare->has_ranges) {
			total += round_up_u64(node->size, sectorsize);
			continue;
		}
		/* Ranges that meet in one sector are counted twice here: an upper bound, exact once placed. */
		for (u32 r = 0; r < rare->nr_ranges; r++) {
			const struct btrkit_data_range *range = &content->ranges.items[rare->first_range + r];

			total += round_up_u64(range->offset + range->len, sectorsize) -
				 round_down_u64(range->offset, sectorsize);
		}
	}
	return total;
}

struct placing {
	struct btrkit_content *content;
	const struct linear_space *space;
	u64 linear; /* next free place on the line */
};

static int no_room(struct diag *d)
{
	return diag_fail(d, -ENOSPC, "the data does not fit into the data chunks");
}

/* Extents for [from, to) of a file, sector-aligned, split where the space or an extent's limit says. */
static int place_range(struct placing *p, u32 node, u64 from, u64 to, struct diag *d)
{
	u64 size = p->content->nodes.items[node].size;

	while (from < to) {
		const struct linear_piece *piece;
		struct content_extent extent = {
			.file_offset = from,
			.node = node,
			.spool_offset = CONTENT_NOT_SPOOLED,
		};
		u64 within, len;

		if (p->linear >= p->space->total_bytes)
			return no_room(d);
		piece = linear_space_piece(p->space, p->linear);
		within = p->linear - piece->linear;
		len = MIN(MIN(to - from, piece->len - within), (u64)EXTENT_BYTES_MAX);
		extent.logical = piece->logical + within;
		extent.disk_bytes = extent.num_bytes = (u32)len;
		extent.stored_bytes = (u32)MIN(len, size - from);
		if (array_push(&p->content->extents, extent) < 0)
			return diag_no_memory(d, "data extents");
		p->linear += len;
		from += len;
	}
	return 0;
}

static int place_file(struct placing *p, u32 index, struct diag *d)
{
	struct btrkit_content *content = p->content;
	const struct content_node *node = &content->nodes.items[index];
	const struct content_rare *rare = content_rare(content, node);
	u64 sectorsize = content->options.sectorsize, end = 0;

	if (!rare || !rare->has_ranges)
		return place_range(p, index, 0, round_up_u64(node->size, sectorsize), d);
	for (u32 r = 0; r < rare->nr_ranges; r++) {
		const struct btrkit_data_range *range = &content->ranges.items[rare->first_range + r];
		u64 from = MAX(end, round_down_u64(range->offset, sectorsize));
		int err;

		end = round_up_u64(range->offset + range->len, sectorsize);
		err = place_range(p, index, from, end, d);
		if (err)
			return err;
	}
	return 0;
}

/* Compressed extents keep their lengths and only get addresses; none may be split. */
static int place_measured(struct btrkit_content *content, const struct linear_space *space, struct diag *d)
{
	u64 linear = 0;

	array_for_each(&content->extents, extent) {
		const struct linear_piece *piece;

		if (linear >= space->total_bytes)
			return no_room(d);
		piece = linear_space_piece(space, linear);
		if (piece->linear + piece->len - linear < extent->disk_bytes) {
			linear = piece->linear + piece->len; /* leave the end of the piece free */
			if (linear >= space->total_bytes)
				return no_room(d);
			piece = linear_space_piece(space, linear);
			if (piece->len < extent->disk_bytes)
				return no_room(d);
		}
		extent->logical = piece->logical + (linear - piece->linear);
		linear += extent->disk_bytes;
	}
	return 0;
}

int content_assign_data(struct btrkit_content *content, const struct linear_space *space, struct diag *d)
{
	struct placing p = { .content = content, .space = space };

	if (content->is_measured)
		return place_measured(content, space, d);
	content->extents.len = 0;
	for (u32 i = 0; i < content->nr_sequence; i++) {
		struct content_node *node = &content->nodes.items[content->sequence[i]];
		int err;

		if (!S_ISREG(node->mode))
			continue;
		node->first_extent = (u32)content->extents.len;
		if (node->is_inline)
			continue;
		err = place_file(&p, content->sequence[i], d);
		if (err)
			return err;
		if (content->extents.len >= CONTENT_NONE)
			return diag_fail(d, -EOVERFLOW, "more than 2^32 data extents");
	}
	return 0;
}

/* Which subvolume holds a node: its number fits one whose sequence has it there. */
static u64 root_of_node(const struct btrkit_content *content, u32 index)
{
	const struct content_node *node = &content->nodes.items[index];

	array_for_each(&content->subvols, subvol)
		if (node->ino < subvol->count && content->sequence[subvol->first + node->ino] == index)
			return subvol->root_id;
	return FS_TREE_OBJECTID;
}

void content_extent_at(const struct btrkit_content *content, u64 index, struct content_extent_ref *ret_ref)
{
	const struct content_extent *extent = &content->extents.items[index];

	*ret_ref = (struct content_extent_ref){
		.logical = extent->logical,
		.disk_bytes = extent->disk_bytes,
		.root_id = root_of_node(content, extent->node),
		.ino = content_ino(&content->nodes.items[extent->node]),
		.file_offset = extent->file_offset,
	};
}
