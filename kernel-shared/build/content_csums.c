/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Items of the checksum tree: one for each run of neighbouring extents that have checksums, cut at the size that Linux
 * allows an item to have.
 */
#include "kernel-shared/build/content.h"
#include "kernel-shared/format/leaf.h"

/* As Linux: two items must fit into one leaf, and no more than 4096 checksums. */
static u32 csums_per_item(const struct content_options *options)
{
	u32 room = leaf_data_bytes(options->id.nodesize) - 2 * (u32)sizeof(struct disk_item);
	u32 most = room / options->id.csum->size_bytes - 1;

	return MIN(most, 4096u);
}

struct csum_walk {
	const struct btrkit_content *content;
	u64 logical; /* of the run being collected */
	u64 sectors;
	u64 first_csum;
	/* Exactly one of these: */
	struct tree_sizer *sizer;
	struct tree_builder *builder;
};

static int flush_run(struct csum_walk *walk, struct diag *d)
{
	const struct content_options *options = &walk->content->options;
	u32 size_bytes = options->id.csum->size_bytes;
	u32 most = csums_per_item(options);
	int err = 0;

	while (walk->sectors > 0 && !err) {
		u32 count = (u32)MIN((u64)most, walk->sectors);

		if (walk->sizer) {
			tree_sizer_add(walk->sizer, count * size_bytes);
		} else {
			const struct key key = { EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, walk->logical };

			err = tree_builder_add(walk->builder, &key,
					       walk->content->csums + walk->first_csum * size_bytes,
					       count * size_bytes, d);
		}
		walk->logical += (u64)count * options->sectorsize;
		walk->first_csum += count;
		walk->sectors -= count;
	}
	return err;
}

static int walk_csums(struct csum_walk *walk, struct diag *d)
{
	const struct btrkit_content *content = walk->content;
	u32 sectorsize = content->options.sectorsize;
	u64 csums = 0;

	array_for_each(&content->extents, extent) {
		u64 sectors = extent->disk_bytes / sectorsize;

		if (!content_has_csums(content, extent->node))
			continue;
		if (walk->logical + walk->sectors * sectorsize != extent->logical) {
			int err = flush_run(walk, d);

			if (err)
				return err;
			walk->logical = extent->logical;
			walk->first_csum = csums;
		}
		walk->sectors += sectors;
		csums += sectors;
	}
	return flush_run(walk, d);
}

int content_size_csums(struct btrkit_content *content, struct tree_sizer *sizer, struct diag *d)
{
	struct csum_walk walk = { .content = content, .sizer = sizer };

	return walk_csums(&walk, d);
}

int content_write_csums(struct btrkit_content *content, struct tree_builder *builder, struct diag *d)
{
	struct csum_walk walk = { .content = content, .builder = builder };

	return walk_csums(&walk, d);
}
