/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks of the source that the device cannot read: all are looked for, so that all files that have any can be named at once;
 * then the conversion ends before the flip.
 */
#include <sys/stat.h>

#include "convert/inplace/conversion.h"

typedef unsigned long long ull;

/* More are counted, not named. */
#define NAMED_MAX 1000

static void name_file(struct conversion *c, u32 node, u64 file_offset, struct diag *d)
{
	struct unreadable *unreadable = &c->unreadable;
	char path[512];

	array_for_each(&unreadable->nodes, named)
		if (*named == node)
			return;
	if (unreadable->nodes.len == NAMED_MAX || array_push(&unreadable->nodes, node) < 0) {
		unreadable->has_unnamed = true;
		return;
	}
	btrkit_content_path(c->gathered.content, node, path, sizeof(path));
	diag_note(d, DIAG_WARNING, "/%s: cannot be read at byte %llu", path, (ull)file_offset);
}

/* The small file that has its only block there, and needs it no more once it is in the tree; CONTENT_NONE: none. */
static u32 small_file_at(const struct conversion *c, u64 physical)
{
	const struct btrkit_content *content = c->gathered.content;

	array_for_each(&content->nodes, node)
		if (node->is_inline && S_ISREG(node->mode) && node->data_kind == CONTENT_DATA_PLACED && node->data == physical)
			return (u32)(node - content->nodes.items);
	return CONTENT_NONE;
}

int conversion_cannot_read(void *ctx, const struct placed_extent *extent, u64 logical, struct diag *d)
{
	struct conversion *c = ctx;
	u64 within = logical - extent->logical;
	u32 node = extent->node;

	c->unreadable.nr_blocks++;
	if (node != CONTENT_NONE) {
		name_file(c, node, extent->file_offset + within, d);
		return 0;
	}
	/* Looking through all files takes time. */
	if (++c->unreadable.nr_own <= NAMED_MAX)
		node = small_file_at(c, extent->image_offset + within);
	if (node != CONTENT_NONE)
		name_file(c, node, 0, d);
	else if (!c->unreadable.is_own_named) {
		c->unreadable.is_own_named = true;
		diag_note(d, DIAG_WARNING, "blocks of the filesystem itself cannot be read, the first at byte %llu of the device",
			  (ull)(extent->image_offset + within));
	}
	return 0;
}

int conversion_judge_reading(void *ctx, struct diag *d)
{
	const struct conversion *c = ctx;
	const struct unreadable *unreadable = &c->unreadable;

	if (!unreadable->nr_blocks)
		return 0;
	return diag_fail(d, -EIO, "%llu blocks of %u bytes cannot be read, of %s%zu files%s; nothing was changed",
			 (ull)unreadable->nr_blocks, c->making.image.sectorsize, unreadable->has_unnamed ? "more than " : "",
			 unreadable->nodes.len, unreadable->is_own_named ? " and of the filesystem itself" : "");
}
