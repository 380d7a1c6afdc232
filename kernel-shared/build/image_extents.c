/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that is allocated in an image, in logical order: the chunk tree's blocks (system chunks come first), the
 * data extents, then the blocks of the other trees in the order of trees[]. Data that lay on the device before comes before
 * everything else.
 */
#include "kernel-shared/build/image.h"
#include "kernel-shared/build/placed_data.h"
#include "kernel-shared/space/extent_item.h"

u64 image_nr_data(const struct image *image)
{
	if (image->placed)
		return image->placed->extents.len;
	return image->content ? content_nr_extents(image->content) : 0;
}

static void add_ref(struct image_data_extent *extent, u64 root_id, u64 ino, u64 file_offset)
{
	extent->refs[extent->nr_refs++] = (struct image_data_ref){ root_id, ino, file_offset };
}

static struct extent_ref sortable(const struct image_data_ref *ref)
{
	return (struct extent_ref){ EXTENT_DATA_REF_KEY, ref->root_id, ref->ino, ref->file_offset };
}

static void sort_refs(struct image_data_extent *extent)
{
	struct extent_ref a = sortable(&extent->refs[0]), b = sortable(&extent->refs[1]);

	if (extent->nr_refs == 2 && extent_ref_compare(&a, &b) > 0) {
		struct image_data_ref first = extent->refs[0];

		extent->refs[0] = extent->refs[1];
		extent->refs[1] = first;
	}
}

static void placed_at(const struct image *image, const struct placed_extent *from, struct image_data_extent *ret_extent)
{
	*ret_extent = (struct image_data_extent){ .logical = from->logical, .len = from->bytes };
	/* All of the content is in the top-level subvolume. */
	if (from->node != CONTENT_NONE)
		add_ref(ret_extent, FS_TREE_OBJECTID, content_ino(&image->content->nodes.items[from->node]),
			from->file_offset);
	if (from->image_offset != PLACED_NOT_IN_IMAGE)
		add_ref(ret_extent, SAVED_ROOT_ID, SAVED_INO, from->image_offset);
	sort_refs(ret_extent);
}

void image_data_at(const struct image *image, u64 index, struct image_data_extent *ret_extent)
{
	struct content_extent_ref ref;

	if (image->placed) {
		placed_at(image, &image->placed->extents.items[index], ret_extent);
		return;
	}
	content_extent_at(image->content, index, &ref);
	*ret_extent = (struct image_data_extent){ .logical = ref.logical, .len = ref.disk_bytes };
	add_ref(ret_extent, ref.root_id, ref.ino, ref.file_offset);
}

static bool next_block(struct image_extents *at, struct image_extent *ret_extent)
{
	const struct image *image = at->image;
	const struct image_tree *tree = &image->trees[at->tree];

	*ret_extent = (struct image_extent){
		.logical = tree_place_logical(&tree->place, &tree->shape, image->id.nodesize, at->level, at->block),
		.len = image->id.nodesize,
		.tree = tree,
		.block = at->block,
		.level = at->level,
	};
	if (++at->block < tree->shape.blocks[at->level])
		return true;
	at->block = 0;
	if (++at->level < tree->shape.nr_levels)
		return true;
	at->level = 0;
	at->tree++;
	return true;
}

bool image_extents_next(struct image_extents *at, struct image_extent *ret_extent)
{
	const struct image *image = at->image;

	if ((at->tree > 0 || image->placed) && at->next_data < image_nr_data(image)) {
		struct image_data_extent data;

		image_data_at(image, at->next_data, &data);
		*ret_extent = (struct image_extent){
			.logical = data.logical,
			.len = data.len,
			.data_index = at->next_data++,
		};
		return true;
	}
	return at->tree < image->nr_trees && next_block(at, ret_extent);
}
