/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that is allocated in an image, in logical order: the chunk tree's blocks (system chunks come first), the
 * data extents, then the blocks of the other trees in the order of trees[].
 */
#include "kernel-shared/build/content.h"
#include "kernel-shared/build/image.h"

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

	if (at->tree > 0 && image->content && at->next_data < content_nr_extents(image->content)) {
		struct content_extent_ref ref;

		content_extent_at(image->content, at->next_data, &ref);
		*ret_extent = (struct image_extent){
			.logical = ref.logical,
			.len = ref.disk_bytes,
			.data_index = at->next_data++,
		};
		return true;
	}
	return at->tree < image->nr_trees && next_block(at, ret_extent);
}
