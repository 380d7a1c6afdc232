/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/build/content_csums.h"
#include "kernel-shared/space/csum_range.h"

int csum_items_init(struct csum_items *items, const struct content_options *options, struct tree_sizer *sizer,
		    struct tree_builder *builder, struct diag *d)
{
	*items = (struct csum_items){
		.options = options,
		.most = csum_item_max_sectors(options->id.nodesize, options->id.csum->size_bytes),
		.sizer = sizer,
		.builder = builder,
	};
	if (!builder)
		return 0;
	items->csums = malloc((size_t)items->most * options->id.csum->size_bytes);
	return items->csums ? 0 : diag_no_memory(d, "data checksums");
}

void csum_items_done(struct csum_items *items)
{
	free(items->csums);
	items->csums = NULL;
}

int csum_items_finish(struct csum_items *items, struct diag *d)
{
	const struct key key = { EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, items->logical };
	u32 bytes = items->sectors * items->options->id.csum->size_bytes;

	if (items->sectors == 0)
		return 0;
	items->sectors = 0;
	if (items->builder)
		return tree_builder_add(items->builder, &key, items->csums, bytes, d);
	tree_sizer_add(items->sizer, bytes);
	return 0;
}

int csum_items_add(struct csum_items *items, u64 logical, u64 sectors, const u8 *csums, struct diag *d)
{
	u32 sectorsize = items->options->sectorsize, size_bytes = items->options->id.csum->size_bytes;

	while (sectors > 0) {
		u32 count;

		if (items->sectors == items->most || items->logical + (u64)items->sectors * sectorsize != logical) {
			int err = csum_items_finish(items, d);

			if (err)
				return err;
			items->logical = logical;
		}
		count = (u32)MIN((u64)(items->most - items->sectors), sectors);
		if (items->builder) {
			memcpy(items->csums + (size_t)items->sectors * size_bytes, csums, (size_t)count * size_bytes);
			csums += (size_t)count * size_bytes;
		}
		items->sectors += count;
		logical += (u64)count * sectorsize;
		sectors -= count;
	}
	return 0;
}

int content_size_csums(struct btrkit_content *content, struct tree_sizer *sizer, struct diag *d)
{
	struct csum_items items;
	int err = csum_items_init(&items, &content->options, sizer, NULL, d);

	for (size_t e = 0; e < content->extents.len && !err; e++) {
		const struct content_extent *extent = &content->extents.items[e];

		if (content_has_csums(content, extent->node))
			err = csum_items_add(&items, extent->logical, extent->disk_bytes / content->options.sectorsize, NULL, d);
	}
	return err ? err : csum_items_finish(&items, d);
}
